"""Opening a bundle: nothing in it is trusted; every name, size and line is looked at before it is used."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from pydantic import ValidationError

from headend.billing.bundle.manifest import (
    MANIFEST,
    PRICES_HEADER,
    READS_HEADER,
    STATEMENT,
    Manifest,
    PricesFile,
    ReadsFile,
    SegmentFiles,
    span_of,
    stamp_of,
)
from headend.billing.recount import Evidence
from headend.billing.statement import Segment, Statement, parse_statement
from headend.errors import InvalidInput
from headend.reads import NO_REGISTER, Channel, LoadProfiles
from headend.reads.constants import Constant
from headend.reads.days import seconds
from headend.tariffs import PriceSeries, Tariff
from headend.tariffs.check import examine_text
from headend.tariffs.money import scaled
from headend.tariffs.published import decimal, whole_numbers

#: No bundle of a month is larger, all its files together [bytes].
LARGEST: Final = 64 * 2**20
_LARGEST_STATEMENT = 8 * 2**20
_MOST_FILES, _MOST_DAYS = 1_000, 800

_NAME = re.compile(
    r"README\.txt|(manifest|statement)\.json|segment-[0-9]{1,3}/(tariff\.json|(reads|prices)-[0-9]{1,3}\.csv)"
)
_FOLDER = re.compile(r"segment-[0-9]{1,3}/")
_READ = re.compile(r"([0-9TZ:-]{20}),(-?[0-9]{1,18}),([0-9]{1,3}),([01])")
_PRICE = re.compile(r"([0-9TZ:-]{20}),([0-9TZ:-]{20}),(-?[0-9]{1,20}(?:\.[0-9]{1,20})?)")
# All that Decimal takes for a number, and the way a statement writes one.
_NUMBER = re.compile(r"\s*[+-]?[\d._]+(?:[eE][+-]?[\d_]+)?\s*")
_PLAIN = re.compile(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]{1,3})?")
_BROKEN = (BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, OSError, zlib.error, struct.error)


@dataclass(frozen=True, slots=True)
class BundledMeter:
    """A meter channel as a bundle tells it; it hung while its reads are counted. See `ports.MeterChannel`."""

    meter: int
    meter_name: str
    channel: Channel
    interval_s: int
    usage_point: str
    installed_s: int
    removed_s: int | None
    register_digits: int = 0
    constants: tuple[Constant, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle's files, read but not yet compared with anything.

    Parameters
    ----------
    document, statement
        the statement's bytes, and what they say.
    evidence
        of each segment.
    """

    files: Mapping[str, bytes]
    manifest: Manifest
    document: bytes
    statement: Statement
    evidence: Sequence[Evidence]


def opened(data: bytes) -> Opened:
    """What is in a bundle.

    Raises
    ------
    InvalidInput
        it is no bundle: names the file and line, what stands there, what was expected.
    """
    files = _unpacked(data)
    for name in (MANIFEST, STATEMENT):
        if name not in files:
            raise InvalidInput("bundle", f"no {name}", "a file made by headend statement bundle")
    manifest = _manifest(files[MANIFEST])
    for name in manifest.files:
        if name not in files:
            raise InvalidInput("bundle", f"no {name[:60]!r}", "every file that its manifest names")
    statement = _statement(files[STATEMENT])
    if len(manifest.segments) != len(statement.segments):
        found = f"{len(manifest.segments)} segments"
        raise InvalidInput(MANIFEST, found, f"{len(statement.segments)}, as the statement has")
    evidence = [_evidence(files, *pair) for pair in zip(statement.segments, manifest.segments, strict=True)]
    return Opened(files, manifest, files[STATEMENT], statement, evidence)


def _unpacked(data: bytes) -> dict[str, bytes]:
    if len(data) > LARGEST:
        raise InvalidInput("bundle", f"{len(data):,} bytes", f"at most {LARGEST:,}")
    try:
        with ZipFile(BytesIO(data)) as zipped:
            return {info.filename: _content(zipped, info) for info in _entries(zipped)}
    except InvalidInput:
        raise
    except _BROKEN as error:
        raise InvalidInput("bundle", f"a damaged file ({str(error)[:80]})", "a ZIP file") from None


