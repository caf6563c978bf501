"""Demand: windows, peaks, ratchets and steps, with numbers worked by hand and against a plain search."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headend.errors import CannotRate
from headend.tariffs import BillingWindow, Carried, Peaks, RatedBatch, Tariff, Use, past_peaks, rate_batch

from .make import BERLIN, codes, period, tariff, tier

JANUARY = BillingWindow(date(2025, 1, 1), date(2025, 2, 1), BERLIN)
DAY = BillingWindow(date(2025, 1, 7), date(2025, 1, 8), BERLIN, Fraction(1))
PEAK_AND_OFF = [period("peak", days=["weekday"], hours=["08:00-20:00"]), period("off")]


def demand(*tiers: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"kind": "demand", "label": "Demand", "tiers": list(tiers), **keys}


def step(fee: str, up_to: str | None = None) -> dict[str, Any]:
    return {"fee": Decimal(fee), **({} if up_to is None else {"up_to": Decimal(up_to)})}


def day_of(*wh: int, per_day: int = 24) -> np.ndarray:
    return np.array([[*wh, *[0] * (per_day - len(wh))]])


def month_of(window: BillingWindow, peaks: dict[tuple[int, int], int], rest: int = 0) -> np.ndarray:
    """Hourly reads (1, n) of a window without clock changes, by (day of it, hour)."""
    reads = np.full((1, window.intervals(3600)), rest, dtype=np.int64)
    for (day, hour), wh in peaks.items():
        reads[0, 24 * day + hour] = wh
    return reads


def rate(made: Tariff, reads: np.ndarray, window: BillingWindow = DAY, interval_s: int = 3600, **keys: Any):
    (bill,) = rate_batch(made, window, Use(interval_s, reads), **keys)
    return bill


def shown(bill) -> list[tuple[str, str, str, str]]:
    return [(line.label, str(line.quantity), line.unit, str(line.amount)) for line in bill.lines]


def test_the_highest_hour_is_charged_once() -> None:
    (line,) = rate(tariff(demand(tier("9.5"))), day_of(1000, 2600, 2500)).lines
    assert (line.kind, line.label, str(line.quantity), line.unit) == ("demand", "Demand", "2.600", "kW")
    assert (str(line.price), str(line.amount), line.period, line.tier) == ("9.5", "24.70", None, None)


def test_each_period_with_a_price_has_its_own_peak() -> None:
    made = tariff(demand(tier({"peak": "12", "off": "2"})), demand(tier("5"), label="All"), periods=PEAK_AND_OFF)
    reads = month_of(JANUARY, {(1, 9): 40_000, (1, 7): 50_000, (3, 12): 45_000, (4, 12): 60_000})  # the 5th is a Sunday
    assert shown(rate(made, reads, JANUARY)) == [
        ("Demand, peak", "40.000", "kW", "480.00"),
        ("Demand, off", "60.000", "kW", "120.00"),
        ("All", "60.000", "kW", "300.00"),
    ]


def test_a_period_without_a_price_is_not_charged_and_a_schedule_is_its_own() -> None:
    made = tariff(
        demand(tier({"noon": "3"}), schedule="demand"),
        schedules={"demand": [period("noon", hours=["12:00-13:00"]), period("rest")]},
    )
    reads = month_of(DAY, {(0, 11): 9000, (0, 12): 4000})
    assert shown(rate(made, reads)) == [("Demand, noon", "4.000", "kW", "12.00")]


@pytest.mark.parametrize(
    ("interval_min", "window_min", "reads", "kilowatts"),
    [
        (15, 15, [100, 300, 250, 200], "1.200"),
        (15, 30, [100, 300, 250, 200], "0.900"),  # 250 + 200; the windows do not slide to 300 + 250
        (15, 60, [100, 300, 250, 200], "0.850"),
        (5, 15, [10, 20, 30, 40, 5, 5], "0.240"),
        (5, 5, [10, 20, 30, 40], "0.480"),
        (10, 20, [10, 20, 30, 40], "0.210"),
        (30, None, [100, 300, 250], "0.600"),
        (60, None, [100, 300], "0.300"),
        (120, None, [101, 300, 303], "0.152"),  # 151.5 W
        (1440, None, [12], "0.001"),
        (45, None, [1], "0.001"),
        (45, None, [4], "0.005"),  # 5.33 W
    ],
)
def test_energy_of_a_window_as_power(
    interval_min: int, window_min: int | None, reads: list[int], kilowatts: str
) -> None:
    keys = {} if window_min is None else {"window_min": window_min}
    made = tariff(demand(tier("1"), **keys))
    bill = rate(made, day_of(*reads, per_day=1440 // interval_min), interval_s=60 * interval_min)
    assert [str(line.quantity) for line in bill.lines] == [kilowatts]


@pytest.mark.parametrize(
    ("interval_s", "window_min", "reason"),
    [
        (3600, 15, "demand over 15 min needs reads of at most 15 min, these are of 60 min"),
        (1200, 30, "demand over 30 min needs reads that fill it, these are of 20 min"),
        (2400, 60, "demand over 60 min needs reads that fill it, these are of 40 min"),
    ],
)
def test_reads_that_do_not_make_windows_are_refused(interval_s: int, window_min: int, reason: str) -> None:
    made = tariff(demand(tier("1"), window_min=window_min))
    with pytest.raises(CannotRate, match=reason):
        rate(made, np.zeros((1, 86_400 // interval_s), np.int64), interval_s=interval_s)


def test_a_window_that_is_not_whole_is_refused() -> None:
    half_past = BillingWindow(date(2025, 4, 5), date(2025, 4, 7), ZoneInfo("Australia/Lord_Howe"))  # 48.5 hours
    made = tariff(demand(tier("1"), window_min=60))
    with pytest.raises(CannotRate, match="needs reads of whole windows, the one at 2025-04-06T13:00Z has 1 of 2"):
        rate(made, np.zeros((1, 97), np.int64), half_past, 1800)


def test_a_window_is_in_the_period_in_which_it_begins() -> None:
    made = tariff(
        demand(tier({"late": "1"}), window_min=60), periods=[period("late", hours=["10:30-11:30"]), period("else")]
    )
    reads = np.zeros((1, 96), np.int64)
    reads[0, 42:46] = 100, 200, 400, 800  # 10:30 … 11:30: of it only the hour from 11:00 begins in it
    assert shown(rate(made, reads, interval_s=900)) == [("Demand, late", "1.200", "kW", "1.20")]


def test_mean_of_the_highest_hours_of_different_days() -> None:
    made = tariff(demand(tier("100"), peaks=3))
    reads = month_of(JANUARY, {(2, 8): 9000, (2, 9): 8900, (5, 8): 6000, (7, 0): 5001, (9, 23): 5000})
    # 9,000 + 6,000 + 5,001 of three days, though 8,900 of the first is more: 6,667 W
    assert shown(rate(made, reads, JANUARY)) == [("Demand", "6.667", "kW", "666.70")]


@pytest.mark.parametrize(
    ("second", "mean"), [(1000, "1.000"), (1001, "1.001"), (1002, "1.001"), (1003, "1.002"), (0, "0.500")]
)
def test_a_mean_is_rounded_half_up_and_is_of_all_days_if_there_are_few(second: int, mean: str) -> None:
    two_days = BillingWindow(date(2025, 1, 6), date(2025, 1, 8), BERLIN, Fraction(1))
    bill = rate(tariff(demand(tier("1"), peaks=5)), month_of(two_days, {(0, 3): 1000, (1, 3): second}), two_days)
    assert [str(line.quantity) for line in bill.lines] == [mean]


def test_days_of_a_mean_are_those_on_which_the_period_occurs() -> None:
    made = tariff(demand(tier({"peak": "1", "off": "1"}), peaks=3), periods=PEAK_AND_OFF)
    weekend = BillingWindow(date(2025, 1, 10), date(2025, 1, 13), BERLIN, Fraction(1))  # Friday to Sunday
    reads = month_of(weekend, {(0, 9): 3000, (0, 10): 2900, (0, 3): 600, (1, 9): 900})
    assert shown(rate(made, reads, weekend)) == [
        ("Demand, peak", "3.000", "kW", "3.00"),
        ("Demand, off", "0.500", "kW", "0.50"),
    ]


def test_days_are_local_days_of_the_clock() -> None:
    two_days = BillingWindow(date(2025, 1, 6), date(2025, 1, 8), BERLIN, Fraction(1))
    reads = month_of(two_days, {(0, 23): 3000, (1, 0): 2000, (1, 1): 1000})
    quantities = []
    for clock in ("local", "UTC", "-01:00"):
        bill = rate(tariff(demand(tier("1"), peaks=2), clock=clock), reads, two_days)
        quantities.append(str(bill.lines[0].quantity))
    # In UTC the first three days are 5, 6 and 7 January; midnight in Berlin is 23:00 and 22:00 in the other two.
    assert quantities == ["2.500", "2.000", "1.500"]


def test_a_day_that_comes_back_after_midnight_is_one_day() -> None:
    """In Newfoundland of 2010, clocks went back at 00:01: half past eleven came again after midnight."""
    window = BillingWindow(date(2010, 11, 6), date(2010, 11, 8), ZoneInfo("America/St_Johns"), Fraction(1))
    reads = np.zeros((1, window.intervals(1800)), np.int64)
    reads[0, 47:50] = 1000, 800, 1200  # 23:30 on the 6th, 00:00 on the 7th, 23:30 on the 6th again
    bill = rate(tariff(demand(tier("1"), peaks=2)), reads, window, 1800)
    assert [str(line.quantity) for line in bill.lines] == ["2.000"]


def test_tiers_of_demand() -> None:
    ladder = tier("1", "10"), tier("2", "20.5"), tier("4")
    reads = day_of(25_000)
    assert shown(rate(tariff(demand(*ladder)), reads)) == [
        ("Demand, tier 1", "10.000", "kW", "10.00"),
        ("Demand, tier 2", "10.500", "kW", "21.00"),
        ("Demand, tier 3", "4.500", "kW", "18.00"),
    ]
    assert shown(rate(tariff(demand(*ladder, method="volume")), reads)) == [
        ("Demand, tier 3", "25.000", "kW", "100.00")
    ]
    steps = demand(step("10", "10"), step("20", "20.5"), step("40"), method="block")
    assert shown(rate(tariff(steps), reads)) == [("Demand, tier 3", "1", "month", "40.00")]


@pytest.mark.parametrize(
    ("watts", "price"), [(0, "125"), (1, "125"), (2000, "125"), (2001, "206.25"), (5000, "206.25"), (5001, "349.5")]
)
def test_norwegian_steps_by_the_mean_of_three_days(watts: int, price: str) -> None:
    """Capacity steps 0 to 2, 2 to 5 and 5 to 10 kW by the mean of the three highest hours of different days."""
    made = tariff(
        demand(step("125", "2"), step("206.25", "5"), step("349.5", "10"), step("489"), method="block", peaks=3),
        currency="NOK",
    )
    reads = month_of(JANUARY, {(3, 17): watts + 20, (9, 8): watts, (9, 9): watts, (30, 17): max(watts - 20, 0)})
    if watts < 20:
        reads = month_of(JANUARY, {(3, 17): watts, (9, 8): watts, (30, 17): watts})
    (line,) = rate(made, reads, JANUARY).lines
    assert (str(line.quantity), line.unit, str(line.price)) == ("1", "month", price)
    assert line.amount == Decimal(price)


def test_limits_by_period_and_by_season() -> None:
    by_period = tariff(
        demand({**tier({"peak": "1", "off": "2"}), "up_to": {"peak": Decimal(10)}}, tier({"peak": "3"})),
        periods=PEAK_AND_OFF,
    )
    reads = month_of(JANUARY, {(1, 9): 15_000, (1, 3): 40_000})
    assert shown(rate(by_period, reads, JANUARY)) == [
        ("Demand, peak, tier 1", "10.000", "kW", "10.00"),
        ("Demand, off, tier 1", "40.000", "kW", "80.00"),
        ("Demand, peak, tier 2", "5.000", "kW", "15.00"),
    ]
    three = tariff(
        demand(
            {**tier({"peak": "1", "off": "2"}), "up_to": {"peak": Decimal(10)}},
            tier({"peak": "3"}, "12"),
            tier({"peak": "5"}),
        ),
        periods=PEAK_AND_OFF,
    )
    # Without a limit in the first tier, nothing off-peak is in those above it.
    assert [line[1] for line in shown(rate(three, reads, JANUARY))] == ["10.000", "40.000", "2.000", "3.000"]
    by_season = tariff(
        demand({**tier("1"), "up_to": {"cold": Decimal(10), "warm": Decimal(20)}}, tier("2")),
        seasons=[
            {"name": "cold", "label": "Cold", "begins": ["10-01"]},
            {"name": "warm", "label": "Warm", "begins": ["04-16"]},
        ],
    )
    april = BillingWindow(date(2025, 4, 1), date(2025, 5, 1), ZoneInfo("UTC"))
    assert shown(rate(by_season, month_of(april, {(2, 2): 16_000}), april)) == [
        ("Demand, tier 1", "15.000", "kW", "15.00"),
        ("Demand, tier 2", "1.000", "kW", "2.00"),
    ]


def test_parts_of_months_and_days() -> None:
    made = tariff(demand(tier("6.20")), demand(tier("0.2"), per="day", label="Daily"))
    ten_days = BillingWindow(date(2025, 1, 1), date(2025, 1, 11), BERLIN)
    monthly, daily = rate(made, month_of(ten_days, {(4, 4): 5000}), ten_days).lines
    # 5 kW × 10/31 months
    assert (str(monthly.quantity), str(monthly.exact), str(monthly.amount)) == (
        "1.612903225806",
        "10.000000000000",
        "10.00",
    )
    assert (str(daily.quantity), daily.unit, str(daily.amount)) == ("50.000", "kW", "10.00")


def test_demand_with_dates_has_the_peak_and_the_share_of_its_days() -> None:
    made = tariff(demand(tier("10"), valid_from=date(2025, 1, 16)), demand(tier("10"), valid_until=date(2025, 1, 16)))
    after, before = rate(made, month_of(JANUARY, {(14, 23): 7000, (15, 0): 5000}), JANUARY).lines
    assert (round(after.quantity, 6), str(after.amount)) == (Decimal("2.580645"), "25.81")  # 5 × 16/31
    assert (round(before.quantity, 6), str(before.amount)) == (Decimal("3.387097"), "33.87")  # 7 × 15/31


def test_no_demand_no_line_but_the_minimum_is_charged() -> None:
    assert rate(tariff(demand(tier("10"))), day_of(0)).lines == ()
    least = tariff(demand(tier("10"), minimum=Decimal("3.5")))
    assert [shown(rate(least, day_of(wh)))[0][1] for wh in (0, 3499, 3501)] == ["3.500", "3.500", "3.501"]


def test_a_period_that_does_not_occur_has_no_line_even_with_a_minimum_or_a_ratchet() -> None:
    made = tariff(
        demand(
            tier({"summer": "20", "winter": "10"}),
            minimum=Decimal(1),
            ratchet={"percent": Decimal(80), "months": 11},
        ),
        periods=[period("summer", months=[6, 7, 8]), period("winter")],
    )
    before = Carried({0: (Peaks(8, np.array([[50_000, 0]])),)})
    assert shown(rate(made, day_of(500), carried=before)) == [("Demand, winter", "1.000", "kW", "10.00")]


def months_of(count: int) -> list[BillingWindow]:
    firsts = [date(2024 + month // 12, month % 12 + 1, 1) for month in range(count + 1)]
    return [BillingWindow(first, end, ZoneInfo("UTC")) for first, end in pairwise(firsts)]


def chained(made: Tariff, kilowatts: list[int]) -> list[RatedBatch]:
    """Bills of a customer with these peaks, month by month from January 2024."""
    carried, batches = Carried(), []
    for window, peak in zip(months_of(len(kilowatts)), kilowatts, strict=True):
        batch = rate_batch(made, window, Use(3600, month_of(window, {(7, 7): 1000 * peak}, 10)), carried=carried)
        batches.append(batch)
        carried = carried.then(batch.carried)
    return batches


def test_pnnl_ratchet_lasts_eleven_months() -> None:
    """Pacific Northwest National Laboratory: 80 % of the highest peak of the 11 months before."""
    made = tariff(demand(tier("1"), ratchet={"percent": Decimal(80), "months": 11}))
    billed = [batch.bills()[0].lines[0].quantity for batch in chained(made, [100, 1000, *[100] * 5, 850, *[100] * 8])]
    assert billed == [100, 1000, *[800] * 5, 850, *[800] * 5, *[680] * 3]


def test_a_ratchet_looks_at_some_months_only_and_rounds_half_up() -> None:
    made = tariff(demand(tier("1"), ratchet={"percent": Decimal("62.5"), "months": 4, "of_months": [6, 7, 8]}))

    def at_least(*before: tuple[int, int]) -> str:
        carried = Carried({0: tuple(Peaks(month, np.array([[watts]])) for month, watts in before)})
        return str(rate(made, day_of(1000), carried=carried).lines[0].quantity)

    assert at_least((9, 90_000), (8, 1604), (7, 1500)) == "1.003"  # 1,002.5 W
    assert at_least((9, 90_000), (10, 90_000), (11, 90_000), (12, 90_000), (8, 90_000)) == "1.000"
    assert at_least() == "1.000"


def test_what_is_left_to_later_bills_is_measured_by_line_before_the_ratchet() -> None:
    made = tariff(
        demand(tier("5"), label="All"),
        demand(
            tier({"peak": "12", "off": "2"}),
            minimum=Decimal(3),
            ratchet={"percent": Decimal(100), "months": 1},
        ),
        periods=PEAK_AND_OFF,
    )
    use = Use(3600, np.vstack([month_of(JANUARY, {(1, 9): 2000, (1, 2): 1000}), month_of(JANUARY, {(4, 9): 500})]))
    before = Carried({1: (Peaks(12, np.array([[9000, 0], [0, 9000]])),)})
    batch = rate_batch(made, JANUARY, use, carried=before)
    assert [shown(bill) for bill in batch.bills()] == [
        [
            ("All", "2.000", "kW", "10.00"),
            ("Demand, peak", "9.000", "kW", "108.00"),
            ("Demand, off", "3.000", "kW", "6.00"),
        ],
        [
            ("All", "0.500", "kW", "2.50"),
            ("Demand, peak", "3.000", "kW", "36.00"),
            ("Demand, off", "9.000", "kW", "18.00"),
        ],
    ]
    for peaks in (batch.carried.peaks, past_peaks(made, JANUARY, use)):
        assert list(peaks) == [1]
        (latest,) = peaks[1]
        assert (latest.month, latest.watts.tolist()) == (1, [[2000, 1000], [0, 500]])


def test_peaks_alone_need_neither_prices_nor_other_components_reads() -> None:
    ratcheted = demand(tier("1"), ratchet={"percent": Decimal(80), "months": 11})
    dynamic = {"kind": "dynamic", "label": "Market", "series": "day_ahead"}
    quarters = demand(tier("1"), window_min=15)
    made = tariff(dynamic, quarters, ratcheted)
    assert past_peaks(made, DAY, Use(3600, day_of(4000)))[2][0].watts.tolist() == [[4000]]
    assert past_peaks(tariff(quarters), DAY, Use(3600, day_of(4000))) == {}
    exempt = tariff({**ratcheted, "not_for": ["residential"]})
    assert past_peaks(exempt, DAY, Use(3600, day_of(1)), customer_class="residential") == {}
    with pytest.raises(CannotRate, match="import reads have 23 intervals"):
        past_peaks(made, DAY, Use(3600, day_of(1)[:, :23]))


def test_peaks_of_other_customers_are_refused() -> None:
    made = tariff(demand(tier("1"), ratchet={"percent": Decimal(80), "months": 11}))
    with pytest.raises(CannotRate, match=r"peaks of a bill before are \(2, 1\), customers and lines are \(1, 1\)"):
        rate(made, day_of(1), carried=Carried({0: (Peaks(1, np.zeros((2, 1), np.int64)),)}))


def estimated_of(made: Tariff, reads: np.ndarray, *hours: int, interval_s: int = 3600) -> list[str]:
    marks = np.zeros(reads.shape, dtype=np.bool_)
    marks[0, list(hours)] = True
    (bill,) = rate_batch(made, DAY, Use(interval_s, reads, estimated=marks))
    assert bill.lines[0].quantity == rate(made, reads, interval_s=interval_s).lines[0].quantity
    return [str(line.estimated) for line in bill.lines]


def test_a_line_rests_on_an_estimate_if_its_peak_does() -> None:
    made = tariff(demand(tier("1", "2"), tier("2")))
    assert estimated_of(made, day_of(1000, 3000), 1) == ["2.000", "1.000"]
    assert estimated_of(made, day_of(1000, 3000), 0, 2) == ["0.000", "0.000"]
    # Of two hours alike, one measured is enough.
    assert estimated_of(made, day_of(3000, 3000), 0) == ["0.000", "0.000"]
    assert estimated_of(made, day_of(3000, 3000), 0, 1) == ["2.000", "1.000"]
    hour = tariff(demand(tier("1"), window_min=60))
    assert estimated_of(hour, day_of(0, 1, 2, 3, 0, 0, 0, 1, per_day=96), 0, interval_s=900) == ["0.006"]
    assert estimated_of(hour, day_of(0, 1, 2, 3, 0, 0, 0, 1, per_day=96), 5, interval_s=900) == ["0.000"]


def test_a_mean_rests_on_an_estimate_if_one_of_its_peaks_does() -> None:
    made = tariff(demand(tier("1"), peaks=2))
    two_days = BillingWindow(date(2025, 1, 6), date(2025, 1, 8), BERLIN, Fraction(1))
    marks = np.zeros((2, 48), dtype=np.bool_)
    marks[0, 30], marks[1, 3] = True, True
    reads = np.vstack([month_of(two_days, {(0, 5): 2000, (1, 6): 1000})] * 2)
    first, second = rate_batch(made, two_days, Use(3600, reads, estimated=marks)).bills()
    assert [str(bill.lines[0].estimated) for bill in (first, second)] == ["1.500", "0.000"]


def test_a_ladder_without_a_price_or_fee_is_refused() -> None:
    made = Tariff.model_validate({**tariff(demand(tier("1"))).model_dump(), "components": [demand({"up_to": None})]})
    with pytest.raises(CannotRate, match="case has no price for 'Demand'"):
        rate(made, day_of(1))


def test_a_batch_without_customers_and_reads_as_large_as_they_come() -> None:
    made = tariff(demand(tier("1"), peaks=3, window_min=60, ratchet={"percent": Decimal("99.999999"), "months": 2}))
    assert rate_batch(made, DAY, Use(900, np.zeros((0, 96), np.int64))).bills() == []
    marks = np.zeros((1, 96), dtype=np.bool_)
    (bill,) = rate_batch(made, DAY, Use(900, np.full((1, 96), 10**12), estimated=marks))
    assert str(bill.lines[0].quantity) == "4000000000.000"
    narrow = np.full((1, 96), 2**31 - 1, dtype=np.int32)
    assert rate(made, narrow, interval_s=900) == rate(made, narrow.astype(np.int64), interval_s=900)


ZONES = ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "Africa/Casablanca"]
BEGINS = [date(2025, 3, 27), date(2025, 10, 24), date(2010, 11, 5), date(2025, 4, 4), date(2025, 1, 30)]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(["local", "UTC", "+05:30"]),
    st.sampled_from(BEGINS),
    st.integers(1, 5),
    st.sampled_from([(900, 1), (900, 2), (1800, 1), (300, 3)]),
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
)
def test_every_peak_is_that_of_a_plain_search(
    zone: str, clock: str, first: date, days: int, reads: tuple[int, int], peaks: int, seed: int
) -> None:
    interval_s, parts = reads
    window = BillingWindow(first, first + timedelta(days=days), ZoneInfo(zone))
    made = tariff(
        demand(tier({"one": "1", "two": "1"}), peaks=peaks, window_min=interval_s * parts // 60),
        periods=[
            period("one", hours=["07:00-09:15", "17:30-20:00"]),
            period("other", days=["sun"]),
            period("two"),
        ],
        clock=clock,
    )
    wh = np.random.default_rng(seed).integers(0, 9, (3, window.intervals(interval_s)))
    batch = rate_batch(made, window, Use(interval_s, wh))
    hourly = codes(made, window, interval_s)
    local = (
        ZoneInfo(zone)
        if clock == "local"
        else (UTC if clock == "UTC" else datetime.fromisoformat("2025-01-01T00:00+05:30").tzinfo)
    )
    for row, bill in zip(wh.tolist(), batch.bills(), strict=True):
        highest: dict[str, dict[date, int]] = defaultdict(dict)
        for begin in range(0, len(row), parts):
            name = made.periods[hourly[begin]].name
            day = (window.start_utc + timedelta(seconds=begin * interval_s)).astimezone(local).date()
            energy = sum(row[begin : begin + parts])
            highest[name][day] = max(highest[name].get(day, 0), energy)
        expected = {}
        for name in ("one", "two"):
            best = sorted(highest[name].values(), reverse=True)[:peaks]
            watts = Fraction(sum(best) * 3600, max(len(best), 1) * parts * interval_s)
            expected[name] = Fraction(int(watts + Fraction(1, 2)), 1000) * window.months_worth
        found = {line.period: line.quantity for line in bill.lines}
        assert set(found) == {name for name, kilowatts in expected.items() if kilowatts}
        assert all(abs(Fraction(found[name]) - expected[name]) < Fraction(1, 10**11) for name in found)
