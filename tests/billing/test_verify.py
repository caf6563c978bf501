"""Statements verified in the records: identical, or why not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest
from sqlalchemy import text

from headend.billing.approval import approve, issue
from headend.billing.recount import lines_compared
from headend.billing.run import rate_cycle
from headend.billing.statement import StatementLine
from headend.billing.verify import Verified, verify_period, verify_statement
from headend.errors import BillingConflict, NotFound
from headend.office import office_of
from headend.process.asbilled import SitePast, bundle_of
from headend.reads import Quality
from headend.reads.blocks import contested, merge
from headend.reads.days import DAY_S, seconds
from headend.store import history
from headend.tariffs import calendar, load_book
from tests.billing.kinds import KINDS, at
from tests.billing.test_commands import Run, run
from tests.billing.town import IMPORT, TARIFFS, Town

__all__ = ["run"]
ADA = "Ada-2026-10-1"
D = Decimal


def verified(town: Town, statement: str = ADA) -> Verified:
    return verify_statement(town.office, lambda tx: SitePast(tx, town.site), statement)


def answers(found: Verified) -> dict[str, bool]:
    return {check.name: check.ok for check in found.checks}


def said(found: Verified, name: str) -> str:
    return next(check.said for check in found.checks if check.name == name)


def late(town: Town, meter: str, moment: datetime, value: int, *, by: str, channel: str = IMPORT) -> None:
    """A read that arrives late, kept as intake keeps it, and validated."""
    key, place = town.key(meter, channel), seconds(moment) % DAY_S // 3600
    with town.database.write() as tx:
        stored = town.store.load(tx, [(seconds(moment) // DAY_S, *key)], 3600)
        values, quality = np.zeros_like(stored.values), np.zeros_like(stored.quality)
        values[0, place], quality[0, place] = value, Quality.RAW
        incoming = replace(stored, values=values, quality=quality, flags=np.zeros_like(stored.flags))
        merged = merge(stored, incoming, history.holds(tx, incoming, contested(stored, incoming)))
        history.keep(tx, stored, merged.replaced, by=by, now=town.now)
        settled = np.where(merged.blocks.quality == Quality.RAW, Quality.VALIDATED, merged.blocks.quality)
        now = replace(merged.blocks, quality=settled.astype(np.uint8))
        town.store.save(tx, now, now.present, settled=True)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tariff_is_identical(town: Town, kind: str) -> None:
    KINDS[kind](town)
    town.bill()
    found = verified(town)
    assert answers(found) == dict.fromkeys(("bytes", "chain", "tariff", "as billed", "today"), True), found
    assert found.identical
    assert (found.differs, found.causes, found.reads, found.prices) == ([], [], [], [])
    assert found.again is not None
    assert found.again.difference == 0


def test_two_prices_that_nothing_tells_apart_are_identical(town: Town) -> None:
    """Both are called Energy, and the second has more tiers than the first, whose use by tier the statement shows."""
    energy = '[[components]]\nkind = "energy"\nlabel = "Energy"\ntiers_per = "month"\ntiers = '
    first = "[{ up_to = 100, price = 0.3 }, { price = 0.4 }]\n"
    second = "[{ up_to = 9, price = 0.1 }, { up_to = 20, price = 0.2 }, { price = 0.3 }]\n"
    twice = energy + first + energy + second
    head = TARIFFS["flat"].partition("[[")[0].replace('"flat"', '"twice"')
    (town.folder / "tariffs" / "twice.toml").write_text(head + twice)
    town.site = replace(town.site, tariffs=load_book(town.folder / "tariffs"))
    town.office = office_of(town.site)
    town.account("Ada", {"tariff": "twice"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1")
    town.bill()
    assert verified(town).identical


# -- reads --


def test_late_reads_are_named_and_the_bill_was_right(flat: Town) -> None:
    flat.bill()
    flat.now = datetime(2026, 11, 5, 10, tzinfo=UTC)
    late(flat, "E-1", at(5, 12), 1_500, by="journal 8")
    flat.now = datetime(2026, 11, 6, 10, tzinfo=UTC)
    late(flat, "E-1", at(5, 12), 2_500, by="journal 9")
    late(flat, "E-1", at(20, 3), 400, by="edit 3")
    found = verified(flat)
    assert answers(found) == {"bytes": True, "chain": True, "tariff": True, "as billed": True, "today": False}
    first, second = found.reads
    assert (first.meter, first.channel, first.start_s) == ("E-1", IMPORT, seconds(at(5, 12)))
    # From the value that was billed to the one that stands, by what took the billed one away.
    assert (first.before, first.now, first.by) == (500, 2_500, "journal 8")
    assert first.at == datetime(2026, 11, 5, 10, tzinfo=UTC)
    assert (second.before, second.now, second.by) == (500, 400, "edit 3")
    assert found.again is not None
    # 374.4 kWh × 0.3174 are 118.83, 0.60 more; VAT 0.19 × 130.73 is 24.84, 0.12 more.
    assert found.again.difference == D("0.72")
    assert found.causes == []


def test_read_that_came_and_was_taken_back_leaves_no_trace(flat: Town) -> None:
    flat.bill()
    late(flat, "E-1", at(5, 12), 1_500, by="journal 8")
    flat.now = datetime(2026, 11, 6, 10, tzinfo=UTC)
    with flat.database.write() as tx:
        stored = flat.store.load(tx, [(seconds(at(5, 12)) // DAY_S, *flat.key("E-1", IMPORT))], 3600)
        replaced = stored.values != 500
        history.keep(tx, stored, replaced, by="edit 4", now=flat.now)
        now = replace(stored, values=np.full_like(stored.values, 500))
        flat.store.save(tx, now, now.present, settled=True)
    assert verified(flat).identical


def test_late_read_of_a_meter_that_was_taken_away_changes_no_line(town: Town) -> None:
    KINDS["exchanged"](town)
    town.bill()
    late(town, "E-old", at(20, 5), 99_000, by="journal 9")
    found = verified(town)
    assert [(each.meter, each.counted, each.now) for each in found.reads] == [("E-old", False, 99_000)]
    assert found.again is not None
    assert found.again.difference == 0
    assert not found.identical


def test_better_quality_of_the_same_value_cannot_be_taken_back(flat: Town) -> None:
    flat.bill()
    flat.set("E-1", at(5, 12), quality=Quality.VERIFIED)
    found = verified(flat)
    assert said(found, "as billed") == (
        "segment 1: no state in the history has its digests; as of the issue, its lines come out the same"
    )
    with flat.database.read() as tx, pytest.raises(BillingConflict, match="does not give back the reads"):
        bundle_of(tx, flat.site, ADA)


def test_reads_that_are_kept_no_more(flat: Town) -> None:
    flat.bill()
    with flat.database.write() as tx:
        flat.store.forget(tx, 30_000)
    found = verified(flat)
    assert found.differs[0].found == "its reads are not kept any more"
    assert not found.identical


def test_bundle_of_late_reads_is_that_of_the_bill(flat: Town) -> None:
    flat.bill()
    with flat.database.read() as tx:
        before = bundle_of(tx, flat.site, ADA)[1]
    late(flat, "E-1", at(5, 12), 1_500, by="journal 8")
    with flat.database.read() as tx:
        assert bundle_of(tx, flat.site, ADA)[1] == before


# -- what else it rests on --


def test_price_that_was_published_anew(town: Town) -> None:
    KINDS["dynamic"](town)
    town.bill()
    town.now = datetime(2026, 11, 5, 10, tzinfo=UTC)
    town.prices("day-ahead", at(7, 3), ["0.5"])
    found = verified(town)
    assert answers(found)["as billed"]
    (price,) = found.prices
    assert (price.start_s, price.now, price.by, price.at) == (seconds(at(7, 3)), D("0.5"), "ann", town.now)
    assert price.before in (D("0.10"), D("-0.02"))
    assert any("published prices" in cause for cause in found.causes)


def test_event_that_was_called_afterwards(town: Town) -> None:
    KINDS["critical_peak"](town)
    town.bill()
    town.event("critical-peak", at(27, 15), at(27, 18))
    found = verified(town)
    assert answers(found)["as billed"]
    assert any("events" in cause for cause in found.causes)
    assert any("calendar" in cause for cause in found.causes)
    assert found.again is not None
    assert found.again.difference


def test_library_of_holidays_that_knows_another_one(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    KINDS["business"](town)
    town.bill()
    known = calendar.public_holidays

    def renewed(rule: calendar.Holidays, year: int) -> dict[date, set[str]]:
        return known(rule, year) | {date(2026, 10, 14): {"Day of Meters"}}

    def forget() -> None:
        for cached in (calendar._holidays, calendar.compile_calendar):
            cached.cache_clear()

    monkeypatch.setattr(calendar, "public_holidays", renewed)
    forget()
    try:
        found = verified(town)
    finally:
        monkeypatch.undo()
        forget()
    assert not answers(found)["as billed"]
    assert "segment 1, calendar_sha256" in [each.where for each in found.differs]
    assert any("the calendar" in cause for cause in found.causes)
    assert verified(town).identical


def test_calorific_value_that_changed(town: Town) -> None:
    KINDS["gas_by_energy"](town)
    town.bill()
    area = {"area": "north", "from": date(2026, 10, 16), "calorific_value": "11.500", "conversion": "0.9627"}
    town.enrol(gas_quality=[area])
    found = verified(town)
    assert answers(found)["as billed"]
    (cause,) = found.causes
    assert cause.startswith("segment 1: what gas is worth: 2026-10-16 2026-10-31 ")
    was, now = cause.split("today")
    assert "11.300" in was
    assert "11.500" in now


def test_peak_of_an_earlier_month_that_changed(town: Town) -> None:
    KINDS["business"](town)
    town.bill()
    town.set("E-1", datetime(2026, 8, 12, 12, tzinfo=UTC), values=20_000)
    found = verified(town)
    assert answers(found)["as billed"]
    (cause,) = found.causes
    assert cause == "segment 1: peaks of earlier months: 2026-08 Demand 10.000, today 2026-08 Demand 20.000"


def test_agreement_that_ended_afterwards(flat: Town) -> None:
    flat.bill()
    flat.account("Ada", {"tariff": "flat", "valid_to": "2026-10-21"})
    found = verified(flat)
    assert answers(found)["as billed"]
    assert found.causes == ["segment 1: the days of the agreement: 31, today 20"]


# -- bytes and chain --


def tampered(town: Town, sql: str) -> None:
    """Whoever may drop the trigger may change a statement; that is what hashes are for."""
    with town.database.write() as tx:
        for (name,) in tx.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
            tx.execute(text(f"DROP TRIGGER {name}"))
        tx.execute(text(sql))


def two_months(town: Town) -> None:
    town.bill()
    town.now = datetime(2026, 12, 3, 9, tzinfo=UTC)
    town.reads("E-1", first=date(2026, 10, 31), last=date(2026, 12, 1))
    town.bill("2026-11")


def test_chain_names_its_neighbours(flat: Town) -> None:
    two_months(flat)
    assert said(verified(flat), "chain") == "the first of Ada, before Ada-2026-11-1"
    assert said(verified(flat, "Ada-2026-11-1"), "chain") == "after Ada-2026-10-1, the last so far"


def test_bytes_that_were_changed(flat: Town) -> None:
    flat.bill()
    tampered(flat, "UPDATE statement SET document = CAST(replace(CAST(document AS TEXT), '154.85', '154.84') AS BLOB)")
    found = verified(flat)
    assert answers(found) == {"bytes": False}
    assert not found.identical


def test_statement_that_was_changed_with_its_hash(flat: Town) -> None:
    two_months(flat)
    documents = flat.documents()
    forged = documents["Ada"].replace(b'"amount":"118.23"', b'"amount":"118.22"')
    assert forged != documents["Ada"]
    digest = hashlib.sha256(forged).hexdigest()
    tampered(flat, f"UPDATE statement SET sha256 = '{digest}', document = X'{forged.hex()}' WHERE period = '2026-10'")
    found = verified(flat)
    assert answers(found)["bytes"]
    assert not answers(found)["chain"]
    assert "Ada-2026-11-1" in said(found, "chain")
    assert [each.where for each in found.differs] == ["segment 1, line 'Energy'"]
    assert not answers(verified(flat, "Ada-2026-11-1"))["chain"]


def test_total_that_is_not_the_sum_of_its_segments(flat: Town) -> None:
    flat.bill()
    document = flat.documents()["Ada"]
    head, totals, tail = document.partition(b'"totals":')
    forged = head + totals + tail.replace(b'"gross":"154.85"', b'"gross":"154.84"')
    assert forged != document
    digest = hashlib.sha256(forged).hexdigest()
    tampered(flat, f"UPDATE statement SET sha256 = '{digest}', document = X'{forged.hex()}'")
    found = verified(flat)
    assert not answers(found)["as billed"]
    (differs,) = found.differs
    assert (differs.where, differs.stated[-6:], differs.found[-6:]) == ("totals", "154.84", "154.85")


def test_statement_that_was_taken_out(flat: Town) -> None:
    two_months(flat)
    tampered(flat, "DELETE FROM statement WHERE period = '2026-10'")
    found = verified(flat, "Ada-2026-11-1")
    assert "no statement of Ada has the hash" in said(found, "chain")


def test_tariff_that_was_taken_away_or_changed(flat: Town) -> None:
    flat.bill()
    tampered(flat, "UPDATE tariff_version SET document = replace(document, '0.3174', '0.3175')")
    found = verified(flat)
    assert not answers(found)["tariff"]
    assert "has the hash" in said(found, "tariff")


def test_draft_is_in_no_chain(flat: Town) -> None:
    rate_cycle(flat.office, "2026-10", "monthly", "ann")
    found = verified(flat)
    assert said(found, "chain") == "a draft is in no chain yet"
    assert found.identical
    approve(flat.office, "2026-10", "monthly", "ann")
    issue(flat.office, "2026-10", "monthly", "ann")
    assert verified(flat).identical


def test_unknown_statement(flat: Town) -> None:
    with pytest.raises(NotFound):
        verified(flat)


# -- a month, and the command --


def test_month_at_once(flat: Town) -> None:
    for name in ("Bea", "Cyd"):
        flat.account(name, {"tariff": "flat"})
        flat.meter(f"E-{name}", name, IMPORT)
        flat.reads(f"E-{name}")
    flat.bill()
    late(flat, "E-Bea", at(5, 12), 1_500, by="journal 8")
    watched: list[tuple[int, int]] = []
    found = list(
        verify_period(
            flat.office, lambda tx: SitePast(tx, flat.site), "2026-10", lambda done, of: watched.append((done, of))
        )
    )
    assert {each.id: each.identical for each in found} == {
        "Ada-2026-10-1": True,
        "Bea-2026-10-1": False,
        "Cyd-2026-10-1": True,
    }
    assert watched == [(1, 3), (2, 3), (3, 3)]
    assert list(verify_period(flat.office, lambda tx: SitePast(tx, flat.site), "2026-09")) == []


def test_command_says_identical_or_why_not(flat: Town, run: Run) -> None:
    flat.bill()
    code, out, err = run("statement", "verify", ADA)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"{ADA}: identical"
    assert len(out.splitlines()) < 20
    late(flat, "E-1", at(5, 12), 1_500, by="journal 8")
    code, out, _ = run("statement", "verify", ADA)
    assert code == 1
    assert out.splitlines()[-1] == f"{ADA}: different: +0.39 EUR today"
    (line,) = (line for line in out.splitlines() if "journal 8" in line)
    assert "E-1" in line
    assert "2026-10-05T12:00:00Z" in line
    assert "500 validated" in line
    assert "1,500 validated" in line
    code, out, _ = run("statement", "verify", ADA, "--json")
    told = json.loads(out)
    assert (code, told["identical"], told["reads"][0]["by"], told["money"]["difference"]) == (
        1,
        False,
        "journal 8",
        "0.39",
    )
    code, out, _ = run("statement", "verify", "--period", "2026-10")
    assert (code, out.splitlines()[-1]) == (1, "2026-10: 1 statement, 0 identical, 1 different")
    (one,) = json.loads(run("statement", "verify", "--period", "2026-10", "--json")[1])["different"]
    assert one["statement"] == ADA


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("verify",), "found neither"),
        (("verify", ADA, "--period", "2026-10"), "found both"),
        (("verify", "X"), "no statement is called 'X'"),
        (("verify", "--period", "2026-13"), "a month such as 2026-10"),
        (("bundle", "X"), "no statement is called 'X'"),
    ],
)
def test_wrong_input_is_one_line(flat: Town, run: Run, arguments: tuple[str, ...], says: str) -> None:
    code, _, err = run("statement", *arguments)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_a_heading_is_no_difference() -> None:
    line = StatementLine("energy", "Energy", D("1.500"), "kWh", D("0.3"), D("0.45"), None, None)
    assert lines_compared([replace(line, heading="Electricity")], [line])[0].same
    assert not lines_compared([replace(line, amount=D("0.46"))], [line])[0].same
    assert not lines_compared([line], [])[0].same
