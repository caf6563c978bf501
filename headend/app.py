"""The composition root: opens the parts, wires them, starts and stops them. Only the command line imports it."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import structlog
from aiohttp import web
from sqlalchemy import Connection, func, select

from headend.collect.broker import EmbeddedBroker
from headend.collect.downlink import Downlink
from headend.collect.files.inbox import Inbox
from headend.collect.mapping import load_mapping
from headend.collect.modbus.poller import ModbusPoller
from headend.collect.modbus.profile import load_profiles
from headend.collect.mqtt import MqttCollector
from headend.collect.only import InTurn, OnlyCollector, Part
from headend.collect.pricefeed import feeds_of
from headend.collect.topics import Topics
from headend.collect.writer import JournalWriter
from headend.config import Settings, beside, load_settings
from headend.errors import InvalidConfig, StoreBroken
from headend.jobs import Jobs
from headend.logs import configure_logs
from headend.office import statement_rules
from headend.process.processor import Processor
from headend.registry.devices import modbus_devices
from headend.registry.registry import enrol, enrolled_channels
from headend.registry.site_file import read_site_file
from headend.site import Clock, Site
from headend.store.checkpoints import checkpoint
from headend.store.database import Database
from headend.store.intervals import IntervalStore
from headend.store.journal import Journal
from headend.store.sql import SqlIntervalStore
from headend.store.tables import moved_day, user
from headend.store.tariffversions import with_kept_versions
from headend.tariffs import load_book
from headend.vee import load_rule_set
from headend.web import make_app

T = TypeVar("T")

log = structlog.get_logger(__name__)

# A batch of reads, or a month of them, makes a hundred thousand tuples and no cycle: to look for cycles among them as
# often as Python does takes a third of the time.
_LOOK_FOR_CYCLES_AFTER = 200_000

Role = Literal["collect", "process", "api", "jobs"]

#: What a head-end does; one process can do all of it, or several share it.
ROLES: tuple[Role, ...] = get_args(Role)


def utc_now() -> datetime:
    """The real time."""
    return datetime.now(UTC)


def open_site(
    config: Path | None = None, overrides: Mapping[str, dict[str, Any]] | None = None, clock: Clock = utc_now
) -> Site:
    """Open everything a head-end consists of, and enrol what its site file names.

    Parameters
    ----------
    config
        settings that differ from the shipped ones.
    overrides
        settings by section that go before those.

    Raises
    ------
    InvalidConfig, InvalidTariff
        with file and key of the first thing that is wrong.
    StoreBroken
        journal and site database do not belong together.
    """
    gc.set_threshold(_LOOK_FOR_CYCLES_AFTER, *gc.get_threshold()[1:])
    settings = load_settings(config, dict(overrides or {}))
    configure_logs(settings.log)
    folder = beside(config, "site.tariffs", settings.site.tariffs)
    tariffs = load_book(folder)
    rules = load_rule_set(beside(config, "site.rules", settings.site.rules))
    feeds = feeds_of(settings.prices, settings.site.zone)
    enrolled = (
        read_site_file(beside(config, "site.registry", settings.site.registry)) if settings.site.registry else None
    )
    database = Database(settings.site_url, "site")
    if enrolled is not None:
        with database.write() as tx:
            enrol(tx, enrolled)
    journal = Journal(Database(settings.journal_url, "journal"))
    with database.read() as tx:
        tariffs = with_kept_versions(tx, tariffs, folder)
        processed, newest = checkpoint(tx), journal.newest_offset()
    if processed > newest:
        raise StoreBroken(
            f"the store has processed {processed} journal entries, the journal has {newest}:"
            " it is another one, or an older copy"
        )
    formats = [
        load_mapping(beside(config, "collect.mappings", f"mappings/{name}.toml")) for name in settings.collect.mappings
    ]
    topics = Topics(formats, settings.collect.sparkplug_host if settings.collect.sparkplug else "")
    profiles = load_profiles(beside(config, "modbus.profiles", settings.modbus.profiles))
    store = open_store(settings, database, clock)
    paper = statement_rules(settings, config)
    return Site(settings, clock, database, journal, topics, profiles, store, tariffs, rules, feeds, paper)


def open_store(settings: Settings, database: Database, clock: Clock) -> IntervalStore:
    """The interval store that the settings name; raises `InvalidConfig` where it cannot have all there is."""
    if settings.store.kind == "influx":
        # Its client takes half a second to import, which others need not wait for.
        from headend.store.influx.parts import interval_store  # noqa: PLC0415

        return interval_store(settings.influx, clock)
    with database.read() as tx:
        gone = tx.execute(select(func.count()).select_from(moved_day)).scalar_one()
    if gone:
        copy = "`headend store copy --from influx --to sqlite` first"
        raise InvalidConfig("store.kind", f"sql, but {gone} days are in InfluxDB alone", f"influx, or {copy}")
    return SqlIntervalStore()


def parts_of(site: Site, roles: Collection[Role], writer: JournalWriter) -> list[Part]:
    """The background parts of these roles, in the order they are started; stop them the other way round."""
    parts: list[Part] = []
    settings = site.settings
    if "collect" in roles:
        parts.append(OnlyCollector(settings.data.directory / f"{settings.mqtt.client_id}.lock"))
        if settings.mqtt.embedded:
            parts.append(EmbeddedBroker(settings.mqtt.host, settings.mqtt.port))
        collector = MqttCollector(settings.mqtt, settings.collect, site.topics, writer)
        parts += [collector, Downlink(site.database, collector.publish, settings.commands, site.clock)]
    if {"collect", "api"} & set(roles):
        # What it has taken is durable and acknowledged while those it came from still stand …
        parts.append(writer)
    if "collect" in roles:
        # … and our own sources have handed it the last of theirs.
        devices = partial(_read, site, modbus_devices)
        own: list[Part] = [ModbusPoller(devices, site.profiles, settings.modbus, writer.write, site.clock)]
        if settings.collect.inbox:
            meters = partial(_read, site, lambda tx: {(c.meter_name, c.channel.obis) for c in enrolled_channels(tx)})
            folder = Path(settings.collect.inbox)
            own.append(Inbox(folder, settings.collect.inbox_every_s, meters, site.journal.append, site.clock))
        parts.append(InTurn(settings.data.directory / "sources.lock", own))
    if "process" in roles:
        parts.append(Processor(site))
        if settings.store.kind == "influx":
            from headend.store.influx.parts import forwarder  # noqa: PLC0415

            forwards = [forwarder(settings, site.database, site.clock)]
            parts.append(InTurn(settings.data.directory / "forwarder.lock", forwards))
    if "jobs" in roles:
        parts.append(Jobs(site))
    return parts


def _read(site: Site, ask: Callable[[Connection], T]) -> T:
    with site.database.read() as tx:
        return ask(tx)


class HeadEnd:
    """A head-end that runs: background parts, and pages and API if the role has them.

    Use it as an asynchronous context; it is up inside, and everything is stopped on the way out.
    """

    def __init__(self, site: Site, roles: Collection[Role] = ROLES) -> None:
        self._site, self._roles = site, roles
        self._writer = JournalWriter(site.journal, site.settings.collect, site.clock)
        self._running: list[Part] = []
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> HeadEnd:
        try:
            for part in parts_of(self._site, self._roles, self._writer):
                await asyncio.to_thread(part.start)
                self._running.append(part)
            if "api" in self._roles:
                await self._serve_pages()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        for part in reversed(self._running):
            await asyncio.to_thread(part.stop)
        self._running.clear()

    async def _serve_pages(self) -> None:
        settings = self._site.settings.web
        self._runner = web.AppRunner(make_app(self._site, self._writer), access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, settings.host, settings.port).start()
        except OSError as error:
            raise InvalidConfig("web.port", f"{settings.port} ({error.strerror})", "a port that is free") from None
        log.info("pages and API", url=f"http://{settings.host}:{settings.port}")


async def serve(site: Site, roles: Collection[Role]) -> None:
    """Run until SIGINT or SIGTERM."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stopping.set)
    # Asked before anything runs: what runs outlives its databases.
    closed = "api" in roles and not _anybody_can_log_in(site)
    async with HeadEnd(site, roles):
        log.info("head-end is up", roles=",".join(roles))
        if closed:
            log.warning("nobody can log in yet: headend user add LOGIN --role operator")
        await stopping.wait()
        log.info("stopping")


def _anybody_can_log_in(site: Site) -> bool:
    with site.database.read() as tx:
        return tx.execute(select(user.c.login).limit(1)).first() is not None
