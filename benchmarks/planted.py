"""A fleet with anomalies planted in it: what homes use, what happens to honest ones, and what is wrong with a few.

Loads are the simulator's; on top of them lie what makes honest homes hard to tell from thieves: weeks that differ as a
London home's do, holidays, second homes, move-outs, lodgers who leave, new cars and heat pumps, pools that are filled,
covers opened by an electrician, hours nobody read. The same seed makes the same fleet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np

from firmware_sim import loads
from firmware_sim.clock import wall_clock
from firmware_sim.noise import Chances, seed_of
from firmware_sim.series import replay
from headend.reads.channels import EXPORT, GAS, IMPORT, WATER
from headend.reads.days import day_number
from headend.reads.quality import Flag
from headend.vee.anomalies import Installations
from headend.vee.dailyuse import DAYS, DailyUse

ZONE = "Europe/Berlin"
END_DAY = day_number(date(2026, 11, 15))  # heating begins in the weeks before
AREA = 40  # homes that are neighbours
KINDS = (
    "leak",
    "stuck: one value",
    "stuck: nothing",
    "reverse: roof",
    "reverse: falls",
    "tamper",
    "inactive",
    "peers: by-pass",
    "peers: part of it",
    "peers: multiplier",
)
#: Days that a case has been going on at the end.
YOUNGEST, OLDEST = 14, 56

_BATCH = 250


@dataclass(frozen=True, slots=True)
class Case:
    """One planted anomaly: the channel, the first day [since 1970], and how strong (share, factor or litres)."""

    kind: str
    row: int
    first_day: int
    strength: float

    @property
    def codes(self) -> tuple[str, ...]:
        """What may rightly be said of it."""
        code = self.kind.partition(":")[0]
        return {"tamper": ("tamper", "peers"), "stuck": ("stuck", "peers"), "reverse": ("reverse", "peers")}.get(
            code, (code,)
        )


@dataclass(slots=True)
class Fleet:
    """What `homes` homes used on `days` days, channel by channel."""

    homes: int
    days: int
    home: np.ndarray
    use: DailyUse
    of: Installations
    cases: list[Case]

    def window(self, end_day: int) -> tuple[DailyUse, Installations]:
        """What was known on a day: the last weeks before it."""
        end = self.days - (END_DAY - end_day)
        part = slice(end - DAYS, end)
        use, of = self.use, self.of
        return (
            DailyUse(end_day, *(getattr(use, name)[:, part] for name in ("total", "peak", "low", "unread", "flags"))),
            Installations(
                of.channel,
                of.usage_point,
                of.per_day,
                of.generates,
                of.account[:, part],
                of.neighbourhood,
                of.backwards[:, part],
            ),
        )


@dataclass(slots=True)
class _Home:
    """One home's hours (days × 24,) by channel, and what is said of its days (days,)."""

    number: int
    kind: str
    channels: dict[int, np.ndarray]
    account: np.ndarray
    flags: np.ndarray
    backwards: np.ndarray
    cases: list[tuple[str, int, int, float]] = field(default_factory=list)  # kind, channel, day, strength


