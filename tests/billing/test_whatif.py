"""What if: another tariff version over a month that is over."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from headend.billing.cycle import ExceptionCode
from headend.billing.whatif import Bin, Question, Unrated, WhatIf, histogram, percentiles, rows, to_json, what_if
from headend.errors import InvalidInput, NotFound
from headend.reads import Quality
from headend.tariffs import PriceSeries, Tariff, load_tariff
from tests.billing.town import EXPORT, IMPORT, TARIFFS, Town

D = Decimal
OCTOBER = "2026-10"


def tariff_of(tmp_path: Path, name: str, *changes: tuple[str, str]) -> Tariff:
    """One of the town's tariffs, with other words."""
    text = TARIFFS[name]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "other.toml"
    path.write_text(text, encoding="utf-8")
    return load_tariff(path)


@pytest.fixture
def three(town: Town) -> Town:
    """Ada uses 500 Wh, Bea 200 Wh and Cem nothing in every hour; Dora's reads are not there."""
    for name, value in (("Ada", 500), ("Bea", 200), ("Cem", 0), ("Dora", None)):
        town.account(name, {"tariff": "flat"})
        town.meter(f"E-{name}", name, IMPORT)
        if value is not None:
            town.reads(f"E-{name}", value)
    return town


def dearer(tmp_path: Path) -> Tariff:
    """Energy at 0.40 instead of 0.3174, 5.00 a month instead of 11.90; valid only later."""
    return tariff_of(tmp_path, "flat", ("0.3174", "0.40"), ("11.90", "5.00"), ("2025-01-01", "2027-01-01"))


def test_three_homes_by_hand(three: Town, tmp_path: Path) -> None:
    found = what_if(three.office, Question(dearer(tmp_path), OCTOBER))
    # Ada: 372.5 × 0.3174 = 118.23 + 11.90, × 1.19 = 154.85; 372.5 × 0.40 = 149 + 5, × 1.19 = 183.26.
    # Bea: 149 × 0.3174 = 47.29 + 11.90 = 59.19, + 11.25 = 70.44; 59.60 + 5 = 64.60, + 12.27 = 76.87.
    # Cem: 11.90 + 2.26 = 14.16; 5 + 0.95 = 5.95.
    assert [
        (its.account, its.use, its.gross_now, its.gross_then, its.change, its.percent) for its in found.outcomes
    ] == [
        ("Ada", D("372.5"), D("154.85"), D("183.26"), D("28.41"), D("18.35")),
        ("Bea", D("149"), D("70.44"), D("76.87"), D("6.43"), D("9.13")),
        ("Cem", D("0"), D("14.16"), D("5.95"), D("-8.21"), D("-57.98")),
    ]
    (dora,) = found.unrated
    assert dora.account == "Dora"
    assert dora.reason.startswith(f"now: {ExceptionCode.INCOMPLETE_READS}: ")
    assert (found.higher, found.lower) == (2, 1)
    assert [its.account for its in found.losers] == ["Ada", "Bea"]
    assert [its.account for its in found.winners] == ["Cem"]
    told = to_json(found)
    assert told["revenue"]["gross"] == {"now": "239.45", "then": "266.08", "difference": "26.63"}
    assert told["revenue"]["net"] == {"now": "201.22", "then": "223.60", "difference": "22.38"}
    assert told["percentiles"]["change"] == {"5": "-8.21", "25": "-8.21", "50": "6.43", "75": "28.41", "95": "28.41"}
    listed = list(rows(found))
    assert listed[0] == (
        *("Ada", "residential", "flat", "372.500", "kWh", "EUR", "154.85", "183.26", "28.41", "18.35"),
        *("130.13", "154.00", ""),
    )
    assert listed[3][0] == "Dora"
    assert "incomplete_reads" in listed[3][-1]


def test_the_same_tariff_changes_nothing_and_is_what_was_billed(three: Town, tmp_path: Path) -> None:
    billed = {account: each.totals.gross for account, each in three.bill().items()}
    before = three.documents()
    found = what_if(three.office, Question(tariff_of(tmp_path, "flat"), OCTOBER))
    assert {its.account: its.gross_now for its in found.outcomes} == billed
    assert all(its.change == 0 for its in found.outcomes)
    assert three.documents() == before


