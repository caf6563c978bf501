"""Meters exchanged, transformers exchanged, and reactive energy: from the message to what stands after settlement."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from headend.reads import Channel, Quality
from headend.reads.days import seconds
from headend.store import tables as t

from .field import DAY, HOUR, MONDAY, Field, meter, registry

TUESDAY = MONDAY + DAY
CHANGE = TUESDAY + 10 * HOUR
VALIDATED = Quality.VALIDATED


def channel(**more: Any) -> list[dict[str, Any]]:
    return [{"channel": "1-0:1.8.0", "max_per_interval": 10**6, "register_digits": 4} | more]


def with_transformers(field: Field) -> None:
    """CT 200/5 up to Tuesday, ten o'clock; CT 300/5 from there."""
    constants = [{"from": MONDAY - DAY, "ct": "200/5"}, {"from": CHANGE, "ct": "300/5"}]
    field.enrol(registry(meter("E-1", channels=channel(constants=constants))))


def test_new_transformers_make_no_false_alarm_and_scale_from_their_moment_on(field: Field) -> None:
    """100 wire units an hour on a dial of 10,000, which rolls over on Wednesday: 4,800 + 2,400 a day."""
    with_transformers(field)
    for day, register in enumerate((4_800, 7_200, 9_600, 2_000)):
        field.send(MONDAY + day * DAY, [100] * 24, register=register)
    field.settle()
    assert field.values(TUESDAY, 24) == [4_000] * 10 + [6_000] * 14
    assert set(field.stands(MONDAY, 96).quality) == {VALIDATED}
    assert field.findings("V7") == field.findings("V8") == []


def test_register_closes_gaps_on_its_own_side_of_the_change(field: Field) -> None:
    with_transformers(field)
    field.send(MONDAY, [100] * 24, register=2_400)
    field.send(TUESDAY, [100] * 8 + [None, 100], register=3_450)  # 150 in the missing hour
    field.send(CHANGE, [100], register=3_550)
    field.send(CHANGE + HOUR, [100, None, *[100] * 11], register=4_900)  # 150 again
    field.settle(MONDAY + 2 * DAY + 6 * HOUR)
    assert field.values(TUESDAY + 8 * HOUR, 1) == [6_000]
    assert field.values(CHANGE + 2 * HOUR, 1) == [9_000]
    assert [start for start, _, _ in field.findings("E1")] == [TUESDAY + 8 * HOUR, CHANGE + 2 * HOUR]


def test_scaled_reads_that_come_again_change_nothing(field: Field) -> None:
    pulses = [{"from": MONDAY - DAY, "pulses_per_unit": 3000}]
    field.enrol(registry(meter("E-1", channels=channel(constants=pulses))))
    field.send(MONDAY, [100] * 24, register=1_200)
    before = field.values(MONDAY, 24)
    # 8,800 … 1,200 over a dial of 10,000 ⅓ Wh, which is 3,333 Wh: 3,333 − 2,933 + 400.
    assert sum(value or 0 for value in before) == 800
    for hour in range(24):
        field.send(MONDAY + hour * HOUR, [100], register=(8_900 + 100 * hour) % 10_000)
    assert field.values(MONDAY, 24) == before
    assert (field.totals().replaced, field.totals().duplicates) == (0, 24)


def exchange(field: Field) -> None:
    """E-1 until Tuesday, ten o'clock; E-2 from there."""
    old = meter("E-1", removed=CHANGE)
    field.enrol(registry(old, meter("E-2", installed=CHANGE)))


def test_exchanged_meter_is_estimated_to_its_end_and_its_successor_from_its_begin(field: Field) -> None:
    exchange(field)
    field.send(MONDAY, [100] * 24, register=5_000)
    field.send(TUESDAY, [100] * 7 + [None, None, 100], register=6_100)
    field.send(CHANGE, [200] * 14, meter="E-2", register=2_800)
    field.send(TUESDAY + DAY, [200] * 24, meter="E-2", register=7_600)
    field.settle(MONDAY + 3 * DAY + 6 * HOUR)
    assert field.values(TUESDAY, 24) == [*[100] * 7, 150, 150, 100, *[None] * 14]
    assert field.values(TUESDAY, 24, meter="E-2") == [None] * 10 + [200] * 14
    assert {rule: field.findings(rule) for rule in ("V7", "V8")} == {"V7": [], "V8": []}
    assert [start for start, _, _ in field.findings("V4")] == [CHANGE - 3 * HOUR, CHANGE - 2 * HOUR]


def test_removed_meter_that_told_nothing_on_its_last_day_is_estimated_up_to_its_removal(field: Field) -> None:
    exchange(field)
    for day in range(-7, 1):
        field.send(MONDAY + day * DAY, [100] * 24)
    field.settle(MONDAY + 9 * DAY)
    assert field.values(TUESDAY, 24) == [100] * 10 + [None] * 14
    assert {start for start, _, _ in field.findings("V4")} == {TUESDAY + hour * HOUR for hour in range(10)}
    assert field.settle(MONDAY + 9 * DAY + timedelta(hours=1)).channel_days == 0


def test_reactive_energy_is_taken_and_validated(field: Field) -> None:
    reactive = ["1-0:3.8.0", "1-0:4.8.0"]
    channels = [{"channel": each, "max_per_interval": 20_000, "register_digits": 9} for each in reactive]
    field.enrol(registry(meter("E-1", channels=channels)))
    for place, each in enumerate(reactive):
        field.send(MONDAY, [30 + place] * 24, channel=each, register=1_000)
    field.settle()
    with field.site.database.read() as tx:
        blocks = field.site.store.load(
            tx,
            [(seconds(MONDAY) // 86_400, field.channel().meter, Channel.parse(each).code) for each in reactive],
            3600,
        )
        assert tx.execute(t.quarantine.select()).all() == []
    assert blocks.values.tolist() == [[30] * 24, [31] * 24]
    assert set(blocks.quality.reshape(-1).tolist()) == {VALIDATED}
