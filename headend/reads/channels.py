"""A channel: what a meter measures, named by its OBIS code (IEC 62056-6-1) `A-B:C.D.E`.

The five numbers pack into one integer, so that a channel is a column of an array and part of a key, and reads back as
its code without a table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from headend.errors import InvalidInput

_OBIS = re.compile(r"(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})", re.ASCII)

_COMMODITY_OF_MEDIUM = {1: "electricity", 6: "heat", 7: "gas", 8: "water", 9: "water"}
# Values of C: imported, exported, and the four quadrants.
_REACTIVE = range(3, 9)
_MEANING = {
    "1-0:1.8.0": "Import",
    "1-0:2.8.0": "Export",
    "1-0:3.8.0": "Reactive import",
    "1-0:4.8.0": "Reactive export",
    "7-0:3.0.0": "Gas volume",
    "8-0:1.0.0": "Water volume",
    "6-0:1.0.0": "Heat",
}


@dataclass(frozen=True, slots=True, order=True)
class Channel:
    """One measured quantity of a meter.

    Parameters
    ----------
    code
        the OBIS code's five numbers, one byte each, A highest.
    """

    code: int

    @classmethod
    def parse(cls, obis: str) -> Channel:
        """Channel of an OBIS code such as `1-0:1.8.0`; raises `InvalidInput`."""
        match = _OBIS.fullmatch(obis)
        numbers = [int(part) for part in match.groups()] if match else [256]
        if max(numbers) > 255:
            raise InvalidInput("channel", repr(obis), "an OBIS code such as 1-0:1.8.0")
        return cls(int.from_bytes(bytes(numbers), "big"))

    @property
    def obis(self) -> str:
        """The code as people write it."""
        return _obis(self.code)

    @property
    def commodity(self) -> str:
        """electricity, gas, water, heat, or other: by the OBIS medium, A."""
        return _COMMODITY_OF_MEDIUM.get(self.code >> 32, "other")

    @property
    def unit(self) -> str:
        """What people are shown, 1,000 base units: kWh, kvarh or m³."""
        if self.commodity in ("gas", "water"):
            return "m³"
        return "kvarh" if self.commodity == "electricity" and self.code >> 16 & 255 in _REACTIVE else "kWh"

    @property
    def meaning(self) -> str:
        """A word for people; the code itself where there is none."""
        return _MEANING.get(self.obis, self.obis)

    def __str__(self) -> str:
        return self.obis


# There are few of them, and every digest of reads names one.
@lru_cache(maxsize=256)
def _obis(code: int) -> str:
    a, b, c, d, e = code.to_bytes(5, "big")
    return f"{a}-{b}:{c}.{d}.{e}"


IMPORT = Channel.parse("1-0:1.8.0")
EXPORT = Channel.parse("1-0:2.8.0")
REACTIVE = Channel.parse("1-0:3.8.0")
GAS = Channel.parse("7-0:3.0.0")
WATER = Channel.parse("8-0:1.0.0")
HEAT = Channel.parse("6-0:1.0.0")
