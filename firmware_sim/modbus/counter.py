"""How far a meter has counted at any moment: exact at the ends of its intervals, evenly in between.

Intervals are whole hours; a register is looked at in ticks, and between two ticks it stands still.
"""

from __future__ import annotations

from dataclasses import replace

from firmware_sim.meter import ORIGIN, Measured, Meter

HOUR_S = 3600
STRETCH_H = 168
"""Hours measured at once: a meter's registers cost as much for a week as for an hour."""


class Counter:
    """The channels of one meter as they run.

    Parameters
    ----------
    tick_s
        the registers change this often [s]; an hour or longer: at the ends of intervals only.
    """

    def __init__(self, meter: Meter, tick_s: int) -> None:
        self.meter = meter
        self._tick_s = tick_s
        self._stretch = meter.measure(ORIGIN, ORIGIN + 1)
        self.at_origin = {
            channel.channel.channel: int(channel.registers[0] - channel.values[0]) % _dial(channel)
            for channel in self._stretch
        }
        """What the registers read on 1 January 2026, by channel."""

    def tick(self, moment: float) -> tuple[int, int]:
        """The last tick before `moment` [s since 1970]: its UTC hour since 1970 and the second in it."""
        hour, second = divmod(int(moment), HOUR_S)
        return hour, second // self._tick_s * self._tick_s

    def totals(self, tick: tuple[int, int]) -> dict[str, int]:
        """What was counted since 1 January 2026 (negative before), by channel [the channel's unit]."""
        hour, second = tick
        return {
            channel.channel.channel: self._before(channel) + int(channel.values[0]) * second // HOUR_S
            for channel in self.hour(hour)
        }

    def hour(self, hour: int) -> list[Measured]:
        """Every channel over one hour."""
        first = self._stretch[0].first_hour
        if not first <= hour < first + len(self._stretch[0].values):
            self._stretch, first = self.meter.measure(hour, hour + STRETCH_H), hour
        one = slice(hour - first, hour - first + 1)
        return [
            replace(channel, first_hour=hour, values=channel.values[one], registers=channel.registers[one])
            for channel in self._stretch
        ]

    def _before(self, channel: Measured) -> int:
        """The count at the begin of an hour; the dial tells it up to a turn, and no meter turns it half in a decade."""
        dial = _dial(channel)
        count = int(channel.registers[0] - channel.values[0]) - self.at_origin[channel.channel.channel]
        return (count + dial // 2) % dial - dial // 2


def _dial(channel: Measured) -> int:
    return 10**channel.channel.register_digits
