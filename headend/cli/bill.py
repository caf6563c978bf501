"""`headend bill`: the clerk's month."""

from __future__ import annotations

import getpass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from headend.billing.groups import MONTHLY
from headend.cli.accrued import accrued
from headend.cli.rebill import cancel, rebill, withdraw
from headend.cli.serve import Config
from headend.cli.whatif import what_if

if TYPE_CHECKING:
    from pathlib import Path

    from headend.billing.cycle import BillCycle
    from headend.billing.partitions import Executor
    from headend.billing.ports import Office
    from headend.store.ledger import SqlLedger
    from headend.store.rebills import RebillFlag

app = typer.Typer(help="The clerk's month: rate a cycle, review it, approve it, issue it.", no_args_is_help=True)
app.command("what-if")(what_if)
app.command("rebill")(rebill)
app.command("cancel")(cancel)
app.command("withdraw")(withdraw)
app.command("accrued")(accrued)

Period = Annotated[str, typer.Option("--period", metavar="YYYY-MM", help="The month that is billed.")]
Cycle = Annotated[str, typer.Option("--cycle", help="Name of the cycle.")]
Clerk = Annotated[
    str, typer.Option("--by", default_factory=getpass.getuser, show_default="the login name", help="Who does it.")
]


Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, show_default="the number of cores, for many accounts", help="Processes that rate."
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option("--dask", metavar="ADDRESS", help="Rate on a Dask cluster: the address of its scheduler."),
]


@app.command()
def run(
    period: Period,
    by: Clerk,
    cycle: Cycle = MONTHLY,
    workers: Workers = None,
    dask: Scheduler = None,
    config: Config = None,
) -> None:
    """Rate every account with an agreement in the period; again as often as you like until it is approved.

    A run that was killed goes on where it stopped.
    """
    from headend.billing.run import rate_cycle
    from headend.cli.progress import progress

    office = _office(config, period)
    executor = _executor(office, config, workers, dask)
    with progress() as bar:
        rating = bar.add_task("rating", total=None)
        rated = rate_cycle(
            office,
            period,
            cycle,
            by,
            executor=executor,
            progress=lambda done, of: bar.update(rating, completed=done, total=of),
        )
    _say(rated)


@app.command()
def approve(
    period: Period,
    by: Clerk,
    cycle: Cycle = MONTHLY,
    workers: Workers = None,
    dask: Scheduler = None,
    config: Config = None,
) -> None:
    """Approve what is rated: from then on nothing in the cycle changes."""
    from headend.billing.approval import approve as approve_cycle

    office = _office(config, period)
    _say(approve_cycle(office, period, cycle, by, executor=_executor(office, config, workers, dask)))


def _executor(office: Office, config: Path | None, workers: int | None, dask: str | None) -> Executor:
    """Who rates; more than this process only where that pays, unless it is told how many."""
    import os
    from itertools import islice

    from headend.billing.partitions import ACCOUNTS_A_RANGE, InTurn
    from headend.errors import InvalidInput
    from headend.executors import Dask, OfficeAt, Processes

    opener = OfficeAt(None if config is None else config.resolve())
    if dask is not None:
        if workers is not None:
            raise InvalidInput("--workers", str(workers), "nothing beside --dask, whose cluster has workers")
        return Dask(opener, dask)
    if workers is None:
        with office.database.read() as tx:
            many = sum(1 for _ in islice(office.records(tx).accounts(), 4 * ACCOUNTS_A_RANGE)) == 4 * ACCOUNTS_A_RANGE
        workers = os.cpu_count() or 1 if many else 1
    return InTurn(office) if workers == 1 else Processes(opener, workers)


@app.command()
def issue(period: Period, by: Clerk, cycle: Cycle = MONTHLY, config: Config = None) -> None:
    """Issue what is approved: statements are dated, due and final."""
    from headend.billing.approval import issue as issue_cycle

    _say(issue_cycle(_office(config, period), period, cycle, by))


@app.command()
def review(
    period: Annotated[str | None, typer.Option("--period", metavar="YYYY-MM", help="Without it: all cycles.")] = None,
    cycle: Cycle = MONTHLY,
    config: Config = None,
) -> None:
    """All cycles, or one cycle's totals, statements, exceptions and flags; exit 1 if its totals do not tie out."""
    from headend.billing.cycle import tie_out
    from headend.errors import NotFound
    from headend.store.ledger import SqlLedger

    office = _office(config, period)
    with office.database.read() as tx:
        ledger = SqlLedger(tx)
        if period is None:
            Console(markup=False, emoji=False).print(_cycles(ledger.cycles()))
            return
        found = ledger.cycle(cycle, period)
        if found is None:
            raise NotFound(f"no cycle {cycle!r} was ever rated for {period}")
        _show(ledger, found)
    tie_out(found.totals)


