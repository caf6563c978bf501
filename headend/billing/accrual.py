"""What a customer's running billing period costs so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from headend.billing.agreements import period_at
from headend.billing.cycle import BillException
from headend.billing.ports import Office
from headend.billing.segments import rate_agreements
from headend.billing.statement import Segment
from headend.errors import NotFound
from headend.reads.days import zone_named


@dataclass(frozen=True, slots=True)
class CostSoFar:
    """The running month of one account, rated as if it ended now with no further use.

    Parameters
    ----------
    reads_end
        up to where each agreement has reads, at least [UTC]; None where nothing can be rated.
    segments
        provisional: validation has not seen all reads, and missing ones count as zero. Limits of tiers and standing
        charges are those of the whole month, so that the last day's figure is the statement's. `daily` ends with the
        day of the last read.
    problems
        agreements that cannot be rated, and why.
    """

    period: str
    reads_end: datetime | None
    segments: tuple[Segment, ...]
    problems: tuple[BillException, ...]


def cost_so_far(office: Office, account: str, now: datetime) -> CostSoFar:
    """What the billing period that `now` lies in costs an account so far, by the engine that makes its statement."""
    with office.database.read() as tx:
        records = office.records(tx)
        agreements = records.agreements(account)
        if not agreements:
            raise NotFound(f"account {account!r} has no service agreement")
        today = now.astimezone(zone_named(agreements[0].timezone)).date()
        period = period_at(agreements[0].account, today)
        rated = rate_agreements(records, office.tariffs, agreements, period, provisional=True)
    ends = [each.reads_end for each in rated.segments]
    segments = tuple(_until(each.segment, each.reads_end) for each in rated.segments)
    return CostSoFar(period, min(ends, default=None), segments, tuple(rated.exceptions))


def _until(segment: Segment, reads_end: datetime) -> Segment:
    last = (reads_end - timedelta(seconds=1)).astimezone(zone_named(segment.timezone)).date()
    return replace(segment, daily=tuple(use for use in segment.daily if use.day <= last))
