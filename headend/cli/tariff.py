"""`headend tariff`: check a tariff, compare two, rate a load file, take one over from the Utility Rate Database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.table import Table

from headend.cli.printed import plain_console
from headend.errors import InvalidInput

if TYPE_CHECKING:
    from headend.tariffs import Market, Tariff

app = typer.Typer(help="Tariff files.", no_args_is_help=True)

TariffFile = Annotated[Path, typer.Argument(metavar="FILE", help="A tariff, TOML or JSON.")]
Made = TypeVar("Made")


class Format(StrEnum):
    """What a tariff file is written in."""

    native = "native"
    urdb = "urdb"


@app.command()
def check(
    file: TariffFile,
    lowest: Annotated[str | None, typer.Option(metavar="PRICE", help="No energy is cheaper than this.")] = None,
    highest: Annotated[str | None, typer.Option(metavar="PRICE", help="No energy is dearer than this.")] = None,
) -> None:
    """Say what is wrong with a tariff, a line for each finding (exit 2 if there is any), and draw its hours."""
    from headend.tariffs import Finding
    from headend.tariffs.check import examine_new, prices_beyond

    bounds = _price(lowest, "--lowest"), _price(highest, "--highest")
    tariff, findings = examine_new(file)
    if tariff is not None:
        findings = [
            Finding(f"{file}: {each.where}", each.found, each.expected) for each in prices_beyond(tariff, *bounds)
        ]
    for finding in findings:
        typer.echo(str(finding), err=True)
    if tariff is None or findings:
        raise typer.Exit(2)
    _describe(tariff, file)


def _price(text: str | None, option: str) -> Decimal | None:
    try:
        price = None if text is None else Decimal(text)
    except InvalidOperation:
        price = Decimal("NaN")
    if price is not None and not price.is_finite():
        raise InvalidInput(option, repr(text), "a price such as 0.05")
    return price


def _describe(tariff: Tariff, file: Path) -> None:
    """What a sound tariff is, what is worth a second look, and its hours."""
    from headend.cli.heatmap import draw_hours
    from headend.tariffs.check import notes

    typer.echo(f"{file}: {tariff.name}, valid from {tariff.valid_from}, version {tariff.version}")
    for note in notes(tariff):
        typer.echo(f"note: {note}")
    draw_hours(tariff, plain_console(highlight=False))


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="A tariff.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Another, such as its next version.")],
) -> None:
    """Say what differs between two tariffs; exit 1 if anything does."""
    from headend.tariffs import load_tariff
    from headend.tariffs.format.diff import diff as changes_between

    changes = changes_between(load_tariff(before), load_tariff(after))
    if not changes:
        typer.echo(f"{before} and {after} say the same")
        return
    for change in changes:
        percent = "" if change.percent is None else f" ({change.percent:+} %)"
        typer.echo(f"{change.where}: {change.before or 'nothing'} → {change.after or 'nothing'}{percent}")
    raise typer.Exit(1)


@app.command()
def rate(
    file: TariffFile,
    reads: Annotated[
        Path, typer.Option(help="CSV with start (ISO 8601, Z or offset), import_wh and/or export_wh, reactive_varh.")
    ],
    timezone: Annotated[str, typer.Option(help="IANA time zone of the usage point.")],
    form: Annotated[Format, typer.Option("--format", help="What FILE is written in.")] = Format.native,
    prices: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="Published prices: CSV with start, price.")
    ] = None,
    events: Annotated[list[str] | None, typer.Option(metavar="NAME=FILE", help="Events: CSV with start, end.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    rounded: Annotated[bool, typer.Option("--round", help="Each line rounded, as on a statement.")] = False,
    lines: Annotated[bool, typer.Option("--lines", help="Each month's lines, and the digest of its reads.")] = False,
) -> None:
    """Rate a load file month by month."""
    from headend.reads.days import zone_named
    from headend.tariffs.rating.loadfile import read_load
    from headend.tariffs.rating.monthly import rate_months

    tariff = _tariff(file, form)
    zone, load = zone_named(timezone), _read(reads, read_load)
    market = market_given(tariff, prices or [], events or [])
    bill = rate_months(tariff, load, zone, market, rounded=rounded, lines=lines)
    if as_json:
        typer.echo(json.dumps(bill, indent=2))
    else:
        _show(tariff, bill, rounded=rounded)


def _tariff(file: Path, form: Format) -> Tariff:
    from headend.tariffs import load_tariff

    return load_tariff(file) if form is Format.native else _from_urdb(file)


def _from_urdb(file: Path) -> Tariff:
    from headend.tariffs.urdb import tariff_from_urdb

    return _read(file, lambda lines, source: tariff_from_urdb("".join(lines), source))


def _read(path: Path, read: Callable[[Iterable[str], str], Made]) -> Made:
    """What a file says; raises `InvalidInput` if it cannot be read."""
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return read(lines, str(path))
    except OSError as error:
        raise InvalidInput(str(path), error.strerror or str(error), "a readable file") from None
    except UnicodeDecodeError:
        raise InvalidInput(str(path), "bytes that are not UTF-8", "UTF-8 text") from None


def market_given(tariff: Tariff, prices: list[str], events: list[str]) -> Market:
    from headend.cli.prices import note_unless_asked, series_asked
    from headend.tariffs import Market
    from headend.tariffs.published import events_named, read_events, read_prices

    series = {
        name: _read(path, partial(read_prices, name=name, currency=tariff.currency, unit=tariff.unit))
        for name, path in _named_files(prices, "--prices").items()
    }
    called = {
        name: _read(path, partial(read_events, name=name)) for name, path in _named_files(events, "--events").items()
    }
    for given, asked in ((series, series_asked(tariff)), (called, events_named(tariff))):
        for name in given:
            note_unless_asked(name, asked)
    return Market(series, called)


def _named_files(options: list[str], option: str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for text in options:
        name, _, path = text.partition("=")
        if not name or not path:
            raise InvalidInput(option, repr(text), "NAME=FILE, such as day-ahead=prices.csv")
        if name in files:
            raise InvalidInput(option, f"{name} twice", "one file for a name")
        files[name] = Path(path)
    return files


def _show(tariff: Tariff, bill: dict[str, Any], *, rounded: bool) -> None:
    """Months as rows, in the currency's minor unit; what is nothing in all of them is left out."""
    from headend.tariffs.money import rounded as to_minor_unit

    months = bill["months"]
    charges = [name for name in months[0] if name not in ("month", "lines", "reads_digest")] if months else []
    names = [name for name in charges if name == "total" or any(Decimal(month[name]) for month in months)]
    exact = "" if rounded else ", exact amounts shown to the minor unit"
    table = Table("month")
    for name in names:
        table.add_column(name, justify="right")
    for month in months:
        amounts = (to_minor_unit(Decimal(month[name]), tariff.currency) for name in names)
        table.add_row(month["month"], *(f"{amount:,f}" for amount in amounts))
    console = plain_console(highlight=False)
    console.print(f"{tariff.name}, {bill['currency']}{exact}")
    console.print(table)
    for month in months:
        if "lines" in month:
            console.print(f"{month['month']}, reads {month['reads_digest'][:12]}")
            console.print(_lines(month))


def _lines(month: dict[str, Any]) -> Table:
    table = Table("line")
    for name in ("quantity", "price", "exact", "amount"):
        table.add_column(name, justify="right")
    for line in month["lines"]:
        table.add_row(line["label"], f"{line['quantity']} {line['unit']}", line["price"], line["exact"], line["amount"])
    return table


@app.command("import-urdb")
def import_urdb(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A rate of OpenEI's Utility Rate Database, JSON.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The tariff to write, TOML.")],
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Take a rate over from the Utility Rate Database; refuse by name what cannot be expressed."""
    from headend.tariffs import load_tariff
    from headend.tariffs.format.to_toml import to_toml

    tariff = _from_urdb(file)
    if output.exists() and not force:
        raise InvalidInput(str(output), "a file that is there", "a new one, or --force")
    write_whole(output, to_toml(tariff))
    _describe(load_tariff(output), output)


def write_whole(path: Path, text: str) -> None:
    """All of it, or nothing: what stood there before stays until the new file is whole."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise InvalidInput(str(path), error.strerror or str(error), "a file that can be written") from None
