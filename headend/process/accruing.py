"""Accruals follow the reads: every account of which reads became others is rated again, many at once.

Which these are was noted in the transaction that stored the reads, and is forgotten in one that comes after their
accruals are kept. So whoever dies on the way leaves the note, and the accounts are rated once more; what came ten times
meanwhile is rated once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache

import structlog

from headend.billing.accruals.accounts import accrue
from headend.billing.accruals.accrual import Accrual, AccrualsAlike
from headend.billing.accruals.rating import Basis
from headend.billing.agreements import Agreement, billing_days, period_at
from headend.billing.partitions import ACCOUNTS_A_RANGE
from headend.billing.ports import AccountRange, MeterChannel, Office
from headend.errors import StoreAway
from headend.reads.days import day_of, zone_named
from headend.store import accruals as kept
from headend.store.accruals import ChangedReads
from headend.store.bulk import portions
from headend.tariffs.rating.bill import uncollected

log = structlog.get_logger(__name__)

_DAY = timedelta(days=1)


@dataclass(slots=True)
class Updated:
    """What was updated.

    Parameters
    ----------
    accruals, reads_of
        how many accruals, and how many meter-days of changed reads they follow.
    failed
        accounts that could not be rated for a reason that is no problem of billing; it stands in their accruals.
    """

    accruals: int = 0
    reads_of: int = 0
    failed: list[str] = field(default_factory=list)


def update_accruals(office: Office, *, everybody: bool = False) -> Updated:
    """Rate again every account of which reads became others.

    Parameters
    ----------
    everybody
        and every other whose accrual was made before today, or never: a new day or period begins for all, and prices,
        tariffs and banks may have changed.
    """
    updated = Updated()
    with office.database.read() as tx:
        notes = kept.changed_since(tx)
        if not notes and not everybody:
            return updated
        changed = _changed(notes)
        touched = kept.accounts_measured_by(tx, changed)
        ranges = list(_ranges(office.records(tx).accounts(), None if everybody else touched))
    for accounts in ranges:
        with uncollected():
            _update_range(office, accounts, changed, updated, everybody=everybody)
    with office.database.write() as tx:
        kept.worked_through(tx, notes)
        kept.forget_issued(tx)
    updated.reads_of = sum(len(note.meters) for note in notes)
    return updated


def _changed(notes: Iterable[ChangedReads]) -> dict[int, int]:
    """The first UTC day of which a meter has other reads, by meter."""
    changed: dict[int, int] = {}
    for note in sorted(notes, key=lambda note: -note.day):
        changed.update(dict.fromkeys(note.meters, note.day))
    return changed


def _ranges(accounts: Iterable[str], touched: AbstractSet[str] | None) -> Iterator[AccountRange]:
    """Ranges of accounts, as the database orders them, of which some are touched; None: all are."""
    for its in portions(accounts, ACCOUNTS_A_RANGE):
        if touched is None or not touched.isdisjoint(its):
            yield AccountRange(its[0], its[-1], len(its))


def _update_range(
    office: Office, accounts: AccountRange, changed: Mapping[int, int], updated: Updated, *, everybody: bool
) -> None:
    """Rate what is due of a range, and keep it in one transaction."""
    now = office.clock()
    with office.database.read() as tx:
        records = office.records(tx)
        agreements = records.agreements_between(accounts)
        registry = _Registry.of(agreements, records.channels({each.usage_point for each in agreements}))
        due = registry.due(changed, kept.made_times(tx, accounts), now, everybody=everybody)
        due -= kept.issued(tx, accounts, {period for _, period in due})
    if due:
        _update(office, registry, sorted(due, key=lambda each: (each[1], each[0])), updated)


@dataclass(frozen=True, slots=True)
class _Registry:
    """Who has which agreements, and which meters count for them."""

    agreements: Mapping[str, Sequence[Agreement]]
    channels: Sequence[MeterChannel]
    accounts_at: Mapping[str, frozenset[str]]
    #: Billing periods that reads from a day on are in: of most accounts they are the same.
    found: dict[tuple[object, ...], set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, agreements: Iterable[Agreement], channels: Sequence[MeterChannel]) -> _Registry:
        by_account: dict[str, list[Agreement]] = defaultdict(list)
        accounts_at: dict[str, set[str]] = defaultdict(set)
        for agreement in agreements:
            by_account[agreement.account.id].append(agreement)
            accounts_at[agreement.usage_point].add(agreement.account.id)
        return cls(by_account, channels, {point: frozenset(its) for point, its in accounts_at.items()})

    def due(
        self,
        changed: Mapping[int, int],
        made: Mapping[tuple[str, str], datetime],
        now: datetime,
        *,
        everybody: bool,
    ) -> set[tuple[str, str]]:
        """Accounts and billing periods to rate: those of the reads, those that take over from them, and the running."""
        earliest = self._earliest(changed)
        due: set[tuple[str, str]] = set()
        for account, day in earliest.items():
            due.update([(account, period) for period in self._since(account, day, now)])
        for (account, period), made_at in made.items():
            if (account, period) in due:
                continue
            first = earliest.get(account)
            # A later period may take over a peak or a bank.
            later = first is not None and period >= period_at(self.agreements[account][0].account, first)
            old = everybody and account in self.agreements and self._is_of_another_day(account, made_at, now)
            if later or old:
                due.add((account, period))
        if everybody:
            for account in self.agreements:
                due |= {(account, period) for period in _running(self.agreements[account], now)} - made.keys()
        return due

    def _earliest(self, changed: Mapping[int, int]) -> dict[str, date]:
        """The first UTC day of which an account has other reads."""
        found: dict[str, int] = {}
        for channel in self.channels:
            day = changed.get(channel.meter)
            if day is not None:
                for account in self.accounts_at.get(channel.usage_point, ()):
                    found[account] = min(day, found.get(account, day))
        return {account: day_of(day) for account, day in found.items()}

    def _since(self, account: str, utc_day: date, now: datetime) -> set[str]:
        """The periods of an account's reads of a UTC day, and the running one."""
        its = self.agreements[account]
        terms = [(each.timezone, each.valid_from, each.valid_to) for each in its]
        key = (its[0].account.memberships, utc_day, now, *terms)
        found = self.found.get(key)
        if found is None:
            found = self.found[key] = _periods(its, utc_day, now) | _running(its, now)
        return found

    def _is_of_another_day(self, account: str, made_at: datetime, now: datetime) -> bool:
        zone = self.agreements[account][0].timezone
        return made_at.astimezone(zone_named(zone)).date() != _today(zone, now)


