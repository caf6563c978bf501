"""`headend registry`: who lives where, by which tariff and meter, and what was changed; each change with its day."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from rich.table import Table

from headend.cli.options import By
from headend.cli.printed import plain_console, whole
from headend.cli.serve import Config
from headend.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headend.registry.billed import Billed
    from headend.registry.card import Card
    from headend.registry.changes import Change, Clerk
    from headend.registry.importing import Report
    from headend.site import Site

app = typer.Typer(help="Accounts, agreements, meters and billing groups, with every date.", no_args_is_help=True)
group = typer.Typer(help="Billing groups: accounts with the same billing periods.", no_args_is_help=True)
app.add_typer(group, name="group")

Account: TypeAlias = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The customer's account.")]
UsagePoint: TypeAlias = Annotated[str, typer.Option("--usage-point", metavar="UP", help="Where.")]
Tariff: TypeAlias = Annotated[str, typer.Option("--tariff", metavar="T", help="A tariff of the book.")]
From: TypeAlias = Annotated[str, typer.Option("--from", metavar="DATE", help="First local day.")]
Commodity: TypeAlias = Annotated[
    str | None, typer.Option("--commodity", help="electricity, gas, water or heat; where there are several.")
]
BilledToo: TypeAlias = Annotated[
    bool, typer.Option("--billed-too", help="Also where days are billed already: those statements are flagged.")
]
_FAULTS_SHOWN = 50


@app.command("import")
def import_files(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="CSV files, one for each kind, or a folder of them.")
    ],
    by: By,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")] = False,
    billed_too: BilledToo = False,
    config: Config = None,
) -> None:
    """Add and change what files name, as a whole or not at all; exit 2 with every fault where there are any."""
    from headend.registry.importing import import_rows
    from headend.registry.rows import read_rows, registry_files

    rows = read_rows(registry_files(files))
    site = _site(config)
    with site.database.write() as tx:
        clerk = _clerk(site, by)
        report = import_rows(tx, site.tariffs, rows, clerk, billed_too=billed_too, dry_run=dry_run)
    _report(report, dry_run=dry_run)
    if report.faults:
        count = len(report.faults)
        raise InvalidInput(", ".join(map(str, files))[:200], f"{count} faults", "none: nothing was written")


@app.command("move-in")
def move_in(
    account: Account,
    usage_point: UsagePoint,
    tariff: Tariff,
    from_: From,
    by: By,
    to: Annotated[str, typer.Option("--to", metavar="DATE", help="First day that is not theirs; default: open.")] = "",
    commodity: Annotated[str, typer.Option("--commodity", help="electricity, gas, water or heat.")] = "electricity",
    name: Annotated[str | None, typer.Option("--name", help="Of an account that is new.")] = None,
    customer_class: Annotated[
        str | None, typer.Option("--class", help="Of an account that is new; default: residential.")
    ] = None,
    locale: Annotated[
        str | None, typer.Option("--locale", help="Of the statements of an account that is new; default: en_GB.")
    ] = None,
    billed_too: BilledToo = False,
    config: Config = None,
) -> None:
    """Somebody moves in: an agreement at a usage point from a day on."""
    from headend.config import checked
    from headend.registry.contracts import Held
    from headend.registry.contracts import move_in as begin
    from headend.registry.site_file import AccountRow

    held = Held(account, usage_point, commodity, tariff, _day(from_, "--from"), _day(to, "--to") if to else None)
    its = {"customer_class": customer_class, "locale": locale}
    row = {"id": account, "name": name} | {key: value for key, value in its.items() if value is not None}
    if name is None and len(row) > 2:
        raise InvalidInput("--class, --locale", "no --name", "the name too: they are of an account that is new")
    new = None if name is None else checked("account", lambda: AccountRow.model_validate(row))
    site = _site(config)
    with site.database.write() as tx:
        met = begin(tx, site.tariffs, held, _clerk(site, by), new=new, billed_too=billed_too)
    _done(f"{account} is at {usage_point} {held.days}, {commodity} by {tariff}", met)


@app.command("move-out")
def move_out(
    account: Account,
    usage_point: UsagePoint,
    on: Annotated[str, typer.Option("--on", metavar="DATE", help="First local day that is no longer theirs.")],
    by: By,
    commodity: Commodity = None,
    billed_too: BilledToo = False,
    config: Config = None,
) -> None:
    """Somebody moves out: their agreements at a usage point end."""
    from headend.registry.contracts import move_out as end

    site, day = _site(config), _day(on, "--on")
    with site.database.write() as tx:
        place, clerk = (account, usage_point), _clerk(site, by)
        met = end(tx, site.tariffs, place, day, clerk, commodity=commodity, billed_too=billed_too)
    _done(f"{account} is no longer at {usage_point} from {day} on", met)


@app.command("change-tariff")
def change_tariff(
    account: Account,
    usage_point: UsagePoint,
    tariff: Tariff,
    from_: From,
    by: By,
    commodity: Commodity = None,
    billed_too: BilledToo = False,
    config: Config = None,
) -> None:
    """Another tariff from a day on."""
    from headend.registry.contracts import change_tariff as change

    site, day = _site(config), _day(from_, "--from")
    with site.database.write() as tx:
        place, clerk = (account, usage_point), _clerk(site, by)
        met = change(tx, site.tariffs, place, tariff, day, clerk, commodity=commodity, billed_too=billed_too)
    _done(f"{account} is billed by {tariff} at {usage_point} from {day} on", met)


@app.command("exchange-meter")
def exchange_meter(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The meter that hangs.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The one that takes its place.")],
    at: Annotated[str, typer.Option("--at", metavar="MOMENT", help="End of the old one's last interval.")],
    by: By,
    gateway: Annotated[str | None, typer.Option("--gateway", help="Who reports it; default: as the old one.")] = None,
    register_digits: Annotated[
        int | None, typer.Option("--register-digits", help="Of its registers; default: as the old one.")
    ] = None,
    billed_too: BilledToo = False,
    config: Config = None,
) -> None:
    """One meter is removed, and another hung in its place: with the same channels and transformers."""
    from headend.registry.exchange import NewMeter
    from headend.registry.exchange import exchange_meter as exchange

    moment = _moment(at)
    site = _site(config)
    with site.database.write() as tx:
        hung = NewMeter(new, gateway, register_digits)
        met = exchange(tx, old, hung, moment, _clerk(site, by), billed_too=billed_too)
    _done(f"{new} hangs in the place of {old} since {moment.isoformat()}", met)


@group.command("add")
def add_group(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    by: By,
    first_day: Annotated[int, typer.Option("--first-day", metavar="N", help="On which periods begin, 1 to 28.")] = 1,
    config: Config = None,
) -> None:
    """Make a billing group."""
    from headend.billing.groups import BillingGroup
    from headend.registry.grouping import add_group as add

    site = _site(config)
    with site.database.write() as tx:
        add(tx, BillingGroup(name, first_day), _clerk(site, by))
    typer.echo(f"group {name}: periods begin on day {first_day} of the month")


@group.command("dates")
def group_dates(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    dates: Annotated[
        list[str],
        typer.Argument(metavar="FILE|PERIOD=DATE…", help="CSV with period,date; or such as 2026-10=2026-10-28."),
    ],
    by: By,
    config: Config = None,
) -> None:
    """Say on which days a group's meters are read: each is the first day of the next period."""
    from headend.registry.grouping import change_dates, dates_of

    told = [pair for each in dates for pair in _dates(each)]
    site = _site(config)
    with site.database.write() as tx:
        its = change_dates(tx, name, dates_of("reading dates", told), _clerk(site, by))
    for period, _ in told:
        days = its.days(period.strip(), "UTC")
        typer.echo(f"group {name}: {period} is {days.first} to {days.end}, without it: {days.days} days")


