"""Enrolment of gateways: a secret that is shown once, and those nothing is taken from any more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select
from typer.testing import CliRunner

from headend.cli.gateway import app
from headend.errors import InvalidInput, NotFound
from headend.registry.gateways import (
    Gateway,
    enrol_gateway,
    enrolled_gateways,
    gateway_of_token,
    gateways_with_commands,
    revoke_gateway,
)
from headend.store import tables as t
from headend.store.commands import commands_of, queue_command
from headend.store.database import Database
from tests.databases import file_database

NOW = datetime(2026, 1, 5, 13, tzinfo=UTC)


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Connection]:
    database = file_database(tmp_path / "site.db", "site")
    with database.write() as tx:
        yield tx
    database.close()


def test_token_lets_its_gateway_in_and_nobody_else(tx):
    token, other = enrol_gateway(tx, "GW-1"), enrol_gateway(tx, "GW-2")
    assert gateway_of_token(tx, "GW-1", token)
    for name, shown in (("GW-1", other), ("GW-2", token), ("GW-3", token), ("GW-1", ""), ("GW-3", ""), ("GW-1", "ä")):
        assert not gateway_of_token(tx, name, shown)


def test_only_a_digest_of_the_token_is_kept(tx):
    token = enrol_gateway(tx, "GW-1")
    assert len(token) == 43  # 32 random bytes
    assert tx.execute(select(t.gateway.c.token_sha256)).scalar() == hashlib.sha256(token.encode()).hexdigest()


def test_a_gateway_heard_before_it_had_a_token_gets_in_by_none(tx):
    tx.execute(t.gateway.insert().values(name="GW-1", messages=7))
    assert not gateway_of_token(tx, "GW-1", "")
    token = enrol_gateway(tx, "GW-1")
    assert gateway_of_token(tx, "GW-1", token)
    assert tx.execute(select(t.gateway.c.messages)).scalar() == 7


def test_enrolling_again_makes_the_first_token_useless(tx):
    first, second = enrol_gateway(tx, "GW-1"), enrol_gateway(tx, "GW-1")
    assert (gateway_of_token(tx, "GW-1", first), gateway_of_token(tx, "GW-1", second)) == (False, True)


def test_revoked_gateway_is_out_and_asked_for_nothing_until_it_is_enrolled_again(tx):
    token = enrol_gateway(tx, "GW-1")
    queue_command(tx, "GW-1", "restart", {}, by="olga", now=NOW, expires=NOW + timedelta(days=1))
    revoke_gateway(tx, "GW-1", NOW, by="olga")
    assert not gateway_of_token(tx, "GW-1", token)
    assert enrolled_gateways(tx) == [Gateway("GW-1", None, None, None, False, 1_767_618_000)]
    (command,) = commands_of(tx, "GW-1")
    assert (command.state, command.detail) == ("cancelled", "cancelled by olga")
    token = enrol_gateway(tx, "GW-1")
    assert gateway_of_token(tx, "GW-1", token)
    assert enrolled_gateways(tx) == [Gateway("GW-1", None, None, None, True, None)]


def test_what_is_no_gateway_says_so(tx):
    with pytest.raises(NotFound, match="no gateway is called 'GW-9'"):
        revoke_gateway(tx, "GW-9", NOW, by="olga")
    for name in ("", "a/b", "+", "x" * 65):
        with pytest.raises(InvalidInput, match="1 to 64 letters"):
            enrol_gateway(tx, name)


def test_gateways_that_hear_commands_are_those_that_were_heard_and_speak_our_words(tx):
    heard = {"messages": 1, "native": True, "first_seen_s": 1_767_000_000, "last_seen_s": 1_767_000_000}
    tx.execute(t.gateway.insert(), [{"name": name} | heard for name in ("GW-1", "GW-2", "plant.press", "plant.x")])
    tx.execute(t.gateway.insert().values(name="GW-3", messages=0))
    tx.execute(t.gateway.update().where(t.gateway.c.name == "plant.press").values(native=False))
    revoke_gateway(tx, "GW-2", NOW, by="olga")
    assert gateways_with_commands(tx) == {"GW-1", "plant.x"}


def test_a_sparkplug_node_that_speaks_our_words_as_well_hears_none_of_our_commands(tx):
    heard = {"messages": 1, "native": True, "first_seen_s": 1_767_000_000, "last_seen_s": 1_767_000_000}
    tx.execute(t.gateway.insert(), [{"name": name} | heard for name in ("GW-1", "plant.press")])
    tx.execute(t.sparkplug_birth.insert().values(node="plant/press", device="", born_us=1, metrics="{}"))
    assert gateways_with_commands(tx) == {"GW-1"}
    for gateway in gateways_with_commands(tx):
        queue_command(tx, gateway, "restart", {}, by="olga", now=NOW, expires=NOW + timedelta(days=1))


def test_commands_enrol_ask_show_and_revoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEADEND_DATA__DIRECTORY", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> str:
        return CliRunner().invoke(app, [*words], catch_exceptions=False).output

    token = run("enrol", "GW-1").strip()
    gap = '[{"meter": "E-1", "channel": "1-0:1.8.0", "from": "2026-01-05T02:00:00Z", "to": "2026-01-05T05:00:00Z"}]'
    assert run("command", "GW-1", "backfill", "--arg", f"gaps={gap}", "--by", "olga") == "1\n"
    assert run("command", "GW-1", "set_clock", "--arg", "time=2026-01-05T13:00:00Z", "--by", "olga") == "2\n"
    assert run("cancel", "1", "--by", "otto") == "command 1 is cancelled\n"
    with Database(f"sqlite:///{tmp_path / 'site.db'}", "site").read() as tx:
        assert gateway_of_token(tx, "GW-1", token)
        second, first = commands_of(tx, "GW-1")
    assert (second.args, second.state) == ({"time": "2026-01-05T13:00:00Z"}, "queued")
    assert (first.args["gaps"][0]["to"], first.detail) == ("2026-01-05T05:00:00Z", "cancelled by otto")
    assert second.expires - second.created == timedelta(days=1)
    shown = run("commands", "GW-1")
    assert "backfill" in shown
    assert "cancelled by otto" in shown
    assert "GW-1" not in run("commands", "GW-2")
    run("revoke", "GW-1", "--by", "olga")
    assert "GW-1" in run("list")
    with pytest.raises(InvalidInput, match="--arg: found 'now', expected KEY=VALUE"):
        run("command", "GW-1", "restart", "--arg", "now", "--by", "olga")
