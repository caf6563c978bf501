"""`headend exception`: what validation wants a person to look at, and what that person decides."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer
from rich.table import Column, Table

from headend.cli.options import By
from headend.cli.printed import plain_console
from headend.cli.serve import Config
from headend.errors import InvalidInput, why_unread

if TYPE_CHECKING:
    from decimal import Decimal

    from headend.preview import Preview
    from headend.process.editing import Decided, Decision
    from headend.reads.channels import Channel
    from headend.site import Site
    from headend.store.edits import Action
    from headend.store.exceptions import ReadException
    from headend.vee.byhand import Method
    from headend.web.exceptions_api import OneExceptionOut

app = typer.Typer(help="Exceptions: what a person has to look at, and what they decide.", no_args_is_help=True)

Number: TypeAlias = Annotated[int, typer.Argument(metavar="ID", min=0, max=2**63 - 1, help="The exception's number.")]
EditNumber: TypeAlias = Annotated[int, typer.Argument(metavar="EDIT", min=0, max=2**63 - 1, help="The edit's number.")]
Reason: TypeAlias = Annotated[str, typer.Option(metavar="R", help="One of the rule set's reasons.")]
Note: TypeAlias = Annotated[str, typer.Option(metavar="TEXT", help="For whoever looks at this in a year.")]
Part: TypeAlias = Annotated[str | None, typer.Option("--from", metavar="T", help="Where only a part of it is decided.")]
Until: TypeAlias = Annotated[str | None, typer.Option("--to", metavar="T", help="The end of that part.")]
OnlyTell: TypeAlias = Annotated[
    bool, typer.Option("--preview", help="Tell what would happen to reads and bills, and change nothing.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="For machines.")]

_ROWS_SHOWN = 400


@app.command("list")
def list_exceptions(
    config: Config = None,
    state: Annotated[Literal["undecided", "open", "waiting", "closed", "all"], typer.Option()] = "undecided",
    rule: Annotated[str | None, typer.Option(metavar="RULE", help="V1 to V13, an anomaly, or hand.")] = None,
    meter: Annotated[str | None, typer.Option(metavar="ID")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """What to look at first; of closed ones what changed last."""
    from headend.app import open_site
    from headend.store.exceptions import Choice, count, counts_by_rule, exceptions
    from headend.web.exceptions_api import ExceptionsOut, exception_out

    choice = Choice(state, rule, meter)
    site = open_site(config)
    with site.database.read() as tx:
        total, found = count(tx, choice), exceptions(tx, choice, limit)
        by_rule = counts_by_rule(tx, replace(choice, rule=None))
    if as_json:
        told = [exception_out(one) for one in found]
        typer.echo(ExceptionsOut(total=total, offset=0, by_rule=by_rule, exceptions=told).model_dump_json(indent=2))
        return
    table = Table("id", "score", "rule", "meter", "channel", "from (UTC)", "to (UTC)", "state", "detail")
    for one in found:
        row = (str(one.id), f"{one.score:.2f}", one.rule, one.meter_name, one.channel.obis)
        table.add_row(*row, _utc(one.start_s), _utc(one.end_s), _state(one), one.detail)
    plain_console(highlight=False).print(table)
    if total > len(found):
        typer.echo(f"{total - len(found)} more")


@app.command()
def show(number: Number, config: Config = None, as_json: AsJson = False) -> None:
    """One exception with its reads, what was found, and what was done."""
    from headend.app import open_site
    from headend.store.exceptions import exception_of
    from headend.web.exceptions_api import one_exception_out

    site = open_site(config)
    with site.database.read() as tx:
        one = exception_of(tx, number)
        told = one_exception_out(tx, site, one)
    if as_json:
        typer.echo(told.model_dump_json(indent=2))
    else:
        _show(one, told)


@app.command()
def accept(
    number: Number,
    reason: Reason,
    by: By,
    note: Note = "",
    from_: Part = None,
    to: Until = None,
    preview: OnlyTell = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """The values stand as they are, verified; this rule does not ask about them again."""
    _decide(config, number, "accept", by, reason, note, from_, to, preview, as_json)


@app.command()
def reject(
    number: Number,
    reason: Reason,
    by: By,
    note: Note = "",
    from_: Part = None,
    to: Until = None,
    preview: OnlyTell = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """The values are no good: validation estimates these intervals in its own order of methods."""
    _decide(config, number, "reject", by, reason, note, from_, to, preview, as_json)


@app.command()
def edit(
    number: Number,
    reason: Reason,
    by: By,
    values: Annotated[
        str | None, typer.Option(metavar="V,V,…", help="Whole units, one for each interval; empty: it stays as it is.")
    ] = None,
    values_file: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="The same, one a line.")
    ] = None,
    note: Note = "",
    from_: Part = None,
    to: Until = None,
    preview: OnlyTell = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Put other values there."""
    if values is not None and values_file is None:
        texts = values.split(",")
    elif values is None and values_file is not None:
        texts = _lines(values_file)
    else:
        raise InvalidInput("--values", "both" if values_file else "nothing", "either --values or --values-file")
    given = tuple(_value(text, place) for place, text in enumerate(texts, 1))
    _decide(config, number, "edit", by, reason, note, from_, to, preview, as_json, values=given)


