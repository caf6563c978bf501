"""Green Button: Atom feeds of NAESB ESPI, the customer's own download of what a utility metered.

Entries refer to each other by links: a usage point has meter readings, a meter reading has a reading type and interval
blocks. A document type is refused before anything else is read, and with it every entity that could grow.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TypeVar
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from headend.collect.files.series import FileReads, Series, check_moment, repeats, whole
from headend.errors import InvalidInput
from headend.reads.crosswalk import Condition, from_espi

T = TypeVar("T")

_ATOM = "{http://www.w3.org/2005/Atom}"
_ESPI = "{http://naesb.org/espi}"
#: Attribute under which every element carries its line; no XML can have an attribute of that name.
_LINE = "line of the file"

_DELTA_DATA = 4
_FORWARD, _REVERSE = 1, 19
_GAS, _WATER = 1, 2
_THOUSAND = Decimal(1_000)
#: By unit of measure, and flow direction or kind of service: the channel, and what one unit is in ours.
_ELECTRIC = {
    (72, _FORWARD): ("1-0:1.8.0", Decimal(1)),
    (72, _REVERSE): ("1-0:2.8.0", Decimal(1)),
    (73, _FORWARD): ("1-0:3.8.0", Decimal(1)),
    (73, _REVERSE): ("1-0:4.8.0", Decimal(1)),
}
_VOLUME = {
    (42, _GAS): ("7-0:3.0.0", _THOUSAND),
    (42, _WATER): ("8-0:1.0.0", _THOUSAND),
    (134, _GAS): ("7-0:3.0.0", Decimal(1)),
    (134, _WATER): ("8-0:1.0.0", Decimal(1)),
}
_UNITS = {unit: scale for (unit, _), (_, scale) in (_ELECTRIC | _VOLUME).items()}


def parse_green_button(name: str, payload: bytes) -> FileReads:
    """Intervals of a Green Button feed; raises `InvalidInput` with the line."""
    feed = _Feed(name, _tree(name, payload))
    series: dict[tuple[int, int], Series] = {}
    for entry, block in feed.blocks:
        feed.read(entry, block, series)
    for one in series.values():
        if one.values:
            one.tidy(name)
    return FileReads("greenbutton", list(series.values()), [], repeats(series.values()))


def _tree(name: str, payload: bytes) -> Element:
    """The document, every element with its line."""
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True

    def qualified(tag: str) -> str:
        return f"{{{tag}" if "}" in tag else tag

    def start(tag: str, attributes: dict[str, str]) -> None:
        builder.start(qualified(tag), attributes | {_LINE: str(parser.CurrentLineNumber)})

    def refuse(*_: object) -> None:
        where = f"{name}: line {parser.CurrentLineNumber}"
        raise InvalidInput(where, "a document type", "none: a Green Button feed has no entities of its own")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: builder.end(qualified(tag))
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(payload, True)
    except expat.ExpatError as error:
        found = expat.ErrorString(error.code) or "no XML"
        raise InvalidInput(f"{name}: line {error.lineno}", found, "well-formed XML") from None
    except (ValueError, LookupError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(name, str(error)[:80], "XML in a common encoding") from None
    return builder.close()


class _Feed:
    """The entries of a feed, and who refers to whom."""

    def __init__(self, name: str, root: Element) -> None:
        self._name = name
        self.blocks: list[tuple[Element, Element]] = []
        self._points: dict[str, tuple[Element, Element]] = {}
        self._readings: dict[str, Element] = {}
        self._types: dict[str, Element] = {}
        for entry in root.iter(f"{_ATOM}entry"):
            self._sort(entry)

    def _sort(self, entry: Element) -> None:
        for resource in entry.iterfind(f"{_ATOM}content/*"):
            match resource.tag.removeprefix(_ESPI):
                case "UsagePoint":
                    self._points |= dict.fromkeys(_links(entry, "related"), (entry, resource))
                case "MeterReading":
                    self._readings |= dict.fromkeys(_links(entry, "related"), entry)
                case "ReadingType":
                    self._types |= dict.fromkeys(_links(entry, "self"), resource)
                case "IntervalBlock":
                    self.blocks.append((entry, resource))

    def read(self, entry: Element, block: Element, series: dict[tuple[int, int], Series]) -> None:
        """One interval block into the series it belongs to, by meter reading and interval length."""
        reading = self._parent(entry, self._readings, "MeterReading")
        point, usage_point = self._parent(reading, self._points, "UsagePoint")
        kinds = [self._types[link] for link in _links(reading, "related") if link in self._types]
        if len(kinds) != 1:
            found = f"a MeterReading with {len(kinds)} ReadingTypes"
            raise InvalidInput(self._where(reading), found, "the one it refers to by a related link")
        meant = self._meaning(kinds[0], usage_point)
        scale = meant[2].scaleb(self._number(kinds[0], "powerOfTenMultiplier", 0, at_most=12))
        readings = block.findall(f"{_ESPI}IntervalReading")
        values = whole(Decimal(self._number(each, "value")) * scale for each in readings)
        for each, value in zip(readings, values, strict=True):
            period = each.find(f"{_ESPI}timePeriod")
            if period is None:
                raise InvalidInput(self._where(each), "a reading without timePeriod", "when it begins")
            length, line = self._number(period, "duration"), int(each.attrib[_LINE])
            one = series.get((id(reading), length))
            if one is None:
                channel, obis, _, unusable = meant
                one = Series(_names(point), channel, obis, length, line, unusable)
                series[id(reading), length] = one
            if not one.unusable:
                start_s = self._number(period, "start")
                check_moment(start_s, self._where(period))
                one.add(start_s, value, self._condition(each), line)

    def _parent(self, child: Element, parents: dict[str, T], kind: str) -> T:
        for link in [*_links(child, "self"), *_links(child, "up")]:
            if link in parents:
                return parents[link]
        raise InvalidInput(self._where(child), f"an entry without {kind}", "one that refers to it by a related link")

    def _meaning(self, kind: Element, usage_point: Element) -> tuple[str, str | None, Decimal, str]:
        """The channel as the file has it, what that means, what one unit is in ours, and why it is unusable."""
        unit, flow = self._number(kind, "uom", 0), self._number(kind, "flowDirection", 0)
        service = usage_point.find(f"{_ESPI}ServiceCategory")
        service_kind = -1 if service is None else self._number(service, "kind", -1)
        obis, _ = _ELECTRIC.get((unit, flow)) or _VOLUME.get((unit, service_kind)) or (None, None)
        unusable = ""
        if unit not in _UNITS:
            unusable = f"its unit, uom {unit}, is none of energy or volume"
        elif self._number(kind, "accumulationBehaviour", _DELTA_DATA) not in {0, _DELTA_DATA}:
            unusable = "its readings are no intervals (accumulationBehaviour is not 4)"
        return f"{unit}-{flow}", obis, _UNITS.get(unit, Decimal(1)), unusable

    def _condition(self, reading: Element) -> Condition:
        told = [self._number(each, "quality") for each in reading.iterfind(f"{_ESPI}ReadingQuality")]
        try:
            return from_espi(told)
        except InvalidInput as error:
            raise InvalidInput(self._where(reading), error.found, error.expected) from None

    def _number(self, parent: Element, tag: str, default: int | None = None, *, at_most: int = 2**53) -> int:
        text = (parent.findtext(f"{_ESPI}{tag}") or "").strip()
        if not text and default is not None:
            return default
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 16 or abs(int(text)) > at_most:
            raise InvalidInput(self._where(parent), f"{tag} {text[:40]!r}", "a whole number")
        return int(text)

    def _where(self, element: Element) -> str:
        return f"{self._name}: line {element.attrib[_LINE]}"


def _links(entry: Element, relation: str) -> list[str]:
    links: Iterable[Element] = entry.iterfind(f"{_ATOM}link")
    return [link.attrib["href"] for link in links if link.get("rel") == relation and "href" in link.attrib]


def _names(point: Element) -> tuple[str, ...]:
    """The usage point's title, and the last part of its address."""
    title = (point.findtext(f"{_ATOM}title") or "").strip()
    ends = [link.rstrip("/").rpartition("/")[2] for link in _links(point, "self")]
    return tuple(name for name in [title, *ends] if name) or ("a usage point without a name",)
