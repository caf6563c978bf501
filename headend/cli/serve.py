"""`headend serve`: the service."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

Config = Annotated[
    Path | None, typer.Option("--config", help="Settings that differ from the shipped config/headend.toml.")
]


def serve(
    config: Config = None,
    role: Annotated[
        Literal["all", "collect", "process", "api", "jobs"],
        typer.Option(help="What this process does; several can share one site."),
    ] = "all",
) -> None:
    """Collect, process, serve pages and run jobs until SIGINT or SIGTERM."""
    from headend import app

    site = app.open_site(config)
    asyncio.run(app.serve(site, app.ROLES if role == "all" else (role,)))
