"""A channel is its OBIS code, packed and unpacked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.errors import InvalidInput
from headend.reads import Channel

BYTE = st.integers(0, 255)


@given(st.tuples(BYTE, BYTE, BYTE, BYTE, BYTE))
def test_every_code_reads_back_as_it_was_written(numbers: tuple[int, ...]) -> None:
    a, b, c, d, e = numbers
    obis = f"{a}-{b}:{c}.{d}.{e}"
    channel = Channel.parse(obis)
    assert channel.obis == obis
    assert Channel.parse(channel.obis) == channel
    assert 0 <= channel.code < 2**40


def test_codes_worked_by_hand() -> None:
    # 1-0:1.8.0 is the bytes 01 00 01 08 00.
    assert Channel.parse("1-0:1.8.0").code == 0x01_00_01_08_00
    assert Channel.parse("1-0:1.8.0") < Channel.parse("1-0:2.8.0") < Channel.parse("8-0:1.0.0")


@pytest.mark.parametrize(
    "obis",
    ["", "1-0:1.8", "1-0:1.8.0.255", "256-0:1.8.0", "1-0:1.8.256", "1-0:1.8.0\n", " 1-0:1.8.0", "a-0:1.8.0",
     "٣-0:1.8.0", "-1-0:1.8.0", "1.0:1.8.0", "1-0:1.8.0000"],
)  # fmt: skip
def test_what_is_no_obis_code_is_refused_in_one_line(obis: str) -> None:
    with pytest.raises(
        InvalidInput, match=r"^channel: found .*, expected an OBIS code such as 1-0:1\.8\.0$"
    ) as refused:
        Channel.parse(obis)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("obis", "commodity", "meaning"),
    [
        ("1-0:1.8.0", "electricity", "Import"),
        ("1-0:2.8.0", "electricity", "Export"),
        ("7-0:3.0.0", "gas", "Gas volume"),
        ("8-0:1.0.0", "water", "Water volume"),
        ("9-0:1.0.0", "water", "9-0:1.0.0"),
        ("6-0:1.0.0", "heat", "Heat"),
        ("0-0:1.0.0", "other", "0-0:1.0.0"),
    ],
)
def test_commodity_and_word(obis: str, commodity: str, meaning: str) -> None:
    channel = Channel.parse(obis)
    assert (channel.commodity, channel.meaning, str(channel)) == (commodity, meaning, obis)


@pytest.mark.parametrize(
    ("obis", "unit"),
    [
        ("1-0:1.8.0", "kWh"),
        ("1-0:3.8.0", "kvarh"),
        ("1-0:8.8.0", "kvarh"),
        ("1-0:9.8.0", "kWh"),
        ("6-0:8.0.0", "kWh"),
        ("7-0:3.0.0", "m³"),
        ("8-0:1.0.0", "m³"),
    ],
)
def test_unit_that_people_are_shown(obis: str, unit: str) -> None:
    assert Channel.parse(obis).unit == unit
