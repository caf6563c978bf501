"""Verifying statements in the records: what was billed is put back, rated again and compared; then the same for today.

A digest proves what was billed: whichever state of the reads has it *is* what the statement rests on. So nothing here
trusts a clock, and there are two questions: does the statement come out of that, and would it today?
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import zip_longest
from typing import Any, Protocol

from headend.billing.again import Again, again_of
from headend.billing.agreements import Agreement, in_force
from headend.billing.backbilling import has_write_off, is_write_off, with_lines
from headend.billing.bundle.checking import Differs, told
from headend.billing.causes import causes_since
from headend.billing.corrections import cancellation_of, difference_comes_out, spans_of, tariffs_as_billed
from headend.billing.digests import ENGINE
from headend.billing.ports import AccountRange, Kept, Office, Records
from headend.billing.recount import (
    Evidence,
    FigureDiffers,
    LineCompared,
    figures_that_differ,
    lines_compared,
    rated_anew,
)
from headend.billing.segments import Rated, rate_agreements
from headend.billing.statement import Segment, Statement, Totals, canonical_json, parse_statement, sha256, totals_of
from headend.errors import BillingConflict, CannotRate, HeadendError, NotFound
from headend.tariffs import Tariff, TariffBook

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Link:
    """An issued statement of an account in its chain."""

    id: str
    sha256: str
    previous_sha256: str | None


@dataclass(frozen=True, slots=True)
class ReadChange:
    """An interval that is not as it was billed.

    Parameters
    ----------
    start_s
        its begin, UTC [s since 1970].
    before, now
        values [base units], and their quality codes.
    counted
        whether the bill counts it: the meter hung there.
    at, by
        when it changed, and what changed it first; None: the history does not tell.
    """

    meter: str
    channel: str
    start_s: int
    before: int
    quality_before: int
    now: int
    quality_now: int
    counted: bool
    at: datetime | None
    by: str | None


@dataclass(frozen=True, slots=True)
class PriceChange:
    """A published price that is not as it was billed; None: there was none, or is none."""

    series: str
    start_s: int
    end_s: int
    before: Decimal | None
    now: Decimal | None
    at: datetime | None
    by: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Billed:
    """What a segment was rated on.

    Parameters
    ----------
    proven
        whether it has the digests that the statement names; else it is what the history says of the moment of issue.
    reads, prices
        what is otherwise today.
    """

    evidence: Evidence
    proven: bool
    reads: Sequence[ReadChange] = ()
    prices: Sequence[PriceChange] = ()


class Past(Protocol):
    """What was, as one transaction sees it."""

    def kept(self, statement_id: str) -> Kept:
        """A statement; raises `NotFound`."""

    def issued(self, period: str) -> Sequence[str]:
        """Numbers of the issued statements of month `YYYY-MM`, by account."""

    def chain(self, account: str) -> Sequence[Link]:
        """The account's issued statements."""

    def tariff(self, digest: str) -> bytes | None:
        """Canonical JSON of a tariff version that bills were made by."""

    def parsed(self, document: bytes) -> Tariff:
        """The version of a kept document; raises `StoreBroken`."""

    def billed(self, statement: Statement, segment: Segment, tariff: Tariff) -> Billed:
        """What a segment was rated on; raises `CannotRate` where that is not there any more."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question, and its answer."""

    name: str
    ok: bool
    said: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of verifying a statement.

    Parameters
    ----------
    checks
        bytes, chain, tariff, as billed, today; in this order, up to the one that leaves no ground for the next.
    differs
        lines, figures and digests that come out otherwise *as billed*.
    causes
        why it would be another bill today, in words.
    reads, prices
        every interval and price that has changed since.
    again
        what it would come to today; None where that was not looked at.
    """

    id: str
    sha256: str
    checks: Sequence[Check]
    differs: Sequence[Differs] = ()
    causes: Sequence[str] = ()
    reads: Sequence[ReadChange] = ()
    prices: Sequence[PriceChange] = ()
    again: Again | None = None

    @property
    def identical(self) -> bool:
        """Whether everything is as the statement says, as billed and today."""
        return all(check.ok for check in self.checks)


def verify_statement(office: Office, past: Callable[[Any], Past], statement_id: str) -> Verified:
    """Verify one statement; raises `NotFound`."""
    with office.database.read() as tx:
        its = past(tx)
        return next(_verified(office, tx, its, [its.kept(statement_id)]))


def verify_period(
    office: Office, past: Callable[[Any], Past], period: str, watch: Callable[[int, int], None] = lambda *_: None
) -> Iterator[Verified]:
    """Verify every issued statement of a month, by account.

    Parameters
    ----------
    watch
        told how many are done, and of how many.
    """
    with office.database.read() as tx:
        ids = past(tx).issued(period)
    for first in range(0, len(ids), _AT_ONCE):
        with office.database.read() as tx:
            its = past(tx)
            some = [its.kept(each) for each in ids[first : first + _AT_ONCE]]
            for place, verified in enumerate(_verified(office, tx, its, some), first + 1):
                yield verified
                watch(place, len(ids))


def evidence_of(past: Past, kept: Kept) -> list[Evidence]:
    """What each segment of an issued statement was rated on, proven by its digests.

    Raises
    ------
    BillingConflict
        it is not issued, or what was billed is not there any more.
    """
    if kept.state != "issued":
        raise BillingConflict(f"statement {kept.id} is not issued yet: only issued statements have a bundle")
    statement = parse_statement(kept.document)
    if statement.corrects is not None and statement.kind != "rebill":
        raise BillingConflict(
            f"statement {kept.id} is a {statement.kind} and rests on {statement.corrects.id}: that has a bundle"
        )
    evidence = []
    for segment in statement.segments:
        document = past.tariff(segment.tariff.sha256)
        if document is None:
            raise BillingConflict(f"statement {kept.id}: tariff version {segment.tariff.sha256[:12]} is not kept")
        try:
            billed = past.billed(statement, segment, past.parsed(document))
        except CannotRate as error:
            raise BillingConflict(f"statement {kept.id}: {error}") from None
        if not billed.proven:
            raise BillingConflict(
                f"statement {kept.id}: the history does not give back the reads or prices of {segment.first} to"
                f" {segment.last} as they were billed"
            )
        evidence.append(billed.evidence)
    return evidence


def _verified(office: Office, tx: Any, past: Past, several: Sequence[Kept]) -> Iterator[Verified]:
    """Statements of one month; rated again at once."""
    records = office.records(tx)
    whole: dict[str, Statement] = {}
    for kept in several:
        if _bytes(kept).ok:
            whole[kept.id] = parse_statement(kept.document)
    todays: dict[str, list[Agreement]] = {}
    if len(several) == 1:
        for its in whole.values():
            todays[its.customer.account] = list(records.agreements(its.customer.account))
    else:
        for agreement in records.agreements_between(_accounts_of(several)):
            todays.setdefault(agreement.account.id, []).append(agreement)
    rated, problem = _rated_today(office, records, list(whole.values()), todays)
    for kept in several:
        statement = whole.get(kept.id)
        if statement is None:
            yield Verified(kept.id, sha256(kept.document), [_bytes(kept)])
        elif statement.kind == "cancellation":
            yield _cancellation(past, kept, statement)
        else:
            said = _said_before(past, statement)
            made = _rated_totals([*said, statement])
            anew = rated.get(kept.id)
            again = Again(made, None, problem) if anew is None else replace(again_of(statement, anew), made=made)
            yield _one(past, kept, statement, again, said)


def _accounts_of(several: Sequence[Kept]) -> AccountRange:
    """From the first to the last account of statements that are in the order of their accounts."""
    return AccountRange(several[0].account, several[-1].account, len({kept.account for kept in several}))


def _rated_today(
    office: Office, records: Records, statements: Sequence[Statement], todays: Mapping[str, Sequence[Agreement]]
) -> tuple[dict[str, Rated], str]:
    """What the agreements of statements come to today, by statement, and why where that is missing."""
    periods = {statement.period for statement in statements}
    problem = f"statements of one month say that they are of {' and '.join(sorted(periods))}"
    if len(periods) != 1:
        return {}, problem
    (period,) = periods
    rated: dict[str, Rated] = {}
    for book, together in _by_book(office, statements):
        accounts = sorted({statement.customer.account for statement in together})
        due = [each for account in accounts for each in todays.get(account, ()) if in_force(each, period)]
        try:
            its = rate_agreements(records, book, due, period)
        except HeadendError as error:
            problem = str(error)
        else:
            rated.update({statement.id: its for statement in together})
    return rated, problem


def _by_book(office: Office, statements: Iterable[Statement]) -> list[tuple[TariffBook, list[Statement]]]:
    """Statements by the tariffs that they would be rated by today: corrections keep those of their original."""
    books: dict[int, tuple[TariffBook, list[Statement]]] = {}
    for statement in statements:
        book = office.tariffs
        if statement.kind in ("rebill", "difference"):
            try:
                book = tariffs_as_billed(office.tariffs, spans_of(statement))
            except NotFound:
                book = office.tariffs  # the check of the tariff says so
        if statement.kind != "cancellation":
            books.setdefault(id(book), (book, []))[1].append(statement)
    return list(books.values())


def _said_before(past: Past, statement: Statement) -> list[Statement]:
    """What a difference adds to, in order: a bill and the differences to it before; nothing for any other document."""
    if statement.kind != "difference" or statement.corrects is None:
        return []
    said = []
    for link in past.chain(statement.customer.account):
        its = parse_statement(past.kept(link.id).document)
        if its.period != statement.period or its.revision >= statement.revision:
            continue
        same = its.kind == "difference" and its.corrects is not None and its.corrects.id == statement.corrects.id
        if its.id == statement.corrects.id or same:
            said.append(its)
    return said


def _rated_totals(statements: Sequence[Statement]) -> Totals:
    """What was rated: the sum, without what is written off."""
    segments = tuple(
        with_lines(each, tuple(line for line in each.lines if not is_write_off(line))) if has_write_off(each) else each
        for statement in statements
        for each in statement.segments
    )
    if len({each.currency for each in segments}) != 1:
        return statements[-1].totals
    return totals_of(segments)


def _cancellation(past: Past, kept: Kept, statement: Statement) -> Verified:
    """A cancellation is what it takes back with the other sign, and nothing else."""
    checks = [_bytes(kept), _chain(past, kept, statement), _tariffs(past, statement)[1]]
    its, differs = statement.corrects, []
    try:
        taken = past.kept(its.id) if its is not None else None
    except NotFound:
        taken = None
    if its is None or taken is None:
        checks.append(Check("as billed", False, "what it takes back is not there"))
        return Verified(kept.id, kept.sha256, checks)
    expected = cancellation_of(parse_statement(taken.document), its, statement.revision, statement.cycle)
    for number, (stated, other) in enumerate(zip_longest(statement.segments, expected.segments), 1):
        if stated != other:
            differs.append(Differs(f"segment {number}", "as the cancellation says", f"what {its.id} said is another"))
    if statement.totals != expected.totals:
        differs.append(Differs("totals", f"{statement.totals.gross}", f"{expected.totals.gross}"))
    if its.sha256 != taken.sha256:
        differs.append(Differs("what it takes back", its.sha256, taken.sha256))
    lines = sum(len(segment.lines) for segment in statement.segments)
    said = (
        f"{len(differs)} parts are not what {its.id} said" if differs else f"takes back all {lines} lines of {its.id}"
    )
    checks.append(Check("as billed", not differs, said))
    checks.append(Check("today", True, "nothing is rated for a cancellation"))
    return Verified(kept.id, kept.sha256, checks, differs)


def _bytes(kept: Kept) -> Check:
    digest = sha256(kept.document)
    if digest != kept.sha256:
        return Check("bytes", False, f"their SHA-256 is {digest}, {kept.sha256} was kept")
    try:
        statement = parse_statement(kept.document)
    except ValueError as error:
        return Check("bytes", False, f"they are no statement: {str(error).splitlines()[0]}")
    if canonical_json(statement) != kept.document:
        return Check("bytes", False, "they are not in the canonical form")
    return Check("bytes", True, f"{len(kept.document):,}, SHA-256 {digest}")


def _one(past: Past, kept: Kept, statement: Statement, again: Again, said: Sequence[Statement]) -> Verified:
    checks = [_bytes(kept), _chain(past, kept, statement)]
    tariffs, tariff_check = _tariffs(past, statement)
    checks.append(tariff_check)
    differs: list[Differs] = []
    causes: list[str] = []
    reads: list[ReadChange] = []
    prices: list[PriceChange] = []
    unproven: list[str] = []
    by_place = {(each.segment.agreement, each.segment.first): each for each in again.segments}
    for number, segment in enumerate(statement.segments, 1):
        where = f"segment {number}"
        tariff = tariffs.get(segment.tariff.sha256)
        if tariff is None:
            continue
        try:
            billed = past.billed(statement, segment, tariff)
            anew = rated_anew(statement, segment, billed.evidence)
        except CannotRate as error:
            differs.append(Differs(where, "can be rated as billed", str(error)))
            continue
        if said:
            anew = difference_comes_out(segment, anew, said)
        reads += billed.reads
        prices += billed.prices
        if not billed.proven:
            unproven.append(where)
        lines = lines_compared(segment.lines, anew.lines)
        differs += _differences(where, lines, list(figures_that_differ(segment, anew)), proven=billed.proven)
        if again.now is not None:
            causes += causes_since(where, statement, segment, by_place.get((segment.agreement, segment.first)))
    differs += _totals(statement)
    if again.now is not None and len(again.segments) != len(statement.segments) and not said:
        causes.append(f"it has {len(statement.segments)} segments, today's would have {len(again.segments)}")
    if not (reads or prices or causes or differs or statement.corrects) and (others := _lines_today(statement, again)):
        causes.append(f"{others} lines would be otherwise")
    checks.append(_as_billed(statement, differs, unproven, complete=tariff_check.ok))
    checks.append(_today(again, reads, prices, causes))
    if not all(check.ok for check in checks) and statement.engine not in (None, ENGINE):
        causes.append(f"it was made by {statement.engine}, this is {ENGINE}")
    return Verified(kept.id, kept.sha256, checks, differs, causes, reads, prices, again)


def _chain(past: Past, kept: Kept, statement: Statement) -> Check:
    if kept.state != "issued":
        return Check("chain", True, "a draft is in no chain yet")
    chain = [link for link in past.chain(kept.account) if link.id != kept.id]
    previous = statement.previous_sha256
    before = [link for link in chain if link.sha256 == previous]
    after = [link for link in chain if link.previous_sha256 == kept.sha256]
    if previous is not None and not before:
        return Check("chain", False, f"no statement of {kept.account} has the hash {previous} that it names as before")
    if previous is None and (others := [link.id for link in chain if link.previous_sha256 is None]):
        return Check("chain", False, f"it names none before it, and neither does {', '.join(others)}")
    if len(after) > 1:
        return Check("chain", False, f"{' and '.join(link.id for link in after)} both name it as the one before")
    named = {link.previous_sha256 for link in chain} | {previous}
    if not after and (ends := [link.id for link in chain if link.sha256 not in named]):
        return Check("chain", False, f"no statement names it as the one before, though {', '.join(ends)} came later")
    said = f"after {before[0].id}" if before else f"the first of {kept.account}"
    return Check("chain", True, f"{said}, before {after[0].id}" if after else f"{said}, the last so far")


def _tariffs(past: Past, statement: Statement) -> tuple[dict[str, Tariff], Check]:
    found: dict[str, Tariff] = {}
    problems = []
    for named in dict.fromkeys(segment.tariff for segment in statement.segments):
        document = past.tariff(named.sha256)
        if document is None:
            problems.append(f"version {named.sha256[:12]} of {named.id} is not kept")
        elif sha256(document) != named.sha256:
            problems.append(f"what is kept as {named.sha256[:12]} of {named.id} has the hash {sha256(document)[:12]}")
        else:
            found[named.sha256] = past.parsed(document)
    if problems:
        return found, Check("tariff", False, "; ".join(problems))
    return found, Check("tariff", True, ", ".join(f"{its.id} {its.version} is kept" for its in found.values()))


def _differences(
    where: str, lines: Sequence[LineCompared], figures: Sequence[FigureDiffers], *, proven: bool
) -> Iterator[Differs]:
    for each in lines:
        if not each.same:
            line = each.stated or each.computed
            label = line.label if line else ""
            yield Differs(f"{where}, line {label!r}", told(each, stated=True), told(each, stated=False))
    for figure in figures:
        if proven or figure.what != "prices":
            yield Differs(f"{where}, {figure.what}", figure.stated, figure.computed)


def _totals(statement: Statement) -> Iterator[Differs]:
    """Where what is due is not the sum of what its segments come to."""
    stated = statement.totals
    currencies = sorted({segment.currency for segment in statement.segments})
    if currencies != [stated.currency]:
        yield Differs("totals, currency", stated.currency, " and ".join(currencies) or "none")
    elif (summed := totals_of(statement.segments)) != stated:
        said, found = (f"{each.net} + {each.tax} = {each.gross}" for each in (stated, summed))
        yield Differs("totals", said, found)
    if statement.budget and (both := statement.budget.does_not_add_up(stated.gross)):
        yield Differs("budget", *both)


def _lines_today(statement: Statement, again: Again) -> int:
    """How many lines would be otherwise."""
    today = {(each.segment.agreement, each.segment.first): each.segment.lines for each in again.segments}
    pairs = [
        each
        for segment in statement.segments
        for each in lines_compared(segment.lines, today.get((segment.agreement, segment.first), ()))
    ]
    return 0 if again.now is None else sum(not each.same for each in pairs)


def _as_billed(statement: Statement, differs: Sequence[Differs], unproven: Sequence[str], *, complete: bool) -> Check:
    lines = sum(len(segment.lines) for segment in statement.segments)
    if not complete:
        return Check("as billed", False, "it cannot be rated without its tariff version")
    if unproven:
        its = ", ".join(unproven)
        outcome = f"{len(differs)} differences" if differs else "its lines come out the same"
        return Check("as billed", False, f"{its}: no state in the history has its digests; as of the issue, {outcome}")
    if differs:
        return Check("as billed", False, f"{len(differs)} lines or figures come out otherwise")
    return Check("as billed", True, f"digests proven, {lines} lines and all figures come out the same")


def _today(again: Again, reads: Sequence[ReadChange], prices: Sequence[PriceChange], causes: Sequence[str]) -> Check:
    if again.now is None:
        return Check("today", False, f"it could not be billed: {again.problem}")
    changes = [
        f"{count} {what} changed"
        for count, what in ((len(reads), "reads"), (len(prices), "prices"), (len(causes), "other causes"))
        if count
    ]
    said = f"{again.now.gross:,} {again.now.currency}, {again.difference:+,}"
    if again.now == again.made and not changes:
        return Check("today", True, f"the same: {again.now.gross:,} {again.now.currency}")
    return Check("today", False, ": ".join([said, ", ".join(changes)]) if changes else said)
