"""Firmware for gateways: images, signed by whoever holds the private key, and their way to the field.

The head-end keeps images and signatures, never the key. A gateway checks the signature against the public key it was
built with, so that nobody who gets hold of a head-end can make a gateway run something else.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, func, select

from headend.errors import InvalidInput, NotFound
from headend.reads.days import microseconds
from headend.store import tables as t
from headend.store.commands import OPEN, queue_command

#: What one message carries of an image; 22 kB as base64.
CHUNK_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Image:
    """A firmware image, without its bytes."""

    version: str
    size: int
    sha256: str
    signature: bytes
    added_s: int
    added_by: str


def make_keys(path: Path) -> Path:
    """A new pair of Ed25519 keys: the private one at `path` for its owner alone, the public one beside it as `.pub`.

    Raises
    ------
    InvalidInput
        one of the files is there already, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    public = path.with_name(path.name + ".pub")
    private_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public_pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    # The public one first: there is no private key of which it is missing.
    for file, pem, mode in ((public, public_pem, 0o644), (path, private_pem, 0o600)):
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as written:
                written.write(pem)
        except OSError as error:
            raise InvalidInput(str(file), error.strerror or str(error), "a new file in a folder of ours") from None
    return public


def sign(image: bytes, key: Path) -> bytes:
    """Ed25519 signature of an image, with the private key in a PEM file; raises `InvalidInput`."""
    expected = "the PEM file of an Ed25519 private key without a password"
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput(str(key), " ".join(str(error).split())[:80], expected) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise InvalidInput(str(key), "another kind of key", expected)
    return private.sign(image)


def add_image(tx: Connection, version: str, image: bytes, signature: bytes, *, by: str, now: datetime) -> None:
    """Keep an image; raises `InvalidInput` if there is another one of that version."""
    if not version or len(version) > 64:
        raise InvalidInput("version", repr(version[:80]), "1 to 64 characters")
    if not image:
        raise InvalidInput("image", "no bytes", "a firmware image")
    row = {
        "version": version,
        "sha256": hashlib.sha256(image).hexdigest(),
        "signature": signature,
        "image": image,
        "added_us": microseconds(now),
        "added_by": by,
    }
    f = t.firmware_image.c
    kept = tx.execute(select(f.sha256, f.signature).where(f.version == version)).first()
    if kept is None:
        tx.execute(t.firmware_image.insert().values(row))
    elif (kept.sha256, kept.signature) != (row["sha256"], signature):
        raise InvalidInput("version", f"{version!r}, of other bytes or another key", "a version of its own")


def images(tx: Connection) -> list[Image]:
    """What there is to roll out, newest first."""
    f = t.firmware_image.c
    query = select(f.version, func.length(f.image), f.sha256, f.signature, f.added_us, f.added_by)
    return [
        Image(version, size, sha256, signature, added_us // 1_000_000, by)
        for version, size, sha256, signature, added_us, by in tx.execute(query.order_by(f.added_us.desc()))
    ]


def chunk(tx: Connection, version: str, index: int, chunk_bytes: int) -> bytes:
    """One piece of an image, read alone; empty behind its end."""
    f = t.firmware_image.c
    piece = func.substr(f.image, index * chunk_bytes + 1, chunk_bytes)
    return bytes(tx.execute(select(piece).where(f.version == version)).scalar() or b"")


def roll_out(
    tx: Connection, version: str, gateways: Iterable[str], *, by: str, now: datetime, expires: datetime
) -> list[str]:
    """Ask gateways to run a version; the names of those that are asked.

    A gateway that runs it already, or is at another update, is not asked. Raises `NotFound`, `InvalidInput`.
    """
    image = next((one for one in images(tx) if one.version == version), None)
    if image is None:
        raise NotFound(f"there is no firmware {version!r}")
    args = {
        "version": version,
        "size": image.size,
        "sha256": image.sha256,
        "signature": b64encode(image.signature).decode(),
        "chunk_bytes": CHUNK_BYTES,
        "chunks": -(-image.size // CHUNK_BYTES),
    }
    c, g = t.command.c, t.gateway.c
    busy = set(tx.execute(select(c.gateway).where(c.kind == "firmware", c.state.in_(OPEN))).scalars())
    runs_it = set(tx.execute(select(g.name).where(g.firmware == version)).scalars())
    asked = [name for name in dict.fromkeys(gateways) if name not in busy | runs_it]
    for name in asked:
        queue_command(tx, name, "firmware", args, by=by, now=now, expires=expires)
    return asked
