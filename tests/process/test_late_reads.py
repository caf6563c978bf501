"""A read that comes after its month was billed: the statement stays, and is flagged by what it is off by in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from headend.billing.approval import approve, issue
from headend.billing.run import rate_cycle
from headend.billing.statement import parse_statement
from headend.office import office_of
from headend.reads import Quality
from headend.reads.days import seconds
from headend.registry.site_file import SiteFile
from headend.store.ledger import SqlLedger
from headend.store.rebills import RebillFlag, rebills
from tests.process.field import Field

#: Berlin's February 2026 begins in January.
BEGIN = datetime(2026, 1, 31, 23, tzinfo=UTC)
HOURS = 28 * 24
LOST = datetime(2026, 2, 12, 9, tzinfo=UTC)
DAY = [300, 300, 280, 290, 300, 420, 600, 900, 700, 500, 480, 450, 500, 520, 480, 460, 520, 700, 1_100, 1_250, 900]


def billed(field: Field) -> bytes:
    """A home's February, of which three hours did not come; the statement's bytes."""
    agreement = {"usage_point": "UP", "commodity": "electricity", "tariff": "home-flat", "valid_from": "2025-01-01"}
    account = {"id": "A-1", "name": "Ada", "agreements": [agreement]}
    point = {"id": "UP", "timezone": "Europe/Berlin", "address": "Lindenweg 1"}
    field.enrol(SiteFile.model_validate({"usage_points": [point], "accounts": [account]}))
    # From a UTC day's begin, for the day before the month is not the bill's, but settlement's.
    start = datetime(2026, 1, 25, tzinfo=UTC)
    values = [DAY[hour % len(DAY)] for hour in range((HOURS // 24 + 8) * 24)]
    lost = (seconds(LOST) - seconds(start)) // 3600
    field.send(start, [None if lost <= hour < lost + 3 else value for hour, value in enumerate(values)])
    field.settle()
    office = office_of(field.site)
    for step in (rate_cycle, approve, issue):
        step(office, "2026-02", "monthly", "ann")
    return document(field)


def document(field: Field) -> bytes:
    with field.site.database.read() as tx:
        return SqlLedger(tx).statement("A-1-2026-02-1").document


def flags(field: Field) -> list[RebillFlag]:
    with field.site.database.read() as tx:
        return rebills(tx)


def test_late_reads_flag_the_statement_by_what_they_change(field: Field) -> None:
    before = billed(field)
    assert parse_statement(before).segments[0].estimated_intervals == 3
    estimates = field.values(LOST, 3)
    assert flags(field) == []
    field.send(LOST, [450, 470, 490])
    field.settle()
    stands = field.stands(LOST, 3)
    assert (stands.values, set(stands.quality)) == ([450, 470, 490], {Quality.VALIDATED})
    (flag,) = flags(field)
    assert (flag.statement, flag.change) == ("A-1-2026-02-1", 450 + 470 + 490 - sum(value or 0 for value in estimates))
    assert seconds(LOST) <= flag.first_s < flag.end_s <= seconds(LOST + timedelta(hours=3))
    assert document(field) == before


def test_a_late_read_that_validation_refuses_changes_nothing_in_the_end(field: Field) -> None:
    """Above what the connection can carry: it is stored, found wrong, and estimated again."""
    before = billed(field)
    estimates = field.values(LOST, 1)
    field.send(LOST, [90_000])
    field.settle()
    assert field.values(LOST, 1) == estimates
    assert sum(flag.change for flag in flags(field)) == 0
    assert document(field) == before
