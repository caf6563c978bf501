"""Whatever happens to accounts, in whatever order: the books' invariants, on random histories."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from headend.billing.approval import issue as issue_cycle
from headend.billing.books.bankfile import Payment
from headend.billing.books.position import positions
from headend.billing.cycle import CycleState
from headend.errors import BillingConflict, HeadendError, StoreBroken
from headend.process.bookkeeping import charge_late_fees, pay, refund, remind, reverse, write_off
from headend.store.books import book_missing, entries_of, journal, verify
from headend.store.ledger import SqlLedger
from headend.store.tables import book_entry, book_posting
from tests.billing.town import Town
from tests.books.conftest import Issue

FIRST = date(2026, 1, 15)


@dataclass
class Owed:
    """What a child would write down: what each account owes, from nothing but what was done."""

    balance: Counter[tuple[str, str]] = field(default_factory=Counter)
    payments: dict[str, Payment] = field(default_factory=dict)


def step(town: Town, issue: Issue, dice: random.Random, owed: Owed, n: int) -> None:
    day = town.now.date()
    account, currency = dice.choice(["Ada", "Bea"]), dice.choice(["EUR", "EUR", "JPY"])
    amount = dice.randint(1, 30_000)
    what = dice.choice(["bill", "bill", "pay", "pay", "again", "reverse", "write_off", "refund", "fees", "remind"])
    if what == "bill":
        signed = -amount if dice.random() < 0.2 else amount
        told = str(signed) if currency == "JPY" else f"{signed / 100:.2f}"
        issue(account, told, day + timedelta(days=14), period=f"{2026 + n // 12}-{n % 12 + 1:02}", currency=currency)
        owed.balance[account, currency] += signed
    elif what == "pay":
        on = day - timedelta(days=dice.randint(0, 20))
        payment = Payment("test", account, None, amount, currency, f"R{n}", on)
        if any(key[0] == account for key in owed.balance) and (account, currency) not in owed.balance:
            return
        pay(town.site, [payment, payment], "ann")
        owed.payments[payment.reference] = payment
        owed.balance[account, currency] -= amount
    elif what == "again" and owed.payments:
        payment = dice.choice(list(owed.payments.values()))
        try:
            assert pay(town.site, [payment], "bob").new == []
        except BillingConflict as conflict:
            assert "was reversed" in str(conflict)  # noqa: PT017
    else:
        other(town, dice, owed, what, account, currency, amount, n)


def other(
    town: Town, dice: random.Random, owed: Owed, what: str, account: str, currency: str, amount: int, n: int
) -> None:
    with town.database.read() as tx:
        mine = entries_of(tx, [account])
    key = account, currency
    if what == "reverse" and mine:
        entry = dice.choice(mine)
        try:
            reverse(town.site, entry.number, "by mistake", "ann")
        except BillingConflict:
            return
        assert entry.kind in ("payment", "fee", "write_off", "refund")
        owed.balance[account, entry.currency] -= entry.change
    elif what == "write_off" and mine:
        entry = dice.choice(mine)
        try:
            owed.balance[account, entry.currency] += write_off(town.site, entry.reference, "gone", "ann").change
        except HeadendError:
            return
    elif what == "refund":
        given = Payment("test", account, None, amount, currency, f"B{n}", None)
        try:
            refund(town.site, given, "ann")
        except HeadendError:
            assert amount > -owed.balance[key]
            return
        assert amount <= -owed.balance[key]
        owed.balance[key] += amount
    elif what == "fees":
        last_month = (town.now.date().replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
        for draft in charge_late_fees(town.site, last_month, "job"):
            owed.balance[draft.account, draft.currency] += draft.change
        assert charge_late_fees(town.site, last_month, "job") == []
    elif what == "remind":
        remind(town.site, "ann")
        with town.database.read() as tx:
            for entry in entries_of(tx, ["Ada", "Bea"]):
                if entry.source.startswith("dunning:") and entry.booked_at == town.now:
                    owed.balance[entry.account, entry.currency] += entry.change
        assert all(not one.due for one in remind(town.site, "ann"))


def check(town: Town, owed: Owed) -> None:
    day = town.now.date() + timedelta(days=20)
    sums: Counter[tuple[str, str]] = Counter()
    sides: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    with town.database.read() as tx:
        verify(tx)
        for entry, postings in journal(tx, date.min, date.max):
            assert sum(posting.amount for posting in postings) == 0
            for posting in postings:
                sums[entry.currency, posting.code] += posting.amount
                if posting.code in ("receivable", "prepaid"):
                    sides[entry.account, entry.currency][posting.code] += posting.amount
        standing = positions(entries_of(tx, ["Ada", "Bea"]), day)
        sources = tx.execute(select(book_entry.c.source)).scalars().all()
    assert len(set(sources)) == len(sources)
    for currency in ("EUR", "JPY"):
        assert sum(amount for (its, _), amount in sums.items() if its == currency) == 0
    for one in standing:
        key = one.account, one.currency
        # What was billed, charged and paid out, less what was paid: counted apart from the books.
        assert one.balance == owed.balance[key]
        assert sides[key]["receivable"] == max(one.balance, 0)
        assert sides[key]["prepaid"] == min(one.balance, 0)
        assert sum(item.open for item in one.items) - one.prepaid == one.balance
        assert min(sum(item.open for item in one.items), one.prepaid) == 0
        for item in one.items:
            assert 0 <= item.open == item.entry.change - sum(part for _, part in item.paid_by)
            assert all(part > 0 for _, part in item.paid_by)


@pytest.mark.parametrize("seed", range(8))
def test_invariants_of_a_random_history(town: Town, issue: Issue, seed: int) -> None:
    settings = town.site.settings
    fees = settings.late_fees.model_copy(update={"percent_per_month": Decimal("1.5"), "grace_days": 5})
    stages = tuple(stage.model_copy(update={"fee": {"EUR": Decimal(5)}}) for stage in settings.dunning)
    town.site = replace(town.site, settings=settings.model_copy(update={"late_fees": fees, "dunning": stages}))
    dice, owed = random.Random(seed), Owed()
    town.now = town.now.replace(year=2026, month=1, day=15)
    for n in range(30):
        town.now += timedelta(days=dice.randint(1, 20), seconds=1)
        step(town, issue, dice, owed, n)
    check(town, owed)


def test_what_is_booked_cannot_change(town: Town, issue: Issue) -> None:
    issue("Ada", "100.00", date(2026, 11, 17))
    for change in (
        "UPDATE book_entry SET text = 'x'",
        "DELETE FROM book_entry",
        "UPDATE book_posting SET amount = 0",
        "DELETE FROM book_posting",
    ):
        with pytest.raises(IntegrityError, match="what is booked does not change"), town.database.write() as tx:
            tx.execute(text(change))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE book_entry SET change = 1 WHERE number = 2", "entry 2 is not as it was booked"),
        ("UPDATE book_posting SET amount = amount * 2 WHERE entry = 1", "entry 1 is not as it was booked"),
        ("INSERT INTO book_posting VALUES (1, 9, 'cash', 0)", "entry 1 is not as it was booked"),
        ("DELETE FROM book_entry WHERE number = 2", "have no entry 2"),
        ("DELETE FROM book_entry WHERE number = 3", "statement Ada-2026-11-1 is issued and not booked"),
    ],
)
def test_who_goes_past_the_database_is_found_out(town: Town, issue: Issue, change: str, found: str) -> None:
    issue("Ada", "100.00", date(2026, 11, 17))
    pay(town.site, [Payment("test", "Ada", None, 100_00, "EUR", "R", None)], "ann")
    issue("Ada", "50.00", date(2026, 12, 17), period="2026-11")
    with town.database.read() as tx:
        assert verify(tx) == 3
    with town.database.write() as tx:
        for table in ("book_entry", "book_posting"):
            for what in ("update", "delete"):
                tx.execute(text(f"DROP TRIGGER {table}_{what}"))
        if change.startswith("DELETE"):
            tx.execute(text(change.replace("book_entry WHERE number", "book_posting WHERE entry")))
        tx.execute(text(change))
    with town.database.read() as tx, pytest.raises(StoreBroken, match=found):
        verify(tx)


def test_older_statements_are_booked_once(town: Town, issue: Issue) -> None:
    for n in range(3):
        issue("Ada", "10.00", date(2026, 11, 17 + n), period=f"2026-0{n + 1}", booked=False)
    with town.database.read() as tx, pytest.raises(StoreBroken, match="Ada-2026-01-1 is issued and not booked"):
        verify(tx)
    for expected in (3, 0):
        with town.database.write() as tx:
            assert book_missing(tx, town.now, "ann") == expected
    with town.database.read() as tx:
        assert verify(tx) == 3
        assert [entry.reference for entry in entries_of(tx, ["Ada"])] == [f"Ada-2026-0{n}-1" for n in (1, 2, 3)]


def test_a_cycle_is_booked_as_it_is_issued_and_ties_to_its_control_totals(tmp_path) -> None:
    town = Town(tmp_path / "billed")
    for name, tariff in (("Ada", "flat"), ("Bea", "tiered"), ("Cid", "solar")):
        town.account(name, {"tariff": tariff})
        town.meter(f"E-{name}", name, "1-0:1.8.0", "1-0:2.8.0")
        for channel in ("1-0:1.8.0", "1-0:2.8.0"):
            town.reads(f"E-{name}", channel=channel)
    statements = town.bill()
    with town.database.read() as tx:
        assert verify(tx) == len(statements) == 3
        told = list(journal(tx, date.min, date.max))
        against = -sum(
            posting.amount for _, postings in told for posting in postings if posting.code[:4] in ("reve", "tax:")
        )
        assert tx.execute(select(func.count()).select_from(book_posting)).scalar_one() > 6
    assert against == sum(int(one.totals.gross.scaleb(2)) for one in statements.values())
    assert {entry.account: entry.change for entry, _ in told} == {
        name: int(one.totals.gross.scaleb(2)) for name, one in statements.items()
    }
    assert {entry.booked_by for entry, _ in told} == {"bob"}
    town.database.close()


def test_nothing_is_booked_when_issue_is_killed(tmp_path, monkeypatch) -> None:
    """The books and the statements are one transaction."""
    town = Town(tmp_path / "killed")
    town.account("Ada", {"tariff": "flat"})
    town.meter("E-1", "Ada", "1-0:1.8.0")
    town.reads("E-1")

    def killed(self: object, cycle: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("headend.store.ledger.SqlLedger.keep_cycle", _issued_then(killed))
        with pytest.raises(KeyboardInterrupt):
            town.bill()
    with town.database.read() as tx:
        assert tx.execute(select(func.count()).select_from(book_entry)).scalar_one() == 0
    issue_cycle(town.office, "2026-10", "monthly", "bob")
    with town.database.read() as tx:
        assert verify(tx) == 1
    town.database.close()


def _issued_then(killed):
    usual = SqlLedger.keep_cycle

    def keep(self, cycle):
        return killed(self, cycle) if cycle.state == CycleState.ISSUED else usual(self, cycle)

    return keep
