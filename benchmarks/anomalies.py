"""How well anomalies are found, and how fast: `python -m benchmarks.anomalies [--quick]`.

A fleet with planted cases is looked at day after day, with the ten weeks that are staged on that day, as the nightly
job does it. A true alarm names the right channel, a code that fits, and days of the case; every other one is false,
wherever it is. The thresholds were chosen on fleets of other seeds. Beside it runs, on the same days, what one
would write first: the mean of the last week below half of the channel's own mean before.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.planted import AREA, END_DAY, KINDS, Case, Fleet, planted_fleet, with_real_home
from benchmarks.table import show
from headend.config import shipped
from headend.vee import load_rule_set
from headend.vee.anomalies import Anomaly, AnomalyLimits, Installations, anomalies
from headend.vee.dailyuse import DAYS, DailyUse

LIMITS = load_rule_set(shipped("vee.toml")).anomalies
SEED = 7

Finder = Callable[[DailyUse, Installations, AnomalyLimits], list[Anomaly]]


@dataclass(frozen=True, slots=True)
class Alarm:
    """An anomaly, and the day on which it was first told."""

    anomaly: Anomaly
    told: int
    case: Case | None

    @property
    def right(self) -> bool:
        """A case is behind it."""
        return self.case is not None


def looked_at_daily(fleet: Fleet, looks: int, find: Finder) -> list[Alarm]:
    """Every alarm once, on the day of its first look."""
    cases: dict[int, Case] = {case.row: case for case in fleet.cases}
    # Where nobody has an agreement, the water is as little paid for as the electricity; and a roof lowers the import.
    for case in fleet.cases:
        if case.kind in ("inactive", "reverse: roof"):
            cases.update(dict.fromkeys(np.flatnonzero(fleet.home == fleet.home[case.row]).tolist(), case))
    alarms: dict[tuple[int, str], list[Alarm]] = {}
    for end_day in range(END_DAY - looks + 1, END_DAY + 1):
        use, of = fleet.window(end_day)
        for anomaly in find(use, of, LIMITS):
            known = alarms.setdefault((anomaly.row, anomaly.code), [])
            if any(_overlap(anomaly, alarm.anomaly) for alarm in known):
                continue
            case = cases.get(anomaly.row)
            fits = case is not None and anomaly.code in case.codes and anomaly.end_day > case.first_day
            known.append(Alarm(anomaly, end_day, case if fits else None))
    return [alarm for same in alarms.values() for alarm in same]


def _overlap(a: Anomaly, b: Anomaly) -> bool:
    return a.first_day < b.end_day and b.first_day < a.end_day


def half_of_own_mean(use: DailyUse, of: Installations, _limits: AnomalyLimits) -> list[Anomaly]:
    """The plain way: each channel's last week below half of its own mean of the weeks before."""
    known = use.total >= 0
    total = np.where(known, use.total, 0)
    late = total[:, -7:].sum(axis=1) / np.maximum(known[:, -7:].sum(axis=1), 1)
    early = total[:, :-7].sum(axis=1) / np.maximum(known[:, :-7].sum(axis=1), 1)
    drop = of.consumes & known[:, -7:].any(axis=1) & (late < early / 2)
    return [
        Anomaly(row, use.end_day - 7, use.end_day, "peers", float(1 - late[row] / early[row]), "")
        for row in np.flatnonzero(drop).tolist()
    ]


def by_kind(fleet: Fleet, alarms: list[Alarm]) -> list[tuple[str, ...]]:
    """Planted and found, kind by kind, and how many days it took."""
    rows = []
    for kind in KINDS:
        planted = [case for case in fleet.cases if case.kind == kind]
        told: dict[int, int] = {}
        for alarm in alarms:
            if alarm.case is not None and alarm.case.kind == kind:
                told[alarm.case.row] = min(alarm.told, told.get(alarm.case.row, alarm.told))
        # What had been going on before the first look could not have been told earlier.
        first_look = min((alarm.told for alarm in alarms), default=END_DAY)
        late = [told[case.row] - case.first_day for case in planted if told.get(case.row, first_look) > first_look]
        days = f"{statistics.median(late):.0f}" if late else ""
        rows.append((kind, str(len(planted)), str(len(told)), f"{100 * len(told) / len(planted):.0f} %", days))
    return rows


