"""Intake on PostgreSQL: what a message says can hold up nobody, and a server that is away is nobody's fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from headend.store import tables as t
from tests.servers import Postgres

from .field import HOUR, MONDAY, Field, meter, registry, run


@pytest.fixture
def there(tmp_path: Path, migrated_postgres_url: str) -> Iterator[Field]:
    made = Field(tmp_path, registry(meter("E-1"), meter("E-2")), postgres_url=migrated_postgres_url)
    yield made
    made.close()


def take_in(field: Field) -> None:
    while field.intake.step():
        pass


def say(field: Field, kind: str, **said: object) -> None:
    """A message other than reads."""
    field.sent += 1
    payload = json.dumps({"seq": field.sent, "sent_at": MONDAY.isoformat()} | said).encode()
    field.journal_raw(payload, f"headend/v1/GW/{kind}")


def test_reads_are_taken_in_corrected_and_settled(there: Field) -> None:
    there.send(MONDAY, [1, 2, 3])
    there.send(MONDAY, [1, 2, 4])
    there.send(MONDAY + 5 * HOUR, [6])
    assert there.values(MONDAY, 6) == [1, 2, 4, None, None, 6]
    assert [row[2] for row in there.history()] == [3]
    assert there.settle().channel_days == 1
    assert None not in there.values(MONDAY, 6)


def test_text_that_postgresql_has_not_is_kept_without_it(there: Field) -> None:
    event = {"kind": "tamper", "at": MONDAY.isoformat(), "meter": "E-1", "detail": "lid\0open\0\0"}
    say(there, "events", events=[event])
    say(there, "events", events=[event])  # once more is no second event
    say(there, "events", events=[event | {"meter": "E-\0"}])
    say(there, "status", online=True, firmware="2.1\0\0\0")
    say(there, "result", id=1, state="done", detail="\0")
    there.journal_raw(b'{"seq": 7, "oh": "\\ud800', "headend/v1/GW/reads")
    there.journal_raw(b"\0\xff", "headend/v1/GW/re\0ds")
    there.send(MONDAY, [1])
    assert there.values(MONDAY, 1) == [1]
    with there.site.database.read() as tx:
        assert list(tx.execute(select(t.event.c.detail)).scalars()) == ["lid�open"]
        assert tx.execute(select(t.gateway.c.firmware).where(t.gateway.c.name == "GW")).scalar_one() == "2.1"
        q = t.quarantine.c
        refused = [tuple(row) for row in tx.execute(select(q.offset, q.fault).order_by(q.offset))]
    assert refused == [(3, "unknown meter"), (6, "not JSON"), (7, "not our topic")]


def test_a_value_that_the_database_refuses_stops_its_message_alone(there: Field) -> None:
    # As a fault of ours would have it: a column narrower than what the wire lets through.
    with there.site.database.write() as tx:
        tx.execute(text("ALTER TABLE event ALTER COLUMN detail TYPE VARCHAR(5)"))
    for hour, detail in enumerate(["short", "far too long", "short"]):
        there.journal(run(MONDAY + hour * HOUR, [hour], meter="E-2"))
        at = (MONDAY + hour * HOUR).isoformat()
        say(there, "events", events=[{"kind": "outage", "at": at, "meter": "E-1", "detail": detail}])
    take_in(there)
    assert there.values(MONDAY, 3, meter="E-2") == [0, 1, 2]
    with there.site.database.read() as tx:
        (stopped,) = tx.execute(select(t.quarantine)).all()
        assert len(tx.execute(select(t.event)).all()) == 2
    assert (stopped.offset, stopped.fault) == (4, "cannot be taken in")
    assert stopped.reason == "the database refuses it: value too long for type character varying(5)"


def test_a_server_that_is_away_is_nobodys_fault(tmp_path: Path) -> None:
    server = Postgres(durable=True)
    try:
        field = Field(tmp_path, postgres_url=server.url(server.fresh_database()))
        field.send(MONDAY, [1])
        field.journal(run(MONDAY + HOUR, [2]))
        server.kill()
        with pytest.raises(OperationalError):
            field.intake.step()
        server.start()
        take_in(field)
        assert field.values(MONDAY, 2) == [1, 2]
        with field.site.database.read() as tx:
            assert tx.execute(select(t.quarantine)).all() == []
        field.close()
    finally:
        server.stop()
