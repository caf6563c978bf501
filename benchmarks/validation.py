"""What validation finds on real meters, and how fast it is on clean ones: `python -m benchmarks.validation [--quick]`.

Found and falsely alarmed: a London home and three buildings, day after day as settlement sees them (the day, the day
before, and eight weeks where something is wrong), with a register at the end of each day and without. Spikes are one
hour of a day, times ten, planted with a seed; the register does not know of them.

Fast: the full rule set on clean channels with a register a day, one core, beside the same rules (all but like days) as
one would write them first: channel after channel, hour after hour.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.realmeters import RealMeter, building, london_home
from benchmarks.table import show
from headend.config import shipped
from headend.reads import NO_REGISTER, Blocks, LoadProfiles, Quality
from headend.reads.channels import Channel
from headend.reads.days import DAY_S, day_number, day_of
from headend.vee import Due, Rules, Settled, check_arrival, load_rule_set, settle
from headend.vee.arrival import arrival_limits, limits_of
from headend.vee.dailyuse import DAYS, nothing_known
from headend.vee.daytypes import day_types
from headend.vee.highlow import BillDays, high_low

_RULES = load_rule_set(shipped("vee.toml"))
_IMPORT = Channel.parse("1-0:1.8.0").code
_LONDON = ZoneInfo("Europe/London")
_DAY, _LOOK_BACK = 24, 56
_MODULUS = 10**9
_SEED = 20_260


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a meter's days.

    Parameters
    ----------
    spikes, found
        planted, and of them how many do not stand as validated any more.
    asked
        exceptions: how often a person would be asked; consecutive days of one rule are one.
    noted
        findings of validation.
    runs
        stretches that V10 names.
    """

    days: int
    spikes: int
    found: int
    asked: int
    noted: int
    runs: int


