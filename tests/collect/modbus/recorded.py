"""The register files of tests/data/modbus: one for each shipped profile."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from headend.collect.modbus import load_profiles
from headend.config import shipped

FOLDER = Path(__file__).parents[2] / "data" / "modbus"
PROFILES = load_profiles(shipped("modbus"))


@dataclass(frozen=True)
class Recorded:
    """One meter's registers, and what they mean."""

    memory: dict[tuple[int, int], int]
    values: dict[str, int]
    refused: dict[str, str]
    serial: str


def recorded(name: str) -> Recorded:
    content = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    memory = {
        (row["function"], row["address"] + place): word
        for row in content["registers"]
        for place, word in enumerate(row["words"])
    }
    return Recorded(memory, content["values"], content.get("refused", {}), content["serial"])
