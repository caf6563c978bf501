"""The month before, and the same days a year ago: what an agreement used then, where its reads are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from headend.billing.agreements import billing_days, in_force
from headend.billing.gas import by_energy, is_by_energy
from headend.billing.metered import Int64s, Metered, at_usage_points, units
from headend.billing.parts import USE_CHANNEL, Hung, Part, hung_at
from headend.billing.ports import GasQualities, MeterChannel, Records
from headend.billing.statement import Comparison
from headend.billing.usage import day_begins
from headend.errors import CannotRate
from headend.reads import Quality
from headend.reads.days import Period, a_year_before, previous_period
from headend.tariffs import BillingWindow

#: What counted at a usage point, one meter or several.
Meters = tuple[MeterChannel, ...]

#: With fewer days than a week, weekdays would be compared with weekends.
_DAYS_TO_COMPARE = 7


def period_before(records: Records, parts: Sequence[Part], gas: GasQualities, period: str) -> dict[str, Comparison]:
    """Use in the billing period before `period` by agreement, over its last days of which all reads are there.

    Parameters
    ----------
    parts
        billed over the same days, with one interval length.
    """
    before_it = previous_period(period)
    days = billing_days(parts[0].agreement, before_it)
    before = _Then.of(records, [part.used for part in parts], gas, days)
    missing = before.missing
    # The day after the last hole.
    known_from = np.where(missing.any(axis=1), days.days - np.argmax(missing[:, ::-1], axis=1), 0).tolist()
    found = {}
    for row, (part, known) in enumerate(zip(parts, known_from, strict=True)):
        if days.days - known < _DAYS_TO_COMPARE:
            continue
        its = in_force(part.agreement, before_it)
        if its is None or its.end != days.end:
            continue
        first = max((its.first - days.first).days, known)
        if days.days - first >= _DAYS_TO_COMPARE:
            compared = before.over(part, row, days.first + timedelta(days=first), days.end)
            if compared is not None:
                found[part.agreement.id] = compared
    return found


def same_days_last_year(
    records: Records, parts: Sequence[Part], hung: Hung, gas: GasQualities, whole: Period
) -> dict[tuple[str, date], Comparison]:
    """Use on the days of each part a year before, by agreement and first day, where all their reads are there.

    It was counted by whichever meters hung there then. 29 February is compared with 28 days.

    Parameters
    ----------
    parts
        within the days `whole`, with one interval length.
    """
    last = a_year_before(whole.end - timedelta(days=1))
    days = Period(a_year_before(whole.first), last + timedelta(days=1), whole.zone)
    known: list[tuple[Part, Meters]] = []
    for part in parts:
        if part.agreement.valid_from <= a_year_before(part.first):
            channel = USE_CHANNEL[part.agreement.commodity]
            meters = hung_at(hung, part.agreement.usage_point, channel, days)
            if meters and {meter.interval_s for meter in meters} == {part.interval_s}:
                known.append((part, meters))
    if not known:
        return {}
    year_ago = _Then.of(records, [meters for _, meters in known], gas, days)
    found = {}
    for row, (part, _) in enumerate(known):
        first = a_year_before(part.first)
        end = a_year_before(part.end - timedelta(days=1)) + timedelta(days=1)
        begins = (first - days.first).days
        if year_ago.missing[row, begins : begins + (end - first).days].any():
            continue
        compared = year_ago.over(part, row, first, end)
        if compared is not None:
            found[part.agreement.id, part.first] = compared
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Then:
    """What parts used in an earlier month.

    Parameters
    ----------
    by_day, missing
        use [base units] by local day, and whether a read of it is missing (parts, days).
    """

    days: Period
    used: Metered
    by_day: Int64s
    missing: NDArray[np.bool_]
    interval_s: int
    gas: GasQualities

    @classmethod
    def of(cls, records: Records, meters: Sequence[Meters], gas: GasQualities, days: Period) -> _Then:
        interval_s = meters[0][0].interval_s
        rows: dict[tuple[int, int], int] = {}
        for its in meters:
            for meter in its:
                rows.setdefault((meter.meter, meter.channel.code), len(rows))
        profiles = records.profiles(list(rows), days.start_s, days.end_s, interval_s)
        placed = [[(rows[meter.meter, meter.channel.code], meter) for meter in its] for its in meters]
        used = at_usage_points(profiles, placed, slice(0, days.intervals(interval_s)))
        begins = day_begins(days.first, days.end, days.zone, interval_s)
        by_day = np.add.reduceat(used.values, begins, axis=1)
        missing = np.logical_or.reduceat(used.quality == Quality.MISSING, begins, axis=1)
        return cls(days, used, by_day, missing, interval_s, gas)

    def over(self, part: Part, row: int, first: date, end: date) -> Comparison | None:
        """Use of a part over [first, end); None where the energy of gas is not known for it."""
        use = self.by_day[row]
        if is_by_energy(part.tariff):
            window = BillingWindow(self.days.first, self.days.end, self.days.zone)
            try:
                energy, _ = by_energy(
                    self.used.take([row]), [part.agreement.gas_area], self.gas, window, self.interval_s
                )
            except CannotRate:
                return None
            begins = day_begins(window.first, window.end, window.zone, self.interval_s)
            use = np.add.reduceat(energy.values[0], begins)
        days = slice((first - self.days.first).days, (end - self.days.first).days)
        return Comparison(first, end - timedelta(days=1), (end - first).days, units(use[days].sum()))
