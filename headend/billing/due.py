"""Which cycles are to be rated by themselves on a day: of every billing group, and for who moved out.

A group's period is due so many days after its end. What is rated then and still has exceptions is due again every day,
until a clerk has reviewed it or the next period is due: reads that came late, prices and decisions count then. Whoever
moved out gets the final bill so many days after the last one, in a cycle of its own, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from headend.billing.cycle import BEFORE_APPROVAL, BillCycle, CycleScope, CycleState
from headend.billing.groups import CALENDAR_MONTHS, BillingGroup
from headend.billing.ports import Ledger, Office, Reviews
from headend.reads.days import previous_period


@dataclass(frozen=True, slots=True)
class Due:
    """A cycle to be rated; `scope` None: it is there already."""

    period: str
    name: str
    scope: CycleScope | None


def due_cycles(office: Office, zone: ZoneInfo, wait_days: int) -> list[Due]:
    """Cycles that are to be rated now.

    Parameters
    ----------
    zone
        whose day it is.
    wait_days
        days from the end of what is billed until it is rated.
    """
    today = office.clock().astimezone(zone).date()
    with office.database.read() as tx:
        ledger, reviews, records = office.ledger(tx), office.reviews(tx), office.records(tx)
        groups = {CALENDAR_MONTHS.name: CALENDAR_MONTHS, **records.groups()}
        due: list[Due] = []
        for _, group in sorted(groups.items()):
            due += _regular(ledger, reviews, group, today, zone, wait_days)
            due += _final(ledger, reviews, group, today, zone, wait_days)
    return due


def _regular(
    ledger: Ledger, reviews: Reviews, group: BillingGroup, today: date, zone: ZoneInfo, wait_days: int
) -> Iterator[Due]:
    """The last period that is over; none of a group that nobody is to be billed in."""
    period = previous_period(group.period_of(today))
    if today < group.end_of(period) + timedelta(days=wait_days):
        return
    cycle = ledger.cycle(group.name, period)
    if cycle is None and not reviews.has_accounts(group.name, group.days(period, zone.key)):
        return
    if _is_due(cycle, today, zone):
        yield Due(period, group.name, CycleScope(group.name) if cycle is None else None)


def _is_due(cycle: BillCycle | None, today: date, zone: ZoneInfo) -> bool:
    """Whether a cycle is not rated yet, or was on an earlier day and refused somebody."""
    if cycle is None or cycle.state in (CycleState.OPEN, CycleState.COLLECTED, CycleState.RATING):
        return True
    rated_on = cycle.changed_at.astimezone(zone).date()
    return cycle.state == CycleState.RATED and cycle.totals.excepted > 0 and rated_on < today


def _final(
    ledger: Ledger, reviews: Reviews, group: BillingGroup, today: date, zone: ZoneInfo, wait_days: int
) -> Iterator[Due]:
    """Final bills before the period is billed as a whole."""
    running = group.period_of(today)
    for period in (previous_period(running), running):
        end = min(group.end_of(period), today - timedelta(days=wait_days))
        # From then on the regular cycle has them.
        if today >= group.end_of(period) + timedelta(days=wait_days):
            continue
        left = reviews.moved_out(group.name, period, group.end_of(previous_period(period)), end)
        cycle = _next_final(ledger, group, period)
        refused = isinstance(cycle, BillCycle) and _is_due(cycle, today, zone)
        if left or refused:
            name = cycle if isinstance(cycle, str) else cycle.name
            scope = CycleScope(group.name, final=True) if isinstance(cycle, str) else None
            yield Due(period, name, scope)


def _next_final(ledger: Ledger, group: BillingGroup, period: str) -> BillCycle | str:
    """The first cycle of final bills that is not approved yet, or what the next one is called."""
    stem = "final" if group == CALENDAR_MONTHS else f"{group.name}-final"
    number, name = 1, stem
    while (cycle := ledger.cycle(name, period)) is not None:
        if cycle.state in BEFORE_APPROVAL:
            return cycle
        number += 1
        name = f"{stem}-{number}"
    return name
