"""What gateways tell of themselves and of meters beside reads: voltage, signal, battery, temperature, clock.

A value is known by its moment, who told it, of what, and its quantity; the same value again changes nothing, so that a
message that comes twice is not sent on twice either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from headend.errors import NotFound
from headend.store.tables import telemetry

#: A gateway's clock minus ours [s], as measured on what it sends.
CLOCK_OFFSET = "clock_offset_s"

_CLOCK_EVERY_S = 60


class Told(NamedTuple):
    """What a value is of: when [s since 1970], who told it, the meter or "" for the gateway itself, the quantity."""

    at_s: int
    gateway: str
    meter: str
    quantity: str


@dataclass(slots=True)
class Series:
    """One quantity's values, oldest first: `values[i]` was so at `at_s[i]` [s since 1970]."""

    quantity: str
    at_s: list[int]
    values: list[float]


def keep_telemetry(tx: Connection, told: Mapping[Told, float], *, sent: bool) -> None:
    """Keep values; where there is another one of the same moment, the new one stands.

    Parameters
    ----------
    sent
        True where nobody but the site database is to have them.
    """
    insert = _insert(tx)
    newer = insert.excluded
    statement = insert.on_conflict_do_update(
        index_elements=list(telemetry.primary_key.columns),
        set_={"value": newer.value, "sent": newer.sent},
        where=telemetry.c.value != newer.value,
    )
    if told:
        tx.execute(statement, [{**key._asdict(), "value": value, "sent": sent} for key, value in told.items()])


def keep_clock_offsets(tx: Connection, measured: Mapping[str, tuple[int, int]], *, sent: bool) -> None:
    """Keep by how much gateways' clocks are off: of each minute the first value, however much they send.

    Parameters
    ----------
    measured
        by gateway: when [s since 1970], and by how much [s].
    """
    rows = [
        {"at_s": at_s - at_s % _CLOCK_EVERY_S, "gateway": gateway, "meter": "", "quantity": CLOCK_OFFSET}
        | {"value": float(offset_s), "sent": sent}
        for gateway, (at_s, offset_s) in measured.items()
    ]
    if rows:
        key = list(telemetry.primary_key.columns)
        tx.execute(_insert(tx).on_conflict_do_nothing(index_elements=key), rows)


def telemetry_of(
    tx: Connection, start_s: int, end_s: int, *, gateway: str | None = None, meter: str = "", limit: int | None = None
) -> list[Series]:
    """What was told over [start_s, end_s) [s since 1970], by quantity.

    Parameters
    ----------
    gateway
        who told it; None: whoever did.
    meter
        of which meter; "": of the gateway itself.
    limit
        so many values at most, the oldest first.
    """
    t = telemetry.c
    query = select(t.quantity, t.at_s, t.value).where(t.meter == meter, t.at_s >= start_s, t.at_s < end_s)
    if gateway is not None:
        query = query.where(t.gateway == gateway)
    found: dict[str, Series] = {}
    for row in tx.execute(query.order_by(t.at_s).limit(limit)):
        series = found.setdefault(row.quantity, Series(row.quantity, [], []))
        series.at_s.append(row.at_s)
        series.values.append(row.value)
    return [found[quantity] for quantity in sorted(found)]


def series_named(quantity: str, there: Sequence[Series]) -> Series:
    """One of these quantities; raises `NotFound`."""
    for series in there:
        if series.quantity == quantity:
            return series
    raise NotFound(f"nothing was told of {quantity!r}")


def _insert(tx: Connection) -> Any:
    return (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(telemetry)
