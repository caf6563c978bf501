"""What a bundle's files are called, and what its manifest says of them."""

from __future__ import annotations

import json
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from headend.billing.recount import days_of
from headend.billing.statement import Segment
from headend.reads.days import DAY_S, moment

MANIFEST, STATEMENT, README = "manifest.json", "statement.json", "README.txt"
READS_HEADER: Final = "start,value,quality,counted"
PRICES_HEADER: Final = "start,end,price"

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ReadsFile(_Part):
    """Where the reads of a meter channel are."""

    file: str
    meter: str
    channel: str


class PricesFile(_Part):
    """Where the prices of a series are."""

    file: str
    series: str
    currency: str
    unit: str


class SegmentFiles(_Part):
    """The files of a segment, in the order of the statement."""

    tariff: str
    interval_s: Annotated[int, Field(ge=1, le=DAY_S)]
    reads: list[ReadsFile]
    prices: list[PricesFile]


class Named(_Part):
    """Which statement it is."""

    id: str
    sha256: Hash
    previous_sha256: Hash | None


class Manifest(_Part):
    """What is in a bundle; `files` has the hash of every file but the manifest itself."""

    format: Literal["headend-bundle/1"]
    statement: Named
    segments: list[SegmentFiles]
    files: dict[str, Hash]


def manifest_bytes(manifest: Manifest) -> bytes:
    """A manifest as it is written."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
    return f"{text}\n".encode()


def span_of(segment: Segment) -> tuple[int, int]:
    """Begin and end of a segment [s since 1970]."""
    days = days_of(segment)
    return days.start_s, days.end_s


def stamp_of(at_s: int) -> str:
    """A moment [s since 1970] as a bundle has it."""
    return f"{moment(at_s):%Y-%m-%dT%H:%M:%SZ}"
