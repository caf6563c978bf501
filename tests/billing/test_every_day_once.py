"""Whatever the agreements, tariff versions and zones: each day is billed once, or its agreement is refused by name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headend.billing.agreements import Account, Agreement, in_force, overlapping
from headend.billing.ports import GasQualities, Hold
from headend.billing.segments import rate_agreements
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

    def channels(self) -> Sequence[Hung]:
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

    def holds(self, start_s: int, end_s: int) -> list[Hold]:
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
