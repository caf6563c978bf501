"""Whatever the agreements, tariff versions and zones: each day is billed once, or its agreement is refused by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.billing.agreements import Account, Agreement, billing_days, in_force, overlapping, period_at
from headend.billing.groups import CALENDAR_MONTHS, BillingGroup, Membership, check_memberships
from headend.billing.ports import GasQualities, Hold
from headend.billing.segments import rate_agreements
from headend.errors import InvalidInput
from headend.reads import NO_REGISTER, Channel, LoadProfiles, Quality
from headend.reads.channels import IMPORT
from headend.reads.days import seconds
from headend.tariffs import Market, Tariff, TariffBook

FIRST = date(2026, 10, 1)
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]
#: In Kolkata the day begins within an hour of UTC, and the last place has no meter.
UNFIT = {"UP-2", "UP-3"}
days = st.integers(-40, 70).map(lambda n: FIRST + timedelta(days=n))


@dataclass(frozen=True)
class Hung:
    """A meter that always hung there."""

    meter: int
    usage_point: str
    meter_name: str = "E"
    channel: Channel = IMPORT
    interval_s: int = 3600
    register_digits: int = 9
    constants: tuple[()] = ()
    installed_s: int = 0
    removed_s: int | None = None


@dataclass(frozen=True)
class Constant:
    """Records of meters that all measure 1 kWh an hour.

    Meter 1 has lost one hour of its own; of one of meter 0 somebody has to decide.
    """

    held: Sequence[Agreement]
    lost_s: int
    asked_s: int

    def agreements(self, account: str | None = None) -> Sequence[Agreement]:
        return [each for each in self.held if account in (None, each.account.id)]

    def channels(self, usage_points: Collection[str] | None = None) -> Sequence[Hung]:
        return [Hung(place, f"UP-{place}") for place in range(3)]

    def gas_qualities(self) -> GasQualities:
        return {}

    def profiles(self, channels: Sequence[tuple[int, int]], start_s: int, end_s: int, interval_s: int) -> LoadProfiles:
        meter, channel = np.array(channels, dtype=np.int64).T
        shape = len(channels), (end_s - start_s) // interval_s
        quality = np.full(shape, Quality.VALIDATED, np.uint8)
        lost = (self.lost_s - start_s) // interval_s
        if 0 <= lost < shape[1]:
            quality[meter == 1, lost] = Quality.MISSING
        values, flags = np.full(shape, 1_000, np.int64), np.zeros(shape, np.uint8)
        registers = np.full(shape, NO_REGISTER, np.int64)
        return LoadProfiles(interval_s, start_s, meter, channel, values, quality, flags, registers)

    def holds(self, start_s: int, end_s: int, meters: Collection[int] | None = None) -> list[Hold]:
        asked = Hold(7, 0, IMPORT.code, self.asked_s, self.asked_s + 3600, "V8 sum check: off")
        return [asked] if asked.start_s < end_s and asked.end_s > start_s else []

    def market(self, series: Collection[str], events: Collection[str], start_s: int, end_s: int) -> Market:
        raise AssertionError("nothing published is asked for")

    def last_statements(self, accounts: Collection[str], period: str) -> dict[str, bytes]:
        raise AssertionError("there is no bank")

    def refused(self, accounts: Collection[str], period: str) -> set[str]:
        raise AssertionError("there is no bank")


def tariff(since: date, price: str) -> Tariff:
    return Tariff.model_validate(
        {
            "id": "home",
            "name": "Home",
            "valid_from": since,
            "customer_classes": ["residential"],
            "commodity": "electricity",
            "unit": "kWh",
            "currency": "EUR",
            "components": [{"kind": "energy", "label": "Energy", "tiers": [{"price": Decimal(price)}]}],
        }
    )


@st.composite
def agreements(draw: st.DrawFn) -> list[Agreement]:
    made = []
    for number in range(draw(st.integers(1, 6))):
        place, begins = draw(st.integers(0, 3)), draw(days)
        made.append(
            Agreement(
                id=f"agreement-{number}",
                account=Account(f"A-{draw(st.integers(0, 2))}", "Name", "residential", "en_GB"),
                usage_point=f"UP-{place}",
                address="",
                timezone=ZONES[place],
                commodity="electricity",
                tariff_id="home",
                valid_from=begins,
                valid_to=draw(st.none() | st.integers(1, 60).map(lambda n, begins=begins: begins + timedelta(days=n))),
            )
        )
    return made


hours = st.integers(0, 744).map(lambda hour: seconds(datetime(2026, 10, 1, tzinfo=UTC)) + 3600 * hour)


@given(agreements(), st.lists(days, min_size=1, max_size=3, unique=True), hours, hours)
def test_every_day_is_billed_once_or_refused_by_name(
    held: list[Agreement], versions: list[date], lost_s: int, asked_s: int
) -> None:
    book = TariffBook(tariff(since, f"0.{place + 1}") for place, since in enumerate(versions))
    rated = rate_agreements(Constant(held, lost_s, asked_s), book, held, "2026-10")
    refused = {each.detail.split(":")[0] for each in rated.exceptions}
    asked = {
        agreement.account.id
        for agreement in held
        if agreement.usage_point == "UP-0"
        and (due := in_force(agreement, "2026-10")) is not None
        and seconds(due.start_utc) <= asked_s < seconds(due.end_utc)
        and min(versions) <= due.first
    }
    assert {each.account: each.held_by for each in rated.exceptions if each.held_by} == dict.fromkeys(asked, (7,))
    for agreement in held:
        if agreement.account.id in asked:
            assert agreement.account.id not in {each.agreement.account.id for each in rated.segments}
            continue
        its = [each.segment for each in rated.segments if each.agreement is agreement]
        billed = sorted(use.day for segment in its for use in segment.daily)
        assert len(set(billed)) == len(billed)
        due = in_force(agreement, "2026-10")
        if due is None:
            assert (its, agreement.id in refused) == ([], False)
            continue
        no_tariff = min(versions) > due.first
        lost = agreement.usage_point == "UP-1" and seconds(due.start_utc) <= lost_s < seconds(due.end_utc)
        assert (agreement.id in refused) == (no_tariff or lost or agreement.usage_point in UNFIT)
        if agreement.id not in refused:
            assert billed == [due.first + timedelta(days=day) for day in range(due.days)]
            assert sum(segment.usage for segment in its) == due.intervals(3600)
            assert sum(segment.intervals for segment in its) == due.intervals(3600)


@given(agreements())
def test_overlap_is_found_by_comparing_day_by_day(held: list[Agreement]) -> None:
    def holds(agreement: Agreement) -> set[date]:
        window = (FIRST + timedelta(days=day) for day in range(-41, 132))
        return {
            day
            for day in window
            if agreement.valid_from <= day and (agreement.valid_to is None or day < agreement.valid_to)
        }

    clash = any(
        one.usage_point == other.usage_point and holds(one) & holds(other)
        for place, one in enumerate(held)
        for other in held[place + 1 :]
    )
    assert bool(overlapping(held)) == clash


@st.composite
def billing_groups(draw: st.DrawFn, name: str) -> BillingGroup:
    """A group that begins its periods on any day; some of its meters' reads are on another."""
    read = draw(st.sets(st.integers(-3, 5), max_size=4))
    dates = []
    for month in sorted(read):
        number = 2026 * 12 + 9 + month
        first = date(number // 12, number % 12 + 1, 1)
        # The period is called by the month its last day lies in.
        dates.append((f"{first:%Y-%m}", first + timedelta(days=draw(st.integers(1, 28)))))
    return BillingGroup(name, draw(st.integers(1, 28)), tuple(dates))


@st.composite
def memberships(draw: st.DrawFn) -> tuple[Membership, ...]:
    """Groups an account is in one after another, as many changes as are allowed."""
    groups = [CALENDAR_MONTHS, draw(billing_groups("north")), draw(billing_groups("south"))]
    its = [Membership(draw(st.sampled_from(groups)))]
    for since in sorted(draw(st.sets(days, max_size=4))):
        changed = [*its[:-1], replace(its[-1], until=since), Membership(draw(st.sampled_from(groups)), since)]
        try:
            check_memberships("A-1", tuple(changed))
        except InvalidInput:
            continue
        its = changed
    return tuple(its)


@given(memberships(), days, st.none() | st.integers(1, 90), st.sampled_from(ZONES))
def test_every_day_is_in_one_billing_period_whatever_the_groups(
    its: tuple[Membership, ...], begins: date, lasts: int | None, zone: str
) -> None:
    account = Account("A-1", "Name", "residential", "en_GB", its)
    end = None if lasts is None else begins + timedelta(days=lasts)
    agreement = Agreement("agreement", account, "UP-0", "", zone, "electricity", "home", begins, end)
    billed: dict[date, str] = {}
    before = None
    for month in range(24):
        period = f"{2026 + month // 12}-{month % 12 + 1:02}"
        its_days = in_force(agreement, period)
        if its_days is None:
            continue
        whole = billing_days(agreement, period)
        assert whole.first <= its_days.first < its_days.end <= whole.end
        # They follow one another, and a period is called by the month its last day lies in.
        assert before in (None, its_days.first)
        assert f"{whole.end - timedelta(days=1):%Y-%m}" == period
        before = its_days.end
        for day in range(its_days.days):
            billed[its_days.first + timedelta(days=day)] = period
    last = end or date(2027, 11, 1)
    assert [day for day in billed if day < last] == [begins + timedelta(days=n) for n in range((last - begins).days)]
    assert all(period_at(account, day) == period for day, period in billed.items())
    if end is not None:
        assert max(billed) < end


@given(billing_groups("north"), billing_groups("south"), days)
def test_what_a_refused_change_of_group_names_is_possible(before: BillingGroup, after: BillingGroup, day: date) -> None:
    def change(group: BillingGroup, since: date) -> None:
        check_memberships("A-1", (Membership(before, None, since), Membership(group, since)))

    try:
        change(after, day)
    except InvalidInput as refused:
        last = before.period_of(day - timedelta(days=1))
        *_, named = re.findall(r"\d{4}-\d\d-\d\d", str(refused))
        if "such as" in str(refused):
            change(after, date.fromisoformat(named))
        else:
            over = replace(after, reading_dates=((last, date.fromisoformat(named)),))
            change(over, date.fromisoformat(named))


def test_an_account_moves_to_the_calendar_month_over_one_longer_period() -> None:
    north = BillingGroup("north", first_day=15)
    with pytest.raises(InvalidInput, match="a group like monthly whose meters are read on 2026-10-15 for 2026-10"):
        check_memberships(
            "A-1", (Membership(north, None, date(2026, 10, 3)), Membership(CALENDAR_MONTHS, date(2026, 10, 3)))
        )
    over = replace(CALENDAR_MONTHS, name="over", reading_dates=(("2026-10", date(2026, 10, 15)),))
    its = (
        Membership(north, None, date(2026, 10, 15)),
        Membership(over, date(2026, 10, 15), date(2026, 12, 1)),
        Membership(CALENDAR_MONTHS, date(2026, 12, 1)),
    )
    check_memberships("A-1", its)
    account = Account("A-1", "Name", "residential", "en_GB", its)
    home = Agreement("agreement", account, "UP-0", "", "Europe/Berlin", "electricity", "home", FIRST, None)
    days = [in_force(home, period) for period in ("2026-10", "2026-11", "2026-12")]
    assert [(each.first, each.end) for each in days if each] == [
        (date(2026, 10, 1), date(2026, 10, 15)),
        (date(2026, 10, 15), date(2026, 12, 1)),
        (date(2026, 12, 1), date(2027, 1, 1)),
    ]
