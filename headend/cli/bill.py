"""`headend bill`: the clerk's month."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from headend.billing.groups import MONTHLY
from headend.cli.accrued import accrued
from headend.cli.office import open_office
from headend.cli.options import By
from headend.cli.printed import amount, counted, plain_console, whole
from headend.cli.rebill import cancel, rebill, withdraw
from headend.cli.serve import Config
from headend.cli.whatif import what_if

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headend.billing.cycle import BillCycle, CycleScope
    from headend.billing.partitions import Executor
    from headend.billing.ports import Office, Reviews
    from headend.billing.review import FindingCode, Queued
    from headend.store.ledger import SqlLedger
    from headend.store.rebills import RebillFlag

Word = TypeVar("Word", bound=StrEnum)

app = typer.Typer(help="The clerk's month: rate a cycle, review it, approve it, issue it.", no_args_is_help=True)
app.command("what-if")(what_if)
app.command("rebill")(rebill)
app.command("cancel")(cancel)
app.command("withdraw")(withdraw)
app.command("accrued")(accrued)

Period = Annotated[str, typer.Option("--period", metavar="YYYY-MM", help="The month that is billed.")]
Cycle = Annotated[str, typer.Option("--cycle", help="Name of the cycle.")]


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


Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the decision.")]
Code = Annotated[str | None, typer.Option("--code", help="Of this code alone: zero_use, high_use …")]
Account = Annotated[str | None, typer.Argument(metavar="[ACCOUNT]", help="Without it: all accounts, of one --code.")]
OneAccount = Annotated[str, typer.Argument(metavar="ACCOUNT")]
Group = Annotated[str | None, typer.Option("--group", help="Billing group of a new cycle.")]
Accounts = Annotated[list[str] | None, typer.Option("--account", help="A new cycle bills these alone; repeatable.")]
Final = Annotated[bool, typer.Option("--final", help="A new cycle bills who moved out, once their days are over.")]
Anyway = Annotated[str, typer.Option("--anyway", metavar="REASON", help="Though too few accounts have their reads.")]


@app.command()
def collect(
    period: Period,
    by: By,
    cycle: Cycle = MONTHLY,
    group: Group = None,
    account: Accounts = None,
    final: Final = False,
    anyway: Anyway = "",
    config: Config = None,
) -> None:
    """Look whether the reads of a cycle are there; what is rated without having been collected is so first."""
    from headend.billing.collecting import collect_cycle

    cycle, scope = _asked(cycle, group, account, final=final)
    collected, gathered = collect_cycle(open_office(config, period), period, cycle, by, scope, anyway=anyway)
    typer.echo(f"cycle {collected.id} is {collected.state}: {gathered}")


@app.command()
def run(
    period: Period,
    by: By,
    cycle: Cycle = MONTHLY,
    group: Group = None,
    account: Accounts = None,
    final: Final = False,
    anyway: Anyway = "",
    workers: Workers = None,
    dask: Scheduler = None,
    config: Config = None,
) -> None:
    """Rate every account with an agreement in the period; again as often as you like until it is approved.

    A run that was killed goes on where it stopped.
    """
    from headend.billing.run import rate_cycle
    from headend.cli.progress import progress

    cycle, scope = _asked(cycle, group, account, final=final)
    office = open_office(config, period)
    executor = _executor(office, config, workers, dask)
    with progress() as bar:
        rating = bar.add_task("rating", total=None)
        rated = rate_cycle(
            office,
            period,
            cycle,
            by,
            scope,
            executor=executor,
            progress=lambda done, of: bar.update(rating, completed=done, total=of),
            anyway=anyway,
        )
    _say(rated)


def _asked(cycle: str, group: str | None, accounts: list[str] | None, *, final: bool) -> tuple[str, CycleScope | None]:
    """Name of the cycle, a group's being the group's; and whom it bills if it is new, None where nothing is said."""
    from headend.billing.cycle import CycleScope
    from headend.errors import InvalidInput

    if (accounts or final) and cycle == MONTHLY:
        raise InvalidInput("--cycle", repr(cycle), "a name of its own for some accounts, or for final bills")
    if group is None and not accounts and not final:
        return cycle, None
    name = group if group is not None and cycle == MONTHLY else cycle
    return name, CycleScope(group or MONTHLY, tuple(sorted(set(accounts or ()))), final)


@app.command()
def findings(
    period: Period,
    cycle: Cycle = MONTHLY,
    code: Code = None,
    state: Annotated[
        str | None, typer.Option("--state", help="open, waiting, released or held; without it: not decided yet.")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="Of this account, whatever the state.")] = None,
    config: Config = None,
) -> None:
    """What looks wrong about drafts and has to be decided before approval; exit 1 while there is something."""
    from headend.billing.ports import known_cycle
    from headend.billing.review import UNDECIDED, FindingState

    office = open_office(config, period)
    asked, wanted = _word(state, "state", FindingState), _code(code)
    states = (asked,) if asked else () if account else UNDECIDED
    with office.database.read() as tx:
        found = known_cycle(office.ledger(tx), period, cycle)
        queue = office.reviews(tx).findings(found, code=wanted, states=states, account=account)
        undecided, _ = office.reviews(tx).undecided(found)
    console = plain_console()
    if queue:
        console.print(_queue(queue))
    told = "Every finding is decided." if not undecided else f"{undecided:,} to decide: bill release, hold or exclude."
    console.print(told)
    if undecided:
        raise typer.Exit(1)


@app.command()
def release(
    period: Period,
    reason: Reason,
    by: By,
    account: Account = None,
    cycle: Cycle = MONTHLY,
    code: Code = None,
    config: Config = None,
) -> None:
    """Bill as it is what was found of an account; above an amount a second person has to confirm it."""
    from headend.billing import deciding

    office = open_office(config, period)
    _told(deciding.release(office, period, cycle, by, deciding.Which(account, _code(code)), reason))


@app.command()
def hold(
    period: Period,
    reason: Reason,
    by: By,
    account: Account = None,
    cycle: Cycle = MONTHLY,
    code: Code = None,
    config: Config = None,
) -> None:
    """Bill an account later: with approval it becomes an exception, and another cycle bills it."""
    from headend.billing import deciding

    office = open_office(config, period)
    held = deciding.hold(office, period, cycle, by, deciding.Which(account, _code(code)), reason)
    _told(held)
    meters = _meters(office, period, cycle, {one.account for one in held})
    for whose, names in sorted(meters.items()):
        typer.echo(f"{whose}: its reads are those of {', '.join(names)} (headend exception list, exception ask)")


@app.command()
def confirm(
    period: Period, by: By, account: Account = None, cycle: Cycle = MONTHLY, code: Code = None, config: Config = None
) -> None:
    """As the second person, agree to what somebody else released."""
    from headend.billing import deciding

    _told(deciding.confirm(open_office(config, period), period, cycle, by, deciding.Which(account, _code(code))))


@app.command()
def reopen(
    period: Period,
    reason: Reason,
    by: By,
    account: Account = None,
    cycle: Cycle = MONTHLY,
    code: Code = None,
    config: Config = None,
) -> None:
    """Take a decision about a finding back, to decide anew."""
    from headend.billing import deciding

    office = open_office(config, period)
    _told(deciding.reopen(office, period, cycle, by, deciding.Which(account, _code(code)), reason))


@app.command()
def exclude(
    account: OneAccount, period: Period, reason: Reason, by: By, cycle: Cycle = MONTHLY, config: Config = None
) -> None:
    """Leave an account out of a cycle, and of the later ones of its period that do not name it."""
    from headend.billing import deciding

    left = deciding.exclude(open_office(config, period), period, cycle, account, by, reason)
    typer.echo(f"{account} is left out of cycle {left.id}")


@app.command()
def include(account: OneAccount, period: Period, by: By, cycle: Cycle = MONTHLY, config: Config = None) -> None:
    """Take an account in again that was left out; a rated cycle is to be rated again then."""
    from headend.billing import deciding

    taken = deciding.include(open_office(config, period), period, cycle, account, by)
    typer.echo(f"{account} is taken in again by cycle {taken.id}")


@app.command()
def approve(
    period: Period,
    by: By,
    cycle: Cycle = MONTHLY,
    workers: Workers = None,
    dask: Scheduler = None,
    config: Config = None,
) -> None:
    """Approve what is rated: from then on nothing in the cycle changes."""
    from headend.billing.approval import approve as approve_cycle

    office = open_office(config, period)
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
def issue(period: Period, by: By, cycle: Cycle = MONTHLY, config: Config = None) -> None:
    """Issue what is approved: statements are dated, due and final."""
    from headend.billing.approval import issue as issue_cycle

    _say(issue_cycle(open_office(config, period), period, cycle, by))


@app.command()
def close(period: Period, by: By, cycle: Cycle = MONTHLY, config: Config = None) -> None:
    """Nothing is left to do in an issued cycle: each exception is billed in another, or excluded with a reason."""
    from headend.billing.approval import close as close_cycle

    _say(close_cycle(open_office(config, period), period, cycle, by))


@app.command()
def review(
    by: By,
    period: Annotated[str | None, typer.Option("--period", metavar="YYYY-MM", help="Without it: all cycles.")] = None,
    cycle: Cycle = MONTHLY,
    done: Annotated[
        bool, typer.Option("--done", help="Every finding is decided: take out what is held, for approval.")
    ] = False,
    config: Config = None,
) -> None:
    """All cycles, or one cycle's steps, totals, findings, statements and exceptions; exit 1 if they do not tie out."""
    from headend.billing.approval import review_cycle
    from headend.billing.cycle import tie_out
    from headend.billing.ports import known_cycle
    from headend.errors import InvalidInput
    from headend.store.ledger import SqlLedger

    office = open_office(config, period)
    if done:
        if period is None:
            raise InvalidInput("--period", "nothing", "the month whose review is done")
        _say(review_cycle(office, period, cycle, by))
        return
    with office.database.read() as tx:
        ledger = SqlLedger(tx)
        if period is None:
            plain_console().print(_cycles(ledger.cycles()))
            return
        found = known_cycle(ledger, period, cycle)
        _show(ledger, office.reviews(tx), found)
    tie_out(found.totals)


