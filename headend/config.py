"""Settings: typed, read from TOML, every default in the shipped `config/headend.toml`.

What a file leaves out comes from the shipped one, what the environment says (`HEADEND_SECTION__KEY`) goes before both.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from headend.errors import InvalidConfig, InvalidInput
from headend.reads.days import zone_named

T = TypeVar("T")

Seconds = Annotated[int, Field(gt=0, le=10 * 365 * 86_400)]
Count = Annotated[int, Field(gt=0, le=10_000_000)]
Bytes = Annotated[int, Field(ge=1_024, le=8 * 1024**3)]
Port = Annotated[int, Field(ge=0, le=65_535)]


#: The name of an IANA time zone, in any model of a file.
Zone = Annotated[str, AfterValidator(lambda name: zone_named(name).key)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SiteSettings(_Section):
    """The utility itself."""

    name: str
    timezone: Zone
    address: tuple[str, ...]
    registry: str
    tariffs: str
    rules: str

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of pages and jobs."""
        return ZoneInfo(self.timezone)


class DataSettings(_Section):
    """Where everything is kept."""

    directory: Path
    journal_url: str
    site_url: str


#: Kept at least: a year and the month before it, which estimates, comparisons and corrections of bills look back on.
_LEAST_KEPT_DAYS = 400


class StoreSettings(_Section):
    """Which interval store, and how long reads and telemetry are kept."""

    kind: Literal["sql", "influx"]
    recent_days: Annotated[int, Field(ge=1, le=366)]
    keep_days: Annotated[int, Field(ge=0, le=36_500)]
    keep_telemetry_days: Annotated[int, Field(ge=1, le=3_650)]

    @model_validator(mode="after")
    def _bills_keep_their_reads(self) -> StoreSettings:
        if 0 < self.keep_days < _LEAST_KEPT_DAYS:
            expected = f"0 (for ever) or at least {_LEAST_KEPT_DAYS}: estimates, comparisons and corrections look back"
            raise InvalidInput("keep_days", str(self.keep_days), expected)
        return self


class InfluxSettings(_Section):
    """The InfluxDB 2 server."""

    # Without user and password: it stands in messages and logs.
    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+/?$")]
    org: Annotated[str, Field(min_length=1)]
    token: str
    reads_bucket: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    telemetry_bucket: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    connections: Annotated[int, Field(gt=0, le=64)]
    points_a_request: Annotated[int, Field(ge=100, le=100_000)]
    timeout_s: Annotated[float, Field(gt=0, le=600)]
    gzip: bool
    forward_every_ms: Annotated[int, Field(gt=0, le=60_000)]


class MqttSettings(_Section):
    """The broker and how to speak to it."""

    embedded: bool
    host: str
    port: Port
    protocol: Literal["3.1.1", "5"]
    client_id: Annotated[str, Field(min_length=1)]
    username: str
    password: str
    session_expiry_s: Seconds
    keepalive_s: Seconds
    share: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$")]
    tls: bool
    ca_file: str

    @model_validator(mode="after")
    def _embedded_speaks_311(self) -> MqttSettings:
        if self.embedded and self.protocol != "3.1.1":
            raise InvalidInput("protocol", repr(self.protocol), "3.1.1 with the embedded broker, or embedded = false")
        if self.embedded and self.tls:
            raise InvalidInput("tls", "true", "false with the embedded broker, or embedded = false")
        if self.share and self.protocol != "5":
            raise InvalidInput("share", repr(self.share), 'none, or protocol = "5": shared subscriptions came with it')
        return self


class CollectSettings(_Section):
    """From the field to the journal."""

    queue: Count
    queue_bytes: Bytes
    commit_messages: Count
    commit_bytes: Bytes
    acknowledge_every_ms: Annotated[int, Field(ge=0, le=60_000)]
    max_message_bytes: Annotated[int, Field(ge=1_024, le=256 * 1024 * 1024)]
    sparkplug: bool
    sparkplug_host: Annotated[str, Field(pattern=r"^[^/+#]{1,64}$")]
    mappings: tuple[str, ...]
    inbox: str
    inbox_every_s: Seconds


