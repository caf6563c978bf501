"""Who is billed for what and when: accounts, their service agreements, and the local days these are in force."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import lru_cache

from headend.billing.groups import ALWAYS_MONTHLY, BillingGroup, Membership
from headend.reads.days import Period
from headend.tariffs import BillingWindow


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who gets a statement.

    Parameters
    ----------
    customer_class
        residential, commercial …: which limits validation uses, which tariffs fit.
    locale
        language and number format of the statement, such as de_DE.
    memberships
        in which billing group it is, from when on; in order.
    """

    id: str
    name: str
    customer_class: str
    locale: str
    memberships: tuple[Membership, ...] = ALWAYS_MONTHLY


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
    """The local days of billing period `YYYY-MM` on which the agreement applies; None where there are none."""
    for membership in agreement.account.memberships:
        its = membership.group.days(period, agreement.timezone).within(membership.since or date.min, membership.until)
        if its is not None:
            return its.within(agreement.valid_from, agreement.valid_to)
    return None


def group_in(account: Account, period: str) -> BillingGroup:
    """The group that bills an account's period; of one that it is in no group for, the last it is in."""
    return _group_in(account.memberships, period)


@lru_cache(maxsize=4096)
def _group_in(memberships: tuple[Membership, ...], period: str) -> BillingGroup:
    for membership in memberships:
        days = membership.group.days(period, "UTC")
        if days.within(membership.since or date.min, membership.until) is not None:
            return membership.group
    return memberships[-1].group


def billing_days(agreement: Agreement, period: str) -> Period:
    """All local days of a billing period, as the account's group has them."""
    return group_in(agreement.account, period).days(period, agreement.timezone)


def billing_window(days: Period, period: str, whole: Period) -> BillingWindow:
    """What is rated at once: some days of a billing period, worth as much of a month as they are of all its days."""
    calendar = Period.month(period, whole.zone)
    months = None if whole == calendar else Fraction(days.days, whole.days)
    return BillingWindow(days.first, days.end, days.zone, months, calendar.first)


def period_at(account: Account, day: date) -> str:
    """The billing period that a local day is billed in."""
    return _period_at(account.memberships, day)


@lru_cache(maxsize=4096)
def _period_at(memberships: tuple[Membership, ...], day: date) -> str:
    for membership in memberships:
        if (membership.since or date.min) <= day < (membership.until or date.max):
            return membership.group.period_of(day)
    return memberships[-1].group.period_of(day)


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
