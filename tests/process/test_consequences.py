"""What settlement and intake leave beside the reads: who is asked, what is staged, what is given up; and odd times.

Unless a test says otherwise a meter uses 100 Wh every hour, and a register comes with the last hour of a UTC day.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from headend.process.settlement import settle_channels
from headend.reads import Quality
from headend.reads.days import seconds
from headend.store import dailyuse
from headend.store import tables as t

from .field import DAY, HOUR, IMPORT, MONDAY, Field, meter, registry, run

LIKE_DAY, FROM_REGISTER, LINEAR = (
    Quality.ESTIMATED_LIKE_DAY,
    Quality.ESTIMATED_FROM_REGISTER,
    Quality.ESTIMATED_LINEAR,
)


def after(days: int, first: datetime = MONDAY) -> datetime:
    """When the first so many days are due."""
    return first + days * DAY + timedelta(hours=6)


def asked(field: Field, rule: str) -> list[tuple[datetime, datetime, str, bool]]:
    """Begin, end, state and whether it holds a bill of the exceptions of one rule, oldest first."""
    e = t.exception.c
    with field.site.database.read() as tx:
        rows = tx.execute(select(t.exception).where(e.rule == rule).order_by(e.id)).all()
    return [
        (datetime.fromtimestamp(row.start_s, UTC), datetime.fromtimestamp(row.end_s, UTC), row.state, row.holds_bill)
        for row in rows
    ]


# ---- exceptions --------------------------------------------------------------------------------------------------


def test_what_validation_wants_reviewed_is_asked_about_and_cleared_by_what_comes_later(field: Field) -> None:
    field.send(MONDAY, [100] * 24, register=2_400)
    field.send(MONDAY + DAY, [1_100 if h in (3, 17) else 100 for h in range(24)], register=4_800)
    field.settle(after(2))
    ((begin, end, state, holds),) = asked(field, "V8")
    assert (state, holds) == ("open", False)
    assert MONDAY + DAY <= begin < end <= MONDAY + 2 * DAY
    field.settle(after(3))  # settled again or not, it stays one
    assert len(asked(field, "V8")) == 1
    field.send(MONDAY + DAY, [100] * 24)
    field.settle(after(3))
    assert [row[2] for row in asked(field, "V8")] == ["closed"]


def test_another_value_for_a_measured_interval_is_noted_and_nobody_is_asked(field: Field) -> None:
    field.send(MONDAY, [120, 50])
    field.send(MONDAY, [130, 50])
    assert field.findings("V3") == [(MONDAY, "warning", "was 120, now 130")]
    field.settle(after(1))
    field.send(MONDAY + 5 * HOUR, [70])  # an estimate gives way without a word
    assert len(field.findings("V3")) == 1
    assert asked(field, "V3") == []


# ---- daily use ---------------------------------------------------------------------------------------------------


def test_settled_days_are_staged_and_take_their_places_again(field: Field) -> None:
    field.send(MONDAY, [100] * 23 + [400])
    field.send(MONDAY + DAY, [None] * 12 + [100] * 12)
    field.settle(after(2))

    def staged() -> list[tuple[int, int, int, int]]:
        with field.site.database.read() as tx:
            use = dailyuse.load(tx, [(field.channel().meter, IMPORT.code)], seconds(MONDAY + 2 * DAY) // 86_400)
        return [
            (int(use.total[0, c]), int(use.peak[0, c]), int(use.low[0, c]), int(use.unread[0, c])) for c in (-2, -1)
        ]

    monday, tuesday = staged()
    assert monday == (2_700, 400, 100, 0)
    assert tuesday[3] == 12
    field.send(MONDAY + DAY, [50] * 12)
    field.settle(after(2))
    assert staged() == [(2_700, 400, 100, 0), (1_800, 100, 50, 0)]


def test_zero_where_there_was_use_weeks_before_is_named(field: Field) -> None:
    for d in range(3):
        field.send(MONDAY + d * DAY, [100 + h for h in range(24)])
    field.settle(after(3))
    for d in range(3, 40):
        field.send(MONDAY + d * DAY, [0] * 24)
        if d % 6 == 0 or d > 35:
            field.settle(after(d + 1))
    # The day before is all that is looked at of what was before.
    ((begin, _, state, _),) = asked(field, "V10")
    assert (begin, state) == (MONDAY + 3 * DAY, "open")
    assert asked(field, "V10")[0][1] == MONDAY + 40 * DAY


# ---- prolonged estimation ----------------------------------------------------------------------------------------


def test_more_than_three_days_without_a_read_are_asked_about_until_they_come(field: Field) -> None:
    for d in range(5):
        field.send(MONDAY + d * DAY, [100] * 24)
    for d in range(5, 8):
        field.settle(after(d + 1))
    assert field.findings("V13") == []
    field.settle(after(9))
    assert field.findings("V13") == [(MONDAY + 5 * DAY, "warning", "nothing was read for 4 days")]
    field.settle(after(10))
    assert asked(field, "V13") == [(MONDAY + 5 * DAY, MONDAY + 10 * DAY, "open", False)]
    for d in range(5, 10):
        field.send(MONDAY + d * DAY, [100] * 24)
    field.settle(after(10))
    assert [row[2] for row in asked(field, "V13")] == ["closed"]


def test_after_so_many_days_without_a_read_nothing_is_estimated_until_a_register_says_how_much(field: Field) -> None:
    rules = field.site.rules.rules
    patient = rules.model_copy(update={"prolonged": rules.prolonged.model_copy(update={"stop_after_days": 10})})
    field.site = replace(field.site, rules=field.site.rules.model_copy(update={"rules": patient}))
    for d in range(3):
        field.send(MONDAY + d * DAY, [100] * 24, register=2_400 * (d + 1))
    for d in (3, 4, 9, 13, 17):
        field.settle(after(d + 1))
    assert field.stands(MONDAY + 12 * DAY, 24).quality == [Quality.ESTIMATED_AVERAGE] * 24  # the second Saturday
    assert field.stands(MONDAY + 13 * DAY, 120).quality == [Quality.MISSING] * 120
    assert field.findings("V13")[-1][2] == "nothing was read for 15 days; nothing is estimated any more"
    assert field.settle(after(18)).channel_days == 0
    field.send(MONDAY + 18 * DAY, [100] * 24, register=2_400 * 3 + 3_600 * 15 + 2_400)
    field.settle(after(19))
    silent = field.stands(MONDAY + 3 * DAY, 15 * 24)
    assert (set(silent.values), set(silent.quality)) == ({150}, {FROM_REGISTER})


# ---- class profile -----------------------------------------------------------------------------------------------


def test_a_meter_without_like_days_goes_as_its_class_at_its_own_level(tmp_path: Path) -> None:
    names = ["E-1", *(f"N-{n}" for n in range(5))]
    field = Field(tmp_path, registry(*(meter(name) for name in names)))
    saturday = MONDAY + 5 * DAY
    for name in names[1:]:
        for d in range(-7, 1):
            field.journal(run(saturday + d * DAY, [100] * 12 + [300] * 12, meter=name))
    # Seven hours of twice as much as the others, then nothing: 200 until noon, and 600 after it.
    field.send(saturday, [200] * 7)
    field.settle(after(1, saturday))
    rest = field.stands(saturday + 7 * HOUR, 17)
    assert rest.values == [200] * 5 + [600] * 12
    assert set(rest.quality) == {Quality.ESTIMATED_CLASS_PROFILE}
    assert field.findings("E4")[0][2].endswith("profile of 5 channels of its class, at its own level")
    field.close()


# ---- some channels, within a transaction -------------------------------------------------------------------------


def test_some_channels_are_settled_within_a_transaction_and_taken_back_with_it(tmp_path: Path) -> None:
    field = Field(tmp_path, registry(meter("E-1"), meter("E-2")))
    for name in ("E-1", "E-2"):
        field.send(MONDAY, [100] * 5 + [None] + [100] * 18, meter=name)
    field.clock.now = after(1)
    before = field.everything()
    channel = field.channel("E-2")
    with field.site.database.write() as tx:
        attempt = tx.begin_nested()
        counts = settle_channels(tx, field.site, [channel])
        assert (counts.channel_days, counts.estimated, counts.waiting) == (1, 1, 0)
        attempt.rollback()
    assert field.everything() == before
    with field.site.database.write() as tx:
        settle_channels(tx, field.site, [channel])
    assert field.values(MONDAY + 5 * HOUR, 1, meter="E-1") == [None]
    assert field.values(MONDAY + 5 * HOUR, 1, meter="E-2") == [100]
    field.close()


# ---- time --------------------------------------------------------------------------------------------------------


def test_a_clock_set_across_hours_keeps_the_total_and_is_neither_spike_nor_reference(field: Field) -> None:
    # At ten the clock went forward an hour: one hour is short, one holds nothing, and one long one holds 900.
    for d in range(2):
        field.send(MONDAY + d * DAY, [300] * 24)
    flags = [0] * 9 + [2, 2, 2] + [0] * 12
    field.send(MONDAY + 2 * DAY, [300] * 9 + [50, 0, 1_500] + [300] * 12, quality=flags)
    field.send(MONDAY + 3 * DAY, [300] * 10 + [None] * 4 + [300] * 10)
    field.settle(after(4))
    assert field.values(MONDAY + 2 * DAY + 9 * HOUR, 3) == [50, 0, 1_500]
    assert field.findings("V9") == []
    assert set(field.stands(MONDAY + 2 * DAY, 24).quality) == {Quality.VALIDATED}
    assert field.values(MONDAY + 3 * DAY + 10 * HOUR, 4) == [300] * 4


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
@pytest.mark.parametrize("first", [datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 10, 19, tzinfo=UTC)])
def test_like_days_are_at_the_same_local_time_whatever_the_clocks_do(
    tmp_path: Path, zone: str, first: datetime
) -> None:
    # Half-hours that use ten times the local hour, for four weeks in which clocks change; a local day of them misses.
    half_hourly = {"channel": "1-0:1.8.0", "interval_s": 1800, "max_per_interval": 20_000, "register_digits": 9}
    field = Field(tmp_path, registry(meter("E-1", channels=[half_hourly]), timezone=zone))
    local = ZoneInfo(zone)
    field.clock.now = first + 40 * DAY

    def use(place: int) -> int:
        return 100 + 10 * (first + place * HOUR / 2).astimezone(local).hour

    gap = range(16 * 48 + 7, 17 * 48 + 11)
    for d in range(28):
        places = range(d * 48, d * 48 + 48)
        field.send(first + d * DAY, [None if p in gap else use(p) for p in places], interval_s=1800)
    field.settle(after(28, first))
    day = seconds(first) // 86_400
    with field.site.database.read() as tx:
        keys = [(day + d, field.channel().meter, IMPORT.code) for d in (16, 17)]
        blocks = field.site.store.load(tx, keys, 1800)
    values = blocks.values.reshape(-1)[gap.start - 16 * 48 : gap.stop - 16 * 48].tolist()
    assert values == [use(p) for p in gap]
    assert set(blocks.quality.reshape(-1)[gap.start - 16 * 48 : gap.stop - 16 * 48].tolist()) == {LIKE_DAY}
    field.close()


@pytest.mark.parametrize(("register", "stands"), [(True, 150), (False, 100)])
def test_reads_of_a_clock_that_is_off_are_verified_by_the_register_or_estimated(
    field: Field, register: bool, stands: int
) -> None:
    def more(day: int) -> dict[str, int]:
        return {"register": 2_400 * day + (50 if day == 4 else 0)} if register else {}

    for d in range(3):
        field.send(MONDAY + d * DAY, [100] * 24, **more(d + 1))
    # Thursday's hours but one come in time; that one is told by a gateway that is four minutes ahead.
    field.send(MONDAY + 3 * DAY, [100] * 5)
    field.clock.now = MONDAY + 4 * DAY + HOUR
    field.journal(run(MONDAY + 3 * DAY + 5 * HOUR, [150]), sent_at=field.clock.now + timedelta(minutes=4))
    field.send(MONDAY + 3 * DAY + 6 * HOUR, [100] * 18, **more(4))
    five = MONDAY + 3 * DAY + 5 * HOUR
    assert field.stands(five, 1).quality == [Quality.QUESTIONABLE]
    assert [severity for _, severity, _ in field.findings("V2")] == ["failed"]
    field.settle(after(4))
    hour = field.stands(five, 1)
    assert (hour.values, hour.quality) == ([stands], [Quality.VERIFIED if register else LINEAR])


def test_reads_of_a_clock_that_is_off_are_verified_by_a_register_that_comes_later(field: Field) -> None:
    field.send(MONDAY, [100] * 24, register=2_400)
    field.send(MONDAY + DAY, [100] * 5)
    field.clock.now = MONDAY + 2 * DAY + HOUR
    field.journal(run(MONDAY + DAY + 5 * HOUR, [150]), sent_at=field.clock.now + timedelta(minutes=4))
    field.send(MONDAY + DAY + 6 * HOUR, [100] * 18)
    field.settle(after(2))
    five = MONDAY + DAY + 5 * HOUR
    assert field.stands(five, 1).quality == [LINEAR]
    field.send(MONDAY + DAY + 23 * HOUR, [100], register=4_850)
    field.settle(after(3))
    hour = field.stands(five, 1)
    assert (hour.values, hour.quality, hour.versions) == ([150], [Quality.VERIFIED], [3])
