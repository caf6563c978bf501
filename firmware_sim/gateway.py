"""A gateway without its connection: it measures its meters, keeps messages, and says what to send when."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from firmware_sim.buffer import SendBuffer
from firmware_sim.faults import FaultPlan, plant, plant_live
from firmware_sim.messages import Message, envelope, history, live_messages
from firmware_sim.meter import Measured, Meter
from firmware_sim.truth import TruthFile

log = logging.getLogger("firmware_sim")


@dataclass(slots=True)
class Tally:
    """What a fleet has done so far; messages are counted once, however often they are sent."""

    reads_measured: int = 0
    reads_sent: int = 0
    messages_sent: int = 0
    messages_acknowledged: int = 0
    resent: int = 0
    planted: Counter[str] = field(default_factory=Counter)

    def progress(self) -> dict[str, int]:
        """The counts of a progress line."""
        return {
            "messages_sent": self.messages_sent,
            "messages_acknowledged": self.messages_acknowledged,
            "reads_measured": self.reads_measured,
            "reads_sent": self.reads_sent,
        }


class Gateway:
    """One gateway of the fleet.

    Parameters
    ----------
    meters
        the meters it collects from.
    window, resend_after
        see `SendBuffer`.
    epoch
        named in every message when the gateway's counter was lost before.
    """

    def __init__(
        self,
        name: str,
        meters: list[Meter],
        plan: FaultPlan,
        tally: Tally,
        truth: TruthFile,
        *,
        clock: Callable[[], datetime],
        window: int,
        resend_after: float,
        epoch: str | None = None,
    ) -> None:
        self.name = name
        self._meters = meters
        self._plan = plan
        self._tally = tally
        self._truth = truth
        self._clock = clock
        self._epoch = epoch
        self._buffer: SendBuffer[Message] = SendBuffer(window, resend_after)
        self._fill = 2 * window
        self._history: Iterator[Message] = iter(())
        self._history_ended = True
        self._today: list[Measured] = []
        self._today_ends = 0

    @property
    def waiting(self) -> bool:
        """Whether anything is still to be sent or acknowledged."""
        return len(self._buffer) > 0 or not self._history_ended

    def measure_history(self, begin: int, end: int) -> None:
        """Measure begin ≤ h < end [UTC hours since 1970]; it is sent as fast as it is acknowledged."""
        measured = [channel for meter in self._meters for channel in meter.measure(begin, end)]
        self._count(measured)
        reported = [plant(self._plan, channel) for channel in measured]
        self._history = history(self._plan, self.name, reported, begin, end)
        self._history_ended = False
        self._refill()

    def measure_hour(self, hour: int) -> None:
        """Measure one hour of the live phase and keep it for sending."""
        if not self._today or not self._today[0].first_hour <= hour < self._today_ends:
            self._today_ends = (hour // 24 + 1) * 24
            self._today = [channel for meter in self._meters for channel in meter.measure(hour, self._today_ends)]
        measured = [_one_hour(channel, hour) for channel in self._today]
        self._count(measured)
        for message in live_messages((plant_live(self._plan, channel) for channel in measured), hour):
            self._buffer.put(message)

    def due(self, now: float) -> Iterator[bytes]:
        """Payloads to publish on `reads` at `now` [s, steady], in this order."""
        self._refill()
        for due in self._buffer.due(now):
            message = due.item
            payload = envelope(message.blocks, due.seq, self._clock(), self._buffer.oldest, self._epoch)
            if due.again:
                self._tally.resent += 1
                yield payload
                continue
            self._tally.messages_sent += 1
            self._tally.reads_sent += message.reads
            self._tally.planted.update(message.planted)
            for _ in range(message.copies):
                yield payload
            if message.garbage:
                yield message.garbage

    def acknowledge(self, payload: bytes, now: float) -> bool:
        """Take an `ack`; whether it covered anything new."""
        try:
            answer: dict[str, Any] = json.loads(payload)
            through, missing = int(answer["through"]), [int(seq) for seq in answer.get("missing", ())]
            epoch = answer.get("epoch")
        except (ValueError, TypeError, KeyError, AttributeError):
            log.warning("%s: an ack that is none: %.80r", self.name, payload)
            return False
        if epoch != self._epoch:
            return False
        covered = len(self._buffer.acknowledge(through, missing, now))
        self._tally.messages_acknowledged += covered
        return covered > 0

    def reconnected(self) -> None:
        """The connection is new: everything kept is sent again."""
        self._buffer.reconnected()

    def _refill(self) -> None:
        """Draw messages of the history into the buffer while there is room."""
        while not self._history_ended and len(self._buffer) < self._fill:
            message = next(self._history, None)
            if message is None:
                self._history_ended = True
            elif message.lost:
                self._buffer.skip()
                self._tally.planted.update(message.planted)
            else:
                self._buffer.put(message)

    def _count(self, measured: list[Measured]) -> None:
        self._tally.reads_measured += sum(len(channel.values) for channel in measured)
        self._truth.write(measured)


def _one_hour(channel: Measured, hour: int) -> Measured:
    at = slice(hour - channel.first_hour, hour - channel.first_hour + 1)
    return replace(channel, first_hour=hour, values=channel.values[at], registers=channel.registers[at])
