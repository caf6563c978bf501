"""What two sides say differently of an interval: all counted, the first of them named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Difference:
    """One interval of which the store and somebody else say otherwise.

    Parameters
    ----------
    meter, channel, start_s
        the meter's name, the OBIS code, the interval's begin [s since 1970].
    what
        the first thing of it that differs: value, quality, flags, version, register.
    stored, told
        that of the store, and what the other says [base units, codes]; None: nothing.
    by
        who says otherwise.
    """

    meter: str
    channel: str
    start_s: int
    what: str
    stored: int | None
    told: int | None
    by: Literal["journal", "InfluxDB"]


@dataclass(slots=True)
class Differences:
    """Differences as they are found.

    Parameters
    ----------
    shown
        how many are kept in `first`; `count` counts all.
    """

    shown: int
    count: int = 0
    first: list[Difference] = field(default_factory=list)

    @property
    def room(self) -> int:
        """How many more are named."""
        return self.shown - len(self.first)

    def add(self, difference: Difference) -> None:
        """One more."""
        self.count += 1
        if self.room:
            self.first.append(difference)
