"""The rule set: thresholds as data, versioned, per customer class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import holidays
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from headend.config import checked, read_toml
from headend.errors import InvalidInput

_Percent = Annotated[float, Field(ge=0, le=10_000)]


def _country(code: str) -> str:
    name, _, subdivision = code.partition("-")
    supported = holidays.list_supported_countries(include_aliases=True)
    if code and (name not in supported or (subdivision and subdivision not in supported[name])):
        raise InvalidInput("holidays", repr(code), "an ISO 3166 country, with or without subdivision, such as DE-BY")
    return code


class Limits(BaseModel):
    """Thresholds of one customer class; the shipped `vee.toml` says what each means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    physical_factor: Annotated[float, Field(ge=1, le=10)]
    sum_resolution: Annotated[int, Field(ge=0)]
    sum_percent: _Percent
    spike_percent: _Percent
    spike_floor: Annotated[int, Field(ge=0)]
    linear_hours: Annotated[float, Field(ge=0, le=24)]
    like_days: Annotated[int, Field(ge=1, le=28)]
    look_back_days: Annotated[int, Field(ge=1, le=400)]


class RuleSet(BaseModel):
    """All limits, and the version that findings name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, Field(min_length=1, max_length=32)]
    settle_after_hours: Annotated[float, Field(ge=0, le=24 * 30)]
    holidays: Annotated[str, AfterValidator(_country)]
    limits: dict[str, Limits]

    @model_validator(mode="before")
    @classmethod
    def _complete_classes(cls, data: object) -> object:
        # A class names what differs; the rest is the default's.
        if isinstance(data, dict) and isinstance(limits := data.get("limits"), dict):
            default = limits.get("default")
            if isinstance(default, dict):
                own_first = {name: {**default, **own} if isinstance(own, dict) else own for name, own in limits.items()}
                return {**data, "limits": own_first}
        return data

    @model_validator(mode="after")
    def _has_default(self) -> RuleSet:
        if "default" not in self.limits:
            raise ValueError("a table [limits.default]")
        return self

    def of(self, customer_class: str) -> Limits:
        """The limits of a class, or the default's."""
        return self.limits.get(customer_class, self.limits["default"])


def load_rule_set(path: Path) -> RuleSet:
    """The rule set in a TOML file; raises `InvalidConfig` with file and key."""
    return checked(str(path), lambda: RuleSet.model_validate(read_toml(path)))
