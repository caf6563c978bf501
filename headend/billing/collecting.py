"""Whether the reads of a cycle are there: the gate before it is rated.

It counts whole days, as the store knows them without reading one: an account has all its reads once validation has
closed every day that its meters measured. What little lies at the edges of the period rating looks at itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from headend.billing.agreements import Agreement, in_force
from headend.billing.cycle import BillCycle, CycleScope, CycleState, advance, check_step, open_cycle
from headend.billing.groups import CALENDAR_MONTHS
from headend.billing.partitions import cut
from headend.billing.parts import USE_CHANNEL, by_usage_point, hung_at
from headend.billing.ports import MeterChannel, Office, Records, Reviews
from headend.billing.scope import accounts_of, agreements_of, check_scope, usual_scope
from headend.errors import BillingConflict
from headend.reads.days import DAY_S, Period, seconds


@dataclass(frozen=True, slots=True)
class Gathered:
    """How many accounts a cycle bills, and of how many all reads are there.

    Parameters
    ----------
    missing
        the first account that is not complete, and what it lacks; None: there is none.
    end
        when the last day that is billed is over.
    """

    accounts: int
    complete: int
    missing: str | None
    end: datetime | None

    def __str__(self) -> str:
        return f"{self.complete:,} of {self.accounts:,} accounts have all their reads"

    def is_enough(self, share: Decimal) -> bool:
        """Whether so many of the accounts are complete."""
        return self.complete >= share * self.accounts


def collect_cycle(
    office: Office, period: str, name: str, clerk: str, scope: CycleScope | None = None, *, anyway: str = ""
) -> tuple[BillCycle, Gathered]:
    """Look whether the reads of a cycle are there: if so, or if a clerk says why it goes on anyway, it is collected.

    Raises
    ------
    BillingConflict
        too few accounts have their reads, and the last day to wait has not come; days of the period still run; the
        cycle is rated already.
    NotFound
        there is no such group, or account in it.
    """
    with office.database.read() as tx:
        records, before = office.records(tx), office.ledger(tx).cycle(name, period)
        cycle = before or open_cycle(name, period, office.clock(), clerk, scope or usual_scope(records, name))
        check_step(cycle, "collect")
        check_scope(records, cycle, office.clock())
        gathered = gather(records, office.reviews(tx), cycle, office.clock())
    note = _note(office, cycle, gathered, anyway)
    with office.database.write() as tx:
        ledger = office.ledger(tx)
        if ledger.cycle(name, period) != before:
            raise BillingConflict(f"cycle {cycle.id} was changed while its reads were counted: collect it again")
        cycle = advance(cycle, "collect", office.clock(), clerk)
        ledger.keep_cycle(cycle)
        office.reviews(tx).note(cycle, "collect", note)
    return cycle, gathered


def collected_note(office: Office, records: Records, reviews: Reviews, cycle: BillCycle, anyway: str = "") -> str:
    """What a cycle is collected by, where it is rated without having been; "" where it was.

    Nothing is counted where the last day to wait has come.

    Raises
    ------
    BillingConflict
        too few accounts have their reads.
    """
    if cycle.state != CycleState.OPEN:
        return ""
    now, gate = office.clock(), office.gate
    if not gate.share:
        return "no share of complete accounts is asked for"
    if not cycle.scope.final and now >= (until := _last_end(records, cycle) + timedelta(days=gate.days)):
        return _waited(until)
    return _note(office, cycle, gather(records, reviews, cycle, now), anyway)


def _last_end(records: Records, cycle: BillCycle) -> datetime:
    group = records.groups().get(cycle.scope.group, CALENDAR_MONTHS)
    ends = (group.days(cycle.period, zone).end_utc for zone in records.timezones())
    return max(ends, default=group.days(cycle.period, "UTC").end_utc)


def _waited(until: datetime) -> str:
    return f"the last day to wait was over at {until:%Y-%m-%d %H:%M} UTC"


def _note(office: Office, cycle: BillCycle, gathered: Gathered, anyway: str) -> str:
    """What the gate is passed by; raises `BillingConflict` where it is shut."""
    gate = office.gate
    if gathered.is_enough(gate.share):
        return str(gathered)
    until = (gathered.end or office.clock()) + timedelta(days=gate.days)
    if office.clock() >= until:
        return f"{gathered}; {_waited(until)}"
    if anyway.strip():
        return f"{gathered}; anyway: {anyway.strip()}"
    raise BillingConflict(
        f"cycle {cycle.id}: {gathered}, {100 * gate.share:f} % are asked for; first {gathered.missing}."
        f" Wait until {until:%Y-%m-%d %H:%M} UTC, or rate it anyway with a reason"
    )


def gather(records: Records, reviews: Reviews, cycle: BillCycle, now: datetime) -> Gathered:
    """Count the accounts of a cycle, and those whose reads are all there; who is left out is not asked about."""
    accounts = complete = 0
    missing: str | None = None
    ends: list[datetime] = []
    excluded = reviews.excluded(cycle)
    for some in cut(accounts_of(records, cycle)):
        due = [each for each in agreements_of(records, cycle, some, now) if each.account.id not in excluded]
        lacking = dict(_lacking(records, reviews, due, cycle.period))
        of = {agreement.account.id for agreement in due}
        accounts += len(of)
        complete += len(of - lacking.keys())
        if missing is None and lacking:
            account = min(lacking)
            missing = f"{account}: {lacking[account]}"
        ends += [max(days.end_utc for each in due if (days := in_force(each, cycle.period)) is not None)] if due else []
    return Gathered(accounts, complete, missing, max(ends, default=None))


def _lacking(
    records: Records, reviews: Reviews, agreements: Sequence[Agreement], period: str
) -> Iterator[tuple[str, str]]:
    """Accounts that do not have all their reads, and what they lack."""
    hung = by_usage_point(records.channels({agreement.usage_point for agreement in agreements}))
    asked: list[tuple[Agreement, MeterChannel, range]] = []
    for agreement in agreements:
        days = in_force(agreement, period)
        if days is None:
            continue
        meters = hung_at(hung, agreement.usage_point, USE_CHANNEL[agreement.commodity], days)
        if not meters:
            yield agreement.account.id, f"no {agreement.commodity} meter at {agreement.usage_point}"
        asked += [(agreement, meter, _whole_days(meter, days)) for meter in meters]
    spans = [days for _, _, days in asked if days]
    if not spans:
        return
    keys = list({(meter.meter, meter.channel.code) for _, meter, _ in asked})
    there = reviews.whole_days(keys, min(days.start for days in spans), max(days.stop for days in spans))
    for agreement, meter, span in asked:
        whole = sum(1 for day in there[meter.meter, meter.channel.code] if day in span)
        if whole < len(span):
            yield agreement.account.id, f"{meter.meter_name} has {whole} of {len(span)} days"


def _whole_days(meter: MeterChannel, days: Period) -> range:
    """The UTC days that lie mostly within local ones, and on which a meter hung all day [days since 1970]."""
    first, end = (_mostly_after(seconds(at)) for at in (days.start_utc, days.end_utc))
    first = max(first, -(-meter.installed_s // DAY_S))
    return range(first, end if meter.removed_s is None else max(first, min(end, meter.removed_s // DAY_S)))


def _mostly_after(begin_s: int) -> int:
    """The first UTC day of which at least half comes after a moment."""
    return -((DAY_S // 2 - begin_s) // DAY_S)
