"""Highest demand of the months before, for tariffs whose demand cannot fall far below it (a ratchet).

It is measured anew from the reads by the demand component of today, so it needs no bill of those months. Only what an
agreement could have been billed for counts: not the days before it began, and no interval without a valid read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headend.billing.agreements import Agreement, billing_days, billing_window, in_force
from headend.billing.gas import by_energy, is_by_energy
from headend.billing.metered import Metered, at_usage_points, units
from headend.billing.parts import USE_CHANNEL, Hung, Part, hung_at, needs_export
from headend.billing.ports import GasQualities, MeterChannel, Records
from headend.billing.published import market_of
from headend.billing.statement import PastPeak
from headend.reads import Channel
from headend.reads.channels import EXPORT
from headend.reads.days import previous_period, seconds
from headend.reads.quality import IS_BILLABLE
from headend.tariffs import BillingWindow, Carried, Market, Peaks, Tariff, Use
from headend.tariffs.format.components import Demand
from headend.tariffs.rating.rate import past_peaks
from headend.tariffs.rating.use import LARGEST_READ

Int64s = NDArray[np.int64]


def ratchet_months(tariff: Tariff) -> int:
    """How many months back its ratchets look; 0 without one."""
    ratchets = [each.ratchet for each in tariff.components if isinstance(each, Demand) and each.ratchet]
    return max((ratchet.months for ratchet in ratchets), default=0)


def goes_by_peaks_of(tariff: Tariff, period: str, earlier: str) -> bool:
    """Whether a bill of a period charges at least a part of the peak of an earlier one."""
    ratchets = [each.ratchet for each in tariff.components if isinstance(each, Demand) and each.ratchet]
    its, month = int(earlier[5:]), _months_between(earlier, period)
    return any(
        0 < month <= ratchet.months and (ratchet.of_months is None or its in ratchet.of_months) for ratchet in ratchets
    )


def _months_between(earlier: str, period: str) -> int:
    (first, its), (year, month) = ((int(each[:4]), int(each[5:])) for each in (earlier, period))
    return 12 * (year - first) + month - its


def peaks_before(records: Records, hung: Hung, parts: Sequence[Part], gas: GasQualities, period: str) -> Carried:
    """Peaks of parts of one kind in the periods before `period`, as what their bills take over; latest first.

    Raises
    ------
    CannotRate
        the reads are such that no demand can be told from them.
    """
    tariff = parts[0].tariff
    carried = Carried()
    periods: list[str] = []
    before = period
    for _ in range(ratchet_months(tariff)):
        before = previous_period(before)
        if not any(in_force(part.agreement, before) for part in parts):
            break
        periods.append(before)
    for before in reversed(periods):
        days = billing_days(parts[0].agreement, before)
        window = billing_window(days, before, days)
        market = market_of(records, [tariff], days, prices=False)
        carried = carried.then(Carried(_peaks(records, hung, parts, gas, window, market)))
    return carried


def _peaks(
    records: Records, hung: Hung, parts: Sequence[Part], gas: GasQualities, window: BillingWindow, market: Market
) -> dict[int, tuple[Peaks, ...]]:
    """Peaks in one month; where meters of several interval lengths hung, the highest of what each tells."""
    tariff = parts[0].tariff
    commodity, customer_class = USE_CHANNEL[tariff.commodity], parts[0].agreement.account.customer_class
    found: dict[int, tuple[Peaks, ...]] = {}
    lengths = {meter.interval_s for part in parts for meter in _hung_then(hung, part.agreement, commodity, window)}
    for interval_s in sorted(lengths | {parts[0].interval_s}):
        if not _tells(tariff, interval_s, parts[0].interval_s):
            continue
        imported = _measured(records, hung, parts, commodity, window, interval_s)
        exported = None
        if needs_export(tariff, ()):
            exported = _measured(records, hung, parts, EXPORT, window, interval_s).values
        if is_by_energy(tariff):
            imported, _ = by_energy(imported, [part.agreement.gas_area for part in parts], gas, window, interval_s)
        these = past_peaks(tariff, window, Use(interval_s, imported.values, exported), market, customer_class)
        for place, peaks in these.items():
            others = found.get(place, peaks)
            found[place] = tuple(
                Peaks(one.month, np.maximum(one.watts, other.watts)) for one, other in zip(peaks, others, strict=True)
            )
    return found


def _tells(tariff: Tariff, interval_s: int, now_s: int) -> bool:
    """Whether intervals of that length tell the demand that is charged now."""
    windows = [each.window_min for each in tariff.components if isinstance(each, Demand) and each.ratchet]
    return interval_s == now_s or all(minutes and minutes * 60 % interval_s == 0 for minutes in windows)


def _hung_then(hung: Hung, agreement: Agreement, channel: Channel, window: BillingWindow) -> tuple[MeterChannel, ...]:
    days = in_force(agreement, f"{window.month:%Y-%m}")
    return () if days is None else hung_at(hung, agreement.usage_point, channel, days)


def _measured(
    records: Records,
    hung: Hung,
    parts: Sequence[Part],
    channel: Channel,
    window: BillingWindow,
    interval_s: int,
) -> Metered:
    """What meters of one interval length measured (m, n); 0 where they did not, or the agreement was not in force."""
    n = window.intervals(interval_s)
    start_s = seconds(window.start_utc)
    values = np.zeros((len(parts), n), dtype=np.int64)
    quality = np.zeros((len(parts), n), dtype=np.uint8)
    its: dict[int, list[MeterChannel]] = defaultdict(list)
    keys: dict[tuple[int, int], int] = {}
    for row, part in enumerate(parts):
        for meter in _hung_then(hung, part.agreement, channel, window):
            if meter.interval_s == interval_s:
                its[row].append(meter)
                keys.setdefault((meter.meter, meter.channel.code), len(keys))
    if keys:
        profiles = records.profiles(list(keys), start_s, start_s + n * interval_s, interval_s)
        meters = [[(keys[meter.meter, meter.channel.code], meter) for meter in each] for each in its.values()]
        rows = list(its)
        metered = at_usage_points(profiles, meters, slice(0, n))
        possible = IS_BILLABLE[metered.quality] & (metered.values >= 0) & (metered.values <= LARGEST_READ)
        values[rows] = np.where(possible, metered.values, 0)
        quality[rows] = metered.quality
    for row, part in enumerate(parts):
        days = in_force(part.agreement, f"{window.month:%Y-%m}")
        begins = n if days is None else (days.start_s - start_s) // interval_s
        values[row, :begins] = 0
    return Metered(values, quality)


def peaks_shown(tariff: Tariff, carried: Carried, period: str, row: int) -> tuple[PastPeak, ...]:
    """Peaks of one row as a statement tells them: latest month first, without what is zero."""
    shown: list[tuple[int, PastPeak]] = []
    for place, several in carried.peaks.items():
        component = tariff.components[place]
        periods = periods_of(component, tariff) if isinstance(component, Demand) else []
        name = period
        for back, peaks in enumerate(several):
            name = previous_period(name)
            its = zip(periods, peaks.watts[row].tolist(), strict=True)
            shown += [(back, PastPeak(name, component.label, units(watts), period)) for period, watts in its if watts]
    return tuple(peak for _, peak in sorted(shown, key=lambda each: each[0]))


def periods_of(component: Demand, tariff: Tariff) -> list[str | None]:
    """The TOU period of each line of a demand component, by name; None: all hours."""
    price = component.tiers[0].price
    if not isinstance(price, dict):
        return [None]
    return [period.name for period in tariff.schedule(component.schedule) if period.name in price]