def by_code(fleet: Fleet, alarms: list[Alarm], looks: int) -> list[tuple[str, ...]]:
    """How right alarms are, code by code and all together, and what honest homes cost."""
    first_look = END_DAY - looks + 1
    ill = {int(fleet.home[case.row]) for case in fleet.cases}
    home_days = (fleet.homes - len(ill)) * (looks - 1)
    rows = []
    for code in (*sorted({alarm.anomaly.code for alarm in alarms}), "all"):
        told = [alarm for alarm in alarms if code in (alarm.anomaly.code, "all")]
        false = [alarm for alarm in told if not alarm.right]
        right = len(told) - len(false)
        # Those of the first look gathered over ten weeks; from then on a day's are a day's.
        honest = [a for a in false if a.told > first_look and int(fleet.home[a.anomaly.row]) not in ill]
        rows.append(
            (
                code,
                str(len(told)),
                str(right),
                str(len(false)),
                f"{100 * right / len(told):.0f} %",
                f"{100 * len(honest) / home_days:.3f}",
            )
        )
    return rows


def precision_at(alarms: list[Alarm], k: int) -> float:
    """Share of right ones among the k highest scores."""
    best = sorted(alarms, key=lambda alarm: -alarm.anomaly.score)[:k]
    return sum(alarm.right for alarm in best) / max(len(best), 1)


def main(quick: bool = False) -> None:
    """Print the tables."""
    homes, looks, each = (600, 8, 6) if quick else (2000, 28, 20)
    fleet = planted_fleet(homes, DAYS + looks - 1, each, SEED)
    channels = len(fleet.use)
    print(f"\n{homes} homes, {channels} channels, {len(fleet.cases)} cases; {looks} daily looks at {DAYS} days.")
    alarms = looked_at_daily(fleet, looks, anomalies)
    plain = looked_at_daily(fleet, looks, half_of_own_mean)
    show("Planted anomalies", ("kind", "planted", "found", "recall", "days until told"), by_kind(fleet, alarms))
    head = ("code", "told", "right", "false", "precision", "false per 100 home-days")
    show("Alarms that reach a person", head, by_code(fleet, alarms, looks))
    # The plain way sees drops alone, and is judged by drops alone.
    drops = [case for case in fleet.cases if case.kind.startswith(("tamper", "peers", "stuck"))]
    rows = []
    for name, told in (("these", alarms), ("plain: last week below half of own mean", plain)):
        of_drops = [alarm for alarm in told if alarm.anomaly.code in ("tamper", "stuck", "peers")]
        found = {alarm.case.row for alarm in of_drops if alarm.case is not None}
        rows.append(
            (
                name,
                f"{100 * len(found & {case.row for case in drops}) / len(drops):.0f} %",
                f"{100 * sum(alarm.right for alarm in of_drops) / max(len(of_drops), 1):.0f} %",
                *(f"{100 * precision_at(of_drops, k):.0f} %" for k in (len(drops) // 4, len(drops) // 2, len(drops))),
                str(sum(not alarm.right for alarm in of_drops)),
            )
        )
    quarter, half, whole = len(drops) // 4, len(drops) // 2, len(drops)
    head = ("drops and rises", "recall", "precision", *(f"precision at {k}" for k in (quarter, half, whole)), "false")
    show(f"Theft, faults and multipliers ({whole} cases), beside the plain rule", head, rows)
    # Through winter, the end of heating and summer holidays, without a case.
    homes, looks = (AREA, 60) if quick else (5 * AREA, 290)
    honest, row = with_real_home(planted_fleet(homes, DAYS + looks - 1, 0, SEED))
    told = [alarm.anomaly.row for alarm in looked_at_daily(honest, looks, anomalies)]
    rate = 100 * len(told) / homes / looks
    print(f"\n{homes} honest homes looked at on {looks} days: {len(told)} alarms, {rate:.3f} per 100 home-days;")
    print(f"{told.count(row)} of them for the real home among them (London).")
    use, of = fleet.window(END_DAY)
    taken = []
    for _ in range(3 if quick else 7):
        begin = time.perf_counter()
        anomalies(use, of, LIMITS)
        taken.append(time.perf_counter() - begin)
    print(f"\nAll of them on {channels} channels: {channels / statistics.median(taken):,.0f} channels/s on one core")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer homes and looks")
    main(parser.parse_args().quick)
