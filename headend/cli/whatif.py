"""`headend bill what-if`: a month of many accounts under another tariff version."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from headend.cli.printed import counted, plain_console
from headend.cli.serve import Config

if TYPE_CHECKING:
    from decimal import Decimal

    from headend.billing.whatif import Outcome, WhatIf


def what_if(
    tariff: Annotated[Path, typer.Option("--tariff", metavar="FILE", help="The other tariff version, TOML or JSON.")],
    period: Annotated[str, typer.Option("--period", metavar="YYYY-MM", help="A month that is over.")],
    from_tariff: Annotated[
        str | None, typer.Option("--from-tariff", metavar="ID", help="Only accounts that have this tariff.")
    ] = None,
    customer_class: Annotated[
        str | None, typer.Option("--class", metavar="CLASS", help="Only this class; default: those the tariff is for.")
    ] = None,
    account: Annotated[list[str] | None, typer.Option("--account", metavar="ID", help="Only these accounts.")] = None,
    prices: Annotated[
        list[str] | None,
        typer.Option("--prices", metavar="NAME=FILE", help="Published prices for it: CSV with start, price."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The list of accounts, CSV.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
    config: Config = None,
) -> None:
    """What a month would have cost under another tariff version, account by account; nothing is changed."""
    from headend.app import open_site
    from headend.billing.whatif import COLUMNS, Question, rows, to_json
    from headend.billing.whatif import what_if as asked
    from headend.cli.progress import progress
    from headend.cli.tariff import market_given, write_whole
    from headend.office import office_of
    from headend.reads.days import Period
    from headend.tariffs import load_tariff

    other = load_tariff(tariff)
    given = market_given(other, prices or [], [])
    site = open_site(config)
    Period.month(period, site.settings.site.zone)
    question = Question(other, period, from_tariff, customer_class, account or (), given.prices)
    with progress() as bar:
        task = bar.add_task("accounts", total=None)
        found = asked(office_of(site), question, lambda done, of: bar.update(task, completed=done, total=of))
    if output is not None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([COLUMNS, *rows(found)])
        write_whole(output, text.getvalue())
    if as_json:
        typer.echo(json.dumps(to_json(found), indent=2, ensure_ascii=False))
    else:
        _show(found)


def _show(found: WhatIf) -> None:
    console = plain_console(highlight=False)
    same = len(found.outcomes) - found.higher - found.lower
    console.print(
        f"{found.question.tariff.name} in {found.question.period}: {counted(len(found.outcomes), 'account')},"
        f" {found.higher} would pay more, {found.lower} less, {same} the same"
    )
    revenue = Table("revenue", "now", "then", "difference")
    for name in ("gross", "net"):
        now, then = found.total(f"{name}_now"), found.total(f"{name}_then")
        revenue.add_row(f"{name} {found.currency}", f"{now:,}", f"{then:,}", f"{then - now:+,}")
    console.print(revenue)
    spread = Table("percentile", *(f"{percent} %" for percent in found.changes))
    spread.add_row(found.currency, *(f"{value:+,}" for value in found.changes.values()))
    spread.add_row("percent", *(f"{value:+,}" for value in found.percents.values()))
    if found.outcomes:
        console.print(spread)
        console.print(_histogram(found))
    for title, some in (("would pay most more", found.losers), ("would pay most less", found.winners)):
        if some:
            console.print(_most(title, some))
    if found.unrated:
        unrated = Table("not rated", "why")
        for each in found.unrated[:_SHOWN]:
            unrated.add_row(each.account, each.reason)
        if len(found.unrated) > _SHOWN:
            unrated.add_row("…", f"and {len(found.unrated) - _SHOWN} more: --output lists them")
        console.print(unrated)


_SHOWN = 20
_BAR = 40


def _histogram(found: WhatIf) -> Table:
    table = Table(f"change, {found.currency}", "accounts", "")
    bins = found.histogram
    highest = max(each.accounts for each in bins)
    for each in bins:
        table.add_row(_span(each.low, each.high), str(each.accounts), "█" * -(-each.accounts * _BAR // highest))
    return table


def _span(low: Decimal | None, high: Decimal | None) -> str:
    if low is None:
        return f"below {high:+,}"
    return f"{low:+,} and more" if high is None else f"{low:+,} to {high:+,}"


def _most(title: str, some: list[Outcome]) -> Table:
    table = Table(title, "now", "then", "change", "percent")
    for each in some:
        percent = "" if each.percent is None else f"{each.percent:+,}"
        table.add_row(each.account, f"{each.gross_now:,}", f"{each.gross_then:,}", f"{each.change:+,}", percent)
    return table
