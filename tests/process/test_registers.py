"""Register reads in a store: whatever order they come in, the same intervals stand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from headend.reads import Quality
from headend.reads.days import seconds
from headend.store import tables as t
from tests.process.field import DAY, HOUR, IMPORT, MONDAY, Field, meter, registry, run

MINUTE = timedelta(minutes=1)


def register(minutes: float, value: int, **more: Any) -> dict[str, Any]:
    """A register read some minutes after Monday's beginning."""
    return {
        "meter": "E-1",
        "channel": "1-0:1.8.0",
        "at": (MONDAY + minutes * MINUTE).isoformat(),
        "value": value,
    } | more


def tell(field: Field, *reads: dict[str, Any]) -> None:
    """One message of register reads, taken in at once."""
    field.sent += 1
    message = {"seq": field.sent, "sent_at": field.clock().isoformat(), "blocks": [], "registers": list(reads)}
    field.journal_raw(json.dumps(message).encode(), "headend/v1/GW/reads")
    while field.intake.step():
        pass


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    made = Field(tmp_path)
    yield made
    made.close()


def test_reads_on_the_hour_become_hours(field: Field) -> None:
    tell(field, register(0, 1_000), register(60, 1_400))
    tell(field, register(120.5, 1_500))
    assert field.values(MONDAY, 3) == [400, 100, None]


def test_a_read_that_comes_late_fills_the_hours_beside_it(field: Field) -> None:
    tell(field, register(0, 1_000), register(180, 1_900))
    assert field.values(MONDAY, 3) == [None, None, None]
    tell(field, register(120, 1_500))
    assert field.values(MONDAY, 3) == [None, None, 400]
    tell(field, register(60, 1_100))
    assert field.values(MONDAY, 3) == [100, 400, 400]
    assert field.history() == []


def test_the_same_reads_again_change_nothing(field: Field) -> None:
    tell(field, register(0, 1_000), register(60, 1_400), register(120, 1_500))
    before = field.everything()
    tell(field, register(60, 1_400))
    tell(field, register(0, 1_000), register(120, 1_500))
    assert field.everything() == before


