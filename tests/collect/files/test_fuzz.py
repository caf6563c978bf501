"""Whatever a file holds: it is read, or refused in one line."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.collect.files.csvfile import Layout
from headend.collect.files.message import Format
from headend.collect.files.prepare import AS_IT_SAYS, parse, prepare
from headend.errors import InvalidInput
from tests.collect.files.samples import DATA
from tests.collect.files.test_green_button import feed, reading

NOW = datetime(2026, 11, 21, tzinfo=UTC)
FORMATS: list[Format] = ["csv", "nem12", "greenbutton"]
SEEDS = {
    "csv": b"meter,channel,start,value,interval_s,quality\nE-1,1-0:1.8.0,2026-01-05T12:00:00+01:00,-5,3600,raw\n" * 2,
    "nem12": (DATA / "Example_NEM12_multiple_quality.csv").read_bytes(),
    "nem13": (DATA / "Example_NEM13_forward_estimate.csv").read_bytes(),
    "greenbutton": feed(reading(0, 5, 8), reading(3600, 6)).encode(),
}


#: Of local time, with an hour that comes twice, in kWh.
LOCAL = b"start,value [kWh]\n" + b"".join(b"2026-10-25 0%d:00,0.%d\n" % (hour, hour) for hour in (0, 1, 2, 2, 3, 4))
LAYOUT = Layout(3600, ("E-1", "1-0:1.8.0"), None, ZoneInfo("Europe/Berlin"), "end")


def survives(payload: bytes, form: Format, layout: Layout = AS_IT_SAYS) -> None:
    """Refused, or ready for the journal once the registry knows what it names."""
    said = ""
    try:
        reads = parse("x", payload, form=form, layout=layout)
        named = {(one.names[0][:64], one.obis) for one in [*reads.series, *reads.registers] if one.names[0]}
        known = {(meter, obis) for meter, obis in named if obis}
        prepare("x", payload, known, form=form, layout=layout, skip_unknown=True).arrivals(NOW)
    except InvalidInput as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize("form", FORMATS)
@given(payload=st.binary(max_size=300) | st.text(alphabet=st.characters(codec="utf-8"), max_size=200).map(str.encode))
def test_any_bytes(payload: bytes, form: Format):
    survives(payload, form)


CELLS = st.sampled_from(
    [
        "100",
        "NEM12",
        "NEM13",
        "200",
        "250",
        "300",
        "400",
        "500",
        "900",
        "E1",
        "kWh",
        "30",
        "1440",
        "0",
        "-1",
        "1" * 400,
        "A",
        "V",
        "S14",
        "N",
        "20260105",
        "99991231",
        "20260105123000",
        "",
        "²",
        "٣",
        "nan",
        "\x00",
        '"',
    ]
)


@given(st.lists(st.lists(CELLS, max_size=24).map(",".join), max_size=8).map("\n".join))
def test_any_records_of_nem(text: str):
    survives(text.encode(), "nem12")
    survives(f"100,NEM12\n{text}\n900".encode(), "nem12")
    survives(f"100,NEM13\n{text}\n900".encode(), "nem12")


def damaged(seed: bytes) -> Iterator[bytes]:
    chance = random.Random(7)
    for _ in range(300):
        payload = bytearray(seed)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(payload))
            payload[at : at + chance.randint(0, 3)] = chance.choice(
                [b"", b"9", b"-", b",", b"\n", b"<", b"\x00", b"\xff", b"99999999999999999999", payload[:at][-20:]]
            )
        yield bytes(payload)


@pytest.mark.parametrize("name", SEEDS)
def test_good_files_with_any_damage(name: str):
    for payload in damaged(SEEDS[name]):
        survives(payload, "nem12" if name == "nem13" else name)  # type: ignore[arg-type]


def test_a_good_file_of_local_time_with_any_damage():
    for payload in damaged(LOCAL):
        survives(payload, "csv", LAYOUT)
