"""A meter behind a unit number: its registers are brought up to date when somebody reads them."""

from __future__ import annotations

from collections.abc import Callable

from firmware_sim.modbus.counter import Counter
from firmware_sim.modbus.faults import Faults
from firmware_sim.modbus.profile import Profile, Register, swapped

EXCHANGED_BY = 1_000_000
"""How far the serial number of a meter is from that of the one it replaced."""


class MeterUnit:
    """One meter of the fleet, in registers.

    Parameters
    ----------
    clock
        the meter's time [s since 1970].
    start
        what every register read on 1 January 2026 [base unit]; None: as in the fleet.
    """

    def __init__(
        self, profile: Profile, counter: Counter, clock: Callable[[], float], faults: Faults, start: int | None = None
    ) -> None:
        self.faults = faults
        self._profile, self._counter, self._clock = profile, counter, clock
        self._start = counter.at_origin if start is None else dict.fromkeys(counter.at_origin, start)
        self._number = int("".join(filter(str.isdigit, counter.meter.spec.meter)) or 0)
        self._image = profile.blank.copy()
        self._shown: tuple[tuple[int, int], float | None] | None = None

    def read(self, function: int, address: int, count: int) -> bytes | None:
        """`count` registers as they are now; None if they are not all there."""
        self.refresh()
        return self._image.read(function, address, count)

    def refresh(self) -> None:
        """Bring all registers up to the last tick, if there was one since they were last read."""
        now = self._clock()
        begun = [at for at in (self.faults.reset_at, self.faults.exchange_at) if at is not None and at <= now]
        shown = self._counter.tick(now), max(begun, default=None)
        if shown == self._shown:
            return
        self._shown = shown
        self._write_serial(self.faults.exchange_at in begun)
        counts = self._counts(*shown)
        for register in self._profile.registers:
            self._write(register, counts.get(register.channel))

    def _counts(self, tick: tuple[int, int], began: float | None) -> dict[str, int]:
        """What the registers read, by channel, before they go round the dial."""
        totals = self._counter.totals(tick)
        if began is None:
            return {channel: self._start[channel] + total for channel, total in totals.items()}
        before = self._counter.totals(self._counter.tick(began))
        return {channel: total - before[channel] for channel, total in totals.items()}

    def _write(self, register: Register, count: int | None) -> None:
        if count is None or self.faults.nan:
            numbers = register.no_numbers(fault=self.faults.nan)
        else:
            numbers = register.numbers(count % register.dial)
            if register.scale_address is not None:
                self._image.write(register.function, register.scale_address, bytes(2))  # 10⁰
        for address, number in zip(register.addresses, numbers, strict=True):
            words = swapped(number) if self.faults.swapped_words else number
            self._image.write(register.function, address, words)

    def _write_serial(self, exchanged: bool) -> None:
        serial = self._profile.serial
        if serial:
            number = self._number + EXCHANGED_BY if exchanged else self._number
            self._image.write(serial.function, serial.address, serial.words(number))
