"""The checks of a billing cycle: what bills would rest on is looked at before they are rated.

V11 asks whether a bill's days are like the weeks before, V13 whether it would be another bill on estimates alone. Both
ask daily use where it is staged; only days that are not, of a month long past or a silent channel, are read. Looking
twice opens nothing twice, and what is no longer found is cleared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from headend.billing.agreements import Account, Agreement, in_force
from headend.billing.parts import USE_CHANNEL, Hung, by_usage_point, hung_during
from headend.billing.ports import AccountRange, MeterChannel
from headend.reads.days import DAY_S, Period, midnight, previous_period, seconds
from headend.registry.registry import agreements, agreements_between, installed_channels
from headend.site import Site
from headend.store import dailyuse, history
from headend.store.bulk import portions
from headend.store.exceptions import BILL_RULES, clear_unfound, open_found, unfound
from headend.store.ledger import SqlLedger
from headend.vee.dailyuse import DAYS, UNKNOWN, DailyUse, nothing_known, use_of_days
from headend.vee.findings import Finding
from headend.vee.highlow import BillDays, high_low
from headend.vee.ruleset import ProlongedRule, RuleSet

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Enough for array operations to pay; a fleet's ten weeks at once would be too much to hold.
_BILLS_AT_ONCE = 2_000
_BLOCKS_AT_ONCE = 20_000

#: Meter, channel, begin and end [s since 1970].
Stretch = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Bill:
    """What one account used of one commodity at one usage point within the month.

    Parameters
    ----------
    agreements
        the account's there.
    days
        the local days to be billed.
    since
        begin of the account's first agreement there [UTC days since 1970].
    is_done
        it is approved or issued already: it tells what others did, and nothing is asked about it.
    there
        the channels that measured at any time.
    around
        those that measured these days or the weeks before.
    stretch
        the channel that findings are put on, and the time it measured of the bill.
    utc_days
        the UTC days that lie mostly within its own [days since 1970].
    """

    agreements: Sequence[Agreement]
    days: Period
    since: int
    is_done: bool
    there: Sequence[MeterChannel]
    around: tuple[MeterChannel, ...]
    stretch: Stretch
    utc_days: tuple[int, int]

    @property
    def account(self) -> Account:
        """Whose it is."""
        return self.agreements[0].account

    def with_those_before(self, period: str, bills: int) -> _Bill | None:
        """The days of so many bills, up to this one of month `period`; None where the account had no agreement then."""
        first = self.days.first
        for _ in range(bills - 1):
            period = previous_period(period)
            before = _in_force(self.agreements, period)
            if before is None:
                return None
            first = before.first
        days = replace(self.days, first=first)
        return replace(self, days=days, around=hung_during(self.there, days), utc_days=_utc_days(days))


def _utc_days(days: Period) -> tuple[int, int]:
    return _utc_day(days.start_s), _utc_day(days.end_s)


def _utc_day(begin_s: int) -> int:
    """The first UTC day of which at least half comes after a moment."""
    return -((DAY_S // 2 - begin_s) // DAY_S)


def check_bills(site: Site, period: str, accounts: AccountRange | None = None) -> int:
    """Look at every bill of month `period` whose days are over, of all accounts or a range.

    Returns
    -------
    int
        exceptions that were opened.

    Raises
    ------
    StoreAway
        the interval store does not tell of days that are not staged.
    """
    now, rules = site.clock(), site.rules
    high: list[Finding] = []
    prolonged: list[Finding] = []
    looked_at: list[Stretch] = []
    class_of: dict[tuple[int, int], str] = {}
    with site.database.read() as tx:
        bills = _bills(tx, rules, period, now, accounts)
        for some in portions(bills, _BILLS_AT_ONCE):
            for customer_class, alike in _by_class(some).items():
                asked = [bill.stretch for bill in alike if not bill.is_done]
                looked_at += asked
                class_of |= {stretch[:2]: customer_class for stretch in asked}
                use = _use_of(tx, site, alike, 7 * rules.of(customer_class).high_low.weeks)
                high += [
                    finding
                    for finding in _high_or_low(alike, use, rules, customer_class)
                    if (finding.meter, finding.channel, finding.start_s, finding.end_s) in asked
                ]
                prolonged += _on_estimates_alone(tx, site, period, alike, use, rules.of(customer_class).prolonged)
        if not high and not prolonged and not unfound(tx, looked_at, (), BILL_RULES):
            return 0  # as of most: who writes waits for the others who do
    by = f"rules {rules.version}"
    with site.database.write() as tx:
        history.keep_findings(tx, [*high, *prolonged], rules.version, now)
        clear_unfound(tx, looked_at, [*high, *prolonged], by=by, now=now, rules=BILL_RULES)
        opened = open_found(tx, high, rules, class_of, now)
        return opened + open_found(tx, prolonged, rules, class_of, now, holding=True)


def _bills(
    tx: Connection, rules: RuleSet, period: str, now: datetime, accounts: AccountRange | None
) -> Iterator[_Bill]:
    its = agreements(tx) if accounts is None else agreements_between(tx, accounts.first, accounts.last)
    points = None if accounts is None else {agreement.usage_point for agreement in its}
    hung = by_usage_point(installed_channels(tx, points))
    done = SqlLedger(tx).billed_for_good(period, accounts)
    places: dict[tuple[str, str, str], list[Agreement]] = defaultdict(list)
    for agreement in its:
        places[agreement.account.id, agreement.usage_point, agreement.commodity].append(agreement)
    for together in places.values():
        days, is_done = _in_force(together, period), together[0].account.id in done
        if days is None or days.end_utc > now:
            continue
        if (bill := _bill(together, days, hung, rules, is_done=is_done)) is not None:
            yield bill


def _bill(together: Sequence[Agreement], days: Period, hung: Hung, rules: RuleSet, *, is_done: bool) -> _Bill | None:
    """None where nothing measures it: it will not be billed."""
    one = together[0]
    there = hung.get((one.usage_point, USE_CHANNEL[one.commodity].code), ())
    billed = hung_during(there, days)
    if not billed:
        return None
    weeks = rules.of(one.account.customer_class).high_low.weeks
    around = billed if len(there) == 1 else hung_during(there, replace(days, first=days.first - timedelta(weeks=weeks)))
    since = min([agreement.valid_from for agreement in together])
    return _Bill(
        together,
        days,
        _utc_day(seconds(midnight(since, days.zone))),
        is_done,
        there,
        around,
        _stretch(billed[-1], days),
        _utc_days(days),
    )


def _stretch(channel: MeterChannel, days: Period) -> Stretch:
    begin_s, end_s = days.start_s, days.end_s
    removed_s = end_s if channel.removed_s is None else min(end_s, channel.removed_s)
    return channel.meter, channel.channel.code, max(begin_s, channel.installed_s), removed_s


def _in_force(together: Sequence[Agreement], period: str) -> Period | None:
    """The days of a month from the first to the last on which one of these agreements applies."""
    if len(together) == 1:
        return in_force(together[0], period)
    parts = [part for agreement in together if (part := in_force(agreement, period)) is not None]
    if not parts:
        return None
    return Period(min(part.first for part in parts), max(part.end for part in parts), parts[0].zone)


def _by_class(bills: Iterable[_Bill]) -> dict[str, list[_Bill]]:
    found: dict[str, list[_Bill]] = defaultdict(list)
    for bill in bills:
        found[bill.account.customer_class].append(bill)
    return found


# -- rules --


def _high_or_low(bills: Sequence[_Bill], use: _Use, rules: RuleSet, customer_class: str) -> list[Finding]:
    """V11. What holds a bill is always asked about: who else should let go of it?"""
    rule = rules.of(customer_class).high_low
    rule = rule.model_copy(update={"review": rule.review or rule.then == "hold_bill"})
    days = [BillDays(*bill.stretch, *bill.utc_days, bill.since) for bill in bills]
    return high_low(days, use.daily, rule)


def _on_estimates_alone(
    tx: Connection, site: Site, period: str, bills: Sequence[_Bill], use: _Use, rule: ProlongedRule
) -> list[Finding]:
    """V13 of bills: this one of month `period` and those before were estimated throughout.

    It is an exception of its own beside that of the meter: the bill may go out while somebody is on the way there.
    """
    if rule.then == "pass":
        return []
    # Of almost every bill all days were read.
    unread = np.logical_or.reduce(use.daily.unread > 0, axis=1).tolist()
    suspects = [
        bill
        for row, bill in enumerate(bills)
        if unread[row] and not bill.is_done and use.is_estimated_throughout(row, *bill.utc_days)
    ]
    several = [its for bill in suspects if (its := bill.with_those_before(period, rule.bills)) is not None]
    found = []
    if several:
        longer = _use_of(tx, site, several, 0)
        for row, bill in enumerate(several):
            if longer.is_estimated_throughout(row, *bill.utc_days):
                meter, channel, start_s, end_s = bill.stretch
                first, last = bill.days.first, bill.days.end - timedelta(days=1)
                bills_in_a_row = f"{rule.bills} bills in a row" if rule.bills > 1 else "the bill"
                detail = f"{bills_in_a_row} on estimates alone: nothing was read from {first} to {last}"
                found.append(Finding(meter, channel, start_s, end_s, "V13b", "warning", detail, review=True))
    return found


# -- daily use of usage points --


@dataclass(frozen=True, slots=True, eq=False)
class _Use:
    """Daily use of usage points, and how many intervals each of their days has (b, d)."""

    daily: DailyUse
    intervals: Int64s

    def is_estimated_throughout(self, row: int, first: int, end: int) -> bool:
        """Whether all of these days are known, and no interval of them was read."""
        days = (self.daily.days >= first) & (self.daily.days < end)
        unread, intervals = self.daily.unread[row, days], self.intervals[row, days]
        return bool((self.daily.total[row, days] >= 0).all() and (unread == intervals).all())


def _use_of(tx: Connection, site: Site, bills: Sequence[_Bill], days_before: int) -> _Use:
    """Use at each bill's usage point on its days and some days before, whichever meter hung there.

    A day is known where every meter that hung there on it is.
    """
    firsts, ends = zip(*[bill.utc_days for bill in bills], strict=True)
    begin, end_day = min(firsts) - days_before, max(ends)
    channels = [channel for bill in bills for channel in bill.around]
    days = np.arange(begin, end_day, dtype=np.int64)
    installed_s = np.array([channel.installed_s for channel in channels])
    still = int(np.iinfo(np.int64).max)
    removed_s = np.array([still if channel.removed_s is None else channel.removed_s for channel in channels])
    hung = (installed_s[:, None] < (days + 1) * DAY_S) & (removed_s[:, None] > days * DAY_S)
    wanted_from = np.repeat(
        np.maximum(np.array(firsts) - days_before, [bill.since for bill in bills]),
        [len(bill.around) for bill in bills],
    )
    use = _staged(tx, channels, begin, end_day)
    _read_the_rest(tx, site, channels, use, hung & (days >= wanted_from[:, None]))
    known = use.total != UNKNOWN
    per_day = np.array([DAY_S // channel.interval_s for channel in channels])[:, None]
    # The channels of a usage point lie side by side, and each has at least one.
    first_of = np.cumsum([0, *(len(bill.around) for bill in bills)])[:-1]
    total, unread, intervals, unknown = (
        np.add.reduceat(np.where(hung, each, 0), first_of, axis=0)
        for each in (use.total, use.unread, np.broadcast_to(per_day, hung.shape), ~known)
    )
    total[(intervals == 0) | (unknown > 0)] = UNKNOWN
    return _Use(replace(nothing_known(len(bills), end_day, len(days)), total=total, unread=unread), intervals)


def _staged(tx: Connection, channels: Sequence[MeterChannel], begin: int, end_day: int) -> DailyUse:
    """What is staged of days [begin, end_day)."""
    use = nothing_known(len(channels), end_day, end_day - begin)
    keys = [(channel.meter, channel.channel.code) for channel in channels]
    # Who moved out and who moved in have one meter, and a bill each.
    row_of = {key: row for row, key in enumerate(dict.fromkeys(keys))}
    rows, some = [row_of[key] for key in keys], min(DAYS, end_day - begin)
    staged = dailyuse.load(tx, list(row_of), end_day)
    use.total[:, -some:], use.unread[:, -some:] = staged.total[rows, -some:], staged.unread[rows, -some:]
    return use


def _read_the_rest(tx: Connection, site: Site, channels: Sequence[MeterChannel], use: DailyUse, wanted: Bools) -> None:
    """Put in place the days that are wanted and not staged, where there are reads of them."""
    rows, columns = np.nonzero(wanted & (use.total == UNKNOWN))
    lengths = np.array([channels[row].interval_s for row in rows.tolist()])
    for interval_s in np.unique(lengths).tolist():
        alike = np.flatnonzero(lengths == interval_s)
        for some in np.array_split(alike, -(-len(alike) // _BLOCKS_AT_ONCE)):
            row, column = rows[some], columns[some]
            keys = [
                (day, channels[place].meter, channels[place].channel.code)
                for day, place in zip(use.days[column].tolist(), row.tolist(), strict=True)
            ]
            blocks = site.store.load(tx, keys, interval_s)
            there = blocks.present.any(axis=1)
            total, _, _, unread, _ = use_of_days(blocks)
            use.total[row[there], column[there]] = total[there]
            use.unread[row[there], column[there]] = unread[there]
