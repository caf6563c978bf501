"""Answers as columns: tables one after the other, and what goes wrong on the way."""

from __future__ import annotations

import pytest

from headend.errors import StoreAway, StoreBroken
from headend.store.influx.answers import points_of

HEADER = b",result,table,_time,_value,_field,meter\r\n"


def test_tables_follow_each_other() -> None:
    answer = (
        HEADER
        + b",_result,0,2024-10-04T00:00:00Z,1419,value,E-1\r\n"
        + b",_result,1,2024-10-04T00:00:00.000000001Z,-9223372036854775808,flags,E-1\r\n\r\n"
        + b",result,table,_value,meter,_time,_field\r\n"
        + b',_result,2,9223372036854775807,"a, ""b""",1969-12-31T23:59:59Z,value\r\n\r\n'
    )
    points = points_of(answer, ("meter", "_field"))
    assert points.time_ns.tolist() == [1_728_000_000_000_000_000, 1_728_000_000_000_000_001, -1_000_000_000]
    assert points.value.tolist() == [1_419, -(2**63), 2**63 - 1]
    meter, field = points.texts["meter"], points.texts["_field"]
    assert [meter.different[i] for i in meter.which] == ["E-1", "E-1", 'a, "b"']
    assert [field.different[i] for i in field.which] == ["value", "flags", "value"]
    assert meter.mapped({"E-1": 7}).tolist() == [7, 7, -1]


@pytest.mark.parametrize("answer", [b"", b"\r\n"])
def test_an_answer_may_be_empty(answer: bytes) -> None:
    points = points_of(answer, ("meter",))
    assert len(points) == 0
    assert points.texts["meter"].mapped({"E-1": 7}).tolist() == []


def test_a_server_that_gives_up_on_the_way_is_away() -> None:
    answer = HEADER + b",_result,0,2024-10-04T00:00:00Z,1,value,E-1\r\n\r\n"
    answer += b',error,reference\r\n,"memory limit, ""10"" MB",897\r\n'
    with pytest.raises(StoreAway, match='memory limit, "10" MB'):
        points_of(answer, ("meter",))


@pytest.mark.parametrize(
    "answer",
    [
        HEADER + b",_result,0,2024-10-04T00:00:00Z,1.5,value,E-1\r\n\r\n",
        HEADER + b",_result,0,yesterday,1,value,E-1\r\n\r\n",
        b",result,table,_time,_value\r\n,_result,0,2024-10-04T00:00:00Z,1\r\n\r\n",
        b"<html>proxy</html>",
    ],
)
def test_an_answer_that_is_none_is_said(answer: bytes) -> None:
    with pytest.raises(StoreBroken, match="InfluxDB: found an answer that is not _time, _value, meter"):
        points_of(answer, ("meter",))
