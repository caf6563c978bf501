"""Processes that are listened to while they run: roles of a head-end, and a fleet that waits for commands."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from tests.e2e.fleets import SIMULATOR
from tests.e2e.sites import becomes_true
from tests.servers import Headend


def await_that(claim: Callable[[], object], what: str, within_s: float = 120) -> None:
    """Return as soon as it is true; it must be in time."""
    assert becomes_true(claim, within_s), f"waited {within_s:g} s in vain for {what}"


class Lines:
    """What a process says, line by line, as it says it."""

    def __init__(self, stream: IO[str] | None) -> None:
        assert stream is not None
        self.said: list[str] = []
        self._stream = stream
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with self._stream as stream:
            for line in stream:
                self.said.append(line)

    def last(self, text: str) -> str | None:
        """The last line with this in it."""
        return next((line for line in reversed(self.said) if text in line), None)


class Role(Headend):
    """One role of a head-end that can be denied the disk; see `Headend` for the rest."""

    def start(self) -> None:
        command = [sys.executable, "-m", "headend", "serve", "--config", str(self.config), "--role", self._role]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.process, self._lines = process, Lines(process.stderr)

    def await_word(self, text: str) -> None:
        """Until this process has said something."""
        await_that(lambda: self._lines.last(text), f"{text!r} of {self._role}; it said {self._lines.said[-3:]}")

    def fill_disk(self) -> None:
        """Whatever it writes to a file fails from now on."""
        hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (0, hard))

    def free_disk(self) -> None:
        hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


class Fleet:
    """Gateways that tell a history, after the fault plan in their folder, and then wait for commands.

    Their live phase is so slow that no hour of it ever ends.

    Parameters
    ----------
    more
        options of `firmware-sim fleet`.
    """

    def __init__(self, folder: Path, begin: datetime, end: datetime, *more: str) -> None:
        self.truth, self._planted = folder / "truth.csv", folder / "planted.json"
        command = [*SIMULATOR, "fleet", *more, "--from", begin.isoformat(), "--live-from", end.isoformat()]
        command += ["--speed", "0.001", "--faults", str(folder / "faults.toml"), "--truth", str(self.truth)]
        command += ["--planted", str(self._planted), "--progress"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._lines = Lines(self._process.stdout)

    @property
    def has_told_its_history(self) -> bool:
        """… and all of it was acknowledged."""
        return self._lines.last('"live"') is not None

    def await_acknowledgement(self) -> None:
        """Until everything it sent by now is acknowledged."""
        heard = len(self._lines.said) + 1

        def acknowledged() -> bool:
            last = json.loads(self._lines.said[-1])
            return len(self._lines.said) > heard and last["messages_sent"] == last["messages_acknowledged"]

        await_that(acknowledged, "the fleet to be acknowledged")

    def end(self) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
        """Stop it: its counts, and what it planted where."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(timeout=30) == 0
        await_that(lambda: self._lines.last('"done"'), "the fleet's counts")
        return json.loads(self._lines.last('"done"') or ""), json.loads(self._planted.read_text())

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
