"""The demo's field: the simulator as processes of their own, which know nothing of us but the wire."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from headend.errors import HeadendError


@dataclass(frozen=True, slots=True)
class Field:
    """A fleet, and the history it is to play.

    Parameters
    ----------
    start, end
        the history, UTC.
    faults, truth
        the fault plan; where to write what was measured.
    live_speed
        simulated seconds in a second once the history is told; None: it ends there.
    """

    gateways: int
    meters: int
    seed: int
    timezone: str
    start: datetime
    end: datetime
    faults: Path
    truth: Path
    live_speed: float | None

    def shipment(self) -> dict[str, Any]:
        """The manufacturer's file for this fleet."""
        command = [*_SIMULATOR, "inventory", *self._fleet]
        shipment: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return shipment

    def read_out(self, meters: Iterable[str], folder: Path) -> list[Path]:
        """The history of meters that no gateway reads, as files: their intervals, and their registers at its end."""
        reads, registers = folder / "read-out.csv", folder / "read-out-registers.csv"
        command = [*_SIMULATOR, "history", *self._fleet, *_each("--meter", meters), "--timezone", self.timezone]
        command += ["--from", self.start.isoformat(), "--to", self.end.isoformat()]
        command += ["--reads", str(reads), "--registers", str(registers)]
        subprocess.run(command, check=True, capture_output=True)
        return [reads, registers]

    def play_modbus(self, profile: str, meters: Iterable[str], since: str) -> FieldProcess:
        """Start meters of one make that are read over Modbus; `since` is when the live phase began."""
        command = [*_SIMULATOR, "modbus", *self._fleet, *_each("--meter", meters), "--timezone", self.timezone]
        command += ["--profile", profile, "--tcp", "127.0.0.1:0", "--tick", "3600"]
        command += ["--live-from", self.end.isoformat(), "--speed", str(self.live_speed), "--since", since]
        return FieldProcess(command)

    def play(self, mqtt_port: int, without: Iterable[str]) -> FieldProcess:
        """Start to play it against the broker on this machine, without meters that no gateway reads."""
        command = [
            *_SIMULATOR,
            "fleet",
            *self._fleet,
            "--mqtt",
            f"mqtt://127.0.0.1:{mqtt_port}",
            "--progress",
            "--resend-after",
            "5",
            "--telemetry-hours",
            "1",
        ]
        command += ["--from", self.start.isoformat(), "--timezone", self.timezone]
        command += ["--faults", str(self.faults), "--truth", str(self.truth), *_each("--without", without)]
        # The gateways' clocks stand with ours where the history ends.
        command += ["--live-from", self.end.isoformat()]
        if self.live_speed is None:
            command += ["--to", self.end.isoformat()]
        else:
            command += ["--speed", str(self.live_speed)]
        return FieldProcess(command)

    @property
    def _fleet(self) -> list[str]:
        return ["--gateways", str(self.gateways), "--meters", str(self.meters), "--seed", str(self.seed)]


def _each(option: str, values: Iterable[str]) -> list[str]:
    return [part for value in values for part in (option, value)]


_SIMULATOR = [sys.executable, "-m", "firmware_sim"]


class FieldProcess:
    """The simulator, running."""

    def __init__(self, command: list[str]) -> None:
        # Its own session: Ctrl-C is ours to hear, we stop it when we are done with it.
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (lives as long as the process)
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._said, text=True, start_new_session=True
        )

    def events(self) -> Iterator[dict[str, Any]]:
        """What it says, as it says it; raises `HeadendError` if it ends in failure."""
        for line in self._process.stdout or ():
            yield json.loads(line)
        if self._process.wait():
            self._said.seek(0)
            raise HeadendError(f"the simulated field gave up: {self._said.read().strip()}")

    def stop(self) -> None:
        """End it, if it has not ended by itself."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()
