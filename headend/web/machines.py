"""Probes and metrics for the machines that watch this one; figures of the site only, nothing of any customer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from headend.monitor.health import Fleet
from headend.monitor.lag import StoreLag, journal_lag, store_lag
from headend.site import Site
from headend.web.access import ANYBODY, SITE, Page
from headend.web.fleetview import CAMERA

_READY_WITHIN_S: Final = 5.0


async def alive(_request: web.Request) -> web.Response:
    """The process answers."""
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """The databases answer; how far processing is behind them, and InfluxDB."""
    try:
        lags = await asyncio.wait_for(asyncio.to_thread(_lags, request.app[SITE]), _READY_WITHIN_S)
    except (SQLAlchemyError, TimeoutError):
        return web.json_response({"status": "database does not answer"}, status=503)
    return web.json_response({"status": "ok", **lags})


async def metrics(request: web.Request) -> web.Response:
    """Prometheus text format, out of the tables as they are now."""
    registry = CollectorRegistry()
    seen = await request.app[CAMERA].picture()
    registry.register(_FleetFigures(seen, await asyncio.to_thread(_store_lag, request.app[SITE])))
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_1_0_0})


def _lags(site: Site) -> dict[str, int]:
    with site.database.read() as tx:
        lags, unsent = {"journal_lag": journal_lag(tx, site.journal)}, store_lag(tx, site)
    if unsent is not None:
        lags |= {"store_unsent_blocks": unsent.blocks, "store_unsent_seconds": unsent.seconds}
    return lags


def _store_lag(site: Site) -> StoreLag | None:
    with site.database.read() as tx:
        return store_lag(tx, site)


class _FleetFigures(Collector):
    """One picture of the fleet as metrics, and what InfluxDB lacks."""

    def __init__(self, seen: Fleet, unsent: StoreLag | None) -> None:
        self._seen, self._unsent = seen, unsent

    def collect(self) -> Iterator[Metric]:
        """Every metric there is."""
        totals = self._seen.totals
        for name, help_text, value in (
            ("headend_meters", "Meters in service.", totals.meters),
            ("headend_meters_silent", "Meters not heard for 24 hours.", totals.silent),
            ("headend_gateways", "Gateways that are not revoked.", totals.gateways),
            ("headend_gateways_online", "Gateways that say they are online.", totals.gateways_online),
            (
                "headend_gateways_clock_off",
                "Gateways whose clock is further off than the rules allow.",
                totals.clocks_off,
            ),
            ("headend_gateway_sequence_missing", "Messages that never came, later ones did.", totals.sequence_missing),
            ("headend_journal_lag_messages", "Durable messages not yet processed.", totals.journal_lag),
            ("headend_quarantined", "Messages and blocks in quarantine.", totals.quarantined),
            ("headend_reads_expected", "Intervals due in the last 30 days.", totals.completeness.expected),
            ("headend_reads_present", "Intervals present of those.", totals.completeness.present),
            ("headend_reads_estimated", "Present intervals that are estimates.", totals.completeness.estimated),
        ):
            yield GaugeMetricFamily(name, help_text, value=value)
        if (unsent := self._unsent) is not None:
            blocks, age = "Day blocks of which InfluxDB lacks something.", "Since when it lacks the oldest of them."
            yield GaugeMetricFamily("headend_store_unsent_blocks", blocks, value=unsent.blocks)
            yield GaugeMetricFamily("headend_store_unsent_seconds", age, value=unsent.seconds)
        for name, help_text, label, counts in (
            ("headend_events_24h", "Events of the last 24 hours.", "kind", self._seen.events),
            ("headend_commands", "Commands to gateways, by where they stand.", "state", self._seen.commands),
        ):
            family = GaugeMetricFamily(name, help_text, labels=[label])
            for key, found in counts.items():
                family.add_metric([key], found)
            yield family
        if (share := totals.completeness.read_success) is not None:
            yield GaugeMetricFamily("headend_read_success_ratio", "Measured reads ÷ reads due, 30 days.", value=share)
        for name, help_text, value in (
            ("headend_reads_stored", "Reads stored since the beginning.", totals.reads_stored),
            ("headend_reads_duplicate", "Reads that came again.", totals.duplicates),
            ("headend_reads_replaced", "Reads that replaced an earlier version.", totals.replaced),
        ):
            yield CounterMetricFamily(name, help_text, value=value)


PAGES = (
    Page("GET", "/healthz", alive, ANYBODY),
    Page("GET", "/readyz", ready, ANYBODY),
    Page("GET", "/metrics", metrics, ANYBODY),
)
