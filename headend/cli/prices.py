"""`headend prices`: series of published prices in, from files or from who publishes them, and what there is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from rich.table import Table

from headend.cli.options import By
from headend.cli.printed import plain_console, whole
from headend.cli.serve import Config
from headend.errors import InvalidInput, NotFound, few, why_unread

if TYPE_CHECKING:
    from headend.collect.pricefeed import Feed
    from headend.store.market import Imported, Span
    from headend.tariffs import Tariff

app = typer.Typer(help="Prices that are published day by day, for dynamic tariffs.", no_args_is_help=True)

Series: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The series, as tariffs call it.")]
_CHANGES_SHOWN = 20


@app.command("import")
def import_file(
    name: Series,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with start,price or start,end,price; or JSON.")],
    currency: Annotated[str, typer.Option(metavar="EUR", help="ISO 4217.")],
    by: By,
    unit: Annotated[str, typer.Option(help="What the series is priced by: kWh or m³.")] = "kWh",
    per: Annotated[str | None, typer.Option(metavar="MWh", help="What the file's prices are for, if another.")] = None,
    minor: Annotated[bool, typer.Option("--minor", help="The file's prices are in cents, pence …")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")] = False,
    config: Config = None,
) -> None:
    """Import a file of prices, as a whole or not at all."""
    from headend.app import open_site
    from headend.store.market import import_prices
    from headend.tariffs.published import read_prices

    told = read_prices(lines_of(file), str(file), name=name, currency=currency, unit=unit, per=per, minor=minor)
    site = open_site(config)
    with site.database.write() as tx:
        came = import_prices(tx, told, str(file), by=by, at=site.clock(), dry_run=dry_run)
    _say(name, came, dry_run=dry_run)
    asked = {series for each in site.tariffs.ids for its in site.tariffs.versions(each) for series in series_asked(its)}
    note_unless_asked(name, asked)


@app.command("list")
def list_series(config: Config = None) -> None:
    """Every series, from when to when, and how often it has none in between."""
    from headend.app import open_site
    from headend.store.market import price_series_told

    site = open_site(config)
    table = Table(whole("series"), whole("per"), "from (UTC)", "to (UTC)", "prices", "gaps", "last import (UTC)")
    feeds, filled = {feed.name: feed.source for feed in site.feeds}, set()
    with site.database.read() as tx:
        for one in price_series_told(tx):
            stretch = ["" if at is None else utc(at) for at in (one.first_s, one.end_s)]
            imported = f"{one.imported:%Y-%m-%d %H:%M}" if one.imported else ""
            filled.add(one.name)
            table.add_row(one.name, f"{one.currency}/{one.unit}", *stretch, str(one.prices), str(one.gaps), imported)
    for name in sorted(feeds.keys() - filled):
        table.add_row(name, "", "", "", "0", "", "")
    plain_console().print(table)
    for name, source in feeds.items():
        typer.echo(f"{name} is fetched from {source}")


@app.command()
def show(
    name: Series,
    from_: Annotated[str, typer.Option("--from", metavar="T", help="ISO 8601 with Z or an offset.")],
    to: Annotated[str, typer.Option("--to", metavar="T", help="The end.")],
    config: Config = None,
) -> None:
    """Prices of a series, and where it has none."""
    from headend.app import open_site
    from headend.store.market import gaps_of, prices_of
    from headend.tariffs.money import plain

    begin_s, end_s = span_of(from_, to)
    with open_site(config).database.read() as tx:
        prices = prices_of(tx, name, begin_s, end_s)
    table = Table("from (UTC)", "to (UTC)", "price", "version", "imported (UTC)", "by")
    rows = [
        (one.start_s, one.end_s, plain(one.price), str(one.version), f"{one.imported:%Y-%m-%d %H:%M}", one.imported_by)
        for one in prices
    ]
    rows += [(*gap, "none", "", "", "") for gap in gaps_of(prices, begin_s, end_s)]
    for start_s, its_end_s, *rest in sorted(rows):
        table.add_row(utc(start_s), utc(its_end_s), *rest)
    plain_console().print(table)


@app.command()
def fetch(
    by: By,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The series; all without it.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First day of delivery.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Last day of delivery.")] = None,
    config: Config = None,
) -> None:
    """Ask who publishes prices: for today and tomorrow, or other days; exit 1 if something did not come."""
    from headend.app import open_site
    from headend.errors import PublisherAway
    from headend.process.published import fetch_day, lacks, wanted_days

    site = open_site(config)
    failed = False
    for feed in _named(site.feeds, name):
        days = _days(from_, to) or wanted_days(feed, site.clock())
        for day in days:
            try:
                came = fetch_day(site, feed, day, by)
            except (PublisherAway, InvalidInput) as error:
                typer.echo(f"{feed.name} {day}: {error}", err=True)
                failed = True
            else:
                _say(f"{feed.name} {day}", came, dry_run=False)
                if lacks(site, feed, day):
                    told = f"{feed.name} {day}: some of the day's prices did not come; prices show names them"
                    typer.echo(told, err=True)
                    failed = True
    if failed:
        raise typer.Exit(1)


def _named(feeds: Sequence[Feed], name: str | None) -> list[Feed]:
    chosen = [feed for feed in feeds if name in (None, feed.name)]
    if not chosen:
        raise NotFound("no [[prices]] in the settings" + (f" is called {name!r}" if name else ""))
    return chosen


def _days(from_: str | None, to: str | None) -> list[date]:
    if from_ is None and to is None:
        return []
    first, last = (_date(text or from_ or to or "", key) for key, text in (("--from", from_), ("--to", to)))
    if last < first:
        raise InvalidInput("--to", str(last), f"a day from {first} on")
    return [first + timedelta(days=place) for place in range((last - first).days + 1)]


def _date(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(where, repr(text), "a date such as 2026-10-31") from None


def _say(what: str, came: Imported, *, dry_run: bool) -> None:
    from headend.tariffs.money import plain

    would = "would be " if dry_run else ""
    typer.echo(f"{what}: {came.new} {would}new, {came.same} there with the same price, {came.changed} {would}changed")
    for (start_s, end_s), before, now in came.changes[:_CHANGES_SHOWN]:
        typer.echo(f"  {utc(start_s)} to {utc(end_s)}: {plain(before)} → {plain(now)}")
    if came.changed > _CHANGES_SHOWN:
        typer.echo(f"  and {came.changed - _CHANGES_SHOWN} more")
    if came.flagged:
        typer.echo(f"billed at the prices before, {would}flagged: {few(came.flagged)}. See headend bill flagged")


def series_asked(tariff: Tariff) -> set[str]:
    """The series of prices that a tariff asks for."""
    return {component.series for component in tariff.components if component.kind == "dynamic"}


def note_unless_asked(name: str, asked: set[str]) -> None:
    """A name that nobody asks for, while others are asked for, is likely mistyped, and would be without effect."""
    if asked and name not in asked:
        typer.echo(f"note: no tariff asks for {name}; asked for: {', '.join(sorted(asked))}", err=True)


def lines_of(file: Path) -> list[str]:
    """The lines of a text file; raises `InvalidInput`."""
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(str(file), why_unread(error), "a readable file") from None


def span_of(from_: str, to: str) -> Span:
    """A stretch of time from two options; raises `InvalidInput`."""
    from headend.tariffs.published import stamp

    begin_s, end_s = stamp(from_, "--from"), stamp(to, "--to")
    if end_s <= begin_s:
        raise InvalidInput("--to", to, f"an end after {from_}")
    return begin_s, end_s


def utc(at_s: int) -> str:
    """A moment in a table."""
    from headend.reads.days import moment

    return f"{moment(at_s):%Y-%m-%d %H:%M}"
