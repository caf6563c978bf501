"""The fault plan, as data: which shares of what goes wrong."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from firmware_sim.errors import InvalidInput

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Shares from 0 to 1 unless it says otherwise; keys of the TOML file have these names, and none is required.

    Attributes
    ----------
    seed
        another seed, other places.
    missing
        share of intervals sent as null, one by one.
    missing_runs
        share of meter-channel-days with a run of nulls, of `missing_run_hours` (shortest, longest) [h].
    negative, spikes
        share of meter-channel-days with one negative value; with one tenfold value, above what the connection carries.
    lost_pulses
        share of days of electricity meters, in places without roof or car, whose intervals count only a part of what
        the register counts.
    rollovers
        share of meter-channels whose register passes the end of its dial during the history.
    lost
        share of meter-days whose message takes a sequence number and is never sent.
    duplicates, unknown_meters, garbage, future
        share of messages sent twice; with a block of a meter that nobody registered; followed by bytes that are no
        message; followed by a message from next month.
    live_missing, live_lost
        in the live phase: share of intervals sent as null; of messages that take a number and are never sent.
    dropped, reordered, corrupt
        share of messages that are lost on the way when they are first sent; overtaken by later ones; cut or spoilt.
    tamper, outages, battery_low
        share of meter-days with such an event; outages last `outage_minutes` (shortest, longest) [min].
    leaks, stuck, bypasses
        share of water meters that never stand still any more; of electricity meters that count nothing any more; of
        those that were opened and count a part since. They begin `leak_days`, `stuck_days` and `bypass_days` (least,
        most) before the history ends [d].
    clock_offset_s, clock_drift_ppm
        how far gateways' clocks are off at first [s], and by how much they run wrong [10⁻⁶], at most, either way.
    clock_jumps, reboots
        share of gateway-days on which the clock jumps by `clock_jump_s` (least, most, either way) [s]; on which the
        gateway loses its connection and all that is not in its flash.
    link_down
        share of gateways that are offline once in the live phase, for `link_down_hours` (shortest, longest) [h].
    slow_links
        share of gateways whose link carries `slow_bytes_per_s` [byte/s].
    storm_every_messages
        whenever the fleet has sent so many more messages, all links are cut at once; 0: never.
    """

    seed: int = 1
    missing: float = 0.0
    missing_runs: float = 0.0
    missing_run_hours: Range = (3, 20)
    negative: float = 0.0
    spikes: float = 0.0
    lost_pulses: float = 0.0
    rollovers: float = 0.0
    lost: float = 0.0
    duplicates: float = 0.0
    unknown_meters: float = 0.0
    garbage: float = 0.0
    future: float = 0.0
    live_missing: float = 0.0
    live_lost: float = 0.0
    dropped: float = 0.0
    reordered: float = 0.0
    corrupt: float = 0.0
    tamper: float = 0.0
    outages: float = 0.0
    outage_minutes: Range = (2, 90)
    battery_low: float = 0.0
    leaks: float = 0.0
    leak_days: Range = (5, 8)
    stuck: float = 0.0
    stuck_days: Range = (11, 12)
    bypasses: float = 0.0
    bypass_days: Range = (10, 12)
    clock_offset_s: float = 0.0
    clock_drift_ppm: float = 0.0
    clock_jumps: float = 0.0
    clock_jump_s: Range = (60, 7200)
    reboots: float = 0.0
    link_down: float = 0.0
    link_down_hours: Range = (3, 48)
    slow_links: float = 0.0
    slow_bytes_per_s: int = 2000
    storm_every_messages: int = 0


def read_plan(path: Path) -> FaultPlan:
    """The fault plan of a TOML file.

    Raises
    ------
    InvalidInput
        unreadable, not TOML, a key that is not known, a share out of range.
    """
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except (OSError, ValueError) as error:
        raise InvalidInput(str(path), str(error), "a fault plan in TOML") from error
    known = {field.name for field in fields(FaultPlan)}
    for key, value in content.items():
        if key not in known:
            raise InvalidInput(f"{path}: {key}", "an unknown key", f"one of {', '.join(sorted(known))}")
        meets, expected = _EXPECTED.get(key, _SHARE)
        if not meets(value):
            raise InvalidInput(f"{path}: {key}", repr(value), expected)
        if isinstance(value, list):
            content[key] = tuple(value)
    plan = FaultPlan(**content)
    if plan.negative + plan.spikes + plan.missing_runs + plan.lost_pulses > 1:
        expected = "negative + spikes + missing_runs + lost_pulses up to 1: one of them a day"
        raise InvalidInput(str(path), "more than 1", expected)
    return plan


_Expectation = tuple[Callable[[Any], bool], str]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return _whole(value) or isinstance(value, float)


def _range(most: int, unit: str) -> _Expectation:
    def meets(value: Any) -> bool:
        pair = isinstance(value, list) and len(value) == 2 and all(map(_whole, value))
        return pair and 1 <= value[0] <= value[1] <= most

    return meets, f"[least, most] from 1 to {most} {unit}"


_SHARE: _Expectation = (lambda value: _number(value) and 0 <= value <= 1, "a share from 0 to 1")
_UPWARDS: _Expectation = (lambda value: _number(value) and value >= 0, "a number from 0")
_EXPECTED: dict[str, _Expectation] = {
    "seed": (_whole, "a whole number"),
    "missing_run_hours": _range(24, "hours"),
    "outage_minutes": _range(1439, "minutes"),
    "leak_days": _range(10_000, "days"),
    "stuck_days": _range(10_000, "days"),
    "bypass_days": _range(10_000, "days"),
    "clock_jump_s": _range(10**8, "seconds"),
    "link_down_hours": _range(10_000, "hours"),
    "clock_offset_s": _UPWARDS,
    "clock_drift_ppm": _UPWARDS,
    "slow_bytes_per_s": (lambda value: _whole(value) and value >= 1, "a whole number from 1"),
    "storm_every_messages": (lambda value: _whole(value) and value >= 0, "a whole number from 0"),
}
