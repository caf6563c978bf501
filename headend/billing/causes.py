"""Why a segment would be another today, beside its reads: what it rests on, then and now, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from headend.billing.alike import RatedSegment
from headend.billing.recount import channels_of
from headend.billing.statement import Segment, Statement
from headend.errors import few

#: What a bill rests on beside reads, in words, by the names of the statement's format.
_RESTS_ON: Final = {
    "gas": "what gas is worth",
    "brought": "the bank before",
    "peaks": "peaks of earlier months",
    "events": "events",
    "prices": "published prices",
    "calendar_sha256": "the calendar",
    "days": "the days of the agreement",
}


def causes_since(where: str, statement: Statement, segment: Segment, today: RatedSegment | None) -> Iterator[str]:
    """What a segment rests on, beside reads, that is otherwise today."""
    if today is None:
        yield f"{where}: today the agreement {segment.agreement} has no days from {segment.first} on"
        return
    its = today.segment
    if its.tariff != segment.tariff:
        yield (
            f"{where}: the tariff was {segment.tariff.id} {segment.tariff.sha256[:12]}, today it is {its.tariff.id}"
            f" {its.tariff.sha256[:12]}"
        )
    if today.agreement.account.customer_class != statement.customer.customer_class:
        yield (
            f"{where}: the customer was {statement.customer.customer_class}, today"
            f" {today.agreement.account.customer_class}"
        )
    if channels_of(its) != channels_of(segment):
        yield f"{where}: meters were {_named(segment)}, today they are {_named(its)}"
    if segment.calendar_sha256 is None or its.days != segment.days:
        its = replace(its, calendar_sha256=segment.calendar_sha256)
    for name, words in _RESTS_ON.items():
        was, now = getattr(segment, name), getattr(its, name)
        if was != now and name == "peaks":
            # The names of periods came into the format later.
            was, now = ([replace(peak, period=None) for peak in peaks] for peaks in (was, now))
        if was != now:
            yield f"{where}: {words}: {_difference(was, now)}"


def _named(segment: Segment) -> str:
    return ", ".join(" ".join(each) for each in channels_of(segment))


def _difference(was: Any, now: Any) -> str:
    if isinstance(was, str | None) and isinstance(now, str | None):
        return f"digest {str(was)[:12]}, today {str(now)[:12]}"
    if isinstance(was, Collection) and isinstance(now, Collection):
        gone, new = ([each for each in one if each not in other] for one, other in ((was, now), (now, was)))
        return f"{_short(gone)}, today {_short(new)}"
    return f"{was}, today {now}"


def _short(items: Sequence[object]) -> str:
    texts = [" ".join(str(part) for part in _parts(item)) for item in items]
    return few(texts, most=3, between="; ") or "nothing"


def _parts(item: object) -> list[object]:
    names = getattr(item, "__dataclass_fields__", None)
    parts = [item] if names is None else [getattr(item, name) for name in names]
    return [
        f"{part[:12]}…" if isinstance(part, str) and len(part) == 64 else part for part in parts if part is not None
    ]
