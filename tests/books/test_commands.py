"""`headend ledger`, as a clerk types it."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from headend.store.books import entries_of
from tests.billing.test_commands import Run, run
from tests.billing.town import Town
from tests.books.conftest import Issue

__all__ = ["run"]
EUR = ("--currency", "EUR", "--by", "ann")


@pytest.fixture
def billed(town: Town, issue: Issue) -> Town:
    """Ada owes 100.00 since 3 March 2026 and 50.00 since 3 April; Bea is owed 20.00."""
    issue("Ada", "100.00", date(2026, 3, 3), period="2026-01")
    issue("Ada", "50.00", date(2026, 4, 3), period="2026-02")
    issue("Bea", "-20.00", date(2026, 4, 3), period="2026-02")
    return town


def test_a_payment_pays_what_was_due_first(billed: Town, run: Run) -> None:
    paid = ("ledger", "payment", "Ada", "120", *EUR, "--reference", "R1", "--date", "2026-04-10")
    assert run(*paid) == (0, "booked\n", "")
    assert run(*paid) == (0, "booked already: nothing was changed\n", "")
    code, out, _ = run("ledger", "show", "Ada", "--as-of", "2026-04-10")
    assert code == 0
    assert "2026-04-10: balance 30.00 EUR, overdue 30.00 EUR, prepaid 0.00 EUR" in out
    assert "  open: Statement Ada-2026-02-1, 30.00 EUR of 50.00 EUR, due 2026-04-03, 7 days overdue\n" in out
    assert "2026-04-09: balance 150.00 EUR" in run("ledger", "show", "Ada", "--as-of", "2026-04-09")[1]
    # Taken back, both are open again.
    code, out, _ = run("ledger", "reverse", "4", "--reason", "bounced", "--by", "ann")
    assert (code, out) == (0, "booked as entry 5: Payment R1 reversed: bounced\n")
    assert "balance 150.00 EUR" in run("ledger", "show", "Ada")[1]
    assert run("ledger", "reverse", "4", "--reason", "bounced", "--by", "ann")[0] == 1
    code, _, err = run(*paid)
    assert (code, "was reversed" in err) == (1, True)
    assert run("ledger", "verify") == (0, "5 entries are as they were booked, and balance\n", "")


def test_a_payment_may_name_its_statement(billed: Town, run: Run) -> None:
    named = ("--reference", "R1", "--statement", "Ada-2026-02-1", "--date", "2026-04-10")
    assert run("ledger", "payment", "Ada", "60", *EUR, *named)[0] == 0
    out = run("ledger", "show", "Ada", "--as-of", "2026-04-10")[1]
    assert "open: Statement Ada-2026-01-1, 90.00 EUR of 100.00 EUR" in out
    assert "open: Statement Ada-2026-02-1" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("payment", "Nobody", "1", *EUR, "--reference", "R"), 2, "found account 'Nobody', expected one that there is"),
        (("payment", "Ada", "1", "--currency", "USD", "--by", "a", "--reference", "R"), 2, "expected EUR, as account"),
        (("payment", "Ada", "1", *EUR, "--reference", "R", "--date", "2099-01-01"), 2, "expected no day after"),
        (("payment", "Ada", "1", *EUR, "--reference", "R", "--statement", "Bea-2026-02-1"), 2, "whose statement"),
        (("payment", "Ada", "1", *EUR, "--reference", "R", "--statement", "x"), 2, "one that is issued"),
        (("payment", "Ada", "1", "--currency", "EUR", "--by", " ", "--reference", "R"), 2, "clerk"),
        (
            ("refund", "Bea", "20", *EUR, "--reference", "R", "--date", "2026-01-01"),
            2,
            "what is paid out had come",
        ),
        (("post", "--by", " "), 2, "the name of who does it"),
        (("refund", "Bea", "20.01", *EUR, "--reference", "R"), 1, "account Bea has 20.00 EUR to be paid out"),
        (("reverse", "1", "--reason", "x"), 1, "entry 1 is of a statement"),
        (("reverse", "99", "--reason", "x"), 2, "no entry 99"),
        (("write-off", "Bea-2026-02-1", "--reason", "x"), 1, "nothing of statement Bea-2026-02-1 is open"),
        (("write-off", "x", "--reason", "x"), 2, "no statement 'x'"),
        (("write-off", "Ada-2026-02-1", "--reason", " "), 2, "a few words why"),
        (("fees", "--period", "2099-01"), 1, "2099-01 is not over"),
        (("fees", "--period", "2026-13"), 2, "2026-13"),
        (("show", "Nobody"), 2, "no account is called 'Nobody'"),
        (("show", "Ada", "--as-of", "soon"), 2, "a day such as"),
        (("export", "--from", "2026-02-01", "--to", "2026-01-01", "-o", "x"), 2, "no day before"),
        (
            ("export", "--from", "2026-01-01", "--to", "2026-02-01", "-o", "no/such/x"),
            2,
            "a file in a folder that is there",
        ),
    ],
)
def test_what_is_refused(billed: Town, run: Run, arguments: tuple[str, ...], code: int, complaint: str) -> None:
    ended, _, err = run("ledger", *arguments)
    assert (ended, complaint in err, err.count("\n")) == (code, True, 1), err
    with billed.database.read() as tx:
        assert len(entries_of(tx, ["Ada", "Bea"])) == 3


def test_a_first_payment_in_a_wrong_currency_blocks_no_other(town: Town, run: Run) -> None:
    for currency in ("USD", "EUR"):
        named = ("--currency", currency, "--by", "ann", "--reference", currency)
        assert run("ledger", "payment", "Ada", "5", *named)[:2] == (0, "booked\n")
    assert run("ledger", "verify")[0] == 0


def test_a_damaged_day_is_one_line(billed: Town, run: Run) -> None:
    with billed.database.write() as tx:
        tx.execute(text("DROP TRIGGER book_entry_update"))
        tx.execute(text("UPDATE book_entry SET booked_on = '2026-02-31' WHERE number = 2"))
    code, _, err = run("ledger", "verify")
    assert (code, err) == (1, "headend: entry 2 is not as it was booked: day is out of range for month\n")


def test_a_file_is_booked_whole_and_once(billed: Town, run: Run, tmp_path: Path) -> None:
    bank = tmp_path / "bank.csv"
    head = "account,statement,amount,currency,date,reference\n"
    good = f"{head}Ada,,100,EUR,2026-03-02,R1\n,Ada-2026-02-1,50,EUR,2026-04-01,R2\n"
    bank.write_text(good + "Eve,,1,EUR,2026-04-01,R3\n")
    assert run("ledger", "import", "bank.csv", "--by", "ann")[::2] == (
        2,
        "headend: bank.csv line 4: found account 'Eve', expected one that there is\n",
    )
    bank.write_text(good)
    dry = run("ledger", "import", "bank.csv", "--by", "ann", "--dry-run")[1]
    assert dry == "2 payments would be booked (150.00 EUR), 0 there already\n"
    assert run("ledger", "import", "bank.csv", "--by", "ann")[1] == "2 payments booked (150.00 EUR), 0 there already\n"
    assert run("ledger", "import", "bank.csv", "--by", "bob")[1] == "0 payments booked, 2 there already\n"
    bank.write_text(good.replace("100", "101"))
    code, _, err = run("ledger", "import", "bank.csv", "--by", "ann")
    assert (code, "bank.csv line 2: reference 'R1' is booked already: 100.00 EUR of account Ada" in err) == (1, True)
    bank.write_text(good.replace("R1", "R9").replace("R2", "R9"))
    assert "reference 'R9' stands there twice" in run("ledger", "import", "bank.csv", "--by", "ann")[2]
    assert run("ledger", "import", "none.csv", "--by", "ann")[::2] == (
        2,
        "headend: none.csv: found No such file or directory, expected a readable file\n",
    )


def test_late_fees_are_charged_once(billed: Town, run: Run, tmp_path: Path) -> None:
    with (tmp_path / "headend.toml").open("a") as file:
        file.write("[late_fees]\npercent_per_month = 1\nfixed = { EUR = 2.50 }\nminimum = { EUR = 5.00 }\n")
    run("ledger", "payment", "Ada", "40", *EUR, "--reference", "R1", "--date", "2026-03-31")
    # On 31 March 60.00 are open for 28 days: 0.60 + 2.50, but at least 5.00. On 30 April the other is late too.
    dry = run("ledger", "fees", "--period", "2026-03", "--by", "ann", "--dry-run")[1]
    assert "Late fee 2026-03 on Ada-2026-01-1" in dry
    assert "5.00 EUR" in dry
    for expected in (1, 0):
        out = run("ledger", "fees", "--period", "2026-03", "--by", "ann")[1]
        assert f"{expected} late fees are charged for 2026-03" in out
    assert "2 late fees are charged for 2026-04" in run("ledger", "fees", "--period", "2026-04", "--by", "ann")[1]
    assert "balance 125.00 EUR" in run("ledger", "show", "Ada")[1], "100 + 50 − 40 + 3 × 5"


def test_a_fee_takes_no_money_from_a_statement_that_was_paid_in_time(billed: Town, run: Run, tmp_path: Path) -> None:
    with (tmp_path / "headend.toml").open("a") as file:
        file.write("[late_fees]\npercent_per_month = 1\nminimum = { EUR = 5.00 }\n")
    assert "1 late fees are charged for 2026-03" in run("ledger", "fees", "--period", "2026-03", "--by", "ann")[1]
    # 150.00 pay both statements, the second before it is due: only the fee of 5.00 stays open, and no fee follows it.
    run("ledger", "payment", "Ada", "150", *EUR, "--reference", "R1", "--date", "2026-04-01")
    for period in ("2026-04", "2026-05", "2026-06"):
        assert f"0 late fees are charged for {period}" in run("ledger", "fees", "--period", period, "--by", "ann")[1]
    assert "balance 5.00 EUR" in run("ledger", "show", "Ada")[1]


def test_dunning_notes_each_stage_once(billed: Town, run: Run, tmp_path: Path) -> None:
    with (tmp_path / "headend.toml").open("a") as file:
        file.write(
            '[[dunning]]\nname = "first"\ndays = 7\n[[dunning]]\nname = "last"\ndays = 30\nfee = { EUR = 3.50 }\n'
        )
    assert "1 account is overdue; 2 stages would be noted" in run("ledger", "dunning", "--dry-run")[1]
    assert "2 stages are noted" in run("ledger", "dunning", "--by", "ann")[1]
    assert "0 stages are noted" in run("ledger", "dunning", "--by", "ann")[1]
    assert "balance 157.00 EUR" in run("ledger", "show", "Ada")[1]
    run("ledger", "payment", "Ada", "200", *EUR, "--reference", "R1")
    assert run("ledger", "dunning", "--by", "ann")[1] == "0 accounts are overdue; 0 stages are noted\n"


def test_a_write_off_ends_what_is_open(billed: Town, run: Run) -> None:
    code, out, _ = run("ledger", "write-off", "Ada-2026-01-1", "--reason", "insolvent", "--by", "ann")
    assert (code, out) == (0, "booked as entry 4: 100.00 EUR written off\n")
    assert "open: Statement Ada-2026-02-1, 50.00 EUR" in run("ledger", "show", "Ada")[1]
    assert run("ledger", "write-off", "Ada-2026-01-1", "--reason", "insolvent", "--by", "ann")[0] == 1


def test_the_journal_for_the_erp(billed: Town, run: Run, tmp_path: Path) -> None:
    run("ledger", "payment", "Ada", "120", *EUR, "--reference", "=R1", "--date", "2026-04-10")
    run("ledger", "refund", "Bea", "5", *EUR, "--reference", "B1", "--date", "2026-04-11")
    days = ("--from", "2026-03-01", "--to", "2026-12-31")
    assert run("ledger", "export", *days, "-o", "out.csv") == (0, "out.csv\n", "")
    # The statement of 17 February is before. Ada's second and Bea's are of 20 March.
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "entry,date,code,customer,debit,credit,currency,source,text",
        "2,2026-03-20,receivable,Ada,50.00,,EUR,statement:Ada-2026-02-1,Statement Ada-2026-02-1",
        "2,2026-03-20,revenue:electricity:energy,Ada,,50.00,EUR,statement:Ada-2026-02-1,Statement Ada-2026-02-1",
        "3,2026-03-20,prepaid,Bea,,20.00,EUR,statement:Bea-2026-02-1,Statement Bea-2026-02-1",
        "3,2026-03-20,revenue:electricity:energy,Bea,20.00,,EUR,statement:Bea-2026-02-1,Statement Bea-2026-02-1",
        "4,2026-04-10,receivable,Ada,,120.00,EUR,payment:=R1,Payment =R1",
        "4,2026-04-10,cash,Ada,120.00,,EUR,payment:=R1,Payment =R1",
        "5,2026-04-11,prepaid,Bea,5.00,,EUR,refund:B1,Refund B1",
        "5,2026-04-11,cash,Bea,,5.00,EUR,refund:B1,Refund B1",
        "total,,,,195.00,195.00,EUR,,",
    ]
    first = (tmp_path / "out.csv").read_bytes()
    run("ledger", "export", *days, "-o", "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == first


def test_beancount_text_balances(billed: Town, run: Run, tmp_path: Path) -> None:
    run("ledger", "payment", "Ada", "120", *EUR, "--reference", 'a "quoted" one', "--date", "2026-04-10")
    days = ("--from", "2026-01-01", "--to", "2026-12-31", "--format", "beancount")
    assert run("ledger", "export", *days, "-o", "out.beancount")[0] == 0
    opened: dict[str, str] = {}
    sums: dict[str, Decimal] = defaultdict(Decimal)
    lines: Counter[str] = Counter()
    for block in (tmp_path / "out.beancount").read_text().strip().split("\n\n"):
        balance, day = Decimal(0), ""
        for line in block.splitlines():
            words = line.split()
            if words[1:2] == ["open"]:
                opened[words[2]] = words[0]
            elif words[1:2] == ["*"]:
                day = words[0]
            elif words[0][0].isupper():
                assert opened[words[0]] <= day
                balance += Decimal(words[1])
                sums[words[0]] += Decimal(words[1])
                lines[words[2]] += 1
        assert balance == 0
    shown = {name.rpartition("-")[0] or name: amount for name, amount in sums.items()}
    assert shown == {
        "Assets:Receivable": 30,
        "Assets:Cash": 120,
        "Liabilities:Prepaid": -20,
        "Income:Revenue:Electricity-energy": -130,
    }
    assert lines == {"EUR": 8}
    assert '\\"quoted\\"' in (tmp_path / "out.beancount").read_text()


def test_older_statements_are_posted_on_demand(town: Town, issue: Issue, run: Run) -> None:
    issue("Ada", "100.00", date(2026, 3, 3), booked=False)
    shown = run("ledger", "show", "Ada", "--as-of", "2026-03-31")[1]
    assert shown == "Nothing is booked for account Ada up to 2026-03-31.\n"
    code, _, err = run("ledger", "verify")
    assert (code, "is issued and not booked" in err) == (1, True)
    assert run("ledger", "post", "--by", "ann")[1] == "1 statements booked\n"
    assert run("ledger", "post", "--by", "ann")[1] == "0 statements booked\n"
    assert run("ledger", "verify")[0] == 0


def test_numbers_and_files_beyond_reason_are_one_line(billed: Town, run: Run, tmp_path: Path) -> None:
    for arguments in (
        ("reverse", "99999999999999999999", "--reason", "x", "--by", "ann"),
        ("payment", "Ada", "1e-30000000", *EUR, "--reference", "R1"),
        ("payment", "Ada", "1_000", *EUR, "--reference", "R1"),
        ("export", "--from", "2026-01-01", "--to", "2026-12-31", "-o", "."),
        ("export", "--from", "2026-01-01", "--to", "2026-12-31", "-o", "nowhere/j.csv"),
    ):
        code, _, complaint = run("ledger", *arguments)
        assert code == 2
        assert "Traceback" not in complaint
        assert len(complaint) < 1_000
