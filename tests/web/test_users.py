"""Logins, roles and passwords, and the command that adds them."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headend.cli.user import app
from headend.errors import InvalidInput, NotFound
from headend.registry.users import add_user, change_password, readable_password, user_named, verify
from headend.store import tables as t
from tests.web.sites import PASSWORD


def test_password_is_kept_as_an_argon2id_hash(site):
    with site.database.write() as tx:
        add_user(tx, "nora", "customer", PASSWORD, "A-1")
        (kept,) = tx.execute(t.user.select().where(t.user.c.login == "nora"))
        user = verify(tx, "nora", PASSWORD)
        assert verify(tx, "nora", PASSWORD + "x") is None
    assert kept.password_hash.startswith("$argon2id$")
    assert (user.login, user.role, user.account) == ("nora", "customer", "A-1")


def test_unknown_login_takes_as_long_as_a_wrong_password(site):
    with site.database.write() as tx:
        change_password(tx, "anna", PASSWORD)

    def seconds_of(login: str) -> float:
        with site.database.read() as tx:
            began = time.process_time()
            assert verify(tx, login, "wrong password") is None
            return time.process_time() - began

    seconds_of("nobody")  # makes the hash that nobody's password is compared with
    known = min(seconds_of("anna") for _ in range(3))
    assert min(seconds_of("nobody") for _ in range(3)) > known / 3


@pytest.mark.parametrize(
    ("login", "role", "password", "account", "where"),
    [
        ("", "operator", PASSWORD, None, "login"),
        ("a b", "operator", PASSWORD, None, "login"),
        ("olga", "operator", PASSWORD, None, "login"),
        ("new", "king", PASSWORD, None, "role"),
        ("new", "operator", "short", None, "password"),
        ("new", "customer", PASSWORD, None, "account"),
        ("new", "customer", PASSWORD, "A-9", "account"),
        ("new", "clerk", PASSWORD, "A-1", "account"),
    ],
)
def test_user_that_cannot_be_says_what_is_wrong(site, login, role, password, account, where):
    with site.database.write() as tx, pytest.raises(InvalidInput) as refused:
        add_user(tx, login, role, password, account)
    assert refused.value.where == where
    assert password not in str(refused.value)


def test_changed_password_changes_the_fingerprint(site):
    with site.database.write() as tx:
        before = user_named(tx, "olga").fingerprint
        assert change_password(tx, "olga", "another password").fingerprint != before
        assert verify(tx, "olga", "another password")
        assert verify(tx, "olga", PASSWORD) is None
        with pytest.raises(NotFound):
            change_password(tx, "nobody", "another password")


def test_made_passwords_can_be_read_out_and_are_never_the_same():
    made = {readable_password() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(r"([a-z]{5}-){3}[a-z]{5}", password) for password in made)
    assert not set("".join(made)) & set("loiy01")


def test_command_adds_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEADEND_DATA__DIRECTORY", str(tmp_path))
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n")
    run = CliRunner().invoke(app, ["add", "olga", "--role", "operator", "--password-file", str(secret)])
    assert run.exit_code == 0, run.exception
    assert run.output == "olga may log in as operator\n"
    secret.write_text("another password\n")
    run = CliRunner().invoke(app, ["password", "olga", "--password-file", str(secret)])
    assert run.output == "olga has another password\n"
    run = CliRunner().invoke(app, ["add", "olga", "--role", "operator"], input=f"{PASSWORD}\n{PASSWORD}\n")
    assert isinstance(run.exception, InvalidInput)
    run = CliRunner().invoke(app, ["add", "otto", "--role", "operator", "--password-file", str(tmp_path / "none")])
    assert isinstance(run.exception, InvalidInput)