def test_batches_make_no_difference(three: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    question, seen = Question(dearer(tmp_path), OCTOBER), []
    whole = what_if(three.office, question)
    monkeypatch.setattr("headend.billing.whatif.ACCOUNTS_A_BATCH", 2)
    assert what_if(three.office, question, lambda done, of: seen.append((done, of))) == whole
    assert seen == [(0, 4), (2, 4), (4, 4)]


def test_chosen_by_tariff_class_and_account(three: Town, tmp_path: Path) -> None:
    three.account("Sun", {"tariff": "solar"})
    three.meter("E-Sun", "Sun", IMPORT, EXPORT)
    three.reads("E-Sun", 100)
    three.reads("E-Sun", 50, channel=EXPORT)
    tariff = dearer(tmp_path)

    def who(**chosen: object) -> list[str]:
        return [its.account for its in what_if(three.office, Question(tariff, OCTOBER, **chosen)).outcomes]

    assert who() == ["Ada", "Bea", "Cem", "Sun"]
    assert who(from_tariff="solar") == ["Sun"]
    assert who(accounts=["Bea", "Sun"]) == ["Bea", "Sun"]
    found = what_if(three.office, Question(tariff, OCTOBER, from_tariff="solar", accounts=["Bea", "Sun"]))
    assert found.unrated == (Unrated("Bea", "no agreement of this kind is in force in the month"),)
    with pytest.raises(InvalidInput, match="of class commercial"):
        who(customer_class="commercial")
    with pytest.raises(NotFound, match="'Zoe'"):
        who(accounts=["Zoe"])
    with pytest.raises(NotFound, match="'none'"):
        who(from_tariff="none")


def test_a_month_that_still_runs_is_refused(three: Town, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="a month that is over; this one is at 2026-11-30 23:00 UTC"):
        what_if(three.office, Question(dearer(tmp_path), "2026-11"))


def test_what_the_other_tariff_cannot_rate_is_named(three: Town, tmp_path: Path) -> None:
    found = what_if(three.office, Question(tariff_of(tmp_path, "solar"), OCTOBER))
    assert found.outcomes == ()
    assert found.unrated[0].reason == (
        "then: cannot_rate: Ada/UP-Ada/electricity/2025-01-01: solar credits export, but no meter measures it"
    )
    assert to_json(found)["percentiles"] == {"change": {}, "percent": {}}
    dollars = tariff_of(tmp_path, "flat", ('"EUR"', '"USD"'))
    found = what_if(three.office, Question(dollars, OCTOBER, accounts=["Ada"]))
    assert found.unrated == (Unrated("Ada", "now: its bill is in EUR, the other tariff in USD"),)


def test_prices_that_are_given_count_and_are_not_kept(three: Town, tmp_path: Path) -> None:
    tariff = tariff_of(tmp_path, "home-dynamic")
    begins = int(datetime(2026, 9, 30, 22, tzinfo=UTC).timestamp()) + 3600 * np.arange(745)
    series = PriceSeries("day-ahead", "EUR", "kWh", begins, begins + 3600, np.full(745, 1000), 4)
    question = Question(tariff, OCTOBER, accounts=["Ada"])
    assert "price" in what_if(three.office, question).unrated[0].reason
    (ada,) = what_if(three.office, Question(tariff, OCTOBER, accounts=["Ada"], prices={"day-ahead": series})).outcomes
    # 372.5 × (0.10 × 1.03 + 0.018) = 45.0725; × 0.1245 = 46.37625; + 6.90; 0.19 × 98.35 = 18.6865.
    assert ada.gross_then == D("45.07") + D("46.38") + D("6.90") + D("18.69")
    assert "price" in what_if(three.office, question).unrated[0].reason


def test_banks_begin_empty_both_times(town: Town, tmp_path: Path) -> None:
    town.account("Sun", {"tariff": "bank"})
    town.meter("E-Sun", "Sun", IMPORT, EXPORT)
    for channel, value in ((IMPORT, 10), (EXPORT, 900)):
        town.reads("E-Sun", value, channel=channel, first=date(2026, 8, 30))
    town.bill("2026-09")
    (sun,) = what_if(town.office, Question(tariff_of(tmp_path, "bank-first"), OCTOBER)).outcomes
    # Within October the version changes on the 11th; fed in is more than used, so only the standing charge is owed.
    assert (sun.gross_now, sun.gross_then) == (D("11.90"), D("11.90"))


def test_reads_of_which_somebody_has_to_decide_are_left_out(three: Town, tmp_path: Path) -> None:
    three.set("E-Ada", datetime(2026, 10, 5, 12, tzinfo=UTC), quality=int(Quality.QUESTIONABLE))
    found = what_if(three.office, Question(dearer(tmp_path), OCTOBER))
    assert [its.account for its in found.outcomes] == ["Bea", "Cem"]
    assert found.unrated[0].account == "Ada"


def test_percentiles_are_by_the_nearest_rank() -> None:
    """The classic example: 15, 20, 35, 40, 50; the 5th is the first, the 25th and 50th the second and third."""
    values = [D(n) for n in (40, 15, 50, 35, 20)]
    assert percentiles(values) == {5: 15, 25: 20, 50: 35, 75: 40, 95: 50}
    assert percentiles([D(7)]) == dict.fromkeys((5, 25, 50, 75, 95), D(7))
    assert percentiles([]) == {}


def test_histogram_has_everybody_and_an_edge_at_zero() -> None:
    values = [D(n) / 10 for n in range(-50, 151)] + [D(-4000), D(4000)]
    bins = histogram(values)
    assert sum(each.accounts for each in bins) == len(values)
    # From -4.0 to 14.1 there are ten bins of 1.81 at least: 2 wide.
    assert bins[0] == Bin(None, D(-6), 1) or bins[0].low is None
    assert D(0) in [each.low for each in bins]
    assert bins[-1].high is None
    assert {each.high - each.low for each in bins[1:-1]} == {D(2)}
    assert histogram([D(0)] * 4) == [Bin(D("0.00"), D("0.01"), 4)]
    assert histogram([]) == []


def test_result_of_nobody(three: Town, tmp_path: Path) -> None:
    empty = WhatIf(Question(dearer(tmp_path), OCTOBER), "EUR", (), ())
    assert to_json(empty)["revenue"]["gross"] == {"now": "0", "then": "0", "difference": "0"}
    assert to_json(empty)["histogram"] == []
