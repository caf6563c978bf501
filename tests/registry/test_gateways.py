"""Enrolment of gateways: a secret that is shown once, and those nothing is taken from any more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

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

NOW = datetime(2026, 1, 5, 13, tzinfo=UTC)


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Connection]:
    database = Database(f"sqlite:///{tmp_path / 'site.db'}", "site")
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
    heard = {"messages": 1, "first_seen_s": 1_767_000_000, "last_seen_s": 1_767_000_000}
    tx.execute(t.gateway.insert(), [{"name": name} | heard for name in ("GW-1", "GW-2", "plant.press", "plant.x")])
    tx.execute(t.gateway.insert().values(name="GW-3", messages=0))
    tx.execute(t.sparkplug_birth.insert().values(node="plant/press", device="", born_us=1, metrics="{}"))
    revoke_gateway(tx, "GW-2", NOW, by="olga")
    assert gateways_with_commands(tx) == {"GW-1", "plant.x"}
