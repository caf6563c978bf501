"""The embedded broker: amqtt in a thread of its own, for a site that has no other. MQTT 3.1.1 only.

It keeps nothing for a subscriber that is away, and what it has not delivered is gone when the process ends. That costs
nothing but time: gateways keep what the head-end has not acknowledged, and send it again.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from amqtt.broker import Broker

from headend.errors import InvalidConfig


class EmbeddedBroker:
    """A broker on one TCP port, from `start` to `stop`."""

    def __init__(self, host: str, port: int) -> None:
        self._address = f"{host}:{port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mqtt-broker", daemon=True)
        self._broker: Broker | None = None

    def start(self) -> None:
        """Listen; raises `InvalidConfig` where the port is taken."""
        self._thread.start()
        try:
            self._run(self._begin())
        except Exception as error:
            self._end_loop()
            raise InvalidConfig("mqtt.port", f"{self._address} ({error})", "a port that is free") from None

    def stop(self) -> None:
        """Disconnect everybody and stop listening."""
        if self._broker is not None:
            self._run(self._finish(self._broker))
        self._end_loop()

    async def _begin(self) -> None:
        self._broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": self._address, "max_connections": 10_000}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            },
            loop=self._loop,
        )
        await self._broker.start()

    async def _finish(self, broker: Broker) -> None:
        await broker.shutdown()
        # amqtt leaves some of its clients' tasks, and their sockets, to whoever ends the loop.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(0)

    def _run(self, task: Any) -> None:
        asyncio.run_coroutine_threadsafe(task, self._loop).result(timeout=30)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()
