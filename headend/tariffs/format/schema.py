"""What a tariff is: one version of one tariff, as data.

A tariff sorts time into periods (which hour is peak?) and has components that price what was used, in the order in
which they stand on the bill. Everything a reader of a bill may want to check is in here and nothing else is, so the
hash of this data names the version: two files that say the same have the same name, whatever their layout.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from headend.tariffs.format.components import Component
from headend.tariffs.format.fields import Clock, Currency, Day, Month, Name, Part, Price, Text
from headend.tariffs.format.times import Holidays, Period, Season

#: Base units (Wh, dm³, litre) in one unit of a price.
BASE_UNITS = 1000
#: What is metered; gas may be priced by its energy too.
UNIT_OF = {"electricity": "kWh", "gas": "m³", "water": "m³", "heat": "kWh"}

#: The schedule of components that name no other.
MAIN = None


class NetMetering(Part):
    """When the bank of energy is emptied, and at which price; never, if not said."""

    true_up: Month | None = None
    price: Price | None = None


class Tariff(Part):
    """One version of a tariff. Equal data, equal `version`."""

    id: Name
    name: Text
    valid_from: Day
    customer_classes: tuple[Name, ...] = Field(min_length=1)
    commodity: Literal["electricity", "gas", "water", "heat"]
    unit: Literal["kWh", "m³"]
    currency: Currency
    clock: Clock = "local"
    netting: Literal["none", "interval", "hour", "month"] = "none"
    net_metering: NetMetering | None = None
    holidays: Holidays | None = None
    seasons: tuple[Season, ...] = Field((), max_length=100)
    seasons_by: Literal["date", "cycle"] = "date"
    periods: tuple[Period, ...] = Field((Period(name="all", label="All hours"),), min_length=1, max_length=100)
    schedules: dict[Name, tuple[Period, ...]] = Field(default_factory=dict)
    components: tuple[Component, ...] = Field(min_length=1)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of what is not a default, so that a wider format renames no old version."""
        return hashlib.sha256(canonical_json(self).encode()).hexdigest()

    @property
    def version(self) -> str:
        """The version's name: the first 12 hex digits of its digest."""
        return self.digest[:12]

    def schedule(self, name: str | None) -> tuple[Period, ...]:
        """The periods of a schedule; `MAIN` is the tariff's own."""
        return self.periods if name is MAIN else self.schedules[name]

    def __hash__(self) -> int:
        return hash(self.digest)


def canonical_json(tariff: Tariff) -> str:
    """The tariff as JSON with sorted keys, no blanks, and decimals as shortest text."""
    data: dict[str, Any] = tariff.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
