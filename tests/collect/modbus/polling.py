"""A poller at work, and what it delivers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

from headend.collect.modbus import ModbusPoller
from headend.collect.wire import EventsMessage, read_reads
from headend.config import ModbusSettings
from headend.registry.devices import ModbusDevice
from tests.collect.modbus.recorded import PROFILES

SETTINGS = ModbusSettings(profiles="modbus", delay_s=2, timeout_s=0.3, at_once=100, back_off_s=1)
START = datetime(2026, 1, 5, 13, 0, 7, tzinfo=UTC)


def device(meter: str, address: str, unit: int = 1, **other: Any) -> ModbusDevice:
    """An SDM120, read hourly, unless told otherwise."""
    told = {"profile": "eastron-sdm120", "interval_s": 3600, "channels": ("1-0:1.8.0",)} | other
    return ModbusDevice(meter=meter, address=address, unit=unit, **told)


def sdm120(kwh_high_word: int = 0x4640) -> dict[tuple[int, int], int]:
    """An SDM120's registers; 0x4640 is 12288 kWh."""
    words = [kwh_high_word, 0, 0, 0, 0, 0, 0, 0]
    return {(4, 0x48 + place): word for place, word in enumerate(words)} | {(3, 0xFC00): 0, (3, 0xFC01): 77}


class Polling(AbstractContextManager["Polling"]):
    """A poller, from start to stop, on a clock that stands until it is moved.

    Parameters
    ----------
    devices
        may be exchanged while it runs.
    refuse
        is called before each delivery, and may raise.
    """

    def __init__(
        self,
        devices: Sequence[ModbusDevice],
        *,
        refuse: Callable[[], None] = lambda: None,
        settings: ModbusSettings = SETTINGS,
    ) -> None:
        self.devices, self.now = list(devices), START
        self.messages: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.registers: list[dict[str, Any]] = []
        self.refuse = refuse
        self._looks = 0
        self._news = threading.Condition(threading.RLock())
        self._poller = ModbusPoller(lambda: list(self.devices), PROFILES, settings, self._deliver, self._clock)

    def __enter__(self) -> Polling:
        self._poller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._poller.stop()

    def _deliver(self, topic: str, payload: bytes) -> None:
        self.refuse()
        message = json.loads(payload)
        with self._news:
            if topic == "modbus/poller":
                read_reads(payload)
                self.messages.append(message)
                self.registers += message["registers"]
            else:
                assert topic == "modbus/poller/events"
                EventsMessage.model_validate_json(payload)
                self.events += message["events"]
            self._news.notify_all()

    def _clock(self) -> datetime:
        with self._news:
            self._looks += 1
            self._news.notify_all()
        return self.now

    def until_looked_again(self) -> None:
        """Wait until it has looked at the clock a few times more."""
        enough = self._looks + 3
        self.until(lambda: self._looks >= enough)

    def until(self, so: Callable[[], object]) -> None:
        """Wait for it."""
        with self._news:
            assert self._news.wait_for(lambda: bool(so()), timeout=10), (self.registers, self.events)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def kinds(self, meter: str) -> list[str]:
        """What happened to a meter, in order."""
        return [event["kind"] for event in self.events if event["meter"] == meter]

    def values(self, meter: str) -> list[int]:
        """A meter's registers, in order."""
        return [row["value"] for row in self.registers if row["meter"] == meter]
