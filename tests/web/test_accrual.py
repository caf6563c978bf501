"""What customers and machines are told of the running period."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sqlalchemy import update

from headend.billing.accruals.accounts import cost_so_far
from headend.billing.accruals.accrual import SegmentSoFar
from headend.office import office_of
from headend.process.accruing import update_accruals
from headend.store import tables as t
from headend.web.accrual import use_by_day
from headend.web.words import money
from tests.web.sites import NOW

AGREEMENT = "A-1/UP-1/electricity/2025-01-01"


async def test_page_and_api_tell_the_kept_accrual(site, visit):
    update_accruals(office_of(site), everybody=True)
    accrual = cost_so_far(office_of(site), "A-1", NOW)
    anna = await visit("anna")
    page = await (await anna.get("/customer")).text()
    told = await (await anna.get("/api/v1/accounts/A-1/accrual")).json()
    forecast = accrual.forecast
    assert forecast is not None
    assert forecast.low < forecast.expected < forecast.high
    for amount in (accrual.amount, forecast.low, forecast.expected, forecast.high):
        assert money(amount, "EUR") in page
    assert told["amount"] == str(accrual.amount)
    assert told["forecast"] == {
        "low": str(forecast.low),
        "expected": str(forecast.expected),
        "high": str(forecast.high),
    }
    assert (told["first"], told["last"], told["days"], told["days_left"]) == ("2025-11-01", "2025-11-30", 30, 18)
    assert told["through"] == "2025-11-12T11:00:00Z"
    (segment,) = told["segments"]
    assert sum(Decimal(line["amount"]) for line in segment["lines"]) == accrual.amount
    assert sum(segment["daily"]) == Decimal(segment["usage"]) * 1000
    assert sum(Decimal(share["quantity"]) for share in segment["shares"]) == Decimal(segment["usage"])


async def test_kept_accrual_is_shown_as_it_is_until_newer_reads_are_worked_in(site, visit):
    anna = await visit("anna")
    update_accruals(office_of(site), everybody=True)
    with site.database.write() as tx:
        tx.execute(update(t.accrual).where(t.accrual.c.account_id == "A-1").values(amount="12.34"))
    assert (await (await anna.get("/api/v1/accounts/A-1/accrual")).json())["amount"] == "12.34"
    assert "are being worked in" not in await (await anna.get("/customer")).text()
    with site.database.write() as tx:
        tx.execute(t.changed_reads.insert(), [{"day": 20_404, "meters": (1).to_bytes(4, "little")}])
    told = await (await anna.get("/api/v1/accounts/A-1/accrual")).json()
    assert (told["amount"], told["stale"]) == ("12.34", True)
    assert "are being worked in" in await (await anna.get("/customer")).text()
    update_accruals(office_of(site))
    told = await (await anna.get("/api/v1/accounts/A-1/accrual")).json()
    assert told["stale"] is False
    assert told["amount"] != "12.34"


async def test_chart_has_what_was_used_and_what_is_expected(site, visit):
    anna, ben = await visit("anna"), await visit("ben")
    drawn = await (await anna.get(f"/customer/accrual/chart?agreement={AGREEMENT}")).json()
    rows = drawn["data"]["values"]
    so_far = sum(row["use"] for row in rows if row["kind"] == "So far")
    (segment,) = cost_so_far(office_of(site), "A-1", NOW).segments
    assert round(so_far, 3) == float(segment.usage)
    assert max(row["day"] for row in rows if row["kind"] == "Expected") == "2025-11-30"
    assert (await ben.get(f"/customer/accrual/chart?agreement={AGREEMENT}")).status == 404
    assert (await anna.get("/customer/accrual/chart")).status == 404


def test_days_of_two_tariff_versions_follow_each_other_though_the_last_reads_of_one_are_missing():
    first = segment("2025-11-01", "2025-11-03", daily=(5, 6))
    second = segment("2025-11-04", "2025-11-06", daily=(7,), expected=(7, 8, 9))
    assert use_by_day([first, second]) == ([5, 6, 0, 7, 0, 0], [5, 6, 0, 7, 8, 9])


def segment(first: str, last: str, **use: tuple[int, ...]) -> SegmentSoFar:
    none = Decimal(0)
    days = date.fromisoformat(first), date.fromisoformat(last)
    its = ("electricity", "kWh", "Home", "EUR", *days, none, None, none, NOW)
    return SegmentSoFar(AGREEMENT, *its, use["daily"], use.get("expected", ()), ())


async def test_page_without_a_read_has_no_chart_of_what_is_expected_and_says_why(site, visit):
    root = await visit("root")
    for kept in (False, True):
        if kept:
            update_accruals(office_of(site), everybody=True)
        page = await (await root.get("/customer?account=A-3")).text()
        assert "No reads have come this month yet" in page
        assert "No forecast: fewer than 14 of the last 28 days" in page
        assert "/customer/accrual/chart" not in page
    drawn = await (await root.get("/customer/chart?account=A-3&meter=E-3&channel=1-0:1.8.0")).json()
    assert drawn["data"]["values"] == []


async def test_account_without_reads_or_agreement(visit):
    clara = await visit("clara")
    told = await (await clara.get("/api/v1/accounts/A-3/accrual")).json()
    assert "forecast" not in told
    assert "fewer than 14" in told["no_forecast"]
    assert (await clara.get("/api/v1/accounts/A-9/accrual")).status == 404
    assert (await (await visit("olga")).get("/api/v1/accounts/A-1/accrual")).status == 403
