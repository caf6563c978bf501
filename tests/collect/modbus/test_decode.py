"""Decoding and the read plan: exact, or a refusal; nothing torn, nothing else raised."""

from __future__ import annotations

import contextlib
import itertools
import struct
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.collect.modbus import Profile
from headend.collect.modbus.decode import decode, decode_serial
from headend.collect.modbus.plan import Block, joined, read_plan
from headend.collect.modbus.profile import WORDS, Register, SerialNumber
from headend.collect.modbus.sunspec import walk
from headend.errors import InvalidMessage
from tests.collect.modbus.recorded import PROFILES

WORD = st.integers(0, 0xFFFF)
STRUCT = {"uint16": "H", "int16": "h", "uint32": "I", "int32": "i", "acc32": "I", "uint64": "Q", "int64": "q",
          "acc64": "Q", "float32": "f", "float64": "d"}  # fmt: skip


def meter(**register: object) -> Profile:
    """A meter with one register at 10."""
    row = {"channel": "1-0:1.8.0", "address": 10, "function": 3, "type": "uint32", "word_order": "big", "unit": "Wh",
           "range": ("0", "9000000000")} | register  # fmt: skip
    return PROFILES["abb-b23-b24"].model_copy(update={"registers": (Register(**row),), "serial": None})  # type: ignore[arg-type]


def words(*values: int) -> dict[tuple[int, int], int]:
    return {(3, 10 + place): word for place, word in enumerate(values)}


def faults(profile: Profile, *values: int) -> list[str]:
    decoded = decode(profile, words(*values), ["1-0:1.8.0"])
    assert decoded.values == {}
    return [refusal.fault for refusal in decoded.refused]


@pytest.mark.parametrize(
    ("register", "raw", "wh"),
    [
        ({"scale": "0.5"}, (0, 5), 2),  # 2.5 → 2, half to even
        ({"scale": "0.5"}, (0, 7), 4),  # 3.5 → 4
        ({"type": "uint16", "scale": "0.1", "unit": "kWh"}, (12345,), 1_234_500),
        ({"type": "uint64", "unit": "MWh"}, (0, 0, 0, 3), 3_000_000),
        ({"type": "uint32", "word_order": "little"}, (1, 2), 131_073),
        ({"type": "uint64", "word_order": "little"}, (1, 0, 0, 0), 1),
        ({"scale_register": 12}, (0, 7, 3), 7_000),
        ({"scale_register": 12}, (0, 12345, 0xFFFE), 123),  # × 10⁻²
        ({"type": "float64", "unit": "kWh"}, (0x4093, 0x4A45, 0x6D5C, 0xFAAD), 1_234_568),  # 1234.5678
    ],
)
def test_worked_values(register: dict[str, object], raw: tuple[int, ...], wh: int) -> None:
    assert decode(meter(**register), words(*raw), ["1-0:1.8.0"]).values == {"1-0:1.8.0": wh}


@pytest.mark.parametrize(
    ("register", "raw", "fault"),
    [
        ({"type": "float32"}, (0x7FC0, 0), "not a number"),
        ({"type": "float32"}, (0xFFC0, 0), "not a number"),
        ({"type": "float32"}, (0x7F80, 0), "not a number"),  # infinity
        ({"type": "float64"}, (0x7FF8, 0, 0, 0), "not a number"),
        ({"type": "float32"}, (0x0040, 0x4780), "out of range"),  # 65536.5 with its halves exchanged: 5.9E-39
        ({"type": "int16"}, (0xFFFF,), "out of range"),  # -1
        ({"type": "uint16", "not_available": (0xFFFF,)}, (0xFFFF,), "not available"),
        ({"type": "int32", "not_available": (0x80000000,)}, (0x8000, 0), "not available"),
        ({"scale_register": 12}, (0, 1, 0x8000), "not available"),
        ({"scale_register": 12}, (0, 1, 11), "not available"),  # no power of ten SunSpec has
        ({"scale_register": 12}, (0, 1), "not read"),
        ({"plus": (14,)}, (0, 1), "not read"),
        ({"range": ("0", "99")}, (0, 100), "out of range"),
        ({}, (1,), "not read"),
    ],
)
def test_what_is_no_register_is_refused(register: dict[str, object], raw: tuple[int, ...], fault: str) -> None:
    assert faults(meter(**register), *raw) == [fault]


