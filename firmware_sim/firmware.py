"""A new firmware on its way into a gateway: asked for chunk by chunk, checked as a whole.

What it has it keeps, so a lost link or a restart costs the chunks that were on their way and no more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from firmware_sim.errors import InvalidInput

CHUNKS_AT_ONCE = 8
LARGEST_BYTES = 64 * 2**20


class Refused(Exception):
    """Why a gateway does not do what it is told: the `detail` of its result."""


def read_key(path: Path) -> Ed25519PublicKey:
    """The manufacturer's public key (PEM) that firmware is checked with.

    Raises
    ------
    InvalidInput
        unreadable, no PEM, another kind of key.
    """
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput("--firmware-key", str(error), "an Ed25519 public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInput("--firmware-key", type(key).__name__, "an Ed25519 public key in PEM")
    return key


@dataclass(slots=True)
class Download:
    """One image while it is loaded.

    Attributes
    ----------
    id
        of the command.
    """

    id: int
    version: str
    size: int
    sha256: str
    signature: bytes
    chunk_bytes: int
    chunks: int
    _held: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def ordered(cls, command: int, args: dict[str, Any]) -> Download:
        """What a `firmware` command orders; raises `Refused`."""
        try:
            signature = base64.b64decode(args["signature"], validate=True)
            version, sha256 = str(args["version"]), str(args["sha256"]).lower()
            size, chunk_bytes, chunks = (int(args[key]) for key in ("size", "chunk_bytes", "chunks"))
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(f"args: {type(error).__name__} {error}") from error
        if not 1 <= size <= LARGEST_BYTES or chunk_bytes < 1 or chunks != -(-size // chunk_bytes):
            raise Refused(f"args: {size} bytes are not {chunks} chunks of {chunk_bytes}")
        if not 1 <= len(version) <= 64:
            raise Refused("args: version is not 1 to 64 characters")
        return cls(command, version, size, sha256, signature, chunk_bytes, chunks)

    @property
    def complete(self) -> bool:
        """Whether every chunk is here."""
        return len(self._held) == self.chunks

    def wanted(self) -> tuple[int, int]:
        """The chunks to ask for next, [first, end): from the first that is not here to the next that is."""
        first = next(index for index in range(self.chunks) if index not in self._held)
        end = first + 1
        while end < min(first + CHUNKS_AT_ONCE, self.chunks) and end not in self._held:
            end += 1
        return first, end

    def take(self, args: dict[str, Any]) -> bool:
        """Keep a chunk; whether it was one that is wanted. One that cannot be right is as if it had not come."""
        try:
            index, data = int(args["index"]), base64.b64decode(args["data"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error):
            return False
        if not 0 <= index < self.chunks or index in self._held:
            return False
        if len(data) != min(self.chunk_bytes, self.size - index * self.chunk_bytes):
            return False
        self._held[index] = data
        return True

    def check(self, key: Ed25519PublicKey) -> None:
        """Whether the whole image is what was ordered, by whom we trust; raises `Refused`."""
        image = b"".join(self._held[index] for index in range(self.chunks))
        found = hashlib.sha256(image).hexdigest()
        if found != self.sha256:
            raise Refused(f"SHA-256 is {found}, not {self.sha256}")
        try:
            key.verify(self.signature, image)
        except InvalidSignature:
            raise Refused("the signature is not the manufacturer's") from None
