"""Stamps without an offset, in a zone whose clocks change: which moment each is.

In spring an hour of the clock is not there: a stamp in it is refused. In autumn an hour comes twice: a stamp in it is a
moment only if the file has it twice as well, first all of the first hour and then all of the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from headend.collect.files.series import check_moment
from headend.errors import InvalidInput
from headend.reads.days import seconds

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - as a clock on the wall shows it
_SECOND = timedelta(seconds=1)


def moment_s(stamp: datetime, zone: ZoneInfo, where: str) -> int | None:
    """The moment of a stamp [s since 1970]; None where it comes twice. Raises `InvalidInput` where it never was."""
    try:
        # Before and after a change of clocks, where the stamp is near one [PEP 495].
        before, after = stamp.replace(tzinfo=zone).utcoffset(), stamp.replace(tzinfo=zone, fold=1).utcoffset()
    except OverflowError:
        before = after = None
    if before is None or after is None:
        raise InvalidInput(where, repr(str(stamp)), "a moment from 1970 to 2199")
    if before < after:
        raise InvalidInput(
            where,
            f"an interval that begins {stamp}, an hour left out in {zone.key} that day",
            "no such hour, or the zone of a file whose days all have 24 hours, such as --timezone Etc/GMT",
        )
    at_s = (stamp - _EPOCH - before) // _SECOND
    check_moment(at_s, where)
    return at_s if before == after else None


def told_apart(stamps: Sequence[tuple[datetime, int]], zone: ZoneInfo, name: str) -> list[int]:
    """The moments of stamps that come twice [s since 1970], as they stand in the file.

    Parameters
    ----------
    stamps
        of one channel, each with its line.

    Raises
    ------
    InvalidInput
        a stamp stands there once, or more than twice, or its two hours are not one after the other.
    """
    places: dict[date, dict[datetime, list[int]]] = {}
    for place, (stamp, _) in enumerate(stamps):
        places.setdefault(stamp.date(), {}).setdefault(stamp, []).append(place)
    moments = [0] * len(stamps)
    for hour in places.values():
        first_ends = max(found[0] for found in hour.values())
        for stamp, found in hour.items():
            if len(found) != 2 or found[1] < first_ends:
                raise InvalidInput(
                    f"{name}: line {stamps[found[0]][1]}",
                    f"an interval that begins {stamp}, an hour that comes twice in {zone.key} that day",
                    "it twice, one whole hour after the other, or stamps with an offset",
                )
            for fold, place in enumerate(found):
                moments[place] = seconds(stamp.replace(tzinfo=zone, fold=fold))
    return moments
