"""Firmware: signed by the owner's key, checked by another program, cut into pieces that make the whole again."""

from __future__ import annotations

import hashlib
import shutil
import stat
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection
from typer.testing import CliRunner

from headend.cli.firmware import app
from headend.errors import InvalidInput, NotFound
from headend.registry.firmware import CHUNK_BYTES, Image, add_image, chunk, images, make_keys, roll_out, sign
from headend.registry.gateways import revoke_gateway
from headend.store import tables as t
from headend.store.commands import cancel, commands_of
from headend.store.database import Database
from tests.databases import file_database
from tests.servers import needs

NOW = datetime(2026, 1, 5, 13, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
IMAGE = bytes(range(256)) * 160 + b"end"  # 40,963 bytes: two whole chunks and 8,195 bytes


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Connection]:
    database = file_database(tmp_path / "site.db", "site")
    with database.write() as tx:
        tx.execute(t.gateway.insert(), [{"name": name, "messages": 1} for name in ("GW-1", "GW-2", "GW-3")])
        yield tx
    database.close()


def add(tx: Connection, version: str = "2.0", image: bytes = IMAGE, signature: bytes = b"s" * 64) -> None:
    add_image(tx, version, image, signature, by="olga", now=NOW)


def test_openssl_verifies_what_we_sign(tmp_path: Path):
    openssl = shutil.which("openssl")
    needs("openssl", openssl)
    public = make_keys(tmp_path / "key.pem")
    (tmp_path / "image").write_bytes(IMAGE)
    (tmp_path / "signature").write_bytes(sign(IMAGE, tmp_path / "key.pem"))
    verify = [openssl, "pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin"]
    verify += ["-in", str(tmp_path / "image"), "-sigfile", str(tmp_path / "signature")]
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 0
    (tmp_path / "image").write_bytes(IMAGE + b"?")
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 1


def test_private_key_is_for_its_owner_and_never_written_over(tmp_path: Path):
    path = tmp_path / "key.pem"
    assert make_keys(path) == tmp_path / "key.pem.pub"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = path.read_bytes()
    with pytest.raises(InvalidInput, match=r"key.pem.pub: found File exists"):
        make_keys(path)
    (tmp_path / "key.pem.pub").unlink()
    with pytest.raises(InvalidInput, match=r"key.pem: found File exists"):
        make_keys(path)
    assert path.read_bytes() == kept


def test_what_is_no_private_key_is_one_line(tmp_path: Path):
    public = make_keys(tmp_path / "key.pem")
    (tmp_path / "text").write_text("secret")
    for wrong in (public, tmp_path / "text", tmp_path / "none"):
        with pytest.raises(InvalidInput) as refused:
            sign(IMAGE, wrong)
        assert str(refused.value).startswith(f"{wrong}: found ")
        assert "\n" not in str(refused.value)


def test_a_version_is_one_image_for_ever(tx):
    add(tx)
    add(tx)
    assert images(tx) == [
        Image("2.0", 40_963, hashlib.sha256(IMAGE).hexdigest(), b"s" * 64, int(NOW.timestamp()), "olga")
    ]
    with pytest.raises(InvalidInput, match=r"'2.0', of other bytes or another key"):
        add(tx, image=IMAGE + b"?")
    with pytest.raises(InvalidInput, match="another key"):
        add(tx, signature=b"t" * 64)
    with pytest.raises(InvalidInput, match="no bytes"):
        add(tx, "2.1", b"")
    with pytest.raises(InvalidInput, match="version"):
        add(tx, "")


def test_chunks_make_the_image(tx):
    add(tx)
    pieces = [chunk(tx, "2.0", index, CHUNK_BYTES) for index in range(4)]
    assert [len(piece) for piece in pieces] == [16_384, 16_384, 8_195, 0]
    assert b"".join(pieces) == IMAGE
    assert chunk(tx, "9.9", 0, CHUNK_BYTES) == b""


def test_roll_out_tells_gateways_what_to_fetch_and_how_to_check_it(tx):
    add(tx)
    assert roll_out(tx, "2.0", ["GW-1", "GW-1"], by="olga", now=NOW, expires=LATER) == ["GW-1"]
    (command,) = commands_of(tx, "GW-1")
    assert (command.kind, command.expires) == ("firmware", LATER)
    assert b64decode(command.args.pop("signature")) == b"s" * 64
    assert command.args == {
        "version": "2.0",
        "size": 40_963,
        "sha256": hashlib.sha256(IMAGE).hexdigest(),
        "chunk_bytes": 16_384,
        "chunks": 3,
    }


def test_gateways_that_run_it_or_are_at_an_update_are_not_asked(tx):
    add(tx)
    add(tx, "2.1", b"other")
    tx.execute(t.gateway.update().where(t.gateway.c.name == "GW-1").values(firmware="2.0"))
    everybody = ["GW-1", "GW-2", "GW-3"]
    assert roll_out(tx, "2.0", everybody[:2], by="olga", now=NOW, expires=LATER) == ["GW-2"]
    assert roll_out(tx, "2.1", everybody, by="olga", now=NOW, expires=LATER) == ["GW-1", "GW-3"]
    cancel(tx, 1, by="olga", now=NOW)
    assert roll_out(tx, "2.1", everybody, by="olga", now=NOW, expires=LATER) == ["GW-2"]


def test_unknown_version_and_revoked_gateway_are_refused(tx):
    with pytest.raises(NotFound, match=r"there is no firmware '2.0'"):
        roll_out(tx, "2.0", ["GW-1"], by="olga", now=NOW, expires=LATER)
    add(tx)
    revoke_gateway(tx, "GW-1", NOW, by="olga")
    with pytest.raises(InvalidInput, match="revoked"):
        roll_out(tx, "2.0", ["GW-1"], by="olga", now=NOW, expires=LATER)


def test_commands_make_keys_sign_and_roll_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEADEND_DATA__DIRECTORY", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    image, key = tmp_path / "image", tmp_path / "key.pem"
    image.write_bytes(IMAGE)

    def run(*words: str) -> str:
        return CliRunner().invoke(app, [*words], catch_exceptions=False).output

    assert run("keygen", str(key)) == f"private key in {key}, public key in {key}.pub\n"
    add = ("add", str(image), "--version", "2.0", "--key", str(key), "--by", "olga")
    assert run(*add) == run(*add) == "firmware 2.0: 40963 bytes\n"
    assert hashlib.sha256(IMAGE).hexdigest()[:16] in run("list")
    with Database(f"sqlite:///{tmp_path / 'data' / 'site.db'}", "site").write() as tx:
        heard = {"messages": 1, "native": True, "first_seen_s": 1}
        tx.execute(t.gateway.insert(), [{"name": name} | heard for name in ("GW-1", "GW-2", "GW-3")])
    assert run("roll-out", "2.0", "GW-2", "--by", "olga") == "1 of 1 gateways asked to run 2.0\n"
    assert run("roll-out", "2.0", "--all", "--by", "olga") == "2 of 3 gateways asked to run 2.0\n"
    for wrong in (("roll-out", "2.0"), ("roll-out", "2.0", "GW-1", "--all")):
        with pytest.raises(InvalidInput, match="expected names, or --all"):
            run(*wrong, "--by", "olga")
    with pytest.raises(InvalidInput, match="none: found No such file"):
        run("add", str(tmp_path / "none"), "--version", "2.1", "--key", str(key), "--by", "olga")
