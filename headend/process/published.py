"""Prices that others publish: which days of delivery are still wanted, and fetching one."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from headend.collect.pricefeed import Feed, fetch
from headend.site import Site
from headend.store.market import Imported, gaps_of, has_series, import_prices, prices_of

_DAY = timedelta(days=1)


def fetch_day(site: Site, feed: Feed, day: date, by: str) -> Imported:
    """Fetch a day of delivery and import what the answer tells, all of it or nothing; see `fetch`, `import_prices`."""
    told = fetch(feed, day)
    with site.database.write() as tx:
        return import_prices(tx, told, feed.source, by=by, at=site.clock())


def wanted_days(feed: Feed, now: datetime) -> list[date]:
    """Today, and tomorrow from the hour on at which it is published."""
    local = now.astimezone(feed.zone)
    today = local.date()
    return [today, today + _DAY] if local.time() >= time.fromisoformat(feed.settings.at) else [today]


def lacks(site: Site, feed: Feed, day: date) -> bool:
    """Whether some moment of a day of delivery has no price."""
    its = feed.day(day)
    begin_s, end_s = its.start_s, its.end_s
    with site.database.read() as tx:
        return not has_series(tx, feed.name) or bool(gaps_of(prices_of(tx, feed.name, begin_s, end_s), begin_s, end_s))
