"""Billing groups: accounts that are billed together, and the local days of their billing periods.

A billing period is called by the month `YYYY-MM` its last day lies in. Most are calendar months; a group may begin its
periods on another day of the month, or go by a list of dates on which its meters are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise

from headend.errors import InvalidInput
from headend.reads.days import Period, next_period, previous_period, zone_named

#: Who is in no other group is in this one.
MONTHLY = "monthly"
#: Every month has it.
_LAST_FIRST_DAY = 28
# Periods are called by months of these years, without the last: days of a period may lie in the next one.
_FIRST_YEAR, _LAST_YEAR = 1971, 2999


@dataclass(frozen=True, slots=True)
class BillingGroup:
    """Accounts that are billed together.

    Parameters
    ----------
    first_day
        day of the month (1 to 28) on which a period begins.
    reading_dates
        by period, the local day on which the meters are read, where that is another: the first day of the next period.
    """

    name: str = MONTHLY
    first_day: int = 1
    reading_dates: tuple[tuple[str, date], ...] = ()

    def days(self, period: str, timezone: str) -> Period:
        """The local days of a billing period."""
        return _days(self, period, timezone)

    def period_of(self, day: date) -> str:
        """The billing period that a local day lies in."""
        period = previous_period(f"{day:%Y-%m}")
        while self.end_of(period) <= day:
            period = next_period(period)
        return period

    def end_of(self, period: str) -> date:
        """The first local day after a billing period."""
        for named, read_on in self.reading_dates:
            if named == period:
                return read_on
        last_month = next_period(period) if self.first_day == 1 else period
        return date(int(last_month[:4]), int(last_month[5:]), self.first_day)


#: Billed by calendar months.
CALENDAR_MONTHS = BillingGroup()


@dataclass(frozen=True, slots=True)
class Membership:
    """An account is in a group from the local day `since` up to and without `until`; None: open.

    Memberships of one account follow one another, and no two of them share a billing period: `check_memberships`.
    """

    group: BillingGroup = CALENDAR_MONTHS
    since: date | None = None
    until: date | None = None


#: Of an account that nothing was ever said about.
ALWAYS_MONTHLY = (Membership(),)


def check_group(group: BillingGroup) -> None:
    """Raise `InvalidInput` where a group's periods would not follow one another, or be called by another month."""
    where = f"group {group.name}"
    if not 1 <= group.first_day <= _LAST_FIRST_DAY:
        raise InvalidInput(f"{where}: first day", str(group.first_day), f"a day of the month, 1 to {_LAST_FIRST_DAY}")
    for period, read_on in group.reading_dates:
        month = Period.month(period, zone_named("UTC"))
        earliest = month.first + timedelta(days=1)
        # Then they rise, and each period has a day.
        if not earliest <= read_on <= month.end:
            expected = f"{earliest} to {month.end}: a period is called by the month its last day lies in"
            raise InvalidInput(f"{where}: {period} is read on", str(read_on), expected)


def check_memberships(account: str, memberships: tuple[Membership, ...]) -> None:
    """Raise `InvalidInput` where a change of group would bill an account twice in a period, or leave days out."""
    for before, after in pairwise(memberships):
        day = after.since
        if day is None or before.until != day or (before.since is not None and before.since >= day):
            raise InvalidInput(f"account {account}: group {after.group.name}", f"from {day} on", "a day after the last")
        if not _FIRST_YEAR <= day.year < _LAST_YEAR:
            expected = f"a day of the years {_FIRST_YEAR} to {_LAST_YEAR - 1}"
            raise InvalidInput(f"account {account}: group {after.group.name}", f"from {day} on", expected)
        last = before.group.period_of(date.fromordinal(day.toordinal() - 1))
        if after.group.period_of(day) <= last:
            raise InvalidInput(
                f"account {account}: group {after.group.name}",
                f"from {day} on, in period {last} of group {before.group.name}",
                _possible(before.group, after.group, last),
            )


def _possible(before: BillingGroup, after: BillingGroup, last: str) -> str:
    """How an account gets from one group to another, where it cannot within period `last` of the first."""
    end = after.end_of(last)
    if after.period_of(end) > before.period_of(date.fromordinal(end.toordinal() - 1)):
        return f"a day of a later period, such as {end}"
    # Its periods end later in the month, each time: only a longer period leads over.
    read_on = before.end_of(last)
    return f"a group like {after.name} whose meters are read on {read_on} for {last}, from {read_on} on"


@lru_cache(maxsize=4096)
def _days(group: BillingGroup, period: str, timezone: str) -> Period:
    zone = zone_named(timezone)
    Period.month(period, zone)
    return Period(group.end_of(previous_period(period)), group.end_of(period), zone)
