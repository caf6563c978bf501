"""`headend statement`: one statement, as the record or as a document; and whether it is right."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from headend.cli.printed import counted, plain_console
from headend.cli.progress import progress
from headend.cli.serve import Config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headend.billing.bundle import Checked
    from headend.billing.bundle.checking import Differs
    from headend.billing.ports import Kept
    from headend.billing.verify import ReadChange, Verified

app = typer.Typer(help="One statement, as the record or as a document; and whether it is right.", no_args_is_help=True)

StatementId = Annotated[str, typer.Argument(metavar="ID", help="Number of the statement, such as A-1001-2026-10-1.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]

#: So many changes are listed; `--json` has all.
_SHOWN = 8


@app.command()
def show(statement: StatementId, config: Config = None) -> None:
    """The statement's canonical JSON: exactly the bytes whose SHA-256 the ledger and the next statement hold."""
    document = _kept(statement, config).document
    sys.stdout.buffer.write(document)
    if sys.stdout.isatty():
        sys.stdout.buffer.write(b"\n")


@app.command()
def pdf(
    statement: StatementId,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; default: ID.pdf.")] = None,
    config: Config = None,
) -> None:
    """Write the statement as PDF."""
    from headend.billing.statement import parse_statement
    from headend.documents.pdf import statement_pdf

    kept = _kept(statement, config)
    _write(output or Path(f"{kept.id}.pdf"), statement_pdf(parse_statement(kept.document)))


@app.command()
def verify(
    statement: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Number of the statement, such as A-1001-2026-10-1.")
    ] = None,
    period: Annotated[
        str | None, typer.Option("--period", metavar="YYYY-MM", help="Every issued statement of a month.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Rate a statement again from the records, as billed and as of today; exit 1 if anything is not as it says."""
    from headend.app import open_site
    from headend.billing.verify import verify_period, verify_statement
    from headend.errors import InvalidInput
    from headend.office import office_of
    from headend.process.asbilled import SitePast
    from headend.reads.days import Period

    if (statement is None) == (period is None):
        raise InvalidInput("verify", "both" if statement else "neither", "a statement's number, or --period YYYY-MM")
    site = open_site(config)
    office = office_of(site)
    if statement is not None:
        found = verify_statement(office, lambda tx: SitePast(tx, site), statement)
        if as_json:
            typer.echo(json.dumps(_verified_json(found), ensure_ascii=False, indent=2))
        else:
            _show_verified(found)
        raise typer.Exit(0 if found.identical else 1)
    Period.month(period or "", site.settings.site.zone)
    count, others = 0, []
    with progress() as bar:
        task = bar.add_task("verifying", total=None)

        def watch(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)

        for each in verify_period(office, lambda tx: SitePast(tx, site), period or "", watch):
            count += 1
            if not each.identical:
                others.append(each)
    if not count:
        raise InvalidInput("--period", period or "", "a month with issued statements")
    if as_json:
        told: dict[str, Any] = {"period": period, "statements": count, "identical": count - len(others)}
        told["different"] = [_verified_json(each) for each in others]
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        _show_period(period or "", count, others)
    raise typer.Exit(1 if others else 0)


@app.command()
def bundle(
    statement: StatementId,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; default: ID.zip.")] = None,
    config: Config = None,
) -> None:
    """Write the statement and everything it was made of as a ZIP file, which `check` rates anywhere."""
    from headend.app import open_site
    from headend.process.asbilled import bundle_of

    site = open_site(config)
    with site.database.read() as tx:
        kept, content = bundle_of(tx, site, statement)
    _write(output or Path(f"{kept.id}.zip"), content)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="A bundle.")],
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="HASH", help="The statement's hash, as you know it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rate a bundle's reads and compare every line with its statement; needs no site. Exit 1 if anything differs."""
    from headend.billing.bundle import check_bundle
    from headend.billing.bundle.opening import LARGEST
    from headend.errors import InvalidInput

    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except OSError as error:
        raise InvalidInput("FILE.zip", f"{file} ({error.strerror})", "a bundle that can be read") from None
    found = check_bundle(data, sha256)
    if as_json:
        typer.echo(json.dumps(_checked_json(found), ensure_ascii=False, indent=2))
    else:
        _show_checked(found)
    raise typer.Exit(0 if found.identical else 1)


def _kept(statement: str, config: Path | None) -> Kept:
    from headend.app import open_site
    from headend.store.ledger import SqlLedger

    with open_site(config).database.read() as tx:
        return SqlLedger(tx).statement(statement)


def _write(path: Path, content: bytes) -> None:
    from headend.errors import InvalidInput

    try:
        path.write_bytes(content)
    except OSError as error:
        raise InvalidInput("--output", f"{path} ({error.strerror})", "a file that can be written") from None
    typer.echo(str(path))


def _show_verified(found: Verified) -> None:
    console = plain_console(highlight=False)
    table = Table("check", "", Column("what was found", overflow="fold"))
    for each in found.checks:
        table.add_row(each.name, "ok" if each.ok else "NO", each.said)
    console.print(table)
    if found.differs:
        console.print(_differing(found.differs[:_SHOWN]))
        _more(console, len(found.differs))
    if found.reads:
        console.print(_reads(found.reads[:_SHOWN]))
        _more(console, len(found.reads))
    if found.prices:
        prices = Table("series", "from (UTC)", "billed", "now", "changed (UTC)", "by")
        for price in found.prices[:_SHOWN]:
            at = "" if price.at is None else f"{price.at:%Y-%m-%d %H:%M:%S}"
            both = (_or_none(price.before), _or_none(price.now))
            prices.add_row(price.series, _utc(price.start_s), *both, at, price.by or "")
        console.print(prices)
        _more(console, len(found.prices))
    for cause in found.causes:
        console.print(f"cause: {cause}")
    if found.identical:
        console.print(f"{found.id}: identical")
        return
    difference = None if found.again is None else found.again.difference
    money = f": {difference:+,} {found.again.made.currency} today" if found.again and difference is not None else ""
    console.print(f"{found.id}: different{money}")