@app.command()
def flagged(
    statement: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Number of a statement; without it: every flagged one.")
    ] = None,
    config: Config = None,
) -> None:
    """Statements whose reads, prices or events have changed since they were made; of one, what it would be today."""
    from headend.billing.again import rated_again
    from headend.billing.statement import parse_statement
    from headend.store.ledger import SqlLedger
    from headend.store.rebills import rebills, rebills_of

    office = open_office(config)
    with office.database.read() as tx:
        kept = None if statement is None else SqlLedger(tx).statement(statement)
        flags = rebills(tx) if kept is None else rebills_of(tx, kept.id)
    console = plain_console()
    if flags:
        console.print(_flags(flags))
    else:
        console.print("No statement is flagged." if kept is None else f"Statement {kept.id} is not flagged.")
    if kept is not None:
        again = rated_again(office, parse_statement(kept.document))
        currency = again.made.currency
        made = f"{kept.id} says {amount(again.made.gross, currency)} {currency}"
        if again.now is None or again.difference is None:
            console.print(f"{made}; it cannot be rated now: {again.problem}")
        else:
            now, change = amount(again.now.gross, currency), amount(again.difference, currency, "+")
            console.print(f"{made}; by today's reads it would be {now}: {change}")


def _say(cycle: BillCycle) -> None:
    totals = cycle.totals
    elsewhere = f" + {totals.excluded} excluded" if totals.excluded else ""
    elsewhere += f", {totals.billed_elsewhere} billed in another cycle" if totals.billed_elsewhere else ""
    typer.echo(
        f"cycle {cycle.id} is {cycle.state}: {counted(totals.accounts, 'account')} = {totals.billed} billed"
        f" + {totals.excepted} excepted{elsewhere}; {_money(totals.money) or 'no money'}"
    )