def _entries(zipped: ZipFile) -> Iterator[ZipInfo]:
    """The files, after all their names and sizes have been looked at."""
    entries = [info for info in zipped.infolist() if not _FOLDER.fullmatch(info.filename)]
    if len(entries) > _MOST_FILES:
        raise InvalidInput("bundle", f"{len(entries):,} files", f"at most {_MOST_FILES:,}")
    for info in entries:
        if not _NAME.fullmatch(info.filename):
            raise InvalidInput("bundle", f"a file {info.filename[:60]!r}", "no other files than a bundle has")
        if info.flag_bits & 1 or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise InvalidInput("bundle", f"{info.filename} encrypted or compressed otherwise", "a plain ZIP file")
    if len({info.filename for info in entries}) < len(entries):
        raise InvalidInput("bundle", "two files of one name", "each name once")
    if (size := sum(info.file_size for info in entries)) > LARGEST:
        raise InvalidInput("bundle", f"{size:,} bytes", f"at most {LARGEST:,}")
    yield from entries


def _content(zipped: ZipFile, info: ZipInfo) -> bytes:
    with zipped.open(info) as file:
        content = file.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise InvalidInput("bundle", f"{info.filename} of another size than is told", "a ZIP file")
    return content


def _manifest(content: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise _not_valid(MANIFEST, error) from None


def _not_valid(name: str, error: ValidationError) -> InvalidInput:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(each) for each in first["loc"])[:80]
    return InvalidInput(f"{name}{f': {where}' if where else ''}", first["msg"][:100], "what a bundle has there")


def _statement(content: bytes) -> Statement:
    if len(content) > _LARGEST_STATEMENT:
        raise InvalidInput(STATEMENT, f"{len(content):,} bytes", f"at most {_LARGEST_STATEMENT:,}")
    try:
        _look_at_numbers(json.loads(content))
        statement = parse_statement(content)
    except ValidationError as error:
        raise _not_valid(STATEMENT, error) from None
    except InvalidInput:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidInput(STATEMENT, str(error)[:80], "JSON") from None
    for number, segment in enumerate(statement.segments, 1):
        where = f"{STATEMENT}: segment {number}"
        if not (date(1970, 1, 2) <= segment.first <= segment.last < date(9000, 1, 1)):
            raise InvalidInput(where, f"{segment.first} to {segment.last}", "days from 1970 on, the first one first")
        if (segment.last - segment.first).days > _MOST_DAYS:
            raise InvalidInput(where, f"{segment.first} to {segment.last}", f"at most {_MOST_DAYS} days")
    return statement


def _look_at_numbers(part: object) -> None:
    """Numbers are text as long as numbers are: one with a huge exponent would take all memory."""
    waiting = [part]
    while waiting:
        match waiting.pop():
            case dict() as table:
                waiting += table.values()
            case list() as items:
                waiting += items
            case float() as number:
                raise InvalidInput(STATEMENT, repr(number), "decimal numbers as text")
            case str() as text if len(text) > 64 and _NUMBER.fullmatch(text):
                raise InvalidInput(STATEMENT, f"a number of {len(text)} digits", "at most 64")
            case str() as text if _NUMBER.fullmatch(text) and not _PLAIN.fullmatch(text):
                raise InvalidInput(STATEMENT, repr(text[:60]), "numbers without exponent")


def _evidence(files: Mapping[str, bytes], segment: Segment, named: SegmentFiles) -> Evidence:
    begin_s, end_s = span_of(segment)
    n, rest = divmod(end_s - begin_s, named.interval_s)
    if rest:
        raise InvalidInput(MANIFEST, f"interval_s {named.interval_s}", f"a length that fills {segment.first} on")
    if not named.reads:
        raise InvalidInput(MANIFEST, "no reads", "reads of each segment")
    if len({its.file for its in named.reads}) < len(named.reads):
        raise InvalidInput(MANIFEST, "a file of reads that is named twice", "one file for each meter channel")
    for its in named.reads:
        # A row each, so that no bundle of a few bytes asks for all memory.
        if len(_text(files, its.file)) < n:
            raise InvalidInput(its.file, f"{len(_text(files, its.file))} letters", f"{n} rows")
    values = np.zeros((len(named.reads), n), dtype=np.int64)
    quality = np.zeros((len(named.reads), n), dtype=np.uint8)
    meters = []
    for row, its in enumerate(named.reads):
        values[row], quality[row], hung = _reads(_text(files, its.file), its.file, begin_s, n, named.interval_s)
        meters.append(_meter(row, its, segment, hung, begin_s, named.interval_s))
    codes = np.array([meter.channel.code for meter in meters], dtype=np.int64)
    profiles = LoadProfiles(
        named.interval_s,
        begin_s,
        np.arange(len(meters), dtype=np.int64),
        codes,
        values,
        quality,
        np.zeros_like(quality),
        np.full_like(values, NO_REGISTER),
    )
    return Evidence(_tariff(files, named.tariff), meters, profiles, [_prices(files, its) for its in named.prices])


