"""The month before: what an agreement used then, where its reads are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np

from headend.billing.agreements import in_force, local_month
from headend.billing.gas import by_energy, is_by_energy
from headend.billing.metered import at_usage_points, units
from headend.billing.parts import Part
from headend.billing.ports import GasQualities, Records
from headend.billing.statement import Comparison
from headend.billing.usage import day_begins
from headend.errors import CannotRate
from headend.reads import Quality
from headend.reads.days import Period, previous_month, seconds
from headend.tariffs import BillingWindow

#: With fewer days than a week, weekdays would be compared with weekends.
_DAYS_TO_COMPARE = 7


def month_before(
    records: Records, parts: Sequence[Part], keys: Mapping[tuple[int, int], int], gas: GasQualities, month: Period
) -> dict[str, Comparison]:
    """Use in the month before `month` by agreement, over its last days of which all reads are there.

    Parameters
    ----------
    parts
        in one time zone, with one interval length.
    keys
        row of each (meter, channel) among the reads that are fetched.
    """
    interval_s = parts[0].interval_s
    period = previous_month(month.first)
    before = local_month(period, parts[0].agreement.timezone)
    window = BillingWindow(before.first, before.end, before.zone)
    profiles = records.profiles(list(keys), seconds(before.start_utc), seconds(before.end_utc), interval_s)
    meters = [[(keys[meter.meter, meter.channel.code], meter) for meter in part.used] for part in parts]
    used = at_usage_points(profiles, meters, slice(0, before.intervals(interval_s)))
    begins = day_begins(before.first, before.end, before.zone, interval_s)
    by_day = np.add.reduceat(used.values, begins, axis=1)
    missing = np.logical_or.reduceat(used.quality == Quality.MISSING, begins, axis=1)
    found = {}
    for row, part in enumerate(parts):
        days = in_force(part.agreement, period)
        if days is None or days.end != before.end:
            continue
        use = by_day[row]
        if is_by_energy(part.tariff):
            try:
                energy, _ = by_energy(used.take([row]), [part.agreement.gas_area], gas, window, interval_s)
            except CannotRate:
                continue
            use = np.add.reduceat(energy.values[0], begins)
        holes = np.flatnonzero(missing[row])
        first = max((days.first - before.first).days, int(holes[-1]) + 1 if len(holes) else 0)
        if before.days - first >= _DAYS_TO_COMPARE:
            found[part.agreement.id] = Comparison(
                first=before.first + timedelta(days=first),
                last=before.end - timedelta(days=1),
                days=before.days - first,
                quantity=units(use[first:].sum()),
            )
    return found
