"""Whatever the field sends, a decoder says what it understood or raises `InvalidMessage`."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.errors import InvalidMessage
from tests.decoders import DECODERS, READS, SEEDS, decode_by_all
from tests.servers import needs

ROOT = Path(__file__).parents[2]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good message with a few stretches of it overwritten, cut out or repeated."""
    message = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(message)))
        end = draw(st.integers(begin, min(begin + 20, len(message))))
        instead = draw(
            st.sampled_from([b"", message[begin:end] * 3, b"\x00", b"-", b"9" * 30, b"null", b"[[[", b"NaN"])
        )
        message = message[:begin] + (instead or draw(st.binary(max_size=8))) + message[end:]
    return message


KEYS = (
    *("blocks", "registers", "events", "values", "ENERGY", "Total", "Time", "params", "ts", "total_act", "aenergy"),
    *("total", "src", "meter", "channel", "at", "value", "1-0:1.8.0"),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["2026-01-05T13:00:07Z", "1-0:1.8.0", "0001-01-01T00:00:00+23:59", "1e999999999"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@given(st.binary(max_size=300))
def test_any_bytes(payload: bytes) -> None:
    decode_by_all(payload)


@given(mutated())
def test_good_messages_gone_wrong(payload: bytes) -> None:
    decode_by_all(payload)


@given(st.dictionaries(st.sampled_from([*READS, "ENERGY", "Time", "params", "src", "events", "online"]), ANYTHING))
def test_any_values_in_any_place(message: dict[str, object]) -> None:
    decode_by_all(json.dumps(message).encode())
    decode_by_all(cbor2.dumps(message))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    "payload",
    [b"[" * 200_000, b'{"a":' * 100_000, b"9" * 100_000, b'{"blocks":[' + b"{}," * 100_000 + b"{}]}",
     b"\x12\x00" * 100_000, b"\xa1\x61a" * 100_000, b'"\\ud800"', b"\xef\xbb\xbf{}", b"\x00" * 100_000,
     b"{" + b'"a":1,' * 100_000 + b'"b":2}'],
    ids=["lists", "objects", "digits", "blocks", "metrics", "maps", "surrogate", "mark", "zeros", "keys"],
)  # fmt: skip
@pytest.mark.timeout(5)
def test_large_nonsense_is_refused_in_time(decoder: str, payload: bytes) -> None:
    with contextlib.suppress(InvalidMessage):
        DECODERS[decoder](payload)


@pytest.mark.slow
def test_atheris_finds_nothing() -> None:
    needs("atheris", importlib.util.find_spec("atheris"))
    command = [sys.executable, "-m", "tests.fuzz_decoders", "-max_total_time=25", "-timeout=5", "-rss_limit_mb=1024"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert run.returncode == 0, run.stderr[-3_000:]
