"""`headend statement explain` and `headend bill what-if`, as a clerk types them."""

from __future__ import annotations

import csv
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.billing.test_commands import Run, run
from tests.billing.town import TARIFFS, Town

__all__ = ["run"]


@pytest.fixture
def two_months(flat: Town) -> Town:
    """Ada uses 400 Wh an hour in September, 500 in October; Bea has no meter."""
    flat.account("Bea", {"tariff": "flat"})
    flat.reads("E-1", 400, first=date(2026, 8, 30), last=date(2026, 9, 29))
    for period in ("2026-09", "2026-10"):
        flat.bill(period)
    return flat


def test_explain(two_months: Town, run: Run) -> None:
    code, out, err = run("statement", "explain", "Ada-2026-10-1")
    assert (code, err) == (0, "")
    assert "more than for 1–30 Sept 2026" in out
    assert "31 days instead of 30." in out
    code, out, _ = run("statement", "explain", "Ada-2026-10-1", "--with", "Ada-2026-09-1", "--json")
    found = json.loads(out)
    assert sum(Decimal(part["amount"]) for part in found["parts"]) == Decimal(found["difference"]) > 0
    assert run("statement", "explain", "Ada-2026-09-1")[::2] == (
        2,
        "headend: no statement of account Ada was issued for a month before 2026-09\n",
    )
    assert run("statement", "explain", "Ada-2026-10-1", "--last-year")[::2] == (
        2,
        "headend: no statement of account Ada was issued for 2025-10\n",
    )
    assert run("statement", "explain", "Ada-2026-10-1", "--last-year", "--with", "X")[0] == 2


def test_what_if(two_months: Town, run: Run, tmp_path: Path) -> None:
    (tmp_path / "new.toml").write_text(TARIFFS["flat"].replace("0.3174", "0.40"), encoding="utf-8")
    asked = ("bill", "what-if", "--tariff", "new.toml", "--period", "2026-10")
    code, out, _ = run(*asked, "-o", "list.csv")
    assert code == 0
    assert "1 account, 1 would pay more, 0 less, 0 the same" in out
    assert "no_meter" in out
    listed = list(csv.DictReader((tmp_path / "list.csv").read_text(encoding="utf-8").splitlines()))
    # (372.5 × 0.40 + 11.90) × 1.19 = 191.471, of which 30.571 is tax.
    assert [(row["account"], row["gross_now"], row["gross_then"]) for row in listed] == [
        ("Ada", "154.85", "191.47"),
        ("Bea", "", ""),
    ]
    assert listed[1]["not_rated"].startswith("now: no_meter")
    told = json.loads(run(*asked, "--json")[1])
    assert (told["revenue"]["gross"]["difference"], told["higher"]) == ("36.62", 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--period", "2026-13"), "2026-13"),
        (("--period", "2027-01"), "a month that is over"),
        (("--period", "2026-10", "--from-tariff", "none"), "no tariff is called 'none'"),
        (("--period", "2026-10", "--account", "Zoe"), "called 'Zoe'"),
        (("--period", "2026-10", "--prices", "day-ahead"), "NAME=FILE"),
        (("--period", "2026-10", "-o", "nowhere/list.csv"), "a file that can be written"),
    ],
)
def test_what_if_refuses(two_months: Town, run: Run, tmp_path: Path, given: tuple[str, ...], said: str) -> None:
    (tmp_path / "new.toml").write_text(TARIFFS["flat"], encoding="utf-8")
    code, _, err = run("bill", "what-if", "--tariff", "new.toml", *given)
    assert code == 2
    assert said in err
    (tmp_path / "new.toml").write_text("id = 1", encoding="utf-8")
    assert run("bill", "what-if", "--tariff", "new.toml", *given)[0] == 2
