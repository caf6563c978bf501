"""Whatever happens to a town, and in whatever order it is billed: every local day of every agreement is billed once."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select

from headend.billing.agreements import Agreement, group_in, in_force, period_at
from headend.billing.approval import approve, issue
from headend.billing.budgets import Plan
from headend.billing.correcting import make_corrections, withdraw
from headend.billing.corrections import Way
from headend.billing.cycle import BillCycle, CycleScope, CycleState
from headend.billing.deciding import Which, confirm, exclude, hold, include, release, reopen
from headend.billing.groups import MONTHLY
from headend.billing.review import FindingState, Limits, ReviewRules
from headend.billing.run import rate_cycle
from headend.billing.statement import Statement, parse_statement, sha256
from headend.errors import BillingConflict, HeadendError, NotFound
from headend.process.budgeting import end_plan, set_plan, settle
from headend.reads.days import midnight, next_period
from headend.registry.changes import Clerk
from headend.registry.contracts import Held, change_tariff, move_in, move_out
from headend.registry.exchange import NewMeter, exchange_meter
from headend.registry.grouping import assign, change_dates
from headend.registry.members import billing_groups
from headend.registry.registry import agreements
from headend.registry.site_file import AccountRow
from headend.store import books, budgets
from headend.store import tables as t
from headend.store.ledger import SqlLedger
from tests.billing.town import BERLIN, IMPORT, Town

ZONE = ZoneInfo(BERLIN)
FIRST, LAST = date(2026, 8, 1), date(2027, 1, 31)
TARIFFS = ("flat", "changing", "tiered")
#: Every month a period may be called by, and some more.
PERIODS = tuple(f"{2026 + n // 12}-{n % 12 + 1:02}" for n in range(7, 16))
PLACES = 3
#: Stands for the town's tariffs.
BOOK = object()


@dataclass
class History:
    """A town that things happen to, one day after another.

    Parameters
    ----------
    hourly
        what a meter measures in each hour of a UTC day [Wh]: the truth that bills are held against.
    read
        where it was another value in one hour.
    hung
        at which usage point each meter hung from when to when.
    finals, gone
        who moved out, when, and wants a final bill; who moved out and may come back.
    """

    town: Town
    dice: random.Random
    hourly: dict[str, list[int]] = field(default_factory=dict)
    read: dict[tuple[str, datetime], int] = field(default_factory=dict)
    hung: list[tuple[str, str, datetime, datetime]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    made: int = 0
    finals: list[tuple[date, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    @property
    def today(self) -> date:
        return self.town.now.astimezone(ZONE).date()

    def a_day(self) -> date:
        """A local day about now."""
        return max(self.today + timedelta(days=self.dice.randint(-40, 40)), FIRST)

    def measures(self, name: str, place: int, since: datetime) -> None:
        """What a meter measures from now on."""
        self.hourly[name] = [self.dice.randint(400, 600) for _ in range(24)]
        self.town.reads(name, self.hourly[name], first=FIRST - timedelta(days=2), last=LAST + timedelta(days=60))
        self.hung.append((name, f"UP-{place}", since, datetime(2100, 1, 1, tzinfo=UTC)))

    def move_in(self, place: int, since: date) -> None:
        """Somebody new, or who lived in the town before."""
        self.made += 1
        account = self.dice.choice([f"A-{self.made}"] * 3 + self.gone)
        tariff = self.dice.choice(TARIFFS)
        held = Held(account, f"UP-{place}", "electricity", tariff, since)
        new = None if account in self.gone else AccountRow(id=account, name=f"{account} & Sons")
        if self.does(f"{account} moves in at {place} on {since} by {tariff}", move_in, BOOK, held, new=new):
            self.gone = [each for each in self.gone if each != account]

    def does(self, what: str, change: Callable[..., object], *told: Any, **also: Any) -> bool:
        """Whether the registry takes a change; it refuses what is billed or does not fit."""
        clerk = Clerk("dora", self.town.now)
        try:
            with self.town.database.write() as tx:
                change(tx, *[self.town.site.tariffs if each is BOOK else each for each in told], clerk, **also)
        except HeadendError as refused:
            self.told.append(f"{self.today}: not {what}: {refused}")
            return False
        self.told.append(f"{self.today}: {what}")
        return True

    # ---- what happens -----------------------------------------------------------------------------------------------

    def move(self) -> None:
        """Somebody moves out, and perhaps somebody in."""
        if (its := self._open()) is None:
            return
        place, end = (its.account.id, its.usage_point), self.a_day()
        if not self.does(f"{its.account.id} moves out on {end}", move_out, BOOK, place, end):
            return
        self.gone.append(its.account.id)
        if self.dice.random() < 0.5:
            self.finals.append((end, its.account.id))
        if self.dice.random() < 0.8:
            self.move_in(int(its.usage_point[3:]), end + timedelta(days=self.dice.choice([0, 0, 3, 20])))

    def correct(self) -> None:
        """A read of a day long past comes out otherwise, and perhaps what was billed of it is corrected."""
        meter = self.dice.choice(sorted(self.hourly))
        hour = datetime.combine(FIRST, time(), UTC) + timedelta(hours=self.dice.randrange(24 * 180))
        self.read[meter, hour] = self.dice.randint(400, 600)
        self.town.set(meter, hour, values=self.read[meter, hour])
        with self.town.database.read() as tx:
            ids = tx.execute(select(t.statement.c.id).where(t.statement.c.state == "issued")).scalars().all()
        some = self.dice.sample(sorted(ids), min(len(ids), self.dice.randint(1, 3)))
        way = self.dice.choice([Way.REBILL, Way.REBILL, Way.DIFFERENCE, Way.CANCEL])
        self.correction(some, way)

    def correction(self, some: Sequence[str], way: Way) -> None:
        try:
            made = make_corrections(self.town.office, some, way, "read again", "ann")
        except HeadendError as refused:
            self.told.append(f"{self.today}: not {way} {some}: {refused}")
            return
        for each in made:
            self.told.append(f"{self.today}: {way} {some} in {each.period}/{each.cycle}")
            if self.dice.random() < 0.8 or self.today > LAST:
                self.take(each.period, each.cycle)

    def take(self, period: str, name: str) -> None:
        """Approve and issue what is rated; what has changed since is withdrawn or rated again first."""
        try:
            with self.town.database.read() as tx:
                its = SqlLedger(tx).cycle(name, period)
            assert its is not None
            if its.state == CycleState.RATED:
                if not its.scope.correction:
                    rate_cycle(self.town.office, period, name, "ann")
                    self.decide(period, name)
                approve(self.town.office, period, name, "ann")
            issue(self.town.office, period, name, "bob")
        except HeadendError as refused:
            self.told.append(f"{self.today}: not {period}/{name}: {refused}")
            if its is not None and its.scope.correction:
                withdraw(self.town.office, period, name, "ann")
                self.told.append(f"{self.today}: {period}/{name} withdrawn")
        else:
            self.told.append(f"{self.today}: {period}/{name} issued")

    def plan(self) -> None:
        """An account pays by instalments from a period on, or no more."""
        with self.town.database.read() as tx:
            account = self.dice.choice(sorted({each.account.id for each in agreements(tx)}))
        since = self.dice.choice([period for period in PERIODS if period >= f"{self.today:%Y-%m}"] or PERIODS[-1:])
        try:
            if self.dice.random() < 0.3:
                end_plan(self.town.site, account, since, "ann")
            else:
                amount = Decimal(self.dice.randint(20, 250))
                set_plan(self.town.site, account, Plan(since, amount, "EUR", self.dice.randint(1, 12)), "ann")
        except HeadendError as refused:
            self.told.append(f"{self.today}: no plan of {account} from {since}: {refused}")
        else:
            self.told.append(f"{self.today}: plan of {account} from {since}")

    def settle_budget(self) -> None:
        """What is left of a plan is settled in the books, where no bill follows."""
        with self.town.database.read() as tx:
            left = sorted({account for account, _ in budgets.balances(tx)})
        for account in left[:1]:
            try:
                settle(self.town.site, account, "ann")
            except BillingConflict as refused:
                self.told.append(f"{self.today}: {account} not settled: {refused}")
            else:
                self.told.append(f"{self.today}: {account} settled")

    def decide(self, period: str, name: str) -> None:
        """What was found in a cycle is released, with a second person where it takes one, or held; or it waits."""
        office, is_over = self.town.office, self.today > LAST
        for code, account in sorted({(one.code, one.account) for one in self.found(period, name, FindingState.HELD)}):
            if is_over:
                reopen(office, period, name, "ann", Which(account, code), "it is time")
        for one in self.found(period, name, FindingState.OPEN):
            chance = 0 if is_over else self.dice.random()
            if chance < 0.95:
                what = release if chance < 0.7 else hold
                what(office, period, name, "ann", Which(one.account, one.code), "looked at")
                self.told.append(f"{self.today}: {period}/{name} {what.__name__} {one.told}")
        for one in self.found(period, name, FindingState.WAITING):
            if is_over or self.dice.random() < 0.9:
                confirm(office, period, name, "bob", Which(one.account, one.code))

    def found(self, period: str, name: str, state: FindingState) -> Sequence[Any]:
        with self.town.database.read() as tx:
            cycle = SqlLedger(tx).cycle(name, period)
            assert cycle is not None
            return self.town.office.reviews(tx).findings(cycle, states=(state,))

    def leave_out(self) -> None:
        """An account is left out of a cycle, or taken in again."""
        with self.town.database.read() as tx:
            cycles = [each for each in SqlLedger(tx).cycles() if not each.scope.correction]
            accounts = sorted({each.account.id for each in agreements(tx)})
        if not cycles:
            return
        its, account = self.dice.choice(sorted(cycles, key=lambda each: each.id)), self.dice.choice(accounts)
        try:
            if self.dice.random() < 0.7:
                exclude(self.town.office, its.period, its.name, account, "ann", "in dispute")
            else:
                include(self.town.office, its.period, its.name, account, "ann")
        except HeadendError as refused:
            self.told.append(f"{self.today}: {account} not left out of {its.id}: {refused}")
        else:
            self.told.append(f"{self.today}: {account} left out of {its.id}, or taken in again")

    def take_all_in(self) -> None:
        """Whoever is left out of a cycle that is not approved is not any more."""
        with self.town.database.read() as tx:
            rows = tx.execute(select(t.bill_exclusion.c.cycle_id, t.bill_exclusion.c.account_id)).all()
            cycles = {each.id: each for each in SqlLedger(tx).cycles()}
        for cycle_id, account in sorted(tuple(row) for row in rows):
            its = cycles[cycle_id]
            if its.state in (CycleState.RATED, CycleState.ISSUED):
                include(self.town.office, its.period, its.name, account, "ann")

    def settle(self) -> None:
        """Somebody moves in, perhaps where there is no room."""
        self.move_in(self.dice.randrange(PLACES), self.a_day())

    def change_tariff(self) -> None:
        if (its := self._open()) is None:
            return
        tariff, day = self.dice.choice(TARIFFS), self.a_day()
        place = its.account.id, its.usage_point
        self.does(f"{its.account.id} has {tariff} from {day}", change_tariff, BOOK, place, tariff, day)

    def exchange(self) -> None:
        place = self.dice.randrange(PLACES)
        at = datetime.combine(self.today - timedelta(days=self.dice.randint(1, 40)), time(self.dice.randrange(24)), UTC)
        which = next(each for each in self.hung if each[1] == f"UP-{place}" and each[3] > self.town.now)
        new = f"E-{len(self.hourly)}"
        if self.does(f"{new} for {which[0]} at {place}, {at}", exchange_meter, which[0], NewMeter(new), at):
            self.hung[self.hung.index(which)] = (*which[:3], at)
            self.measures(new, place, at)

    def change_group(self) -> None:
        with self.town.database.read() as tx:
            account = self.dice.choice(sorted({each.account.id for each in agreements(tx)}))
            to = self.dice.choice([*billing_groups(tx), MONTHLY])
        since = self.a_day()
        self.does(f"{account} is in group {to} from {since}", assign, account, to, since)

    def read_on_another_day(self) -> None:
        period = self.dice.choice(PERIODS)
        day = date.fromisoformat(f"{period}-{self.dice.randint(2, 28):02}")
        self.does(f"read is read on {day}", change_dates, "read", {period: day})

    def bill(self) -> None:
        """A cycle of any kind, as far as it comes."""
        with self.town.database.read() as tx:
            groups, accounts = billing_groups(tx), sorted({each.account.id for each in agreements(tx)})
        begun = [period for period in PERIODS if period <= next_period(f"{self.today:%Y-%m}")]
        group, period = self.dice.choice([*groups, MONTHLY]), self.dice.choice(begun)
        some = tuple(self.dice.sample(accounts, self.dice.randint(1, len(accounts))))
        scope = self.dice.choice(
            [CycleScope(group), CycleScope(group), CycleScope(group, some), CycleScope(group, final=True)]
        )
        self.cycle(period, scope, self.dice.choice(["issue", "issue", "rate", "approve"]))

    def final_bills(self) -> None:
        """Who moved out and asked for it is billed as soon as their days are over."""
        for end, account in [each for each in self.finals if each[0] < self.today]:
            self.finals.remove((end, account))
            with self.town.database.read() as tx:
                those = agreements(tx, account=account)
            if not those:  # It moved out on the day it moved in: it never had a day.
                continue
            its = those[0]
            period = period_at(its.account, end - timedelta(days=1))
            self.cycle(period, CycleScope(group_in(its.account, period).name, final=True))

    def cycle(self, period: str, scope: CycleScope, far: str = "issue") -> None:
        self.made += 1
        name = f"c{self.made}"
        try:
            rate_cycle(self.town.office, period, name, "ann", scope)
            self.decide(period, name)
            if far in ("approve", "issue"):
                approve(self.town.office, period, name, "ann")
            if far == "issue":
                issue(self.town.office, period, name, "bob")
        except (BillingConflict, NotFound) as refused:
            self.told.append(f"{self.today}: {period}/{name} {scope}: {refused}")
        else:
            self.told.append(f"{self.today}: {period}/{name} {scope} {far}d")
            if far != "rate":
                self.check_named(period, name)

    def check_named(self, period: str, name: str) -> None:
        """Whoever has days that a cycle bills is billed, or named: as an exception, or left out by somebody."""
        e, x, s, c = t.bill_exception.c, t.bill_exclusion.c, t.statement.c, t.bill_cycle.c
        with self.town.database.read() as tx:
            cycle = SqlLedger(tx).cycle(name, period)
            assert cycle is not None
            its = cycle.scope
            if its.final:
                return
            of_period = select(c.id).where(c.period == period)
            billed = set(tx.execute(select(s.account_id).where(s.cycle_id == cycle.id)).scalars())
            elsewhere = set(
                tx.execute(select(s.account_id).where(s.period == period, s.cycle_id != cycle.id)).scalars()
            )
            excepted = set(tx.execute(select(e.account_id).where(e.cycle_id == cycle.id)).scalars())
            out = select(x.account_id).where(x.cycle_id == cycle.id if its.accounts else x.cycle_id.in_(of_period))
            left_out = set(tx.execute(out).scalars())
            held = set(self.town.office.reviews(tx).held(cycle))
            every = agreements(tx)
        due = {
            each.account.id
            for each in every
            if in_force(each, period) is not None and group_in(each.account, period).name == its.group
            if not its.accounts or each.account.id in its.accounts
        }
        assert due <= billed | elsewhere | excepted | left_out
        assert not billed & (excepted | left_out | held)
        assert held - left_out <= excepted
        assert cycle.totals.billed == len(billed)
        assert cycle.totals.excepted == len(excepted)

    def take_up(self) -> None:
        """Go on with a cycle that was left."""
        if left := self.left():
            its = self.dice.choice(left)
            self.take(its.period, its.name)

    def left(self) -> list[BillCycle]:
        """Cycles that are rated or approved."""
        with self.town.database.read() as tx:
            its = [each for each in SqlLedger(tx).cycles() if each.state in (CycleState.RATED, CycleState.APPROVED)]
        return sorted(its, key=lambda each: (each.period, each.scope.correction, each.name))

    # ---- what is known ----------------------------------------------------------------------------------------------

    def still_there(self) -> Agreement | None:
        """An agreement that does not end by today."""
        with self.town.database.read() as tx:
            found = [each for each in agreements(tx) if (each.valid_to or date.max) > max(self.today, each.valid_from)]
        return min(found, key=lambda each: each.valid_from, default=None)

    def _open(self) -> Agreement | None:
        with self.town.database.read() as tx:
            found = [each for each in agreements(tx) if each.valid_to is None]
        return self.dice.choice(found) if found else None


def begin(folder: Path, seed: int) -> History:
    """Three places, each with a meter and somebody who lives there, and two groups beside the monthly one."""
    town = Town(folder)
    dice = random.Random(seed)
    town.now = datetime(2026, 8, 20, 9, tzinfo=UTC)
    limit, second = dice.choice([(0, 0), (60, 0), (120, 150), (150, 160)])
    rules = ReviewRules(Limits(over_limit={"residential": {"EUR": Decimal(limit)}}), {"EUR": Decimal(second)})
    town.office = replace(town.office, review=rules)
    history = History(town, dice)
    with town.database.write() as tx:
        tx.execute(
            insert(t.billing_group),
            [{"name": "mid", "first_day": dice.randint(2, 28)}, {"name": "read", "first_day": 1}],
        )
        tx.execute(
            insert(t.reading_date),
            [
                {"group_name": "read", "period": period, "read_on": f"{period}-{dice.randint(2, 28):02}"}
                for period in dice.sample(PERIODS, 4)
            ],
        )
    for place in range(PLACES):
        since = datetime(2025, 1, 1, tzinfo=UTC)
        town.meter(f"E-{place}", f"{place}", IMPORT, installed=since)
        history.measures(f"E-{place}", place, since)
        history.move_in(place, FIRST + timedelta(days=dice.choice([0, 0, 5, 40])))
    return history


def live(history: History) -> None:
    """Things happen until the end, and then everything that is left is billed."""
    dice = history.dice
    while history.today < LAST:
        what = dice.choice(
            [
                history.move,
                history.settle,
                history.change_tariff,
                history.exchange,
                history.change_group,
                history.read_on_another_day,
                history.take_up,
                history.correct,
                history.correct,
                history.plan,
                history.settle_budget,
                history.leave_out,
                history.leave_out,
            ]
            + [history.bill] * 5
        )
        what()
        history.final_bills()
        history.town.now += timedelta(days=dice.choice([0, 0, 1, 4, 9]), hours=1)
    # Whoever is still there goes on the same day; whoever was to come does not.
    while its := history.still_there():
        place = its.account.id, its.usage_point
        assert history.does(f"{place[0]} goes", move_out, BOOK, place, max(history.today, its.valid_from))
    history.town.now = datetime(2027, 5, 1, 9, tzinfo=UTC)
    history.take_all_in()
    for its in history.left():
        history.take(its.period, its.name)
    # Who was left out of what was approved then.
    history.take_all_in()
    with history.town.database.read() as tx:
        groups = [*billing_groups(tx), MONTHLY]
    for period in PERIODS:
        for group in groups:
            history.cycle(period, CycleScope(group))
    # What was corrected meanwhile is right again once everything that stands is.
    with history.town.database.read() as tx:
        documents = [parse_statement(each) for each in tx.execute(select(t.statement.c.document)).scalars()]
    for its in sorted(standing(documents), key=lambda each: each.period):
        history.correction([its.id], history.dice.choice([Way.REBILL, Way.DIFFERENCE]))
    for its in history.left():
        history.take(its.period, its.name)
    assert not history.left()
    with history.town.database.read() as tx:
        left = sorted({account for account, _ in budgets.balances(tx)})
    for account in left:
        settle(history.town.site, account, "ann")


def check(history: History) -> None:
    """Hold what was billed against what happened, counted apart from billing."""
    town = history.town
    with town.database.read() as tx:
        ledger = SqlLedger(tx)
        every = agreements(tx)
        cycles = ledger.cycles()
        kept = [each for cycle in cycles for each in ledger.statements(cycle)]
        books.verify(tx)
        entries = books.entries_of(tx, sorted({each.account.id for each in every}))
    statements = [parse_statement(each.document) for each in kept]
    assert all(each.state == "issued" for each in kept)
    _check_days(every, statements)
    _check_energy(history, every, statements)
    _check_money(statements, entries)
    _check_chains(kept, statements)
    for cycle in cycles:
        its = [each for each in statements if (each.period, each.cycle) == (cycle.period, cycle.name)]
        # A cancellation and the bill in its place are two documents of one account.
        assert (cycle.id, cycle.totals.billed) == (cycle.id, len({each.customer.account for each in its}))
        assert cycle.totals.money.get("EUR", Decimal(0)) == sum(each.totals.gross for each in its)


def signed(statement: Statement, by_id: Mapping[str, Statement]) -> int:
    """How often a statement's days count; a cancellation takes them back, a difference bills none anew."""
    if statement.kind == "cancellation":
        assert statement.corrects is not None
        return -signed(by_id[statement.corrects.id], by_id)
    return 0 if statement.kind == "difference" else 1


