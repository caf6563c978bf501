"""Commands: what the head-end may ask of a gateway, and what the gateway answers (docs/field.md).

A command is known by its id: one that comes again is not done again, its last result is told once more. Results are
kept in flash, a command's work too, so both outlive a restart.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware_sim.firmware import Download, Refused
from firmware_sim.messages import clock_text

log = logging.getLogger("firmware_sim")

RESULTS_KEPT = 1000
CHUNKS_AGAIN_S = 5.0
"""Silence after which chunks are asked for again [s]."""


class Device(Protocol):
    """What of a gateway its commands need. Each may raise `Refused`."""

    @property
    def now(self) -> datetime:
        """The gateway's clock."""

    def read_registers(self, meters: list[str] | None) -> list[int]:
        """Keep the registers of now for sending: the sequence numbers."""

    def backfill(self, gaps: list[dict[str, Any]]) -> tuple[list[int], str]:
        """Keep what is left of the gaps for sending: the sequence numbers, and a word on it."""

    def set_clock(self, to: datetime) -> str:
        """Set the clock: a word on it."""

    def set_interval(self, seconds: int) -> None:
        """Send reads this often."""

    def restart(self, firmware: str | None = None) -> None:
        """Restart, with another firmware where one is named."""

    def unsent(self, seqs: Sequence[int]) -> bool:
        """Whether any of these messages still waits for its first sending."""


@dataclass(slots=True)
class _Sending:
    """A command that is done when these messages are out."""

    id: int
    seqs: list[int]
    detail: str


class CommandDesk:
    """Takes commands, and has results to be published.

    Parameters
    ----------
    key
        what firmware is checked with; None: none is accepted.
    """

    def __init__(self, device: Device, key: Ed25519PublicKey | None) -> None:
        self.outbox: deque[bytes] = deque()
        """Results to be published, oldest first."""
        self._device = device
        self._key = key
        self._results: dict[int, dict[str, Any]] = {}
        self._sending: list[_Sending] = []
        self._restarting: dict[int, str] = {}
        self._download: Download | None = None
        self._gives_up_at: datetime | None = None
        self._ask_at = 0.0
        self._asked: range = range(0)
        self._doing: dict[str, Callable[[int, dict[str, Any]], None]] = {
            "read": self._read,
            "backfill": self._backfill,
            "set_clock": self._set_clock,
            "set_interval": self._set_interval,
            "restart": self._restart,
            "firmware": self._firmware,
        }

    def take(self, payload: bytes, now: float) -> None:
        """Take a command at `now` [s, steady]."""
        try:
            command = json.loads(payload)
            number, kind, args = int(command["id"]), str(command["kind"]), dict(command.get("args") or {})
            expires = datetime.fromisoformat(command["expires_at"]) if "expires_at" in command else None
            expired = expires is not None and expires <= self._device.now
        except (ValueError, TypeError, KeyError):
            log.warning("a command that is none: %.80r", payload)
            return
        if kind == "firmware_chunk":
            self._chunk(number, args, now)
        elif number in self._results:
            self._tell(number, **self._results[number])
        elif kind == "set_clock" or not expired:  # a clock that is wrong cannot judge the command to put it right
            self._tell(number, "acknowledged")
            self._do(number, kind, args)
            if self._download is not None and self._download.id == number:
                self._gives_up_at = expires

    def tend(self, now: float) -> None:
        """Tell what has been done since, and ask for the chunks that are wanted."""
        for job in [job for job in self._sending if not self._device.unsent(job.seqs)]:
            self._sending.remove(job)
            self._tell(job.id, "done", job.detail)
        if self._download is None or now < self._ask_at:
            return
        if self._gives_up_at is not None and self._device.now >= self._gives_up_at:
            # Nobody answers any more: it was cancelled, or given up as well.
            self._tell(self._download.id, "failed", "it expired before all chunks were here")
            self._download = None
        else:
            first, end = self._download.wanted()
            self._asked, self._ask_at = range(first, end), now + CHUNKS_AGAIN_S
            self._tell(self._download.id, "progress", wanted=[first, end])

    def reconnected(self) -> None:
        """The connection is new: chunks that were on their way are lost."""
        self._ask_at = 0.0

    def started(self) -> None:
        """The gateway runs again: what a restart was to do is done."""
        for number, detail in self._restarting.items():
            self._tell(number, "done", detail)
        self._restarting.clear()

    def _do(self, number: int, kind: str, args: dict[str, Any]) -> None:
        if kind not in self._doing:
            self._tell(number, "failed", f"kind: found {kind[:40]!r}, expected one of {', '.join(self._doing)}")
            return
        try:
            self._doing[kind](number, args)
        except Refused as refusal:
            self._tell(number, "failed", str(refusal))
        except (KeyError, TypeError, ValueError) as error:
            self._tell(number, "failed", f"args: {type(error).__name__} {error}")

    def _read(self, number: int, args: dict[str, Any]) -> None:
        seqs = self._device.read_registers(args.get("meters") or None)
        self._sending.append(_Sending(number, seqs, ""))

    def _backfill(self, number: int, args: dict[str, Any]) -> None:
        seqs, detail = self._device.backfill(args["gaps"])
        self._sending.append(_Sending(number, seqs, detail))

    def _set_clock(self, number: int, args: dict[str, Any]) -> None:
        self._tell(number, "done", self._device.set_clock(datetime.fromisoformat(args["time"])))

    def _set_interval(self, number: int, args: dict[str, Any]) -> None:
        self._device.set_interval(int(args["report_every_s"]))
        self._tell(number, "done")

    def _restart(self, number: int, _args: dict[str, Any]) -> None:
        self._restarting[number] = ""
        self._device.restart()

    def _firmware(self, number: int, args: dict[str, Any]) -> None:
        if self._key is None:
            raise Refused("no key to check a signature with")
        ordered = Download.ordered(number, args)
        if self._download is not None:
            self._tell(self._download.id, "failed", f"command {number} orders another firmware")
        self._download, self._ask_at = ordered, 0.0

    def _chunk(self, number: int, args: dict[str, Any], now: float) -> None:
        load = self._download
        if load is None or load.id != number or not load.take(args):
            return
        if not load.complete:
            # the next ones at once when all that were asked for are here
            self._ask_at = 0.0 if load.wanted()[0] not in self._asked else now + CHUNKS_AGAIN_S
            return
        self._download = None
        assert self._key is not None  # noqa: S101 (no download begins without one)
        try:
            load.check(self._key)
        except Refused as refusal:
            self._tell(number, "failed", str(refusal))
            return
        self._restarting[number] = f"runs {load.version}"
        self._device.restart(load.version)

    def _tell(self, number: int, state: str, detail: str = "", wanted: list[int] | None = None) -> None:
        """Publish a result, and keep it as the command's last."""
        last = {"state": state, "detail": detail} | ({"wanted": wanted} if wanted else {})
        self._results.pop(number, None)
        self._results[number] = last
        if len(self._results) > RESULTS_KEPT:
            del self._results[next(iter(self._results))]
        result = {"id": number, **last, "sent_at": clock_text(self._device.now)}
        self.outbox.append(json.dumps(result).encode())
