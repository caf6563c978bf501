"""What clerks change: who moves in and out, tariffs, meters, groups; and what they are refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import select

from headend.billing.cycle import CycleScope
from headend.billing.groups import BillingGroup, Membership
from headend.billing.run import rate_cycle
from headend.errors import BillingConflict, InvalidInput, NotFound
from headend.reads.days import seconds
from headend.registry.changes import Clerk, changes
from headend.registry.contracts import Held, agreements_where, change_tariff, move_in, move_out
from headend.registry.exchange import NewMeter, exchange_meter
from headend.registry.gateways import enrol_gateway
from headend.registry.grouping import add_group, assign
from headend.registry.members import memberships
from headend.registry.registry import channels_of
from headend.registry.site_file import AccountRow
from headend.store import tables as t
from headend.store.rebills import rebills
from tests.billing.town import EXPORT, IMPORT, Town
from tests.commands import headend

NOW = datetime(2026, 11, 3, 9, tzinfo=UTC)
ANN = Clerk("ann", NOW)
PLACE = ("Ada", "UP-Ada")
SECOND = NewMeter("E-2")


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """Ada's home, with a meter that uses 500 Wh an hour; Bob has an account and no home."""
    made = Town(tmp_path)
    made.account("Ada", {"tariff": "flat"})
    made.account("Bob")
    made.meter("E-1", "Ada", IMPORT, EXPORT)
    made.reads("E-1")
    return made


def held(town: Town, point: str = "UP-Ada") -> list[tuple[str, str, str, str | None]]:
    with town.database.read() as tx:
        its = agreements_where(tx, t.service_agreement.c.usage_point_id, [point])
    return [(each.account, each.tariff, str(each.valid_from), each.valid_to and str(each.valid_to)) for each in its]


def out(town: Town, on: date, **more: bool) -> list[str]:
    with town.database.write() as tx:
        return [each.statement for each in move_out(tx, town.site.tariffs, PLACE, on, ANN, **more)]


def into(town: Town, account: str, since: date, tariff: str = "flat", point: str = "UP-Ada", **more: object) -> None:
    its = Held(account, point, "electricity", tariff, since)
    with town.database.write() as tx:
        move_in(tx, town.site.tariffs, its, ANN, **more)


def to_tariff(town: Town, tariff: str, since: date) -> None:
    with town.database.write() as tx:
        change_tariff(tx, town.site.tariffs, PLACE, tariff, since, ANN)


def exchange(town: Town, at: datetime, new: NewMeter = SECOND, old: str = "E-1", **more: bool) -> list[str]:
    with town.database.write() as tx:
        return [each.statement for each in exchange_meter(tx, old, new, at, ANN, **more)]


def test_one_moves_out_and_another_in_the_same_day(town: Town) -> None:
    out(town, date(2026, 11, 10))
    into(town, "Bob", date(2026, 11, 10), "solar")
    assert held(town) == [("Ada", "flat", "2025-01-01", "2026-11-10"), ("Bob", "solar", "2026-11-10", None)]
    with town.database.read() as tx:
        told = [(each.what, each.text, each.by, each.at) for each in changes(tx, ["UP-Ada"])]
        assert [each.what for each in changes(tx, ["Ada"])] == ["move-out"]
    assert told == [
        ("move-in", "Bob to UP-Ada, electricity by solar, from 2026-11-10 on", "ann", NOW),
        ("move-out", "Ada of UP-Ada on 2026-11-10: electricity", "ann", NOW),
    ]


def test_a_move_out_survives_the_next_start(town: Town) -> None:
    out(town, date(2026, 11, 10))
    exchange(town, datetime(2026, 11, 2, 10, tzinfo=UTC))
    town.account("Ada", {"tariff": "tiered"})
    town.meter("E-1", "Ada", IMPORT, EXPORT, installed=datetime(2026, 1, 1, tzinfo=UTC))
    assert held(town) == [("Ada", "flat", "2025-01-01", "2026-11-10")]
    with town.database.read() as tx:
        (row,) = tx.execute(select(t.installation).where(t.installation.c.meter_id == 1)).all()
    assert (row.installed_s, row.removed_s) == (946_684_800, seconds(datetime(2026, 11, 2, 10, tzinfo=UTC)))


def test_a_new_account_is_added_by_its_name(town: Town) -> None:
    out(town, date(2026, 11, 10))
    with pytest.raises(NotFound, match="no account is called 'Cem': give --name"):
        into(town, "Cem", date(2026, 11, 10))
    into(town, "Cem", date(2026, 11, 10), new=AccountRow(id="Cem", name="Cem Özdemir"))
    with town.database.read() as tx:
        assert tuple(tx.execute(select(t.account).where(t.account.c.id == "Cem")).one()) == (
            "Cem",
            "Cem Özdemir",
            "residential",
            "en_GB",
        )