def _money(money: dict[str, Decimal]) -> str:
    return ", ".join(f"{amount(its, currency)} {currency}" for currency, its in sorted(money.items()))


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


def _show(ledger: SqlLedger, reviews: Reviews, cycle: BillCycle) -> None:
    from headend.billing.metered import units
    from headend.billing.statement import parse_statement
    from headend.store.rebills import rebills
    from headend.tariffs.format.schema import UNIT_OF

    console = plain_console()
    console.print(_cycles([cycle]))
    _show_history(console, reviews, cycle)
    for commodity, energy in sorted(cycle.totals.energy.items()):
        console.print(f"{commodity}: {units(energy):,} {UNIT_OF[commodity]} billed")
    statements = Table(whole("statement"), "account", "customer", "net", "tax", "gross", "estimated", "state")
    for kept in ledger.statements(cycle):
        made = parse_statement(kept.document)
        totals = made.totals
        estimated = sum(segment.estimated_intervals for segment in made.segments)
        money = (f"{amount(its, totals.currency)} {totals.currency}" for its in (totals.net, totals.tax, totals.gross))
        statements.add_row(kept.id, kept.account, made.customer.name, *money, str(estimated), kept.state)
    console.print(statements)
    exceptions = Table(whole("not billed"), whole("why"), "detail")
    for each in ledger.exceptions(cycle):
        exceptions.add_row(each.account, each.code, each.detail)
    if exceptions.row_count:
        console.print(exceptions)
    if flags := rebills(ledger.tx, cycle=cycle.id):
        console.print(_flags(flags))


