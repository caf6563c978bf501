"""What a tariff charges for, as data: each component makes lines of the bill. How: docs/tariff-format.md."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Discriminator, Field, StrictBool, StrictInt

from headend.tariffs.format.fields import (
    Day,
    Limits,
    Month,
    Name,
    Number,
    Part,
    Percent,
    PeriodPrices,
    PeriodSigned,
    Price,
    Quantity,
    Signed,
    Text,
)

LineKind = Literal[
    "energy",
    "export",
    "baseline_credit",
    "demand",
    "reactive",
    "power_factor",
    "standing",
    "percentage",
    "minimum",
    "bank",
    "tax",
]
#: A kind of line, or the `name` of a component above.
On = tuple[Name, ...]
TiersPer = Literal["month", "day", "kW_month", "kW_day"]
Method = Literal["graduated", "volume", "block"]


class _Component(Part):
    """What every component may have: a name for others to refer to, dates of its own, classes that are exempt."""

    label: Text
    name: Name | None = None
    valid_from: Day | None = None
    valid_until: Day | None = None
    not_for: tuple[Name, ...] = ()


class Tier(Part):
    """One step of prices, up to a limit (none: without end)."""

    up_to: Limits | None = None
    price: PeriodPrices | None = None
    fee: Price | None = None


class _Metered(_Component):
    """What is charged, or credited, for each unit that is metered."""

    measures: Literal["import", "export"] = "import"
    credit: StrictBool = False
    schedule: Name | None = None

    @property
    def sign(self) -> int:
        """1 for a charge, -1 for a credit."""
        return -1 if self.credit or self.measures == "export" else 1


class Energy(_Metered):
    """Energy taken from the grid (import) is charged, energy fed in (export) is credited, per unit."""

    kind: Literal["energy"]
    tiers_per: TiersPer | None = None
    method: Method = "graduated"
    scope: Literal["bill", "period"] = "bill"
    order: Literal["time", "share"] = "time"
    factor: Quantity = Decimal(1)
    tiers: tuple[Tier, ...] = Field(min_length=1)


class Dynamic(_Metered):
    """Energy at a published price for each interval: factor × series + add, within floor and cap."""

    kind: Literal["dynamic"]
    series: Name
    factor: PeriodSigned = Decimal(1)
    add: PeriodSigned = Decimal(0)
    cap: Signed | None = None
    floor: Signed | None = None
    decimals: Annotated[StrictInt, Field(ge=0, le=10)] | None = None


class BaselineCredit(_Component):
    """A credit per unit on total import, up to an allowance per billing day, whatever the TOU period."""

    kind: Literal["baseline_credit"]
    credit: Price
    allowance_per_day: Limits


class Ratchet(Part):
    """At least a share of the highest peak of the bills before."""

    percent: Percent
    months: Annotated[StrictInt, Field(ge=1, le=60)]
    of_months: tuple[Month, ...] | None = Field(None, min_length=1)


class Demand(_Component):
    """The highest power, per kW."""

    kind: Literal["demand"]
    schedule: Name | None = None
    window_min: Literal[5, 10, 15, 20, 30, 60] | None = None
    peaks: Annotated[StrictInt, Field(ge=1, le=31)] = 1
    ratchet: Ratchet | None = None
    minimum: Quantity | None = None
    per: Literal["month", "day"] = "month"
    method: Method = "graduated"
    tiers: tuple[Tier, ...] = Field(min_length=1)


class Reactive(_Component):
    """Reactive energy beyond a free share of active energy, per kvarh."""

    kind: Literal["reactive"]
    schedule: Name | None = None
    free: Annotated[Number, Field(ge=0, le=100, decimal_places=10)]
    price: PeriodPrices


class PowerFactor(_Component):
    """A surcharge for each 0.01 that the power factor lacks."""

    kind: Literal["power_factor"]
    below: Annotated[Number, Field(gt=0, le=1, decimal_places=2)]
    percent: Percent
    on: On = Field(min_length=1)


class Standing(_Component):
    """A fixed charge per day, month or year."""

    kind: Literal["standing"]
    per: Literal["day", "month", "year"]
    price: Price
    credit: StrictBool = False


class Percentage(_Component):
    """A surcharge on chosen lines, or a discount where negative."""

    kind: Literal["percentage"]
    percent: Annotated[Number, Field(ge=-100, le=1000, decimal_places=6)]
    on: On = Field(min_length=1)


class Minimum(_Component):
    """Tops lines up to an amount."""

    kind: Literal["minimum"]
    amount: Price
    per: Literal["month", "day", "year"] = "month"
    on: On | None = Field(None, min_length=1)


class Bank(_Component):
    """Carries over the money by which lines come to less than nothing."""

    kind: Literal["bank"]
    on: On = ("energy", "export", "baseline_credit")
    true_up: Month | None = None
    pays: StrictBool = False


class Tax(_Component):
    """A percentage on the lines above it: on all, or on chosen ones. `included`: their prices contain it."""

    kind: Literal["tax"]
    percent: Percent
    on: On | None = Field(None, min_length=1)
    included: StrictBool = False


Component = Annotated[
    Energy | Dynamic | BaselineCredit | Demand | Reactive | PowerFactor | Standing | Percentage | Minimum | Bank | Tax,
    Discriminator("kind"),
]


def line_kind(component: Component) -> LineKind:
    """Kind of the lines a component makes: its own, but `energy` or `export` for energy of any price."""
    if isinstance(component, Energy | Dynamic):
        return "export" if component.measures == "export" else "energy"
    return component.kind
