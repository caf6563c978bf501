"""A meter's reads over a time, in one of four formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from headend.errors import InvalidInput
from headend.exports.csvfile import csv_of
from headend.exports.greenbutton import green_button_of
from headend.exports.jsonfile import json_of
from headend.exports.nem12 import AEST_AHEAD_S, nem12_of
from headend.exports.stretch import Stretch, stretch
from headend.reads.channels import Channel
from headend.reads.days import DAY_S, seconds
from headend.registry.registry import EnrolledChannel, channels_of
from headend.site import Site

Format = Literal["csv", "nem12", "greenbutton", "json"]

#: Stretches of one meter, and when they were read, as text.
FORMATS: Final[Mapping[Format, Callable[[Sequence[Stretch], datetime], str]]] = {
    "csv": csv_of,
    "nem12": nem12_of,
    "greenbutton": green_button_of,
    "json": json_of,
}


def export(site: Site, meter: str, obis: str | None, start: datetime, end: datetime, form: Format) -> str:
    """The intervals of a meter that begin in [start, end), as text.

    Parameters
    ----------
    obis
        the channel; None: all the meter has.
    form
        csv, nem12, greenbutton or json. NEM12 has whole days of Australian Eastern Standard Time: the range is widened
        to them.

    Raises
    ------
    InvalidInput
        the range is empty, holds no reads, or the format has no place for one of the channels.
    NotFound
        no meter is called so.
    """
    if end <= start:
        raise InvalidInput("--to", end.isoformat(), f"a time after {start.isoformat()}, when it begins")
    start_s, end_s = seconds(start), seconds(end)
    if form == "nem12":
        start_s = (start_s + AEST_AHEAD_S) // DAY_S * DAY_S - AEST_AHEAD_S
        end_s = -(-(end_s + AEST_AHEAD_S) // DAY_S) * DAY_S - AEST_AHEAD_S
    now = site.clock()
    with site.database.read() as tx:
        channels = _of_meter(channels_of(tx, meter), obis)
        read = [stretch(tx, site.store, one, start_s, end_s, seconds(now)) for one in channels]
    told = [one for one in read if one.present.any()]
    if not told:
        of = f"{meter} {obis}" if obis else meter
        raise InvalidInput("--from", f"no reads of {of} from {start.isoformat()} to {end.isoformat()}", "some")
    return FORMATS[form](told, now)


def _of_meter(channels: Sequence[EnrolledChannel], obis: str | None) -> Sequence[EnrolledChannel]:
    if obis is None:
        return channels
    code = Channel.parse(obis)
    found = [one for one in channels if one.channel == code]
    if not found:
        has = ", ".join(one.channel.obis for one in channels)
        raise InvalidInput("--channel", obis, f"one that {channels[0].meter_name} has: {has}")
    return found
