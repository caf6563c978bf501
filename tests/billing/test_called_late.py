"""Critical peaks that are called after bills were made: who is flagged, and what the correction says.

Cid uses 500 Wh in each of October's 745 hours, 88 of them peak: 44 kWh × 0.312 = 13.73, 328.5 × 0.238 = 78.18, + 10.90
= 102.81, less 5 % = 97.67, VAT 18.56: 116.23 EUR. With three peak hours of Thursday 15 October called critical:
1.5 × 1.25 = 1.88, 42.5 × 0.312 = 13.26; 104.22, less 5 % = 99.01, VAT 18.81: 117.82.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from headend.billing.approval import approve, issue
from headend.billing.corrections import Way
from headend.billing.run import rate_cycle
from headend.billing.verify import verify_statement
from headend.office import office_of
from headend.process.asbilled import SitePast
from headend.reads.days import seconds
from headend.store.corrections import flagged_for_correction
from headend.store.market import Imported, add_events
from headend.tariffs import Events, load_book
from tests.billing.test_corrections import correct, lines
from tests.billing.test_repriced import flags
from tests.billing.town import IMPORT, TARIFFS, Town
from tests.commands import headend

D = Decimal
OCTOBER, NOVEMBER = "2026-10", "2026-11"
BEGIN, END = datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC)
THURSDAY = datetime(2026, 10, 15, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIST = "critical-peak"


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """Cid on a tariff with critical peaks, of which none was called; Ada on a flat tariff."""
    made = Town(tmp_path)
    for name, tariff in (("Ada", "flat"), ("Cid", "home-critical-peak")):
        made.account(name, {"tariff": tariff})
        made.meter(f"E-{name}", name, IMPORT)
        made.reads(f"E-{name}", last=date(2026, 12, 1))
    made.now = datetime(2026, 12, 5, 9, tzinfo=UTC)
    return made


def call(town: Town, begin: datetime, hours: int = 3, name: str = LIST, *, dry_run: bool = False) -> Imported:
    its = Events(name, ((seconds(begin), seconds(begin + hours * HOUR)),))
    with town.database.write() as tx:
        return add_events(tx, its, "e.csv", by="clara", at=town.now, dry_run=dry_run)


def test_an_event_that_is_called_late_flags_whom_it_prices_and_the_rebill_goes_by_it(town: Town) -> None:
    before = town.bill()["Cid"]
    assert before.totals.gross == D("116.23")
    assert call(town, THURSDAY, dry_run=True).flagged == ("Cid-2026-10-1",)
    assert flags(town) == []
    assert call(town, THURSDAY).flagged == ("Cid-2026-10-1",)
    (flag,) = flags(town)
    assert (flag.statement, flag.meter_name, flag.channel.obis) == ("Cid-2026-10-1", "E-Cid", IMPORT)
    assert (flag.first_s, flag.end_s, flag.change) == (seconds(THURSDAY), seconds(THURSDAY + 3 * HOUR), 0)
    assert flag.cause == "events of critical-peak, by clara"
    assert town.statements()["Cid"] == before
    with town.database.read() as tx:
        assert flagged_for_correction(tx, OCTOBER) == ["Cid-2026-10-1"]

    taken, again = correct(town, "Cid-2026-10-1")
    assert taken.totals.gross == D("-116.23")
    assert lines(again)[0] == ("Energy, Critical peak", D("1.5"), D("1.88"))
    assert again.totals.gross == D("117.82")
    assert flags(town) == []
    for which in (taken.id, again.id):
        assert verify_statement(town.office, lambda tx: SitePast(tx, town.site), which).identical, which


@pytest.mark.parametrize(
    ("begin", "flagged"),
    [
        (BEGIN - 3 * HOUR, ()),
        (BEGIN - 2 * HOUR, ("Cid-2026-10-1",)),
        (END - HOUR, ("Cid-2026-10-1", "Cid-2026-11-1")),
        (END, ("Cid-2026-11-1",)),
        (END + 720 * HOUR, ()),
    ],
)
def test_the_days_are_those_of_the_statement(town: Town, begin: datetime, flagged: tuple[str, ...]) -> None:
    """Berlin's October begins at 22:00 UTC and ends at 23:00."""
    town.bill(OCTOBER)
    town.bill(NOVEMBER)
    assert call(town, begin).flagged == flagged
    assert [flag.statement for flag in flags(town)] == list(flagged)


def test_what_it_does_not_price_or_is_not_billed_for_good_is_not_flagged(town: Town) -> None:
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    assert call(town, THURSDAY).flagged == ()
    rate_cycle(town.office, OCTOBER, "monthly", "ann")
    approve(town.office, OCTOBER, "monthly", "ann")
    assert call(town, THURSDAY).flagged == (), "the same event again"
    assert call(town, THURSDAY, name="other").flagged == (), "another list"
    # What is approved will be issued as it is.
    assert call(town, THURSDAY + 24 * HOUR).flagged == ("Cid-2026-10-1",)
    issue(town.office, OCTOBER, "monthly", "bob")
    correct(town, "Cid-2026-10-1", way=Way.CANCEL)
    assert call(town, THURSDAY + 48 * HOUR).flagged == (), "it is taken back"


def test_the_commands_say_which_statements_they_flag(town: Town, tmp_path: Path) -> None:
    town.bill()
    file = tmp_path / "e.csv"
    file.write_text(f"start,end\n{THURSDAY.isoformat()},{(THURSDAY + HOUR).isoformat()}\n")
    ended = headend(tmp_path, "events", "import", LIST, str(file), "--dry-run")
    assert "billed without, would be flagged: Cid-2026-10-1. See headend bill flagged" in ended.stdout
    ended = headend(tmp_path, "events", "import", LIST, str(file))
    assert "billed without, flagged: Cid-2026-10-1" in ended.stdout
    assert "events of critical-peak, by " in headend(tmp_path, "bill", "flagged").stdout


def test_a_later_ratchet_by_the_peak_of_an_event_is_flagged_once_the_correction_is_issued(town: Town) -> None:
    """Its demand is that of critical peaks: 0.5 kW more of October, half of which November goes by."""
    head = TARIFFS["flat"].partition("[[")[0].replace('"flat"', '"called"')
    demand = """
[[periods]]
name = "critical"
label = "Critical peak"
event = "critical-peak"
[[periods]]
name = "rest"
label = "Rest"
[[components]]
kind = "demand"
label = "Demand"
window_min = 60
ratchet = { percent = 50, months = 2 }
tiers = [{ price = { critical = 10 } }]
[[components]]
kind = "standing"
label = "Standing charge"
per = "month"
price = 5
"""
    (town.folder / "tariffs" / "called.toml").write_text(head + demand)
    town.site = replace(town.site, tariffs=load_book(town.folder / "tariffs"))
    town.office = office_of(town.site)
    town.account("Eve", {"tariff": "called"})
    town.meter("E-Eve", "Eve", IMPORT)
    town.reads("E-Eve", last=date(2026, 12, 1))
    # Without an event November would have no such line.
    call(town, datetime(2026, 11, 12, 16, tzinfo=UTC))
    town.bill(OCTOBER)
    town.bill(NOVEMBER)
    assert call(town, THURSDAY).flagged == ("Cid-2026-10-1", "Eve-2026-10-1")
    correct(town, "Eve-2026-10-1")
    found = [(flag.statement, flag.cause) for flag in flags(town) if flag.account == "Eve"]
    assert found == [("Eve-2026-11-1", "the peak of 2026-10, by Eve-2026-10-3")]
