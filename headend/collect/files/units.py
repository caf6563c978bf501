"""Units as files write them, in any case: what one of each is in ours, whole Wh, var·h, litre or dm³."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from headend.errors import InvalidInput
from headend.reads.channels import Channel

ENERGY: Final[Mapping[str, Decimal]] = {"wh": Decimal(1), "kwh": Decimal(1_000), "mwh": Decimal(1_000_000)}
REACTIVE: Final[Mapping[str, Decimal]] = {"varh": Decimal(1), "kvarh": Decimal(1_000), "mvarh": Decimal(1_000_000)}
VOLUME: Final[Mapping[str, Decimal]] = {"l": Decimal(1), "dm3": Decimal(1), "m3": Decimal(1_000), "m³": Decimal(1_000)}

#: By the unit in which people are shown a channel; and how they are spelled.
_OF_CHANNEL = {
    "kWh": (ENERGY, "Wh, kWh or MWh"),
    "kvarh": (REACTIVE, "varh, kvarh or Mvarh"),
    "m³": (VOLUME, "l, dm3 or m3"),
}
_ALL = {**ENERGY, **REACTIVE, **VOLUME}, "a unit of energy or volume, such as kWh"


def is_unit(text: str) -> bool:
    """Whether that is a unit of energy or volume."""
    return text.strip().lower() in _ALL[0]


def scale_of(unit: str, obis: str | None, where: str) -> Decimal:
    """What one `unit` is in base units of a channel; raises `InvalidInput` where it is none, or none of the channel.

    Parameters
    ----------
    obis
        the channel; None: not known, any unit will do.
    """
    units, spelled = _ALL if obis is None else _OF_CHANNEL[Channel.parse(obis).unit]
    scale = units.get(unit.strip().lower())
    if scale is None:
        raise InvalidInput(where, f"unit {unit[:20]!r}" + (f" for {obis}" if obis else ""), spelled)
    return scale
