"""The watch over daily use: what is found reaches the queue once, with the channel's own days."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from headend.jobs import Jobs
from headend.process.watch import watch
from headend.reads.days import DAY_S, seconds
from headend.store.exceptions import Choice, ReadException, exceptions
from headend.vee.dailyuse import DAYS

from .field import DAY, HOUR, MONDAY, Field, meter, registry

#: A day of water [litres]: nothing before six and after ten in the evening.
TAPS = [0] * 6 + [30] * 16 + [0, 0]
#: A day of electricity with a base load, no two hours alike.
LIVED_IN = [200 + 7 * hour % 50 for hour in range(17)] + [900, 1_000, 1_100, 800] + [300, 250, 210]
MONDAY_DAY = seconds(MONDAY) // DAY_S


def water(name: str, **changes: Any) -> dict[str, Any]:
    channel = {"channel": "8-0:1.0.0", "max_per_interval": 3_000, "register_digits": 9}
    return meter(name, commodity="water", channels=[channel], **changes)


def opened(field: Field) -> list[ReadException]:
    with field.site.database.read() as tx:
        return exceptions(tx, Choice(state="all"))


def watched(field: Field, day: int) -> int:
    return watch(field.site, MONDAY_DAY + day)


@pytest.fixture
def leaking(tmp_path: Path) -> Field:
    """Two water meters: fourteen days of taps, and then one of them never stands still."""
    field = Field(tmp_path, registry(water("W-1"), water("W-2")))
    for day in range(18):
        at = MONDAY + day * DAY
        field.send(at, TAPS, meter="W-1", channel="8-0:1.0.0")
        flow = 12 if day >= 14 else 0
        field.send(at, [litres + flow for litres in TAPS], meter="W-2", channel="8-0:1.0.0")
    field.settle(MONDAY + 18 * DAY + 7 * HOUR)
    return field


def test_a_leak_is_one_exception_of_its_channel_and_days(leaking: Field) -> None:
    assert watched(leaking, 18) == 1
    (found,) = opened(leaking)
    assert (found.meter_name, found.channel.obis, found.rule) == ("W-2", "8-0:1.0.0", "leak")
    assert (found.start_s, found.end_s) == (seconds(MONDAY + 14 * DAY), seconds(MONDAY + 18 * DAY))
    assert 0.5 <= found.score <= 1
    # Twelve litres an hour are 288 a day.
    assert "288 litres" in found.detail
    leaking.close()


def test_what_goes_on_extends_its_exception(leaking: Field) -> None:
    watched(leaking, 18)
    leaking.send(MONDAY + 18 * DAY, [litres + 12 for litres in TAPS], meter="W-2", channel="8-0:1.0.0")
    leaking.settle(MONDAY + 19 * DAY + 7 * HOUR)
    assert watched(leaking, 19) == 0
    (found,) = opened(leaking)
    assert found.end_s == seconds(MONDAY + 19 * DAY)
    leaking.close()


def test_the_job_looks_once_for_each_day_that_is_due(leaking: Field) -> None:
    jobs = Jobs(leaking.site)
    leaking.clock.now = MONDAY + 17 * DAY + 7 * HOUR
    jobs.watch()
    assert [found.end_s for found in opened(leaking)] == [seconds(MONDAY + 17 * DAY)]
    leaking.clock.now += 22 * HOUR
    jobs.watch()
    assert [found.end_s for found in opened(leaking)] == [seconds(MONDAY + 17 * DAY)]
    leaking.clock.now += 2 * HOUR
    jobs.watch()
    assert [found.end_s for found in opened(leaking)] == [seconds(MONDAY + 18 * DAY)]
    leaking.close()


def moved_out(tmp_path: Path, valid_to: datetime | None) -> Field:
    """A home that is lived in for twenty days, whoever has agreed to pay for it."""
    site_file = registry(meter("E-1")).model_dump(mode="json")
    agreement = {
        "usage_point": "UP",
        "commodity": "electricity",
        "tariff": "home-flat",
        "valid_from": "2026-01-01",
        "valid_to": None if valid_to is None else valid_to.date().isoformat(),
    }
    account = {"id": "A-1", "name": "Anna", "customer_class": "residential", "locale": "de_DE"}
    site_file["accounts"] = [account | {"agreements": [agreement]}]
    field = Field(tmp_path, type(registry(meter("E-1"))).model_validate(site_file))
    for day in range(20):
        field.send(MONDAY + day * DAY, LIVED_IN)
    field.settle(MONDAY + 20 * DAY + 7 * HOUR)
    return field


@pytest.mark.parametrize(("valid_to", "rules"), [(None, []), (MONDAY + 10 * DAY, ["inactive"])])
def test_use_without_an_agreement_is_found(tmp_path: Path, valid_to: datetime | None, rules: list[str]) -> None:
    field = moved_out(tmp_path, valid_to)
    watched(field, 20)
    assert [found.rule for found in opened(field)] == rules
    field.close()


def test_where_nobody_is_billed_nobody_uses_without_agreement(tmp_path: Path) -> None:
    field = Field(tmp_path)
    for day in range(20):
        field.send(MONDAY + day * DAY, LIVED_IN)
    field.settle(MONDAY + 20 * DAY + 7 * HOUR)
    assert watched(field, 20) == 0
    field.close()


def test_a_fleet_of_which_nothing_is_known_is_watched_in_peace(tmp_path: Path) -> None:
    field = Field(tmp_path)
    assert watched(field, DAYS) == 0
    field.enrol(registry())
    field.close()
