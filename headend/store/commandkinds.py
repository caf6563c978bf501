"""What a gateway can be asked to do, and what must be said with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from headend.errors import InvalidInput
from headend.reads.channels import Channel

#: At most this many gaps in one backfill command: some 60 kB.
MAX_GAPS = 500


class _Args(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_MeterName = Annotated[str, Field(min_length=1, max_length=64)]
_Obis = Annotated[str, AfterValidator(lambda text: Channel.parse(text).obis)]


class Read(_Args):
    """Send the registers of now; of all meters where none is named."""

    meters: Annotated[tuple[_MeterName, ...], Field(min_length=1)] | None = None


class Gap(_Args):
    """A stretch of one channel that is missing, [from, to)."""

    meter: _MeterName
    channel: _Obis
    from_: Annotated[AwareDatetime, Field(alias="from")]
    to: AwareDatetime

    @model_validator(mode="after")
    def _has_a_length(self) -> Gap:
        if self.to <= self.from_:
            raise ValueError("`to` after `from`")
        return self


class Backfill(_Args):
    """Send what is still there of these gaps."""

    gaps: Annotated[tuple[Gap, ...], Field(min_length=1, max_length=MAX_GAPS)]


class SetClock(_Args):
    """Set the clock; to the moment of sending where no time is named."""

    time: AwareDatetime | None = None


class SetInterval(_Args):
    """Send reads this often."""

    report_every_s: Annotated[int, Field(gt=0, le=86_400)]


class Firmware(_Args):
    """Fetch a new image, check it, run it."""

    version: Annotated[str, Field(min_length=1, max_length=64)]
    size: Annotated[int, Field(gt=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    signature: str
    chunk_bytes: Annotated[int, Field(gt=0)]
    chunks: Annotated[int, Field(gt=0)]


class NoArgs(_Args):
    """There is nothing to say."""


KINDS: Mapping[str, type[_Args]] = {
    "read": Read,
    "backfill": Backfill,
    "set_clock": SetClock,
    "set_interval": SetInterval,
    "restart": NoArgs,
    "firmware": Firmware,
    "rebirth": NoArgs,
}


def checked_args(kind: str, args: Mapping[str, Any]) -> str:
    """The args of a command as the JSON that is kept and sent; raises `InvalidInput`."""
    if kind not in KINDS:
        raise InvalidInput("command", repr(kind), "one of " + ", ".join(KINDS))
    try:
        return KINDS[kind].model_validate(args).model_dump_json(by_alias=True, exclude_none=True)
    except ValidationError as error:
        complaint = error.errors(include_url=False)[0]
        where = ": ".join([f"command {kind}", ".".join(str(part) for part in complaint["loc"]) or "args"])
        found = "nothing" if complaint["type"] == "missing" else repr(complaint["input"])[:80]
        expected = {"missing": "a value", "extra_forbidden": "no such argument"}.get(complaint["type"])
        said = complaint["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        raise InvalidInput(where, found, expected or said) from None