def _show_history(console: Console, reviews: Reviews, cycle: BillCycle) -> None:
    """Steps and decisions, findings by code and state, and who is left out."""
    history = Table(whole("step"), "when (UTC)", "by", "note")
    for taken in reviews.steps(cycle):
        history.add_row(taken.step, f"{taken.at:%Y-%m-%d %H:%M}", taken.by, taken.note)
    if history.row_count:
        console.print(history)
    counts = Table(whole("found"), "state", "accounts")
    for (code, state), count in sorted(reviews.count_findings(cycle).items()):
        counts.add_row(code, state, str(count))
    if counts.row_count:
        console.print(counts)
    excluded = Table(whole("left out"), "of", "by", "why")
    for one in reviews.excluded(cycle).values():
        excluded.add_row(one.account, one.cycle, one.by, one.reason)
    if excluded.row_count:
        console.print(excluded)


def _queue(queue: Sequence[Queued]) -> Table:
    table = Table(whole("account"), whole("code"), "found", "state", "by", "reason")
    for one in queue:
        by = " and ".join(name for name in (one.decided_by, one.confirmed_by) if name)
        table.add_row(one.account, one.code, one.detail, one.state, by, one.reason or "")
    return table


def _told(decided: Sequence[Queued]) -> None:
    for one in decided:
        waits = ": a second person has to confirm it" if one.state == "waiting" else ""
        typer.echo(f"{one.account}: {one.code} is {one.state}{waits}")


def _meters(office: Office, period: str, cycle: str, accounts: set[str]) -> dict[str, list[str]]:
    """The meters whose reads the drafts of some accounts rest on."""
    from headend.billing.statement import parse_statement

    with office.database.read() as tx:
        found = office.ledger(tx).cycle(cycle, period)
        drafts = [] if found is None else list(office.reviews(tx).drafts_of(found, accounts))
    return {
        kept.account: sorted({meter.meter for each in parse_statement(kept.document).segments for meter in each.meters})
        for kept in drafts
    }


def _code(text: str | None) -> FindingCode | None:
    from headend.billing.review import FindingCode

    return _word(text, "code", FindingCode)


def _word(text: str | None, what: str, words: type[Word]) -> Word | None:
    """One of an enumeration's words; raises `InvalidInput`."""
    from headend.errors import InvalidInput

    if text is None:
        return None
    try:
        return words(text)
    except ValueError:
        raise InvalidInput(what, repr(text), ", ".join(words)) from None


def _flags(flags: list[RebillFlag]) -> Table:
    """What has changed under statements that stay as they are."""
    from headend.billing.metered import units
    from headend.reads.days import moment

    table = Table(
        whole("changed since"), "account", "meter", "channel", "from (UTC)", "to (UTC)", "off by", "changed by"
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