@app.command()
def flagged(
    statement: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Number of a statement; without it: every flagged one.")
    ] = None,
    config: Config = None,
) -> None:
    """Statements whose reads have changed since they were made; of one, what it would come to today."""
    from headend.billing.again import rated_again
    from headend.billing.statement import parse_statement
    from headend.store.ledger import SqlLedger
    from headend.store.rebills import rebills, rebills_of

    office = _office(config, None)
    with office.database.read() as tx:
        kept = None if statement is None else SqlLedger(tx).statement(statement)
        flags = rebills(tx) if kept is None else rebills_of(tx, kept.id)
    console = Console(markup=False, emoji=False)
    if flags:
        console.print(_flags(flags))
    else:
        console.print("No statement is flagged." if kept is None else f"Statement {kept.id} is not flagged.")
    if kept is not None:
        again = rated_again(office, parse_statement(kept.document))
        made = f"{kept.id} says {again.made.gross:,} {again.made.currency}"
        if again.now is None:
            console.print(f"{made}; it cannot be rated now: {again.problem}")
        else:
            console.print(f"{made}; by today's reads it would be {again.now.gross:,}: {again.difference:+,}")


def _office(config: Path | None, period: str | None) -> Office:
    from headend.app import open_site
    from headend.office import office_of
    from headend.reads.days import Period as Days

    site = open_site(config)
    if period is not None:
        Days.month(period, site.settings.site.zone)
    return office_of(site)


def _say(cycle: BillCycle) -> None:
    totals = cycle.totals
    elsewhere = f", {totals.billed_elsewhere} billed in another cycle" if totals.billed_elsewhere else ""
    typer.echo(
        f"cycle {cycle.id} is {cycle.state}: {totals.accounts} accounts = {totals.billed} billed"
        f" + {totals.excepted} excepted{elsewhere}; {_money(totals.money) or 'no money'}"
    )


def _money(money: dict[str, Decimal]) -> str:
    return ", ".join(f"{amount:,} {currency}" for currency, amount in sorted(money.items()))


def _cycles(cycles: list[BillCycle]) -> Table:
    table = Table("period", "cycle", "state", "accounts", "billed", "excepted", "money", "changed (UTC)", "by")
    for cycle in cycles:
        totals = cycle.totals
        table.add_row(
            cycle.period,
            cycle.name,
            cycle.state,
            *(str(count) for count in (totals.accounts, totals.billed, totals.excepted)),
            _money(totals.money),
            f"{cycle.changed_at:%Y-%m-%d %H:%M}",
            cycle.changed_by,
        )
    return table


def _show(ledger: SqlLedger, cycle: BillCycle) -> None:
    from headend.billing.metered import units
    from headend.billing.statement import parse_statement
    from headend.store.rebills import rebills
    from headend.tariffs.format.schema import UNIT_OF

    console = Console(markup=False, emoji=False)
    console.print(_cycles([cycle]))
    for commodity, energy in sorted(cycle.totals.energy.items()):
        console.print(f"{commodity}: {units(energy):,} {UNIT_OF[commodity]} billed")
    statements = Table(_whole("statement"), "account", "customer", "net", "tax", "gross", "estimated", "state")
    for kept in ledger.statements(cycle):
        made = parse_statement(kept.document)
        totals = made.totals
        estimated = sum(segment.estimated_intervals for segment in made.segments)
        money = (f"{amount:,} {totals.currency}" for amount in (totals.net, totals.tax, totals.gross))
        statements.add_row(kept.id, kept.account, made.customer.name, *money, str(estimated), kept.state)
    console.print(statements)
    exceptions = Table(_whole("not billed"), _whole("why"), "detail")
    for each in ledger.exceptions(cycle):
        exceptions.add_row(each.account, each.code, each.detail)
    if exceptions.row_count:
        console.print(exceptions)
    if flags := rebills(ledger.tx, cycle=cycle.id):
        console.print(_flags(flags))


def _whole(head: str) -> Column:
    """A column of names that somebody has to copy: never cut, however narrow the terminal."""
    return Column(head, no_wrap=True, overflow="fold")


def _flags(flags: list[RebillFlag]) -> Table:
    """What has changed under statements that stay as they are."""
    from headend.billing.metered import units
    from headend.reads.days import moment

    table = Table(
        _whole("reads changed since"), "account", "meter", "channel", "from (UTC)", "to (UTC)", "off by", "changed by"
    )
    for one in flags:
        table.add_row(
            one.statement,
            one.account,
            one.meter_name,
            one.channel.obis,
            *(f"{moment(at):%Y-%m-%d %H:%M}" for at in (one.first_s, one.end_s)),
            f"{units(one.change):+,} {one.channel.unit}",
            one.cause,
        )
    return table
