"""`headend statement explain`: why a statement differs from another of its account."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from headend.cli.printed import plain_console
from headend.cli.serve import Config
from headend.errors import InvalidInput


def explain(
    statement: Annotated[str, typer.Argument(metavar="ID", help="Number of the statement, such as A-1001-2026-10-1.")],
    other: Annotated[
        str | None,
        typer.Option("--with", metavar="ID", help="Another statement of the account; default: the one before."),
    ] = None,
    last_year: Annotated[bool, typer.Option("--last-year", help="Compare with the same month of last year.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    config: Config = None,
) -> None:
    """Say why a statement differs from the one before: days, use, prices, tiers, taxes …, which add up to the cent."""
    from headend.app import open_site
    from headend.billing.explain import to_json
    from headend.billing.statement import parse_statement
    from headend.documents.explanation import explanation_view
    from headend.store.explaining import explained
    from headend.store.ledger import SqlLedger

    if other is not None and last_year:
        raise InvalidInput("--last-year", f"--with {other} too", "one of the two")
    with open_site(config).database.read() as tx:
        kept = SqlLedger(tx).statement(statement)
        found = explained(tx, kept, "last-year" if last_year else other or "before")
    if as_json:
        typer.echo(json.dumps(to_json(found), indent=2, ensure_ascii=False))
        return
    view = explanation_view(found, parse_statement(kept.document).customer.locale)
    table = Table(f"{found.statement} against {found.compared_with}", "", "")
    table.columns[1].justify = "right"
    for bar in view.bars:
        table.add_row(bar.label, bar.amount, " ".join(bar.why))
    console = plain_console(highlight=False)
    console.print(view.headline)
    console.print(table)
