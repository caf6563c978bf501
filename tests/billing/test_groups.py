"""Billing groups: periods that are no calendar months, billed to the cent, each day once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from headend.billing.approval import approve, issue
from headend.billing.bundle import check_bundle
from headend.billing.cycle import CycleScope
from headend.billing.due import due_cycles
from headend.billing.groups import BillingGroup
from headend.billing.run import rate_cycle
from headend.billing.statement import BillingDays, Segment, Statement
from headend.billing.verify import verify_statement
from headend.documents import statement_html, statement_pdf
from headend.documents.view import statement_view
from headend.errors import BillingConflict, InvalidConfig, InvalidInput
from headend.process.asbilled import SitePast, bundle_of
from headend.registry.changes import Clerk
from headend.registry.contracts import Held, move_in, move_out
from headend.registry.grouping import add_group, assign, change_dates
from headend.registry.members import billing_groups, memberships
from headend.registry.site_file import SiteFile, read_site_file
from tests.billing.town import IMPORT, Town

D = Decimal
NORTH = BillingGroup("north", 15)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """Ada's home, which uses 500 Wh every hour from August to December 2026, seen on 20 December; a group `north`."""
    return filled(Town(tmp_path))


def filled(town: Town) -> Town:
    town.now = datetime(2026, 12, 20, 9, tzinfo=UTC)
    town.home(first=date(2026, 7, 31), last=date(2026, 12, 19))
    with town.database.write() as tx:
        add_group(tx, NORTH, clerk(town))
    return town


def clerk(town: Town) -> Clerk:
    return Clerk("ann", town.now)


def join(town: Town, since: date = date(2025, 1, 1), account: str = "Ada", group: str = "north") -> None:
    with town.database.write() as tx:
        assign(tx, account, group, since, clerk(town))


def dates(town: Town, **read_on: date) -> None:
    with town.database.write() as tx:
        change_dates(tx, "north", {key.replace("_", "-")[1:]: day for key, day in read_on.items()}, clerk(town))


def segment_of(statement: Statement) -> Segment:
    (segment,) = statement.segments
    return segment


def days_of(*statements: Statement) -> list[date]:
    return sorted(use.day for statement in statements for segment in statement.segments for use in segment.daily)


def every_day(first: date, end: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((end - first).days)]


def test_a_period_over_the_end_of_summer_time_has_one_hour_more(town: Town) -> None:
    join(town)
    statement = town.bill("2026-11", "north")["Ada"]
    segment = segment_of(statement)
    # 15 October to 14 November: 31 days, one of 25 hours, make 745 h of 0.5 kWh.
    assert (segment.first, segment.last, segment.days) == (date(2026, 10, 15), date(2026, 11, 14), 31)
    assert (segment.intervals, segment.usage) == (745, D("372.5"))
    # 372.5 × 0.3174 = 118.2315; one month's standing charge; 19 % of 130.13 = 24.7247.
    assert [line.amount for line in segment.lines] == [D("118.23"), D("11.90"), D("24.72")]
    assert statement.totals.gross == D("154.85")
    assert statement.billing_days == BillingDays(date(2026, 10, 15), date(2026, 11, 14))


def test_the_hour_that_spring_takes_is_in_no_period() -> None:
    # 15 March to 14 April in Berlin: 31 days, one of 23 hours.
    days = NORTH.days("2026-04", "Europe/Berlin")
    assert (days.first, days.end, days.intervals(3600)) == (date(2026, 3, 15), date(2026, 4, 15), 743)
    assert days.start_utc == datetime(2026, 3, 14, 23, tzinfo=UTC)
    assert days.end_utc == datetime(2026, 4, 14, 22, tzinfo=UTC)
    # February is called by its 14th, and the year by the one its last day lies in.
    assert NORTH.days("2027-01", "UTC").first == date(2026, 12, 15)
    assert [NORTH.period_of(date(2026, 12, day)) for day in (14, 15)] == ["2026-12", "2027-01"]


