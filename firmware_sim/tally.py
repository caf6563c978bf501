"""What a fleet has done so far, and the record of what was planted where."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TextIO


@dataclass(slots=True)
class Tally:
    """Counts; messages and reads are counted once, however often they are sent.

    Attributes
    ----------
    planted
        how often each kind of fault was planted.
    facts
        by kind, what was planted where, for `--planted`; None where nobody asked for it.
    """

    reads_measured: int = 0
    reads_sent: int = 0
    reads_backfilled: int = 0
    messages_sent: int = 0
    messages_acknowledged: int = 0
    resent: int = 0
    planted: Counter[str] = field(default_factory=Counter)
    facts: dict[str, list[dict[str, Any]]] | None = None

    def plant(self, kind: str, facts: dict[str, Any]) -> None:
        """One more fault of a kind."""
        self.planted[kind] += 1
        self.note(kind, facts)

    def note(self, kind: str, facts: dict[str, Any]) -> None:
        """Keep what was planted, if somebody wants to know."""
        if self.facts is not None:
            self.facts.setdefault(kind, []).append(facts)

    def progress(self) -> dict[str, int]:
        """The counts of a progress line."""
        return {
            "messages_sent": self.messages_sent,
            "messages_acknowledged": self.messages_acknowledged,
            "reads_measured": self.reads_measured,
            "reads_sent": self.reads_sent,
        }

    def totals(self) -> dict[str, Any]:
        """What was measured, sent and planted."""
        return {
            "reads_measured": self.reads_measured,
            "reads_sent": self.reads_sent,
            "reads_backfilled": self.reads_backfilled,
            "messages": self.messages_sent,
            "messages_acknowledged": self.messages_acknowledged,
            "resent": self.resent,
            "planted": dict(sorted(self.planted.items())),
        }

    def write_facts(self, file: TextIO) -> None:
        """All facts as one JSON object: by kind, a list."""
        json.dump(self.facts or {}, file, indent=1)
        file.write("\n")
