"""What validation found: one row for each interval and rule, in columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["info", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's word on one interval.

    Parameters
    ----------
    start_s
        begin of the interval, UTC [s since 1970].
    rule
        its id: V1 to V13 for validation, E1 to E4 for estimation.
    detail
        one sentence with the numbers that were compared.
    """

    meter: int
    channel: int
    start_s: int
    rule: str
    severity: Severity
    detail: str


@dataclass(slots=True)
class Findings:
    """Findings, in the order they were made."""

    rows: list[Finding] = field(default_factory=list)

    def add(self, meter: int, channel: int, start_s: int, rule: str, severity: Severity, detail: str) -> None:
        """One more."""
        self.rows.append(Finding(meter, channel, start_s, rule, severity, detail))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)
