"""The fleet as the operator's table shows it: one recent picture of it, filtered, sorted, a page at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from headend.monitor.health import Fleet, MeterHealth, fleet
from headend.site import Site
from headend.web.render import page_number

#: A picture is kept this long [s], and at least so many times as long as taking it took: looking at a large fleet all
#: day costs no more than a twentieth of a processor.
FRESH_S = 5.0
FRESH_TIMES = 20
PAGE_ROWS = 50

_FILTERS: dict[str, Callable[[MeterHealth], bool]] = {
    "all": lambda _: True,
    "silent": lambda meter: meter.silent,
    "incomplete": lambda meter: (meter.completeness.share or 0) < 1,
    "findings": lambda meter: meter.findings > 0,
}
_ORDERS: dict[str, Callable[[MeterHealth], Any]] = {
    "name": lambda meter: meter.meter,
    "seen": lambda meter: (meter.last_seen_s or 0, meter.meter),
    "completeness": lambda meter: (meter.completeness.share or 0, meter.meter),
    "findings": lambda meter: (-meter.findings, meter.meter),
}


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
                self._fresh_until = ended + max(FRESH_S, FRESH_TIMES * (ended - began))
            return self._picture

    def _take(self) -> Fleet:
        site = self._site
        with site.database.read() as tx:
            return fleet(tx, site.store, site.journal, site.clock(), site.settings.site.zone)


CAMERA: Final = web.AppKey("fleet_camera", FleetCamera)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is chosen in the table's form.

    Parameters
    ----------
    text
        part of a meter's, gateway's or usage point's name.
    show, order
        keys of the filters and orders there are.
    page
        counted from 1.
    """

    text: str
    show: str
    order: str
    page: int

    @classmethod
    def of(cls, request: web.Request) -> Selection:
        """The choice in the query; what is not understood is left out."""
        query = request.query
        return cls(
            query.get("q", "").strip()[:64],
            query["show"] if query.get("show") in _FILTERS else "all",
            query["order"] if query.get("order") in _ORDERS else "name",
            page_number(request),
        )

    def but(self, **changed: object) -> dict[str, str]:
        """The query of this choice with something else in it; a change of the choice begins at the first page."""
        chosen = {"q": self.text, "show": self.show, "order": self.order, "page": 1, **changed}
        return {name: str(value) for name, value in chosen.items() if value not in {"", "all", "name", 1}}


@dataclass(frozen=True, slots=True)
class Rows:
    """One page of the table, and how much there is."""

    meters: tuple[MeterHealth, ...]
    found: int
    page: int
    pages: int


def rows(seen: Fleet, chosen: Selection) -> Rows:
    """The chosen page; beyond the last one it is the last one."""
    text = chosen.text.casefold()
    meters = [
        meter
        for meter in seen.meters
        if _FILTERS[chosen.show](meter)
        and (not text or text in f"{meter.meter} {meter.gateway or ''} {meter.usage_point}".casefold())
    ]
    meters.sort(key=_ORDERS[chosen.order])
    pages = max(1, -(-len(meters) // PAGE_ROWS))
    page = min(chosen.page, pages)
    return Rows(tuple(meters[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]), len(meters), page, pages)
