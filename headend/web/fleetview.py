"""The fleet as the operator's tables show it: one recent picture of it, filtered, sorted, a page at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from aiohttp import web

from headend.monitor.gateways import GatewayHealth
from headend.monitor.health import Fleet, fleet
from headend.monitor.meters import MeterHealth
from headend.site import Site
from headend.web.render import page_number

#: A picture is kept this long [s], and at least so many times as long as taking it took: looking at a large fleet all
#: day costs no more than a twentieth of a processor.
FRESH_S = 5.0
FRESH_TIMES = 20


class FleetCamera:
    """Takes a picture of the fleet when somebody looks and the last one is old; many who look at once share one."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = asyncio.Lock()
        self._picture: Fleet | None = None
        self._fresh_until = 0.0

    async def picture(self) -> Fleet:
        """The fleet, a few seconds old at most, a minute where it is large."""
        async with self._lock:
            began = time.monotonic()
            if self._picture is None or began > self._fresh_until:
                self._picture = await asyncio.to_thread(self._take)
                ended = time.monotonic()
                # It may have waited for a store that does not answer, which costs nothing, and may be back soon.
                times = 1 if self._picture.store_away else FRESH_TIMES
                self._fresh_until = ended + max(FRESH_S, times * (ended - began))
            return self._picture

    def _take(self) -> Fleet:
        site = self._site
        with site.database.read() as tx:
            return fleet(tx, site.store, site.journal, site.clock(), site.settings.site.zone, site.rules.rules.clock)


CAMERA: Final = web.AppKey("fleet_camera", FleetCamera)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is chosen in a table's form.

    Parameters
    ----------
    text
        part of a name.
    show, order
        keys of the filters and orders there are.
    page
        counted from 1.
    """

    text: str
    show: str
    order: str
    page: int

    def but(self, **changed: object) -> dict[str, str]:
        """The query of this choice with something else in it; a change of the choice begins at the first page."""
        chosen = {"q": self.text, "show": self.show, "order": self.order, "page": 1, **changed}
        return {name: str(value) for name, value in chosen.items() if value not in {"", "all", "name", 1}}


Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Rows(Generic[Row]):
    """One page of a table, and how much there is."""

    shown: tuple[Row, ...]
    found: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """How one kind of row is looked for.

    Parameters
    ----------
    text
        what is searched of a row.
    filters, orders
        by the key that stands in the query; "all" and "name" are what is chosen without one.
    page_rows
        how many are shown at once.
    """

    text: Callable[[Row], str]
    filters: Mapping[str, Callable[[Row], bool]]
    orders: Mapping[str, Callable[[Row], Any]]
    page_rows: int

    def selection(self, request: web.Request) -> Selection:
        """The choice in the query; what is not understood is left out."""
        query = request.query
        return Selection(
            query.get("q", "").strip()[:64],
            query["show"] if query.get("show") in self.filters else "all",
            query["order"] if query.get("order") in self.orders else "name",
            page_number(request),
        )

    def rows(self, everything: Sequence[Row], chosen: Selection) -> Rows[Row]:
        """The chosen page; beyond the last one it is the last one."""
        text = chosen.text.casefold()
        found = [
            row
            for row in everything
            if self.filters[chosen.show](row) and (not text or text in self.text(row).casefold())
        ]
        return page_of(sorted(found, key=self.orders[chosen.order]), chosen.page, self.page_rows)


def page_of(rows: Sequence[Row], page: int, page_rows: int) -> Rows[Row]:
    """One page of all rows, counted from 1; beyond the last one it is the last one."""
    pages = max(1, -(-len(rows) // page_rows))
    page = min(page, pages)
    return Rows(tuple(rows[(page - 1) * page_rows : page * page_rows]), len(rows), page, pages)


METERS: Final[Listing[MeterHealth]] = Listing(
    lambda meter: f"{meter.meter} {meter.gateway or ''} {meter.usage_point}",
    {
        "all": lambda _: True,
        "silent": lambda meter: meter.silent,
        "incomplete": lambda meter: (meter.completeness.share or 0) < 1,
        "findings": lambda meter: meter.findings > 0,
    },
    {
        "name": lambda meter: meter.meter,
        "seen": lambda meter: (meter.last_seen_s or 0, meter.meter),
        "completeness": lambda meter: (meter.completeness.share or 0, meter.meter),
        "findings": lambda meter: (-meter.findings, meter.meter),
    },
    page_rows=50,
)
GATEWAYS: Final[Listing[GatewayHealth]] = Listing(
    lambda gateway: f"{gateway.gateway} {gateway.firmware or ''}",
    {
        "all": lambda _: True,
        "offline": lambda gateway: gateway.online is False or gateway.quiet,
        "clock": lambda gateway: gateway.clock_off,
        "missing": lambda gateway: gateway.missing > 0,
        "commands": lambda gateway: gateway.open_commands > 0,
        "revoked": lambda gateway: gateway.revoked_s is not None,
    },
    {
        "name": lambda gateway: gateway.gateway,
        "seen": lambda gateway: (gateway.last_seen_s or 0, gateway.gateway),
        "clock": lambda gateway: (-abs(gateway.clock_offset_s or 0), gateway.gateway),
        "missing": lambda gateway: (-gateway.missing, gateway.gateway),
        "completeness": lambda gateway: (gateway.completeness.share or 0, gateway.gateway),
    },
    page_rows=100,
)
