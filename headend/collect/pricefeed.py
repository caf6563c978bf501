"""Price feeds: where others publish prices, one request a day of delivery, and how to read their answers.

An answer is CSV as `headend prices import` takes it, or JSON in which three paths name the begins, the ends (if it
tells them) and the prices, in one order. A price may be null: nothing is published from there on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp

from headend.collect.foreign_json import NAME, Source, read_json, time_in_utc
from headend.config import PriceFeedSettings
from headend.errors import InvalidConfig, InvalidInput, PublisherAway
from headend.reads.days import Period, moment, seconds
from headend.tariffs.market import PriceSeries
from headend.tariffs.published import Row, decimal, read_prices, series_of

#: Years of prices fit into this.
_MOST_BYTES = 16 * 1024 * 1024
_PLACEHOLDERS = {"date", "next_date", "start", "end", "start_s", "end_s", "start_ms", "end_ms"}


@dataclass(frozen=True, slots=True)
class Feed:
    """Where a series is published, and how; `zone` is whose days it is published for."""

    settings: PriceFeedSettings
    zone: ZoneInfo
    start: Source | None
    end: Source | None
    price: Source | None

    @property
    def name(self) -> str:
        """The series."""
        return self.settings.name

    @property
    def source(self) -> str:
        """The address without what may be secret in it, for messages."""
        return self.settings.url.partition("?")[0]

    def day(self, day: date) -> Period:
        """A day of delivery."""
        return Period(day, day + timedelta(days=1), self.zone)

    def url(self, day: date) -> str:
        """Where the prices of a day of delivery are published."""
        its = self.day(day)
        begin_s, end_s = its.start_s, its.end_s
        names = {"date": its.first.isoformat(), "next_date": its.end.isoformat()}
        for name, at_s in (("start", begin_s), ("end", end_s)):
            names |= {name: f"{moment(at_s):%Y-%m-%dT%H:%M:%SZ}", f"{name}_s": f"{at_s}", f"{name}_ms": f"{at_s}000"}
        return NAME.sub(lambda found: names[found[1]], self.settings.url)

    def read(self, payload: bytes) -> PriceSeries:
        """What an answer says; raises `InvalidInput`."""
        its, per = self.settings, self.settings.per or None
        how = {"name": its.name, "currency": its.currency, "unit": its.unit}
        if its.format == "json":
            return series_of(self._rows(payload), self.source, **how, per=per, minor=its.minor)
        return read_prices(self._lines(payload), self.source, **how, per=per, minor=its.minor)

    def _lines(self, payload: bytes) -> list[str]:
        try:
            return payload.decode().splitlines()
        except UnicodeDecodeError:
            raise InvalidInput(self.source, "bytes that are not UTF-8", "CSV") from None

    def _rows(self, payload: bytes) -> list[Row]:
        data = read_json(payload)
        starts = _found(self.start, data)
        prices = _found(self.price, data)
        ends = _found(self.end, data) if self.end else [None] * len(starts)
        if not len(starts) == len(ends) == len(prices):
            found = f"{len(starts)} begins, {len(prices)} prices" + (f" and {len(ends)} ends" if self.end else "")
            raise InvalidInput(self.source, found, "as many of each")
        rows = [
            self._row(place, start, end, price)
            for place, (start, end, price) in enumerate(zip(starts, ends, prices, strict=True))
        ]
        rows.sort(key=lambda row: row.start_s)
        if all(row.end_s is None for row in rows):
            self._evenly(rows)
        return rows

    def _row(self, place: int, start: object, end: object, price: object) -> Row:
        where = f"{self.source}, price {place}"
        return Row(
            where,
            self._stamp(start, where),
            None if end is None else self._stamp(end, where),
            None if price is None else decimal(price, where),
        )

    def _stamp(self, found: object, where: str) -> int:
        at = time_in_utc(found, self.settings.stamps)
        if at.microsecond:
            raise InvalidInput(where, at.isoformat(), "whole seconds")
        return seconds(at)

    def _evenly(self, rows: Sequence[Row]) -> None:
        """Where no ends are told, a price that is missing must not be taken for a longer one before it."""
        steps = {after.start_s - row.start_s for row, after in pairwise(rows)} - {0}
        if len(steps) > 1:
            found = f"steps of {' and '.join(str(step) for step in sorted(steps)[:3])} s"
            raise InvalidInput(self.source, found, "even steps, or a path to the ends")


def feeds_of(settings: Sequence[PriceFeedSettings], zone: ZoneInfo) -> tuple[Feed, ...]:
    """The feeds that the settings name; raises `InvalidConfig`.

    Parameters
    ----------
    zone
        whose days are meant where a feed does not say.
    """
    return tuple(_feed(one, zone, f"prices.{place}") for place, one in enumerate(settings))


def _feed(settings: PriceFeedSettings, zone: ZoneInfo, key: str) -> Feed:
    if unknown := set(NAME.findall(settings.url)) - _PLACEHOLDERS:
        expected = ", ".join(f"{{{name}}}" for name in sorted(_PLACEHOLDERS))
        raise InvalidConfig(f"{key}.url", f"{{{min(unknown)}}}", expected)
    paths: dict[str, Source | None] = {}
    for name, text in (("start", settings.start), ("end", settings.end), ("price", settings.price)):
        where = f"{key}.{name}"
        if settings.format == "csv" and text:
            raise InvalidConfig(where, repr(text), 'nothing with format = "csv", whose columns have names')
        if settings.format == "json" and not text and name != "end":
            raise InvalidConfig(where, "nothing", "a JSONPath such as $.data[*].price")
        paths[name] = _path(text, where) if text else None
    return Feed(settings, ZoneInfo(settings.timezone) if settings.timezone else zone, **paths)


def _path(text: str, where: str) -> Source:
    if not text.startswith("$"):
        raise InvalidConfig(where, repr(text)[:60], "a JSONPath such as $.data[*].price")
    try:
        return Source.parse(text)
    except InvalidInput as error:
        raise InvalidConfig(where, error.found, error.expected) from None


def _found(path: Source | None, data: Any) -> list[Any]:
    return [] if path is None else [found for _, _, found in path.matches(data)]


def fetch(feed: Feed, day: date) -> PriceSeries:
    """Ask for the prices of a day of delivery; the answer may tell of others as well.

    Raises
    ------
    PublisherAway
        there is no answer, or one that says no.
    InvalidInput
        the answer cannot be used.
    """
    return feed.read(asyncio.run(_get(feed, day)))


async def _get(feed: Feed, day: date) -> bytes:
    timeout = aiohttp.ClientTimeout(total=feed.settings.timeout_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers={"User-Agent": "headend"}, trust_env=True) as session,
            session.get(feed.url(day)) as answer,
        ):
            if answer.status != 200:
                raise PublisherAway(f"{feed.source} answers {answer.status} {answer.reason or ''}".rstrip())
            return await _body(feed, answer)
    except InvalidInput:
        raise
    except TimeoutError:
        raise PublisherAway(f"{feed.source} does not answer within {feed.settings.timeout_s:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise PublisherAway(f"{feed.source} does not answer: {str(error) or type(error).__name__}"[:200]) from None


async def _body(feed: Feed, answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in answer.content.iter_chunked(65_536):
        body += part
        if len(body) > _MOST_BYTES:
            raise InvalidInput(feed.source, "an answer without end", f"at most {_MOST_BYTES:,} bytes")
    return bytes(body)