@group.command("assign")
def assign(
    account: Account,
    name: Annotated[str, typer.Argument(metavar="GROUP")],
    from_: From,
    by: By,
    config: Config = None,
) -> None:
    """Put an account into a billing group from a day on."""
    from headend.registry.grouping import assign as put

    site, day = _site(config), _day(from_, "--from")
    with site.database.write() as tx:
        put(tx, account, name, day, _clerk(site, by))
    typer.echo(f"{account} is in group {name} from {day} on")


@group.command("list")
def list_groups(config: Config = None) -> None:
    """Billing groups, and on which days their meters are read where that is another."""
    from headend.registry.members import billing_groups

    site = _site(config)
    with site.database.read() as tx:
        groups = billing_groups(tx)
    table = Table(whole("group"), "first day", "read on")
    table.add_row("monthly", "1", "")
    for each in groups.values():
        dates = ", ".join(f"{period}: {day}" for period, day in each.reading_dates)
        table.add_row(each.name, str(each.first_day), dates)
    plain_console().print(table)


@app.command()
def show(
    subject: Annotated[str, typer.Argument(metavar="ACCOUNT|USAGE-POINT|METER")],
    config: Config = None,
) -> None:
    """All there is about an account, a usage point or a meter, with every date."""
    from headend.registry.card import cards

    site = _site(config)
    with site.database.read() as tx:
        found = cards(tx, subject)
    for card in found:
        _show(card)


