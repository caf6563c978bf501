"""Every exception the simulator raises on purpose.

SimulatorError
├── InvalidInput        a wrong option or fault plan: where, what was found, what was expected
└── NobodyAcknowledges  the head-end has not answered for as long as the fleet was told to wait
"""

from __future__ import annotations


class SimulatorError(Exception):
    """The root: catching it catches what we foresaw, and nothing else."""


class InvalidInput(SimulatorError):
    """Wrong input, in one line."""

    def __init__(self, where: str, found: str, expected: str) -> None:
        super().__init__(f"{where}: found {found}, expected {expected}")


class NobodyAcknowledges(SimulatorError):
    """No `ack` came in time: the broker is away, or nothing behind it makes reads durable."""
