"""What a load would cost, month by month, without any account.

Months are those of the tariff's clock. A month that the load covers in part is rated for the local days it touches:
they count for daily charges and allowances, and monthly ones get days ÷ days of the month.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from headend.tariffs.calendar import BillingWindow, clock_zone
from headend.tariffs.format.schema import Tariff
from headend.tariffs.market import NO_MARKET, Market
from headend.tariffs.money import plain, total
from headend.tariffs.rating.bill import RatedBill
from headend.tariffs.rating.loadfile import Load
from headend.tariffs.rating.rate import rate_from
from headend.tariffs.rating.use import NOTHING_CARRIED

_CHARGES = {
    "energy": ("energy", "export", "baseline_credit"),
    "demand": ("demand",),
    "fixed": ("standing",),
    "minimum": ("minimum",),
    "tax": ("tax",),
    "other": ("reactive", "power_factor", "percentage", "bank"),
}


@dataclass(frozen=True, slots=True)
class RatedMonth:
    """One month of a load: YYYY-MM, its bill, and the digest of its reads."""

    month: str
    bill: RatedBill
    reads_digest: str


def rate_months(
    tariff: Tariff,
    load: Load,
    zone: ZoneInfo,
    market: Market = NO_MARKET,
    *,
    rounded: bool = False,
    lines: bool = False,
) -> dict[str, Any]:
    """What the load costs in each month.

    Parameters
    ----------
    zone
        the usage point's time zone.
    rounded
        amounts as they would be billed, each line rounded to the minor unit; else exact.
    lines
        with the lines of each month's bill, and the digest of its reads (`Load.digest`).

    Returns
    -------
    dict
        `{"currency", "timezone", "months": [{"month", "energy", "demand", "fixed", "minimum", "tax", "other",
        "total"}]}`, amounts as decimal strings.

    Raises
    ------
    CannotRate
        the tariff needs reads that the load does not have.
    """
    months: list[dict[str, Any]] = []
    for rated in rated_months(tariff, load, zone, market):
        months.append({"month": rated.month, **_charges(rated.bill, rounded=rounded)})
        if lines:
            months[-1]["lines"] = [line.to_json() for line in rated.bill.lines]
            months[-1]["reads_digest"] = rated.reads_digest
    return {"currency": tariff.currency, "timezone": zone.key, "months": months}


def rated_months(tariff: Tariff, load: Load, zone: ZoneInfo, market: Market = NO_MARKET) -> Iterator[RatedMonth]:
    """The bill of each month, one after the other; see `rate_months`."""
    carried = NOTHING_CARRIED
    for part, first, last in _months(load, clock_zone(tariff, zone)):
        start = load.start + part.start * timedelta(seconds=load.interval_s)
        window = BillingWindow(first, last + timedelta(days=1), clock_zone(tariff, zone))
        batch = rate_from(start, tariff, window, load.use(part), market, carried)
        carried = carried.then(batch.carried)
        (bill,) = batch.bills()
        yield RatedMonth(f"{first:%Y-%m}", bill, load.digest(part))


def _months(load: Load, clock: tzinfo) -> Iterator[tuple[slice, date, date]]:
    """Intervals of each month, and the first and last local day they touch."""
    step = timedelta(seconds=load.interval_s)
    n, begin = len(load.imported), 0
    while begin < n:
        first = (load.start + begin * step).astimezone(clock).date()
        next_month = (first.replace(day=1) + timedelta(days=31)).replace(day=1)
        month_end = datetime(next_month.year, next_month.month, 1, tzinfo=clock).astimezone(UTC)
        end = min(n, -((load.start - month_end) // step))
        yield slice(begin, end), first, (load.start + (end - 1) * step).astimezone(clock).date()
        begin = end


def _charges(bill: RatedBill, *, rounded: bool) -> dict[str, str]:
    def text(amount: Decimal) -> str:
        return format(amount, "f") if rounded else plain(amount)

    zero = bill.total * 0
    lines = [line for line in bill.lines if not line.charge.included]
    charges = {
        name: total([zero, *((line.amount if rounded else line.exact) for line in lines if line.kind in kinds)])
        for name, kinds in _CHARGES.items()
    }
    return {name: text(amount) for name, amount in {**charges, "total": total(charges.values())}.items()}
