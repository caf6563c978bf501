"""What a check says: findings, which keep a tariff from being used, and notes, which do not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: where it stands, what was found, what was expected."""

    where: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}, expected {self.expected}"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that may be meant or not: where it stands, and what it says."""

    where: str
    says: str

    def __str__(self) -> str:
        return f"{self.where}: {self.says}"


def one_of(names: Collection[str]) -> str:
    """The names that would have been right."""
    return f"one of {', '.join(names)}" if len(names) > 1 else ", ".join(names)