def standing(statements: Sequence[Statement]) -> list[Statement]:
    """The newest document of each account and period that is not taken back."""
    newest: dict[tuple[str, str], list[Statement]] = defaultdict(list)
    for its in sorted(statements, key=lambda each: each.revision):
        told = newest[its.customer.account, its.period]
        if its.kind == "cancellation":
            told[:] = [each for each in told if its.corrects is None or each.id != its.corrects.id]
        else:
            told.append(its)
    return [told[-1] for told in newest.values() if told]


def _check_days(every: list[Agreement], statements: list[Statement]) -> None:
    billed: dict[str, Counter[date]] = defaultdict(Counter)
    by_id = {statement.id: statement for statement in statements}
    stand = {statement.id for statement in standing(statements)}
    for statement in statements:
        for segment in statement.segments:
            for use in segment.daily:
                billed[segment.agreement][use.day] += signed(statement, by_id)
                # What was taken back was billed by the reading dates of then.
                assert statement.id not in stand or statement.period == (
                    period_at(next(e.account for e in every if e.id == segment.agreement), use.day)
                )
    for agreement in every:
        assert agreement.valid_to is not None
        lasts = (agreement.valid_to - agreement.valid_from).days
        its_days = [agreement.valid_from + timedelta(days=day) for day in range(lasts)]
        assert billed.pop(agreement.id, Counter()) == Counter(its_days), agreement.id
    assert not billed