def test_dates_of_reading_move_the_ends_of_periods_and_each_is_worth_a_month(town: Town) -> None:
    join(town)
    dates(town, _2026_10=date(2026, 10, 20))
    long = segment_of(town.bill("2026-10", "north")["Ada"])
    short = segment_of(town.bill("2026-11", "north")["Ada"])
    assert (long.first, long.last, long.days) == (date(2026, 9, 15), date(2026, 10, 19), 35)
    assert (short.first, short.last, short.days) == (date(2026, 10, 20), date(2026, 11, 14), 26)
    # 35 × 24 h, and 26 × 24 + 1 h.
    assert (long.usage, short.usage) == (420, D("312.5"))
    assert [line.amount for each in (long, short) for line in each.lines if line.kind == "standing"] == [D("11.90")] * 2


def test_tiers_begin_anew_with_a_period_not_with_the_calendar_month(town: Town) -> None:
    town.account("Ada", {"tariff": "tiered"})
    join(town)
    segment = segment_of(town.bill("2026-11", "north")["Ada"])
    assert [(each.tier, each.quantity) for each in segment.usage_by_tier] == [(1, 100), (2, D("272.5"))]


def test_a_part_of_a_period_is_worth_its_part_of_the_days(town: Town) -> None:
    town.account("Bob", {"tariff": "flat", "valid_from": "2026-09-20"})
    town.meter("E-2", "Bob", IMPORT)
    town.reads("E-2", first=date(2026, 9, 19), last=date(2026, 10, 15))
    join(town, account="Bob")
    segment = segment_of(town.bill("2026-10", "north")["Bob"])
    # 25 of the 30 days from 15 September: 11.90 × 25 ÷ 30 = 9.9167.
    assert segment.days == 25
    assert [line.amount for line in segment.lines if line.kind == "standing"] == [D("9.92")]


def test_a_change_of_group_bills_every_day_once(town: Town) -> None:
    october = town.bill("2026-10")["Ada"]
    with pytest.raises(InvalidInput, match=r"in period 2026-11 of group monthly, expected .* 2026-11-15"):
        join(town, date(2026, 11, 10))
    join(town, date(2026, 11, 15))
    november = town.bill("2026-11")["Ada"]
    assert town.bill("2026-11", "north") == {}
    december = town.bill("2026-12", "north")["Ada"]
    assert days_of(october, november, december) == every_day(date(2026, 10, 1), date(2026, 12, 15))
    # 14 of November's 30 days: 11.90 × 14 ÷ 30 = 5.5533; then a month each.
    assert [
        line.amount
        for each in (october, november, december)
        for line in segment_of(each).lines
        if line.kind == "standing"
    ] == [D("11.90"), D("5.55"), D("11.90")]
    with town.database.read() as tx:
        members = memberships(tx)["Ada"]
    assert [(each.group.name, each.since, each.until) for each in members] == [
        ("monthly", None, date(2026, 11, 15)),
        ("north", date(2026, 11, 15), None),
    ]


def test_who_is_billed_changes_group_only_from_a_day_that_is_not(town: Town) -> None:
    number = town.bill("2026-10")["Ada"].id
    with pytest.raises(BillingConflict, match=f"its days of 2026-10 are billed in {number} and would be others"):
        join(town, date(2026, 10, 15))
    with town.database.read() as tx:
        assert memberships(tx) == {}


def test_dates_of_a_billed_period_stay(town: Town) -> None:
    join(town)
    number = town.bill("2026-10", "north")["Ada"].id
    for period in ("_2026_10", "_2026_09"):
        with pytest.raises(BillingConflict, match=f"its days of 2026-10 are billed in {number}"):
            dates(town, **{period: date(2026, int(period[-2:]), 20)})
    dates(town, _2026_11=date(2026, 11, 20))
    with town.database.read() as tx:
        assert billing_groups(tx)["north"].reading_dates == (("2026-11", date(2026, 11, 20)),)


@pytest.mark.parametrize("first_day", [0, 29, -1])
def test_a_first_day_that_not_every_month_has_is_refused(town: Town, first_day: int) -> None:
    with town.database.write() as tx, pytest.raises(InvalidInput, match="expected a day of the month, 1 to 28"):
        add_group(tx, BillingGroup("south", first_day), clerk(town))


