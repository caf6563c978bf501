"""NEM12, Australia's interval meter data file (AEMO MDFF 2.6): days of Eastern Standard Time, in kWh and kVArh.

What the format asks for and we cannot know stands as said in `docs/files.md`: the NMI is the meter's name, both
participants are HEADEND, a day was last updated when it was written.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from headend.errors import InvalidInput
from headend.exports.stretch import Stretch
from headend.reads.crosswalk import Nem12, to_nem12
from headend.reads.days import DAY_S, moment

#: Australian Eastern Standard Time, which has no summer time, is ahead of UTC by [s].
AEST_AHEAD_S = 10 * 3_600

_LENGTHS_S = (300, 900, 1_800)
#: AEMO's "export" goes from the grid to the customer: our import.
_SUFFIXES = {
    "1-0:1.8.0": ("E1", "kWh"),
    "1-0:2.8.0": ("B1", "kWh"),
    "1-0:3.8.0": ("Q1", "kVArh"),
    "1-0:4.8.0": ("K1", "kVArh"),
}

_Row = list[str | int]


def nem12_of(stretches: Sequence[Stretch], now: datetime) -> str:
    """Intervals as NEM12; a day without any value is left out, a missing one in a day is null (N).

    Raises
    ------
    InvalidInput
        a channel that is none of the four of electric energy, or has intervals of another length than 5, 15 or 30
        minutes.
    """
    for one in stretches:
        _refuse_misfits(one)
    configuration = "".join(_SUFFIXES[one.channel.channel.obis][0] for one in stretches)
    written = now + timedelta(seconds=AEST_AHEAD_S)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(["100", "NEM12", f"{written:%Y%m%d%H%M}", "HEADEND", "HEADEND"])
    for one in stretches:
        suffix, unit = _SUFFIXES[one.channel.channel.obis]
        nmi, minutes = one.channel.meter_name, one.interval_s // 60
        rows.writerow(["200", nmi, configuration, suffix, suffix, "", "", unit, minutes, ""])
        rows.writerows(_days(one, f"{written:%Y%m%d%H%M%S}"))
    rows.writerow(["900"])
    return text.getvalue()


def _refuse_misfits(one: Stretch) -> None:
    obis, whose = one.channel.channel.obis, f"{one.channel.meter_name} {one.channel.channel.obis}"
    if obis not in _SUFFIXES:
        expected = f"one of {', '.join(_SUFFIXES)}: choose with --channel, or --format csv"
        raise InvalidInput("nem12", f"{whose}, {one.channel.channel.meaning}", expected)
    if one.interval_s not in _LENGTHS_S:
        expected = "5, 15 or 30 minutes, which NEM12 has: --format csv takes any"
        raise InvalidInput("nem12", f"{whose} with intervals of {one.interval_s / 60:g} minutes", expected)


def _days(one: Stretch, written: str) -> Iterator[_Row]:
    """The 300 record of every day with a value, and the 400 records that qualify its parts."""
    said = [to_nem12(condition) for condition in one.conditions()]
    present, values = one.present.tolist(), one.values.tolist()
    per_day = DAY_S // one.interval_s
    lead = (one.start_s + AEST_AHEAD_S) % DAY_S // one.interval_s
    none = Nem12("N")
    for first in range(-lead, len(values), per_day):
        places = range(first, first + per_day)
        if not any(present[max(first, 0) : first + per_day]):
            continue
        inside = [0 <= place < len(values) for place in places]
        of_day = [said[place] if there else none for place, there in zip(places, inside, strict=True)]
        kilos = [_kilo(values[place]) if there else "0" for place, there in zip(places, inside, strict=True)]
        date = moment(one.start_s + AEST_AHEAD_S + first * one.interval_s)
        record: _Row = ["300", f"{date:%Y%m%d}", *kilos]
        if len(set(of_day)) == 1:
            yield [*record, *_quality(of_day[0]), written, ""]
            continue
        yield [*record, "V", "", "", written, ""]
        end = 0
        for each, run in groupby(of_day):
            begin, end = end + 1, end + len(list(run))
            yield ["400", begin, end, *_quality(each)]


def _quality(said: Nem12) -> _Row:
    return [said.method, "" if said.reason is None else said.reason, said.description]


def _kilo(base_units: int) -> str:
    """Thousands with all three decimals, exactly."""
    return f"{'-' if base_units < 0 else ''}{abs(base_units) // 1_000}.{abs(base_units) % 1_000:03}"
