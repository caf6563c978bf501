"""A gateway without its connection: it reads its meters, keeps messages, obeys commands, and says what to send when.

Flash is what outlives a restart: messages and their count, results of commands, a half-loaded firmware. It is all that
a gateway has here; what RAM holds is on the line and in the connection.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware_sim.buffer import SendBuffer
from firmware_sim.clock import EPOCH
from firmware_sim.commands import CommandDesk
from firmware_sim.firmware import Refused
from firmware_sim.gateway_clock import GatewayClock
from firmware_sim.happenings import Mishap, Notice
from firmware_sim.line import Outgoing
from firmware_sim.messages import Message, clock_text, envelope, events_message, gathered, registers_message
from firmware_sim.readout import Readout
from firmware_sim.tally import Tally

log = logging.getLogger("firmware_sim")

FIRST_FIRMWARE = "1.0.0"
REPORT_EVERY_S = (60, 86_400)
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Flash:
    """How a gateway keeps and sends messages.

    Attributes
    ----------
    messages
        how many it holds.
    ahead_bytes
        how much of the history may wait for its sending [byte].
    window, resend_after
        see `SendBuffer`.
    epoch
        named in every message when the gateway's counter was lost before.
    """

    messages: int = 20_000
    ahead_bytes: int = 10_000_000
    window: int = 32
    resend_after: float = 30.0
    epoch: str | None = None


class Gateway:
    """One gateway of the fleet.

    Parameters
    ----------
    live_from
        where the live phase begins [UTC hours since 1970].
    meters_now
        what the meters' clocks show.
    key
        what firmware is checked with.
    """

    def __init__(
        self,
        name: str,
        readout: Readout,
        tally: Tally,
        *,
        clock: GatewayClock,
        meters_now: Callable[[], datetime],
        live_from: int,
        flash: Flash,
        key: Ed25519PublicKey | None = None,
    ) -> None:
        self.name = name
        self.firmware = FIRST_FIRMWARE
        self.restart_wanted = False
        self.desk = CommandDesk(self, key)
        self._readout = readout
        self._tally = tally
        self._clock = clock
        self._meters_now = meters_now
        self._flash = flash
        self._buffer: SendBuffer[Message] = SendBuffer(flash.window, flash.resend_after, flash.messages)
        self._bytes = 0
        self._history: Iterator[Message | Mishap] | None = readout.history()
        self._next_mishap: Mishap | None = None
        self._coming: deque[Notice | Mishap] = deque()
        self._known_until = self._measured_until = self._told_until = live_from
        self._report_every_s = HOUR_S
        self._next_firmware: str | None = None
        self._restarts_at: int | None = None

    @property
    def waiting(self) -> bool:
        """Whether anything is still to be sent or acknowledged."""
        return len(self._buffer) > 0 or self._history is not None or self.restart_wanted

    @property
    def now(self) -> datetime:
        """What the gateway's clock shows."""
        return self._clock.now()

    # -- time passes --

    def pass_time(self, moment: float) -> None:
        """In the live phase: whatever has happened by `moment` [s since 1970]."""
        while moment >= self._known_until * HOUR_S:
            midnight = (self._known_until // 24 + 1) * 24
            self._coming.extend(self._readout.coming(self._known_until, midnight))
            self._known_until = midnight
        while self._coming and self._coming[0].at <= moment:
            happened = self._coming.popleft()
            if isinstance(happened, Mishap):
                self._suffer(happened)
            else:
                self._keep(events_message([happened]))

    def measure_hour(self, hour: int) -> None:
        """An hour of the live phase has ended [UTC hours since 1970]; it is told when it is time to."""
        self._readout.measure_hour(hour)
        self._measured_until = hour + 1
        if (hour + 1 - self._told_until) * HOUR_S >= self._report_every_s:
            self.report()

    def report(self) -> None:
        """Keep for sending what was measured live and not told yet."""
        for message in self._readout.live_messages(self._told_until, self._measured_until):
            self._keep(message)
        self._told_until = self._measured_until

    def _suffer(self, mishap: Mishap) -> None:
        facts = {"gateway": self.name, "at": clock_text(EPOCH + timedelta(seconds=mishap.at))}
        if mishap.kind == "reboots":
            self.restart()
            self._restarts_at = mishap.at
        else:
            self._clock.jump(mishap.seconds)
            facts["seconds"] = f"{mishap.seconds:+.3f}"
        self._tally.plant(mishap.kind, facts)

    # -- the connection --

    def due(self, now: float, most: int) -> Iterator[Outgoing]:
        """At most so many messages to publish at `now` [s, steady], with what follows them, in this order."""
        self._refill()
        for due in self._buffer.due(now, most):
            message = due.item
            payload = envelope(message.body, due.seq, self._clock.now(), self._buffer.oldest, self._flash.epoch)
            if due.again:
                self._tally.resent += 1
                yield Outgoing(message.leaf, payload)
                continue
            self._tally.messages_sent += 1
            self._tally.reads_sent += message.reads
            self._tally.reads_backfilled += message.backfilled
            self._tally.planted.update(message.planted)
            yield Outgoing(message.leaf, payload, due.seq)
            for _ in range(message.copies - 1):
                yield Outgoing(message.leaf, payload)
            if message.garbage:
                yield Outgoing(message.leaf, message.garbage)

    def acknowledge(self, payload: bytes, now: float) -> bool:
        """Take an `ack`; whether it covered anything new."""
        try:
            answer: dict[str, Any] = json.loads(payload)
            through, missing = int(answer["through"]), [int(seq) for seq in answer.get("missing", ())]
            epoch = answer.get("epoch")
        except (ValueError, TypeError, KeyError, AttributeError):
            log.warning("%s: an ack that is none: %.80r", self.name, payload)
            return False
        if epoch != self._flash.epoch:
            return False
        covered = self._buffer.acknowledge(through, missing, now)
        self._bytes -= sum(len(message.body) for message in covered)
        self._tally.messages_acknowledged += len(covered)
        return len(covered) > 0

    def reconnected(self) -> None:
        """The connection is new: everything kept is sent again."""
        self._buffer.reconnected()
        self.desk.reconnected()

    def boot(self) -> None:
        """The gateway has started again."""
        self.restart_wanted = False
        if self._next_firmware is not None:
            self.firmware, self._next_firmware = self._next_firmware, None
        self._happened("restart", f"firmware {self.firmware}", self._restarts_at)
        self._restarts_at = None
        self.desk.started()

    # -- what commands ask for --

    def read_registers(self, meters: list[str] | None) -> list[int]:
        """Keep the registers of now for sending: the sequence numbers; raises `Refused` where there are none."""
        registers = self._readout.memory.registers(meters, self._meters_now())
        if not registers:
            raise Refused("none of these meters is behind this gateway")
        return [self._keep(registers_message(registers))]

    def backfill(self, gaps: list[dict[str, Any]]) -> tuple[list[int], str]:
        """Keep what is left of gaps for sending: the sequence numbers, and a word on it.

        Raises
        ------
        Refused
            when nothing is left.
        """
        blocks = []
        for gap in gaps:
            begin, end = datetime.fromisoformat(gap["from"]), datetime.fromisoformat(gap["to"])
            blocks += self._readout.memory.gap(gap["meter"], gap["channel"], begin, end, self._meters_now())
        found, lost = sum(block.reads for block in blocks), sum(block.missing for block in blocks)
        seqs = [self._keep(Message(message.body, backfilled=message.reads)) for message in gathered(blocks)]
        detail = f"{found} intervals sent" + (f", {lost} lost by the meter" if lost else "")
        if not found:
            raise Refused(detail)
        return seqs, detail

    def set_clock(self, to: datetime) -> str:
        """Set the clock: a word on it."""
        word = f"moved by {self._clock.set(to):+.3f} s"
        self._happened("clock_set", word)
        return word

    def set_interval(self, seconds: int) -> None:
        """Send live reads this often; intervals are as long as before. Raises `Refused`."""
        least, most = REPORT_EVERY_S
        if not least <= seconds <= most:
            raise Refused(f"report_every_s: found {seconds}, expected {least} to {most}")
        self._report_every_s = seconds

    def restart(self, firmware: str | None = None) -> None:
        """Restart as soon as the connection is cut, with another firmware where one is named."""
        self.restart_wanted = True
        self._next_firmware = firmware or self._next_firmware

    def unsent(self, seqs: Sequence[int]) -> bool:
        """Whether any of these messages still waits for its first sending."""
        return any(self._buffer.unsent(seq) for seq in seqs)

    # -- the flash --

    def _happened(self, kind: str, detail: str, at: int | None = None) -> None:
        """Something has happened to the gateway itself, at [s since 1970] or now."""
        at = int((self._meters_now() - EPOCH).total_seconds()) if at is None else at
        self._keep(events_message([Notice(at, kind, detail=detail)]))

    def _refill(self) -> None:
        """Draw from the history while there is room for what it brings; a mishap waits until all before it is sent."""
        room = min(2 * self._flash.window, self._flash.messages)
        while self._history is not None and len(self._buffer) < room and not self.restart_wanted:
            if self._bytes > self._flash.ahead_bytes or (self._next_mishap is not None and self._buffer.fresh):
                return
            step = self._next_mishap or next(self._history, None)
            self._next_mishap = None
            if step is None:
                self._history = None
            elif isinstance(step, Mishap) and self._buffer.fresh:
                self._next_mishap = step
            elif isinstance(step, Mishap):
                self._suffer(step)
            else:
                self._keep(step)

    def _keep(self, message: Message) -> int:
        """Put a message into the flash; when it is full, the oldest one makes room. What gets lost takes a number."""
        if message.lost:
            seq = self._buffer.skip()
            self._tally.planted.update(message.planted)
            self._tally.note("lost_messages", {"gateway": self.name, "seq": seq} | message.facts)
            return seq
        if (gone := self._buffer.overwrite()) is not None:
            oldest, was_sent = gone
            self._bytes -= len(oldest.body)
            self._tally.planted["overwritten_messages"] += 1
            if not was_sent:
                self._tally.planted["overwritten_reads"] += oldest.reads + oldest.planted.get("missing", 0)
        self._bytes += len(message.body)
        seq = self._buffer.put(message)
        for event in message.facts.get("events", ()):
            self._tally.note("events", {"gateway": self.name, "seq": seq} | event)
        return seq