def _check_energy(history: History, every: list[Agreement], statements: list[Statement]) -> None:
    billed: Counter[str] = Counter()
    for statement in standing(statements):
        for segment in statement.segments:
            billed[segment.agreement] += int(segment.usage * 1000)
    for agreement in every:
        stored, hour = 0, midnight(agreement.valid_from, ZONE)
        while hour < midnight(agreement.valid_to or date.max, ZONE):
            stored += sum(
                history.read.get((meter, hour), history.hourly[meter][hour.hour])
                for meter, place, since, until in history.hung
                if place == agreement.usage_point and since <= hour < until
            )
            hour += timedelta(hours=1)
        assert billed[agreement.id] == stored, agreement.id


def _check_money(statements: list[Statement], entries: list) -> None:
    owed: Counter[str] = Counter()
    billed: Counter[str] = Counter()
    for statement in statements:
        lines = [line for segment in statement.segments for line in segment.lines if not line.included]
        assert sum(line.amount for line in lines) == statement.totals.gross
        owed[statement.customer.account] += int(statement.due * 100)
        billed[statement.customer.account] += int(statement.totals.gross * 100)
        if statement.budget is not None:
            assert statement.budget.does_not_add_up(statement.totals.gross) is None
    booked: Counter[str] = Counter()
    for entry in entries:
        booked[entry.account] += entry.change
    settled = [entry for entry in entries if entry.kind == "settlement"]
    for entry in settled:
        owed[entry.account] += entry.change
    assert booked == owed
    # Whoever has gone has been asked for all that they were billed.
    assert booked == billed


def _check_chains(kept: list, statements: list[Statement]) -> None:
    links = {each.sha256: statement for each, statement in zip(kept, statements, strict=True)}
    assert all(sha256(each.document) == each.sha256 for each in kept)
    followers = Counter(statement.previous_sha256 for statement in statements if statement.previous_sha256)
    assert set(followers) <= set(links)
    assert set(followers.values()) <= {1}
    first = Counter(each.customer.account for each in statements if each.previous_sha256 is None)
    assert set(first.values()) <= {1}
    for statement in statements:
        if statement.previous_sha256:
            assert links[statement.previous_sha256].customer.account == statement.customer.account


@pytest.mark.parametrize("seed", range(4))
def test_every_day_of_a_random_history_is_billed_once(tmp_path: Path, seed: int) -> None:
    history = begin(tmp_path, seed)
    live(history)
    try:
        check(history)
    except AssertionError:
        print(*history.told, sep="\n")
        raise


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*range(100, 130), 212])
def test_every_day_of_many_random_histories_is_billed_once(tmp_path: Path, seed: int) -> None:
    test_every_day_of_a_random_history_is_billed_once(tmp_path, seed)