@app.command()
def estimate(
    number: Number,
    reason: Reason,
    by: By,
    method: Annotated[
        Literal["register", "linear", "like_days", "class_profile", "average"], typer.Option(help="From what.")
    ],
    note: Note = "",
    from_: Part = None,
    to: Until = None,
    preview: OnlyTell = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Estimate these intervals by a method of your choice."""
    _decide(config, number, "estimate", by, reason, note, from_, to, preview, as_json, method=method)


@app.command()
def confirm(
    number: EditNumber, by: By, preview: OnlyTell = False, as_json: AsJson = False, config: Config = None
) -> None:
    """Do what somebody else asked for, and a single person may not do."""
    from headend.app import open_site
    from headend.preview import preview_again
    from headend.process.editing import confirm as confirm_edit

    site = open_site(config)
    if preview:
        _show_preview(site, preview_again(site, number), as_json)
    else:
        _say(confirm_edit(site, number, by), as_json)


@app.command()
def refuse(number: EditNumber, by: By, note: Note = "", config: Config = None) -> None:
    """Do not do what somebody asked for, or withdraw it: the exception is open again."""
    from headend.app import open_site
    from headend.process.editing import refuse as refuse_edit

    refuse_edit(open_site(config), number, by, note)
    typer.echo(f"edit {number} is refused: its exception is open again")


@app.command()
def ask(
    meter: Annotated[str, typer.Option(metavar="ID", help="The meter.")],
    channel: Annotated[str, typer.Option(metavar="OBIS", help="The channel.")],
    from_: Annotated[str, typer.Option("--from", metavar="T", help="ISO 8601 with Z or an offset.")],
    to: Annotated[str, typer.Option(metavar="T", help="The end.")],
    by: By,
    note: Note = "",
    config: Config = None,
) -> None:
    """Open an exception by hand, so that any intervals can be decided on; prints its number."""
    from headend.app import open_site
    from headend.process.editing import ask_to_look
    from headend.process.versions import moment_of

    start, end = moment_of(from_, "--from"), moment_of(to, "--to")
    typer.echo(ask_to_look(open_site(config), meter, channel, start, end, by, note))


def _decide(
    config: Path | None,
    number: int,
    action: Action,
    by: str,
    reason: str,
    note: str,
    from_: str | None,
    to: str | None,
    only_tell: bool,
    as_json: bool,
    *,
    method: Method | None = None,
    values: tuple[int | None, ...] | None = None,
) -> None:
    from headend.app import open_site
    from headend.preview import preview
    from headend.process.editing import Decision, decide

    start_s, end_s = _seconds(from_, "--from"), _seconds(to, "--to")
    wanted: Decision = Decision(number, action, by, reason, note, method, values, start_s, end_s)
    site = open_site(config)
    if only_tell:
        _show_preview(site, preview(site, wanted), as_json)
    else:
        _say(decide(site, wanted), as_json)


def _say(done: Decided, as_json: bool) -> None:
    from headend.web.exceptions_api import decided_out

    if as_json:
        typer.echo(decided_out(done).model_dump_json())
    elif done.state == "done":
        typer.echo(f"edit {done.edit} is done: the energy changed by {done.change:+,}")
    else:
        typer.echo(
            f"edit {done.edit} waits: it changes {done.change:+,}, which another person has to confirm"
            f" (headend exception confirm {done.edit})"
        )


def _show(one: ReadException, told: OneExceptionOut) -> None:
    console = plain_console(highlight=False)
    console.print(
        f"exception {one.id}: {told.meaning} ({one.rule}), {one.meter_name} {one.channel.obis},"
        f" {_utc(one.start_s)} to {_utc(one.end_s)} UTC, {_state(one)}"
    )
    holds = ", holds the bill" if one.holds_bill else ""
    console.print(f"{one.severity}: {one.detail} (rules {one.rule_set}, score {one.score:.2f}{holds})")
    values = Table("from (UTC)", Column(told.unit, justify="right"), "quality", "version")
    rows = enumerate(zip(told.values, told.quality, told.version, strict=True))
    for place, (value, quality, version) in islice(rows, _ROWS_SHOWN):
        at_s, label = one.start_s + place * told.interval_s, told.quality_labels[str(quality)]
        values.add_row(_utc(at_s), "" if value is None else f"{value:,}", label, str(version))
    console.print(values)
    if len(told.values) > _ROWS_SHOWN:
        console.print(f"{len(told.values) - _ROWS_SHOWN} more intervals")
    for found in told.findings:
        console.print(f"{found.start:%Y-%m-%d %H:%M} {found.rule} {found.severity}: {found.detail}")
    for each in told.edits:
        second = f", {each.second_by} {each.second:%Y-%m-%d %H:%M}" if each.second else ""
        note = f" “{each.note}”" if each.note else ""
        console.print(
            f"edit {each.id} {each.state}: {each.action}{f' by {each.method}' if each.method else ''},"
            f" {each.change:+,} {told.unit}, {each.reason}{note} ({each.made_by} {each.made:%Y-%m-%d %H:%M}{second})"
        )


def _show_preview(site: Site, shown: Preview, as_json: bool) -> None:
    from headend.reads.quality import Quality
    from headend.web.exceptions_api import preview_out

    if as_json:
        typer.echo(preview_out(shown).model_dump_json(indent=2))
        return
    console, unit = plain_console(highlight=False), _unit(shown.channel.channel)
    table = Table("from (UTC)", Column("before", justify="right"), "", Column("after", justify="right"), "")
    before, after = shown.days_before, shown.days_after
    rows = zip(before.shown, before.quality.tolist(), after.shown, after.quality.tolist(), strict=True)
    hidden = 0
    for place, (was, its, will, so) in enumerate(rows):
        if (was, its) == (will, so):
            continue
        if table.row_count == _ROWS_SHOWN:
            hidden += 1
            continue
        texts = ("" if value is None else f"{value:,}" for value in (was, will))
        old, new = texts
        table.add_row(_utc(before.start_s + place * shown.interval_s), old, Quality(its).label, new, Quality(so).label)
    console.print(table)
    if hidden:
        console.print(f"{hidden} more intervals")
    limit = f"{site.rules.editing.second_person_above:,} {unit}"
    second = f"; more than {limit}: another person has to confirm it" if shown.second_person else ""
    console.print(f"the energy would change by {shown.change:+,} {unit}{second}")
    for bill in shown.bills:
        running = ", which still runs" if bill.provisional else ""
        issued = f"; {bill.issued} is issued and would be flagged to be billed again" if bill.issued else ""
        console.print(
            f"{bill.account} {bill.period}{running}: {_money(bill.before)} before, {_money(bill.after)} after{issued}"
        )
        for when, why in (("before", bill.refused_before), ("after", bill.refused_after)):
            if why:
                console.print(f"  no bill {when}: {why}")
    console.print("nothing was changed")


def _money(total: object) -> str:
    amounts: dict[str, Decimal] = dict(total) if isinstance(total, dict) else {}
    return ", ".join(f"{amount:,} {currency}" for currency, amount in sorted(amounts.items())) or "no price"


def _state(one: ReadException) -> str:
    if one.outcome is not None:
        return f"{one.outcome} by {one.changed_by}"
    return "waits for a second person" if one.state == "waiting" else one.state


def _value(text: str, place: int) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise InvalidInput(f"value {place}", repr(text[:40]), "a whole number of units")
    return int(text)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(str(path), why_unread(error), "values, one a line") from None


def _seconds(text: str | None, where: str) -> int | None:
    from headend.process.versions import moment_of
    from headend.reads.days import seconds

    return None if text is None else seconds(moment_of(text, where))


def _unit(channel: Channel) -> str:
    from headend.web.words import unit_of

    return unit_of(channel).base


def _utc(at_s: int) -> str:
    from headend.reads.days import moment

    return f"{moment(at_s):%Y-%m-%d %H:%M}"
