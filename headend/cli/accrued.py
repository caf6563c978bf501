"""`headend bill accrued`: what has been used and is not billed yet."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from headend.cli.printed import plain_console
from headend.cli.serve import Config

Update = Annotated[
    bool,
    typer.Option("--update", help="First rate every account whose reads have changed, or that was not rated today."),
]


def accrued(update: Update = False, config: Config = None) -> None:
    """What is not billed yet, by period and currency: the sum of what accounts cost so far."""
    from headend.app import open_site
    from headend.office import office_of
    from headend.process.accruing import update_accruals
    from headend.store.accruals import unbilled

    site = open_site(config)
    if update:
        updated = update_accruals(office_of(site), everybody=True)
        typer.echo(f"{updated.accruals} accruals updated")
        for account in updated.failed:
            typer.echo(f"account {account} failed; the log says why")
    with site.database.read() as tx:
        found = unbilled(tx)
    if not found:
        typer.echo("Nothing has accrued that is not billed.")
        return
    table = Table("period", "accounts", "accrued", "as of (UTC)")
    for one in found:
        table.add_row(one.period, f"{one.accounts:,}", f"{one.amount:,} {one.currency}", f"{one.oldest:%Y-%m-%d %H:%M}")
    plain_console().print(table)