@app.command("log")
def show_log(
    config: Config = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 50,
) -> None:
    """What was changed, by whom; newest first."""
    from headend.registry.changes import changes

    site = _site(config)
    with site.database.read() as tx:
        found = changes(tx, limit=limit)
    if found:
        plain_console().print(_changes(found))
    else:
        typer.echo("Nothing was changed by a clerk yet.")


def _site(config: Path | None) -> Site:
    from headend.app import open_site

    return open_site(config)


def _clerk(site: Site, by: str) -> Clerk:
    from headend.registry.changes import Clerk

    return Clerk(by, site.clock())


def _day(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(where, repr(text[:40]), "a day such as 2026-11-15") from None


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidInput("--at", repr(text[:40]), "a moment with its offset such as 2026-11-17T11:00:00+01:00")
    return found


def _dates(told: str) -> Iterable[tuple[str, str]]:
    period, equals, day = told.partition("=")
    if equals:
        return [(period, day)]
    import csv

    from headend.cli.prices import lines_of

    rows = [row for row in csv.reader(lines_of(Path(told))) if any(row)]
    if not rows or [cell.strip() for cell in rows[0]] != ["period", "date"]:
        raise InvalidInput(told, repr(",".join(rows[0]) if rows else "")[:80], "the columns period,date")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != 2:
            raise InvalidInput(f"{told}: line {number}", f"{len(row)} cells", "2: period,date")
    return [(row[0], row[1]) for row in rows[1:]]


def _done(text: str, met: Iterable[Billed]) -> None:
    typer.echo(text)
    for each in met:
        typer.echo(f"statement {each.statement} ({each.account}, {each.period}) billed days of it, and is flagged")


def _report(report: Report, *, dry_run: bool) -> None:
    console = plain_console()
    table = Table("", "to add" if dry_run else "added", "to change" if dry_run else "changed", "as they are")
    for kind, counts in report.counts.items():
        table.add_row(kind.replace("_", " "), str(counts.add), str(counts.change), str(counts.leave))
    if not report.faults:
        console.print(table)
        _done("nothing was written: a dry run" if dry_run else "written", report.billed)
        return
    faults = Table(whole("file"), "line", "column", "found", "expected")
    for each in report.faults[:_FAULTS_SHOWN]:
        faults.add_row(each.file, str(each.line), each.column, each.found, each.expected)
    console.print(faults)
    if len(report.faults) > _FAULTS_SHOWN:
        typer.echo(f"{len(report.faults) - _FAULTS_SHOWN} more")


def _show(card: Card) -> None:
    console = plain_console()
    console.print(f"{card.kind} {card.subject}: " + ", ".join(f"{what} {value}" for what, value in card.facts))
    agreements = Table(whole("account"), whole("usage point"), "commodity", "tariff", "from", "to")
    for held in card.agreements:
        row = (held.account, held.usage_point, held.commodity, held.tariff, str(held.valid_from))
        agreements.add_row(*row, str(held.valid_to or ""))
    meters = Table(whole("meter"), whole("usage point"), "commodity", "channels", "from (UTC)", "to (UTC)", "gateway")
    for hung in card.meters:
        row = (hung.meter, hung.usage_point, hung.commodity, " ".join(hung.channels), hung.installed)
        meters.add_row(*row, hung.removed or "", hung.gateway or "any")
    groups = Table("billing group", "from", "to")
    for one in card.groups:
        groups.add_row(*one)
    for table in (agreements, meters, groups):
        if table.row_count:
            console.print(table)
    if card.changes:
        console.print(_changes(card.changes))


def _changes(found: Iterable[Change]) -> Table:
    table = Table("when (UTC)", "who", "what", whole("of"), "in words")
    for each in found:
        table.add_row(f"{each.at:%Y-%m-%d %H:%M}", each.by, each.what, each.subject, each.text)
    return table
