"""The command line: `firmware-sim fleet` plays a fleet, `firmware-sim inventory` writes its shipment file."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from firmware_sim.clock import hour_of
from firmware_sim.errors import InvalidInput, NobodyAcknowledges
from firmware_sim.faults import FaultPlan, read_plan
from firmware_sim.fleet import Fleet, Patience, Schedule, print_event
from firmware_sim.inventory import make_shipment
from firmware_sim.link import parse_broker
from firmware_sim.modbus.command import modbus
from firmware_sim.truth import TruthFile

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, help="A field of simulated meters and gateways."
)

Gateways = Annotated[int, typer.Option(help="How many gateways.")]
Meters = Annotated[int, typer.Option(help="How many meters behind them.")]
Seed = Annotated[int, typer.Option(help="Another seed, another fleet; the same seed, the same fleet to the Wh.")]


@app.command()
def inventory(
    gateways: Gateways,
    meters: Meters,
    seed: Seed = 1,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else stdout.")] = None,
) -> None:
    """Write the manufacturer's shipment file of a fleet (JSON)."""
    text = json.dumps(make_shipment(gateways, meters, seed).as_json(), indent=1) + "\n"
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
    live_from: Annotated[str | None, typer.Option(help="Where history ends and live hours begin.")] = None,
    speed: Annotated[float, typer.Option(help="Simulated seconds in a second of the live phase.")] = 1.0,
    faults: Annotated[Path | None, typer.Option(help="Fault plan (TOML).")] = None,
    truth: Annotated[Path | None, typer.Option(help="Write every measured interval here (CSV).")] = None,
    seed: Seed = 1,
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
    shipment = make_shipment(gateways, meters, seed)
    _check_zone(timezone)
    if epoch is not None and not 1 <= len(epoch) <= 32:
        raise InvalidInput("--epoch", repr(epoch), "1 to 32 characters")
    with ExitStack() as files:
        field = Fleet(
            shipment,
            broker,
            schedule,
            plan,
            TruthFile(files.enter_context(_writable(truth)) if truth else None),
            seed=seed,
            zone=timezone,
            patience=Patience(resend_after, patience),
            epoch=epoch,
            report=print_event if progress else _nothing,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: field.stop())
        field.run()
    if not progress:
        print(json.dumps(field.totals()))


app.command()(modbus)


def _nothing(_event: dict[str, Any]) -> None:
    """Events that nobody asked for."""


def _writable(path: Path) -> Any:
    try:
        return path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise InvalidInput("--truth", str(error), "a file that can be written") from error


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput("--timezone", name, "an IANA name such as Europe/Berlin") from error


def _hour(option: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(option, text, "an ISO 8601 time such as 2026-01-05T00:00:00Z") from error
    if moment.tzinfo is None:
        raise InvalidInput(option, text, "an offset or Z at its end")
    moment = moment.astimezone(UTC)
    if moment.minute or moment.second or moment.microsecond:
        raise InvalidInput(option, text, "a whole hour")
    return hour_of(moment)


def _schedule(begin: str, end: str | None, live_from: str | None, speed: float) -> Schedule:
    first = _hour("--from", begin)
    last = None if end is None else _hour("--to", end)
    live = last if live_from is None else _hour("--live-from", live_from)
    if live is None:
        raise InvalidInput("--to", "nothing", "a time, or --live-from")
    if live < first or (live_from is None and live == first):
        raise InvalidInput("--live-from" if live_from else "--to", str(live_from or end), "a time after --from")
    if last is not None and last < live:
        raise InvalidInput("--to", str(end), "a time after --live-from")
    if speed <= 0:
        raise InvalidInput("--speed", f"{speed:g}", "a number above 0")
    return Schedule(first, live, last, speed)


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
