"""The command line: `firmware-sim fleet` plays a fleet, `firmware-sim inventory` writes its shipment file."""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from firmware_sim.errors import InvalidInput, NobodyAcknowledges
from firmware_sim.firmware import read_key
from firmware_sim.fleet import Fleet, print_event
from firmware_sim.history import history
from firmware_sim.inventory import Shipment, make_shipment
from firmware_sim.link import parse_broker
from firmware_sim.meter import ORIGIN
from firmware_sim.modbus.command import modbus
from firmware_sim.options import check_zone, whole_hour, writable
from firmware_sim.plan import FaultPlan, read_plan
from firmware_sim.settings import Build, Patience, Schedule
from firmware_sim.tally import Tally
from firmware_sim.truth import TruthFile

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, help="A field of simulated meters and gateways."
)

Gateways = Annotated[int, typer.Option(help="How many gateways.")]
Meters = Annotated[int, typer.Option(help="How many meters behind them.")]
Heat = Annotated[int, typer.Option("--heat-meters", help="So many heat meters on top of them.")]
Seed = Annotated[int, typer.Option(help="Another seed, another fleet; the same seed, the same fleet to the Wh.")]


@app.command()
def inventory(
    gateways: Gateways,
    meters: Meters,
    seed: Seed = 1,
    heat: Heat = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else stdout.")] = None,
) -> None:
    """Write the manufacturer's shipment file of a fleet (JSON)."""
    text = json.dumps(make_shipment(gateways, meters, seed, heat).as_json(), indent=1) + "\n"
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput("--output", str(error), "a file that can be written") from error


@app.command()
def fleet(
    gateways: Gateways,
    meters: Meters,
    mqtt: Annotated[str, typer.Option(help="The broker: mqtt://[USER:PASSWORD@]HOST[:PORT].")],
    begin: Annotated[str, typer.Option("--from", help="First hour of the history (ISO 8601 with offset or Z).")],
    end: Annotated[str | None, typer.Option("--to", help="End; needed unless --live-from is given.")] = None,
    live_from: Annotated[str | None, typer.Option(help="Where history ends, and simulated time goes on.")] = None,
    speed: Annotated[float, typer.Option(help="Simulated seconds in a second of the live phase.")] = 1.0,
    faults: Annotated[Path | None, typer.Option(help="Fault plan (TOML).")] = None,
    truth: Annotated[Path | None, typer.Option(help="Write every measured interval here (CSV).")] = None,
    planted: Annotated[Path | None, typer.Option(help="Write what was planted here (JSON).")] = None,
    without: Annotated[list[str] | None, typer.Option(help="A meter that no gateway reads; may be repeated.")] = None,
    seed: Seed = 1,
    heat: Heat = 0,
    registers_from: Annotated[
        str | None, typer.Option(help="Registers count from here; else from 1 January 2026.")
    ] = None,
    flash_messages: Annotated[int, typer.Option(min=1, help="Messages a gateway keeps at most.")] = 20_000,
    memory_days: Annotated[int, typer.Option(min=1, help="Days a meter keeps an interval.")] = 45,
    telemetry_hours: Annotated[
        int, typer.Option(min=0, help="Hours between two telemetry values of a gateway or meter; 0: none.")
    ] = 0,
    firmware_key: Annotated[
        Path | None, typer.Option(help="Public key firmware is checked with (PEM, Ed25519).")
    ] = None,
    timezone: Annotated[str, typer.Option(help="Where the homes stand (IANA name).")] = "Europe/Berlin",
    protocol: Annotated[str, typer.Option(help="MQTT version: 3.1.1 or 5.")] = "3.1.1",
    epoch: Annotated[str | None, typer.Option(help="Counters start anew, as after a lost flash: a new name.")] = None,
    resend_after: Annotated[float, typer.Option(help="Send again after this silence [s].")] = 30.0,
    patience: Annotated[float, typer.Option(help="Give up after this silence [s].")] = 120.0,
    progress: Annotated[bool, typer.Option("--progress", help="Print events as JSON lines.")] = False,
) -> None:
    """Play a fleet over MQTT; ends when everything is acknowledged."""
    schedule = _schedule(begin, end, live_from, speed)
    broker = parse_broker(mqtt, protocol)
    plan = read_plan(faults) if faults else FaultPlan()
    shipment = _without(make_shipment(gateways, meters, seed, heat), without or ())
    check_zone(timezone)
    if epoch is not None and not 1 <= len(epoch) <= 32:
        raise InvalidInput("--epoch", repr(epoch), "1 to 32 characters")
    build = Build(
        seed,
        timezone,
        epoch,
        flash_messages,
        memory_days,
        ORIGIN if registers_from is None else whole_hour("--registers-from", registers_from),
        read_key(firmware_key) if firmware_key else None,
        telemetry_hours,
    )
    tally = Tally(facts=None if planted is None else {})
    with ExitStack() as files:
        record = files.enter_context(writable(planted, "--planted")) if planted else None
        field = Fleet(
            shipment,
            broker,
            schedule,
            plan,
            build,
            Patience(resend_after, patience),
            truth=TruthFile(files.enter_context(writable(truth)) if truth else None),
            tally=tally,
            report=print_event if progress else _nothing,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: field.stop())
        _as_many_files_as_allowed()
        try:
            field.run()
        finally:
            if record is not None:
                tally.write_facts(record)
    if not progress:
        print(json.dumps(tally.totals()))


app.command()(modbus)
app.command()(history)


def _without(shipment: Shipment, names: Collection[str]) -> Shipment:
    left = tuple(spec for spec in shipment.meters if spec.meter not in names)
    if len(left) + len(set(names)) != len(shipment.meters):
        unknown = min(set(names) - {spec.meter for spec in shipment.meters})
        raise InvalidInput("--without", unknown, "a meter of the fleet")
    return Shipment(shipment.gateways, left)


def _as_many_files_as_allowed() -> None:
    """A gateway is a socket; the limit most systems start with is 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _nothing(_event: dict[str, Any]) -> None:
    """Events that nobody asked for."""


def _schedule(begin: str, end: str | None, live_from: str | None, speed: float) -> Schedule:
    first = whole_hour("--from", begin)
    last = None if end is None else whole_hour("--to", end)
    live = last if live_from is None else whole_hour("--live-from", live_from)
    if live is None:
        raise InvalidInput("--to", "nothing", "a time, or --live-from")
    if live < first or (live_from is None and live == first):
        raise InvalidInput("--live-from" if live_from else "--to", str(live_from or end), "a time after --from")
    if last is not None and last < live:
        raise InvalidInput("--to", str(end), "a time after --live-from")
    if speed <= 0:
        raise InvalidInput("--speed", f"{speed:g}", "a number above 0")
    return Schedule(first, live, last, speed, simulated=live_from is not None)


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 nobody acknowledged, 2 wrong input."""
    try:
        sys.exit(app(standalone_mode=False))
    except typer.TyperException as error:
        _fail(2, error.format_message())
    except InvalidInput as error:
        _fail(2, str(error))
    except NobodyAcknowledges as error:
        _fail(1, str(error))


def _fail(code: int, line: str) -> None:
    print(f"firmware-sim: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(code)