def test_a_minute_without_a_read_is_missing_and_not_empty(tmp_path: Path) -> None:
    channel = {"channel": "1-0:1.8.0", "interval_s": 60, "max_per_interval": 1_000}
    field = Field(tmp_path, registry(meter("E-1", channels=[channel])))
    # Two seconds after each minute but the fourth: those beside it are within the shipped tolerance of 60 s.
    tell(field, *(register(minute + 1 / 30, 10 * minute) for minute in (1, 2, 3, 5, 6)))
    with field.site.database.read() as tx:
        day = field.site.store.load(tx, [(seconds(MONDAY) // 86_400, 1, IMPORT.code)], 60)
    stored = [
        value if known else None
        for value, known in zip(*(row[0, :6].tolist() for row in (day.values, day.present)), strict=True)
    ]
    assert stored == [None, 10, 10, None, None, 10]
    field.close()


def test_a_nearer_read_makes_a_new_version(field: Field) -> None:
    tell(field, register(0, 1_000), register(60.5, 1_410), register(120, 1_500))
    tell(field, register(60, 1_400))
    assert field.values(MONDAY, 2) == [400, 100]
    assert field.stands(MONDAY, 2).versions == [2, 2]


def test_hours_without_a_read_get_the_registers_total(field: Field) -> None:
    tell(
        field, *(register(60 * hour, 100 * hour) for hour in range(20)), *(register(60 * h, 110 * h) for h in (24, 48))
    )
    field.settle()
    stands = field.stands(MONDAY, 24)
    assert sum(stands.values) == 24 * 110
    assert set(stands.quality[19:]) == {Quality.ESTIMATED_FROM_REGISTER}


def test_an_exchange_is_no_use_and_is_said(field: Field) -> None:
    tell(field, *(register(60 * hour, 5_000 + 100 * hour, serial="A") for hour in range(8)))
    tell(field, *(register(60 * hour, 5_900 + 10 * hour, serial="B") for hour in range(8, 26)))
    assert field.values(MONDAY, 10) == [100] * 7 + [None] + [10] * 2
    assert field.findings("V7") == [
        (MONDAY + 7 * HOUR, "warning", "another device counts here: its serial number changed")
    ]
    field.settle()
    # 5,700 then 5,980: plausible for one device, but it is two.
    assert field.stands(MONDAY, 8).quality[7] not in {Quality.ESTIMATED_FROM_REGISTER, Quality.MISSING}
    assert field.values(MONDAY, 10)[:7] == [100] * 7


def test_a_constant_scales_what_is_made(tmp_path: Path) -> None:
    constants = [
        {"from": MONDAY.isoformat(), "ct": "200/5"},
        {"from": (MONDAY + 2 * HOUR).isoformat(), "ct": "100/5"},
    ]
    channel = {"channel": "1-0:1.8.0", "max_per_interval": 20_000, "register_digits": 9, "constants": constants}
    field = Field(tmp_path, registry(meter("E-1", channels=[channel])))
    tell(field, *(register(60 * hour, 10 + 3 * hour) for hour in range(5)))
    assert field.values(MONDAY, 4) == [120, 120, 60, 60]
    field.close()


def test_of_a_file_registers_are_scaled_and_intervals_are_not(tmp_path: Path) -> None:
    constants = [{"from": MONDAY.isoformat(), "ct": "200/5"}]
    channel = {"channel": "1-0:1.8.0", "max_per_interval": 20_000, "register_digits": 9, "constants": constants}
    field = Field(tmp_path, registry(meter("E-1", channels=[channel])))
    source = {"name": "a.csv", "sha256": "0" * 64, "format": "csv"}
    message = {"seq": 1, "sent_at": field.clock().isoformat(), "source": source}
    hours = message | {"blocks": [run(MONDAY, [120])], "registers": [register(60, 13), register(120, 16)]}
    field.journal_raw(json.dumps(hours).encode(), "file/a.csv", "")
    # The poller reads the same dial.
    polled = {"seq": 1, "sent_at": field.clock().isoformat(), "blocks": [], "registers": [register(180, 18)]}
    field.journal_raw(json.dumps(polled).encode(), "modbus/poller", "")
    assert field.intake.step() == 2
    # 120 Wh as told; (16 - 13) × 40; (18 - 16) × 40.
    assert field.values(MONDAY, 3) == [120, 120, 80]
    field.close()


def test_of_many_reads_only_those_beside_the_hours_are_kept(field: Field) -> None:
    for minute in range(0, 600, 5):
        tell(field, register(minute + 1, 10 * minute))
    with field.site.database.read() as tx:
        kept = tx.execute(select(func.count()).select_from(t.register_read)).scalar_one()
    assert kept <= 2 * 10 + 1
    assert field.values(MONDAY + HOUR, 8) == [600] * 8


STEPS = st.lists(st.tuples(st.integers(1, 90), st.integers(0, 300)), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.randoms(use_true_random=False), st.integers(1, 4), st.integers(0, 12))
def test_order_and_batches_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]], chance: Any, at_once: int, reset_at: int
) -> None:
    minute, value, found = 0, 999_999_000, [register(0, 999_999_000)]
    for place, (minutes, used) in enumerate(steps):
        minute, value = minute + minutes, (0 if place == reset_at else value + used) % 10**9
        found.append(register(minute, value))
    found.append(register(minute + 60, value))
    shuffled = found.copy()
    chance.shuffle(shuffled)
    stood = []
    for order, size in ((found, len(found)), (shuffled, at_once)):
        field = Field(tmp_path_factory.mktemp("site"))
        for first in range(0, len(order), size):
            tell(field, *order[first : first + size])
        with field.site.database.write() as tx:
            tx.execute(delete(t.finding))
        stood.append(field.values(MONDAY - DAY, 72))
        field.close()
    assert stood[0] == stood[1]
