"""How a fleet is to be played: when, of what, and with how much patience."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware_sim.meter import ORIGIN


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
    simulated
        gateways' clocks show simulated time, which stands still until the history is told; else the real time.
    """

    begin: int
    live_from: int
    end: int | None
    speed: float
    simulated: bool


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


@dataclass(frozen=True, slots=True)
class Build:
    """What a fleet is made of.

    Attributes
    ----------
    seed, zone
        make its meters what they are.
    epoch
        see `Flash`.
    flash_messages
        how many messages a gateway keeps.
    memory_days
        how long a meter keeps an interval.
    counted_from
        where registers read what the meters came with [UTC hours since 1970].
    firmware_key
        what firmware is checked with; None: none is accepted.
    telemetry_h
        how often gateways and meters tell how they are [h]; 0: never.
    """

    seed: int = 1
    zone: str = "Europe/Berlin"
    epoch: str | None = None
    flash_messages: int = 20_000
    memory_days: int = 45
    counted_from: int = ORIGIN
    firmware_key: Ed25519PublicKey | None = None
    telemetry_h: int = 0
