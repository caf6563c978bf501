"""Telemetry in InfluxDB: what gateways tell of themselves and of meters, for dashboards; never billed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import and_, bindparam, select, update

from headend.store.database import Database
from headend.store.influx.connection import Influx
from headend.store.influx.lines import tag_value
from headend.store.tables import telemetry

MEASUREMENT = "telemetry"

_ROWS_AT_ONCE = 5_000

# With the value: one that was corrected while this one was on its way is unsent still.
_SENT = ("at_s", "gateway", "meter", "quantity", "value")
_NOTE_SENT = (
    update(telemetry).where(and_(*(telemetry.c[name] == bindparam(f"the_{name}") for name in _SENT))).values(sent=True)
)


class InfluxTelemetry:
    """The telemetry in one bucket."""

    def __init__(self, influx: Influx, bucket: str) -> None:
        self._influx, self._bucket = influx, bucket

    def forward(self, database: Database) -> int:
        """Send the oldest values that are unsent, some thousands; how many there were. Raises `StoreAway`."""
        t = telemetry.c
        unsent = select(telemetry).where(t.sent.is_(False)).order_by(t.at_s).limit(_ROWS_AT_ONCE)
        with database.read() as tx:
            rows = tx.execute(unsent).all()
        if rows:
            self._influx.write(self._bucket, _bodies(rows, self._influx.settings.points_a_request))
            with database.write() as tx:
                tx.execute(_NOTE_SENT, [{f"the_{name}": getattr(row, name) for name in _SENT} for row in rows])
        return len(rows)


def _bodies(rows: Sequence[Any], points_a_request: int) -> Iterator[bytes]:
    lines = [_line(row) for row in rows if math.isfinite(row.value)]  # no other number can be written
    for begin in range(0, len(lines), points_a_request):
        yield "\n".join(lines[begin : begin + points_a_request]).encode()


def _line(row: Any) -> str:
    meter = f",meter={tag_value(row.meter)}" if row.meter else ""
    return f"{MEASUREMENT},gateway={tag_value(row.gateway)}{meter} {tag_value(row.quantity)}={row.value!r} {row.at_s}"
