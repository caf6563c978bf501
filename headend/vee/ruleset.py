"""The rule set: what is compared with what, and what follows, as data: versioned, per customer class."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import holidays
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from headend.config import checked, read_toml
from headend.errors import InvalidInput
from headend.reads.channels import Channel
from headend.reads.crosswalk import Reason
from headend.reads.days import DAY_S
from headend.vee.anomalies.limits import AnomalyLimits
from headend.vee.estimate import Habit

#: What follows where a rule fails; the shipped `vee.toml` says what each means.
Then = Literal["pass", "warn", "fail", "quarantine", "hold_bill"]

_Seconds = Annotated[int, Field(ge=0, le=86_400)]
_Percent = Annotated[float, Field(ge=0, le=10_000)]
_Hours = Annotated[float, Field(gt=0, le=24 * 28)]
_Units = Annotated[int, Field(ge=0)]
_Weeks = Annotated[int, Field(ge=1, le=8)]
_Days = Annotated[int, Field(ge=1, le=400)]

#: Rules and anomalies in the field's words, for pages and queues.
NAMES: Final = MappingProxyType(
    {
        "V1": "unknown meter or channel",
        "V2": "clock or time",
        "V3": "another value for the same interval",
        "V4": "missing",
        "V5": "negative",
        "V6": "above physical maximum",
        "V7": "register fell or jumped",
        "V8": "sum check",
        "V9": "spike",
        "V10": "zero or constant run",
        "V11": "high or low use",
        "V12": "device flag",
        "V13": "prolonged estimation",
        "V13b": "bills on estimates alone",
        "hand": "somebody asked to look",
        "leak": "leak",
        "stuck": "stuck meter",
        "reverse": "reverse energy",
        "tamper": "tamper and drop",
        "inactive": "use without agreement",
        "peers": "unlike its neighbours",
        "E1": "estimated from register",
        "E2": "estimated: linear",
        "E3": "estimated: like days",
        "E4": "estimated: class profile or average use",
    }
)


def _country(code: str) -> str:
    name, _, subdivision = code.partition("-")
    supported = holidays.list_supported_countries(include_aliases=True)
    if code and (name not in supported or (subdivision and subdivision not in supported[name])):
        raise InvalidInput("holidays", repr(code), "an ISO 3166 country, with or without subdivision, such as DE-BY")
    return code


def _channel_codes(channels: tuple[str, ...]) -> tuple[str, ...]:
    for obis in channels:
        Channel.parse(obis)
    return channels


_Channels = Annotated[tuple[str, ...], AfterValidator(_channel_codes)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KnownRule(_Strict):
    """V1."""

    then: Literal["quarantine"]


class ClockRule(_Strict):
    """V2: `future_s` for intervals, the others for the clock of who tells them."""

    then: Literal["pass", "warn", "fail"]
    future_s: _Seconds
    warn_s: _Seconds
    fail_s: _Seconds

    @model_validator(mode="after")
    def _warns_before_it_fails(self) -> ClockRule:
        if self.fail_s < self.warn_s:
            raise ValueError(f"fail_s of at least warn_s, {self.warn_s}")
        return self


class DuplicateRule(_Strict):
    """V3."""

    then: Literal["pass", "warn"]


class MissingRule(_Strict):
    """V4."""

    then: Literal["warn"]


class NegativeRule(_Strict):
    """V5."""

    then: Literal["warn", "fail"]


class MaximumRule(_Strict):
    """V6."""

    then: Literal["pass", "warn", "fail"]
    factor: Annotated[float, Field(ge=1, le=10)]
    review_percent: Annotated[float, Field(ge=0, le=100)]


class RegisterRule(_Strict):
    """V7."""

    then: Literal["pass", "warn"]
    review: bool


class SumRule(_Strict):
    """V8."""

    then: Literal["pass", "warn", "fail"]
    review: bool
    resolution: _Units
    percent: _Percent


class SpikeRule(_Strict):
    """V9; `channels` are those it looks at."""

    then: Literal["pass", "warn", "fail"]
    review: bool = False
    channels: _Channels
    percent: _Percent
    floor: _Units


class RunRule(_Strict):
    """V10; `channels` are those it looks at."""

    then: Literal["pass", "warn", "fail"]
    review: bool
    channels: _Channels
    zero_hours: _Hours
    constant_hours: _Hours


class HighLowRule(_Strict):
    """V11."""

    then: Literal["pass", "warn", "hold_bill"]
    review: bool
    weeks: _Weeks
    alike: Annotated[int, Field(ge=3, le=10_000)]
    high_percent: Annotated[float, Field(gt=100, le=10_000)]
    low_percent: Annotated[float, Field(ge=0, lt=100)]
    floor: _Units


class DeviceRule(_Strict):
    """V12."""

    then: Literal["warn", "fail"]


class ProlongedRule(_Strict):
    """V13."""

    then: Literal["pass", "warn", "hold_bill"]
    review: bool
    days: _Days
    bills: Annotated[int, Field(ge=1, le=12)]
    stop_after_days: _Days


class Estimation(_Strict):
    """How estimates are made."""

    linear_hours: Annotated[float, Field(ge=0, le=24)]
    like_days: Annotated[int, Field(ge=1, le=28)]
    look_back_days: Annotated[int, Field(ge=1, le=400)]
    half_life_hours: Annotated[float, Field(gt=0, le=168)]

    @property
    def habit(self) -> Habit:
        """As estimators take it."""
        return Habit(self.like_days, self.look_back_days, self.half_life_hours)


class Rules(_Strict):
    """The rules of one customer class."""

    known: KnownRule = Field(alias="V1")
    clock: ClockRule = Field(alias="V2")
    duplicate: DuplicateRule = Field(alias="V3")
    missing: MissingRule = Field(alias="V4")
    negative: NegativeRule = Field(alias="V5")
    maximum: MaximumRule = Field(alias="V6")
    register_: RegisterRule = Field(alias="V7")
    sum_check: SumRule = Field(alias="V8")
    spike: SpikeRule = Field(alias="V9")
    runs: RunRule = Field(alias="V10")
    high_low: HighLowRule = Field(alias="V11")
    device: DeviceRule = Field(alias="V12")
    prolonged: ProlongedRule = Field(alias="V13")
    estimation: Estimation


class Editing(_Strict):
    """What people may do; `reasons` with their NEM12 codes."""

    second_person_above: _Units
    reasons: Annotated[dict[str, Reason], Field(min_length=1)]


class RuleSet(_Strict):
    """All rules, and the version that findings name."""

    version: Annotated[str, Field(min_length=1, max_length=32)]
    settle_after_hours: Annotated[float, Field(ge=0, le=24 * 30)]
    holidays: Annotated[str, AfterValidator(_country)]
    rules: Rules
    classes: dict[str, Rules] = {}
    anomalies: AnomalyLimits
    editing: Editing

    @model_validator(mode="before")
    @classmethod
    def _complete_classes(cls, data: Any) -> Any:
        # A class names what differs; the rest is everybody's.
        if not isinstance(data, dict):
            return data
        rules, classes = data.get("rules"), data.get("classes")
        if not isinstance(rules, dict) or not isinstance(classes, dict):
            return data
        return {**data, "classes": {name: _completed(own, rules) for name, own in classes.items()}}

    def of(self, customer_class: str) -> Rules:
        """The rules of a class, or everybody's."""
        return self.classes.get(customer_class, self.rules)

    def due_before(self, now: datetime) -> int:
        """The day before which all days are due [days since 1970]."""
        return int((now - timedelta(hours=self.settle_after_hours)).timestamp() // DAY_S)

    @property
    def look_back_days(self) -> int:
        """How far any class looks back for like days."""
        return max(rules.estimation.look_back_days for rules in (self.rules, *self.classes.values()))


def _completed(own: Any, rules: dict[str, Any]) -> Any:
    if not isinstance(own, dict):
        return own
    merged = {**rules, **own}
    for name, differs in own.items():
        if isinstance(differs, dict) and isinstance(everybodys := rules.get(name), dict):
            merged[name] = {**everybodys, **differs}
    return merged


def load_rule_set(path: Path) -> RuleSet:
    """The rule set in a TOML file; raises `InvalidConfig` with file and key."""
    return checked(str(path), lambda: RuleSet.model_validate(read_toml(path)))