@pytest.mark.parametrize("read_on", [date(2026, 10, 1), date(2026, 11, 2), date(2025, 10, 20)])
def test_a_reading_that_would_end_the_period_in_another_month_is_refused(town: Town, read_on: date) -> None:
    with pytest.raises(InvalidInput, match=r"2026-10 is read on: found .*, expected 2026-10-02 to 2026-11-01"):
        dates(town, _2026_10=read_on)


def test_a_group_that_is_there_or_called_otherwise_is_refused(town: Town) -> None:
    for name in ("north", "monthly", "no th"):
        with town.database.write() as tx, pytest.raises(InvalidInput):
            add_group(tx, BillingGroup(name, 3), clerk(town))


def test_the_statement_shows_its_days_on_paper(town: Town) -> None:
    join(town)
    statement = town.bill("2026-10", "north")["Ada"]
    view = statement_view(statement)
    # Its days, not a month of which it has but a half.
    assert view["title"] == "Your statement for 15 Sept\u2009–\u200914 Oct 2026"
    assert ("Period", "15 Sept\u2009–\u200914 Oct 2026 (30 days)") in view["facts"]
    assert "Your statement for 15 Sept" in statement_html(statement)
    assert statement_pdf(statement).startswith(b"%PDF")


def test_the_statement_is_verified_and_comes_out_of_its_bundle(town: Town) -> None:
    join(town)
    statement = town.bill("2026-10", "north")["Ada"]
    found = verify_statement(town.office, lambda tx: SitePast(tx, town.site), statement.id)
    assert found.identical, found
    with town.database.read() as tx:
        assert check_bundle(bundle_of(tx, town.site, statement.id)[1]).differs == []


def test_one_moves_out_is_billed_at_once_and_the_next_day_is_another_s(town: Town) -> None:
    town.account("Bob")
    town.now = datetime(2026, 11, 12, 9, tzinfo=UTC)
    with town.database.write() as tx:
        move_out(tx, town.site.tariffs, ("Ada", "UP-Ada"), date(2026, 11, 10), clerk(town))
        its = Held("Bob", "UP-Ada", "electricity", "flat", date(2026, 11, 10))
        move_in(tx, town.site.tariffs, its, clerk(town))
    rate_cycle(town.office, "2026-11", "final", "ann", CycleScope(final=True))
    approve(town.office, "2026-11", "final", "ann")
    issue(town.office, "2026-11", "final", "bob")
    (final,) = town.statements("2026-11", "final").values()
    assert (final.customer.account, final.kind, final.first, final.last) == (
        "Ada",
        "final",
        date(2026, 11, 1),
        date(2026, 11, 9),
    )
    # 9 × 24 h of 0.5 kWh; 11.90 × 9 ÷ 30 = 3.57.
    assert segment_of(final).usage == 108
    assert [line.amount for line in segment_of(final).lines if line.kind == "standing"] == [D("3.57")]
    town.now = datetime(2026, 12, 3, 9, tzinfo=UTC)
    (first,) = town.bill("2026-11").values()
    assert (first.customer.account, segment_of(first).usage) == ("Bob", 252)
    assert days_of(final, first) == every_day(date(2026, 11, 1), date(2026, 12, 1))


def test_a_group_that_nobody_is_billed_in_is_not_due(town: Town) -> None:
    def due() -> list[tuple[str, str]]:
        return [(one.period, one.name) for one in due_cycles(town.office, ZoneInfo("Europe/Berlin"), 2)]

    november = ("2026-11", "monthly")
    assert due() == [november]
    # Of north's 15 November to 14 December Ada is in it from 1 December on, and all of November by the month.
    join(town, date(2026, 12, 1))
    assert due() == [november, ("2026-12", "north")]
    # Left before that, she is nobody to bill in north.
    with town.database.write() as tx:
        move_out(tx, town.site.tariffs, ("Ada", "UP-Ada"), date(2026, 12, 1), clerk(town))
    assert due() == [november]
    # A clerk's cycle is gone on with, whoever is in it.
    rate_cycle(town.office, "2026-12", "north", "ann")
    assert due() == [november]
    town.account("Bob")
    join(town, date(2026, 12, 20), "Bob")
    town.now += timedelta(days=1)
    assert due() == [november], "Bob has no agreement yet"


