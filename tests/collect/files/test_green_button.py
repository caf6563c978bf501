"""Green Button: the published fixture, read by hand and by another reader; feeds that lie or bite are refused."""

from __future__ import annotations

from datetime import UTC

import pytest
from greenbutton_objects.parse import parse_feed

from headend.collect.files.prepare import parse
from headend.reads.days import seconds
from headend.reads.quality import Quality
from tests.collect.files.samples import DATA, refused, sample

FIXTURE = DATA / "test_usage_data_01.xml"


def feed(
    *readings: str, uom: int = 72, flow: int = 1, power: int = 0, kind: int = 0, more: str = "", related: str = "T"
) -> str:
    """A feed of one usage point with one interval block."""
    return f"""<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:e="http://naesb.org/espi">
<entry><link rel="self" href="U/77"/><link rel="related" href="U/77/M"/><title>Shop</title>
 <content><e:UsagePoint><e:ServiceCategory><e:kind>{kind}</e:kind></e:ServiceCategory></e:UsagePoint></content></entry>
<entry><link rel="self" href="M/1"/><link rel="up" href="U/77/M"/><link rel="related" href="B"/>
 <link rel="related" href="{related}"/><content><e:MeterReading/></content></entry>
<entry><link rel="self" href="T"/><content><e:ReadingType><e:uom>{uom}</e:uom><e:flowDirection>{flow}</e:flowDirection>
 <e:powerOfTenMultiplier>{power}</e:powerOfTenMultiplier>{more}</e:ReadingType></content></entry>
<entry><link rel="self" href="B/1"/><link rel="up" href="B"/><content><e:IntervalBlock>
{"".join(readings)}</e:IntervalBlock></content></entry>
</feed>"""


def reading(start: int, value: object, quality: int | None = None, duration: int = 3600) -> str:
    said = "" if quality is None else f"<e:ReadingQuality><e:quality>{quality}</e:quality></e:ReadingQuality>"
    period = f"<e:timePeriod><e:duration>{duration}</e:duration><e:start>{start}</e:start></e:timePeriod>"
    return f"<e:IntervalReading>{said}{period}<e:value>{value}</e:value></e:IntervalReading>\n"


def test_the_fixture_reads_as_by_hand():
    (series,) = sample(FIXTURE.name).series
    assert (series.names, series.channel, series.obis) == (("Front Electric Meter", "5446AF3F"), "72-1", "1-0:1.8.0")
    assert (series.interval_s, len(series.values), series.start_s[0]) == (900, 96, 1_330_578_000)
    assert series.values[:4] == [282, 323, 294, 331]
    assert list(series.codes[:3]) == [Quality.ESTIMATED_LIKE_DAY, Quality.EDITED, Quality.RAW]


def test_the_fixture_reads_as_by_greenbutton_objects():
    (point,) = parse_feed(FIXTURE)
    (theirs,) = point.meterReadings
    (series,) = sample(FIXTURE.name).series
    assert list(zip(series.start_s, series.values, strict=True)) == [
        (seconds(read.timePeriod.start.astimezone(UTC)), read.value) for read in theirs.intervalReadings
    ]


@pytest.mark.parametrize(
    ("uom", "flow", "kind", "power", "channel", "value"),
    [
        (72, 1, 0, 3, "1-0:1.8.0", 5_000),
        (72, 19, 0, 0, "1-0:2.8.0", 5),
        (73, 1, 0, 0, "1-0:3.8.0", 5),
        (73, 19, 0, 0, "1-0:4.8.0", 5),
        (42, 1, 1, 0, "7-0:3.0.0", 5_000),
        (42, 0, 2, -2, "8-0:1.0.0", 50),
        (134, 0, 2, 0, "8-0:1.0.0", 5),
        (72, 0, 0, 0, None, 5),
    ],
)
def test_units_and_directions_become_channels(uom: int, flow: int, kind: int, power: int, channel: str, value: int):
    (series,) = parse("x", feed(reading(0, 5), uom=uom, flow=flow, kind=kind, power=power).encode()).series
    assert (series.obis, series.values, series.unusable) == (channel, [value], "")


