"""From readings to journal: gathers registers and events into messages, and keeps what the journal does not take."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog

from headend.collect.modbus.meter import Reading

log = structlog.get_logger(__name__)

TOPIC = "modbus/poller"

#: Registers, or events, in a message.
_IN_A_MESSAGE = 500

#: Messages kept while the journal takes none: a million registers, some 100 MB.
_KEPT = 2_000

_GATHER_S = 0.1
_RETRY_S = 1.0


class Outbox:
    """What the poller has to say, until `deliver` has taken it; used within one event loop.

    Parameters
    ----------
    deliver
        takes topic and payload, returns when they are durable, raises when they cannot be.
    """

    def __init__(self, deliver: Callable[[str, bytes], None], clock: Callable[[], datetime]) -> None:
        self._deliver, self._clock = deliver, clock
        self._registers: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._kept: deque[tuple[str, bytes]] = deque()
        self._news = asyncio.Event()

    def add(self, meter: str, reading: Reading) -> None:
        """Registers to be delivered."""
        at = reading.at.isoformat()
        for channel, value in reading.decoded.values.items():
            row = {"meter": meter, "channel": channel, "at": at, "value": value}
            self._registers.append(row if reading.serial is None else row | {"serial": reading.serial})
        self._gathered(self._registers)

    def tell(self, meter: str, kind: str, detail: str) -> None:
        """An event to be delivered."""
        self._events.append({"kind": kind, "at": self._clock().isoformat(), "meter": meter, "detail": detail[:500]})
        self._gathered(self._events)

    def _gathered(self, rows: list[dict[str, Any]]) -> None:
        if len(rows) >= _IN_A_MESSAGE:
            self._pack()
        self._news.set()

    def _pack(self) -> None:
        """Messages of all that was gathered; the oldest are given up when there are too many."""
        now = self._clock()
        envelope = {"seq": int(now.timestamp()), "sent_at": now.isoformat()}
        for begin in range(0, len(self._registers), _IN_A_MESSAGE):
            rows = self._registers[begin : begin + _IN_A_MESSAGE]
            self._keep(TOPIC, envelope | {"blocks": [], "registers": rows})
        for begin in range(0, len(self._events), _IN_A_MESSAGE):
            self._keep(f"{TOPIC}/events", envelope | {"events": self._events[begin : begin + _IN_A_MESSAGE]})
        self._registers.clear()
        self._events.clear()

    def _keep(self, topic: str, message: dict[str, Any]) -> None:
        self._kept.append((topic, json.dumps(message, separators=(",", ":")).encode()))
        if len(self._kept) > _KEPT:
            self._kept.popleft()
            log.error("the journal takes nothing for too long, oldest Modbus reads given up", kept=_KEPT)

    async def run(self) -> None:
        """Deliver what comes, until cancelled."""
        while True:
            await self._news.wait()
            await asyncio.sleep(_GATHER_S)
            self._news.clear()
            while not await self._deliver_all():
                await asyncio.sleep(_RETRY_S)

    async def finish(self) -> None:
        """Deliver what is left, if the journal takes it."""
        if not await self._deliver_all():
            log.error("stopped with Modbus reads that the journal did not take", messages=len(self._kept))

    async def _deliver_all(self) -> bool:
        self._pack()
        while self._kept:
            message = self._kept.popleft()
            try:
                await asyncio.to_thread(self._deliver, *message)
            except asyncio.CancelledError:
                self._kept.appendleft(message)  # taken or not: twice does no harm
                raise
            except Exception as error:
                # Disk full, the database away: reads are kept until it is over.
                self._kept.appendleft(message)
                log.warning("journal refused Modbus reads, trying again", messages=len(self._kept), error=str(error))
                return False
        return True
