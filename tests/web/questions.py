"""What validation asks people about, planted into the tests' site: one of each kind, as settlement leaves them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Connection

from headend.reads.channels import IMPORT, WATER
from headend.reads.days import DAY_S, seconds
from headend.reads.quality import Quality
from headend.site import Site
from headend.store import history
from headend.store import tables as t
from headend.store.exceptions import Choice, exceptions, open_anomalies, open_found
from headend.vee.findings import Finding
from tests.web.sites import NOW

HOUR = 3600


def at(day: int, hour: int = 0, *, month: int = 11) -> int:
    """Seconds since 1970 of an hour of 2025, UTC."""
    return seconds(datetime(2025, month, day, hour, tzinfo=UTC))


SPIKE = at(5, 18), at(5, 19)
ZEROS = at(6, 4), at(7, 10)
GAP = at(29, month=10), at(30, month=10)
WINDOW = at(1), at(2)
LEAK = at(4), at(10)
HIGH = at(16, month=10), at(31, month=10)


def ask(site: Site) -> dict[str, int]:
    """Plant a spike, a run of zeros, a gap of a day, a day that its registers contradict, a leak and a high bill.

    Returns
    -------
    dict
        the numbers of the exceptions, by rule or anomaly.
    """
    with site.database.write() as tx:
        meters = {row.name: row.id for row in tx.execute(t.meter.select())}
        e1, e2, w2 = meters["E-1"], meters["E-2"], meters["W-2"]
        put(tx, site, e2, SPIKE, times=10)
        put(tx, site, e1, ZEROS, values=0)
        put(tx, site, e2, GAP, times=0.93, quality=Quality.ESTIMATED_LIKE_DAY)
        registers(tx, site, e1, WINDOW, lost=4_000)
        findings = [
            found(
                e2,
                SPIKE,
                "V9",
                "warning",
                "20145 stands out: the third-highest of the day is 2466; no register vouches",
            ),
            found(e1, ZEROS, "V10", "warning", "0 for 30 hours, and no register says so: a meter that stands?"),
            found(e2, GAP, "V4", "warning", "no read came for these 24 intervals <b>"),
            found(e1, WINDOW, "V8", "failed", "intervals add up to 25390, the register advanced by 21390"),
            found(e2, HIGH, "V11", "warning", "44.7 kWh a day against 20.1 kWh in the three weeks before: 222 %"),
        ]
        history.keep_findings(tx, findings, site.rules.version, NOW)
        classes = {(meter, code): "residential" for meter in (e1, e2) for code in (IMPORT.code,)}
        open_found(tx, findings, site.rules, classes, NOW)
        leak = "On 6 nights in a row water never stopped: at least 5 litres flowed in every quarter of an hour"
        open_anomalies(tx, [(w2, WATER.code, "leak", *LEAK, 0.83, leak)], site.rules.version, NOW)
        return {one.rule: one.id for one in exceptions(tx, Choice())}


def found(meter: int, span: tuple[int, int], rule: str, severity: str, detail: str) -> Finding:
    """One to be reviewed."""
    return Finding(meter, IMPORT.code, *span, rule, severity, detail, review=True)


def put(
    tx: Connection,
    site: Site,
    meter: int,
    span: tuple[int, int],
    *,
    times: float = 1,
    values: int | None = None,
    quality: Quality = Quality.VALIDATED,
) -> None:
    """Other values in a span of the import channel."""
    blocks, inside = loaded(tx, site, meter, span)
    blocks.values[inside] = (blocks.values[inside] * times).astype(np.int64) if values is None else values
    blocks.quality[inside] = quality
    site.store.save(tx, blocks, inside, settled=True)


def registers(tx: Connection, site: Site, meter: int, span: tuple[int, int], *, lost: int) -> None:
    """A register read at both ends of a span, that advanced by so much less than the intervals add up to."""
    wide = span[0] - HOUR, span[1]
    blocks, inside = loaded(tx, site, meter, wide)
    first, *_, last = np.argwhere(inside).tolist()
    total = int(blocks.values[inside].sum()) - int(blocks.values[tuple(first)])
    blocks.register[tuple(first)] = 100_000
    blocks.register[tuple(last)] = 100_000 + total - lost
    blocks.quality[inside & (blocks.start_s >= span[0])] = Quality.QUESTIONABLE
    site.store.save(tx, blocks, inside, settled=True)


def loaded(tx: Connection, site: Site, meter: int, span: tuple[int, int]):
    """The blocks of a span of the import channel, and which intervals lie in it."""
    days = range(span[0] // DAY_S, -(-span[1] // DAY_S))
    blocks = site.store.load(tx, [(day, meter, IMPORT.code) for day in days], HOUR)
    return blocks, (blocks.start_s >= span[0]) & (blocks.start_s < span[1])