def _running(its: Sequence[Agreement], now: datetime) -> set[str]:
    """The period that now lies in, where one of an account's agreements is in force in it."""
    today = _today(its[0].timezone, now)
    period = period_at(its[0].account, today)
    return {period} if any(_holds(each, today) or _in_force(each, period) for each in its) else set()


def _periods(its: Sequence[Agreement], utc_day: date, now: datetime) -> set[str]:
    """Periods that have begun and hold a local day of an agreement which may lie in a UTC day."""
    today = _today(its[0].timezone, now)
    return {
        period_at(its[0].account, day)
        for day in (utc_day - _DAY, utc_day, utc_day + _DAY)
        if day <= today and any(_holds(each, day) for each in its)
    }


def _holds(agreement: Agreement, day: date) -> bool:
    return agreement.valid_from <= day and (agreement.valid_to is None or day < agreement.valid_to)


@lru_cache(maxsize=256)
def _today(timezone: str, now: datetime) -> date:
    return now.astimezone(zone_named(timezone)).date()


def _in_force(agreement: Agreement, period: str) -> bool:
    days = billing_days(agreement, period)
    return days.within(agreement.valid_from, agreement.valid_to) is not None


def _update(office: Office, registry: _Registry, due: Sequence[tuple[str, str]], updated: Updated) -> None:
    """Rate and keep some; what fails is tried again by halves, until the account at fault is alone."""
    made_at = office.clock()
    try:
        made = _made(office, registry, due)
    except StoreAway:
        raise
    except Exception as error:
        if len(due) > 1:
            half = len(due) // 2
            _update(office, registry, due[:half], updated)
            _update(office, registry, due[half:], updated)
            return
        account, period = due[0]
        log.exception("an account cannot be rated", account=account, period=period, error=str(error))
        updated.failed.append(account)
        made = [AccrualsAlike(_at_fault(registry.agreements[account], period, error), 1)]
    with office.database.write() as tx:
        kept.keep_accruals(tx, made, made_at)
    updated.accruals += len(due)


def _made(office: Office, registry: _Registry, due: Sequence[tuple[str, str]]) -> list[AccrualsAlike]:
    periods: dict[str, list[Agreement]] = defaultdict(list)
    for account, period in due:
        periods[period] += registry.agreements[account]
    with office.database.read() as tx:
        basis = Basis.of(office.records(tx), office.tariffs, registry.channels)
        return [each for period, its in periods.items() for each in accrue(basis, its, period, office.clock())]


def _at_fault(agreements: Sequence[Agreement], period: str, error: Exception) -> Accrual:
    days = billing_days(agreements[0], period)
    return Accrual(
        account=agreements[0].account.id,
        period=period,
        first=days.first,
        last=days.end - _DAY,
        currency=None,
        amount=None,
        through=None,
        segments=(),
        forecast=None,
        no_forecast="it cannot be rated",
        problems=(f"it cannot be rated: {error!r}",),
    )
