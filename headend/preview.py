"""What a decision would do: it is done, settled and billed, and then taken back.

So a preview cannot say anything else than what will happen: the same code has done it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from headend.billing.accruals.accounts import accrue
from headend.billing.accruals.rating import Basis
from headend.billing.agreements import Agreement, billing_days, in_force, period_at
from headend.billing.parts import USE_CHANNEL
from headend.billing.segments import rate_agreements
from headend.office import SiteRecords
from headend.process.editing import Decision, Plan, carry_out, needs_second_person, plan_again, plan_of, undone
from headend.reads.channels import EXPORT, REACTIVE
from headend.reads.days import DAY_S, moment, next_period, zone_named
from headend.reads.profiles import LoadProfiles
from headend.reads.quality import Quality
from headend.registry.registry import EnrolledChannel, InstalledChannel, agreements, installed_channels
from headend.site import Site
from headend.store.edits import edit_of
from headend.store.standing import stands
from headend.store.tables import statement

Int64s = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Intervals of one channel, without a hole.

    Parameters
    ----------
    start_s
        begin of the first [s since 1970].
    values
        base units, 0 where missing (n,).
    quality
        (n,)
    """

    start_s: int
    values: Int64s
    quality: Bytes

    @property
    def shown(self) -> list[int | None]:
        """The values; None where there is none."""
        missing = (self.quality == Quality.MISSING).tolist()
        return [None if gone else value for value, gone in zip(self.values.tolist(), missing, strict=True)]


@dataclass(frozen=True, slots=True)
class BillEffect:
    """What a decision means for one account's bill of one month.

    Parameters
    ----------
    before, after
        what the month costs by currency, on the reads there are: what has no value counts as zero. None: there is no
        price for it.
    refused_before, refused_after
        why no bill can be made of it; "": one can, or the month still runs.
    provisional
        the month still runs.
    issued
        the statement that was issued for it; it would be flagged to be billed again.
    """

    account: str
    name: str
    period: str
    before: Mapping[str, Decimal] | None
    after: Mapping[str, Decimal] | None
    refused_before: str
    refused_after: str
    provisional: bool
    issued: str | None

    @property
    def change(self) -> dict[str, Decimal]:
        """What is to be paid more, or less, by currency; nothing where there is no price for one of the two."""
        if self.before is None or self.after is None:
            return {}
        none = Decimal(0)
        return {
            currency: self.after.get(currency, none) - self.before.get(currency, none)
            for currency in sorted({*self.before, *self.after})
        }


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """What a decision would do.

    Parameters
    ----------
    channel
        whose intervals.
    start_s, end_s
        the intervals that are decided on [s since 1970].
    before, after
        these, as they stand and as they would.
    days_before, days_after
        the whole UTC days of all that would change, with what is estimated anew beside the span.
    change
        energy after − before, of the intervals that are decided on [base units].
    second_person
        so much that another person has to confirm it.
    bills
        of every account and month that is touched.
    """

    decision: Decision
    channel: EnrolledChannel
    start_s: int
    end_s: int
    before: Stretch
    after: Stretch
    days_before: Stretch
    days_after: Stretch
    change: int
    second_person: bool
    bills: tuple[BillEffect, ...]

    @property
    def interval_s(self) -> int:
        """Length of an interval [s]."""
        return self.channel.interval_s


def preview(site: Site, decision: Decision) -> Preview:
    """What a decision on an open exception would do; nothing is changed. Raises as `decide` does."""
    return _tried(site, lambda tx: plan_of(tx, site, decision))


def preview_again(site: Site, edit: int) -> Preview:
    """What would happen if what waits were confirmed now; nothing is changed. Raises as `confirm` does."""
    return _tried(site, lambda tx: plan_again(tx, site, edit_of(tx, edit)))


def _tried(site: Site, plan_in: Callable[[Connection], Plan]) -> Preview:
    now = site.clock()
    # Whoever wants to write waits for what comes below, so the registry is read before.
    with site.database.read() as tx:
        every, hung = agreements(tx), installed_channels(tx)
    with site.database.write() as tx, undone(tx):
        plan = plan_in(tx)
        before = _around(tx, site, plan)
        with undone(tx):
            _, change = carry_out(tx, site, plan, now)
            after = _around(tx, site, plan)
            touched = list(_touched(every, hung, plan.channel, _changed_s(before, after, plan), now))
            bills_after = [_total(tx, site, one, now) for one in touched]
        bills_before = [_total(tx, site, one, now) for one in touched]
        issued = _issued(tx, {(one.account, one.period) for one in touched})
    span = _columns(before, plan.start_s, plan.end_s)
    days = _whole_days(before, _changed_s(before, after, plan))
    bills = tuple(
        BillEffect(
            one.account,
            one.name,
            one.period,
            was.money,
            will.money,
            was.refused,
            will.refused,
            one.provisional,
            issued.get((one.account, one.period)),
        )
        for one, was, will in zip(touched, bills_before, bills_after, strict=True)
    )
    return Preview(
        plan.decision,
        plan.channel,
        plan.start_s,
        plan.end_s,
        _stretch(before, span),
        _stretch(after, span),
        _stretch(before, days),
        _stretch(after, days),
        change.net,
        needs_second_person(site, change),
        bills,
    )