def test_two_agreements_on_a_day_are_refused(town: Town) -> None:
    found = "from 2026-11-10 on, while Ada has an agreement from 2025-01-01 on"
    for account in ("Bob", "Ada"):
        with pytest.raises(InvalidInput, match=found):
            into(town, account, date(2026, 11, 10))
    assert held(town) == [("Ada", "flat", "2025-01-01", None)]


def test_who_moves_in_before_another_moves_out_in_time(town: Town) -> None:
    town.account("Dee", {"tariff": "flat", "valid_from": "2026-12-01"})
    with pytest.raises(InvalidInput, match="while Dee has an agreement from 2026-12-01 on"):
        into(town, "Bob", date(2026, 11, 10), point="UP-Dee")
    its = Held("Bob", "UP-Dee", "electricity", "flat", date(2026, 11, 10), date(2026, 12, 1))
    with town.database.write() as tx:
        move_in(tx, town.site.tariffs, its, ANN)
    assert [each[0] for each in held(town, "UP-Dee")] == ["Bob", "Dee"]


@pytest.mark.parametrize(
    ("tariff", "since", "refused"),
    [
        ("none", date(2026, 11, 10), "tariff: found 'none', expected a tariff of the book"),
        ("future", date(2026, 10, 1), "found 2026-10-01, expected 2026-10-02 or later, from when on there is tariff"),
        ("heat", date(2026, 11, 10), "found heat, for heat, expected a tariff for electricity"),
        ("business-demand", date(2026, 11, 10), "expected one for residential, as the account is"),
    ],
)
def test_a_tariff_that_cannot_price_it_is_refused(town: Town, tariff: str, since: date, refused: str) -> None:
    town.account("Cem")
    with pytest.raises(InvalidInput, match=refused):
        into(town, "Cem", since, tariff, "UP-Cem")
    assert held(town, "UP-Cem") == []


def test_a_move_out_before_the_move_in_is_refused_and_so_is_a_second_one(town: Town) -> None:
    with pytest.raises(InvalidInput, match="2024-12-31, before it moves in on 2025-01-01"):
        out(town, date(2024, 12, 31))
    out(town, date(2026, 11, 10))
    with pytest.raises(InvalidInput, match="expected a day before 2026-11-10, when it moved out"):
        out(town, date(2026, 11, 12))
    with town.database.write() as tx, pytest.raises(NotFound, match="account 'Bob' has no agreement at 'UP-Ada'"):
        move_out(tx, town.site.tariffs, ("Bob", "UP-Ada"), date(2026, 11, 12), ANN)


def test_a_move_out_ends_what_was_to_follow_and_one_that_never_was_leaves_the_place_free(town: Town) -> None:
    to_tariff(town, "tiered", date(2026, 12, 1))
    out(town, date(2026, 11, 10))
    assert held(town) == [("Ada", "flat", "2025-01-01", "2026-11-10"), ("Ada", "tiered", "2026-12-01", "2026-12-01")]
    into(town, "Bob", date(2026, 11, 15))
    with town.database.write() as tx:
        move_out(tx, town.site.tariffs, ("Bob", "UP-Ada"), date(2026, 11, 15), ANN)
    into(town, "Bob", date(2026, 11, 15), "tiered")
    assert held(town)[1] == ("Bob", "tiered", "2026-11-15", None)


def test_a_tariff_changes_from_a_day_on_and_what_was_to_end_still_ends(town: Town) -> None:
    out(town, date(2027, 2, 1))
    to_tariff(town, "tiered", date(2026, 12, 1))
    assert held(town) == [
        ("Ada", "flat", "2025-01-01", "2026-12-01"),
        ("Ada", "tiered", "2026-12-01", "2027-02-01"),
    ]
    with pytest.raises(InvalidInput, match="no agreement on 2027-02-01"):
        to_tariff(town, "flat", date(2027, 2, 1))
    with pytest.raises(InvalidInput, match="found tiered, expected another than it has"):
        to_tariff(town, "tiered", date(2026, 12, 5))


def test_what_is_billed_is_not_changed_behind_its_back(town: Town) -> None:
    number = town.bill()["Ada"].id
    refused = f"days of it are billed in {number} \\(Ada, 2026-10\\)"
    with pytest.raises(BillingConflict, match=refused):
        out(town, date(2026, 10, 31))
    with pytest.raises(BillingConflict, match=refused):
        to_tariff(town, "tiered", date(2026, 10, 15))
    with pytest.raises(BillingConflict, match=refused):
        exchange(town, datetime(2026, 10, 31, 22, tzinfo=UTC))
    # Another place from a day in October on: its days would never be billed.
    with pytest.raises(BillingConflict, match=refused):
        into(town, "Ada", date(2026, 10, 31), point="UP-Bob")
    assert held(town) == [("Ada", "flat", "2025-01-01", None)]
    out(town, date(2026, 11, 1))
    assert held(town) == [("Ada", "flat", "2025-01-01", "2026-11-01")]


