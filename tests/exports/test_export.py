"""`headend reads export`, as people type it: what comes out is what other readers read, and what import takes back."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import aemo_mdff_reader
import numpy as np
import pytest
from greenbutton_objects.parse import parse_feed

from headend.app import open_site
from headend.cli.main import main
from headend.collect.files.prepare import parse
from headend.reads.channels import Channel
from headend.reads.crosswalk import Condition, from_nem12, to_espi
from headend.reads.days import DAY_S, seconds
from headend.reads.quality import IS_ACTUAL, Flag, Quality
from headend.registry.registry import channels_of
from tests.collect.files.sites import write_site

IMPORT, EXPORT, REACTIVE, GAS, HEAT = "1-0:1.8.0", "1-0:2.8.0", "1-0:3.8.0", "7-0:3.0.0", "6-0:1.0.0"
#: 5 January 2026, 00:00 in Brisbane, where the meters hang: ten hours before UTC's.
MIDNIGHT = datetime(2026, 1, 4, 14, tzinfo=UTC)
#: What a device may say of an interval; the rest only we can set.
DEVICE = Flag(31)

Run = Callable[..., tuple[int, str, str]]
#: Value, quality and flags of each interval; None: nothing is stored.
Told = Sequence[tuple[int, Quality, Flag] | None]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_site(
        tmp_path,
        ("E-1", IMPORT, 1800),
        ("E-1", EXPORT, 1800),
        ("E-1", REACTIVE, 900),
        ("E-2", IMPORT, 3600),
        ("G-1", GAS, 3600),
        ("H-1", HEAT, 1800),
    )


@pytest.fixture
def run(config: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`headend reads …`; answers exit code, output and errors."""
    monkeypatch.chdir(config.parent)

    def run(*arguments: str, config: Path = config) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["headend", "reads", *arguments, "--config", str(config)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture
def store(config: Path) -> Callable[..., None]:
    def store(meter: str, obis: str, told: Told, start: datetime = MIDNIGHT) -> None:
        """Put intervals into the store as validation and people would have left them."""
        site = open_site(config)
        with site.database.write() as tx:
            (its,) = [c for c in channels_of(tx, meter) if c.channel == Channel.parse(obis)]
            places = [seconds(start) // its.interval_s + place for place in range(len(told))]
            per_day = DAY_S // its.interval_s
            days = sorted({place // per_day for place in places})
            blocks = site.store.load(tx, [(day, its.meter, its.channel.code) for day in days], its.interval_s)
            changed = np.zeros(blocks.values.shape, np.bool_)
            for place, each in zip(places, told, strict=True):
                if each is not None:
                    at = days.index(place // per_day), place % per_day
                    blocks.values[at], blocks.quality[at], blocks.flags[at] = each
                    blocks.version[at], changed[at] = 1, True
            site.store.save(tx, blocks, changed, settled=True)

    return store


def between(first: str, last: str, *more: str) -> tuple[str, ...]:
    return ("export", "--meter", "E-1", "--from", first, "--to", last, *more)


DAY = between("2026-01-05T00:00+10:00", "2026-01-06T00:00+10:00")

#: Every quality with a value, each with no flag, with some and with all; values that are no whole kWh, and one below 0.
EVERY = [
    (place * 111 - 50, quality, flags)
    for place, (quality, flags) in enumerate(
        itertools.product(
            [quality for quality in Quality if quality != Quality.MISSING],
            [Flag.GOOD, Flag.POWER_OUTAGE, Flag.CLOCK_SET | Flag.TAMPER, Flag(255)],
        )
    )
]


def arrives(quality: Quality, flags: Flag) -> tuple[Quality, Flag]:
    """What becomes of a quality on its way in: the actual is raw again, of flags the device's own are kept."""
    return (Quality.RAW if IS_ACTUAL[quality] else quality), flags & DEVICE


def read_back(text: str) -> list[tuple[int | None, Quality, Flag]]:
    (series,) = parse("x", text.encode()).series
    assert series.start_s[0] == seconds(MIDNIGHT)
    assert list(series.runs(10**6)) == [slice(0, len(series.values))]
    return [
        (value, Quality(code), Flag(flags))
        for value, code, flags in zip(series.values, series.codes, series.flags, strict=True)
    ]


def test_csv_is_what_import_reads_back(run: Run, store: Callable[..., None]):
    store("E-1", IMPORT, EVERY)
    code, out, err = run(*DAY)
    assert (code, err) == (0, "")
    assert out.splitlines()[:3] == [
        "meter,channel,start,interval_s,value,quality,flags",
        "E-1,1-0:1.8.0,2026-01-04T14:00:00Z,1800,-50,raw,0",
        "E-1,1-0:1.8.0,2026-01-04T14:30:00Z,1800,61,raw,1",
    ]
    assert read_back(out) == [(value, *arrives(quality, flags)) for value, quality, flags in EVERY]


def test_nem12_carries_every_quality_and_every_flag(run: Run, store: Callable[..., None]):
    store("E-1", IMPORT, EVERY)
    code, out, _ = run(*DAY, "--format", "nem12")
    assert code == 0
    assert read_back(out)[: len(EVERY)] == [(value, *arrives(quality, flags)) for value, quality, flags in EVERY]
    # By another reader, and with what import does not take: that a value was validated, and flags of ours.
    theirs = list(aemo_mdff_reader.parse(io.StringIO(out)))
    assert [round(read.value * 1000) for read in theirs[: len(EVERY)]] == [value for value, _, _ in EVERY]
    assert theirs[0].interval_start == datetime.fromisoformat("2026-01-05T00:00")
    said: list[Condition] = []
    for event in aemo_mdff_reader.parse_events(io.StringIO(out)):
        assert event.start_interval == len(said) + 1
        condition = from_nem12(event.quality_method, event.reason_code, event.reason_description)
        said += [condition] * (event.end_interval - event.start_interval + 1)
    assert said[: len(EVERY)] == [Condition(quality, flags) for _, quality, flags in EVERY]


def test_nem12_is_written_as_by_hand(run: Run, store: Callable[..., None]):
    fine = (1_250, Quality.VALIDATED, Flag.GOOD)
    guessed = (7, Quality.ESTIMATED_LINEAR, Flag.GOOD)
    store("E-1", IMPORT, [fine] * 48)
    store("E-1", EXPORT, [fine, guessed, (0, Quality.VALIDATED, Flag.POWER_OUTAGE), *[fine] * 44])
    _, out, _ = run(*DAY, "--format", "nem12", "--channel", IMPORT)
    rows = list(csv.reader(io.StringIO(out)))
    written = rows[2][-2]
    assert rows == [
        ["100", "NEM12", written[:12], "HEADEND", "HEADEND"],
        ["200", "E-1", "E1", "E1", "E1", "", "", "kWh", "30", ""],
        ["300", "20260105", *["1.250"] * 48, "A", "", "", written, ""],
        ["900"],
    ]
    assert aemo_mdff_reader.validate_file(io.StringIO(out)) == ["line 2: NMI 'E-1' has invalid structure"]
    _, out, _ = run(*DAY, "--format", "nem12", "--channel", EXPORT)
    rows = list(csv.reader(io.StringIO(out)))
    assert rows[1:] == [
        ["200", "E-1", "B1", "B1", "B1", "", "", "kWh", "30", ""],
        ["300", "20260105", "1.250", "0.007", "0.000", *["1.250"] * 44, "0.000", "V", "", "", rows[2][-2], ""],
        ["400", "1", "1", "A", "", ""],
        ["400", "2", "2", "S17", "0", "headend: estimated_linear"],
        ["400", "3", "3", "A", "79", ""],
        ["400", "4", "47", "A", "", ""],
        ["400", "48", "48", "N", "", ""],
        ["900"],
    ]


def test_nem12_has_every_channel_of_a_meter_in_its_own_length(run: Run, store: Callable[..., None]):
    store("E-1", IMPORT, [(1, Quality.VALIDATED, Flag.GOOD)] * 48)
    store("E-1", REACTIVE, [(2, Quality.VALIDATED, Flag.GOOD)] * 96)
    _, out, _ = run(*DAY, "--format", "nem12")
    energy, reactive = parse("x", out.encode()).series
    assert (energy.obis, energy.interval_s, energy.values) == (IMPORT, 1800, [1] * 48)
    assert (reactive.obis, reactive.interval_s, reactive.values) == (REACTIVE, 900, [2] * 96)
    assert out.splitlines()[1] == "200,E-1,E1Q1,E1,E1,,,kWh,30,"


def test_nem12_has_whole_days_of_brisbane_and_none_without_a_value(run: Run, store: Callable[..., None]):
    some = [(5, Quality.VALIDATED, Flag.GOOD)]
    store("E-1", IMPORT, [*[None] * 20, *some, *[None] * 75, *some * 2])
    asked = between("2026-01-05T12:00+10:00", "2026-01-07T00:10+10:00", "--format", "nem12")
    _, out, _ = run(*asked)
    assert [row.split(",")[1] for row in out.splitlines() if row.startswith("300")] == ["20260105", "20260107"]
    (series,) = parse("x", out.encode()).series
    told = [(start, value) for start, value in zip(series.start_s, series.values, strict=True) if value is not None]
    assert told == [(seconds(MIDNIGHT) + 1800 * place, 5) for place in (20, 96, 97)]


def test_green_button_is_read_by_us_and_by_greenbutton_objects(run: Run, store: Callable[..., None], tmp_path: Path):
    store("E-1", IMPORT, [*EVERY[:4], None, *EVERY[4:]])
    assert run(*DAY, "--format", "greenbutton", "-o", "usage.xml") == (0, "", "")
    starts = [seconds(MIDNIGHT) + 1800 * place for place in range(len(EVERY) + 1) if place != 4]
    (point,) = parse_feed(tmp_path / "usage.xml")
    (reading,) = point.meterReadings
    theirs = [
        (seconds(read.timePeriod.start), read.value, {quality.quality.value for quality in read.readingQualities})
        for read in reading.intervalReadings
    ]
    assert theirs == [
        (start, value, set(to_espi(Condition(quality))))
        for start, (value, quality, _) in zip(starts, EVERY, strict=True)
    ]
    assert (point.title, point.serviceCategory.value) == ("E-1", 0)
    assert (reading.readingType.uom.value, reading.readingType.intervalLength) == (72, 1800)
    (series,) = parse("usage.xml", (tmp_path / "usage.xml").read_bytes()).series
    assert (series.names[0], series.obis, list(series.start_s)) == ("E-1", IMPORT, starts)
    assert series.values == [value for value, _, _ in EVERY]
    # ESPI has no flags.
    assert list(series.codes) == [arrives(quality, flags)[0] for _, quality, flags in EVERY]


def test_green_button_has_a_block_a_local_day_and_a_reading_a_channel(
    run: Run, store: Callable[..., None], tmp_path: Path
):
    store("E-1", IMPORT, [(1, Quality.VALIDATED, Flag.GOOD)] * 96)
    store("E-1", EXPORT, [(2, Quality.VALIDATED, Flag.GOOD)] * 96)
    run(*between("2026-01-05T00:00+10:00", "2026-01-07T00:00+10:00", "--format", "greenbutton", "-o", "usage.xml"))
    (point,) = parse_feed(tmp_path / "usage.xml")
    found = {reading.readingType.flowDirection.value: reading for reading in point.meterReadings}
    assert sorted(found) == [1, 19]
    for direction, reading in found.items():
        assert [len(block.intervalReadings) for block in reading.intervalBlocks] == [48, 48]
        assert {read.value for read in reading.intervalReadings} == {1 if direction == 1 else 2}
    text = (tmp_path / "usage.xml").read_text()
    assert "<espi:tzOffset>36000</espi:tzOffset>" in text


def test_gas_is_green_button_too_and_comes_back_as_gas(run: Run, store: Callable[..., None]):
    store("G-1", GAS, [(3, Quality.VALIDATED, Flag.GOOD)] * 24)
    arguments = ("export", "--meter", "G-1", "--from", "2026-01-04T14:00Z", "--to", "2026-01-05T14:00Z")
    _, out, _ = run(*arguments, "--format", "greenbutton")
    (series,) = parse("x", out.encode()).series
    assert (series.obis, series.values) == (GAS, [3] * 24)


def test_json_has_every_interval_and_what_its_codes_mean(run: Run, store: Callable[..., None]):
    store("E-1", IMPORT, [(5, Quality.VALIDATED, Flag.POWER_OUTAGE), None, (7, Quality.EDITED, Flag.GOOD)])
    _, out, _ = run(*between("2026-01-04T14:00Z", "2026-01-04T15:30Z", "--format", "json"))
    document = json.loads(out)
    assert document["meter"] == "E-1"
    assert document["channels"] == [
        {
            "channel": IMPORT,
            "unit": "Wh",
            "interval_s": 1800,
            "start": "2026-01-04T14:00:00Z",
            "end": "2026-01-04T15:30:00Z",
            "values": [5, None, 7],
            "quality": [2, 0, 5],
            "flags": [1, 0, 0],
        }
    ]
    assert document["conditions"][1] == {
        "quality": 2,
        "flags": 1,
        "label": "validated",
        "espi": [17],
        "cim": ["3.0.1", "1.2.32"],
        "nem12": {"method": "A", "reason": 79, "description": ""},
    }
    assert [each["cim"] for each in document["conditions"]] == [["3.5.259"], ["3.0.1", "1.2.32"], ["3.7.0"]]


def test_csv_tells_of_what_a_device_said_it_has_no_value_for(run: Run, store: Callable[..., None]):
    store("E-1", IMPORT, [(1, Quality.VALIDATED, Flag.GOOD), None, (0, Quality.MISSING, Flag.LOST)])
    _, out, _ = run(*DAY)
    assert [row.split(",", 2)[2] for row in out.splitlines()[1:]] == [
        "2026-01-04T14:00:00Z,1800,1,validated,0",
        "2026-01-04T15:00:00Z,1800,,missing,64",
    ]


@pytest.mark.parametrize("form", ["csv", "nem12"])
def test_exported_from_one_site_and_imported_into_another_it_is_the_same(
    run: Run, store: Callable[..., None], tmp_path: Path, form: str
):
    # What stays as it is on arrival: no test, and nothing below zero.
    told = [(1_000 + value, *rest) for value, *rest in EVERY if not IS_ACTUAL[rest[0]] and rest[1] in DEVICE]
    assert len(told) == 8 * 3
    store("E-1", IMPORT, [*told, *[(1, Quality.RAW, Flag.GOOD)] * 24])
    run(*DAY, "-o", "first.csv")
    run(*DAY, "--format", form, "-o", "there.csv")
    (tmp_path / "other").mkdir()
    elsewhere = write_site(tmp_path / "other", ("E-1", IMPORT, 1800))
    code, out, _ = run("import", "there.csv", config=elsewhere)
    assert (code, out.splitlines()[-1]) == (0, "  48 stored, 0 duplicates, 0 replaced")
    assert run(*DAY, config=elsewhere) == (0, (tmp_path / "first.csv").read_text(), "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--meter", "E-9"), "headend: no meter is called 'E-9'"),
        (
            ("--channel", "1-0:9.8.0"),
            "--channel: found 1-0:9.8.0, expected one that E-1 has: 1-0:1.8.0, 1-0:2.8.0, 1-0:3",
        ),
        (("--channel", "import"), "channel: found 'import', expected an OBIS code"),
        (("--from", "2026-01-05"), "--from: found '2026-01-05', expected a time with Z or an offset"),
        (
            ("--to", "2026-01-04T14:00Z"),
            "--to: found 2026-01-04T14:00:00+00:00, expected a time after 2026-01-04T14:00",
        ),
        (("--to", "2026-01-01T14:00Z"), "--to: found 2026-01-01T14:00:00+00:00, expected a time after"),
        (("--channel", EXPORT), "--from: found no reads of E-1 1-0:2.8.0 from 2026-01-04T14:00:00+00:00 to"),
        (("--from", "1971-01-01T00:00Z", "--to", "1971-02-01T00:00Z"), "--from: found no reads of E-1 from 1971-01-01"),
        (("--from", "2999-01-01T00:00Z", "--to", "8999-02-01T00:00Z"), "--from: found no reads of E-1 from 2999-01-01"),
        (("--format", "pdf"), "'pdf' is not one of"),
        (
            ("--meter", "E-2", "--format", "nem12"),
            "nem12: found E-2 1-0:1.8.0 with intervals of 60 minutes, expected 5, 15",
        ),
        (("--meter", "G-1", "--format", "nem12"), "nem12: found G-1 7-0:3.0.0, Gas volume, expected one of 1-0:1.8.0"),
        (("--meter", "H-1", "--format", "greenbutton"), "greenbutton: found H-1 6-0:1.0.0, Heat, expected one of"),
        (
            ("-o", "none/such.csv"),
            "none/such.csv: found No such file or directory, expected a file that can be written",
        ),
    ],
)
def test_what_cannot_be_written_is_one_line(
    run: Run, store: Callable[..., None], arguments: tuple[str, ...], says: str
):
    some = [(1, Quality.VALIDATED, Flag.GOOD)]
    for meter, obis in (("E-1", IMPORT), ("E-2", IMPORT), ("G-1", GAS), ("H-1", HEAT)):
        store(meter, obis, some)
    # The last of an option that is given twice counts.
    code, out, err = run(*between("2026-01-04T14:00Z", "2026-01-05T14:00Z", *arguments))
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
