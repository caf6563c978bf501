"""A site with a history, and the commands people give it, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from headend.reads.days import seconds
from tests.process.field import DAY, HOUR, MONDAY, Field, meter, registry
from tests.servers import Headend

DAYS = 12
FIRST = seconds(MONDAY) // 86_400

METERS = ("E-1", "E-2", "E:3.x")


def field_with_days(folder: Path, days: int = DAYS) -> Field:
    """Three meters with hourly reads, some of them missing, corrected or estimated."""
    field = Field(folder, registry(*(meter(name) for name in METERS)))
    for place, name in enumerate(METERS):
        field.send(
            MONDAY, [None if hour == 30 else 200 + 7 * place + hour % 24 for hour in range(24 * days)], meter=name
        )
        field.send(MONDAY + 50 * HOUR, [180 + place], meter=name, register=40_000_000_000 + place)
    field.settle(MONDAY + days * DAY + 12 * HOUR)
    return field


class Commands:
    """`headend store …` for a site whose databases are in a folder, if `data` does not say otherwise."""

    def __init__(self, folder: Path, influx: dict[str, object], kind: str = "sql", **data: object) -> None:
        settings = {"site": {"registry": ""}, "store": {"kind": kind}, "influx": influx}
        if data:
            settings["data"] = {"directory": str(folder), **data}
        self.config = Headend(folder, settings, name=kind).config

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "headend", "store", *arguments, "--config", str(self.config)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments: str, code: int = 0) -> list[str]:
        """Lines it wrote, on whichever stream."""
        with self.start(*arguments) as process:
            out, error = process.communicate(timeout=120)
        assert process.returncode == code, out + error
        return [*out.splitlines(), *error.splitlines()]

    def after_lines(
        self, count: int, then: Callable[[subprocess.Popen[str]], None], *arguments: str
    ) -> tuple[int, str]:
        """Do something to a command once it has written so many lines; its exit code, and what it wrote on errors."""
        with self.start(*arguments) as process:
            assert process.stdout is not None
            for _ in range(count):
                assert process.stdout.readline()
            then(process)
            _, error = process.communicate(timeout=120)
        return process.returncode, error
