"""What validation found: one row for each stretch of intervals and rule, in columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What a detail says after it is of others, and may change with them: of the channel itself it says nothing new.
OF_OTHERS = " — "

Severity = Literal["info", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's word on one interval, or on several in a row.

    Parameters
    ----------
    start_s, end_s
        begin of the first interval and end of the last, UTC [s since 1970].
    rule
        its id: V1 to V13 for validation, E1 to E4 for estimation.
    detail
        one sentence with the numbers that were compared.
    review
        a person is asked: it becomes an exception.
    """

    meter: int
    channel: int
    start_s: int
    end_s: int
    rule: str
    severity: Severity
    detail: str
    review: bool = False
