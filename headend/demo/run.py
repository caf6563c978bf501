"""The demo from beginning to end: history in, days settled, last month billed, everything compared with the truth.

The head-end runs on the field's clock. During the history that clock stands at the history's end, when all its days are
due; then, if the demo goes on, it runs ahead with the field.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import Connection

from headend.app import HeadEnd, Role, open_site
from headend.billing.approval import approve, issue
from headend.billing.cycle import BillCycle
from headend.billing.deciding import Which, confirm, release
from headend.billing.groups import MONTHLY
from headend.billing.review import FindingState
from headend.billing.run import rate_cycle
from headend.config import shipped
from headend.demo.field import Field, FieldProcess
from headend.demo.market import AHEAD, critical_peaks, day_ahead
from headend.demo.outcome import outcome, show
from headend.demo.times import DemoClock, Times, times
from headend.demo.village import DemoPlan, load_plan, read_over_modbus, village
from headend.documents.files import write_statement
from headend.errors import HeadendError
from headend.monitor.lag import journal_lag
from headend.office import office_of
from headend.process.settlement import settle_due_days
from headend.reads.days import zone_named
from headend.registry.registry import enrol
from headend.registry.users import add_user, readable_password
from headend.site import Site
from headend.store.checkpoints import totals
from headend.store.market import add_events, import_prices
from headend.vee import load_rule_set

if TYPE_CHECKING:
    from headend.demo.influx import InfluxServer

_MADE_BY_A_DEMO = (
    "journal.db",
    "site.db",
    "truth.csv",
    "summary.json",
    "statements",
    "session.key",
    "headend-collector.lock",
    "sources.lock",
    "forwarder.lock",
    "inbox",
    "read-out.csv",
    "read-out-registers.csv",
)
_CATCH_UP_S = 0.05
_JOBS: tuple[Role, ...] = ("jobs",)


@dataclass(slots=True)
class Demo:
    """One run of the demo.

    Parameters
    ----------
    folder
        for databases, truth, statements and summary; what an earlier demo left there is removed.
    live
        True: pages and live reads follow until somebody stops it.
    meters, days, port
        None: the plan's number of meters, the two past months, the shipped settings' port.
    influx
        None: the embedded store.
    """

    folder: Path
    live: bool
    console: Console
    meters: int | None = None
    days: int | None = None
    port: int | None = None
    influx: InfluxServer | None = None
    speed: float | None = None
    _began: float = field(default_factory=time.monotonic)

    async def run(self) -> bool:
        """Play it; False if truth and store differ."""
        plan = load_plan(shipped("demo/demo.toml"))
        rules = load_rule_set(shipped("vee.toml"))
        zone = zone_named(plan.timezone)
        today = datetime.now(zone).date()
        played = times(today, self.days, zone, timedelta(hours=rules.settle_after_hours))
        clock = DemoClock(played.end)
        self._clear()
        meters = self.meters or plan.meters
        outside = Field(
            gateways=-(-meters // plan.meters_per_gateway),
            meters=meters,
            seed=plan.seed,
            timezone=plan.timezone,
            start=played.start,
            end=played.end,
            faults=shipped("demo/faults.toml"),
            truth=self.folder / "truth.csv",
            live_speed=(self.speed or plan.live_speed) if self.live else None,
        )
        if self.influx is not None:
            await asyncio.to_thread(self.influx.make_buckets)
        site = self._open(plan, clock)
        shipment = await asyncio.to_thread(outside.shipment)
        profiles = read_over_modbus(plan, shipment)
        logins = self._enrol(site, plan, shipment, played, profiles)
        roles: tuple[Role, ...] = ("collect", "process", "api") if self.live else ("collect", "process")
        async with HeadEnd(site, roles), AsyncExitStack() as processes:
            read_out = outside.read_out(profiles, self.folder) if profiles else []
            process = outside.play(site.settings.mqtt.port, profiles)
            processes.push_async_callback(asyncio.to_thread, process.stop)
            told, cycle = await self._play(site, process, outside, played, clock, read_out)
            if not self.live:
                taken_s = time.monotonic() - self._began
                result = await asyncio.to_thread(
                    outcome, site, self.folder, told["reads_sent"], played, cycle, read_out[:1], taken_s
                )
                show(result, self.console)
                return result.reconciled
            modbus = await asyncio.to_thread(_start_modbus, outside, profiles, told["since"], processes)
            with site.database.write() as tx:
                enrol(tx, village(plan, shipment, modbus, played.start, played.first))
            return await self._go_on(site, process, cycle, logins)

    async def _play(
        self,
        site: Site,
        process: FieldProcess,
        outside: Field,
        played: Times,
        clock: DemoClock,
        read_out: list[Path],
    ) -> tuple[dict[str, Any], BillCycle]:
        """The history, from the first read to the last statement."""
        with self._progress() as progress:
            told = await asyncio.to_thread(self._hear_history, site, process, outside, clock, progress, read_out)
            with _step(progress, "validating and estimating"):
                counts = await asyncio.to_thread(settle_due_days, site)
            moved = await self._move(site, progress)
            with _step(progress, f"billing {played.period}: rate, approve, issue"):
                cycle = await asyncio.to_thread(_bill, site, played.period)
            await asyncio.to_thread(self._write_statements, site, cycle, progress)
        self.console.print(
            f"{counts.channel_days:,} meter-channel-days validated;"
            f" {counts.estimated:,} intervals were missing or wrong, and are estimated and marked."
        )
        if self.influx is not None:
            self.console.print(
                f"{moved:,} of the meter-channel-days are in InfluxDB alone; last month is billed out of it."
            )
        return told, cycle

    async def _move(self, site: Site, progress: Progress) -> int:
        """What is old into InfluxDB, if that is the store; how many day blocks are there alone."""
        if self.influx is None:
            return 0
        from headend.demo.influx import move_to_influx  # noqa: PLC0415 -- InfluxDB's client takes half a second

        with _step(progress, "InfluxDB catches up"):
            return await asyncio.to_thread(move_to_influx, site)

    async def _go_on(
        self, site: Site, process: FieldProcess, cycle: BillCycle, logins: list[tuple[str, str, str]]
    ) -> bool:
        """Live, until somebody stops it."""
        stopping = _asked_to_stop()
        self._welcome(site, cycle, logins)
        async with HeadEnd(site, _JOBS):
            await _until(stopping, process)
        self.console.print("Stopped.")
        return True

    # -- before --

    def _clear(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            if path.name.removesuffix("-wal").removesuffix("-shm") in _MADE_BY_A_DEMO:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.folder / "inbox").mkdir()

    def _open(self, plan: DemoPlan, clock: DemoClock) -> Site:
        overrides: dict[str, dict[str, Any]] = {
            "site": {"registry": "", "timezone": plan.timezone},
            "data": {"directory": self.folder},
            "mqtt": {"embedded": True, "host": "127.0.0.1", "port": _free_port(), "protocol": "3.1.1"},
            "jobs": {"settle_every_s": 5, "bill_every_s": 10, "backfill_every_s": 3},
            # The month is billed as it was played, however few its accounts are.
            "billing": {"complete_share": 0},
            "collect": {"inbox": str(self.folder / "inbox"), "inbox_every_s": 1},
            # Live hours last two seconds: what takes a moment here takes many minutes there.
            "process": {"register_tolerance_s": 1_200, "behind_after_s": 4 * 3_600},
            "modbus": {"delay_s": 180},
            "commands": {"retry_after_s": 4 * 3_600, "expire_after_s": 7 * 86_400},
            "log": {"level": "warning"},
        }
        if self.port is not None:
            overrides["web"] = {"port": self.port}
        if self.influx is not None:
            overrides |= self.influx.settings()
        return open_site(None, overrides, clock)

    def _enrol(
        self, site: Site, plan: DemoPlan, shipment: dict[str, Any], played: Times, profiles: dict[str, str]
    ) -> list[tuple[str, str, str]]:
        """Registry and users; (login, password, who it is) of each."""
        registry = village(plan, shipment, dict.fromkeys(profiles), played.start, played.first)
        kind_of = {meter["premise"]: meter["kind"] for meter in shipment["meters"]}
        customers: dict[str, tuple[str, str]] = {}
        for account in registry.accounts:
            customers.setdefault(kind_of[account.agreements[0].usage_point], (account.id, account.name))
        roles = {"operator": "operator", "operator-2": "operator", "clerk": "clerk"}
        tells = ("watches meters", "the second person of large edits", "runs the month")
        logins = [(login, readable_password(), told) for login, told in zip(roles, tells, strict=True)]
        with site.database.write() as tx:
            enrol(tx, registry)
            for login, password, _ in logins:
                add_user(tx, login, roles[login], password)
            for kind, (account_id, name) in customers.items():
                login, password = f"customer-{account_id.lower()}", readable_password()
                logins.append((login, password, f"{name}, {kind.replace('_', ' ')}"))
                add_user(tx, login, "customer", password, account_id)
            _publish(tx, plan, played, site.clock())
        self.console.print(
            f"{len(registry.gateways)} gateways, {len(registry.meters)} meters ({len(profiles)} of them over Modbus),"
            f" {len(registry.accounts)} accounts."
            f" History {played.start:%Y-%m-%d %H:%M}Z to {played.end:%Y-%m-%d %H:%M}Z; all of it in {self.folder}"
        )
        return logins

    # -- the history --

    def _hear_history(
        self,
        site: Site,
        process: FieldProcess,
        outside: Field,
        clock: DemoClock,
        progress: Progress,
        read_out: list[Path],
    ) -> dict[str, Any]:
        """Follow the field until its history is told, acknowledged and in the store; its last word on it."""
        hours = int((outside.end - outside.start).total_seconds()) // 3600
        with site.database.read() as tx:
            channels = len(office_of(site).records(tx).channels())
        sent = progress.add_task("gateways publish over MQTT", total=channels * hours)
        stored = progress.add_task("journal, validation, interval store", total=channels * hours)
        watcher = _StoreWatcher(site, progress, stored)
        inbox = Path(site.settings.collect.inbox)
        for path in read_out:
            shutil.copy(path, inbox)
        try:
            told: dict[str, Any] = {}
            for event in process.events():
                told.update(event)
                progress.update(sent, completed=event.get("reads_sent", told.get("reads_sent", 0)))
                if event["event"] == "live":
                    clock.run(datetime.fromisoformat(event["since"]), event["speed"])
                    break
            progress.update(sent, completed=channels * hours)
            _await_import(inbox, len(read_out))
            watcher.wait_until_caught_up()
            progress.update(stored, completed=channels * hours)
        finally:
            watcher.stop()
        return told

    def _progress(self) -> Progress:
        return Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=self.console,
        )

    # -- after --

    def _write_statements(self, site: Site, cycle: BillCycle, progress: Progress) -> None:
        folder = self.folder / "statements"
        folder.mkdir(exist_ok=True)
        office = office_of(site)
        with site.database.read() as tx:
            kept = list(office.ledger(tx).statements(cycle))
        task = progress.add_task("statements as JSON, HTML and PDF", total=len(kept))
        for statement in kept:
            write_statement(statement.document, folder)
            progress.advance(task)

    def _welcome(self, site: Site, cycle: BillCycle, logins: list[tuple[str, str, str]]) -> None:
        table = Table("login", "password", "who", title="Log in", title_justify="left")
        for row in logins:
            table.add_row(*row)
        self.console.print(table)
        web, mqtt = site.settings.web, site.settings.mqtt
        self.console.print(
            f"{cycle.totals.billed} statements for {cycle.period} are issued; JSON, HTML and PDF in"
            f" {self.folder / 'statements'}.\n"
            f"Live reads follow on mqtt://{mqtt.host}:{mqtt.port}, faster than life.\n"
            f"[bold]Open http://{web.host}:{web.port}[/] — Ctrl-C stops everything."
        )


class _StoreWatcher:
    """Shows how far the store is, while somebody else is being listened to."""

    def __init__(self, site: Site, progress: Progress, task: TaskID) -> None:
        self._site, self._progress, self._task = site, progress, task
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def wait_until_caught_up(self) -> None:
        """Return when everything in the journal is in the store."""
        while self._behind() and not self._stopping.wait(_CATCH_UP_S):
            pass

    def stop(self) -> None:
        """Watch no longer."""
        self._stopping.set()
        self._thread.join()

    def _behind(self) -> bool:
        with self._site.database.read() as tx:
            return journal_lag(tx, self._site.journal) > 0

    def _watch(self) -> None:
        while not self._stopping.wait(0.3):
            with self._site.database.read() as tx:
                self._progress.update(self._task, completed=totals(tx).stored)


def _await_import(inbox: Path, files: int) -> None:
    """Return when the inbox has taken so many files; raises `HeadendError` where it refused one."""
    while len(list(inbox.glob("done/*"))) < files:
        if refused := next(inbox.glob("failed/*.error.txt"), None):
            raise HeadendError(f"{refused.name}: {refused.read_text(encoding='utf-8')}")
        time.sleep(_CATCH_UP_S)


def _publish(tx: Connection, plan: DemoPlan, played: Times, now: datetime) -> None:
    """Prices and events that some of the demo's tariffs refer to."""
    zone = zone_named(plan.timezone)
    until = played.end + AHEAD
    prices = day_ahead(played.start, until, zone, plan.seed)
    import_prices(tx, prices, "demo", by="demo", at=now)
    add_events(tx, critical_peaks(played.first, until.date(), zone), "demo", by="demo", at=now)