def _text(files: Mapping[str, bytes], name: str) -> str:
    try:
        return files[name].decode()
    except KeyError:
        raise InvalidInput("bundle", f"no {name[:60]!r}", "every file that its manifest names") from None
    except UnicodeDecodeError:
        raise InvalidInput(name, "bytes that are no UTF-8", "text") from None


def _rows(text: str, name: str, header: str, pattern: re.Pattern[str]) -> Iterator[tuple[str, re.Match[str]]]:
    lines = text.split("\n")
    if lines[0] != header:
        raise InvalidInput(f"{name}, line 1", repr(lines[0][:60]), header)
    if lines[-1]:
        raise InvalidInput(f"{name}, line {len(lines)}", repr(lines[-1][:60]), "a line feed at its end")
    for number, line in enumerate(lines[1:-1], 2):
        where = f"{name}, line {number}"
        match = pattern.fullmatch(line)
        if match is None:
            raise InvalidInput(where, repr(line[:60]), header)
        yield where, match


def _reads(text: str, name: str, begin_s: int, n: int, interval_s: int) -> tuple[list[int], list[int], list[bool]]:
    values, quality, hung = [], [], []
    for place, (where, match) in enumerate(_rows(text, name, READS_HEADER, _READ)):
        expected = stamp_of(begin_s + place * interval_s)
        if place >= n or match[1] != expected:
            raise InvalidInput(where, match[1], expected if place < n else "no more rows")
        if int(match[3]) > 255:
            raise InvalidInput(where, match[3], "a quality code")
        values.append(int(match[2]))
        quality.append(int(match[3]))
        hung.append(match[4] == "1")
    if len(values) != n:
        raise InvalidInput(name, f"{len(values)} rows", f"{n}, one for each interval")
    return values, quality, hung


def _meter(
    row: int, its: ReadsFile, segment: Segment, hung: Sequence[bool], begin_s: int, interval_s: int
) -> BundledMeter:
    """It hung in one stretch."""
    n = len(hung)
    first = hung.index(True) if True in hung else n
    end = n - hung[::-1].index(True) if True in hung else n
    if not all(hung[first:end]):
        raise InvalidInput(its.file, "a meter that hung twice", "one stretch that is counted")
    installed_s = begin_s + first * interval_s
    removed_s = None if end == n else begin_s + end * interval_s
    channel = Channel.parse(its.channel)
    return BundledMeter(row, its.meter, channel, interval_s, segment.usage_point, installed_s, removed_s)


def _tariff(files: Mapping[str, bytes], name: str) -> Tariff:
    tariff, findings = examine_text(_text(files, name), name, is_json=True)
    if tariff is None:
        raise InvalidInput(findings[0].where, findings[0].found[:80], findings[0].expected[:120])
    return tariff


def _prices(files: Mapping[str, bytes], its: PricesFile) -> PriceSeries:
    starts: list[int] = []
    ends: list[int] = []
    numbers = []
    for where, match in _rows(_text(files, its.file), its.file, PRICES_HEADER, _PRICE):
        start_s, end_s = _moment(match[1], where), _moment(match[2], where)
        if end_s <= start_s or (ends and start_s < ends[-1]):
            raise InvalidInput(where, f"{match[1]} to {match[2]}", "rising times that do not overlap")
        starts.append(start_s)
        ends.append(end_s)
        numbers.append(scaled(decimal(match[3], where)))
    scale = max((each for _, each in numbers), default=0)
    return PriceSeries(
        its.series,
        its.currency,
        its.unit,
        np.array(starts, dtype=np.int64),
        np.array(ends, dtype=np.int64),
        whole_numbers([number * 10 ** (scale - each) for number, each in numbers]),
        scale,
    )


def _moment(text: str, where: str) -> int:
    try:
        return seconds(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise InvalidInput(where, text, "a moment such as 2026-09-30T22:00:00Z") from None