@given(st.data(), st.sampled_from(sorted(STRUCT)), st.sampled_from(["big", "little"]))
def test_value_is_the_exact_product_rounded_half_to_even(data: st.DataObject, kind: str, order: str) -> None:
    if kind.startswith("float"):
        number: float = data.draw(st.floats(0, 2**53, width=32 if kind == "float32" else 64, allow_subnormal=False))
    else:
        number = data.draw(st.integers(0, 2 ** min(16 * WORDS[kind] - kind.startswith("int"), 53) - 1))
    scale = data.draw(st.decimals("0.0001", "1000", places=4))
    profile = meter(type=kind, word_order=order, scale=str(scale), unit="kWh", range=("0", "9000000000000"))
    raw = list(struct.unpack(f">{WORDS[kind]}H", struct.pack(f">{STRUCT[kind]}", number)))
    decoded = decode(profile, words(*(raw if order == "big" else raw[::-1])), ["1-0:1.8.0"])
    kwh = Fraction(number) * Fraction(scale)
    if kwh <= 9_000_000_000_000 and not 0 < kwh < Fraction(1, 10**9):
        assert decoded.values == {"1-0:1.8.0": round(kwh * 1000)}  # Python rounds a Fraction half to even
    else:
        assert [refusal.fault for refusal in decoded.refused] == ["out of range"]


@pytest.mark.parametrize("name", PROFILES)
@given(data=st.data())
def test_any_words_are_a_number_in_range_or_a_refusal(name: str, data: st.DataObject) -> None:
    profile = PROFILES[name]
    channels = [register.channel for register in profile.registers]
    addresses = [
        (block.function, block.address + place)
        for block in read_plan(profile, channels)
        for place in range(block.count)
    ]
    found = dict(zip(addresses, data.draw(st.lists(WORD, max_size=len(addresses))), strict=False))
    decoded = decode(profile, found, channels)
    assert sorted([*decoded.values, *(refusal.channel for refusal in decoded.refused)]) == channels
    assert all(type(value) is int and 0 <= value <= 2**53 for value in decoded.values.values())


@given(st.lists(WORD, min_size=7, max_size=7))
def test_any_serial_number_is_short_printable_text(found: list[int]) -> None:
    serial = SerialNumber(function=3, address=10, type="string", words=7)
    text = decode_serial(serial, words(*found))
    assert text is None or (0 < len(text) <= 14 and text.isprintable())


@pytest.mark.parametrize("found", [(0, 0), (0xFFFF, 0xFFFF), (7,)])
def test_device_that_tells_no_serial_number_has_none(found: tuple[int, ...]) -> None:
    assert decode_serial(SerialNumber(function=3, address=10, type="uint32"), words(*found)) is None


SPANS = st.lists(
    st.builds(Block, st.sampled_from([3, 4]), st.integers(0, 400), st.sampled_from([1, 2, 4])), min_size=1, max_size=20
)


@given(SPANS, st.integers(4, 125), st.integers(0, 60))
def test_plan_reads_every_number_in_one_piece_within_the_limits(spans: list[Block], most: int, gap: int) -> None:
    blocks = joined(spans, most, gap)
    for span in spans:
        assert any(
            block.function == span.function and block.address <= span.address and span.end <= block.end
            for block in blocks
        )
    for block in blocks:
        assert block.count <= most
        wanted = {place for span in spans if span.function == block.function for place in range(span.address, span.end)}
        unwanted = "".join("." if place in wanted else "x" for place in range(block.address, block.end))
        assert max(map(len, unwanted.split("."))) <= gap
        assert unwanted.strip("x") == unwanted


@given(SPANS)
def test_plan_without_limits_is_one_request_a_function(spans: list[Block]) -> None:
    assert len(joined(spans, 1_000, 1_000)) == len({span.function for span in spans})


def test_plan_takes_only_what_is_wanted() -> None:
    profile = PROFILES["carlo-gavazzi-em24"]
    assert read_plan(profile, ["1-0:1.8.0"]) == (Block(4, 0x34, 2),)
    assert read_plan(profile, ["1-0:1.8.0", "1-0:2.8.0"]) == (Block(4, 0x34, 2), Block(4, 0x4E, 2))
    assert read_plan(profile, ["7-0:3.0.0"]) == ()


@given(st.lists(st.one_of(st.none(), st.tuples(WORD, WORD)), max_size=200))
def test_walk_ends_whatever_the_device_answers(answers: list[tuple[int, int] | None]) -> None:
    sunspec = PROFILES["sunspec-meter"].sunspec
    assert sunspec is not None
    steps = walk(sunspec)
    next(steps)
    to_the_end = itertools.chain([(0x5375, 0x6E53)], answers, itertools.repeat(None))
    with contextlib.suppress(InvalidMessage):  # refused; what is found ends the loop
        assert all(0 <= block.address <= 65_534 for block in map(steps.send, to_the_end))


def test_scale_is_kept_as_written() -> None:
    assert PROFILES["abb-b23-b24"].registers[0].scale == Decimal("0.01")