def _around(tx: Connection, site: Site, plan: Plan) -> LoadProfiles:
    """The channel over all days that the decision can reach."""
    channel = plan.channel
    far = site.rules.of(channel.customer_class).estimation.look_back_days
    first, end = (plan.start_s // DAY_S - far) * DAY_S, (-(-plan.end_s // DAY_S) + far) * DAY_S
    return site.store.profiles(tx, [plan.exception.key], first, end, channel.interval_s)


def _columns(profiles: LoadProfiles, start_s: int, end_s: int) -> slice:
    return slice((start_s - profiles.start_s) // profiles.interval_s, (end_s - profiles.start_s) // profiles.interval_s)


def _changed_s(before: LoadProfiles, after: LoadProfiles, plan: Plan) -> tuple[int, int]:
    """From the first to the last interval that has a change, or lies in the span [s since 1970]."""
    differs = (before.values != after.values) | (before.quality != after.quality)
    at_s = before.start_s + np.flatnonzero(differs[0]) * before.interval_s
    return (
        min([plan.start_s, *at_s[:1].tolist()]),
        max([plan.end_s, *(at_s[-1:] + before.interval_s).tolist()]),
    )


def _whole_days(profiles: LoadProfiles, stretch_s: tuple[int, int]) -> slice:
    """The columns of the UTC days of a stretch."""
    start_s, end_s = stretch_s
    return _columns(profiles, start_s // DAY_S * DAY_S, -(-end_s // DAY_S) * DAY_S)


def _stretch(profiles: LoadProfiles, columns: slice) -> Stretch:
    start_s = profiles.start_s + columns.start * profiles.interval_s
    return Stretch(start_s, profiles.values[0, columns], profiles.quality[0, columns])


@dataclass(frozen=True, slots=True)
class _Touched:
    """One account's month of which reads may change: the agreements that are billed together, and their channels."""

    account: str
    name: str
    period: str
    agreements: tuple[Agreement, ...]
    channels: tuple[InstalledChannel, ...]
    provisional: bool


@dataclass(frozen=True, slots=True)
class _Records(SiteRecords):
    """Records of some channels that are known already."""

    its: Sequence[InstalledChannel]

    def channels(self, usage_points: Collection[str] | None = None) -> Sequence[InstalledChannel]:
        """These."""
        return [each for each in self.its if usage_points is None or each.usage_point in usage_points]


@dataclass(frozen=True, slots=True)
class _Total:
    money: Mapping[str, Decimal] | None
    refused: str = ""


def _touched(
    every: Sequence[Agreement],
    hung: Sequence[InstalledChannel],
    channel: EnrolledChannel,
    stretch_s: tuple[int, int],
    now: datetime,
) -> Iterator[_Touched]:
    """The accounts and months that are billed by a channel's intervals of a stretch; by account and month."""
    if channel.channel not in (EXPORT, REACTIVE, *USE_CHANNEL.values()):
        return
    its: dict[str, list[Agreement]] = defaultdict(list)
    for one in every:
        if one.usage_point == channel.usage_point and one.commodity == channel.channel.commodity:
            its[one.account.id].append(one)
    for account, here in sorted(its.items()):
        for period in _periods(stretch_s, here[0]):
            if not any(_covers(one, period, stretch_s) for one in here):
                continue
            together = tuple(one for one in every if one.account.id == account and in_force(one, period))
            over = max(billing_days(one, period).end_utc for one in together) <= now
            places = {one.usage_point for one in together}
            channels = tuple(one for one in hung if one.usage_point in places)
            yield _Touched(account, here[0].account.name, period, together, channels, provisional=not over)


def _periods(stretch_s: tuple[int, int], agreement: Agreement) -> list[str]:
    """The billing periods `YYYY-MM` that a stretch lies in."""
    zone = zone_named(agreement.timezone)
    first, last = (moment(at_s).astimezone(zone).date() for at_s in (stretch_s[0], stretch_s[1] - 1))
    periods = [period_at(agreement.account, first)]
    while periods[-1] < period_at(agreement.account, last):
        periods.append(next_period(periods[-1]))
    return periods


def _covers(agreement: Agreement, period: str, stretch_s: tuple[int, int]) -> bool:
    days = in_force(agreement, period)
    return days is not None and days.start_utc < moment(stretch_s[1]) and moment(stretch_s[0]) < days.end_utc


def _total(tx: Connection, site: Site, one: _Touched, now: datetime) -> _Total:
    """What the month costs the account by the reads there are; and why it could not be billed, once it is over."""
    records = _Records(tx, site.store, one.channels)
    refused = ""
    if not one.provisional:
        strictly = rate_agreements(records, site.tariffs, one.agreements, one.period)
        refused = "; ".join(each.detail for each in strictly.exceptions)
    (alike,) = accrue(Basis.of(records, site.tariffs, one.channels), one.agreements, one.period, now)
    (accrual,) = alike.each()
    if accrual.problems:
        return _Total(None, refused or accrual.problems[0])
    money = {} if accrual.currency is None or accrual.amount is None else {accrual.currency: accrual.amount}
    return _Total(money, refused)


def _issued(tx: Connection, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The newest issued statement of each account and period that has one."""
    s = statement.c
    query = (
        select(s.account_id, s.period, s.id)
        .where(s.state == "issued", s.account_id.in_({account for account, _ in wanted}), stands())
        .order_by(s.revision)
    )
    return {(row.account_id, row.period): row.id for row in tx.execute(query) if (row.account_id, row.period) in wanted}
