"""Green Button: an Atom feed of NAESB ESPI with one usage point, a meter reading a channel, a block a local day."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

from headend.errors import InvalidInput
from headend.exports.localtime import local_time
from headend.exports.stretch import Stretch
from headend.reads.crosswalk import to_espi
from headend.reads.days import DAY_S, local_seconds, moment, zone_named

_ATOM, _ESPI = "http://www.w3.org/2005/Atom", "http://naesb.org/espi"
#: A name is always the same for the same thing, so that a feed can be told from the one before.
_NAMES = uuid.uuid5(uuid.NAMESPACE_URL, _ESPI)

#: Kind of service of a usage point, by commodity.
_SERVICES: Final = {"electricity": 0, "gas": 1, "water": 2}
#: Commodity, flow direction, kind of quantity (None: the standard has none for it) and unit of a reading type.
_TYPES: Final[dict[str, tuple[int, int, int | None, int]]] = {
    "1-0:1.8.0": (1, 1, 12, 72),
    "1-0:2.8.0": (1, 19, 12, 72),
    "1-0:3.8.0": (1, 1, 12, 73),
    "1-0:4.8.0": (1, 19, 12, 73),
    "7-0:3.0.0": (7, 1, None, 134),
    "8-0:1.0.0": (9, 1, None, 134),
}


def green_button_of(stretches: Sequence[Stretch], now: datetime) -> str:
    """Intervals as a feed; what is missing is no reading.

    Flags have no place in it. Raises `InvalidInput` where ESPI has no reading type for a channel.
    """
    for one in stretches:
        if one.channel.channel.obis not in _TYPES:
            whose = f"{one.channel.meter_name} {one.channel.channel.obis}, {one.channel.channel.meaning}"
            expected = f"one of {', '.join(_TYPES)}: choose with --channel, or --format csv"
            raise InvalidInput("greenbutton", whose, expected)
    register_namespace("", _ATOM)
    register_namespace("espi", _ESPI)
    feed = Element(f"{{{_ATOM}}}feed")
    meter = stretches[0].channel.meter_name
    SubElement(feed, f"{{{_ATOM}}}id").text = uuid.uuid5(_NAMES, f"{meter} {now.isoformat()}").urn
    SubElement(feed, f"{{{_ATOM}}}title").text = f"Green Button usage of {meter}"
    SubElement(feed, f"{{{_ATOM}}}updated").text = _utc(now)
    feed.extend(_entries(stretches, now))
    indent(feed, space=" ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(feed, encoding="unicode") + "\n"


def _entries(stretches: Sequence[Stretch], now: datetime) -> Iterator[Element]:
    enrolled = stretches[0].channel
    zone = zone_named(enrolled.timezone)
    point, clock = f"UsagePoint/{uuid.uuid5(_NAMES, enrolled.meter_name).hex}", f"LocalTimeParameters/{zone.key}"

    category = Element(_tag("ServiceCategory"))
    _number(category, "kind", _SERVICES[enrolled.channel.commodity])
    usage_point = Element(_tag("UsagePoint"))
    usage_point.append(category)
    yield _entry(point, [f"{point}/MeterReading", clock], enrolled.meter_name, usage_point, now)

    parameters, local = Element(_tag("LocalTimeParameters")), local_time(zone, moment(stretches[0].start_s))
    SubElement(parameters, _tag("dstEndRule")).text = local.end_rule
    _number(parameters, "dstOffset", local.dst_offset)
    SubElement(parameters, _tag("dstStartRule")).text = local.start_rule
    _number(parameters, "tzOffset", local.tz_offset)
    yield _entry(clock, [], zone.key, parameters, now)

    for one in stretches:
        channel = one.channel.channel
        reading, kind = f"{point}/MeterReading/{channel.code}", f"ReadingType/{channel.code}-{one.interval_s}"
        related = [f"{reading}/IntervalBlock", kind]
        yield _entry(reading, related, channel.meaning, Element(_tag("MeterReading")), now)
        yield _entry(kind, [], channel.meaning, _reading_type(one), now)
        for block in _blocks(one):
            begin = block.findtext(f"{_tag('interval')}/{_tag('start')}")
            yield _entry(f"{reading}/IntervalBlock/{begin}", [], "", block, now)


def _entry(address: str, related: Sequence[str], title: str, resource: Element, now: datetime) -> Element:
    entry = Element(f"{{{_ATOM}}}entry")
    SubElement(entry, f"{{{_ATOM}}}id").text = uuid.uuid5(_NAMES, address).urn
    up = address.rpartition("/")[0] if not address.startswith("LocalTime") else "LocalTimeParameters"
    for relation, link in (("self", address), ("up", up), *(("related", link) for link in related)):
        SubElement(entry, f"{{{_ATOM}}}link", rel=relation, href=f"/espi/1_1/resource/{link}")
    SubElement(entry, f"{{{_ATOM}}}title").text = title
    SubElement(entry, f"{{{_ATOM}}}content").append(resource)
    SubElement(entry, f"{{{_ATOM}}}published").text = _utc(now)
    SubElement(entry, f"{{{_ATOM}}}updated").text = _utc(now)
    return entry


def _reading_type(one: Stretch) -> Element:
    commodity, flow, kind, unit = _TYPES[one.channel.channel.obis]
    made = Element(_tag("ReadingType"))
    _number(made, "accumulationBehaviour", 4)  # delta data: an interval's own
    _number(made, "commodity", commodity)
    _number(made, "dataQualifier", 12)  # normal: neither average nor extreme
    _number(made, "flowDirection", flow)
    _number(made, "intervalLength", one.interval_s)
    if kind is not None:
        _number(made, "kind", kind)
    _number(made, "powerOfTenMultiplier", 0)
    _number(made, "timeAttribute", 0)
    _number(made, "uom", unit)
    return made


def _blocks(one: Stretch) -> Iterator[Element]:
    """The readings there are, by local day."""
    zone = zone_named(one.channel.timezone)
    days = local_seconds(one.start_s, len(one.values), one.interval_s, zone) // DAY_S
    rows = zip(days.tolist(), one.starts_s.tolist(), one.values.tolist(), one.conditions(), strict=True)
    told = ((day, start, value, codes) for day, start, value, said in rows if (codes := to_espi(said)))
    for _, day_rows in groupby(told, key=lambda row: row[0]):
        readings = [_reading(start, one.interval_s, value, codes) for _, start, value, codes in day_rows]
        block, period = Element(_tag("IntervalBlock")), readings[0].find(_tag("timePeriod"))
        first = int(period.findtext(_tag("start"), "0")) if period is not None else 0
        last = int(readings[-1].findtext(f"{_tag('timePeriod')}/{_tag('start')}", "0"))
        block.append(_period("interval", first, last + one.interval_s - first))
        block.extend(readings)
        yield block


def _reading(start_s: int, length_s: int, value: int, codes: Sequence[int]) -> Element:
    reading = Element(_tag("IntervalReading"))
    for code in codes:
        _number(SubElement(reading, _tag("ReadingQuality")), "quality", code)
    reading.append(_period("timePeriod", start_s, length_s))
    _number(reading, "value", value)
    return reading


def _period(name: str, start_s: int, length_s: int) -> Element:
    period = Element(_tag(name))
    _number(period, "duration", length_s)
    _number(period, "start", start_s)
    return period


def _number(parent: Element, name: str, number: int) -> None:
    SubElement(parent, _tag(name)).text = str(number)


def _tag(name: str) -> str:
    return f"{{{_ESPI}}}{name}"


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
