"""Why is it different: the customer's page, the clerk's, the API and the command."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from headend.billing.approval import approve, issue
from headend.billing.run import rate_cycle
from headend.office import office_of
from headend.reads.channels import IMPORT
from headend.site import Site
from headend.store import tables as t
from tests.web.sites import FIRST_DAY, bill_october, reads_of

WHY = "statements/A-1-2025-10-1/explanation"


def bill_september(site: Site) -> None:
    """September of E-1, with other use than October; then both months are billed."""
    with site.database.write() as tx:
        (key,) = tx.execute(t.meter.select().with_only_columns(t.meter.c.id).where(t.meter.c.name == "E-1")).one()
        october = reads_of(key, IMPORT.code, 3600, 700)
        september = october.take(np.arange(31))
        september.day[:] = FIRST_DAY - 31 + np.arange(31)
        site.store.save(tx, september, september.present, settled=True)
    for step in (rate_cycle, approve, issue):
        step(office_of(site), "2025-09", "monthly", "clara")
    bill_october(site, until="issued")


async def test_first_statement_has_nothing_to_be_compared_with(site, visit):
    bill_october(site, until="issued")
    anna = await visit("anna")
    text = await (await anna.get(f"/customer/{WHY}")).text()
    assert "Es gibt keine ausgestellte Rechnung eines früheren Monats" in text
    answer = await anna.get(f"/api/v1/{WHY}")
    assert (answer.status, (await answer.json())["detail"]) == (
        404,
        "no statement of account A-1 was issued for a month before 2025-10",
    )


async def test_customer_sees_the_way_from_one_bill_to_the_next(site, visit):
    bill_september(site)
    anna = await visit("anna")
    assert f"/customer/{WHY}" in await (await anna.get("/customer")).text()
    text = await (await anna.get(f"/customer/{WHY}")).text()
    assert "Warum ist sie anders?" in text
    assert "31 Tage statt 30." in text
    assert "am Tag statt" in text
    found = await (await anna.get(f"/api/v1/{WHY}")).json()
    assert found["compared_with"] == "A-1-2025-09-1"
    assert sum(Decimal(part["amount"]) for part in found["parts"]) == Decimal(found["difference"])
    assert Decimal(found["now"]["gross"]) - Decimal(found["before"]["gross"]) == Decimal(found["difference"])
    clerk = await (await (await visit("clara")).get(f"/clerk/{WHY}?with=A-1-2025-09-1")).text()
    assert "Warum ist sie anders?" in clerk
    last_year = await (await anna.get(f"/customer/{WHY}?with=last-year")).text()
    assert "denselben Monat des letzten Jahres" in last_year


async def test_nobody_elses_statement(site, visit):
    bill_september(site)
    ben, anna = await visit("ben"), await visit("anna")
    assert (await ben.get(f"/customer/{WHY}")).status == 404
    assert (await ben.get(f"/api/v1/{WHY}")).status == 404
    other = await anna.get(f"/api/v1/{WHY}?with=A-2-2025-10-1")
    assert (other.status, (await other.json())["detail"]) == (
        404,
        "account A-1 has no issued statement 'A-2-2025-10-1'",
    )
    same = await anna.get(f"/customer/{WHY}?with=A-1-2025-10-1")
    assert (same.status, "lassen sich nicht vergleichen" in await same.text()) == (200, True)
