"""The compact form: the same message as its JSON, and nothing that JSON cannot say."""

from __future__ import annotations

import json
import time
import tracemalloc
from datetime import UTC, datetime

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.collect.cbor import as_json, is_cbor
from headend.collect.wire import read_reads
from headend.errors import InvalidMessage

MESSAGE = {
    "seq": 1042,
    "sent_at": "2026-01-05T13:00:07Z",
    "blocks": [
        {"meter": "E-10023", "channel": "1-0:1.8.0", "start": "2026-01-04T13:00:00Z", "interval_s": 3600,
         "values": [None, *range(1200, 1223)], "quality": [0] * 24, "register": 48_211_370}
    ],
}  # fmt: skip


def test_the_same_keys_become_the_same_bytes() -> None:
    expected = json.dumps(MESSAGE, separators=(",", ":")).encode()
    assert as_json(cbor2.dumps(MESSAGE)) == expected
    assert as_json(b"\xd9\xd9\xf7" + cbor2.dumps(MESSAGE)) == expected
    assert as_json(cbor2.dumps(MESSAGE, indefinite_containers=True)) == expected


# RFC 8949, appendix A: 0("2013-03-21T20:04:00Z"), 1(1363896240) and 1(1363896240.5)
@pytest.mark.parametrize(
    ("time_item", "text"),
    [
        ("c074323031332d30332d32315432303a30343a30305a", "2013-03-21T20:04:00+00:00"),
        ("c11a514b67b0", "2013-03-21T20:04:00+00:00"),
        ("c1fb41d452d9ec200000", "2013-03-21T20:04:00.500000+00:00"),
    ],
)
def test_tagged_times_become_text(time_item: str, text: str) -> None:
    assert json.loads(as_json(bytes.fromhex("a16161" + time_item))) == {"a": text}


def test_a_message_with_tagged_times_reads_as_its_json() -> None:
    block = MESSAGE["blocks"][0] | {"start": datetime(2026, 1, 4, 13, tzinfo=UTC)}
    tagged = MESSAGE | {"sent_at": datetime(2026, 1, 5, 13, 0, 7, tzinfo=UTC), "blocks": [block]}
    expected = read_reads(json.dumps(MESSAGE).encode())
    for as_number in (True, False):
        assert read_reads(as_json(cbor2.dumps(tagged, datetime_as_timestamp=as_number))) == expected


def test_forms_are_told_apart_by_the_first_byte() -> None:
    assert is_cbor(cbor2.dumps({}))
    assert is_cbor(cbor2.dumps({str(i): i for i in range(1_000)}))
    assert is_cbor(b"\xd9\xd9\xf7\xa0")
    assert not any(map(is_cbor, (b"", b"{}", b" {}", b"\xef\xbb\xbf{}", b"\xd9\xd9", b"\x80", b"null")))


@pytest.mark.parametrize(
    "hostile",
    [
        "", "a1", "a161", "ff", "1c", "bfff00",
        "a1616100" + "00",  # bytes after the end
        "a2616101616102",  # a key twice
        "a10102", "a1f601", "a1810102", "a1410102",  # keys that are not text
        "a16161f97e00", "a16161fb7ff0000000000000",  # NaN, infinity
        "a161614101", "a16161f7", "a16161f0",  # bytes, undefined, a simple value
        "a16161c2420100", "a16161c482200f", "a16161c5821b7fffffffffffffff01", "a16161d81e820103",  # numbers by tag
        "a16161d8236328612b", "a16161d82550" + "00" * 16,  # a regular expression, a UUID
        "d81ca16161d81d00", "a26161d81c810161" + "62d81d00",  # shared and circular references
        "d90100a16161d81900", "a16161d9010281" + "01",  # string references, a set
        "a16161d9d9f701", "a16161da7fffffff01",  # tags where none belongs
        "a16161c11bffffffffffffffff", "a16161c1fb7ff8000000000000", "a16161c06161",  # no times
        "bb7fffffffffffffff", "a161619b7fffffffffffffff", "a161617b7fffffffffffffff", "a161615bffffffffffffffff",
        "a16161" + "81" * 200_000, "a16161" * 100_000, "a16161" + "9f" * 100_000, "a16161" + "c1" * 200_000,
        "a1616161ff", "a16162c328",  # not UTF-8
    ],
)  # fmt: skip
def test_hostile_messages_are_refused_at_once(hostile: str) -> None:
    payload = bytes.fromhex(hostile)
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(InvalidMessage) as refused:
            as_json(payload)
        assert time.process_time() - began < 0.5
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
    assert refused.value.fault == "not CBOR"
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=8), TREES, max_size=5))
def test_what_json_can_say_comes_through_unchanged(message: dict[str, object]) -> None:
    assert json.loads(as_json(cbor2.dumps(message))) == message
