"""Prices that are published anew after bills were made by them: who is flagged, and what the correction says.

Dan uses 500 Wh in each of October's 745 hours at 1.03 × the published 0.10 + 0.0180 = 0.121 a kWh: 372.5 × 0.121 =
45.07; 372.5 × 0.1245 = 46.38; + 6.90 = 98.35, VAT 18.69: 117.04 EUR. Where one hour is 0.50 in the place of 0.10, half
a kWh costs 1.03 × 0.40 more: 45.0725 + 0.206 = 45.28; 98.56, VAT 18.73: 117.29.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from headend.billing.approval import approve, issue
from headend.billing.corrections import Way
from headend.billing.run import rate_cycle
from headend.billing.verify import verify_statement
from headend.process.asbilled import SitePast
from headend.reads.days import seconds
from headend.store.corrections import flagged_for_correction
from headend.store.market import Imported, import_prices
from headend.store.rebills import RebillFlag, rebills
from headend.tariffs.published import read_prices
from tests.billing.test_corrections import correct, lines
from tests.billing.town import IMPORT, Town
from tests.commands import headend

D = Decimal
OCTOBER, NOVEMBER = "2026-10", "2026-11"
BEGIN, END = datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC)
NOON = datetime(2026, 10, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """Dan on published prices, Ada on a flat tariff; prices of October and November are 0.10."""
    made = Town(tmp_path)
    for name, tariff in (("Ada", "flat"), ("Dan", "home-dynamic")):
        made.account(name, {"tariff": tariff})
        made.meter(f"E-{name}", name, IMPORT)
        made.reads(f"E-{name}", last=date(2026, 12, 1))
    made.prices("day-ahead", BEGIN, ["0.10"] * (745 + 720))
    made.prices("other", BEGIN, ["0.10"] * 745)
    made.now = datetime(2026, 12, 5, 9, tzinfo=UTC)
    return made


def anew(town: Town, price: str, *hours: datetime, name: str = "day-ahead", dry_run: bool = False) -> Imported:
    rows = [f"{at.isoformat()},{(at + HOUR).isoformat()},{price}" for at in hours]
    told = read_prices(
        ["start,end,price", *rows], "p.csv", name=name, currency="EUR", unit="kWh", per=None, minor=False
    )
    with town.database.write() as tx:
        return import_prices(tx, told, "p.csv", by="clara", at=town.now, dry_run=dry_run)


def flags(town: Town) -> list[RebillFlag]:
    with town.database.read() as tx:
        return rebills(tx)


def test_a_price_that_is_published_anew_flags_whom_it_priced_and_the_rebill_goes_by_it(town: Town) -> None:
    before = town.bill()["Dan"]
    assert before.totals.gross == D("117.04")
    assert anew(town, "0.50", NOON, dry_run=True).flagged == ("Dan-2026-10-1",)
    assert flags(town) == []
    assert anew(town, "0.50", NOON).flagged == ("Dan-2026-10-1",)
    (flag,) = flags(town)
    assert (flag.statement, flag.meter_name, flag.channel.obis) == ("Dan-2026-10-1", "E-Dan", IMPORT)
    assert (flag.first_s, flag.end_s, flag.change) == (seconds(NOON), seconds(NOON + HOUR), 0)
    assert flag.cause == "prices of day-ahead, by clara"
    assert town.statements()["Dan"] == before
    with town.database.read() as tx:
        assert flagged_for_correction(tx, OCTOBER) == ["Dan-2026-10-1"]

    taken, again = correct(town, "Dan-2026-10-1")
    assert taken.totals.gross == D("-117.04")
    assert lines(again)[0] == ("Energy at day-ahead prices", D("372.5"), D("45.28"))
    assert again.totals.gross == D("117.29")
    assert flags(town) == []
    for which in (taken.id, again.id):
        assert verify_statement(town.office, lambda tx: SitePast(tx, town.site), which).identical, which
    # Back again: it is what was billed again that is flagged now.
    assert anew(town, "0.10", NOON).flagged == (again.id,)
    (less,) = correct(town, again.id, way=Way.DIFFERENCE)
    assert less.totals.gross == D("-0.25")


@pytest.mark.parametrize(
    ("hour", "flagged"),
    [
        (BEGIN, ("Dan-2026-10-1",)),
        (END - HOUR, ("Dan-2026-10-1",)),
        (END, ("Dan-2026-11-1",)),
        (END + 720 * HOUR, ()),
    ],
)
def test_the_hours_are_those_of_the_statement(town: Town, hour: datetime, flagged: tuple[str, ...]) -> None:
    """Berlin's October begins at 22:00 UTC and ends at 23:00."""
    town.prices("day-ahead", END + 720 * HOUR, ["0.10"])
    town.bill(OCTOBER)
    town.bill(NOVEMBER)
    assert anew(town, "0.50", hour).flagged == flagged
    assert [flag.statement for flag in flags(town)] == list(flagged)


def test_the_import_says_which_statements_it_flags(town: Town, tmp_path: Path) -> None:
    town.bill()
    file = tmp_path / "p.csv"
    file.write_text(f"start,end,price\n{NOON.isoformat()},{(NOON + HOUR).isoformat()},500\n")
    bring = ("prices", "import", "day-ahead", str(file), "--currency", "EUR", "--per", "MWh")
    for args, said in ((["--dry-run"], "would be flagged: Dan-2026-10-1. See headend"), ([], "flagged: Dan-2026-10-1")):
        ended = headend(tmp_path, *bring, *args)
        assert ended.returncode == 0, ended
        assert f"billed at the prices before, {said}" in ended.stdout
    assert "prices of day-ahead, by anna" in headend(tmp_path, "bill", "flagged").stdout


def test_prices_of_two_months_flag_both_each_for_its_own_hours(town: Town) -> None:
    town.bill(OCTOBER)
    town.bill(NOVEMBER)
    assert anew(town, "0.50", NOON, END - HOUR, END, END + 5 * HOUR).flagged == ("Dan-2026-10-1", "Dan-2026-11-1")
    assert [(flag.first_s, flag.end_s) for flag in flags(town)] == [
        (seconds(NOON), seconds(END)),
        (seconds(END), seconds(END + 6 * HOUR)),
    ]


def test_what_is_not_priced_by_them_or_not_billed_for_good_is_not_flagged(town: Town) -> None:
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    assert anew(town, "0.50", NOON).flagged == ()
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    approve(town.office, OCTOBER, "monthly", "ann")
    assert anew(town, "0.50", NOON).flagged == (), "the same price again"
    assert anew(town, "0.70", NOON, name="other").flagged == (), "another series"
    # What is approved will be issued as it is.
    assert anew(town, "0.20", NOON).flagged == ("Dan-2026-10-1",)
    issue(town.office, OCTOBER, "monthly", "bob")
    correct(town, "Dan-2026-10-1", way=Way.CANCEL)
    assert anew(town, "0.30", NOON).flagged == (), "it is taken back"
