"""Line protocol: every chosen interval a line, every field said, names as InfluxDB reads them."""

from __future__ import annotations

import numpy as np
import pytest

from headend.errors import StoreBroken
from headend.reads import Channel, Flag, Quality, empty_blocks
from headend.store.influx.lines import lines_of, tag_value

from ..blocks import block, everything

IMPORT = Channel.parse("1-0:1.8.0").code


def test_a_line_says_all_there_is_to_say() -> None:
    day = block(4, IMPORT, 20_000, 2**53 + 1, n=1)
    day.flags[:], day.version[:], day.register[:] = Flag.TAMPER | Flag.PARTIAL, 3, 48_211_370
    missing = empty_blocks(86_400, np.array([5]), np.array([IMPORT]), np.array([20_001]))
    names = {4: "E-10023", 5: "E-5"}
    assert b"".join(lines_of(day, everything(day), names, 10)) == (
        b"reads,channel=1-0:1.8.0,meter=E-10023"
        b" value=9007199254740993i,quality=1i,version=3i,status=18088705i,flags=20i,register=48211370i 1728000000\n"
    )
    assert b"".join(lines_of(missing, everything(missing), names, 10)) == (
        b"reads,channel=1-0:1.8.0,meter=E-5 value=0i,quality=0i,version=0i,status=0i 1728086400\n"
    )


def test_only_what_is_chosen_is_written_a_few_lines_at_a_time() -> None:
    days = [block(1, IMPORT, 20_000, -3), block(2, IMPORT, 20_000, 100, quality=Quality.VERIFIED)]
    stack = empty_blocks(3600, np.array([1, 2]), np.array([IMPORT] * 2), np.array([20_000] * 2))
    for row, day in enumerate(days):
        stack.values[row], stack.quality[row], stack.version[row] = day.values[0], day.quality[0], day.version[0]
    chosen = np.zeros((2, 24), dtype=np.bool_)
    chosen[0, [0, 23]] = chosen[1, [1, 2, 3]] = True
    bodies = list(lines_of(stack, chosen, {1: "A", 2: "B"}, 2))
    assert [body.count(b"\n") for body in bodies] == [2, 2, 1]
    lines = [line.split() for line in b"".join(bodies).decode().splitlines()]
    assert [(line[0][-1], line[1].split(",")[0], int(line[2]) - 1_728_000_000) for line in lines] == [
        ("A", "value=-3i", 0),
        ("A", "value=20i", 23 * 3600),
        ("B", "value=101i", 3600),
        ("B", "value=102i", 2 * 3600),
        ("B", "value=103i", 3 * 3600),
    ]


def test_nothing_chosen_is_nothing_written() -> None:
    day = block(1, IMPORT, 20_000)
    assert list(lines_of(day, ~everything(day), {1: "A"}, 10)) == []


@pytest.mark.parametrize(
    ("name", "written"),
    [("E-1", "E-1"), ("a b", r"a\ b"), ("a,b=c", r"a\,b\=c"), (r"a\b", r"a\b"), ("Zähler:7", "Zähler:7")],
)
def test_names_are_escaped(name: str, written: str) -> None:
    assert tag_value(name) == written


@pytest.mark.parametrize("name", ["", "a\nb", "a\r", "a\x00", "ends in \\"])
def test_a_name_that_cannot_be_written_is_refused(name: str) -> None:
    with pytest.raises(StoreBroken, match="expected printable characters"):
        tag_value(name)
