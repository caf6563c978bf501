"""The demo's time: which months are played, and the clock the head-end goes by meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from headend.reads.days import DAY_S, Period, midnight, previous_month


class DemoClock:
    """The field's time: standing still, then running ahead."""

    def __init__(self, start: datetime) -> None:
        self._start, self._since, self._speed = start, start, 0.0

    def __call__(self) -> datetime:
        """Now, in the demo's world (UTC)."""
        if not self._speed:
            return self._start
        return self._start + (datetime.now(UTC) - self._since) * self._speed

    def run(self, since: datetime, speed: float) -> None:
        """Let it run, `speed` simulated seconds in a second, since a moment of the real clock."""
        self._since, self._speed = since, speed


@dataclass(frozen=True, slots=True)
class Times:
    """What the demo plays, and what of it is billed.

    Parameters
    ----------
    start, end
        the history (UTC): begins at a local midnight, ends when the last billed day is due for settlement.
    first
        its first local day; agreements are in force from it on.
    period
        the billed month, YYYY-MM.
    """

    start: datetime
    end: datetime
    first: date
    period: str


def times(today: date, days: int | None, zone: ZoneInfo, settle_after: timedelta) -> Times:
    """The months before `today`'s.

    Parameters
    ----------
    days
        length of the history in local days, ending with last month; None: the two months.
    """
    period = previous_month(today)
    month = Period.month(period, zone)
    before = Period.month(previous_month(month.first), zone)
    first = before.first if days is None else month.end - timedelta(days=days)
    last_utc_midnight = -(-int(month.end_utc.timestamp()) // DAY_S) * DAY_S
    end = datetime.fromtimestamp(last_utc_midnight, tz=UTC) + settle_after
    return Times(midnight(first, zone), end, first, period)