class ModbusSettings(_Section):
    """The poller of Modbus meters."""

    profiles: str
    delay_s: Annotated[float, Field(ge=0, le=600)]
    timeout_s: Annotated[float, Field(gt=0, le=60)]
    at_once: Count
    back_off_s: Seconds


class ProcessSettings(_Section):
    """From the journal to the interval store."""

    batch_messages: Count
    poll_ms: Annotated[int, Field(gt=0, le=60_000)]
    past_days: Annotated[int, Field(gt=0, le=36_500)]
    behind_after_s: Seconds
    register_tolerance_s: Seconds


class CommandSettings(_Section):
    """From the head-end to gateways."""

    retry_after_s: Seconds
    expire_after_s: Seconds
    look_every_ms: Annotated[int, Field(gt=0, le=60_000)]
    backfill_after_s: Seconds
    backfill_days: Annotated[int, Field(gt=0, le=60)]


Months = Annotated[int, Field(ge=0, le=1_200)]


class BillingSettings(_Section):
    """What the clerk's office goes by."""

    due_after_days: Annotated[int, Field(ge=0, le=365)]
    complete_share: Annotated[Decimal, Field(ge=0, le=1)]
    collect_days: Annotated[int, Field(ge=0, le=90)]


class CorrectionSettings(_Section):
    """How corrections of issued statements are made; see docs/corrections.md."""

    back_bill_months: Months
    by_class: dict[str, Months] = {}


#: An amount of money by currency; a currency that is not there has none.
Amounts = dict[
    Annotated[str, Field(pattern=r"^[A-Z]{3}$")], Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=3)]
]


_Commodity = Literal["electricity", "gas", "heat", "water"]
_Times = Annotated[Decimal, Field(ge=0, le=10_000)]


class ReviewSettings(_Section):
    """From when on a draft is looked at before it is approved; docs/billing.md says what each key means."""

    estimated_share: Annotated[Decimal, Field(ge=0, le=1)]
    zero_use: tuple[_Commodity, ...]
    high_use: _Times
    low_use: Annotated[Decimal, Field(ge=0, lt=1)]
    unlike_peers: _Times
    peers: Annotated[int, Field(ge=3, le=1_000_000)]
    floor: dict[_Commodity, _Times]
    register_difference: Annotated[Decimal, Field(ge=0, le=1_000_000)]
    meter_change: bool
    days: Annotated[tuple[int, ...], Field(max_length=2)]
    negative: bool
    over_limit: dict[str, Amounts]
    back_billed_months: Annotated[int, Field(ge=0, le=120)]
    second_above: Amounts

    @model_validator(mode="after")
    def _limits_have_two_sides(self) -> ReviewSettings:
        if self.days and not (len(self.days) == 2 and 0 < self.days[0] <= self.days[1]):
            raise InvalidInput("days", str(list(self.days)), "the least and the most days of a bill, or [] for any")
        for key in ("high_use", "unlike_peers"):
            if 0 < getattr(self, key) <= 1:
                raise InvalidInput(key, str(getattr(self, key)), "more than 1, or 0 for never")
        return self


class LateFeeSettings(_Section):
    """What a month of paying late costs."""

    percent_per_month: Annotated[Decimal, Field(ge=0, le=100, decimal_places=6)]
    fixed: Amounts
    minimum: Amounts
    grace_days: Annotated[int, Field(ge=0, le=3_650)]


