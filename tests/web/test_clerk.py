"""What a clerk sees of bills that are held, and of statements whose reads have changed since."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import update

from headend.billing.statement import parse_statement
from headend.reads.channels import IMPORT
from headend.reads.days import DAY_S, microseconds, seconds
from headend.site import Site
from headend.store import tables as t
from headend.store.ledger import SqlLedger
from headend.store.rebills import flag_rebills
from headend.web.words import money
from tests.web.sites import NOW, bill_october

CYCLE = "/clerk/cycles/2025-10/monthly"
TENTH = datetime(2025, 10, 10, 18, tzinfo=UTC)


def hold(site: Site, meter: str = "E-1") -> int:
    """An exception of the tenth of October that holds the bill."""
    with site.database.write() as tx:
        (key,) = tx.execute(t.meter.select().with_only_columns(t.meter.c.id).where(t.meter.c.name == meter)).one()
        row = {
            "meter": key,
            "channel": IMPORT.code,
            "rule": "V8",
            "start_s": seconds(TENTH),
            "end_s": seconds(TENTH) + 3600,
            "severity": "warning",
            "score": 0.5,
            "detail": "intervals add up to <9,000>",
            "rule_set": "1",
            "holds_bill": True,
            "state": "open",
            "opened_us": microseconds(NOW),
            "changed_us": microseconds(NOW),
            "changed_by": "rules 1",
        }
        return tx.execute(t.exception.insert().values(row)).inserted_primary_key[0]


def change(site: Site, more: int) -> None:
    """The read of 18:00 on the tenth comes late, and says another value."""
    with site.database.write() as tx:
        (key,) = tx.execute(t.meter.select().with_only_columns(t.meter.c.id).where(t.meter.c.name == "E-1")).one()
        stood = site.store.load(tx, [(seconds(TENTH) // DAY_S, key, IMPORT.code)], 3600)
        now = replace(stood, values=stood.values.copy())
        now.values[0, 18] += more
        site.store.save(tx, now, now.present, settled=True)
        assert flag_rebills(tx, stood, now, "journal 77", NOW) == 1


async def text(client, path: str) -> str:
    answer = await client.get(path)
    assert answer.status == 200, await answer.text()
    return await answer.text()


async def test_a_held_account_leads_to_its_exception(site, visit):
    number = hold(site)
    bill_october(site, until="rated")
    clara = await visit("clara")
    page = await text(clara, CYCLE)
    assert f"exception {number}: V8 sum check: intervals add up to &lt;9,000&gt;" in page
    assert f'href="/operator/exceptions/{number}"' in page
    assert "Billed when it is rated again." not in page
    with site.database.write() as tx:
        tx.execute(update(t.exception).values(state="closed", outcome="accepted"))
    page = await text(clara, CYCLE)
    assert '<span class="tag good">decided</span>' in page
    assert "Billed when it is rated again." in page


async def test_a_cycle_lists_statements_whose_reads_have_changed(site, visit):
    bill_october(site, until="issued")
    clara = await visit("clara")
    assert "Changed since" not in await text(clara, "/clerk") + await text(clara, CYCLE)
    change(site, 1_234)
    page = await text(clara, CYCLE)
    assert '<a href="/clerk/statements/A-1-2025-10-1/changes">A-1-2025-10-1</a>' in page
    assert "+1.234 kWh" in page
    assert "2025-10-10 20:00" in page
    assert "journal 77" in page
    assert "Nothing is billed again by itself" in page
    assert "/operator/meters/E-1" not in page, "clerks cannot open it"
    assert "/operator/meters/E-1" in await text(await visit("root"), CYCLE)
    assert f'<a href="{CYCLE}#changed"><span class="tag warn">1</span></a>' in await text(clara, "/clerk")


async def test_a_changed_statement_tells_what_it_would_be_today(site, visit):
    bill_october(site, until="issued")
    clara = await visit("clara")
    assert "No read of this statement has changed" in await text(clara, "/clerk/statements/A-1-2025-10-1/changes")
    with site.database.read() as tx:
        before = SqlLedger(tx).statement("A-1-2025-10-1")
    change(site, -500)
    page = await text(clara, "/clerk/statements/A-1-2025-10-1/changes")
    # home-flat: half a kWh less, and 19 % of it; to the cent, for all lines are rounded.
    segment = parse_statement(before.document).segments[0]
    (price,) = {line.price for line in segment.lines if line.kind == "energy"}
    gross = parse_statement(before.document).totals.gross
    assert money(gross, "EUR") in page
    difference = Decimal(page.split("<dt>Difference</dt><dd>−€")[1].split("<")[0])
    assert abs(difference - price / 2 * Decimal("1.19")) <= Decimal("0.02")
    assert money(gross - difference, "EUR") in page
    assert "−0.500 kWh" in page
    with site.database.read() as tx:
        assert SqlLedger(tx).statement("A-1-2025-10-1") == before
    assert (await clara.get("/clerk/statements/nobody/changes")).status == 404


async def test_a_statement_that_cannot_be_rated_now_says_why(site, visit):
    bill_october(site, until="issued")
    change(site, 500)
    number = hold(site)
    page = await text(await visit("clara"), "/clerk/statements/A-1-2025-10-1/changes")
    assert f"It cannot be rated by today’s reads: exception {number}" in page
    assert "<dt>Difference</dt>" not in page


async def test_machines_are_told_of_flags(site, visit):
    bill_october(site, until="issued")
    clara = await visit("clara")
    assert await (await clara.get("/api/v1/rebills")).json() == {"rebills": []}
    change(site, 1_234)
    told = await (await clara.get("/api/v1/rebills")).json()
    assert told == {
        "rebills": [
            {
                "statement": "A-1-2025-10-1",
                "account": "A-1",
                "period": "2025-10",
                "meter": "E-1",
                "channel": "1-0:1.8.0",
                "start": "2025-10-10T18:00:00Z",
                "end": "2025-10-10T19:00:00Z",
                "change": 1234,
                "unit": "Wh",
                "cause": "journal 77",
                "flagged": "2025-11-12T11:00:00Z",
                "changed": "2025-11-12T11:00:00Z",
            }
        ]
    }
    for login in ("olga", "anna"):
        assert (await (await visit(login)).get("/api/v1/rebills")).status == 403