def test_thousandths_are_carried_on_within_a_block():
    text = feed(*(reading(hour * 3600, 600) for hour in range(5)), power=-3)
    (series,) = parse("x", text.encode()).series
    assert series.values == [1, 0, 1, 0, 1]  # 0.6, 1.2, 1.8, 2.4, 3.0 Wh


@pytest.mark.parametrize(
    ("said", "code"),
    [(q, Quality.RAW) for q in (0, 14, 17, 18, 19)]
    + [
        (7, Quality.EDITED),
        (8, Quality.ESTIMATED_LIKE_DAY),
        (9, Quality.ESTIMATED_LINEAR),
        (10, Quality.QUESTIONABLE),
        (11, Quality.ESTIMATED_FROM_REGISTER),
        (12, Quality.ESTIMATED_AVERAGE),
    ],
)
def test_qualities_become_our_codes(said: int, code: Quality):
    (series,) = parse("x", feed(reading(0, 5, said)).encode()).series
    assert list(series.codes) == [code]


def test_the_worst_of_several_qualities_counts():
    text = feed(reading(0, 5, 17)).replace(
        "<e:ReadingQuality>", "<e:ReadingQuality><e:quality>9</e:quality></e:ReadingQuality><e:ReadingQuality>", 1
    )
    (series,) = parse("x", text.encode()).series
    assert list(series.codes) == [Quality.ESTIMATED_LINEAR]


def test_power_and_registers_are_kept_apart_with_the_reason():
    (power,) = parse("x", feed(reading(0, 5), uom=38).encode()).series
    assert power.unusable == "its unit, uom 38, is none of energy or volume"
    behaviour = "<e:accumulationBehaviour>3</e:accumulationBehaviour>"
    (bulk,) = parse("x", feed(reading(0, 5), more=behaviour).encode()).series
    assert bulk.unusable == "its readings are no intervals (accumulationBehaviour is not 4)"


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><feed>&i;</feed>"
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LAUGHS, "line 1: found a document type, expected none"),
        ('<!DOCTYPE feed SYSTEM "file:///etc/passwd"><feed/>', "found a document type"),
        (LAUGHS.encode("utf-16"), "found a document type"),
        ("<feed><entry></feed>", "line 1: found mismatched tag, expected well-formed XML"),
        ("<html/>", "found no reads"),
        ('<?xml version="1.0" encoding="klingon"?><feed/>', "found unknown encoding"),
        (feed(reading(0, "many")), "line 10: found value 'many', expected a whole number"),
        (feed(reading(0, 10**17)), "line 10: found value '1"),
        (feed(reading(0, 1), reading(3600, 1, 3)), "line 11: found quality 3"),
        (feed(reading(60, 1)), "line 10: found an interval that begins 1970-01-01T00:01:00Z"),
        (feed(reading(-3600, 1)), "expected a moment from 1970 to 2199"),
        (feed(reading(0, 1), reading(0, 2)), "(it stands on line 10)"),
        (feed(reading(0, 1, duration=0)), "found intervals of 0 s"),
        (feed(reading(0, 1), power=13), "found powerOfTenMultiplier '13'"),
        (feed(reading(0, 1), related="X"), "line 5: found a MeterReading with 0 ReadingTypes"),
        (feed(reading(0, 1)).replace('"U/77/M"', '"V"', 1), "line 5: found an entry without UsagePoint"),
        (feed(reading(0, 1)).replace('rel="up" href="B"', 'rel="up" href="C"'), "found an entry without MeterReading"),
        (feed("<e:IntervalReading><e:value>1</e:value></e:IntervalReading>"), "found a reading without timePeriod"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str | bytes, says: str):
    assert says in refused(text)
