"""A draft, of a first bill or of one that corrects another: its segments in order, and why an account gets none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta

from headend.billing.agreements import Agreement, overlapping
from headend.billing.cycle import BillException, ExceptionCode
from headend.billing.ports import Office
from headend.billing.profiles import RequiredItem, is_older
from headend.billing.statement import Segment, Statement
from headend.reads.days import zone_named

_COMMODITIES = ("electricity", "gas", "heat", "water")


def overlaps(agreements: Iterable[Agreement]) -> Iterator[BillException]:
    """Why accounts get no draft of which an agreement overlaps another: the one's and the other's."""
    for one, other in overlapping(agreements):
        for mine, its in ((one, other), (other, one)):
            detail = f"{mine.id} overlaps {its.id}"
            yield BillException(mine.account.id, ExceptionCode.OVERLAPPING_AGREEMENTS, detail)


def on_paper(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """An account's segments as its statement has them: by commodity, agreement and first day."""
    return tuple(sorted(segments, key=_place))


def _place(segment: Segment) -> tuple[int, str, str]:
    return _COMMODITIES.index(segment.commodity), segment.agreement, segment.first.isoformat()


def several_currencies(currencies: Collection[str]) -> str:
    """Why there is no statement where amounts are in more than one currency."""
    return f"one statement cannot be in {' and '.join(sorted(currencies))}"


def today_of(office: Office, statement: Statement) -> date:
    """The day it is where a statement bills."""
    return office.clock().astimezone(zone_named(statement.timezone)).date()


def dated(draft: Statement, today: date, due_days: int) -> Statement:
    """A draft as it is issued on a day."""
    return replace(draft, issued_on=today, due_on=today + timedelta(days=due_days))


def not_shown(office: Office, draft: Statement, older: Sequence[bool]) -> tuple[RequiredItem, ...]:
    """What a draft has to show and does not, looked at as it would be issued today.

    Parameters
    ----------
    older
        of each segment: its agreement was in force on the same days a year before.
    """
    return office.rules.missing(dated(draft, today_of(office, draft), office.due_days), older)


def lacks(office: Office, draft: Statement, agreements: Sequence[Agreement]) -> str | None:
    """What the profile requires and a draft does not show, in words; None where it shows everything.

    Parameters
    ----------
    agreements
        of each segment.
    """
    older = [is_older(*each) for each in zip(agreements, draft.segments, strict=True)]
    items = not_shown(office, draft, older)
    if not items:
        return None
    profile = office.rules.profile_of(draft.customer.customer_class)
    return f"{profile.name} requires: " + "; ".join(f"{item.what} ({item.key}: {item.source})" for item in items)
