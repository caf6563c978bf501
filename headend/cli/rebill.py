"""`headend bill rebill`, `cancel` and `withdraw`: corrections of issued statements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from headend.cli.office import open_office
from headend.cli.options import By
from headend.cli.printed import amount, counted, plain_console, whole
from headend.cli.serve import Config
from headend.errors import few

if TYPE_CHECKING:
    from headend.billing.correctingmany import Summary
    from headend.billing.corrections import Way
    from headend.billing.ports import Office

Reason = Annotated[str, typer.Option("--reason", help="Why, as it will stand on the documents.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, and keep nothing.")]


def rebill(
    reason: Reason,
    by: By,
    statements: Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="Numbers of statements.")] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Numbers of statements, one a line.")
    ] = None,
    flagged: Annotated[
        bool, typer.Option("--flagged", help="All whose reads, prices or events have changed since.")
    ] = False,
    period: Annotated[
        str | None, typer.Option("--period", metavar="YYYY-MM", help="With --flagged: of this period alone.")
    ] = None,
    difference: Annotated[
        bool, typer.Option("--difference", help="One document of what is more or less, and no cancellation.")
    ] = False,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Correct issued statements: cancel them and bill again by today's reads and the tariff versions of then."""
    from headend.billing.corrections import Way
    from headend.errors import InvalidInput
    from headend.reads.days import Period, zone_named

    office = open_office(config)
    if flagged == bool(statements or from_file):
        raise InvalidInput("bill rebill", "both or nothing", "numbers of statements, or --flagged")
    if period is not None and not flagged:
        raise InvalidInput("--period", "no --flagged", "--flagged with it: a statement has its period in its number")
    if period is not None:
        Period.month(period, zone_named("UTC"))  # what is no month has no statement, flagged or not
    told = _told(office, from_file) if from_file else []
    ids = _flagged(office, period) if flagged else [*(statements or ()), *told]
    if flagged and not ids:
        typer.echo("No statement is flagged.")
        return
    _correct(office, ids, Way.DIFFERENCE if difference else Way.REBILL, reason, by, dry_run=dry_run)


def cancel(
    statements: Annotated[list[str], typer.Argument(metavar="ID…", help="Numbers of statements.")],
    reason: Reason,
    by: By,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Take issued statements back alone; a late cycle of the period can bill it again."""
    from headend.billing.corrections import Way

    _correct(open_office(config), statements, Way.CANCEL, reason, by, dry_run=dry_run)


def withdraw(
    period: Annotated[str, typer.Option("--period", metavar="YYYY-MM")],
    cycle: Annotated[str, typer.Option("--cycle", help="Name of the cycle, such as correction-1.")],
    by: By,
    config: Config = None,
) -> None:
    """Drop the drafts of corrections that are not approved."""
    from headend.billing.correcting import withdraw as withdraw_cycle

    dropped = withdraw_cycle(open_office(config), period, cycle, by)
    typer.echo(f"cycle {dropped.id} is withdrawn: its drafts are gone, and its statements stand as they did")


def _flagged(office: Office, period: str | None) -> list[str]:
    """Flagged statements that are issued, and in no correction yet."""
    from headend.store.corrections import flagged_for_correction

    with office.database.read() as tx:
        return flagged_for_correction(tx, period)


def _told(office: Office, file: Path) -> list[str]:
    """The numbers that a file has; raises `InvalidInput` for a line that is none."""
    from headend.errors import InvalidInput, why_unread

    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(str(file), why_unread(error), "a text file that can be read") from None
    found = {number: told for number, line in enumerate(lines, 1) if (told := line.partition("#")[0].strip())}
    if not found:
        raise InvalidInput(str(file), "no number", "numbers of statements, one a line")
    with office.database.read() as tx:
        known = office.corrections(tx).whereabouts(set(found.values()))
    for number, told in found.items():
        if told not in known:
            raise InvalidInput(f"{file}:{number}", repr(told[:80]), "the number of a statement that there is")
    return list(found.values())


def _correct(office: Office, ids: Sequence[str], way: Way, reason: str, by: str, *, dry_run: bool) -> None:
    from headend.billing.correctingmany import correct_many, foresee_many
    from headend.cli.progress import progress

    with progress() as bar:
        task = bar.add_task("Looking at statements" if dry_run else "Correcting statements")

        def told(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)

        if dry_run:
            summaries = foresee_many(office, ids, way, reason, progress=told)
        else:
            summaries = correct_many(office, ids, way, reason, by, progress=told)
    console = plain_console()
    for one in summaries:
        _show(console, one, dry_run=dry_run)
        if dry_run or not one.cycle:
            continue
        where = f"--period {one.period} --cycle {one.cycle}"
        console.print(f"drafts are in cycle {one.period}/{one.cycle}: headend bill approve {where}, then issue")
    if dry_run:
        console.print("nothing was kept: this was a dry run")


def _show(console: Console, one: Summary, *, dry_run: bool) -> None:
    table = Table(
        whole("statement"),
        "account",
        "said",
        "now",
        "difference",
        "written off",
        Column("touches", overflow="fold"),
        title=f"Corrections of {one.period}",
        title_justify="left",
    )
    for each in one.first:
        table.add_row(
            each.statement,
            each.account,
            amount(each.said, each.currency),
            f"{amount(each.now, each.currency)} {each.currency}",
            amount(each.difference, each.currency, "+"),
            amount(each.written_off, each.currency) if each.written_off else "",
            ", ".join(each.touches),
        )
    if one.first:
        console.print(table)
    if (more := one.count - len(one.first)) > 0:
        console.print(f"and {more:,} more")
    for currency, its in sorted(one.sums.items()):
        said, now, off = (amount(each, currency) for each in (its.said, its.now, its.written_off))
        change = amount(its.difference, currency, "+") + (f", {off} written off" if its.written_off else "")
        console.print(f"{counted(its.count, 'account')}: {said} → {now} {currency}, {change}")
    for refused in one.first_refused:
        console.print(f"not corrected: {refused.account} ({refused.code}): {refused.detail}")
    if (more := one.refused.total() - len(one.first_refused)) > 0:
        console.print(f"not corrected: {more:,} more")
    if one.same:
        console.print(f"comes out the same: {few(one.same)}")
    if one.settled:
        console.print(f"nothing to correct, flag {'would be settled' if dry_run else 'settled'}: {few(one.settled)}")
