"""A gateway's clock: off at first, wrong by a little more each day, and put right by the head-end's `set_clock`.

Only what the gateway itself stamps goes by it (`sent_at`, its own view of when a command expires). Meters have clocks
of their own, and interval stamps stay true.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta


class GatewayClock:
    """A clock that is not quite right.

    Parameters
    ----------
    true
        tells the true time (aware).
    offset_s
        how far it is ahead at first [s].
    drift_ppm
        how much too fast it runs [10⁻⁶].
    """

    def __init__(self, true: Callable[[], datetime], offset_s: float = 0.0, drift_ppm: float = 0.0) -> None:
        self.true = true
        self._drift = drift_ppm * 1e-6
        self._offset = timedelta(seconds=offset_s)
        self._since = true()

    def now(self) -> datetime:
        """What it shows."""
        true = self.true()
        return true + self._offset + (true - self._since) * self._drift

    def jump(self, seconds: float) -> None:
        """It jumps ahead, or back."""
        self._offset += timedelta(seconds=seconds)

    def set(self, to: datetime) -> float:
        """Set it; how far it had to be moved [s]."""
        moved = (to - self.now()).total_seconds()
        self.jump(moved)
        return moved