class DunningSettings(_Section):
    """A stage of dunning: after how many days overdue, and what it costs."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9 -]{0,39}$")]
    days: Annotated[int, Field(ge=1, le=3_650)]
    fee: Amounts = {}


class ContactSettings(_Section):
    """Whom a customer can turn to: as it stands on statements; what is "" does not."""

    phone: str
    email: str
    website: str
    registered: str
    complaints: str
    ombudsman: str
    regulator: str
    advice: str
    switching: str
    comparison: str
    metering_operator: str
    network_operator: str


class MixSettings(_Section):
    """Where the electricity sold in a year came from."""

    year: Annotated[int, Field(ge=1990, le=2200)]
    sources: Annotated[dict[str, Annotated[Decimal, Field(ge=0, le=100)]], Field(min_length=1)]
    co2_g_per_kwh: Annotated[Decimal, Field(ge=0, le=10_000)] | None = None
    waste_g_per_kwh: Annotated[Decimal, Field(ge=0, le=100)] | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> MixSettings:
        whole = sum(self.sources.values(), Decimal(0))
        if abs(whole - 100) > Decimal("0.5"):
            raise InvalidInput("sources", f"{whole} % together", "100 %, but for rounding")
        return self


class TypicalSettings(_Section):
    """What comparable customers use in a year, in the unit they are billed in."""

    commodity: Literal["electricity", "gas", "heat", "water"]
    customer_class: Annotated[str, Field(min_length=1)]
    label: Annotated[str, Field(min_length=1)]
    a_year: Annotated[Decimal, Field(gt=0, le=10**9)]


class StatementSettings(_Section):
    """What statements show, and by which profile they are checked; docs/statement.md says what each key means."""

    profile: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    profiles: dict[str, Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]]
    waived: tuple[str, ...]
    notice: str
    mix: MixSettings | None = None
    typical: tuple[TypicalSettings, ...] = ()


class JobSettings(_Section):
    """What happens by itself."""

    settle_every_s: Seconds
    backfill_every_s: Seconds
    bill_every_s: Seconds
    prices_every_s: Seconds
    bill_on_day: Annotated[int, Field(ge=1, le=28)]


class PriceFeedSettings(_Section):
    """Where a series of prices is published day by day; docs/prices.md says what each key means."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    url: Annotated[str, Field(pattern=r"^https?://[^\s#]+$")]
    format: Literal["csv", "json"]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    unit: Literal["kWh", "m³"] = "kWh"
    per: Literal["", "kWh", "MWh", "m³"] = ""
    minor: bool = False
    start: str = ""
    end: str = ""
    price: str = ""
    stamps: Literal["iso8601", "epoch_s", "epoch_ms"] = "iso8601"
    at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "13:30"
    timezone: Annotated[str, AfterValidator(lambda name: zone_named(name).key if name else "")] = ""
    timeout_s: Annotated[float, Field(gt=0, le=120)] = 30


class WebSettings(_Section):
    """Pages and API."""

    host: str
    port: Port
    session_hours: Annotated[int, Field(gt=0, le=24 * 30)]


class LogSettings(_Section):
    """What is said about it all."""

    format: Literal["text", "json"]
    level: Literal["debug", "info", "warning", "error"]


