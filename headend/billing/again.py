"""What a statement would come to if it were made today: its month rated by the reads that stand now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from headend.billing.agreements import in_force
from headend.billing.alike import RatedSegment
from headend.billing.ports import Office
from headend.billing.segments import Rated, rate_agreements
from headend.billing.statement import Statement, Totals, totals_of


@dataclass(frozen=True, slots=True)
class Again:
    """A statement's totals, and today's.

    Parameters
    ----------
    now
        None where the month cannot be billed as it stands; then `problem` says why.
    segments
        what `now` consists of.
    """

    made: Totals
    now: Totals | None
    problem: str | None
    segments: Sequence[RatedSegment] = ()

    @property
    def difference(self) -> Decimal | None:
        """What today's would be higher by; None where there is none to compare."""
        return None if self.now is None else self.now.gross - self.made.gross


def rated_again(office: Office, statement: Statement) -> Again:
    """Rate the month of a statement anew, by today's reads, tariffs and agreements; nothing is kept of it."""
    with office.database.read() as tx:
        records = office.records(tx)
        agreements = [
            each for each in records.agreements(statement.customer.account) if in_force(each, statement.period)
        ]
        rated = rate_agreements(records, office.tariffs, agreements, statement.period)
    return again_of(statement, rated)


def again_of(statement: Statement, rated: Rated) -> Again:
    """What the agreements of a statement's account came to, among those of others."""
    account = statement.customer.account
    its = [each for each in rated.segments if each.agreement.account.id == account]
    refused = [each for each in rated.exceptions if each.account == account]
    segments = tuple(each.segment for each in its)
    if refused or not segments:
        problem = refused[0].detail if refused else "no agreement applies in the month any more"
        return Again(statement.totals, None, problem)
    if {each.currency for each in segments} != {statement.totals.currency}:
        return Again(statement.totals, None, f"it is no longer in {statement.totals.currency} alone")
    return Again(statement.totals, totals_of(segments), None, its)
