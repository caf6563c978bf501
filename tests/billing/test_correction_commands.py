"""`headend bill rebill`, `cancel` and `withdraw`, as a clerk types them, to the issue of what they make.

Ada's October is 154.85 EUR; with 10 kWh more 158.64, with half a kWh less 154.66.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from headend.store.ledger import SqlLedger
from tests.billing.test_corrections import FIRST, WHY, edit
from tests.billing.town import Town
from tests.commands import Ended, headend

REASON = ("--reason", WHY)
CYCLE = ("--period", "2026-10", "--cycle", "correction-1")


@pytest.fixture
def billed(tmp_path: Path) -> Town:
    """Ada's and Bea's October is issued."""
    town = Town(tmp_path)
    for name, meter in (("Ada", "E-1"), ("Bea", "E-2")):
        town.home(name, meter)
    town.bill()
    return town


def bill(folder: Path, *args: str, ends: int = 0) -> str:
    ended: Ended = headend(folder, "bill", *args)
    assert ended.returncode == ends, ended.stderr
    return ended.stderr if ends else ended.stdout


def statements(town: Town) -> list[str]:
    with town.database.read() as tx:
        return sorted(kept.id for account in ("Ada", "Bea") for kept in SqlLedger(tx).statements_of(account))


def test_a_statement_is_looked_at_corrected_approved_issued_and_closed(billed: Town, tmp_path: Path) -> None:
    edit(billed, 10_500)
    assert f"{FIRST} says 154.85 EUR; by today's reads it would be 158.64: +3.79" in bill(tmp_path, "flagged", FIRST)

    seen = bill(tmp_path, "rebill", FIRST, *REASON, "--dry-run")
    assert "1 account: 154.85 → 158.64 EUR, +3.79" in seen
    assert "nothing was kept: this was a dry run" in seen
    bill(tmp_path, "review", *CYCLE, ends=2)

    made = bill(tmp_path, "rebill", FIRST, *REASON)
    assert "headend bill approve --period 2026-10 --cycle correction-1, then issue" in made
    shown = bill(tmp_path, "review", *CYCLE)
    for said in ("Ada-2026-10-2", "Ada-2026-10-3", "correct", "anna", WHY):
        assert said in shown
    assert bill(tmp_path, "approve", *CYCLE) == (
        "cycle 2026-10/correction-1 is approved: 1 account = 1 billed + 0 excepted; 3.79 EUR\n"
    )
    assert "is issued" in bill(tmp_path, "issue", *CYCLE)
    assert statements(billed) == [FIRST, "Ada-2026-10-2", "Ada-2026-10-3", "Bea-2026-10-1"]
    assert bill(tmp_path, "flagged") == "No statement is flagged.\n"
    assert "158.64" in headend(tmp_path, "ledger", "show", "Ada").stdout
    assert "is closed" in bill(tmp_path, "close", *CYCLE)


def test_a_difference_is_one_document(billed: Town, tmp_path: Path) -> None:
    edit(billed, 0)
    assert "1 account: 154.85 → 154.66 EUR, -0.19" in bill(tmp_path, "rebill", FIRST, "--difference", *REASON)
    bill(tmp_path, "approve", *CYCLE)
    bill(tmp_path, "issue", *CYCLE)
    assert statements(billed) == [FIRST, "Ada-2026-10-2", "Bea-2026-10-1"]


def test_all_flagged_ones_of_a_period_are_corrected_and_what_comes_out_the_same_is_settled(
    billed: Town, tmp_path: Path
) -> None:
    edit(billed, 10_500)
    edit(billed, 10_500, meter="E-2")
    edit(billed, 500, meter="E-2")
    flagged = ("rebill", "--flagged", "--period")
    assert bill(tmp_path, *flagged, "2026-09", *REASON) == "No statement is flagged.\n"
    seen = bill(tmp_path, *flagged, "2026-10", *REASON, "--dry-run")
    assert "nothing to correct, flag would be settled: Bea-2026-10-1" in seen
    assert "Bea-2026-10-1" in bill(tmp_path, "flagged")
    made = bill(tmp_path, *flagged, "2026-10", *REASON)
    assert "nothing to correct, flag settled: Bea-2026-10-1" in made
    assert "1 account: 154.85 → 158.64 EUR, +3.79" in made
    # What is in an open correction is not corrected again.
    assert bill(tmp_path, "rebill", "--flagged", *REASON) == "No statement is flagged.\n"
    assert "is withdrawn" in bill(tmp_path, "withdraw", *CYCLE)
    assert "1 account: 154.85 → 158.64 EUR, +3.79" in bill(tmp_path, "rebill", "--flagged", *REASON)


def test_numbers_from_a_file(billed: Town, tmp_path: Path) -> None:
    edit(billed, 10_500)
    edit(billed, 10_500, meter="E-2")
    told = tmp_path / "ids.txt"
    told.write_text(f"# of the change of 5 October\n\n{FIRST}  # Ada\nBea-2026-10-1\n", encoding="utf-8")
    assert "2 accounts: 309.70 → 317.28 EUR, +7.58" in bill(tmp_path, "rebill", "--from", str(told), *REASON)


def test_a_statement_is_taken_back_alone(billed: Town, tmp_path: Path) -> None:
    assert "1 account: 154.85 → 0.00 EUR, -154.85" in bill(tmp_path, "cancel", FIRST, *REASON)
    bill(tmp_path, "approve", *CYCLE)
    bill(tmp_path, "issue", *CYCLE)
    assert bill(tmp_path, "cancel", FIRST, *REASON, ends=1) == (
        f"headend: statement {FIRST} is cancelled already, by Ada-2026-10-2\n"
    )
    assert "balance 0.00 EUR" in headend(tmp_path, "ledger", "show", "Ada").stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("rebill", "Cy-2026-10-1", *REASON), "no statement is called 'Cy-2026-10-1'"),
        (("rebill", FIRST, "--reason", " "), "reason: found nothing, expected why it is corrected"),
        (("rebill", FIRST, *REASON), f"nothing to correct: {FIRST} would come out the same"),
        (("rebill", *REASON), "found both or nothing, expected numbers of statements, or --flagged"),
        (("rebill", FIRST, "--flagged", *REASON), "found both or nothing"),
        (("rebill", FIRST, "--period", "2026-10", *REASON), "--period: found no --flagged"),
        (("rebill", "--flagged", "--period", "10/2026", *REASON), "found '10/2026', expected a month such as 2026-10"),
        (("rebill", "--from", "nowhere.txt", *REASON), "nowhere.txt: found"),
        (("rebill", "--from", "nowhere.txt", *REASON), "nowhere.txt: found No such file or directory, expected a text"),
        (("withdraw", *CYCLE), "no cycle 'correction-1' was ever rated for 2026-10"),
        (("withdraw", "--period", "2026-10", "--cycle", "monthly"), "cycle 2026-10/monthly is no correction"),
    ],
)
def test_bad_input_is_one_clear_line(billed: Town, tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    ended = headend(tmp_path, "bill", *args)
    assert ended.returncode in (1, 2)
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{FIRST}\n\nAda-2026-1O-1\n", ":3: found 'Ada-2026-1O-1', expected the number of a statement that there is"),
        ("# none\n", ": found no number, expected numbers of statements, one a line"),
    ],
)
def test_a_bad_line_of_a_file_is_named(billed: Town, tmp_path: Path, text: str, said: str) -> None:
    told = tmp_path / "ids.txt"
    told.write_text(text, encoding="utf-8")
    assert bill(tmp_path, "rebill", "--from", str(told), *REASON, ends=2) == f"headend: {told}{said}\n"
