"""Real servers for the tests, each on a port of its own, that can be killed and started again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port: int) -> None:
    """Return once somebody listens on the port."""
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < until, f"nobody listens on port {port}"
            time.sleep(0.02)
        else:
            return


def needs(tool: str, found: object) -> None:
    """Skip the test that wants a tool this machine has not; in CI that is a failure."""
    if not found:
        if os.environ.get("CI"):
            pytest.fail(f"{tool} is not installed; CI must have it")
        pytest.skip(f"{tool} is not installed")


class Mosquitto:
    """A broker that keeps nothing on disk.

    Parameters
    ----------
    more
        further lines of its configuration, such as the certificates of its listener.
    """

    #: Lines with which its log names every packet.
    TALKATIVE = ("log_dest stderr", "log_type debug", "log_type notice")

    def __init__(self, folder: Path, *more: str) -> None:
        needs("mosquitto", MOSQUITTO)
        self.port = free_port()
        self.log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            "max_queued_messages 0\nmax_inflight_messages 2000\n"  # as config/mosquitto.conf
            + "".join(f"{line}\n" for line in more)
        )
        self.start()

    def start(self) -> None:
        command = [MOSQUITTO, "-c", str(self._config)]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        await_port(self.port)

    def subscribed(self, client: str) -> bool:
        """Whether a client has asked for messages; of one that is talkative."""
        return f"Received SUBSCRIBE from {client}" in self.log.read_text()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Headend:
    """`headend serve` as a process of its own, with one folder for all it writes.

    Parameters
    ----------
    settings
        by section; the rest is as shipped.
    name
        of its settings file, where several share a folder; else the role.
    """

    def __init__(self, folder: Path, settings: dict[str, dict[str, object]], role: str = "all", name: str = "") -> None:
        self.folder, self._role = folder, role
        folder.mkdir(parents=True, exist_ok=True)
        merged = {"data": {"directory": str(folder)}, "log": {"level": "warning"}} | settings
        self.config = folder / f"{name or role}.toml"
        self.config.write_text(
            "".join(
                f"[{section}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in keys.items())
                for section, keys in merged.items()
            )
        )

    def start(self) -> None:
        command = [sys.executable, "-m", "headend", "serve", "--config", str(self.config), "--role", self._role]
        self.process = subprocess.Popen(command)

    def kill(self) -> None:
        """As the kernel does when memory is short: no good-bye."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """As an operator does; its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=30)


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
