"""V11, worked by hand: two weeks of a bill, and the three weeks before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from headend.reads.channels import Channel
from headend.vee.dailyuse import DailyUse, nothing_known
from headend.vee.highlow import BillDays, high_low
from headend.vee.ruleset import HighLowRule

#: Thursday, 3 September 2026: the bill's first day.
FIRST = 20_699
DAYS_BEFORE, DAYS = 21, 14
RULE = HighLowRule(then="hold_bill", review=True, weeks=3, alike=8, high_percent=200, low_percent=50, floor=10_000)
BILL = BillDays(7, 1, FIRST * 86_400 - 7_200, (FIRST + DAYS) * 86_400 - 7_200, FIRST, FIRST + DAYS, 0)


def use(before: int | list[int], now: int | list[int]) -> DailyUse:
    """Days that were read, the same each day or one by one; what is before them is not known."""
    made = nothing_known(1, FIRST + DAYS)
    made.total[0, -DAYS:] = now
    made.total[0, -DAYS - DAYS_BEFORE : -DAYS] = before
    return made


def found(made: DailyUse, rule: HighLowRule = RULE, bill: BillDays = BILL) -> str | None:
    findings = high_low([bill], made, rule)
    return findings[0].detail if findings else None


def test_a_bill_of_twice_the_use_is_as_usual_and_of_more_is_high() -> None:
    assert found(use(4_000, 8_000)) is None
    (finding,) = high_low([BILL], use(4_000, 8_412), RULE)
    assert (finding.meter, finding.channel, finding.rule, finding.severity) == (7, 1, "V11", "warning")
    assert (finding.start_s, finding.end_s) == (BILL.start_s, BILL.end_s)
    assert finding.review
    assert finding.detail == "8,412 a day against 4,000 a day in the 3 weeks before: 210 %"


def test_a_bill_of_half_the_use_is_as_usual_and_of_less_is_low() -> None:
    assert found(use(4_000, 2_000)) is None
    assert found(use(4_000, 1_990)) == "1,990 a day against 4,000 a day in the 3 weeks before: 50 %"
    assert found(use(4_000, 0)) == "0 a day against 4,000 a day in the 3 weeks before: 0 %"


def test_little_use_is_not_looked_at() -> None:
    # 14 days of 714 Wh are 9,996 Wh; of 715 Wh, 10,010.
    assert found(use(100, 714)) is None
    assert found(use(100, 715)) is not None
    assert found(use(714, 0)) is None
    assert found(use(715, 0)) is not None


def test_use_where_there_was_none_is_high_without_a_percentage() -> None:
    assert found(use(0, 5_000)) == "5,000 a day against 0 a day in the 3 weeks before"


def test_weekdays_are_compared_with_weekdays() -> None:
    """A shop uses 1,000 on a working day and 10,000 on each day of the weekend: 3,571 a day."""
    days = np.arange(FIRST - DAYS_BEFORE, FIRST + DAYS)
    weekly = np.where((days + 3) % 7 >= 5, 10_000, 1_000)
    # From a Saturday to the second Sunday after it 4 of 9 days are weekend: 45,000, and 5,000 a day.
    bill = BillDays(7, 1, 0, 1, FIRST + 2, FIRST + 11, 0)
    made = use(weekly[:DAYS_BEFORE].tolist(), weekly[DAYS_BEFORE:].tolist())
    made.total[0, 2 - DAYS :] += 4_000
    assert found(made, bill=bill) is None, "9,000 a day is 252 % of any day, and 180 % of days like these"
    made.total[0, 2 - DAYS :] += 1_600
    assert found(made, bill=bill) == "10,600 a day against 5,000 a day in the 3 weeks before: 212 %"


def test_days_that_were_not_read_do_not_say_what_is_usual() -> None:
    made = use([50_000] * 7 + [4_000] * 14, 9_000)
    made.unread[0, -DAYS - DAYS_BEFORE : -DAYS - 14] = 1
    assert found(made) == "9,000 a day against 4,000 a day in the 3 weeks before, of which 14 days were read: 225 %"
    made.unread[0, -DAYS - 14 : -DAYS - 7] = 24
    assert "of which 7 days" in (found(made) or "")
    # Then no Thursday is left.
    made.unread[0, -DAYS - 7] = 24
    assert found(made) is None


def test_unknown_days_do_not_count() -> None:
    made = use(4_000, 9_000)
    made.total[0, -DAYS:-7] = -1
    assert "9,000 a day" in (found(made) or "")
    made.total[0, -7] = -1
    assert found(made) is None, "six days of the bill are less than a week"


def test_estimated_days_of_the_bill_count_for_high_and_not_for_low() -> None:
    high = use(4_000, [4_000] * 7 + [20_000] * 7)
    high.unread[0, -7:] = 24
    assert found(high) == "12,000 a day against 4,000 a day in the 3 weeks before: 300 %"
    hole = use(4_000, [4_000] * 7 + [0] * 7)
    hole.unread[0, -7:] = 24
    assert found(hole) is None
    hole.total[0, -14:-7] = 1_000
    assert found(hole) == "1,000 a day against 4,000 a day in the 3 weeks before: 25 %"


def test_new_customer_is_not_compared_with_the_one_before() -> None:
    made = use(4_000, 9_000)
    assert found(made, bill=BillDays(7, 1, 0, 1, FIRST, FIRST + DAYS, FIRST)) is None
    assert found(made, bill=BillDays(7, 1, 0, 1, FIRST, FIRST + DAYS, FIRST - 6)) is None
    assert found(made, bill=BillDays(7, 1, 0, 1, FIRST, FIRST + DAYS, FIRST - 7)) is not None


@pytest.mark.parametrize(("then", "count"), [("pass", 0), ("warn", 1), ("hold_bill", 1)])
def test_a_rule_that_is_not_applied_finds_nothing(then: str, count: int) -> None:
    rule = RULE.model_copy(update={"then": then, "review": False})
    findings = high_low([BILL], use(4_000, 9_000), rule)
    assert [finding.review for finding in findings] == [False] * count
    assert high_low([], nothing_known(0, FIRST), RULE) == []


def test_each_bill_has_days_of_its_own() -> None:
    made = use(4_000, [9_000] * 7 + [4_000] * 7)
    both = DailyUse(
        made.end_day,
        *(np.repeat(getattr(made, name), 2, axis=0) for name in ("total", "peak", "low", "unread", "flags")),
    )
    bills = [BillDays(7, 1, 0, 1, FIRST, FIRST + 7, 0), BillDays(7, 1, 1, 2, FIRST + 7, FIRST + 14, 0)]
    (finding,) = high_low(bills, both, RULE)
    assert (finding.start_s, finding.detail[:5]) == (0, "9,000")


def neighbours(*now: int) -> tuple[list[BillDays], DailyUse]:
    """Bills of one class that all used 1,000 a day before, and what each uses a day now."""
    made = nothing_known(len(now), FIRST + DAYS)
    made.total[:, -DAYS:] = np.array(now)[:, None]
    made.total[:, -DAYS - DAYS_BEFORE : -DAYS] = 1_000
    return [BillDays(meter, 1, BILL.start_s, BILL.end_s, FIRST, FIRST + DAYS, 0) for meter in range(len(now))], made


def test_what_the_season_does_to_all_is_expected_of_each() -> None:
    # It grew cold: most use 2.4 times what they did. Who uses 5,000 is high, who uses as before is low.
    bills, made = neighbours(2_300, 2_400, 2_400, 2_400, 2_500, 2_350, 2_450, 5_000, 1_000)
    findings = high_low(bills, made, RULE)
    assert [(finding.meter, finding.detail) for finding in findings] == [
        (7, "5,000 a day against 1,000 a day in the 3 weeks before: 500 % — others like it are at 240 %"),
        (8, "1,000 a day against 1,000 a day in the 3 weeks before: 100 % — others like it are at 240 %"),
    ]


def test_few_bills_tell_no_season() -> None:
    bills, made = neighbours(*[2_400] * 7)
    assert len(high_low(bills, made, RULE)) == 7
    bills, made = neighbours(*[2_400] * 8)
    assert high_low(bills, made, RULE) == []


def test_a_season_is_that_of_the_same_channel() -> None:
    bills, made = neighbours(*[2_400] * 8, 2_400)
    other = BillDays(8, 2, BILL.start_s, BILL.end_s, FIRST, FIRST + DAYS, 0)
    assert [finding.meter for finding in high_low([*bills[:8], other], made, RULE)] == [8]


def test_a_wrong_multiplier_on_all_meters_is_no_season() -> None:
    bills, made = neighbours(*[10_000] * 9)
    assert len(high_low(bills, made, RULE)) == 9


@pytest.mark.parametrize(("obis", "bills", "held"), [("7-0:3.0.0", 7, 0), ("7-0:3.0.0", 9, 1), ("8-0:1.0.0", 7, 1)])
def test_of_what_the_weather_moves_there_is_no_verdict_without_a_season(obis: str, bills: int, held: int) -> None:
    some, made = neighbours(*[1_000] * (bills - 1), 2_500)
    code = Channel.parse(obis).code
    assert len(high_low([replace(bill, channel=code) for bill in some], made, RULE)) == held
