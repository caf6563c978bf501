"""`headend ledger`: the books. What is owed, what was paid, who is late; out to the ERP."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer
from rich.console import Console
from rich.table import Column, Table

from headend.cli.options import By
from headend.cli.prices import lines_of
from headend.cli.printed import counted, plain_console
from headend.cli.serve import Config
from headend.errors import InvalidInput

if TYPE_CHECKING:
    from headend.billing.books.bankfile import Payment
    from headend.billing.books.position import Position

app = typer.Typer(help="The books: what is owed, what was paid, who is late.", no_args_is_help=True)

AccountId: TypeAlias = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The customer's account.")]
Amount: TypeAlias = Annotated[str, typer.Argument(metavar="AMOUNT", help="Such as 87.20.")]
Currency: TypeAlias = Annotated[str, typer.Option("--currency", metavar="EUR", help="ISO 4217.")]
Reference: TypeAlias = Annotated[
    str, typer.Option("--reference", metavar="R", help="The bank's; no two have the same.")
]
Day: TypeAlias = Annotated[str, typer.Option("--date", metavar="DATE", help="Day of value; default: today.")]
Reason: TypeAlias = Annotated[str, typer.Option("--reason", metavar="TEXT", help="A few words why.")]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")]


@app.command()
def post(by: By, config: Config = None) -> None:
    """Book issued statements that have no entry: those from before there were books. As often as you like."""
    from headend.app import open_site
    from headend.errors import checked_name
    from headend.store.books import book_missing

    checked_name(by)
    site, booked = open_site(config), 0
    while True:
        with site.database.write() as tx:
            now = book_missing(tx, site.clock(), by)
        if not now:
            break
        booked += now
    typer.echo(f"{booked} statements booked")


@app.command()
def payment(
    account: AccountId,
    amount: Amount,
    currency: Currency,
    reference: Reference,
    by: By,
    on: Day = "",
    statement: Annotated[str, typer.Option("--statement", metavar="ID", help="Which is to be paid first.")] = "",
    config: Config = None,
) -> None:
    """Book a payment: what was due first is paid first, what is beyond that is prepaid."""
    from headend.app import open_site
    from headend.process.bookkeeping import pay

    site = open_site(config)
    paid = pay(site, [_payment(account, amount, currency, reference, on, statement)], by)
    typer.echo("booked" if paid.new else "booked already: nothing was changed")


def _payment(account: str, amount: str, currency: str, reference: str, on: str, statement: str = "") -> Payment:
    from headend.billing.books.bankfile import payment_of

    told = {"amount": amount, "currency": currency, "reference": reference, "on": on}
    return payment_of("payment", account=account, statement=statement, **told)


@app.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV: account and/or statement, amount, currency, date, reference.")
    ],
    by: By,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Book a file of payments, as a whole or not at all; what is booked already, just so, is left out."""
    from headend.app import open_site
    from headend.billing.books.bankfile import read_payments
    from headend.billing.books.entries import major
    from headend.process.bookkeeping import pay

    payments = read_payments(lines_of(file), str(file))
    paid = pay(open_site(config), payments, by, dry_run=dry_run)
    sums: dict[str, int] = {}
    for draft in paid.new:
        sums[draft.currency] = sums.get(draft.currency, 0) - draft.change
    money = ", ".join(f"{major(amount, currency):,} {currency}" for currency, amount in sorted(sums.items()))
    would = "would be booked" if dry_run else "booked"
    typer.echo(
        f"{counted(len(paid.new), 'payment')} {would}{f' ({money})' if money else ''}, {paid.same} there already"
    )


@app.command()
def refund(
    account: AccountId,
    amount: Amount,
    currency: Currency,
    reference: Reference,
    by: By,
    on: Day = "",
    config: Config = None,
) -> None:
    """Book that prepaid money was paid out."""
    from headend.app import open_site
    from headend.process.bookkeeping import refund as pay_out

    entry = pay_out(open_site(config), _payment(account, amount, currency, reference, on), by)
    typer.echo(f"booked as entry {entry.number}")


@app.command()
def reverse(
    entry: Annotated[int, typer.Argument(metavar="ENTRY", min=1, max=2**63 - 1, help="Number of the entry.")],
    reason: Reason,
    by: By,
    config: Config = None,
) -> None:
    """Take back a payment, refund, fee or write-off by an entry of its own."""
    from headend.app import open_site
    from headend.process.bookkeeping import reverse as take_back

    made = take_back(open_site(config), entry, reason, by)
    typer.echo(f"booked as entry {made.number}: {made.text}")


@app.command("write-off")
def write_off(
    statement: Annotated[str, typer.Argument(metavar="ID", help="Number of the statement.")],
    reason: Reason,
    by: By,
    config: Config = None,
) -> None:
    """Give up what is open of a statement."""
    from headend.app import open_site
    from headend.billing.books.entries import major
    from headend.process.bookkeeping import write_off as give_up

    made = give_up(open_site(config), statement, reason, by)
    typer.echo(f"booked as entry {made.number}: {major(-made.change, made.currency):,} {made.currency} written off")


