"""What clerks decide about the accounts of a cycle before it is approved: release, hold, leave out.

Each decision is one transaction, with a name and a reason on it, in the finding's row and in the cycle's history. What
somebody else decided in the meantime is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from headend.billing.agreements import group_in, in_force
from headend.billing.cycle import BEFORE_APPROVAL, BillCycle, BillException, CycleState, ExceptionCode
from headend.billing.ports import Ledger, Office, Records, Reviews, known_cycle
from headend.billing.review import FindingCode, FindingState, Queued
from headend.errors import BillingConflict, InvalidInput, NotFound, checked_name, given


@dataclass(frozen=True, slots=True)
class Which:
    """What was found of an account, by one code or all, or of every account by one code.

    Parameters
    ----------
    seen
        the beginning of the digest of the figures that it is decided by; "" for any.
    """

    account: str | None = None
    code: FindingCode | None = None
    seen: str = ""


def release(office: Office, period: str, name: str, clerk: str, which: Which, reason: str) -> list[Queued]:
    """Bill as it is what was found; what comes to more than one person may release waits for a second.

    Returns
    -------
    list
        the findings that were open, as they are now.

    Raises
    ------
    BillingConflict
        nothing is open: somebody was first, and is named; it was rated anew and is not what was seen; or the cycle is
        not in review.
    NotFound
        there is no such cycle, or finding.
    InvalidInput
        nobody's name, or no reason, or neither account nor code.
    """
    with _at_desk(office, period, name, clerk) as desk:
        found = desk.findings(which, (FindingState.OPEN,))
        amounts = desk.reviews.amounts(desk.cycle, {one.account for one in found})

        def released(one: Queued) -> Queued:
            waits = one.account in amounts and office.review.needs_second(*amounts[one.account])
            state = FindingState.WAITING if waits else FindingState.RELEASED
            return desk.decided(one, state, given("reason", reason, "why it is billed as it is"))

        return desk.decide("release", found, released)


def hold(office: Office, period: str, name: str, clerk: str, which: Which, reason: str) -> list[Queued]:
    """Bill an account later: review makes it an exception. Arguments and errors are those of `release`."""
    with _at_desk(office, period, name, clerk) as desk:
        found = desk.findings(which, (FindingState.OPEN, FindingState.WAITING))
        why = given("reason", reason, "why it is not billed now")
        return desk.decide("hold", found, lambda one: desk.decided(one, FindingState.HELD, why))


def confirm(office: Office, period: str, name: str, clerk: str, which: Which) -> list[Queued]:
    """As the second person, agree to release what waits for one. Raises as `release`, and to whoever was the first."""
    with _at_desk(office, period, name, clerk) as desk:
        found = desk.findings(which, (FindingState.WAITING,))
        for one in found:
            if (one.decided_by or "").strip().casefold() == desk.clerk.casefold():
                raise BillingConflict(f"{one.told}: {one.decided_by} released it, somebody else has to confirm it")

        def confirmed(one: Queued) -> Queued:
            return replace(one, state=FindingState.RELEASED, confirmed_at=desk.now, confirmed_by=desk.clerk)

        return desk.decide("confirm", found, confirmed)


def reopen(office: Office, period: str, name: str, clerk: str, which: Which, reason: str) -> list[Queued]:
    """Take a decision back, so that it can be made anew. Arguments and errors are those of `release`."""
    with _at_desk(office, period, name, clerk) as desk:
        found = desk.findings(which, (FindingState.WAITING, FindingState.RELEASED, FindingState.HELD))
        why = given("reason", reason, "why it is decided anew")
        return desk.decide(
            "reopen",
            found,
            lambda one: Queued(one.account, one.code, one.detail, one.figures, FindingState.OPEN),
            why,
        )


def exclude(office: Office, period: str, name: str, account: str, clerk: str, reason: str) -> BillCycle:
    """Leave an account out of a cycle, and of the later ones of its period that do not name it.

    Before approval any account the cycle bills; of an issued one those that are exceptions.

    Raises
    ------
    BillingConflict
        it is left out already, by whom is said; the cycle is approved, or closed; an issued cycle billed it.
    NotFound
        there is no such cycle, or the cycle does not bill such an account.
    """
    why = given("reason", reason, "why it is not billed")
    with _at_desk(office, period, name, clerk, (*BEFORE_APPROVAL, CycleState.ISSUED)) as desk:
        cycle, reviews = desk.cycle, desk.reviews
        if cycle.scope.correction:
            raise BillingConflict(
                f"cycle {cycle.id} corrects what is issued: withdraw it and make it without {account}"
            )
        if (before := reviews.excluded(cycle).get(account)) is not None:
            raise BillingConflict(f"{account}: {before.by} has left it out of {before.cycle} already: {before.reason}")
        if cycle.state == CycleState.ISSUED:
            if not reviews.is_excepted(cycle, account):
                raise BillingConflict(f"{account} is no exception of cycle {cycle.id}, which is issued")
        else:
            _check_billed(desk.records, cycle, account)
        reviews.exclude(cycle, account, why, desk.now, desk.clerk)
        reviews.note_of(cycle.id, "exclude", f"{account}: {why}", desk.now, desk.clerk)
        return cycle


def include(office: Office, period: str, name: str, account: str, clerk: str) -> BillCycle:
    """Take an account in again that the cycle leaves out; a rated cycle is to be rated again then.

    In an issued cycle it becomes an exception, to be billed in another.

    Raises
    ------
    BillingConflict
        it is not left out of this cycle; the cycle is approved, or closed.
    """
    with _at_desk(office, period, name, clerk, (*BEFORE_APPROVAL, CycleState.ISSUED)) as desk:
        cycle, reviews = desk.cycle, desk.reviews
        excluded = reviews.excluded(cycle).get(account)
        if excluded is None or excluded.cycle != cycle.id:
            where = f", but of {excluded.cycle}" if excluded else ""
            raise BillingConflict(f"{account} is not left out of cycle {cycle.id}{where}")
        reviews.include(cycle, account)
        if cycle.state == CycleState.ISSUED and not reviews.is_excepted(cycle, account):
            again = f"{excluded.by} left it out: {excluded.reason}; {desk.clerk} took it in again"
            reviews.put_off(cycle, [BillException(account, ExceptionCode.HELD_BY_CLERK, again)])
            totals = replace(cycle.totals, excepted=cycle.totals.excepted + 1, excluded=cycle.totals.excluded - 1)
            cycle = replace(cycle, totals=totals, changed_at=desk.now, changed_by=desk.clerk)
            desk.ledger.keep_cycle(cycle)
        reviews.note_of(cycle.id, "include", account, desk.now, desk.clerk)
        return cycle


def _check_billed(records: Records, cycle: BillCycle, account: str) -> None:
    scope = cycle.scope
    its = (
        agreement
        for agreement in records.agreements(account)
        if in_force(agreement, cycle.period) and group_in(agreement.account, cycle.period).name == scope.group
    )
    if (scope.accounts and account not in scope.accounts) or next(its, None) is None:
        raise NotFound(f"cycle {cycle.id} bills no account {account!r}")


@dataclass(frozen=True, slots=True)
class _Desk:
    """One clerk at one cycle, within one transaction."""

    cycle: BillCycle
    ledger: Ledger
    records: Records
    reviews: Reviews
    clerk: str
    now: datetime

    def findings(self, which: Which, states: Collection[FindingState]) -> Sequence[Queued]:
        """Those in one of these states; at least one, and each as it was seen."""
        account, code = which.account, which.code
        if account is None and code is None:
            raise InvalidInput("finding", "neither account nor code", "an account, a code, or both")
        every = self.reviews.findings(self.cycle, account=account, code=code)
        if not every:
            what = " ".join(each for each in (code, "finding" if code else "no finding") if each)
            raise NotFound(
                f"cycle {self.cycle.id} has no {what.removeprefix('no ')}{f' of {account}' if account else ''}"
            )
        found = [one for one in every if one.state in states]
        if not found:
            raise BillingConflict(_already(every[0]))
        for one in found:
            if not one.figures.startswith(which.seen):
                raise BillingConflict(f"{one.told}: it was rated anew and is not what was seen")
        return found

    def decided(self, one: Queued, state: FindingState, reason: str) -> Queued:
        return replace(
            one,
            state=state,
            reason=reason,
            decided_at=self.now,
            decided_by=self.clerk,
            confirmed_at=None,
            confirmed_by=None,
        )

    def decide(
        self, verb: str, found: Sequence[Queued], then: Callable[[Queued], Queued], why: str | None = None
    ) -> list[Queued]:
        """Keep what became of findings, and note it in the cycle's history."""
        decided = [then(one) for one in found]
        self.reviews.decide(self.cycle, decided)
        notes = [
            ": ".join(each for each in (f"{one.account} {one.code}", why or one.reason) if each) for one in decided
        ]
        self.reviews.note_each(self.cycle.id, verb, notes, self.now, self.clerk)
        return decided


def _already(one: Queued) -> str:
    if one.decided_at is None:
        return f"{one.told}: nobody has decided it yet"
    waits = ", and waits for a second person" if one.state == FindingState.WAITING else ""
    verb = "held" if one.state == FindingState.HELD else "released"
    second = f", confirmed by {one.confirmed_by}" if one.confirmed_by else ""
    at = one.decided_at
    return f"{one.told}: {one.decided_by} {verb} it at {at:%Y-%m-%d %H:%M} UTC: {one.reason}{second}{waits}"


@contextmanager
def _at_desk(
    office: Office,
    period: str,
    name: str,
    clerk: str,
    states: Collection[CycleState] = (CycleState.RATED,),
) -> Iterator[_Desk]:
    who = checked_name(clerk)
    with office.database.write() as tx:
        ledger = office.ledger(tx)
        cycle = known_cycle(ledger, period, name)
        if cycle.state not in states:
            again = ": rate it again to decide anew" if cycle.state == CycleState.REVIEWED else ""
            raise BillingConflict(f"cycle {cycle.id} is {cycle.state}: nothing is decided in it now{again}")
        yield _Desk(cycle, ledger, office.records(tx), office.reviews(tx), who, office.clock())
