"""A slave's registers as they go over the wire: stretches of bytes, by the function code that reads them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MOST_REGISTERS = 125
"""What one request can read; registers further apart than this are stretches of their own."""


@dataclass(frozen=True, slots=True)
class Image:
    """Registers by function code: first address and content of each stretch."""

    stretches: dict[int, list[tuple[int, bytearray]]]

    @classmethod
    def of(cls, spans: Iterable[tuple[int, int, int]]) -> Image:
        """Zeros over all spans of (function code, address, bytes), and between those that one request can reach."""
        image = cls({})
        for function, address, size in sorted(spans):
            stretches = image.stretches.setdefault(function, [])
            if not stretches or address > stretches[-1][0] + len(stretches[-1][1]) // 2 + MOST_REGISTERS:
                stretches.append((address, bytearray()))
            first, content = stretches[-1]
            content.extend(bytes(max(0, 2 * (address - first) + size - len(content))))
        return image

    def copy(self) -> Image:
        """The same registers, for another slave."""
        return Image(
            {
                function: [(first, bytearray(content)) for first, content in stretches]
                for function, stretches in self.stretches.items()
            }
        )

    def read(self, function: int, address: int, count: int) -> bytes | None:
        """`count` registers; None if they are not all there."""
        for first, content in self.stretches.get(function, ()):
            begin = 2 * (address - first)
            if begin >= 0 and begin + 2 * count <= len(content):
                return bytes(content[begin : begin + 2 * count])
        return None

    def write(self, function: int, address: int, words: bytes) -> None:
        """Put words where there are registers."""
        for first, content in self.stretches[function]:
            begin = 2 * (address - first)
            if 0 <= begin < len(content):
                content[begin : begin + len(words)] = words
