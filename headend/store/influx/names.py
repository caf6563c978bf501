"""What a meter is called in InfluxDB: by its own name, which people know and which no other meter ever gets."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from headend.errors import StoreBroken
from headend.store.tables import meter

# With more meters than this, all names are read and the rest left out.
_LOOK_UP_UP_TO = 500


def meter_names(tx: Connection, meters: Collection[int]) -> Mapping[int, str]:
    """Names of meters by registry key; raises `StoreBroken` where the registry has no such meter."""
    query = select(meter.c.id, meter.c.name)
    if len(meters) <= _LOOK_UP_UP_TO:
        query = query.where(meter.c.id.in_(list(meters)))
    names = {row.id: row.name for row in tx.execute(query)}
    if unknown := set(meters) - names.keys():
        raise StoreBroken(f"interval store: day blocks of meter {min(unknown)}, which the registry does not know")
    return names
