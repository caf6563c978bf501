"""`headend journal` and `headend db`: care of what everything rests on."""

from __future__ import annotations

import typer

from headend.cli.serve import Config

app = typer.Typer(help="The journal of everything that arrived.", no_args_is_help=True)
database = typer.Typer(help="The databases.", no_args_is_help=True)


@app.command()
def verify(config: Config = None) -> None:
    """Walk the hash chain; exit 1 at the first entry that was altered, lost or moved."""
    from headend.app import open_site

    count = open_site(config).journal.verify()
    typer.echo(f"journal: {count} entries, chain unbroken")


@database.command()
def upgrade(config: Config = None) -> None:
    """Bring both databases to the newest schema."""
    from headend.app import open_site

    site = open_site(config)
    typer.echo(f"up to date: {site.settings.site_url}, {site.settings.journal_url}")
