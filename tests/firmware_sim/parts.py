"""Gateways without a wire, for tests that ask what they do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware_sim.clock import EPOCH
from firmware_sim.gateway import Flash, Gateway
from firmware_sim.gateway_clock import GatewayClock
from firmware_sim.inventory import MeterSpec, make_shipment
from firmware_sim.plan import FaultPlan
from firmware_sim.readout import Readout, Span
from firmware_sim.tally import Tally
from firmware_sim.truth import TruthFile

SPECS = make_shipment(1, 6, 1).meters
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Bench:
    """One gateway on the bench, its clock in our hand.

    Attributes
    ----------
    true
        the true time; meters show it.
    at
        a steady clock [s].
    """

    def __init__(
        self,
        plan: FaultPlan,
        begin: int,
        end: int,
        specs: tuple[MeterSpec, ...] = SPECS,
        flash: Flash | None = None,
        key: Ed25519PublicKey | None = None,
        memory_days: int = 45,
        clock: dict[str, float] | None = None,
        telemetry_h: int = 0,
    ) -> None:
        self.true = EPOCH + timedelta(hours=end)
        self.at = 0.0
        self.tally = Tally(facts={})
        span = Span(begin, end, memory_days=memory_days, telemetry_h=telemetry_h)
        readout = Readout("GW-1", specs, plan, span, self.tally, TruthFile(None), seed=1, zone="Europe/Berlin")
        self.gateway = Gateway(
            "GW-1",
            readout,
            self.tally,
            clock=GatewayClock(lambda: self.true, **(clock or {})),
            meters_now=lambda: self.true,
            live_from=end,
            flash=flash or Flash(window=8),
            key=key,
        )

    def due(self) -> list[bytes]:
        """All payloads that are due."""
        return [item.payload for item in self.gateway.due(self.at, 1_000_000)]

    def told(self) -> list[dict]:
        """All messages there are, each acknowledged as soon as it is told."""
        found = []
        while payloads := self.due():
            messages = [json.loads(payload) for payload in payloads]
            found += messages
            through = max(message["seq"] for message in messages)
            assert self.gateway.acknowledge(json.dumps({"through": through, "missing": []}).encode(), self.at)
        return found

    def command(self, number: int, kind: str, args: dict | None = None, lasts_s: float = 3600.0) -> list[dict]:
        """Give it a command, stamped with the true time; what it answers at once."""
        command = {
            "id": number,
            "kind": kind,
            "sent_at": self.true.isoformat(),
            "expires_at": (self.true + timedelta(seconds=lasts_s)).isoformat(),
            "args": args or {},
        }
        self.gateway.desk.take(json.dumps(command).encode(), self.at)
        return self.answers()

    def answers(self) -> list[dict]:
        """The results it has to tell."""
        self.gateway.desk.tend(self.at)
        outbox = self.gateway.desk.outbox
        return [json.loads(outbox.popleft()) for _ in range(len(outbox))]
