"""Commands: what may follow what, whatever is lost, late or said twice."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from headend.collect.wire import ResultMessage
from headend.errors import InvalidInput, NotFound
from headend.store import tables as t
from headend.store.commandkinds import KINDS
from headend.store.commands import (
    OPEN,
    Command,
    ask_for_rebirth,
    cancel,
    commands_of,
    due,
    expire,
    gateway_online,
    has_work,
    mark_sent,
    mark_served,
    queue_command,
    reborn,
    state_after,
    take_result,
    wanting,
)
from headend.store.database import Database

NOW = datetime(2026, 1, 5, 13, tzinfo=UTC)
RETRY_S = 60
DAY = timedelta(days=1)
STATES = ("queued", "sent", "acknowledged", "done", "failed", "expired", "cancelled")
GAP = {
    "meter": "E-10023",
    "channel": "1-0:1.8.0",
    "from": "2026-01-05T02:00:00Z",
    "to": "2026-01-05T05:00:00Z",
}
FIRMWARE = {
    "version": "2.0",
    "size": 40_000,
    "sha256": "0" * 64,
    "signature": "c2lnbmF0dXJl",
    "chunk_bytes": 16_384,
    "chunks": 3,
}


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def result(number: int, state: str, detail: str = "", wanted: tuple[int, int] | None = None) -> ResultMessage:
    return ResultMessage(id=number, state=state, sent_at=NOW, detail=detail, wanted=wanted)


@dataclass
class Desk:
    """Two gateways, and somebody who asks them for things."""

    database: Database

    def __post_init__(self) -> None:
        with self.database.write() as tx:
            tx.execute(t.gateway.insert(), [{"name": name, "messages": 0} for name in ("GW-1", "GW-2")])

    def queue(self, kind: str = "restart", gateway: str = "GW-1", **args: object) -> int:
        with self.database.write() as tx:
            return queue_command(tx, gateway, kind, args, by="olga", now=NOW, expires=NOW + DAY)

    def sent(self, kind: str = "restart", now: datetime = NOW, **args: object) -> int:
        number = self.queue(kind, **args)
        with self.database.write() as tx:
            mark_sent(tx, number, now)
        return number

    def take(self, *results: ResultMessage, gateway: str = "GW-1", now: datetime = NOW) -> Command:
        with self.database.write() as tx:
            for one in results:
                take_result(tx, gateway, one, now)
        return self.newest()

    def due(self, seconds: float = 0) -> list[int]:
        with self.database.write() as tx:
            found = [command.id for command in due(tx, after(seconds), RETRY_S)]
            assert has_work(tx, after(seconds), RETRY_S) or not found
        return found

    def newest(self) -> Command:
        with self.database.read() as tx:
            return commands_of(tx, limit=1)[0]

    def says(self, **said: object) -> None:
        with self.database.write() as tx:
            tx.execute(t.gateway.update().where(t.gateway.c.name == "GW-1").values(**said))


@pytest.fixture
def desk(site_database: Database) -> Desk:
    return Desk(site_database)


# ---- the states --------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(STATES)))
def test_what_is_done_or_failed_stays_so_whatever_is_said(said: list[str]):
    for end in ("done", "failed"):
        state = end
        for one in said:
            state = state_after(state, one)
        assert state == end


@given(st.lists(st.sampled_from(STATES)))
def test_no_command_goes_back_to_an_earlier_state(said: list[str]):
    state = "queued"
    for one in said:
        before, state = state, state_after(state, one)
        assert STATES.index(state) >= STATES.index(before) or before in {"expired", "cancelled"}
        assert state in OPEN or state not in {"queued", "sent"}


@given(st.lists(st.sampled_from(("acknowledged", "done")), min_size=1), st.randoms())
def test_order_and_number_of_the_same_answers_do_not_matter(answers: list[str], shuffled):
    def ends(order: list[str]) -> str:
        state = "sent"
        for one in order:
            state = state_after(state, one)
        return state

    again = answers * 2
    shuffled.shuffle(again)
    assert ends(again) == ends(answers) == ("done" if "done" in answers else "acknowledged")


# ---- asking ------------------------------------------------------------------------------------------------------


def test_a_command_keeps_what_it_was_asked_with(desk):
    number = desk.queue("backfill", gaps=[GAP])
    command = desk.newest()
    assert command == Command(
        number, "GW-1", "backfill", {"gaps": [GAP]}, "queued", "", 0, NOW, "olga", NOW, None, NOW + DAY, None
    )


@pytest.mark.parametrize(
    ("kind", "args", "line"),
    [
        ("reboot", {}, "command: found 'reboot', expected one of " + ", ".join(KINDS)),
        ("restart", {"now": True}, "command restart: now: found True, expected no such argument"),
        ("set_interval", {}, "command set_interval: report_every_s: found nothing, expected a value"),
        ("set_interval", {"report_every_s": 0}, "command set_interval: report_every_s: found 0, expected greater"),
        ("set_clock", {"time": "2026-01-05T13:00:00"}, "command set_clock: time: found '2026-01-05T13:00:00'"),
        ("backfill", {"gaps": []}, "command backfill: gaps: found []"),
        ("backfill", {"gaps": [GAP] * 501}, "command backfill: gaps: found"),
        ("backfill", {"gaps": [GAP | {"to": GAP["from"]}]}, "command backfill: gaps.0: found"),
        ("backfill", {"gaps": [GAP | {"channel": "import"}]}, "command backfill: gaps.0.channel: found 'import'"),
        ("read", {"meters": []}, "command read: meters: found []"),
        ("firmware", FIRMWARE | {"sha256": "?"}, "command firmware: sha256: found '?'"),
    ],
)
def test_wrong_args_are_one_line_that_says_where(desk, kind, args, line):
    with pytest.raises(InvalidInput) as refused:
        desk.queue(kind, **args)
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)
    assert desk.due() == []


def test_gateways_that_are_unknown_or_revoked_are_asked_for_nothing(desk):
    with pytest.raises(NotFound, match="no gateway is called 'GW-9'"):
        desk.queue(gateway="GW-9")
    desk.says(revoked_s=1)
    with pytest.raises(InvalidInput, match="revoked"):
        desk.queue()


def test_a_sparkplug_node_knows_rebirth_and_nothing_else(desk):
    with desk.database.write() as tx:
        tx.execute(t.gateway.insert().values(name="plant.press", messages=1))
        tx.execute(t.sparkplug_birth.insert().values(node="plant/press", device="", born_us=1, metrics="{}"))
    assert desk.queue("rebirth", gateway="plant.press") == 1
    with pytest.raises(InvalidInput, match="command: found 'restart', expected rebirth"):
        desk.queue("restart", gateway="plant.press")
    with pytest.raises(InvalidInput, match="no Sparkplug node"):
        desk.queue("rebirth", gateway="GW-1")


# ---- sending -----------------------------------------------------------------------------------------------------


def test_what_is_not_answered_is_sent_again_after_a_while(desk):
    first, second = desk.queue(), desk.queue()
    assert desk.due() == [first, second]
    with desk.database.write() as tx:
        mark_sent(tx, first, NOW)
    assert desk.due(59) == [second]
    assert desk.due(60) == [first, second]
    assert (desk.due(DAY.total_seconds() - 1), desk.due(DAY.total_seconds())) == ([first, second], [])


def test_what_is_never_answered_is_sent_more_rarely_after_ten_times(desk):
    number = desk.sent()
    for minute in range(1, 10):
        assert desk.due(60 * minute) == [number]
        with desk.database.write() as tx:
            mark_sent(tx, number, after(60 * minute))
    assert (desk.due(540 + 599), desk.due(540 + 600)) == ([], [number])


def test_what_is_acknowledged_is_asked_about_again_ten_times_later(desk):
    number = desk.sent()
    desk.take(result(number, "acknowledged"), now=after(5))
    assert (desk.due(604), desk.due(605)) == ([], [number])
    desk.take(result(number, "progress"), now=after(500))
    assert (desk.due(1_099), desk.due(1_100)) == ([], [number])
    desk.take(result(number, "done"), now=after(600))
    assert desk.due(3_000) == []


def test_nothing_is_sent_to_a_gateway_that_is_offline_until_it_comes_online(desk):
    number = desk.sent()
    desk.says(online=False)
    assert desk.due(3_600) == []
    desk.says(online=True)
    assert desk.due(30) == []
    with desk.database.write() as tx:
        gateway_online(tx, "GW-1", after(30))
    assert desk.due(30) == [number]


def test_a_gateway_that_was_just_heard_is_not_offline_whatever_its_status_says(desk):
    number = desk.sent()
    desk.says(online=False, last_seen_s=int(after(3_600).timestamp()))
    assert (desk.due(3_660), desk.due(3_661)) == ([number], [])


def test_coming_online_changes_nothing_for_others_or_for_what_was_sent_since(desk):
    number = desk.sent(now=after(30))
    with desk.database.write() as tx:
        gateway_online(tx, "GW-2", after(31))
        gateway_online(tx, "GW-1", after(30))
    assert desk.due(31) == []
    desk.take(result(number, "done"))
    with desk.database.write() as tx:
        gateway_online(tx, "GW-1", after(60))
    assert desk.due(600) == []


def test_two_senders_never_hold_the_same_command(desk):
    for _ in range(50):
        desk.queue()
    taken: list[int] = []

    def send() -> None:
        while True:
            with desk.database.write() as tx:
                mine = [command.id for command in due(tx, NOW, RETRY_S, limit=3)]
                for number in mine:
                    mark_sent(tx, number, NOW)
            if not mine:
                return
            taken.extend(mine)

    senders = [threading.Thread(target=send) for _ in range(3)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert sorted(taken) == list(range(1, 51))


# ---- results -----------------------------------------------------------------------------------------------------


def test_answers_in_order(desk):
    number = desk.sent()
    command = desk.take(result(number, "acknowledged"))
    assert (command.state, command.attempts, command.sent) == ("acknowledged", 1, NOW)
    command = desk.take(result(number, "done", "3 intervals sent"), now=after(9))
    assert (command.state, command.detail, command.changed) == ("done", "3 intervals sent", after(9))


def test_an_answer_that_comes_again_changes_nothing(desk):
    number = desk.sent()
    done = desk.take(result(number, "done", "3 intervals sent"))
    again = (result(number, "acknowledged"), result(number, "done", "again"), result(number, "failed", "no"))
    assert desk.take(*again, now=after(60)) == done


def test_answers_of_another_gateway_and_to_nothing_are_passed_over(desk):
    number = desk.sent()
    before = desk.newest()
    assert desk.take(result(number, "done"), gateway="GW-2") == before
    assert desk.take(result(number + 1, "done"), result(2**63 - 1, "failed")) == before


def test_what_was_done_though_it_was_given_up_is_done(desk):
    number = desk.sent()
    with desk.database.write() as tx:
        assert (expire(tx, after(DAY.total_seconds() - 1)), expire(tx, NOW + DAY), expire(tx, NOW + DAY)) == (0, 1, 0)
    assert desk.take(result(number, "acknowledged")).state == "expired"
    assert desk.take(result(number, "done")).state == "done"


def test_cancelled_is_sent_no_more(desk):
    number = desk.sent()
    with desk.database.write() as tx:
        cancel(tx, number, by="olga", now=after(1))
        with pytest.raises(NotFound):
            cancel(tx, number, by="olga", now=after(2))
    command = desk.newest()
    assert (command.state, command.detail, desk.due(600)) == ("cancelled", "cancelled by olga", [])


# ---- firmware and rebirth ------------------------------------------------------------------------------------------


def test_chunks_are_wanted_until_they_are_served_or_the_command_ends(desk):
    number = desk.sent("firmware", **FIRMWARE)
    command = desk.take(result(number, "progress", "8 of 3", wanted=(0, 3)))
    assert (command.state, command.wanted) == ("acknowledged", (0, 3))
    with desk.database.write() as tx:
        assert [one.id for one in wanting(tx)] == [number]
        assert has_work(tx, NOW, RETRY_S)
        mark_served(tx, number)
        assert not wanting(tx)
        assert not has_work(tx, NOW, RETRY_S)
    assert desk.take(result(number, "progress", wanted=(1, 2)), result(number, "failed")).wanted is None


def test_only_firmware_has_chunks(desk):
    assert desk.take(result(desk.sent(), "progress", wanted=(0, 8))).wanted is None


def test_a_node_is_asked_for_its_names_once_at_a_time(desk):
    with desk.database.write() as tx:
        ask_for_rebirth(tx, "plant.press", NOW)  # a node nobody has heard of yet
        ask_for_rebirth(tx, "plant.press", after(5))
        ask_for_rebirth(tx, "plant.saw", after(5))
        assert [(one.gateway, one.kind) for one in due(tx, after(5), RETRY_S)] == [
            ("plant.press", "rebirth"),
            ("plant.saw", "rebirth"),
        ]
        reborn(tx, "plant.press", after(9))
        reborn(tx, "plant.press", after(10))
        c = t.command.c
        states = tx.execute(select(c.gateway, c.state, c.changed_us).order_by(c.id)).all()
        assert [tuple(row) for row in states] == [
            ("plant.press", "done", int(after(9).timestamp()) * 1_000_000),
            ("plant.saw", "queued", int(after(5).timestamp()) * 1_000_000),
        ]
        ask_for_rebirth(tx, "plant.press", after(20))
        assert len(commands_of(tx, "plant.press")) == 2
