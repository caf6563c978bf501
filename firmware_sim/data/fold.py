"""Fold a published load file (kWh by half hour or hour) to the hourly `start,wh` files kept here.

    python -m firmware_sim.data.fold RAW.csv OUT.csv

Stamps are taken as interval-beginning UTC. A repeated stamp counts once. An hour with a missing half is left out:
missing is missing, never zero.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path


def fold(rows: Iterable[tuple[str, str]]) -> list[tuple[str, int]]:
    """Sum a published series to whole hours.

    Parameters
    ----------
    rows
        stamp (ISO 8601 without offset, interval-beginning UTC) and energy [kWh], half-hourly or hourly.

    Returns
    -------
    list
        (begin of the hour as ``…Z``, energy [Wh]), ascending, complete hours only.

    Raises
    ------
    ValueError
        when one stamp comes twice with different values.
    """
    energy: dict[datetime, Decimal] = {}
    for stamp, kwh in rows:
        start, value = datetime.fromisoformat(stamp), Decimal(kwh)
        if energy.setdefault(start, value) != value:
            raise ValueError(f"{stamp}: {energy[start]} and {value} kWh")
    half_hourly = any(start.minute == 30 for start in energy)
    halves = (timedelta(0), timedelta(minutes=30)) if half_hourly else (timedelta(0),)
    hours = sorted({start.replace(minute=0) for start in energy})
    return [
        (f"{hour:%Y-%m-%dT%H:%M:%SZ}", whole_wh(sum((energy[hour + half] for half in halves), Decimal(0))))
        for hour in hours
        if all(hour + half in energy for half in halves)
    ]


def whole_wh(kwh: Decimal) -> int:
    """Energy [kWh] as the nearest whole Wh."""
    return int((kwh * 1000).quantize(Decimal(1), ROUND_HALF_EVEN))


def main(raw: str, out: str) -> None:
    """Fold the file `raw` (a header line, then stamp and kWh) into the file `out`."""
    with Path(raw).open(newline="", encoding="utf-8") as source:
        lines = csv.reader(source)
        next(lines)
        folded = fold((line[0], line[1]) for line in lines)
    with Path(out).open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(("start", "wh"))
        writer.writerows(folded)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m firmware_sim.data.fold RAW.csv OUT.csv")
    main(sys.argv[1], sys.argv[2])