def planted_fleet(homes: int, days: int, each: int, seed: int) -> Fleet:
    """A fleet with `each` cases of each kind, of different age and strength, none two in one home."""
    random = np.random.default_rng(seed)
    hours = np.arange((END_DAY - days) * 24, END_DAY * 24, dtype=np.int64)
    kinds = random.choice(
        ["household", "household_ev", "household_solar", "commercial"], homes, p=[0.75, 0.12, 0.08, 0.05]
    )
    able = random.permutation(np.flatnonzero((kinds == "household") | (kinds == "household_ev")))
    chosen = dict(zip(able.tolist(), [kind for kind in KINDS for _ in range(each)], strict=False))
    rows: dict[str, list[np.ndarray]] = {name: [] for name in ("total", "peak", "low", "unread", "flags")}
    about: dict[str, list] = {name: [] for name in ("home", "channel", "generates", "account", "area", "backwards")}
    cases: list[Case] = []
    for begin in range(0, homes, _BATCH):
        for home in _homes(np.arange(begin, min(begin + _BATCH, homes)), kinds, hours, seed, random):
            if home.number in chosen:
                _plant(home, chosen[home.number], days, hours, random)
            else:
                _move(home, days, random)
            first_row = len(about["home"])
            for channel, values in home.channels.items():
                said = home.flags if channel == IMPORT.code else np.zeros(days, np.int64)
                for name, column in _staged(values.reshape(days, 24), random).items():
                    rows[name].append(column)
                rows["flags"].append(said)
                about["home"].append(home.number)
                about["channel"].append(channel)
                about["generates"].append(home.kind == "household_solar")
                about["account"].append(home.account)
                about["area"].append(homes if home.kind == "commercial" else home.number // AREA)  # shops are one class
                about["backwards"].append(home.backwards if channel == IMPORT.code else np.zeros(days, np.int64))
            places = list(home.channels)
            cases += [
                Case(kind, first_row + places.index(channel), END_DAY - days + day, strength)
                for kind, channel, day, strength in home.cases
            ]
    return Fleet(
        homes,
        days,
        np.array(about["home"]),
        DailyUse(END_DAY, *(np.array(rows[name]) for name in ("total", "peak", "low", "unread", "flags"))),
        Installations(
            np.array(about["channel"]),
            np.array(about["home"]),
            np.full(len(about["home"]), 24),
            np.array(about["generates"]),
            np.array(about["account"]),
            np.array(about["area"]),
            np.array(about["backwards"]),
        ),
        cases,
    )


def with_real_home(fleet: Fleet) -> tuple[Fleet, int]:
    """The fleet with a London home's electricity in the place of its first household's; and the row of that."""
    import_rows = np.flatnonzero(fleet.of.channel == IMPORT.code)
    row = int(import_rows[~fleet.of.generates[import_rows] & (fleet.of.neighbourhood[import_rows] != fleet.homes)][0])
    hours = np.arange((END_DAY - fleet.days) * 24, END_DAY * 24, dtype=np.int64)
    staged = _staged(replay("london_home", hours).reshape(fleet.days, 24), np.random.default_rng(1))
    for name, column in staged.items():
        getattr(fleet.use, name)[row] = column
    fleet.use.flags[row] = fleet.of.backwards[row] = 0
    fleet.of.account[row] = 1
    return fleet, row


def _homes(numbers: np.ndarray, kinds: np.ndarray, hours: np.ndarray, seed: int, random: np.random.Generator) -> list:
    """Honest homes, with their holidays and changes of life."""
    days, clock = len(hours) // 24, wall_clock(hours, ZONE)
    chances = [seed_of(seed, int(number)) for number in numbers]
    water = np.rint(loads.water(Chances(chances), hours, ZONE) - loads.leak(Chances(chances), clock)).astype(np.int64)
    gas = loads.whole(loads.gas(Chances(chances), hours, ZONE))
    power: dict[int, list[np.ndarray]] = {}
    for kind in np.unique(kinds[numbers]).tolist():
        of_kind = [i for i, number in enumerate(numbers) if kinds[number] == kind]
        channels = loads.consumption("electricity", kind, Chances([chances[i] for i in of_kind]), hours, ZONE)
        for place, i in enumerate(of_kind):
            power[i] = [channel[place] for channel in channels]
    found = []
    for i, number in enumerate(numbers.tolist()):
        kind = str(kinds[number])
        imported, exported = power[i] if len(power[i]) > 1 else (power[i][0], np.zeros_like(power[i][0]))
        channels = {IMPORT.code: imported, EXPORT.code: exported, WATER.code: water[i]}
        if random.random() < 0.5:
            channels[GAS.code] = gas[i]
        home = _Home(
            number,
            kind,
            channels,
            np.full(days, number + 1),
            np.zeros(days, np.int64),
            np.zeros(days, np.int64),
        )
        if kind != "commercial":
            _live(home, days, hours, random)
        found.append(home)
    return found


def _live(home: _Home, days: int, hours: np.ndarray, random: np.random.Generator) -> None:
    """Weeks that differ, holidays, and what changes for good without anybody's guilt."""
    weekly = np.repeat(random.normal(0, 0.25, days // 7 + 1), 7)[:days]
    activity = np.exp(weekly + random.normal(0, 0.25, days) - 0.06)
    away = np.zeros(days, dtype=bool)
    if random.random() < 0.05:  # a second home
        away = np.repeat(random.random(days // 7 + 1) < 0.6, 7)[:days]
    elif random.random() < 0.5:
        first = int(random.integers(0, days))
        away[first : first + int(random.choice([4, 7, 7, 10, 14, 14, 21, 24]))] = True
    changes = float(random.random())
    begins = int(random.integers(10, days - 5))
    if changes < 0.008:
        activity[begins:] *= 0.55  # a lodger has left
    activity[away] *= 0.03
    each_hour = np.repeat(activity, 24)
    imported = home.channels[IMPORT.code].astype(float)
    base = np.percentile(imported, 5)
    imported = np.minimum(imported, base) + np.maximum(imported - base, 0) * each_hour
    imported *= np.where(np.repeat(away, 24), random.uniform(0.6, 1.0), 1.0)
    if 0.008 <= changes < 0.016:  # a new car
        charging = loads.charging(Chances([seed_of(home.number, "new car")]), hours, ZONE)[0]
        imported[begins * 24 :] += charging[begins * 24 :]
    elif 0.016 <= changes < 0.02:  # a heat pump
        imported[begins * 24 :] += random.uniform(150, 600) * random.uniform(0.2, 1.8, (days - begins) * 24)
    elif 0.025 <= changes < 0.028:  # a new boiler takes over from the electric one
        imported[begins * 24 :] = base + (imported[begins * 24 :] - base) * random.uniform(0.4, 0.7)
    elif 0.02 <= changes < 0.025:  # who leaves turns everything off
        imported[np.repeat(away, 24)] = 0
    home.channels[IMPORT.code] = np.rint(imported).astype(np.int64)
    litres = home.channels[WATER.code] * np.where(np.repeat(away, 24), 0.0, np.clip(each_hour, 0.4, 2))
    if random.random() < 0.03:  # a pool, a sprinkler that was forgotten
        first = int(random.integers(0, days * 24 - 48))
        litres[first : first + int(random.integers(8, 48))] += random.uniform(100, 700)
    home.channels[WATER.code] = np.rint(litres).astype(np.int64)
    if GAS.code in home.channels:
        home.channels[GAS.code] = np.rint(home.channels[GAS.code] * np.where(np.repeat(away, 24), 0.4, 1)).astype(
            np.int64
        )
    if random.random() < 0.03:  # an electrician
        home.flags[int(random.integers(0, days))] |= int(Flag.TAMPER)
    if random.random() < 0.01:  # an exchange that nobody announced
        home.backwards[int(random.integers(0, days))] = 1


def _move(home: _Home, days: int, random: np.random.Generator) -> None:
    """One household in sixteen moves; the next one uses what it uses, some homes stay empty for a time."""
    if home.kind == "commercial" or random.random() > 0.06:
        return
    out = int(random.integers(5, days - 5))
    empty = int(random.integers(5, 40)) if random.random() < 0.5 else 0
    home.account[out : out + empty] = 0
    home.account[out + empty :] += 1_000_000
    vacant, later = slice(out * 24, (out + empty) * 24), slice((out + empty) * 24, None)
    for channel, values in home.channels.items():
        values[vacant] = random.integers(0, 13, len(values[vacant])) if channel == IMPORT.code else 0
        values[later] = np.rint(values[later] * random.uniform(0.4, 1.8))


def _plant(home: _Home, kind: str, days: int, hours: np.ndarray, random: np.random.Generator) -> None:
    day = days - int(random.integers(YOUNGEST, OLDEST))
    since = slice(day * 24, None)
    imported, exported, water = (home.channels[channel.code] for channel in (IMPORT, EXPORT, WATER))
    home.flags[:] = 0
    channel, strength = IMPORT.code, 0.0
    match kind:
        case "leak":
            channel, strength = WATER.code, float(np.rint(2 * 20 ** random.random()))
            water[since] += int(strength)
        case "stuck: one value":
            strength = float(imported[day * 24])
            imported[since] = imported[day * 24]
        case "stuck: nothing":
            imported[since] = 0
        case "reverse: roof":
            channel, strength = EXPORT.code, float(random.uniform(0.1, 1))
            sun = strength * loads.solar(Chances([home.number]), hours, ZONE)[0]
            net = imported[since] - sun[since]
            imported[since], exported[since] = np.rint(np.maximum(net, 0)), np.rint(np.maximum(-net, 0))
        case "reverse: falls":
            strength = float(random.uniform(0.1, 0.9))
            home.backwards[day:] = random.integers(1, 6, days - day) * (random.random(days - day) < strength)
        case "tamper":
            strength = float(random.uniform(0.1, 0.65))
            imported[since] = np.rint(imported[since] * strength)
            home.flags[day] |= int(Flag.TAMPER)
        case "inactive":
            strength = float(random.uniform(0.15, 1))
            imported[since] = np.rint(imported[since] * strength)
            home.account[day:] = 0
        case "peers: by-pass":
            strength = float(random.uniform(0.15, 0.6))
            imported[since] = np.rint(imported[since] * strength)
        case "peers: part of it":
            strength = float(random.uniform(0, 0.4))
            base = np.percentile(imported[: day * 24], 5)
            above = np.maximum(imported[since] - base, 0)
            imported[since] = np.rint(np.minimum(imported[since], base) + above * strength)
        case "peers: multiplier":
            strength = float(random.choice([10, 3, 2, 1 / 2, 1 / 3, 1 / 10]))
            imported[since] = np.rint(imported[since] * strength)
    home.cases.append((kind, channel, day, strength))


def _staged(values: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Daily use of hours (days, 24), with hours that were not read and days that were lost."""
    days = len(values)
    unread = np.where(random.random(days) < 0.03, random.integers(1, 6, days), 0)
    total, peak, low = values.sum(axis=1), values.max(axis=1), values.min(axis=1)
    if random.random() < 0.03:
        first = int(random.integers(0, days))
        away = slice(first, first + int(random.integers(2, 16)))
        unread[away] = 24
        if random.random() < 0.5:
            total[away] = peak[away] = low[away] = -1
    holes = (unread > 0) & (unread < 24)
    return {
        "total": np.where(holes, total * (24 - unread) // 24, total),
        "peak": peak,
        "low": np.where(holes, 0, low),
        "unread": unread,
    }