def _reads(changes: Sequence[ReadChange]) -> Table:
    from headend.reads import Quality

    table = Table("meter", "channel", "interval (UTC)", "billed", "now", "changed (UTC)", "by")
    for each in changes:
        at = "" if each.at is None else f"{each.at:%Y-%m-%d %H:%M:%S}"
        before, now = (
            f"{value:,} {Quality(quality).label}"
            for value, quality in ((each.before, each.quality_before), (each.now, each.quality_now))
        )
        by = each.by or "not told by the history"
        counts = "" if each.counted else " (not counted)"
        table.add_row(each.meter, each.channel, _utc(each.start_s), before, f"{now}{counts}", at, by)
    return table


def _more(console: Console, count: int) -> None:
    if count > _SHOWN:
        console.print(f"… and {count - _SHOWN:,} more: --json has all")


def _show_period(period: str, count: int, others: Sequence[Verified]) -> None:
    console = plain_console(highlight=False)
    if others:
        table = Table("statement", "failed", "today", Column("why", overflow="fold"))
        for each in others:
            failed = [check for check in each.checks if not check.ok]
            difference = None if each.again is None else each.again.difference
            money = "" if difference is None else f"{difference:+,}"
            table.add_row(each.id, ", ".join(check.name for check in failed), money, "; ".join(c.said for c in failed))
        console.print(table)
    console.print(
        f"{period}: {counted(count, 'statement')}, {count - len(others):,} identical, {len(others):,} different"
    )


def _show_checked(found: Checked) -> None:
    console = plain_console(highlight=False)
    for number, (segment, lines) in enumerate(zip(found.statement.segments, found.lines, strict=True), 1):
        table = Table(
            Column("line", overflow="fold"),
            Column("stated", justify="right"),
            Column("computed", justify="right"),
            "",
            title=f"{number}. {segment.tariff.name}, {segment.first} to {segment.last}, {segment.currency}",
            title_justify="left",
        )
        for each in lines:
            line = each.stated or each.computed
            amounts = ("none" if its is None else f"{its.amount:,}" for its in (each.stated, each.computed))
            table.add_row(line.label if line else "", *amounts, "" if each.same else "differs")
        console.print(table)
    if found.differs:
        console.print(_differing(found.differs))
    totals = found.statement.totals
    console.print(f"statement {found.statement.id}, total {totals.gross:,} {totals.currency}")
    console.print(f"SHA-256 {found.sha256}")
    console.print("identical" if found.identical else f"different: {counted(len(found.differs), 'finding')}")


def _differing(differs: Sequence[Differs]) -> Table:
    table = Table(*(Column(name, overflow="fold") for name in ("where", "stated", "found")))
    for each in differs:
        table.add_row(each.where, each.stated, each.found)
    return table


def _checked_json(found: Checked) -> dict[str, Any]:
    return {
        "statement": found.statement.id,
        "sha256": found.sha256,
        "identical": found.identical,
        "lines": [
            {
                "segment": number,
                "label": line.label,
                "stated": None if each.stated is None else f"{each.stated.amount:f}",
                "computed": None if each.computed is None else f"{each.computed.amount:f}",
                "same": each.same,
            }
            for number, lines in enumerate(found.lines, 1)
            for each in lines
            if (line := each.stated or each.computed) is not None
        ],
        "differs": [_differs_json(each) for each in found.differs],
    }


def _differs_json(each: Differs) -> dict[str, str]:
    return {"where": each.where, "stated": each.stated, "found": each.found}


def _verified_json(found: Verified) -> dict[str, Any]:
    again = found.again
    now = None if again is None or again.now is None else f"{again.now.gross:f}"
    difference = None if again is None or again.difference is None else f"{again.difference:f}"
    return {
        "statement": found.id,
        "sha256": found.sha256,
        "identical": found.identical,
        "checks": [{"name": each.name, "ok": each.ok, "said": each.said} for each in found.checks],
        "differs": [_differs_json(each) for each in found.differs],
        "causes": list(found.causes),
        "reads": [
            {
                "meter": each.meter,
                "channel": each.channel,
                "start": _utc(each.start_s),
                "billed": {"value": each.before, "quality": each.quality_before},
                "now": {"value": each.now, "quality": each.quality_now},
                "counted": each.counted,
                "changed": None if each.at is None else f"{each.at:%Y-%m-%dT%H:%M:%SZ}",
                "by": each.by,
            }
            for each in found.reads
        ],
        "prices": [
            {
                "series": each.series,
                "start": _utc(each.start_s),
                "end": _utc(each.end_s),
                "billed": None if each.before is None else f"{each.before:f}",
                "now": None if each.now is None else f"{each.now:f}",
                "changed": None if each.at is None else f"{each.at:%Y-%m-%dT%H:%M:%SZ}",
                "by": each.by,
            }
            for each in found.prices
        ],
        "money": None
        if again is None
        else {"currency": again.made.currency, "billed": f"{again.made.gross:f}"}
        | {"today": now, "difference": difference},
    }


def _or_none(value: object) -> str:
    return "none" if value is None else f"{value}"


def _utc(at_s: int) -> str:
    from headend.reads.days import moment

    return f"{moment(at_s):%Y-%m-%dT%H:%M:%SZ}"