def test_a_group_of_the_site_file(town: Town) -> None:
    home = {"usage_point": "UP-Bob", "commodity": "electricity", "tariff": "flat", "valid_from": "2026-01-01"}
    point = {"id": "UP-Bob", "address": "", "timezone": "Europe/Berlin"}
    south = {"name": "south", "first_day": 3, "reading_dates": {"2026-10": "2026-10-05"}}
    bob = {"id": "Bob", "name": "Bob", "agreements": [home]}
    rows = {"usage_points": [point], "billing_groups": [south]}
    town.enrol(**rows, accounts=[bob | {"group": "south"}])
    with town.database.read() as tx:
        (member,) = memberships(tx)["Bob"]
    assert (member.group, member.since) == (BillingGroup("south", 3, (("2026-10", date(2026, 10, 5)),)), None)
    moved = [{"group": "monthly", "from": "2026-01-01"}, {"group": "south", "from": "2026-11-03"}]
    town.enrol(**rows, accounts=[bob | {"groups": moved}])
    with town.database.read() as tx:
        assert [(each.group.name, each.since) for each in memberships(tx)["Bob"]] == [
            ("monthly", None),
            ("south", date(2026, 11, 3)),
        ]
    # What a clerk has changed is left alone from then on.
    with town.database.write() as tx:
        add_group(tx, BillingGroup("west", 2), clerk(town))
    join(town, date(2026, 12, 3), "Bob", "west")
    with town.database.write() as tx:
        change_dates(tx, "south", {"2027-02": date(2027, 2, 6)}, clerk(town))
    town.enrol(**rows, accounts=[bob | {"group": "south"}])
    with town.database.read() as tx:
        assert [each.group.name for each in memberships(tx)["Bob"]] == ["monthly", "south", "west"]
        assert billing_groups(tx)["south"].reading_dates == (
            ("2026-10", date(2026, 10, 5)),
            ("2027-02", date(2027, 2, 6)),
        )


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ('[[billing_groups]]\nname = "a"\nfirst_day = 29', "first day: found 29, expected a day of the month, 1 to 28"),
        ('[[billing_groups]]\nname = "monthly"', "expected another name"),
        (
            '[[billing_groups]]\nname = "a"\nreading_dates = { "2026-10" = 2026-11-05 }',
            "found 2026-11-05, expected 2026-10-02 to 2026-11-01",
        ),
        ('[[accounts]]\nid = "A"\nname = "A"\ngroup = "a"', "a billing group of this file for account A, not 'a'"),
        (
            '[[accounts]]\nid = "A"\nname = "A"\ngroups = [{ group = "monthly", from = 2026-02-01 },'
            ' { group = "monthly", from = 2026-01-01 }]',
            "groups from days that rise",
        ),
    ],
)
def test_a_wrong_group_in_the_site_file_stops_the_start(tmp_path: Path, text: str, refused: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(InvalidConfig, match=refused):
        read_site_file(path)


def test_a_site_file_of_before_has_the_monthly_group() -> None:
    site = SiteFile.model_validate({"accounts": [{"id": "A", "name": "A"}]})
    assert (site.billing_groups, site.accounts[0].memberships) == ((), ())


def test_a_group_is_billed_on_postgresql_as_on_sqlite(tmp_path: Path, migrated_postgres_url: str) -> None:
    here, there = filled(Town(tmp_path / "sqlite")), filled(Town(tmp_path / "postgresql", migrated_postgres_url))
    for town in (here, there):
        join(town, date(2026, 11, 15))
        assert [each.name for each in due_cycles(town.office, ZoneInfo("Europe/Berlin"), 2)] == ["monthly", "north"]
        town.bill("2026-11")
        town.bill("2026-12", "north")
    assert there.documents("2026-12", "north") == here.documents("2026-12", "north")
    assert len(here.documents("2026-12", "north")) == 1
    for town in (here, there):
        town.database.close()
