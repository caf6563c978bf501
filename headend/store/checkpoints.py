"""How far the journal has become reads, and what became of them: advanced in the transaction that stores the reads."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from headend.store.database import upsert
from headend.store.tables import checkpoint as table

#: The row of intake; whoever else follows the journal has one of its own.
_INTAKE = "store"


@dataclass(slots=True)
class IntakeCounts:
    """What became of reads [intervals]."""

    stored: int = 0
    duplicates: int = 0
    replaced: int = 0


def checkpoint(tx: Connection) -> int:
    """Offset of the last journal entry that is in the store."""
    return tx.execute(select(table.c.offset).where(table.c.name == _INTAKE)).scalar() or 0


def totals(tx: Connection) -> IntakeCounts:
    """What became of all reads so far."""
    c = table.c
    row = tx.execute(select(c.reads_stored, c.duplicates, c.replaced).where(c.name == _INTAKE)).first()
    return IntakeCounts(*row) if row else IntakeCounts()


def advance(tx: Connection, offset: int, counts: IntakeCounts) -> None:
    """Everything up to `offset` is in the store, and this became of what is new."""
    before = totals(tx)
    row = {
        "name": _INTAKE,
        "offset": offset,
        "reads_stored": before.stored + counts.stored,
        "duplicates": before.duplicates + counts.duplicates,
        "replaced": before.replaced + counts.replaced,
    }
    upsert(tx, table, [row])
