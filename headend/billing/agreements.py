"""Who is billed for what and when: accounts, their service agreements, and the local days these are in force."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from headend.reads.days import Period, zone_named


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who gets a statement.

    Parameters
    ----------
    customer_class
        residential, commercial …: which limits validation uses, which tariffs fit.
    locale
        language and number format of the statement, such as de_DE.
    """

    id: str
    name: str
    customer_class: str
    locale: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """From when on which tariff applies to an account at a usage point.

    Parameters
    ----------
    timezone
        the usage point's: its local days are what is billed.
    valid_to
        first day on which it no longer applies; None: open.
    gas_area
        the usage point's: where its gas is of one quality.
    """

    id: str
    account: Account
    usage_point: str
    address: str
    timezone: str
    commodity: str
    tariff_id: str
    valid_from: date
    valid_to: date | None
    gas_area: str | None = None


def in_force(agreement: Agreement, period: str) -> Period | None:
    """The local days of month `period` on which the agreement applies; None where there are none."""
    return local_month(period, agreement.timezone).within(agreement.valid_from, agreement.valid_to)


@lru_cache(maxsize=1024)
def local_month(period: str, timezone: str) -> Period:
    """The month `YYYY-MM` as it is in a time zone."""
    return Period.month(period, zone_named(timezone))


def overlapping(agreements: Iterable[Agreement]) -> list[tuple[Agreement, Agreement]]:
    """Pairs of agreements that would bill the same usage point and commodity for the same day."""
    places: dict[tuple[str, str], list[Agreement]] = defaultdict(list)
    for agreement in agreements:
        places[agreement.usage_point, agreement.commodity].append(agreement)
    pairs = []
    for together in places.values():
        together.sort(key=lambda each: each.valid_from)
        furthest = together[0]
        for agreement in together[1:]:
            if agreement.valid_from < (furthest.valid_to or date.max):
                pairs.append((furthest, agreement))
            furthest = max(furthest, agreement, key=lambda each: each.valid_to or date.max)
    return pairs
