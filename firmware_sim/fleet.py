"""All gateways of a fleet in one process and one thread: the history first, then live hours on a fast clock."""

from __future__ import annotations

import json
import math
import selectors
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from firmware_sim.clock import EPOCH, stamp
from firmware_sim.errors import NobodyAcknowledges
from firmware_sim.gateway import Flash, Gateway
from firmware_sim.gateway_clock import GatewayClock
from firmware_sim.happenings import offline
from firmware_sim.inventory import Shipment
from firmware_sim.line import Line
from firmware_sim.link import Broker, Link
from firmware_sim.noise import one, seed_of
from firmware_sim.plan import FaultPlan
from firmware_sim.readout import Readout, Span
from firmware_sim.settings import Build, Patience, Schedule
from firmware_sim.tally import Tally
from firmware_sim.truth import TruthFile

VALUES_AT_ONCE = 2_000_000
"""Values of all meters that are measured at once: bounds the memory."""
BYTES_AHEAD = 200_000_000
"""History of all gateways that waits for its sending [byte]."""
CONNECTIONS_A_TICK = 50
TICK_S = 0.1
PROGRESS_S = 0.5
GOODBYE_S = 2.0
HOUR_S = 3600


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
        build: Build,
        patience: Patience,
        *,
        truth: TruthFile,
        tally: Tally,
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self._tally = tally
        self._schedule = schedule
        self._plan = plan
        self._patience = patience
        self._report = report
        self._stopped = False
        self._live_since: float | None = None
        self._live_ended = False
        self._selector = selectors.DefaultSelector()
        meters = sorted(shipment.meters, key=lambda spec: spec.gateway)
        channels = sum(len(spec.channels) for spec in meters)
        span = Span(
            schedule.begin,
            schedule.live_from,
            build.counted_from,
            stretch_days=min(max(VALUES_AT_ONCE // (24 * channels), 1), 31),
            memory_days=build.memory_days,
            telemetry_h=build.telemetry_h,
        )
        behind = {name: list(specs) for name, specs in groupby(meters, lambda spec: spec.gateway)}
        flash = Flash(
            build.flash_messages,
            BYTES_AHEAD // len(shipment.gateways),
            patience.window,
            patience.resend_after,
            build.epoch,
        )
        self._links = []
        for name in shipment.gateways:
            readout = Readout(name, behind.get(name, ()), plan, span, tally, truth, seed=build.seed, zone=build.zone)
            gateway = Gateway(
                name,
                readout,
                tally,
                clock=self._clock_of(name),
                meters_now=self._meters_now,
                live_from=schedule.live_from,
                flash=flash,
                key=build.firmware_key,
            )
            slow = one(seed_of(plan.seed, name), "slow link") < plan.slow_links
            line = Line(plan, name, tally)
            self._links.append(Link(broker, gateway, line, self._selector, plan.slow_bytes_per_s if slow else None))
        windows = {link: offline(plan, link.gateway.name, schedule.live_from, schedule.end) for link in self._links}
        self._offline = {link: window for link, window in windows.items() if window is not None}
        self._storms = 0
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
        self._heard_at = time.monotonic()
        try:
            self._drain()
            if self._schedule.end != self._schedule.live_from:
                self._live()
                self._drain()
        finally:
            self._say_goodbye()
        self._report({"event": "progress", **self._tally.progress()})
        self._report({"event": "done", **self._tally.totals()})

    def _now(self) -> datetime:
        """The gateways' clock: the real one, or the simulated one, which waits for the history."""
        schedule = self._schedule
        if not schedule.simulated:
            return datetime.now(UTC)
        ran = 0.0 if self._live_since is None else time.monotonic() - self._live_since
        return datetime.fromtimestamp(schedule.live_from * HOUR_S, UTC) + timedelta(seconds=ran * schedule.speed)

    def _meters_now(self) -> datetime:
        """What meters' clocks show: without a live phase they stay at the end of the history."""
        schedule = self._schedule
        if schedule.end == schedule.live_from:
            return EPOCH + timedelta(hours=schedule.live_from)
        return self._now()

    def _clock_of(self, gateway: str) -> GatewayClock:
        seed = seed_of(self._plan.seed, gateway)
        off, wrong = (2 * one(seed, f"clock {what}") - 1 for what in ("offset", "drift"))
        return GatewayClock(self._now, off * self._plan.clock_offset_s, wrong * self._plan.clock_drift_ppm)

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
        for link, (begin, end) in self._offline.items():
            facts = {"gateway": link.gateway.name, "begin": stamp(begin), "end": stamp(end)}
            self._tally.plant("link_down", facts)
        while not self._stopped and (schedule.end is None or hour < schedule.end):
            due_at = began + (hour + 1 - schedule.live_from) * HOUR_S / schedule.speed
            wait = due_at - time.monotonic()
            if wait <= 0:
                self._end_hour(hour)
                hour += 1
            self._turn(min(max(wait, 0.0), TICK_S))
        for link in self._links:
            link.offline = False
            if not self._stopped:
                link.gateway.report()
        self._live_ended = True

    def _end_hour(self, hour: int) -> None:
        """Every gateway reads its meters; a large fleet's sockets are served meanwhile."""
        for number, link in enumerate(self._links, 1):
            link.gateway.pass_time((hour + 1) * HOUR_S - 1)
            link.gateway.measure_hour(hour)
            link.send_due(time.monotonic())
            if number % 100 == 0:
                self._turn(0.0)

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
        self._pass_time()
        for link in [link for link in self._links if link.wants_to_connect(now)][:CONNECTIONS_A_TICK]:
            link.connect(now)
        for link in self._links:
            link.tend(now)
        self._storm()
        self._check_patience(now)
        if now >= self._report_at:
            self._report_at = now + PROGRESS_S
            self._report({"event": "progress", **self._tally.progress()})

    def _pass_time(self) -> None:
        """What the simulated clock brings in the live phase: events, and links that go and come."""
        if self._live_since is None or self._live_ended:
            return
        end = self._schedule.end
        moment = min(self._now().timestamp(), math.inf if end is None else end * HOUR_S - 1)
        for link in self._links:
            link.gateway.pass_time(moment)
        for link, (begin, until) in self._offline.items():
            link.offline = begin * HOUR_S <= moment < until * HOUR_S

    def _storm(self) -> None:
        """Cut all links at once when it is time for it."""
        every = self._plan.storm_every_messages
        if every and self._tally.messages_sent // every > self._storms:
            self._storms = self._tally.messages_sent // every
            self._tally.plant("storms", {"after_messages": self._tally.messages_sent})
            for link in self._links:
                link.drop()

    def _check_patience(self, now: float) -> None:
        waiting = [link for link in self._links if link.gateway.waiting and not link.offline]
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
