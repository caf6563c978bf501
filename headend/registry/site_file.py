"""The site file: a small utility's registry, written by hand in TOML.

It is read at every start: what it names is added or changed, what it does not name stays. So a small site needs no
other tool to enrol a meter, and a large one leaves the file empty.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from babel import Locale, UnknownLocaleError
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from headend.billing.groups import MONTHLY, BillingGroup, check_group
from headend.config import Zone, checked, read_toml
from headend.reads.channels import Channel
from headend.reads.constants import Constant
from headend.reads.days import seconds
from headend.registry.devices import parse_address

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
# Devices of several channels are named device:channel.
MeterName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
Commodity = Literal["electricity", "gas", "water", "heat"]

#: Wh, var·h, dm³ and litre in a kWh, kvarh and m³.
BASE_UNITS = 1000
#: Of a register: two of them and a modulus still add up in an int64.
LARGEST = 2**61
_RATIO = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?(/[0-9]{1,12}(\.[0-9]{1,6})?)?")


def _obis(text: str) -> str:
    return Channel.parse(text).obis


def _answers(address: str) -> str:
    parse_address(address)
    return address


def _locale(text: str) -> str:
    try:
        Locale.parse(text)
    except (UnknownLocaleError, ValueError):
        raise ValueError("a locale such as de_DE") from None
    return text


def _fraction(ratio: str) -> Fraction:
    over, _, under = ratio.partition("/")
    return Fraction(over) / Fraction(under or 1)


def _ratio(text: str) -> str:
    if not _RATIO.fullmatch(text) or not all(map(Fraction, text.split("/"))):
        raise ValueError("a positive number, or a ratio such as 200/5")
    return text


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Ratio = Annotated[str, BeforeValidator(str), AfterValidator(_ratio)]


class ConstantRow(_Row):
    """What one unit on the wire stands for, from a moment on: transformers, pulses, or both."""

    since: Annotated[AwareDatetime, Field(alias="from")]
    ct: Ratio | None = None
    pt: Ratio | None = None
    pulses_per_unit: Ratio | None = None

    @model_validator(mode="after")
    def _says_something(self) -> ConstantRow:
        if self.ct is self.pt is self.pulses_per_unit is None:
            raise ValueError("ct, pt or pulses_per_unit")
        return self

    def constant(self, unit: str) -> Constant:
        """As an exact ratio to base units; `unit` is the kWh, kvarh or m³ that the pulses are of."""
        factor, made_of = Fraction(1), []
        for name, ratio in (("CT", self.ct), ("PT", self.pt)):
            if ratio is not None:
                factor *= _fraction(ratio)
                made_of.append(f"{name} {ratio}")
        if self.pulses_per_unit is not None:
            factor *= BASE_UNITS / _fraction(self.pulses_per_unit)
            made_of.append(f"{self.pulses_per_unit} pulses per {unit}")
        return Constant(seconds(self.since), factor.numerator, factor.denominator, " × ".join(made_of))


class ChannelRow(_Row):
    """One channel of a meter."""

    channel: Annotated[str, AfterValidator(_obis)]
    interval_s: Literal[3600, 1800, 900, 300, 60] = 3600
    max_per_interval: Annotated[int, Field(gt=0, le=10**12)]
    register_digits: Annotated[int, Field(ge=4, le=18)] = 9
    constants: tuple[ConstantRow, ...] = ()

    @model_validator(mode="after")
    def _constants_fit(self) -> ChannelRow:
        _no_name_twice("from", (row.since.astimezone(UTC).isoformat() for row in self.constants))
        for row, constant in zip(self.constants, self.dated_constants, strict=True):
            if constant.valid_from_s % self.interval_s:
                raise ValueError(f"constants that change with an interval of {self.interval_s} s, not at {row.since}")
            if max(constant.scaled(10**self.register_digits), constant.numerator, constant.denominator) > LARGEST:
                raise ValueError(f"{constant.made_of} with fewer register digits: its register is beyond 64 bits")
        return self

    @property
    def dated_constants(self) -> list[Constant]:
        """In base units, in the order of the file."""
        return [row.constant(Channel.parse(self.channel).unit) for row in self.constants]


class ModbusRow(_Row):
    """Where a Modbus meter answers, and the profile that says which register is what."""

    profile: Name
    address: Annotated[str, Field(max_length=200), AfterValidator(_answers)]
    unit: Annotated[int, Field(ge=0, le=255)] = 1


class MeterRow(_Row):
    """A meter and where it hangs."""

    meter: MeterName
    commodity: Commodity
    usage_point: Name
    gateway: Name | None = None
    installed: AwareDatetime = datetime(2000, 1, 1, tzinfo=UTC)
    removed: AwareDatetime | None = None
    modbus: ModbusRow | None = None
    channels: Annotated[tuple[ChannelRow, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _served(self) -> MeterRow:
        if self.removed is not None:
            if self.removed <= self.installed:
                raise ValueError(f"removed after it was installed, {self.installed}")
            for row in self.channels:
                if seconds(self.removed) % row.interval_s:
                    raise ValueError(f"removed at the end of an interval of {row.interval_s} s, not at {self.removed}")
        return self


class UsagePointRow(_Row):
    """A place where energy is used."""

    id: Name
    address: str
    timezone: Zone
    gas_area: Name | None = None


class GasQualityRow(_Row):
    """What a m³ of gas in an area is worth, from a local day on."""

    area: Name
    since: Annotated[date, Field(alias="from")]
    calorific_value: Annotated[Decimal, Field(gt=0, lt=1000, decimal_places=6)]
    conversion: Annotated[Decimal, Field(gt=0, lt=1000, decimal_places=6)]


class AgreementRow(_Row):
    """From when on which tariff applies to an account at a usage point."""

    usage_point: Name
    commodity: Commodity
    tariff: Name
    valid_from: date
    valid_to: date | None = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> AgreementRow:
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError(f"valid_to of {self.valid_from} or later")
        return self


class BillingGroupRow(_Row):
    """Accounts that are billed together, by periods that are no calendar months."""

    name: Name
    first_day: int = 1
    reading_dates: dict[str, date] = {}

    @model_validator(mode="after")
    def _can_be_billed(self) -> BillingGroupRow:
        if self.name == MONTHLY:
            raise ValueError(f"another name: {MONTHLY} has calendar months, and is always there")
        check_group(self.group)
        return self

    @property
    def group(self) -> BillingGroup:
        """As billing knows it."""
        return BillingGroup(self.name, self.first_day, tuple(sorted(self.reading_dates.items())))


class MembershipRow(_Row):
    """In which group an account is from a local day on; of the first the day does not matter."""

    group: Name
    since: Annotated[date, Field(alias="from")]


class AccountRow(_Row):
    """Somebody who gets a statement."""

    id: Name
    name: str
    customer_class: Name = "residential"
    locale: Annotated[str, AfterValidator(_locale)] = "en_GB"
    agreements: tuple[AgreementRow, ...] = ()
    group: Name | None = None
    groups: tuple[MembershipRow, ...] = ()

    @model_validator(mode="after")
    def _one_group_at_a_time(self) -> AccountRow:
        if self.group is not None and self.groups:
            raise ValueError("group, or groups where it changes: not both")
        if [row.since for row in self.groups] != sorted({row.since for row in self.groups}):
            raise ValueError("groups from days that rise")
        return self

    @property
    def memberships(self) -> tuple[tuple[str, date], ...]:
        """Groups and from when on; none where nothing is said."""
        if self.group is not None:
            return ((self.group, date.min),)
        return tuple((row.group, row.since) for row in self.groups)


def _no_name_twice(what: str, names: Iterable[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"each {what} once: {name!r} stands twice")


class SiteFile(_Row):
    """The whole file."""

    gateways: tuple[Name, ...] = ()
    usage_points: tuple[UsagePointRow, ...] = ()
    meters: tuple[MeterRow, ...] = ()
    accounts: tuple[AccountRow, ...] = ()
    billing_groups: tuple[BillingGroupRow, ...] = ()
    gas_quality: tuple[GasQualityRow, ...] = ()

    @model_validator(mode="after")
    def _refers_to_what_it_names(self) -> SiteFile:
        _no_name_twice("usage point", (point.id for point in self.usage_points))
        _no_name_twice("meter", (meter.meter for meter in self.meters))
        _no_name_twice("account", (account.id for account in self.accounts))
        _no_name_twice("billing group", (group.name for group in self.billing_groups))
        _no_name_twice("gas area and day", (f"{row.area} from {row.since}" for row in self.gas_quality))
        points = {point.id for point in self.usage_points}
        groups = {group.name for group in self.billing_groups}
        for meter in self.meters:
            if meter.usage_point not in points:
                raise ValueError(f"a usage point of this file for meter {meter.meter}, not {meter.usage_point!r}")
        for account in self.accounts:
            for agreement in account.agreements:
                if agreement.usage_point not in points:
                    raise ValueError(f"a usage point of this file for account {account.id}")
            for name, _ in account.memberships:
                if name != MONTHLY and name not in groups:
                    raise ValueError(f"a billing group of this file for account {account.id}, not {name!r}")
        return self


def read_site_file(path: Path) -> SiteFile:
    """The site file at `path`; raises `InvalidConfig` with file and key."""
    return checked(str(path), lambda: SiteFile.model_validate(read_toml(path)))