def test_a_clerk_who_insists_has_the_statement_flagged(town: Town) -> None:
    number = town.bill()["Ada"].id
    assert out(town, date(2026, 10, 25), billed_too=True) == [number]
    with town.database.read() as tx:
        (flag,) = rebills(tx)
        (change,) = changes(tx, ["Ada"])
    # 25 October in Berlin begins in summer time, November in winter time.
    begin, end = datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert (flag.statement, flag.meter_name, flag.channel.obis, flag.change) == (number, "E-1", IMPORT, 0)
    assert (flag.first_s, flag.end_s, flag.cause) == (seconds(begin), seconds(end), "move-out by ann")
    assert change.text.endswith(f"billed already in {number}")


def test_a_meter_is_exchanged_for_one_with_the_same_channels(town: Town) -> None:
    at = datetime(2026, 11, 2, 10, tzinfo=UTC)
    town.meter(
        "E-1",
        "Ada",
        channels=[
            {
                "channel": IMPORT,
                "max_per_interval": 10**6,
                "register_digits": 6,
                "constants": [{"from": datetime(2026, 1, 1, tzinfo=UTC), "ct": "200/5"}],
            }
        ],
    )
    assert exchange(town, at, NewMeter("E-2", register_digits=8)) == []
    with town.database.read() as tx:
        old, new = channels_of(tx, "E-1"), channels_of(tx, "E-2")
    assert {each.removed_s for each in old} == {seconds(at)} == {each.installed_s for each in new}
    assert [(each.channel.obis, each.register_digits, each.removed_s) for each in new] == [
        (IMPORT, 8, None),
        (EXPORT, 8, None),
    ]
    assert [[one.made_of for one in each.constants] for each in new] == [["CT 200/5"], []]


def test_an_exchanged_meter_is_billed_with_its_successor(town: Town) -> None:
    at = datetime(2026, 10, 12, 10, tzinfo=UTC)
    exchange(town, at)
    town.reads("E-2", 2_000, first=at.date())
    # 276 h of 0.5 kWh up to the exchange, 469 h of 2 kWh from there.
    (segment,) = town.bill()["Ada"].segments
    assert [(each.meter, each.quantity) for each in segment.meters] == [("E-1", 138), ("E-2", 938)]


@pytest.mark.parametrize(
    ("at", "new", "old", "refused"),
    [
        (datetime(2026, 11, 2, 10, 30, tzinfo=UTC), "E-2", "E-1", "expected the end of an interval of 3600 s"),
        (NOW + timedelta(hours=1), "E-2", "E-1", "which is to come"),
        (datetime(1999, 1, 1, tzinfo=UTC), "E-2", "E-1", "after it was installed, 2000-01-01T00:00Z"),
        (NOW, "E-1", "E-1", "another than the old one"),
        (NOW, "E-9", "E-1", "found E-9, which hangs at UP-Bob, expected one that hung nowhere yet"),
        (NOW, "E 2", "E-1", "1 to 64 letters"),
    ],
)
def test_an_exchange_that_cannot_be_is_refused(town: Town, at: datetime, new: str, old: str, refused: str) -> None:
    town.meter("E-9", "Bob", IMPORT)
    with pytest.raises(InvalidInput, match=refused):
        exchange(town, at, NewMeter(new), old)
    with town.database.read() as tx:
        assert {each.removed_s for each in channels_of(tx, "E-1")} == {None}
        assert changes(tx) == []


def test_the_gateway_of_a_new_meter_is_one_that_is_known(town: Town) -> None:
    at = datetime(2026, 11, 2, 10, tzinfo=UTC)
    refused = r"the new meter: gateway: found 'NOPE', expected one that was enrolled or heard \(headend gateway list"
    with pytest.raises(InvalidInput, match=refused):
        exchange(town, at, NewMeter("E-2", gateway="NOPE"))
    with town.database.write() as tx:
        enrol_gateway(tx, "gw-7")
    assert exchange(town, at, NewMeter("E-2", gateway="gw-7")) == []
    with town.database.read() as tx:
        assert {each.gateway for each in channels_of(tx, "E-2")} == {"gw-7"}


def test_a_meter_that_was_removed_is_not_exchanged_again(town: Town) -> None:
    exchange(town, datetime(2026, 11, 2, 10, tzinfo=UTC))
    with pytest.raises(InvalidInput, match="found removed at 2026-11-02T10:00Z, expected a meter that hangs"):
        exchange(town, NOW, NewMeter("E-3"))
    with pytest.raises(NotFound, match="no meter is called 'E-0'"):
        exchange(town, NOW, old="E-0")


