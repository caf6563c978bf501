"""Settlement over real files, against values worked by hand.

Unless a test says otherwise a meter uses 100 Wh every hour, and a register comes with the last hour of a UTC day.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from headend.reads import Quality
from headend.reads.days import seconds
from headend.store import tables as t
from headend.store.database import upsert
from headend.store.influx.parts import interval_store
from tests.servers import free_port

from .field import DAY, HOUR, MONDAY, Field, meter, registry

FROM_REGISTER = Quality.ESTIMATED_FROM_REGISTER
LIKE_DAY = Quality.ESTIMATED_LIKE_DAY
LINEAR = Quality.ESTIMATED_LINEAR
BEGIN = 1_000_000  # what the register shows when it all begins


def after(days: int, first: datetime = MONDAY) -> datetime:
    """When the first so many days are due."""
    return first + days * DAY + timedelta(hours=6)


class Meter:
    """A true meter: its register counts what flows, whatever it sends."""

    def __init__(self, field: Field, register: int = BEGIN) -> None:
        self.field, self.register = field, register

    def day(self, n: int, flow: list[int] | None = None, *, without: object = (), register: bool = True) -> None:
        """One UTC day; hours in `without` are not sent."""
        flow = flow or [100] * 24
        self.register = (self.register + sum(flow)) % 10**9
        sent = [None if hour in set(without) else value for hour, value in enumerate(flow)]
        more = {"register": self.register} if register else {}
        self.field.send(MONDAY + n * DAY, sent, **more)


def flow(**hours: int) -> list[int]:
    """100 Wh an hour, but `h5=700` in hour 5."""
    return [hours.get(f"h{hour}", 100) for hour in range(24)]


@pytest.fixture
def true_meter(field: Field) -> Meter:
    return Meter(field)


def test_a_day_is_due_six_hours_after_its_end(field: Field, true_meter: Meter) -> None:
    true_meter.day(0)
    assert field.settle(MONDAY + DAY + 6 * HOUR - timedelta(seconds=1)).channel_days == 0
    assert set(field.stands(MONDAY, 24).quality) == {Quality.RAW}
    counts = field.settle(MONDAY + DAY + 6 * HOUR)
    assert (counts.channel_days, counts.estimated) == (1, 0)
    assert set(field.stands(MONDAY, 24).quality) == {Quality.VALIDATED}
    assert field.settle(MONDAY + DAY + 6 * HOUR).channel_days == 0
    assert field.history() == []


def test_one_missing_hour_takes_exactly_what_the_register_leaves(field: Field, true_meter: Meter) -> None:
    true_meter.day(0)
    true_meter.day(1, flow(h5=777), without=[5])
    counts = field.settle(after(2))
    hour = field.stands(MONDAY + DAY + 5 * HOUR, 1)
    assert (hour.values, hour.quality, hour.versions, counts.estimated) == ([777], [FROM_REGISTER], [1], 1)
    assert field.findings("V4") == [(MONDAY + DAY + 5 * HOUR, "warning", "no read came for this interval")]
    ((start, severity, detail),) = field.findings("E1")
    assert (start, severity) == (MONDAY + DAY + 5 * HOUR, "info")
    assert detail == "was missing, estimated 777: register advance 3077 leaves 777 for 1 intervals"


@pytest.mark.parametrize(("left", "parts"), [(900, [150, 300, 450]), (1_000, [167, 333, 500]), (0, [0, 0, 0])])
def test_three_missing_hours_share_it_as_like_days_do(
    field: Field, true_meter: Meter, left: int, parts: list[int]
) -> None:
    # On other days 100, 200, 300 from eight to eleven; 1,000 shared 1:2:3 is 166⅔, 333⅓, 500.
    for day in range(4):
        true_meter.day(day, flow(h8=100, h9=200, h10=300))
    true_meter.day(4, flow(h8=left, h9=0, h10=0), without=[8, 9, 10])
    field.settle(after(5))
    friday = field.stands(MONDAY + 4 * DAY + 8 * HOUR, 3)
    assert (friday.values, set(friday.quality)) == (parts, {FROM_REGISTER})


def test_a_lost_day_is_guessed_first_and_known_when_the_register_comes(field: Field, true_meter: Meter) -> None:
    for day in range(3):
        true_meter.day(day)
    true_meter.register += 24 * 200  # Thursday: nothing comes
    field.settle(after(4))
    thursday = field.stands(MONDAY + 3 * DAY, 24)
    assert (thursday.values, set(thursday.quality)) == ([100] * 24, {LIKE_DAY})
    true_meter.day(4)
    field.settle(after(5))
    thursday = field.stands(MONDAY + 3 * DAY, 24)
    assert (thursday.values, set(thursday.quality), set(thursday.versions)) == ([200] * 24, {FROM_REGISTER}, {2})
    assert {row[2:] for row in field.history()} == {(100, LIKE_DAY)}


@pytest.mark.parametrize(("sent", "truth"), [(5_100, 100), (0, 100), (100, 5_100), (50, 100)])
def test_the_sum_check_finds_one_wrong_hour(field: Field, true_meter: Meter, sent: int, truth: int) -> None:
    # 5,100 Wh is far below what the connection can carry: only the register tells.
    for day in range(3):
        true_meter.day(day)
    true_meter.register += 23 * 100 + truth
    field.send(MONDAY + 3 * DAY, flow(h10=sent), register=true_meter.register)
    field.settle(after(4))
    thursday = field.stands(MONDAY + 3 * DAY, 24)
    if sent == 100:  # nothing stands out: all the register knows is the sum
        assert sum(thursday.values) == 2_300 + truth
        assert [start for start, *_ in field.findings("V8")] == [MONDAY + 3 * DAY]  # all of them, in one word
        return
    assert thursday.values == flow(h10=truth)
    assert [h for h, q in enumerate(thursday.quality) if q != Quality.VALIDATED] == [10]
    ((start, severity, _),) = field.findings("V8")
    assert (start, severity) == (MONDAY + 3 * DAY + 10 * HOUR, "failed")
    # What was sent stays in the history, and is known when it comes again.
    assert field.history() == [(seconds(start), 1, sent, Quality.VALIDATED)] or field.history() == [
        (seconds(start), 1, sent, Quality.RAW)
    ]
    before = field.everything()
    field.send(MONDAY + 3 * DAY, flow(h10=sent), register=true_meter.register)
    assert field.everything() == before


def test_two_wrong_hours_and_all_are_questioned(field: Field, true_meter: Meter) -> None:
    for day in range(3):
        true_meter.day(day)
    true_meter.register += 2_400
    field.send(MONDAY + 3 * DAY, flow(h10=1_100, h11=1_100), register=true_meter.register)
    field.settle(after(4))
    thursday = field.stands(MONDAY + 3 * DAY, 24)
    assert (thursday.values, set(thursday.quality)) == ([100] * 24, {FROM_REGISTER})


@pytest.mark.parametrize(("off", "passes"), [(0, True), (12, True), (-12, True), (13, False), (-13, False)])
def test_the_sum_check_allows_half_a_percent(field: Field, true_meter: Meter, off: int, passes: bool) -> None:
    # 0.5 % of 2,400 Wh is 12 Wh.
    true_meter.day(0)
    true_meter.register += 2_400
    field.send(MONDAY + DAY, flow(h3=100 + off), register=true_meter.register)
    field.settle(after(2))
    assert (field.findings("V8") == []) is passes
    assert sum(field.values(MONDAY + DAY, 24)) == (2_400 + off if passes else 2_400)


def test_the_register_rolls_over(field: Field) -> None:
    true_meter = Meter(field, 10**9 - 2_401)
    true_meter.day(0)
    assert true_meter.register == 10**9 - 1
    true_meter.day(1, flow(h7=444), without=[7])
    assert true_meter.register == 2_743
    field.settle(after(2))
    assert field.values(MONDAY + DAY + 7 * HOUR, 1) == [444]
    assert field.findings("V7") == []


def test_a_register_reset_is_a_warning_and_the_gap_a_guess(field: Field, true_meter: Meter) -> None:
    true_meter.day(0)
    true_meter.register = 0
    true_meter.day(1, flow(h6=200, h7=900, h8=400), without=[7])
    field.settle(after(2))
    hour = field.stands(MONDAY + DAY + 7 * HOUR, 1)
    # 100 Wh on Monday, and at the ends 100 and 300 more, of which 1 ÷ (2 cosh(ln 2 ÷ 3)) = 0.48694 reach it.
    assert (hour.values, hour.quality) == ([295], [LINEAR])
    ((start, severity, _),) = field.findings("V7")
    assert (start, severity) == (MONDAY + DAY + 23 * HOUR, "warning")
    true_meter.day(2, flow(h7=555), without=[7])
    field.settle(after(3))
    assert field.values(MONDAY + 2 * DAY + 7 * HOUR, 1) == [555]


@pytest.mark.parametrize(
    ("before", "after_it", "n", "line"),
    [(100, 400, 2, [200, 300]), (10, 15, 1, [13]), (15, 10, 1, [13]), (400, 100, 2, [300, 200]), (0, 1, 2, [0, 1])],
)
def test_two_hours_without_registers_lie_on_a_line(
    field: Field, true_meter: Meter, before: int, after_it: int, n: int, line: list[int]
) -> None:
    hours = {"h6": before, f"h{7 + n}": after_it}
    true_meter.day(0, flow(**hours), without=range(7, 7 + n), register=False)
    field.settle(after(1))
    gap = field.stands(MONDAY + 7 * HOUR, n)
    assert (gap.values, set(gap.quality)) == (line, {LINEAR})


def test_a_negative_value_is_replaced(field: Field, true_meter: Meter) -> None:
    true_meter.day(0, flow(h6=200, h7=-50, h8=400), register=False)
    field.settle(after(1))
    hour = field.stands(MONDAY + 7 * HOUR, 1)
    assert (hour.values, hour.quality, hour.versions) == ([300], [LINEAR], [2])
    assert field.history() == [(seconds(MONDAY + 7 * HOUR), 1, -50, Quality.QUESTIONABLE)]
    assert field.findings("V4") == []
    assert field.findings("E2")[0][2] == "was -50, estimated 300: between its two good ends, as like days go"


def counting_days(field: Field, first: datetime, n: int, gap: tuple[int, range], usual: int) -> None:
    """Day d has 600 d + 6 h Wh in UTC hour h, so that a mean says which days made it.

    Around its gap one day has `usual` + 6 h, so that the ends of the gap say no more than like days do.
    """
    day, missing = gap
    for d in range(n):
        level = usual if d == day else 600 * d
        field.send(first + d * DAY, [None if d == day and h in missing else level + 6 * h for h in range(24)])


@pytest.mark.parametrize(
    ("first", "day", "hours", "usual"),
    [
        # Thursday: Friday, Monday, Tuesday after it, Wednesday, Tuesday, Monday before it.
        (MONDAY, 10, range(11, 14), 600 * (11 + 14 + 15 + 9 + 8 + 7) // 6),
        # Saturday: the Sunday after it, the Sunday and the Saturday before it; never a Friday.
        (MONDAY, 12, range(11, 14), 600 * (13 + 6 + 5) // 3),
        # Monday: Tuesday to Thursday, and Friday to Wednesday before it; not the week-end.
        (MONDAY, 7, range(11, 14), 600 * (8 + 9 + 10 + 4 + 3 + 2) // 6),
        # May Day is a Friday and counts as a Sunday.
        (datetime(2026, 4, 20, tzinfo=UTC), 11, range(11, 14), 600 * (12 + 13 + 6 + 5) // 4),
        # The Tuesday after the clocks went forward: Wednesday, Monday, and Friday and Thursday before, when eight in
        # the morning was seven UTC and not six: 6 Wh more in two of four.
        (datetime(2026, 3, 16, tzinfo=UTC), 15, range(6, 9), 600 * (16 + 14 + 11 + 10) // 4 + 3),
        # The first day has none before it: the three days after it.
        (MONDAY, 0, range(11, 14), 600 * (1 + 2 + 3) // 3),
    ],
)
def test_longer_gaps_are_the_mean_of_the_nearest_like_days(
    field: Field, first: datetime, day: int, hours: range, usual: int
) -> None:
    counting_days(field, first, 17, (day, hours), usual)
    field.settle(after(17, first))
    gap = field.stands(first + day * DAY + hours[0] * HOUR, 3)
    assert (gap.values, set(gap.quality)) == ([usual + 6 * h for h in hours], {LIKE_DAY})


def test_what_the_ends_of_a_gap_say_fades_by_half_in_three_hours(field: Field) -> None:
    # Like days say 100; before the gap 900 flowed. With nothing after it, 800 more become 400 after three hours, 200
    # after six, and 800 ÷ 2^(1÷3) = 634.96, 800 ÷ 2^(2÷3) = 503.97 on the way; rounding is carried on.
    for d in range(3):
        field.send(MONDAY + d * DAY, [100] * 24)
    field.send(MONDAY + 3 * DAY, [900] * 12)
    field.settle(after(4))
    afternoon = field.values(MONDAY + 3 * DAY + 12 * HOUR, 12)
    assert afternoon[:3] == [735, 604, 500]
    assert (afternoon[5], afternoon[11]) == (300, 150)


def test_a_day_with_an_outage_is_no_like_day(field: Field) -> None:
    for d in range(4):
        more = {"quality": [1] + [0] * 23} if d == 2 else {}
        level, missing = (150, range(11, 14)) if d == 3 else (300 * d, ())
        field.send(MONDAY + d * DAY, [None if h in missing else level + 3 * h for h in range(24)], **more)
    field.settle(after(4))
    # Tuesday and Monday, (300 + 0) ÷ 2; Wednesday had the outage.
    assert field.values(MONDAY + 3 * DAY + 11 * HOUR, 3) == [183, 186, 189]


def test_a_late_read_replaces_its_estimate_and_the_rest_is_spread_anew(field: Field, true_meter: Meter) -> None:
    true_meter.day(0)
    true_meter.day(1, flow(h8=500, h9=300, h10=100), without=[8, 9, 10])
    field.settle(after(2))
    assert field.values(MONDAY + DAY + 8 * HOUR, 3) == [300, 300, 300]
    field.send(MONDAY + DAY + 8 * HOUR, [500])
    field.settle(after(2))
    gap = field.stands(MONDAY + DAY + 8 * HOUR, 3)
    # 400 are left. Monday has 100 an hour, and what eight has beyond that reaches into the two hours after it by
    # sinh(2k) ÷ sinh(3k) = 0.63829 and sinh(k) ÷ sinh(3k) = 0.31081, k = ln 2 ÷ 3: 355.3 and 224.3 is their shape.
    assert gap.values == [500, 245, 155]
    assert gap.quality == [Quality.VALIDATED, FROM_REGISTER, FROM_REGISTER]


# With two left on Tuesday and Thursday, 500 Wh is shared as like days, which have 100, and ends say: at nine on Tuesday
# 0.48694 of the 300 beyond habit at eight are added. So 246 : 100.
@pytest.mark.parametrize(("left_on_tuesday", "thursday"), [([8], 200), ([8, 9], 145)])
def test_a_late_read_re_spreads_a_window_that_ends_on_a_later_day(
    field: Field, true_meter: Meter, left_on_tuesday: list[int], thursday: int
) -> None:
    # One register on Monday night, the next on Friday night; 300 Wh in each missing hour between them.
    true_meter.day(0)
    hours = {f"h{h}": 300 for h in left_on_tuesday}
    true_meter.day(1, flow(**hours), without=left_on_tuesday, register=False)
    true_meter.day(2, register=False)
    true_meter.day(3, flow(h8=300), without=[8], register=False)
    true_meter.day(4)
    field.settle(after(5))
    assert field.values(MONDAY + 3 * DAY + 8 * HOUR, 1) == [300]
    # Tuesday, eight o'clock: it was 400, so the others share what is left.
    field.send(MONDAY + DAY + 8 * HOUR, [400])
    field.settle(after(5))
    assert field.values(MONDAY + 3 * DAY + 8 * HOUR, 1) == [thursday]
    assert sum(field.values(MONDAY + DAY, 96)) == true_meter.register - BEGIN - 2_400


def test_settled_twice_is_settled_once(field: Field, true_meter: Meter) -> None:
    for day in range(3):
        true_meter.day(day, without=[5, 6, 7] if day else [])
    true_meter.day(3, without=[20, 21, 22, 23], register=False)
    field.settle(after(5))
    before = field.everything()
    assert field.settle(after(5)).channel_days == 0
    with field.site.database.write() as tx:
        tx.execute(update(t.day_block).values(settled=False))
    field.settle(after(5))
    assert field.everything() == before


@pytest.mark.parametrize("installed_at", [timedelta(hours=12), timedelta(hours=11, minutes=30)])
def test_nothing_is_estimated_before_the_meter_was_installed(tmp_path: Path, installed_at: timedelta) -> None:
    field = Field(tmp_path, registry(meter("E-1", installed=MONDAY + installed_at)))
    field.send(MONDAY + 14 * HOUR, [100] * 34)
    field.settle(after(2))
    monday = field.stands(MONDAY, 24)
    assert monday.values == [None] * 12 + [100] * 12
    assert monday.quality[11:15] == [Quality.MISSING, LIKE_DAY, LIKE_DAY, Quality.VALIDATED]
    assert field.values(MONDAY - HOUR, 1) == [None]
    field.close()


def test_nothing_is_estimated_after_the_meter_was_removed(field: Field, true_meter: Meter) -> None:
    true_meter.day(0)
    field.send(MONDAY + DAY, [100] * 10)
    with field.site.database.write() as tx:
        tx.execute(update(t.installation).values(removed_s=seconds(MONDAY + DAY + 12 * HOUR) + 1800))
    field.settle(after(4))
    assert field.values(MONDAY + DAY, 48) == [100] * 12 + [None] * 36


def test_a_spike_the_register_confirms_is_verified(field: Field, true_meter: Meter) -> None:
    true_meter.day(0, [300] * 24)
    true_meter.day(1, [300] * 12 + [5_000] + [300] * 11)
    true_meter.day(2, [300] * 12 + [5_000] + [300] * 11, register=False)
    field.settle(after(3))
    assert field.stands(MONDAY + DAY + 11 * HOUR, 3).quality == [
        Quality.VALIDATED, Quality.VERIFIED, Quality.VALIDATED
    ]  # fmt: skip
    assert field.stands(MONDAY + 2 * DAY + 12 * HOUR, 1).quality == [Quality.VALIDATED]
    assert [(start, severity) for start, severity, _ in field.findings("V9")] == [
        (MONDAY + 2 * DAY + 12 * HOUR, "warning")
    ]


@pytest.mark.parametrize(("third", "peak", "spike"), [(300, 840, False), (300, 841, True), (200, 5_000, False)])
def test_a_spike_is_above_180_percent_of_the_third_and_the_third_above_the_floor(
    field: Field, true_meter: Meter, third: int, peak: int, spike: bool
) -> None:
    true_meter.day(0, [100] * 10 + [third, peak, third] + [100] * 11, register=False)
    field.settle(after(1))
    assert bool(field.findings("V9")) is spike


def test_a_channel_that_never_reported_is_not_estimated(tmp_path: Path) -> None:
    field = Field(tmp_path, registry(meter("E-1"), meter("E-2")))
    field.send(MONDAY, [100] * 24)
    field.settle(after(3))
    assert field.values(MONDAY + DAY, 24) == [100] * 24
    assert field.values(MONDAY, 72, meter="E-2") == [None] * 72
    field.close()


def test_the_first_reads_of_a_meter_can_have_a_gap_nobody_can_fill(field: Field) -> None:
    field.send(MONDAY, [-1] + [None] * 23)
    field.settle(after(1))
    assert field.values(MONDAY, 24) == [-1] + [None] * 23
    assert {finding[1:] for finding in field.findings("V4")} == {
        ("failed", "missing, and nothing is known to estimate it from")
    }


def test_an_hour_without_like_day_takes_the_average(field: Field) -> None:
    # Saturday, seven hours of 70; from ten to noon nothing, and no other day: 70 on average.
    field.send(MONDAY + 5 * DAY, [70] * 7 + [None] * 3 + [70] * 14)
    field.settle(after(6))
    gap = field.stands(MONDAY + 5 * DAY + 7 * HOUR, 3)
    assert (gap.values, set(gap.quality)) == ([70] * 3, {Quality.ESTIMATED_AVERAGE})


def test_what_the_register_leaves_must_fit_through_the_connection(field: Field, true_meter: Meter) -> None:
    # 100 kWh cannot have flowed in the one missing hour: the others cannot all be right.
    true_meter.day(0)
    true_meter.register += 2_300 + 100_000
    field.send(MONDAY + DAY, [*[100] * 5, None, *[100] * 18], register=true_meter.register)
    field.settle(after(2))
    tuesday = field.stands(MONDAY + DAY, 24)
    assert sum(tuesday.values) == 102_300
    assert max(tuesday.values) <= 24_000
    assert set(tuesday.quality) == {FROM_REGISTER}


def test_good_hours_that_exceed_the_advance_are_questioned(field: Field, true_meter: Meter) -> None:
    true_meter.day(0)
    true_meter.register += 1_200
    field.send(MONDAY + DAY, [*[100] * 5, None, *[100] * 18], register=true_meter.register)
    field.settle(after(2))
    assert field.values(MONDAY + DAY, 24) == [50] * 24
    # The five hours before the missing one, and the eighteen after it.
    assert [start for start, *_ in field.findings("V8")] == [MONDAY + DAY, MONDAY + DAY + 6 * HOUR]


def test_hundreds_of_channels_are_settled_like_one(tmp_path: Path) -> None:
    names = [f"E-{n}" for n in range(300)]
    field = Field(tmp_path, registry(*(meter(name) for name in names)))
    for n, name in enumerate(names):
        missing = n % 10 == 0
        field.journal(
            {"meter": name, "channel": "1-0:1.8.0", "start": MONDAY.isoformat(), "interval_s": 3600,
             "values": [100] * 24, "register": 2_400},
            {"meter": name, "channel": "1-0:1.8.0", "start": (MONDAY + DAY).isoformat(), "interval_s": 3600,
             "values": [100] * 5 + [None if missing else 100] + [100] * 18, "register": 4_800 + n * missing},
        )  # fmt: skip
    field.intake.step()
    counts = field.settle(after(2))
    assert (counts.channel_days, counts.estimated) == (600, 30)
    for n in (0, 5, 10, 290, 299):
        hour = field.stands(MONDAY + DAY + 5 * HOUR, 1, meter=f"E-{n}")
        assert hour.values == [100 + n if n % 10 == 0 else 100]
    field.close()


def test_one_very_old_read_does_not_invent_the_years_since(field: Field) -> None:
    field.send(MONDAY - 300 * DAY, [500])
    field.send(MONDAY, [100] * 24)
    field.settle(MONDAY + DAY + 7 * HOUR)
    with field.site.database.read() as tx:
        days = list(field.site.store.channel_days(tx, 0, 30_000))
    assert sorted({found.day for found in days}) == [
        seconds(MONDAY - 300 * DAY) // 86_400,
        seconds(MONDAY) // 86_400,
    ]


def test_while_influxdb_is_away_only_channels_that_need_older_days_wait(field: Field) -> None:
    field.enrol(registry(meter("E-1"), meter("E-2", usage_point="UP")))
    for n in range(11):
        for number, name in enumerate(("E-1", "E-2")):
            values: list[int | None] = [100] * 24
            if (n, name) == (10, "E-2"):
                values[5] = None
            register = BEGIN + number + 2_400 * (n + 1)
            field.send(MONDAY + n * DAY, values, meter=name, register=register)
        if n == 9:
            assert field.settle(after(10)).waiting == 0
    b = t.day_block.c
    with field.site.database.write() as tx:
        old = b.day < seconds(MONDAY + 5 * DAY) // 86_400
        kept = [dict(row) for row in tx.execute(select(t.day_block).where(old)).mappings()]
        emptied = {"reads": b"", "quality": b"", "version": None, "flags": None, "register": None}
        tx.execute(update(t.day_block).where(old).values(emptied))
    embedded = field.site
    nobody = embedded.settings.influx.model_copy(update={"url": f"http://127.0.0.1:{free_port()}"})
    field.site = replace(embedded, store=interval_store(nobody, field.clock))
    counts = field.settle(after(11))
    assert (counts.channel_days, counts.estimated, counts.waiting) == (1, 0, 1)
    assert set(field.stands(MONDAY + 10 * DAY, 24, meter="E-1").quality) == {Quality.VALIDATED}
    assert field.stands(MONDAY + 10 * DAY + 5 * HOUR, 1, meter="E-2").values == [None]

    with embedded.database.write() as tx:  # what it would tell
        for row in kept:
            upsert(tx, t.day_block, [row])
    field.site = embedded
    counts = field.settle(after(11))
    assert (counts.channel_days, counts.estimated, counts.waiting) == (1, 1, 0)
    assert field.stands(MONDAY + 10 * DAY + 5 * HOUR, 1, meter="E-2").values == [100]


def test_a_broken_block_holds_up_its_own_channel_alone(tmp_path: Path) -> None:
    names = [f"E-{n}" for n in range(5)]
    field = Field(tmp_path, registry(*(meter(name) for name in names)))
    for name in names:
        field.send(MONDAY, [100] * 24, meter=name)
    broken = t.day_block.c.meter == field.channel("E-3").meter
    with field.site.database.write() as tx:
        tx.execute(update(t.day_block).where(broken).values(reads=b"broken"))
    counts = field.settle(after(1))
    assert (counts.channel_days, counts.waiting) == (4, 1)
    with field.site.database.read() as tx:
        opened = tx.execute(select(t.day_block.c.meter).where(t.day_block.c.settled.is_(False))).scalars().all()
    assert opened == [field.channel("E-3").meter]
    field.close()


def test_a_store_that_does_not_answer_is_not_asked_again_for_every_group(field: Field) -> None:
    half_hourly = {"channel": "1-0:1.8.0", "interval_s": 1800, "max_per_interval": 10_000, "register_digits": 9}
    field.enrol(registry(meter("E-1"), meter("E-2", usage_point="UP", channels=[half_hourly])))

    def send(day: int, values: list[int | None]) -> None:
        field.send(MONDAY + day * DAY, values)
        field.send(MONDAY + day * DAY, [v for v in values for _ in range(2)], meter="E-2", interval_s=1800)

    send(0, [100] * 24)
    send(1, [100] * 24)
    field.settle(after(2))
    send(2, [100] * 12 + [None] * 12)
    emptied = {"reads": b"", "quality": b"", "version": None, "flags": None, "register": None}
    with field.site.database.write() as tx:
        tx.execute(update(t.day_block).where(t.day_block.c.day == seconds(MONDAY) // 86_400).values(emptied))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        nobody = field.site.settings.influx.model_copy(update={"url": url, "timeout_s": 0.2, "connections": 1})
        field.site = replace(field.site, store=interval_store(nobody, field.clock))
        assert field.settle(after(3)).waiting == 2
        asked = 0
        silent.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                silent.accept()[0].close()
                asked += 1
    # Both halves of one question, values and what is said beside them, one after the other.
    assert 1 <= asked <= 2