def settled_days(
    meter: RealMeter, values: np.ndarray, rules: Rules, maximum: int, *, register: bool
) -> Iterator[Settled]:
    """Each day settled in its turn, on what the days before left."""
    there = meter.there
    quality = np.where(there, Quality.RAW, Quality.MISSING).astype(np.uint8)
    registers = np.full(len(values), NO_REGISTER)
    if register:
        # The register counts what flowed, whatever the intervals say; hours the file lacks it does not have either.
        registers[_DAY - 1 :: _DAY] = meter.values.cumsum()[_DAY - 1 :: _DAY] % _MODULUS
    values = np.where(there, values, 0)
    for day in range(1, len(values) // _DAY):
        for back in (1, _LOOK_BACK):
            first = max(0, day - back)
            cut = slice(first * _DAY, (day + 1) * _DAY)
            seen = _profile(meter.start_s + first * DAY_S, values[cut], quality[cut], registers[cut])
            n = seen.values.shape[1]
            due = Due(
                np.array([n - _DAY]),
                np.array([n]),
                np.array([_MODULUS]),
                np.array([maximum]),
                np.array([bool(values[: first * _DAY].any())]),
            )
            calendar = day_types(seen.start_s, n, 3600, _LONDON, "GB")
            settled = settle(seen, due, rules, calendar)
            if settled.clean[0]:
                break
        values[cut], quality[cut] = settled.values[0], settled.quality[0]
        yield settled


def _profile(start_s: int, values: np.ndarray, quality: np.ndarray, register: np.ndarray) -> LoadProfiles:
    return LoadProfiles(
        3600,
        start_s,
        np.array([1]),
        np.array([_IMPORT]),
        values[None, :],
        quality[None, :],
        np.zeros((1, len(values)), np.uint8),
        register[None, :],
    )


def judged(meter: RealMeter, customer_class: str, *, register: bool, times: int = 1, every: int = 3) -> Verdict:
    """A meter's days; `times` ten: a spike on about every third of them."""
    rules, random = _RULES.of(customer_class), np.random.default_rng(_SEED)
    values, planted = meter.values.copy(), {}
    if times > 1:
        for day in range(_LOOK_BACK, len(values) // _DAY, every):
            hours = np.flatnonzero(meter.values[day * _DAY : (day + 1) * _DAY] > 0)
            if len(hours):
                at = day * _DAY + int(random.choice(hours))
                values[at] *= times
                planted[at] = int(values[at])
    maximum = int(max(27_600, meter.values.max() * times) * 1.2)
    asked: dict[str, int] = {}
    runs: set[int] = set()
    found = asks = noted = days = 0
    for day, settled in enumerate(settled_days(meter, values, rules, maximum, register=register), start=1):
        days += 1
        for at, value in planted.items():
            if at // _DAY == day:
                place = settled.values.shape[1] - _DAY + at % _DAY
                stands = settled.values[0, place] == value and settled.quality[0, place] == Quality.VALIDATED
                told = any(f.start_s <= meter.start_s + at * 3600 < f.end_s for f in settled.findings if f.rule == "V9")
                found += not stands or told
        for finding in settled.findings:
            noted += finding.rule not in ("E1", "E2", "E3", "E4")
            if finding.rule == "V10":
                runs.add(finding.start_s)
            if finding.review:
                asks += asked.get(finding.rule, -9) < day - 1
                asked[finding.rule] = day
    return Verdict(days, len(planted), found, asks, noted, len(runs))


def accuracy(quick: bool) -> None:
    """Tables of what was found and who was asked."""
    home, b0 = london_home(), building("b0", 2016)
    rows = []
    for meter, its_class in ((home, "residential"), (b0, "commercial")):
        for register in (True, False):
            clean = judged(meter, its_class, register=register)
            spikes = judged(meter, its_class, register=register, times=10, every=9 if quick else 3)
            rows.append(
                (
                    f"{meter.name}, {'register a day' if register else 'no register'}",
                    f"{clean.days}",
                    f"{clean.noted}",
                    f"{clean.asked}",
                    f"{100 * clean.asked / clean.days:.2f}",
                    "{} of {}".format(*held_bills(meter, _RULES.of(its_class))),
                    f"{spikes.found} of {spikes.spikes}",
                    f"{100 * spikes.found / spikes.spikes:.1f} %",
                )
            )
    head = ("meter as it is", "days", "noted", "asked", "per 100 days", "bills held", "×10 found", "")
    show("Real meters: findings, exceptions that reach a person, spikes of one hour × 10", head, rows)
    rows = []
    for meter in (building("b13", 2019), building("b101", 2019)):
        runs = zero_runs(meter.values)
        named = judged(meter, "commercial", register=False)
        rows.append((meter.name, f"{len(runs)}", f"{sum(runs)}", f"{named.runs}", f"{named.asked}"))
    head = ("zero for missing", "runs", "hours", "named by V10", "exceptions")
    show("Real meters of which the publisher wrote zero where nothing was read", head, rows)


def held_bills(meter: RealMeter, rules: Rules) -> tuple[int, int]:
    """Months of a meter as bills of their own, with no others to tell the season: held by V11, and how many."""
    totals = meter.values.reshape(-1, _DAY).sum(axis=1)
    unread = (~meter.there).reshape(-1, _DAY).sum(axis=1)
    first_day = meter.start_s // DAY_S
    first, end = day_of(first_day), day_of(first_day + len(totals))
    months = [month for year in range(first.year, end.year + 1) for month in (date(year, m, 1) for m in range(1, 13))]
    held = bills = 0
    for month, after in pairwise(months):
        begin, stop = day_number(month), day_number(after)
        if begin - first_day < 7 * rules.high_low.weeks or stop - first_day > len(totals):
            continue
        span = slice(max(0, stop - first_day - DAYS), stop - first_day)
        use = nothing_known(1, stop, span.stop - span.start)
        use.total[0], use.unread[0] = totals[span], unread[span]
        bill = BillDays(1, _IMPORT, begin * DAY_S, stop * DAY_S, begin, stop, first_day)
        held += len(high_low([bill], use, rules.high_low))
        bills += 1
    return held, bills


def zero_runs(values: np.ndarray) -> list[int]:
    """Lengths of the runs of zero [intervals]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], values == 0, [False]]).astype(np.int8)))
    return (edges[1::2] - edges[::2]).tolist()


def clean_fleet(k: int) -> tuple[Blocks, LoadProfiles, Due]:
    """Channels as they almost always are: a day that is due, the day before, a register at each day's end."""
    random = np.random.default_rng(_SEED)
    shape = 400 + 300 * np.sin(np.arange(2 * _DAY) / 24 * 2 * np.pi) ** 2
    values = (shape * random.gamma(8, 1 / 8, (k, 2 * _DAY))).astype(np.int64)
    quality = np.full(values.shape, Quality.VALIDATED, np.uint8)
    quality[:, _DAY:] = Quality.RAW
    register = np.full(values.shape, NO_REGISTER)
    register[:, _DAY - 1 :: _DAY] = values.cumsum(axis=1)[:, _DAY - 1 :: _DAY]
    meter, channel, flags = np.arange(k), np.full(k, _IMPORT), np.zeros_like(quality)
    profiles = LoadProfiles(3600, 20_486 * DAY_S, meter, channel, values, quality, flags, register)
    day = slice(_DAY, None)
    blocks = Blocks(
        3600,
        meter,
        channel,
        np.full(k, 20_487),
        values[:, day],
        quality[:, day],
        flags[:, day],
        np.ones_like(quality[:, day]),
        register[:, day],
    )
    due = Due(np.full(k, _DAY), np.full(k, 2 * _DAY), np.full(k, _MODULUS), np.full(k, 24_000), np.ones(k, np.bool_))
    return blocks, profiles, due


def hour_by_hour(profiles: LoadProfiles, due: Due, rules: Rules) -> int:
    """The same verdicts, read by read; how many intervals failed."""
    failed = 0
    for row in range(len(profiles.values)):
        hours = [int(value) for value in profiles.values[row]]
        registers = [int(register) for register in profiles.register[row]]
        for hour in hours[_DAY:]:
            failed += hour < 0 or hour > due.maximum[row]
        advance = (registers[2 * _DAY - 1] - registers[_DAY - 1]) % _MODULUS
        total = sum(hours[_DAY:])
        failed += abs(total - advance) > max(rules.sum_check.resolution, advance * rules.sum_check.percent / 100)
        third = sorted(hours[_DAY:])[-3]
        failed += (max(hours[_DAY:]) - third) * 100 > rules.spike.percent * third and third > rules.spike.floor
        longest = run = 1
        for before, now in pairwise(hours):
            run = run + 1 if now == before else 1
            longest = max(longest, run)
        failed += longest > rules.runs.constant_hours
    return failed


def speed(quick: bool) -> None:
    """Intervals a second, one core."""
    rules = _RULES.of("residential")
    limit = arrival_limits(20_000, rules)
    rows = []
    for k in (250, 1_000, 10_000):
        blocks, profiles, due = clean_fleet(k)
        calendar = day_types(profiles.start_s, 2 * _DAY, 3600, _LONDON, "GB")
        raw = replace(blocks, quality=np.full_like(blocks.quality, Quality.RAW))
        limits = limits_of([limit] * k)
        plain, ours = [], []
        for _ in range(3 if quick else 7):
            began = time.perf_counter()
            _, found = check_arrival(raw, limits)
            settled = settle(profiles, due, rules, calendar)
            ours.append(time.perf_counter() - began)
            assert settled.clean.all()
            assert not len(found)
            began = time.perf_counter()
            hour_by_hour(profiles, due, rules)
            plain.append(time.perf_counter() - began)
        mine, theirs = (k * _DAY / sorted(times)[len(times) // 2] for times in (ours, plain))
        rows.append((f"{k:,} channels", f"{mine / 1e6:.2f} M", f"{theirs / 1e6:.2f} M", f"{mine / theirs:.0f} ×"))
    head = ("clean channel-days at once", "intervals/s", "hour by hour", "")
    show("Full rule set on clean data, arrival and settlement, one core", head, rows)


def main(quick: bool = False) -> None:
    """Print the tables."""
    accuracy(quick)
    speed(quick)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer spikes and rounds")
    main(parser.parse_args().quick)