@app.command()
def fees(
    period: Annotated[str, typer.Option("--period", metavar="YYYY-MM", help="A month that is over.")],
    by: By,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Charge a month's late fees by the rules of the configuration, each once."""
    from headend.app import open_site
    from headend.billing.books.entries import major
    from headend.process.bookkeeping import charge_late_fees

    charged = charge_late_fees(open_site(config), period, by, dry_run=dry_run)
    table = Table("account", "for", Column("fee", justify="right"))
    for draft in charged:
        table.add_row(draft.account, draft.text, f"{major(draft.change, draft.currency):,} {draft.currency}")
    if charged:
        plain_console().print(table)
    typer.echo(f"{len(charged)} late fees {'would be' if dry_run else 'are'} charged for {period}")


@app.command()
def dunning(by: By, dry_run: DryRun = False, config: Config = None) -> None:
    """Every account that is overdue and its stage; notes the stages that are reached, each once."""
    from headend.app import open_site
    from headend.billing.books.entries import major
    from headend.process.bookkeeping import remind

    found = remind(open_site(config), by, dry_run=dry_run)
    table = Table("account", "statement", Column("open", justify="right"), "overdue", "stage", "")
    noted = 0
    for one in found:
        new = {each.item.entry.reference for each in one.due}
        noted += len(new)
        for each in one.reminders:
            name = each.item.entry.reference
            table.add_row(
                one.standing.account,
                name,
                f"{major(each.item.open, each.currency):,} {each.currency}",
                f"{each.days} days",
                each.stage.name if each.stage else "",
                "new" if name in new else "",
            )
    if found:
        plain_console().print(table)
    late = f"{counted(len(found), 'account')} {'is' if len(found) == 1 else 'are'} overdue"
    done = "would be" if dry_run else "is" if noted == 1 else "are"
    typer.echo(f"{late}; {counted(noted, 'stage')} {done} noted")


@app.command()
def show(
    account: AccountId,
    as_of: Annotated[str, typer.Option("--as-of", metavar="DATE", help="Default: today.")] = "",
    config: Config = None,
) -> None:
    """An account's entries, open items and balance at the end of a day."""
    from headend.app import open_site
    from headend.billing.books.bankfile import day_of
    from headend.billing.books.entries import major
    from headend.billing.books.position import positions
    from headend.process.bookkeeping import today
    from headend.registry.registry import account_named
    from headend.store.books import entries_of

    site = open_site(config)
    day = day_of("--as-of", as_of) or today(site)
    with site.database.read() as tx:
        account_named(tx, account)
        entries = entries_of(tx, [account], day)
    console = plain_console()
    if not entries:
        console.print(f"Nothing is booked for account {account} up to {day}.")
        return
    right = [Column(name, justify="right") for name in ("change", "balance")]
    table = Table("entry", "date", "what", *right, "", "due", "by")
    for entry in entries:
        money = (f"{major(amount, entry.currency):,}" for amount in (entry.change, entry.balance))
        due = str(entry.due_on or "")
        table.add_row(str(entry.number), str(entry.booked_on), entry.text, *money, entry.currency, due, entry.booked_by)
    console.print(table)
    for standing in positions(entries, day):
        _say_position(console, standing)


def _say_position(console: Console, standing: Position) -> None:
    from headend.billing.books.entries import major

    def money(amount: int) -> str:
        return f"{major(amount, standing.currency):,} {standing.currency}"

    console.print(
        f"{standing.day}: balance {money(standing.balance)}, overdue {money(standing.overdue)},"
        f" prepaid {money(standing.prepaid)}"
    )
    for item in standing.open_items:
        late = item.overdue_days(standing.day)
        due = f"due {item.entry.due_on}" + (f", {late} days overdue" if late else "")
        console.print(f"  open: {item.entry.text}, {money(item.open)} of {money(item.entry.change)}, {due}")


@app.command()
def export(
    from_: Annotated[str, typer.Option("--from", metavar="DATE", help="First day.")],
    to: Annotated[str, typer.Option("--to", metavar="DATE", help="Last day.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File to write.")],
    format_: Annotated[Literal["csv", "beancount"], typer.Option("--format")] = "csv",
    config: Config = None,
) -> None:
    """Write the journal of some days for the ERP."""
    from headend.app import open_site
    from headend.exports.books import FORMATS
    from headend.store.books import journal

    first, last = _day("--from", from_), _day("--to", to)
    if last < first:
        raise InvalidInput("--to", to, f"no day before {from_}")
    if not output.name or output.is_dir() or not output.parent.is_dir():
        raise InvalidInput("--output", str(output), "a file in a folder that is there")
    site = open_site(config)
    part = output.with_name(f"{output.name}.part")
    try:
        with site.database.read() as tx, part.open("w", encoding="utf-8", newline="") as file:
            file.writelines(FORMATS[format_](journal(tx, first, last)))
        part.replace(output)
    except OSError as error:
        raise InvalidInput("--output", f"{output} ({error.strerror})", "a file that can be written") from None
    finally:
        part.unlink(missing_ok=True)
    typer.echo(str(output))


def _day(option: str, text: str) -> date:
    from headend.billing.books.bankfile import day_of

    day = day_of(option, text)
    if day is None:
        raise InvalidInput(option, "nothing", "a day such as 2026-11-17")
    return day


@app.command()
def verify(config: Config = None) -> None:
    """Walk the whole chain; exit 1 at the first entry that is not as it was booked, or statement that is not booked."""
    from headend.app import open_site
    from headend.store.books import verify as walk

    with open_site(config).database.read() as tx:
        typer.echo(f"{walk(tx)} entries are as they were booked, and balance")
