"""`headend demo`: everything, with a simulated field, on one machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="No pages, no live part: compare with the truth and end.")
    ] = False,
    folder: Annotated[Path, typer.Option("--dir", help="Where databases, statements and summary.json go.")] = Path(
        "demo-data"
    ),
    port: Annotated[int | None, typer.Option(help="Of the pages.", min=1, max=65_535)] = None,
    meters: Annotated[int | None, typer.Option(help="How many meters there are.", min=1, max=100_000)] = None,
    days: Annotated[
        int | None, typer.Option(help="Length of the history, ending with last month.", min=4, max=366)
    ] = None,
    speed: Annotated[float | None, typer.Option(help="Simulated seconds in a second, once live.", min=1)] = None,
) -> None:
    """Simulated gateways publish two past months, they are validated and billed; then live reads follow."""
    from headend.demo.run import Demo

    made = Demo(folder, live=not once, console=Console(), meters=meters, days=days, port=port, speed=speed)
    if not asyncio.run(made.run()):
        raise typer.Exit(1)