def test_commands_say_what_they_did(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("account,name\nA-1,Ada\nA-2,Bob\n")
    (tmp_path / "usage_points.csv").write_text("usage_point,address,timezone\nUP-1,Street 1,Europe/Berlin\n")

    def done(*args: str) -> str:
        ended = headend(tmp_path, "registry", *args)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout

    assert "written" in done("import", str(tmp_path / "accounts.csv"), str(tmp_path / "usage_points.csv"))
    done("move-in", "A-1", "--usage-point", "UP-1", "--tariff", "home-tou", "--from", "2026-02-01")
    done("change-tariff", "A-1", "--usage-point", "UP-1", "--tariff", "home-seasonal-tiers", "--from", "2026-03-01")
    done("move-out", "A-1", "--usage-point", "UP-1", "--on", "2026-04-01")
    done("group", "add", "north", "--first-day", "15")
    assert "2026-10 is 2026-09-15 to 2026-10-20, without it: 35 days" in done(
        "group", "dates", "north", "2026-10=2026-10-20"
    )
    done("group", "assign", "A-1", "north", "--from", "2026-03-15")
    assert "2026-10: 2026-10-20" in done("group", "list")
    shown = done("show", "A-1")
    for told in ("name Ada", "home-seasonal-tiers", "2026-04-01", "north", "2026-03-15", "move-out", "anna"):
        assert told in shown
    assert "UP-1" in done("show", "UP-1")
    assert done("log").count("anna") == 12
    again = headend(
        tmp_path, "registry", "move-in", "A-2", "--usage-point", "UP-1", "--tariff", "x", "--from", "2026-04-01"
    )
    assert (again.returncode, "'x', expected a tariff of the book" in again.stderr) == (2, True)
    nameless = ("registry", "move-in", "A-3", "--locale", "de_DE", "--usage-point", "UP-1", "--tariff", "home-tou")
    refused = headend(tmp_path, *nameless, "--from", "2026-04-01")
    assert (refused.returncode, "expected the name too" in refused.stderr) == (2, True)
    unfit = ("registry", "move-in", "A/3", "--name", "Cem", "--usage-point", "UP-1", "--tariff", "home-tou")
    ended = headend(tmp_path, *unfit, "--from", "2026-04-01")
    assert (ended.returncode, "account: id: found 'A/3'" in ended.stderr) == (2, True)
    new = ("registry", "move-in", "A-3", "--name", "Cem", "--locale", "de_DE", "--usage-point", "UP-1")
    assert headend(tmp_path, *new, "--tariff", "home-tou", "--from", "2026-04-01").returncode == 0
    assert "locale de_DE" in done("show", "A-3")
    assert headend(tmp_path, "registry", "show", "nobody").returncode == 2
    assert "a day such as" in headend(tmp_path, "registry", "group", "assign", "A-1", "north", "--from", "soon").stderr


def test_of_two_clerks_at_once_one_finds_the_place_taken(town: Town) -> None:
    out(town, date(2026, 11, 10))
    both, said = Barrier(2), []

    def moves_in(account: str) -> None:
        both.wait()
        try:
            into(town, account, date(2026, 11, 10))
        except InvalidInput as error:
            said.append(str(error))

    town.account("Cem")
    clerks = [Thread(target=moves_in, args=(account,)) for account in ("Bob", "Cem")]
    for one in clerks:
        one.start()
    for one in clerks:
        one.join()
    _, (taken, *_) = held(town)
    assert said == [next(each for each in said if f"while {taken} has an agreement from 2026-11-10 on" in each)]


def test_an_agreement_given_up_before_its_first_day_is_none(town: Town) -> None:
    """Its day is neither the begin of what an account is billed for, nor the end of it."""
    to_tariff(town, "tiered", date(2026, 12, 1))
    out(town, date(2026, 10, 20))
    assert held(town)[1] == ("Ada", "tiered", "2026-12-01", "2026-12-01")
    rate_cycle(town.office, "2026-10", "gone", "ann", CycleScope(final=True))
    assert town.statements(cycle="gone")["Ada"].last == date(2026, 10, 19)
    into(town, "Bob", date(2026, 10, 20))
    with town.database.write() as tx:
        move_out(tx, town.site.tariffs, ("Bob", "UP-Ada"), date(2026, 10, 20), ANN)
    into(town, "Bob", date(2026, 11, 10))
    with town.database.write() as tx:
        add_group(tx, BillingGroup("north", 15), ANN)
        assign(tx, "Bob", "north", date(2026, 11, 10), ANN)
        assert memberships(tx)["Bob"] == (Membership(BillingGroup("north", 15)),)
