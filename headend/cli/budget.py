"""`headend budget`: accounts that pay the same instalment each period, and once a year what it is off by."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer
from rich.table import Table

from headend.cli.options import By
from headend.cli.printed import plain_console
from headend.cli.serve import Config

app = typer.Typer(help="Budget plans: the same instalment each period, settled once a year.", no_args_is_help=True)

AccountId: TypeAlias = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The customer's account.")]
Since: TypeAlias = Annotated[str, typer.Option("--since", metavar="YYYY-MM", help="First billing period.")]


@app.command("set")
def begin(
    account: AccountId,
    instalment: Annotated[str, typer.Option("--instalment", metavar="AMOUNT", help="Each period, such as 85.00.")],
    currency: Annotated[str, typer.Option("--currency", metavar="EUR", help="ISO 4217.")],
    since: Since,
    by: By,
    settles_in: Annotated[
        int, typer.Option("--settles-in", metavar="MONTH", help="Month of the year whose bill settles the plan.")
    ] = 12,
    config: Config = None,
) -> None:
    """An account pays an instalment in place of its bills from a period on, or another instalment than before."""
    from headend.app import open_site
    from headend.billing.books.bankfile import amount_of
    from headend.billing.budgets import Plan
    from headend.process.budgeting import set_plan

    plan = Plan(since, amount_of("instalment", instalment), currency, settles_in)
    kept = set_plan(open_site(config), account, plan, by).plan
    typer.echo(
        f"account {account} pays {kept.instalment:,} {kept.currency} each period from {kept.since} on,"
        f" settled with the bill of month {kept.settles_in}"
    )


@app.command()
def end(account: AccountId, since: Since, by: By, config: Config = None) -> None:
    """A plan ends: the bill of the period settles it, and later ones are paid as they come."""
    from headend.app import open_site
    from headend.process.budgeting import begins_with, end_plan, plan_after

    site = open_site(config)
    unbegun = begins_with(site, account, since)
    ended = end_plan(site, account, since, by).plan.since
    if unbegun:
        typer.echo(f"account {account}: its plan, which was to begin with {ended}, does not begin")
        return
    settles = f"account {account}: the bill of {ended} settles its plan"
    if (later := plan_after(site, account, ended)) is None:
        typer.echo(f"{settles}, which has ended")
    else:
        pays = f"{later.instalment:,} {later.currency} each period from {later.since} on"
        typer.echo(f"{settles}; another one was set before and stays: {pays}")


@app.command()
def settle(account: AccountId, by: By, config: Config = None) -> None:
    """Book what is left of the plan of an account that gets no bill any more: it owes that, or is owed it."""
    from headend.app import open_site
    from headend.billing.books.entries import major
    from headend.process.budgeting import settle as settled

    for entry in settled(open_site(config), account, by):
        amount = f"{abs(major(entry.change, entry.currency)):,} {entry.currency}"
        said = f"owes {amount}, due {entry.due_on}" if entry.change > 0 else f"is owed {amount}"
        typer.echo(f"account {account} {said}: booked as entry {entry.number}, {entry.reference}")


@app.command()
def suggest(account: AccountId, config: Config = None) -> None:
    """What an instalment should be: a twelfth of a year by the bills of the last twelve periods, and how that comes."""
    from headend.app import open_site
    from headend.process.budgeting import YEAR
    from headend.process.budgeting import suggest as worked_out

    its = worked_out(open_site(config), account)
    typer.echo(
        f"{its.instalment:,} {its.currency}: a twelfth of {its.a_year:,} for {YEAR} days, rounded up; billed were"
        f" {its.billed:,} for {its.days} days of {its.first} to {its.last}"
    )


@app.command()
def show(
    account: Annotated[str | None, typer.Argument(metavar="[ACCOUNT]", help="Without it: all that have one.")] = None,
    config: Config = None,
) -> None:
    """Plans, what is billed and not asked for yet, and whose is to be settled because no bill follows."""
    from headend.app import open_site
    from headend.process.bookkeeping import today
    from headend.process.budgeting import get_no_bill
    from headend.registry.registry import account_named
    from headend.store.budgets import balances, plans

    site = open_site(config)
    with site.database.read() as tx:
        if account is not None:
            account_named(tx, account)
        found, carried = plans(tx, account), balances(tx, account)
        waiting = get_no_bill(tx, {whose for whose, _ in carried}, today(site))
    if not found:
        typer.echo("No account has a budget plan." if account is None else f"Account {account} has no budget plan.")
        return
    console = plain_console()
    table = Table("account", "since", "instalment", "settled with", "set (UTC)", "by")
    for kept in found:
        plan = kept.plan
        pays = "ended" if plan.has_ended else f"{plan.instalment:,} {plan.currency}"
        settled = plan.since if plan.has_ended else f"month {plan.settles_in}"
        table.add_row(kept.account, plan.since, pays, settled, f"{kept.added_at:%Y-%m-%d %H:%M}", kept.added_by)
    console.print(table)
    for (its, currency), balance in sorted(carried.items()):
        said = "billed and not asked for yet" if balance > 0 else "asked for and not billed yet"
        waits = f"; no bill follows: headend budget settle {its}" if its in waiting else ""
        console.print(f"{its}: {abs(balance):,} {currency} {said}{waits}", soft_wrap=True)