def _start_modbus(
    outside: Field, profiles: dict[str, str], since: str, processes: AsyncExitStack
) -> dict[str, dict[str, Any] | None]:
    """Let the meters that no gateway reads answer; where each of them does, as the site file has it."""
    answers: dict[str, dict[str, Any] | None] = {}
    for profile in dict.fromkeys(profiles.values()):
        meters = [meter for meter, its_profile in profiles.items() if its_profile == profile]
        process = outside.play_modbus(profile, meters, since)
        processes.push_async_callback(asyncio.to_thread, process.stop)
        for told in next(process.events())["meters"]:
            answers[told["meter"]] = {key: told[key] for key in ("profile", "address", "unit")}
    return answers


def _bill(site: Site, period: str) -> BillCycle:
    """The clerk's cycle, without the clerk."""
    office = office_of(site)
    cycle = rate_cycle(office, period, MONTHLY, "demo")
    with office.database.read() as tx:
        found = {one.code for one in office.reviews(tx).findings(cycle)}
    for code in sorted(found):
        decided = release(office, period, MONTHLY, "demo", Which(code=code), "as the simulated field made it")
        if any(one.state == FindingState.WAITING for one in decided):
            confirm(office, period, MONTHLY, "demo-2", Which(code=code))
    approve(office, period, MONTHLY, "demo")
    return issue(office, period, MONTHLY, "demo")


@contextmanager
def _step(progress: Progress, what: str) -> Iterator[None]:
    task = progress.add_task(what, total=None)
    yield
    progress.update(task, total=1, completed=1)


def _asked_to_stop() -> asyncio.Event:
    """Set by SIGINT or SIGTERM from now on."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stopping.set)
    return stopping


async def _until(stopping: asyncio.Event, process: FieldProcess) -> None:
    """Until somebody asks to stop, or the field gives up."""
    listening = asyncio.create_task(asyncio.to_thread(lambda: list(process.events())))
    waiting = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait({listening, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if listening in done:
        raise listening.exception() or HeadendError("the simulated field ended")
    await asyncio.to_thread(process.stop)
    await listening


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
