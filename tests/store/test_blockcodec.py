"""Day blocks as bytes and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from headend.errors import StoreBroken
from headend.reads import Blocks
from headend.store.blockcodec import blocks_of, rows_of
from headend.store.tables import day_block

from .blocks import block, same, some_blocks

COLUMNS = [column.name for column in day_block.columns]


def named(rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


@given(some_blocks())
def test_what_is_packed_is_unpacked(blocks: Blocks) -> None:
    assert same(blocks_of(rows_of(blocks, settled=False), blocks.interval_s), blocks)


@given(some_blocks())
def test_a_row_says_how_complete_it_is(blocks: Blocks) -> None:
    for i, row in enumerate(named(rows_of(blocks, settled=True))):
        quality = blocks.quality[i].tolist()
        assert row["present"] == sum(q != 0 for q in quality)
        assert row["estimated"] == sum(6 <= q <= 9 for q in quality)
        assert row["settled"] is True


@pytest.mark.parametrize(
    ("value", "width"), [(2**31 - 1, 4), (2**31, 8), (-(2**31), 4), (-(2**31) - 1, 8)]
)  # fmt: skip
def test_64_bits_only_where_one_needs_them(value: int, width: int) -> None:
    two = block(1, 1, 20_000)
    two.values[0, 5] = value
    (row,) = named(rows_of(two, settled=False))
    assert len(row["reads"]) == 24 * width
    assert same(blocks_of([tuple(row.values())], 3600), two)


def test_a_clean_day_costs_what_it_should() -> None:
    day = block(1, 1, 20_000)
    day.register[0, 23] = 48_211_370
    (row,) = named(rows_of(day, settled=False))
    assert {name: row[name] and len(row[name]) for name in ("reads", "quality", "version", "flags", "register")} == {
        "reads": 96, "quality": 24, "version": None, "flags": None, "register": 10
    }  # fmt: skip
    # Little-endian place 23, then the register.
    assert row["register"] == bytes([23, 0]) + (48_211_370).to_bytes(8, "little")


@pytest.mark.parametrize("column", ["reads", "quality", "version", "flags", "register"])
@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b[:1], lambda b: b""])
def test_bytes_of_another_length_are_not_what_was_written(column: str, change: Any) -> None:
    day = block(1, 1, 20_000)
    day.version[0, 3], day.flags[0, 4], day.register[0, 23] = 2, 1, 5
    (row,) = named(rows_of(day, settled=False))
    row[column] = change(row[column])
    with pytest.raises(StoreBroken, match="day 20000, meter 1, channel 1 is none of 24 intervals"):
        blocks_of([tuple(row.values())], 3600)


def test_a_register_outside_the_day_is_not_what_was_written() -> None:
    day = block(1, 1, 20_000)
    day.register[0, 23] = 5
    (row,) = named(rows_of(day, settled=False))
    row["register"] = bytes([24, 0]) + row["register"][2:]
    with pytest.raises(StoreBroken, match="day 20000, meter 1, channel 1 is none of 24 intervals"):
        blocks_of([tuple(row.values())], 3600)
