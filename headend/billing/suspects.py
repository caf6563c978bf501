"""Which of many drafts alike a rule of review may find something about: the others are not looked at one by one.

A rule asks one statement in exact numbers and says what it found in words. Of almost all drafts it finds nothing, which
can be seen of all of them at once in floats: with a hair's breadth to spare, so that none is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from headend.billing.agreements import Agreement
from headend.billing.columns import Values, nearly
from headend.billing.review import Finding, Ground, findings_of, is_back_billed, peer_group
from headend.billing.statement import Segment, Statement, StatementsAlike

Bools = NDArray[np.bool_]

# Floats have 15 digits, and no bill has more.
_HAIR = 1e-9


def findings_among(
    bills: Iterable[StatementsAlike], agreements: Mapping[str, Sequence[Agreement]], ground: Ground
) -> Iterator[Finding]:
    """What looks wrong about drafts.

    Parameters
    ----------
    agreements
        what the cycle bills, by account.
    """
    for alike in bills:
        suspects = suspected(alike.form, alike.n, ground)
        for statement in alike.some(suspects).without_days().each() if suspects else ():
            yield from findings_of(statement, agreements[statement.customer.account], ground)


def suspected(form: Statement, n: int, ground: Ground) -> list[int]:
    """Places of the statements of a form that a rule may find something about; of no other does one find anything."""
    if n == 1 or _all_suspected(form, ground):
        return list(range(n))
    (segment,) = form.segments
    marks = np.logical_or.reduce(
        [np.zeros(n, np.bool_), *_by_use(form, segment, n, ground), *_by_money(form, n, ground)]
    )
    return np.flatnonzero(marks).tolist()


def _all_suspected(form: Statement, ground: Ground) -> bool:
    """Whether a rule may find something about what all of them have in common."""
    limits, segments = ground.limits, form.segments
    if len(segments) > 1 or isinstance(segments[0].meters, Values):
        return True
    usual, meters = limits.days, len(segments[0].meters)
    unusual = usual is not None and not usual[0] <= form.days <= usual[1]
    return unusual or (limits.meter_change and meters > 1) or is_back_billed(form, ground)


def _by_use(form: Statement, segment: Segment, n: int, ground: Ground) -> Iterator[Bools]:
    limits, usage = ground.limits, nearly(segment.usage, n)
    a_day = usage / segment.days
    if limits.estimated_share:
        yield nearly(segment.estimated_intervals, n) > 0
    if segment.commodity in limits.zero_use:
        yield usage == 0
    if limits.negative:
        yield usage < 0
    if (then := segment.last_year) is not None:
        yield _unlike(a_day, nearly(then.quantity, n) / nearly(then.days, n), limits.high_use, limits.low_use)
    peers = ground.peers.get(peer_group(form, segment))
    if peers is not None and limits.unlike_peers:
        yield _unlike(a_day, np.float64(peers.median / 1000), limits.unlike_peers, 1 / limits.unlike_peers)
    for meter in segment.meters if limits.register_difference else ():
        if meter.opening is not None and meter.closing is not None:
            advance = nearly(meter.closing.value, n) - nearly(meter.opening.value, n)
            yield advance < 0  # it may have begun anew
            yield np.abs(advance - nearly(meter.quantity, n)) > float(limits.register_difference) * (1 - _HAIR)


def _unlike(a_day: NDArray[np.float64], other: NDArray[np.float64] | np.float64, high: Decimal, low: Decimal) -> Bools:
    """Whether use is above or below so many times another; 0: not asked."""
    marks = np.zeros(a_day.shape, dtype=np.bool_)
    if high:
        marks |= a_day > other * (float(high) * (1 - _HAIR))
    if low:
        marks |= a_day < other * (float(low) * (1 + _HAIR))
    return marks


def _by_money(form: Statement, n: int, ground: Ground) -> Iterator[Bools]:
    limits, totals = ground.limits, form.totals
    gross = nearly(totals.gross, n)
    if limits.negative:
        yield gross < 0
    if limit := limits.over_limit.get(form.customer.customer_class, {}).get(totals.currency):
        yield np.abs(gross) > float(limit) * (1 - _HAIR)
