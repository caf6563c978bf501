"""All gateways of a fleet in one process and one thread: the history first, then live hours on a fast clock."""

from __future__ import annotations

import json
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from firmware_sim.clock import stamp
from firmware_sim.errors import NobodyAcknowledges
from firmware_sim.faults import FaultPlan
from firmware_sim.gateway import Gateway, Tally
from firmware_sim.inventory import Shipment
from firmware_sim.link import Broker, Link
from firmware_sim.meter import Meter
from firmware_sim.truth import TruthFile

TICK_S = 0.1
PROGRESS_S = 0.5
GOODBYE_S = 2.0
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the fleet measures, in whole UTC hours since 1970.

    Attributes
    ----------
    begin, live_from
        the history is begin ≤ h < live_from.
    end
        the live phase is live_from ≤ h < end; None: until it is stopped; equal to `live_from`: there is none.
    speed
        simulated seconds in a second of the live phase.
    """

    begin: int
    live_from: int
    end: int | None
    speed: float


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a fleet waits before it sends again and before it gives up, and how much is on its way meanwhile.

    Attributes
    ----------
    resend_after
        silence after which a gateway sends a message again [s].
    give_up_after
        silence towards the whole fleet after which it stops [s].
    window
        messages of one gateway that may be on their way at once.
    """

    resend_after: float = 30.0
    give_up_after: float = 120.0
    window: int = 32


class Fleet:
    """The gateways of a shipment, played against a broker.

    Parameters
    ----------
    report
        called with each event (progress, live, done) as a dictionary.
    """

    def __init__(
        self,
        shipment: Shipment,
        broker: Broker,
        schedule: Schedule,
        plan: FaultPlan,
        truth: TruthFile,
        *,
        seed: int,
        zone: str,
        patience: Patience,
        epoch: str | None,
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self.tally = Tally()
        self._schedule = schedule
        self._patience = patience
        self._report = report
        self._stopped = False
        self._live_since: float | None = None
        self._selector = selectors.DefaultSelector()
        meters = sorted(shipment.meters, key=lambda spec: spec.gateway)
        behind = {name: list(specs) for name, specs in groupby(meters, lambda spec: spec.gateway)}
        gateways = [
            Gateway(
                name,
                [Meter(spec, seed, zone) for spec in behind.get(name, ())],
                plan,
                self.tally,
                truth,
                clock=self._now,
                window=patience.window,
                resend_after=patience.resend_after,
                epoch=epoch,
            )
            for name in shipment.gateways
        ]
        self._links = [Link(broker, gateway, self._selector) for gateway in gateways]
        self._tick_at = self._report_at = self._heard_at = 0.0

    def stop(self) -> None:
        """End as soon as possible; may be called from a signal handler."""
        self._stopped = True

    def run(self) -> None:
        """Play the schedule until everything is acknowledged, or `stop` is called.

        Raises
        ------
        NobodyAcknowledges
            when nothing is acknowledged for as long as the fleet's patience lasts.
        """
        for link in self._links:
            link.gateway.measure_history(self._schedule.begin, self._schedule.live_from)
        self._heard_at = time.monotonic()
        try:
            self._drain()
            if self._schedule.end != self._schedule.live_from:
                self._live()
                self._drain()
        finally:
            self._say_goodbye()
        self._report({"event": "progress", **self.tally.progress()})
        self._report({"event": "done", **self.totals()})

    def totals(self) -> dict[str, Any]:
        """What was measured, sent and planted."""
        tally = self.tally
        return {
            "reads_measured": tally.reads_measured,
            "reads_sent": tally.reads_sent,
            "messages": tally.messages_sent,
            "messages_acknowledged": tally.messages_acknowledged,
            "resent": tally.resent,
            "planted": dict(sorted(tally.planted.items())),
        }

    def _now(self) -> datetime:
        """The gateways' clock: the real one, or with a live phase the simulated one, which waits for the history."""
        schedule = self._schedule
        if schedule.end == schedule.live_from:
            return datetime.now(UTC)
        ran = 0.0 if self._live_since is None else time.monotonic() - self._live_since
        return datetime.fromtimestamp(schedule.live_from * HOUR_S, UTC) + timedelta(seconds=ran * schedule.speed)

    def _drain(self) -> None:
        """Turn until every message is acknowledged."""
        while not self._stopped and any(link.gateway.waiting for link in self._links):
            self._turn(TICK_S)

    def _live(self) -> None:
        """Measure each hour once the simulated clock has passed its end."""
        schedule = self._schedule
        began = self._live_since = time.monotonic()
        hour = schedule.live_from
        since = datetime.now(UTC).isoformat()
        self._report({"event": "live", "sim_time": stamp(hour), "speed": schedule.speed, "since": since})
        while not self._stopped and (schedule.end is None or hour < schedule.end):
            due_at = began + (hour + 1 - schedule.live_from) * HOUR_S / schedule.speed
            wait = due_at - time.monotonic()
            if wait <= 0:
                for link in self._links:
                    link.gateway.measure_hour(hour)
                    link.send_due(time.monotonic())
                hour += 1
            self._turn(min(max(wait, 0.0), TICK_S))

    def _turn(self, timeout: float) -> None:
        """One round: what the sockets have, then, each tick, what is due by the clock."""
        touched = []
        for key, events in self._selector.select(timeout):
            link: Link = key.data
            link.serve(events, time.monotonic())
            touched.append(link)
        now = time.monotonic()
        for link in touched:
            if link.covered:
                link.covered, self._heard_at = False, now
                link.send_due(now)
        if now < self._tick_at:
            return
        self._tick_at = now + TICK_S
        for link in self._links:
            link.tend(now)
        self._check_patience(now)
        if now >= self._report_at:
            self._report_at = now + PROGRESS_S
            self._report({"event": "progress", **self.tally.progress()})

    def _check_patience(self, now: float) -> None:
        waiting = [link for link in self._links if link.gateway.waiting]
        if not waiting:
            self._heard_at = now
        elif now - self._heard_at > self._patience.give_up_after:
            trouble = next((link.trouble for link in waiting if link.trouble), "the broker is there")
            raise NobodyAcknowledges(
                f"no acknowledgement for {self._patience.give_up_after:g} s "
                f"({len(waiting)} of {len(self._links)} gateways wait; {trouble})"
            )

    def _say_goodbye(self) -> None:
        """Close every link, and give the last bytes a moment."""
        for link in self._links:
            link.close()
        until = time.monotonic() + GOODBYE_S
        while time.monotonic() < until and not all(link.gone for link in self._links):
            for key, events in self._selector.select(TICK_S):
                key.data.serve(events, time.monotonic())
        self._selector.close()


def print_event(event: dict[str, Any]) -> None:
    """One JSON object a line on stdout, at once."""
    print(json.dumps(event), flush=True)
