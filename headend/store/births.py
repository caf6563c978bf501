"""What Sparkplug devices told of themselves at their births: without it their later messages mean nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, select

from headend.reads.days import microseconds
from headend.store import tables as t
from headend.store.database import upsert


def births(tx: Connection) -> dict[tuple[str, str], str]:
    """The metrics of every birth, by ("group/node", device)."""
    b = t.sparkplug_birth.c
    return {(row.node, row.device): row.metrics for row in tx.execute(select(b.node, b.device, b.metrics))}


def keep_births(tx: Connection, births: Iterable[tuple[str, str, str]], now: datetime) -> None:
    """Remember births: node, device, metrics."""
    born_us = microseconds(now)
    rows = [
        {"node": node, "device": device, "born_us": born_us, "metrics": metrics} for node, device, metrics in births
    ]
    upsert(tx, t.sparkplug_birth, rows)
