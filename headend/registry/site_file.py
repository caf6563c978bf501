"""The site file: a small utility's registry, written by hand in TOML.

It is read at every start: what it names is added or changed, what it does not name stays. So a small site needs no
other tool to enrol a meter, and a large one leaves the file empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal

from babel import Locale, UnknownLocaleError
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from headend.config import Zone, checked, read_toml
from headend.reads.channels import Channel

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Commodity = Literal["electricity", "gas", "water", "heat"]


def _obis(text: str) -> str:
    return Channel.parse(text).obis


def _locale(text: str) -> str:
    try:
        Locale.parse(text)
    except (UnknownLocaleError, ValueError):
        raise ValueError("a locale such as de_DE") from None
    return text


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChannelRow(_Row):
    """One channel of a meter."""

    channel: Annotated[str, AfterValidator(_obis)]
    interval_s: Literal[3600, 1800, 900, 300, 60] = 3600
    max_per_interval: Annotated[int, Field(gt=0, le=10**12)]
    register_digits: Annotated[int, Field(ge=4, le=18)] = 9


class MeterRow(_Row):
    """A meter and where it hangs."""

    meter: Name
    commodity: Commodity
    usage_point: Name
    gateway: Name | None = None
    installed: AwareDatetime = datetime(2000, 1, 1, tzinfo=UTC)
    channels: Annotated[tuple[ChannelRow, ...], Field(min_length=1)]


class UsagePointRow(_Row):
    """A place where energy is used."""

    id: Name
    address: str
    timezone: Zone


class AgreementRow(_Row):
    """From when on which tariff applies to an account at a usage point."""

    usage_point: Name
    commodity: Commodity
    tariff: Name
    valid_from: date
    valid_to: date | None = None


class AccountRow(_Row):
    """Somebody who gets a statement."""

    id: Name
    name: str
    customer_class: Name = "residential"
    locale: Annotated[str, AfterValidator(_locale)] = "en_GB"
    agreements: tuple[AgreementRow, ...] = ()


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

    @model_validator(mode="after")
    def _refers_to_what_it_names(self) -> SiteFile:
        _no_name_twice("usage point", (point.id for point in self.usage_points))
        _no_name_twice("meter", (meter.meter for meter in self.meters))
        _no_name_twice("account", (account.id for account in self.accounts))
        points = {point.id for point in self.usage_points}
        for meter in self.meters:
            if meter.usage_point not in points:
                raise ValueError(f"a usage point of this file for meter {meter.meter}, not {meter.usage_point!r}")
        for account in self.accounts:
            for agreement in account.agreements:
                if agreement.usage_point not in points:
                    raise ValueError(f"a usage point of this file for account {account.id}")
        return self


def read_site_file(path: Path) -> SiteFile:
    """The site file at `path`; raises `InvalidConfig` with file and key."""
    return checked(str(path), lambda: SiteFile.model_validate(read_toml(path)))
