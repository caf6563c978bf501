"""Whom a cycle bills: the accounts of its scope, their agreements, and whether their days are over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from headend.billing.agreements import Agreement, billing_days, group_in, in_force
from headend.billing.cycle import BillCycle, CycleScope
from headend.billing.groups import CALENDAR_MONTHS, MONTHLY
from headend.billing.partitions import cut
from headend.billing.ports import AccountRange, Records
from headend.errors import BillingConflict, NotFound
from headend.reads.days import Period, midnight, zone_named


def usual_scope(records: Records, name: str) -> CycleScope:
    """Whom a cycle bills that is told nothing else: the group it is called as, or the monthly one."""
    return CycleScope(name if name in records.groups() else MONTHLY)


def accounts_of(records: Records, cycle: BillCycle) -> Iterable[str]:
    """Ids of the accounts that a cycle looks at, in order: all, or those it names."""
    named = set(cycle.scope.accounts)
    return (account for account in records.accounts() if not named or account in named)


def agreements_of(records: Records, cycle: BillCycle, accounts: AccountRange, now: datetime) -> list[Agreement]:
    """Agreements of a range of accounts that a cycle bills: in force on a day of its period, of who is in its scope."""
    scope, period, every = cycle.scope, cycle.period, records.agreements_between(accounts)
    named = set(scope.accounts)
    found = [
        agreement
        for agreement in every
        if (not named or agreement.account.id in named)
        and in_force(agreement, period)
        and group_in(agreement.account, period).name == scope.group
    ]
    return _moved_out(every, found, period, now) if scope.final else found


def _moved_out(
    every: Sequence[Agreement], agreements: Sequence[Agreement], period: str, now: datetime
) -> list[Agreement]:
    """Those of accounts whose last agreement ended within the period and is over."""
    ends: dict[str, date] = {}
    for agreement in every:
        end = agreement.valid_to or date.max
        ends[agreement.account.id] = max(end, ends.get(agreement.account.id, end))

    def is_over(agreement: Agreement) -> bool:
        last, days = ends[agreement.account.id], billing_days(agreement, period)
        return days.first < last <= days.end and midnight(last, days.zone) <= now

    return [agreement for agreement in agreements if is_over(agreement)]


def check_scope(records: Records, cycle: BillCycle, now: datetime) -> None:
    """Look whether a cycle can bill whom it is to bill.

    Raises
    ------
    NotFound
        there is no such group, or an account that is named is not in it.
    BillingConflict
        days of the period that are billed still run: they could be issued for good.
    """
    scope, period, groups = cycle.scope, cycle.period, records.groups()
    if scope.group != MONTHLY and scope.group not in groups:
        raise NotFound(f"no billing group is called {scope.group!r}")
    group = groups.get(scope.group, CALENDAR_MONTHS)
    over = now >= max(
        (group.days(period, zone).end_utc for zone in records.timezones()),
        default=datetime.max.replace(tzinfo=now.tzinfo),
    )
    if over and not scope.accounts:
        return
    # Where nobody is billed, the calendar says whether the month is over.
    end, nobody, billed = Period.month(period, zone_named("UTC")).end_utc, True, set[str]()
    for accounts in cut(accounts_of(records, cycle)):
        for agreement in agreements_of(records, cycle, accounts, now):
            days = in_force(agreement, period)
            if days is not None:
                end, nobody = days.end_utc if nobody else max(end, days.end_utc), False
            if scope.accounts:
                billed.add(agreement.account.id)
    if missing := sorted(set(scope.accounts) - billed):
        raise NotFound(f"no account {missing[0]!r} has an agreement in {period} in group {scope.group}")
    if now < end:
        raise BillingConflict(f"{period} is not over before {end:%Y-%m-%d %H:%M} UTC: rate it then")
