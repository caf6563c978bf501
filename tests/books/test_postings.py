"""What a statement, a payment and a fee are booked as: worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from headend.billing.books.bankfile import payment_of, read_payments
from headend.billing.books.entries import GENESIS, Draft, Posting, customers_side, entry_of, link, major, minor
from headend.billing.books.postings import payment_draft, statement_draft
from headend.billing.books.reminding import LateFees, Stage, end_of, late_fee, stage_after
from headend.billing.statement import StatementLine
from headend.errors import InvalidInput
from tests.billing.made import made_statement

D = Decimal
AT = datetime(2026, 11, 3, 9, tzinfo=UTC)


def booked(draft: Draft, before: int = 0) -> dict[str, int]:
    return {posting.code: posting.amount for posting in entry_of(draft, 1, before, AT, "ann")[1]}


def test_a_statement_is_revenue_by_kind_and_tax_by_label() -> None:
    assert booked(statement_draft(made_statement())) == {
        "receivable": 119_00,
        "revenue:electricity:energy": -88_10,
        "revenue:electricity:standing": -11_90,
        "tax:VAT 19 %": -19_00,
    }


def test_a_statement_takes_first_from_what_is_prepaid() -> None:
    sides = {name: amount for name, amount in booked(statement_draft(made_statement()), -50_00).items() if amount > 0}
    assert sides == {"prepaid": 50_00, "receivable": 69_00}


def test_a_statement_with_more_fed_in_than_used_leaves_a_credit() -> None:
    made = statement_draft(made_statement(gross_sign=-1))
    assert made.due_on is None
    assert booked(made) == {
        "prepaid": -119_00,
        "revenue:electricity:energy": -88_10,
        "revenue:electricity:export": 238_00,
        "revenue:electricity:standing": -11_90,
        "tax:VAT 19 %": -19_00,
    }
    assert booked(made, 100_00)["receivable"] == -100_00


def test_a_bank_is_a_liability_and_an_included_tax_no_revenue() -> None:
    made = made_statement()
    segment = made.segments[0]
    lines = (
        StatementLine("energy", "Energy", D(100), "kWh", D("0.50"), D("50.00"), "peak", 1),
        StatementLine("export", "Feed-in", D(800), "kWh", D("-0.10"), D("-80.00"), None, None),
        StatementLine("bank", "Bank", D(30), "EUR", D(1), D("30.00"), None, None),
        StatementLine("tax", "VAT 20 %", D("41.67"), "EUR", D("0.20"), D("8.33"), None, None, included=True),
    )
    gross = replace(made.totals, net=D("-8.33"), tax=D("8.33"), gross=D("0.00"))
    nothing_due = replace(made, segments=(replace(segment, lines=lines),), totals=gross)
    assert booked(statement_draft(nothing_due)) == {
        "bank:electricity": -30_00,
        "revenue:electricity:energy": -50_00,
        "revenue:electricity:export": 80_00,
        "revenue:electricity:included-tax": 8_33,
        "tax:VAT 20 %": -8_33,
    }
    odd = replace(nothing_due, totals=replace(gross, gross=D("0.01")))
    assert booked(statement_draft(odd)).items() >= {"receivable": 1, "rounding": -1}.items()


def test_a_draft_is_not_booked() -> None:
    with pytest.raises(ValueError, match="is not issued"):
        statement_draft(replace(made_statement(), issued_on=None))


def test_a_payment_beyond_what_is_owed_is_prepaid() -> None:
    paid = payment_draft("Ada", 50_00, "EUR", "R", date(2026, 11, 5), None)
    assert booked(paid, 30_00) == {"receivable": -30_00, "prepaid": -20_00, "cash": 50_00}
    assert [each.amount for each in customers_side(-5, -5)] == []


def test_the_chain_covers_all_that_is_said() -> None:
    entry, postings = entry_of(payment_draft("Ada", 1, "EUR", "R", date(2026, 11, 5), None), 1, 0, AT, "ann")
    links = {link(GENESIS, entry, postings), link(b"\1" * 32, entry, postings)}
    changed = {"number": 2, "account": "Bea", "text": "", "booked_by": "bob", "due_on": date(2026, 1, 1), "balance": 0}
    links |= {link(GENESIS, replace(entry, **{name: value}), postings) for name, value in changed.items()}  # type: ignore[arg-type]
    links.add(link(GENESIS, entry, (Posting("cash", 1),)))
    assert len(links) == 9


@pytest.mark.parametrize(
    ("amount", "currency", "whole"), [("12.34", "EUR", 1234), ("12", "JPY", 12), ("1.234", "KWD", 1234)]
)
def test_minor_units(amount: str, currency: str, whole: int) -> None:
    assert minor(D(amount), currency, "x") == whole
    assert major(whole, currency) == D(amount)


@pytest.mark.parametrize(("amount", "currency"), [("0.001", "EUR"), ("0.5", "JPY"), ("NaN", "EUR"), ("1e30", "EUR")])
def test_no_such_amount(amount: str, currency: str) -> None:
    with pytest.raises(InvalidInput):
        minor(D(amount), currency, "x")


# 1 % a month and 2.50, at least 5.00: the table in docs/ledger.md. Of yen 1.5 % and nothing else, half up.
@pytest.mark.parametrize(
    ("currency", "still_open", "fee"), [("EUR", 1000_00, 12_50), ("EUR", 100_00, 5_00), ("JPY", 150, 2), ("JPY", 10, 0)]
)
def test_late_fee(currency: str, still_open: int, fee: int) -> None:
    percent = D(1) if currency == "EUR" else D("1.0")
    rule = LateFees(percent, {"EUR": D("2.50")}, {"EUR": D("5.00")}, 14)
    assert late_fee(rule, still_open, currency) == fee


def test_stages_and_months() -> None:
    stages = [Stage("a", 7, {}), Stage("b", 21, {})]
    assert [stage and stage.name for stage in (stage_after(stages, days) for days in (6, 7, 20, 21, 99))] == [
        None,
        "a",
        "a",
        "b",
        "b",
    ]
    assert [end_of(month) for month in ("2026-11", "2026-12", "2028-02")] == [
        date(2026, 11, 30),
        date(2026, 12, 31),
        date(2028, 2, 29),
    ]


HEAD = "reference,amount,currency,date,account,statement"


def test_a_file_of_payments() -> None:
    lines = ["\ufeff" + HEAD, "R1, 12.30 ,EUR,2026-11-05,Ada,", "", '"R 2  x",1,JPY,2026-11-06,,S-1']
    one, two = read_payments(lines, "bank.csv")
    assert (one.account, one.statement, one.amount, one.reference, one.on) == (
        "Ada",
        None,
        1230,
        "R1",
        date(2026, 11, 5),
    )
    assert (two.account, two.statement, two.amount, two.reference, two.where) == (
        None,
        "S-1",
        1,
        "R 2 x",
        "bank.csv line 4",
    )
    assert read_payments([HEAD], "bank.csv") == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("R,12.30,EUR,2026-11-05,,", "neither account nor statement"),
        ("R,12.345,EUR,2026-11-05,Ada,", "at most 2 decimal places"),
        ("R,0,EUR,2026-11-05,Ada,", "an amount above 0"),
        ("R,-1,EUR,2026-11-05,Ada,", "an amount above 0"),
        ('R,"12,30",EUR,2026-11-05,Ada,', "an amount such as 12.34"),
        ("R,nan,EUR,2026-11-05,Ada,", "an amount such as 12.34"),
        ("R,1e40,EUR,2026-11-05,Ada,", "an amount such as 12.34"),
        ("R,12.30,EURO,2026-11-05,Ada,", "a currency of ISO 4217"),
        ("R,12.30,EUR,05.11.2026,Ada,", "a day such as"),
        ("R,12.30,EUR,,Ada,", "no date"),
        (",12.30,EUR,2026-11-05,Ada,", "the payment's reference"),
        ("R,12.30,EUR,2026-11-05,Ada", "found 5 columns, expected 6"),
        ('R,12.30,EUR,2026-11-05,Ada,"', "neither"),
    ],
)
def test_a_wrong_line_is_named(line: str, complaint: str) -> None:
    if complaint == "neither":  # an open quote is closed by the end of the file
        assert read_payments([HEAD, line], "bank.csv")[0].statement is None
        return
    with pytest.raises(InvalidInput, match=complaint) as wrong:
        read_payments([HEAD, line], "bank.csv")
    assert wrong.value.where == "bank.csv line 2"


@pytest.mark.parametrize("head", ["", "reference,amount,currency,date", "reference,amount,currency,date,account,iban"])
def test_a_file_without_its_columns(head: str) -> None:
    with pytest.raises(InvalidInput, match="line 1"):
        read_payments([head], "bank.csv")


def test_a_reference_is_one_line() -> None:
    given = {"account": "Ada", "statement": "", "amount": "1", "currency": "EUR", "on": ""}
    assert payment_of("x", reference=" a\n b ", **given).reference == "a b"
    with pytest.raises(InvalidInput):
        payment_of("x", reference="a\0b", **given)
