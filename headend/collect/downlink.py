"""The downlink: commands that are due go out to gateways, and pieces of firmware to those that ask for them.

Any number of these run beside each other, one a collector. Commands are taken and marked in one transaction, and only
one of them has it; what is published and not marked, because the process dies in between, is sent again.
"""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection

from headend.collect.sparkplug import rebirth_command
from headend.collect.wire import CommandMessage
from headend.config import CommandSettings
from headend.errors import HeadendError
from headend.registry.firmware import chunk
from headend.store.commands import Command, due, expire, has_work, mark_sent, mark_served, wanting
from headend.store.database import Database

log = structlog.get_logger(__name__)

#: As many pieces of firmware as a gateway is sent for one request.
_CHUNKS_AT_ONCE = 8

#: Hands a topic and a payload to the broker at QoS 1, from any thread; raises `HeadendError` where there is none.
Publish = Callable[[str, bytes], None]


class Downlink:
    """Sends what is due, from `start` to `stop`."""

    def __init__(
        self, database: Database, publish: Publish, settings: CommandSettings, clock: Callable[[], datetime]
    ) -> None:
        self._database, self._publish, self._settings, self._clock = database, publish, settings, clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="downlink", daemon=True)

    def start(self) -> None:
        """Begin to look for commands."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the look at hand."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        failing = False
        while not self._stopping.wait(self._settings.look_every_ms / 1_000):
            try:
                self.look()
                failing = False
            except Exception as error:
                # The database away, locked or full: what is due stays due. Said once, for it is tried twice a second.
                if not failing:
                    log.warning("commands not sent, trying again", error=str(error))
                failing = True

    def look(self) -> None:
        """Give up what is out of time, then send what is due as far as the broker takes it."""
        now, retry_after_s = self._clock(), self._settings.retry_after_s
        with self._database.read() as tx:
            if not has_work(tx, now, retry_after_s):
                return  # the usual case waits for nobody who is writing
        with self._database.write() as tx:
            if expired := expire(tx, now):
                log.info("commands expired", commands=expired)
            try:
                for command in due(tx, now, retry_after_s):
                    self._publish(*_message(command, command.kind, command.args, now))
                    mark_sent(tx, command.id, now)
                for command in wanting(tx):
                    self._send_chunks(tx, command, now)
                    mark_served(tx, command.id)
            except HeadendError as error:
                log.debug("commands wait for the broker", because=str(error))

    def _send_chunks(self, tx: Connection, command: Command, now: datetime) -> None:
        args = command.args
        first, end = command.wanted or (0, 0)
        for index in range(first, min(end, first + _CHUNKS_AT_ONCE, args["chunks"])):
            data = b64encode(chunk(tx, args["version"], index, args["chunk_bytes"])).decode()
            self._publish(*_message(command, "firmware_chunk", {"index": index, "data": data}, now))


def _message(command: Command, kind: str, args: dict[str, Any], now: datetime) -> tuple[str, bytes]:
    """Topic and payload."""
    if kind == "rebirth":
        # The gateway's name is group.node, and a group has no dot.
        return rebirth_command(command.gateway.replace(".", "/", 1), now)
    if kind == "set_clock":
        args = {"time": now} | args
    message = CommandMessage(id=command.id, kind=kind, sent_at=now, expires_at=command.expires, args=args)
    return f"headend/v1/{command.gateway}/command", message.model_dump_json().encode()
