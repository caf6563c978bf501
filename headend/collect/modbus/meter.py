"""One meter, asked once: its wanted registers and its serial number over an open connection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from headend.collect.modbus.decode import Decoded, decode, decode_serial
from headend.collect.modbus.link import EXCEPTION, Link
from headend.collect.modbus.plan import Block, read_plan
from headend.collect.modbus.profile import Profile, SunSpec
from headend.collect.modbus.sunspec import Place, walk
from headend.errors import InvalidMessage
from headend.registry.devices import ModbusDevice


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter answered.

    Parameters
    ----------
    at
        when its registers had come.
    serial
        of the device; None where it does not say.
    place
        SunSpec: where the meter's model stands, to be looked at first the next time.
    """

    at: datetime
    decoded: Decoded
    serial: str | None
    place: Place | None


async def read_meter(
    link: Link, device: ModbusDevice, profile: Profile, clock: Callable[[], datetime], place: Place | None
) -> Reading:
    """Ask a meter for its channels; raises what `Link.ask` raises.

    Parameters
    ----------
    place
        SunSpec: what an earlier reading found; None walks the chain.
    """
    plan = read_plan(profile, device.channels)
    if profile.sunspec is not None and place is None:
        place = await _find(link, device.unit, profile.sunspec, plan)
    origin = place.address if place is not None else 0
    words: dict[tuple[int, int], int] = {}
    for block in plan:
        answer = await link.ask(device.unit, Block(block.function, origin + block.address, block.count))
        words.update({(block.function, block.address + offset): word for offset, word in enumerate(answer)})
    at = clock()
    if place is not None and (words[3, 0], words[3, 1]) != (place.model, place.length):
        found = f"model {words[3, 0]} of {words[3, 1]} registers at {origin}"
        raise InvalidMessage("SunSpec", found, f"model {place.model} as before", fault="no such model")
    serial = await _serial(link, device.unit, profile, place)
    return Reading(at, decode(profile, words, device.channels), serial, place)


async def _find(link: Link, unit: int, sunspec: SunSpec, plan: tuple[Block, ...]) -> Place:
    steps = walk(sunspec)
    block = next(steps)
    while True:
        answer = None
        try:
            answer = await link.ask(unit, block)
        except InvalidMessage as refusal:
            if refusal.fault != EXCEPTION:
                raise
        try:
            block = steps.send(answer)
        except StopIteration as end:
            place: Place = end.value
            break
    if (needed := max(block.end for block in plan)) > 2 + place.length:
        found = f"model {place.model} of {place.length} registers"
        raise InvalidMessage("SunSpec", found, f"one of at least {needed - 2}", fault="no such model")
    return place


async def _serial(link: Link, unit: int, profile: Profile, place: Place | None) -> str | None:
    serial = profile.serial
    if serial is None:
        return None
    origin = 0
    if serial.model is not None:
        if place is None or serial.model not in place.before:
            return None
        origin = place.before[serial.model]
    try:
        answer = await link.ask(unit, Block(serial.function, origin + serial.address, serial.length))
    except (InvalidMessage, OSError):
        # Older makes of many meters have no such register. What they have counted is good all the same.
        return None
    return decode_serial(
        serial, {(serial.function, serial.address + offset): word for offset, word in enumerate(answer)}
    )
