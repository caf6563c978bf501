"""Planted faults, as data: which shares of what goes wrong, and where that falls.

Every fault can be settled from what is sent: the register at the end of each sent block is true. So that one register
advance settles one fault, a meter-channel-day holds either one bad value or missing ones, never both; the day after a
lost one is clean; and nothing is planted in a meter's first day or in the last three days of the history.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_sim.errors import InvalidInput
from firmware_sim.meter import Measured
from firmware_sim.noise import seed_of, uniform

FIRST_CLEAN_HOURS = 24
LAST_CLEAN_HOURS = 72


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Shares from 0 to 1; each key of the TOML file has the name it has here, and none is required.

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
    lost
        share of meter-days whose message takes a sequence number and is never sent.
    duplicates, unknown_meters, garbage, future
        share of messages sent twice; with a block of a meter that nobody registered; followed by bytes that are no
        message; followed by a message from next month.
    live_missing
        share of intervals sent as null in the live phase.
    """

    seed: int = 1
    missing: float = 0.0
    missing_runs: float = 0.0
    missing_run_hours: tuple[int, int] = (3, 20)
    negative: float = 0.0
    spikes: float = 0.0
    lost: float = 0.0
    duplicates: float = 0.0
    unknown_meters: float = 0.0
    garbage: float = 0.0
    future: float = 0.0
    live_missing: float = 0.0


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
        _check(f"{path}: {key}", key, value)
    if "missing_run_hours" in content:
        content["missing_run_hours"] = tuple(content["missing_run_hours"])
    plan = FaultPlan(**content)
    if plan.negative + plan.spikes + plan.missing_runs > 1:
        raise InvalidInput(str(path), "more than 1", "negative + spikes + missing_runs up to 1: one of them a day")
    return plan


def _check(where: str, key: str, value: Any) -> None:
    def whole(number: Any) -> bool:
        return isinstance(number, int) and not isinstance(number, bool)

    if key == "seed":
        if not whole(value):
            raise InvalidInput(where, repr(value), "a whole number")
    elif key == "missing_run_hours":
        pair = isinstance(value, list) and len(value) == 2 and all(whole(hours) for hours in value)
        if not pair or not 1 <= value[0] <= value[1] <= 24:
            raise InvalidInput(where, repr(value), "[shortest, longest] from 1 to 24 hours")
    elif not (whole(value) or isinstance(value, float)) or not 0 <= value <= 1:
        raise InvalidInput(where, repr(value), "a share from 0 to 1")


@dataclass(frozen=True, slots=True)
class Reported:
    """One channel as the meter tells it: `values` with what is bad in it, `missing` where it tells null; (n,) each."""

    measured: Measured
    values: NDArray[np.int64]
    missing: NDArray[np.bool_]
    bad: NDArray[np.bool_]


def faulty_days(first_hour: int, last_hour: int) -> NDArray[np.int64]:
    """UTC days [since 1970] within first_hour ≤ h < last_hour in which faults may be planted."""
    first = -(-(first_hour + FIRST_CLEAN_HOURS) // 24)
    return np.arange(first, max(first, (last_hour - LAST_CLEAN_HOURS) // 24))


def lost_days(plan: FaultPlan, meter: str, days: NDArray[np.int64]) -> NDArray[np.bool_]:
    """On which of these days the meter's message gets lost; never two days running. Shape as `days`."""
    drawn = uniform(seed_of(plan.seed, meter), "lost", days) < plan.lost
    drawn[1:] &= ~drawn[:-1]
    return drawn


def plant(plan: FaultPlan, measured: Measured) -> Reported:
    """Plant the history's faults in one channel; the registers stay true."""
    n = len(measured.values)
    values, missing, bad = measured.values.copy(), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    days = faulty_days(measured.first_hour, measured.first_hour + n)
    if len(days):
        begin = int(days[0]) * 24 - measured.first_hour
        whole_days = slice(begin, begin + 24 * len(days))
        lost = lost_days(plan, measured.meter.meter, days)
        after_lost = np.concatenate(([False], lost[:-1]))
        clean = lost | after_lost
        spoilt = _missing_and_bad(plan, measured, days, clean)
        missing[whole_days], negative, spike = (mask.ravel() for mask in spoilt)
        bad[whole_days] = negative | spike
        true, limit = measured.values[whole_days], measured.channel.max_per_interval
        above = limit + 1 + (uniform(seed_of(plan.seed, measured.meter.meter), "above", days) * limit).astype(np.int64)
        tenfold = np.maximum(10 * true, np.repeat(above, 24))
        values[whole_days] = np.where(negative, -true - 1, np.where(spike, tenfold, true))
    return Reported(measured, values, missing, bad)


def _missing_and_bad(
    plan: FaultPlan, measured: Measured, days: NDArray[np.int64], clean: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks of shape (days, 24): missing, negative, spike."""
    seed = seed_of(plan.seed, measured.meter.meter, measured.channel.channel)
    hour = np.arange(24)
    kind = np.where(clean, 1.0, uniform(seed, "kind", days))
    at = (24 * uniform(seed, "at", days)).astype(np.int64)[:, None] == hour
    bounds = np.cumsum([plan.negative, plan.spikes, plan.missing_runs])
    negative = (kind < bounds[0])[:, None] & at
    spike = ((kind >= bounds[0]) & (kind < bounds[1]))[:, None] & at
    shortest, longest = plan.missing_run_hours
    length = shortest + ((longest - shortest + 1) * uniform(seed, "length", days)).astype(np.int64)
    begin = ((25 - length) * uniform(seed, "begin", days)).astype(np.int64)
    in_run = (hour >= begin[:, None]) & (hour < (begin + length)[:, None])
    run = ((kind >= bounds[1]) & (kind < bounds[2]))[:, None] & in_run
    single = uniform(seed, "single", days[:, None] * 24 + hour) < plan.missing
    may_miss = ((kind >= bounds[1]) & ~clean)[:, None]
    return (run | single) & may_miss, negative, spike


def plant_live(plan: FaultPlan, measured: Measured) -> Reported:
    """Plant the live phase's few missing intervals in one channel."""
    hours = measured.first_hour + np.arange(len(measured.values))
    seed = seed_of(plan.seed, measured.meter.meter, measured.channel.channel)
    missing = uniform(seed, "live", hours) < plan.live_missing
    return Reported(measured, measured.values, missing, np.zeros_like(missing))


def strikes(plan: FaultPlan, share: float, gateway: str, what: str, number: int) -> bool:
    """Whether the fault `what` falls on a gateway's message `number`."""
    return bool(uniform(seed_of(plan.seed, gateway), what, np.array([number]))[0] < share)