class Settings(BaseSettings):
    """All settings of one head-end."""

    model_config = SettingsConfigDict(
        env_prefix="HEADEND_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    site: SiteSettings
    data: DataSettings
    store: StoreSettings
    influx: InfluxSettings
    mqtt: MqttSettings
    collect: CollectSettings
    modbus: ModbusSettings
    process: ProcessSettings
    commands: CommandSettings
    billing: BillingSettings
    corrections: CorrectionSettings
    review: ReviewSettings
    late_fees: LateFeeSettings
    dunning: tuple[DunningSettings, ...]
    statement: StatementSettings
    contacts: ContactSettings
    jobs: JobSettings
    prices: tuple[PriceFeedSettings, ...] = ()
    web: WebSettings
    log: LogSettings

    @model_validator(mode="after")
    def _sparkplug_comes_in_order(self) -> Settings:
        if self.collect.sparkplug and self.mqtt.share:
            expected = "none with collect.sparkplug: what is dealt out among several is out of order"
            raise InvalidInput("mqtt.share", repr(self.mqtt.share), expected)
        return self

    @model_validator(mode="after")
    def _a_series_has_one_feed(self) -> Settings:
        names = [feed.name for feed in self.prices]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise InvalidInput(f"prices.{place}.name", repr(name), "one feed for a series")
        return self

    @model_validator(mode="after")
    def _stages_rise(self) -> Settings:
        for place, (one, after) in enumerate(pairwise(self.dunning), 1):
            if after.days <= one.days:
                raise InvalidInput(
                    f"dunning.{place}.days", str(after.days), f"more than the {one.days} of the stage before"
                )
        names = [stage.name for stage in self.dunning]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise InvalidInput(f"dunning.{place}.name", repr(name), "a name that no other stage has")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the files."""
        return env_settings, init_settings

    @property
    def journal_url(self) -> str:
        """Where the journal is."""
        return self.data.journal_url or f"sqlite:///{self.data.directory / 'journal.db'}"

    @property
    def site_url(self) -> str:
        """Where the site database is."""
        return self.data.site_url or f"sqlite:///{self.data.directory / 'site.db'}"


def shipped(name: str) -> Path:
    """A file or folder of the shipped configuration, from the wheel or from a checkout."""
    package = Path(__file__).parent
    inside = package / "_config"
    return (inside if inside.is_dir() else package.parent / "config") / name


def beside(config: Path | None, key: str, name: str) -> Path:
    """A file or folder the settings name: beside the configuration file, else among the shipped ones.

    Parameters
    ----------
    key
        the setting that names it, for `InvalidConfig` where there is none.
    """
    for path in ([config.parent / name] if config is not None else []) + [shipped(name)]:
        if path.exists():
            return path
    where = f"{config or 'headend.toml'}: {key}"
    raise InvalidConfig(where, repr(name), "the name of a file beside the settings or among the shipped ones")


def load_settings(path: Path | None = None, overrides: dict[str, dict[str, Any]] | None = None) -> Settings:
    """Settings from the shipped file, then `path`, then `overrides`, then the environment.

    Raises
    ------
    InvalidConfig
        with file and key of the first thing that is wrong.
    """
    values = read_toml(shipped("headend.toml"))
    for extra in (read_toml(path) if path else {}, overrides or {}):
        for section, keys in extra.items():
            if isinstance(keys, dict) and isinstance(values.get(section), dict):
                values[section] = {**values[section], **keys}
            else:
                values[section] = keys
    try:
        return checked(str(path or "headend.toml"), lambda: Settings(**values))
    except InvalidConfig as error:
        key = error.where.rpartition(": ")[2]
        variable = f"HEADEND_{key.upper().replace('.', '__')}"
        if variable in os.environ:
            raise InvalidConfig(variable, error.found, error.expected) from None
        raise
    except SettingsError as error:
        raise InvalidConfig("environment", str(error), "HEADEND_SECTION__KEY=value") from None


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as it is; raises `InvalidConfig`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidConfig(str(path), str(error), "a readable TOML file") from None


def checked(where: str, build: Callable[[], T]) -> T:
    """What `build` makes; pydantic's first complaint becomes one line with file and key."""
    try:
        return build()
    except ValidationError as error:
        complaint: Any = error.errors()[0]
        key = ".".join(str(part) for part in complaint["loc"]) or "file"
        cause = complaint.get("ctx", {}).get("error")
        if isinstance(cause, InvalidInput):
            within = f"{key}." if complaint["loc"] else ""
            key = key if key.endswith(cause.where) else f"{within}{cause.where}"
            raise InvalidConfig(f"{where}: {key}", cause.found, cause.expected) from None
        found, expected = _in_words(complaint)
        raise InvalidConfig(f"{where}: {key}", found, expected) from None


def in_our_words(error: ValidationError) -> list[tuple[tuple[int | str, ...], tuple[str, str]]]:
    """Every complaint of pydantic's: where it stands, what was found, what was expected."""
    return [(complaint["loc"], _in_words(complaint)) for complaint in error.errors()]


def _in_words(complaint: Any) -> tuple[str, str]:
    cause = complaint.get("ctx", {}).get("error")
    if isinstance(cause, InvalidInput):
        return cause.found, cause.expected
    found = "nothing" if complaint["type"] == "missing" else repr(complaint["input"])[:80]
    expected = _IN_OUR_WORDS.get(complaint["type"]) or complaint["msg"].removeprefix("Value error, ")
    return found, expected.removeprefix("Input should be ")


_IN_OUR_WORDS = {
    "extra_forbidden": "a key that the shipped file has",
    "missing": "a value",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
}
