"""`headend quarantine`: messages that could not be used."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy import select

from headend.cli.printed import plain_console
from headend.cli.serve import Config

app = typer.Typer(help="Messages that could not be used, and why.", no_args_is_help=True)


@app.command("list")
def list_messages(config: Config = None, limit: Annotated[int, typer.Option(min=1)] = 50) -> None:
    """The newest messages in quarantine, with their reasons."""
    from headend.app import open_site
    from headend.monitor.quarantine import quarantined
    from headend.reads.days import moment

    site = open_site(config)
    table = Table("journal", "received (UTC)", "gateway", "reason")
    with site.database.read() as tx:
        for one in quarantined(tx, limit=limit):
            received = f"{moment(one.received_us // 1_000_000):%Y-%m-%d %H:%M:%S}"
            table.add_row(str(one.offset), received, one.gateway, one.reason)
    plain_console().print(table)


@app.command()
def retry(config: Config = None) -> None:
    """Process everything in quarantine again, say after meters were enrolled; exit 1 if something stays there."""
    from headend.app import open_site
    from headend.process import Intake
    from headend.store.tables import quarantine

    site = open_site(config)
    with site.database.read() as tx:
        offsets = sorted(set(tx.execute(select(quarantine.c.offset)).scalars()))
    left = Intake(site).retry(offsets) if offsets else 0
    typer.echo(f"{len(offsets)} messages tried again, {left} entries stay in quarantine")
    if left:
        raise typer.Exit(1)
