"""What single meters measured, as files: a history as an earlier system hands it over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from firmware_sim.clock import stamp
from firmware_sim.errors import InvalidInput
from firmware_sim.inventory import make_shipment
from firmware_sim.meter import Meter
from firmware_sim.options import check_zone, whole_hour, writable
from firmware_sim.truth import TruthFile


def history(
    gateways: Annotated[int, typer.Option(help="Gateways of the fleet.")],
    meters: Annotated[int, typer.Option(help="Meters of that fleet.")],
    meter: Annotated[list[str], typer.Option(help="A meter of the fleet; may be repeated.")],
    begin: Annotated[str, typer.Option("--from", help="First hour (ISO 8601 with offset or Z).")],
    end: Annotated[str, typer.Option("--to", help="End.")],
    reads: Annotated[Path, typer.Option(help="Write the intervals here (CSV).")],
    registers: Annotated[Path, typer.Option(help="Write the registers at the end here (CSV).")],
    seed: Annotated[int, typer.Option(help="Seed of that fleet.")] = 1,
    timezone: Annotated[str, typer.Option(help="Where the homes stand (IANA name).")] = "Europe/Berlin",
) -> None:
    """Write what meters of a fleet measured, and what their registers read at the end."""
    first, last = whole_hour("--from", begin), whole_hour("--to", end)
    if last <= first:
        raise InvalidInput("--to", end, "a time after --from")
    check_zone(timezone)
    specs = {spec.meter: spec for spec in make_shipment(gateways, meters, seed).meters}
    if unknown := [name for name in meter if name not in specs]:
        raise InvalidInput("--meter", unknown[0], "a meter of the fleet")
    with writable(reads, "--reads") as intervals, writable(registers, "--registers") as totals:
        truth = TruthFile(intervals)
        totals.write("meter,channel,at,register\n")
        for name in meter:
            measured = Meter(specs[name], seed, timezone).measure(first, last)
            truth.write(measured)
            for channel in measured:
                totals.write(f"{name},{channel.channel.channel},{stamp(last)},{channel.registers[-1]}\n")
