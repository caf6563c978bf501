"""`headend demo`: everything, with a simulated field, on one machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from headend.errors import InvalidInput


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
    store: Annotated[Literal["sqlite", "influx"], typer.Option(help="Which interval store.")] = "sqlite",
    influx_url: Annotated[str | None, typer.Option(help="Of an InfluxDB 2, such as http://127.0.0.1:8086.")] = None,
    influx_org: Annotated[str | None, typer.Option(help="Its organization.")] = None,
    influx_token: Annotated[
        str | None, typer.Option(help="May make buckets; better: HEADEND_INFLUX__TOKEN in the environment.")
    ] = None,
) -> None:
    """Simulated gateways publish two past months, they are validated and billed; then live reads follow."""
    from headend.demo.run import Demo

    server = None
    if store == "influx":
        from headend.demo.influx import InfluxServer

        server = InfluxServer(influx_url, influx_org, influx_token)
    elif influx_url or influx_org or influx_token:
        raise InvalidInput("demo", "an option of InfluxDB's", "--store influx with it")
    made = Demo(
        folder, live=not once, console=Console(), meters=meters, days=days, port=port, speed=speed, influx=server
    )
    if not asyncio.run(made.run()):
        raise typer.Exit(1)
