"""What one message claims, whoever sent it and in whatever form: the one thing every decoder makes.

Nothing in it has been compared with the registry yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from headend.collect.wire import ResultMessage, WireBlock, WireEvent, WireRegister, WireTelemetry
from headend.errors import InvalidMessage


@dataclass(frozen=True, slots=True)
class Birth:
    """The names behind a Sparkplug node's or device's aliases.

    Parameters
    ----------
    node
        group and edge node, `group/node`.
    device
        "" for the node itself.
    metrics
        JSON: by alias, whatever the decoder needs to understand later messages.
    """

    node: str
    device: str
    metrics: str


@dataclass(slots=True)
class Claims:
    """One message, taken apart.

    Parameters
    ----------
    sent_at
        the sender's clock when it sent the message; None where it does not say.
    blocks, registers, telemetry
        with their place in the message.
    faults
        what in the message is wrong, with the path to it (`blocks.3`, `metrics.0`); the rest still counts.
    online, firmware
        what a gateway says of itself; None: nothing.
    result
        what became of a command.
    births
        Sparkplug: names to be kept for later messages.
    rebirth
        Sparkplug: True if the node must be asked for its names.
    """

    sent_at: datetime | None = None
    blocks: list[tuple[int, WireBlock]] = field(default_factory=list)
    registers: list[tuple[int, WireRegister]] = field(default_factory=list)
    telemetry: list[tuple[int, WireTelemetry]] = field(default_factory=list)
    events: list[WireEvent] = field(default_factory=list)
    faults: list[tuple[str, InvalidMessage]] = field(default_factory=list)
    online: bool | None = None
    firmware: str | None = None
    result: ResultMessage | None = None
    births: list[Birth] = field(default_factory=list)
    rebirth: bool = False
