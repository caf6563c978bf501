"""`headend store`: the interval store made ready, moved, and compared with the journal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import Progress, TaskID

from headend.cli.progress import progress
from headend.cli.serve import Config
from headend.errors import InvalidInput, StoreBroken

if TYPE_CHECKING:
    from headend.config import Settings
    from headend.process.verify import Scope
    from headend.site import Site
    from headend.store.database import Database
    from headend.store.differences import Differences
    from headend.store.influx.copying import CopiedDay
    from headend.store.influx.reads import InfluxReads

app = typer.Typer(help="The interval store: made ready, moved, compared with the journal.", no_args_is_help=True)

Kind = Literal["sqlite", "postgresql", "influx"]

_SHOWN = 20
_DAYS_EVER = 2**31 // 86_400


@app.command()
def init(config: Config = None) -> None:
    """Make everything the store needs, or bring it up to date; as often as you like."""
    from headend.config import load_settings
    from headend.store.database import Database

    settings = load_settings(config)
    Database(settings.site_url, "site").close()
    Database(settings.journal_url, "journal").close()
    typer.echo(
        f"site database and journal: newest schema ({_shown(settings.site_url)}, {_shown(settings.journal_url)})"
    )
    if settings.store.kind == "influx":
        from headend.store.influx.connection import Influx
        from headend.store.influx.setup import check_access, set_up

        with closing(Influx(settings.influx)) as influx:
            for prepared in set_up(influx, settings):
                typer.echo(f"InfluxDB: {prepared}")
            check_access(influx, settings)
        typer.echo("InfluxDB: the token may read and write both buckets")


@app.command()
def copy(
    source: Annotated[Kind, typer.Option("--from", help="Where the reads are.")],
    to: Annotated[Kind, typer.Option("--to", help="Where they are to be.")],
    config: Config = None,
) -> None:
    """Copy all reads between the site database and InfluxDB, each day compared afterwards; again to go on."""
    from headend.collect.only import only_one
    from headend.config import load_settings
    from headend.store.database import Database
    from headend.store.influx.connection import Influx
    from headend.store.influx.reads import InfluxReads

    settings = load_settings(config)
    _check_ends(settings, source, to)
    database = Database(settings.site_url, "site")
    busy = "a head-end with store.kind = influx runs, and sends InfluxDB everything by itself: stop it first"
    with only_one(settings.data.directory / "forwarder.lock", busy), closing(Influx(settings.influx)) as influx:
        reads = InfluxReads(influx, settings.influx.reads_bucket)
        if to == "influx":
            _send(database, reads)
        else:
            _bring_back(database, reads)
    kind = "influx" if to == "influx" else "sql"
    typer.echo(f'store.kind is "{kind}" already' if settings.store.kind == kind else f'now set store.kind = "{kind}"')


@app.command()
def verify(
    config: Config = None,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day (UTC) to compare.")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="First day (UTC) to compare no more.")
    ] = None,
    meter: Annotated[list[str] | None, typer.Option(help="Only this meter; repeatable.")] = None,
) -> None:
    """Compare the store with the journal, and InfluxDB with what is here; exit 1 where they differ."""
    from headend.app import open_site
    from headend.process.verify import compare_with_journal

    site = open_site(config)
    scope = _scope(site, first, end, meter or [])
    with TemporaryDirectory(prefix="headend-verify-") as folder, progress() as bar:
        compared = compare_with_journal(site, scope, Path(folder), _SHOWN, _Steps(bar).told)
    typer.echo(
        f"journal: {compared.messages} messages processed again; {compared.days} days, {compared.blocks} day blocks,"
        f" {compared.reads} reads compared"
    )
    if compared.in_quarantine:
        typer.echo(f"journal: {compared.in_quarantine} reads are in quarantine, and so not in the store")
    found, faults = [compared.differences], 0
    if site.settings.store.kind == "influx":
        in_influx, faults = _verify_influx(site, scope)
        found.append(in_influx)
    if _say(found) + faults:
        raise typer.Exit(1)


def _check_ends(settings: Settings, source: Kind, to: Kind) -> None:
    """One is InfluxDB, the other what the site database is."""
    from sqlalchemy import make_url

    if (source == "influx") == (to == "influx"):
        raise InvalidInput("--from and --to", f"{source} and {to}", "influx as one of them, and only one")
    sql, option = (to, "--to") if source == "influx" else (source, "--from")
    is_there = make_url(settings.site_url).get_backend_name()
    if sql != is_there:
        raise InvalidInput(option, sql, f"{is_there}: data.site_url is {_shown(settings.site_url)}")


def _shown(url: str) -> str:
    from sqlalchemy import make_url

    return make_url(url).render_as_string(hide_password=True)


def _send(database: Database, reads: InfluxReads) -> None:
    from headend.store.influx.copying import days_gone, days_here, send_day

    with progress() as bar:
        days = bar.track(days_here(database), description="sending")
        _tell_days((send_day(database, reads, day) for day in days), "sent")
    if gone := days_gone(database):
        typer.echo(f"{len(gone)} older days went there before and are not compared: headend store verify does that")


def _bring_back(database: Database, reads: InfluxReads) -> None:
    """Every day that can be; exit 1 where one cannot."""
    from headend.store.influx.copying import bring_back_day, days_gone

    wrong = 0

    def brought_back(days: Iterable[int]) -> Iterator[CopiedDay]:
        nonlocal wrong
        for day in days:
            try:
                yield bring_back_day(database, reads, day)
            except StoreBroken as error:
                typer.echo(str(error))
                wrong += 1

    with progress() as bar:
        _tell_days(brought_back(bar.track(days_gone(database), description="bringing back")), "brought back")
    if wrong:
        raise StoreBroken(f"InfluxDB has not what was moved there: days that stay there alone: {wrong}")


def _tell_days(days: Iterator[CopiedDay], done: str) -> None:
    """A line for each as it is ready, and for all of them."""
    from headend.reads.days import day_of

    count, blocks, reads, copied, sha256 = 0, 0, 0, 0, hashlib.sha256()
    for day in days:
        count, blocks, reads, copied = count + 1, blocks + day.blocks, reads + day.reads, copied + day.copied
        sha256.update(f"{day_of(day.day)} {day.sha256}\n".encode())
        what = f"{day.copied} {done}" if day.copied else "the same already"
        typer.echo(f"{day_of(day.day)}: {day.blocks} day blocks, {day.reads} reads, {what}, SHA-256 {day.sha256}")
    if not count:
        typer.echo(f"no day was {done}")
        return
    typer.echo(
        f"{count} days, {blocks} day blocks, {reads} reads; {copied} blocks {done}; read back and the same,"
        f" SHA-256 {sha256.hexdigest()}"
    )


def _scope(site: Site, first: datetime | None, end: datetime | None, meters: list[str]) -> Scope:
    """What is to be compared; of what retention may have deleted nothing can be said."""
    from headend.process.verify import Scope
    from headend.reads.days import day_number

    keep_days = site.settings.store.keep_days
    kept_from = day_number(site.clock().date()) - keep_days if keep_days else 0
    first_day = max(kept_from, day_number(first.date()) if first else 0)
    end_day = day_number(end.date()) if end else _DAYS_EVER
    if first and first_day >= end_day:
        raise InvalidInput("--to", f"{end:%Y-%m-%d}", f"a day after {first:%Y-%m-%d}")
    return Scope(first_day, end_day, _keys(site, meters) if meters else None)


def _keys(site: Site, meters: list[str]) -> frozenset[int]:
    from headend.registry.registry import channels_of

    with site.database.read() as tx:
        return frozenset(channel.meter for name in meters for channel in channels_of(tx, name))


def _verify_influx(site: Site, scope: Scope) -> tuple[Differences, int]:
    """What differs of the reads that are here, and how many days are wrong of which InfluxDB alone has reads."""
    from headend.store.completeness import days_there_are
    from headend.store.differences import Differences
    from headend.store.influx.connection import Influx
    from headend.store.influx.reads import InfluxReads
    from headend.store.influx.verify import compare_with_influx

    settings = site.settings.influx
    with site.database.read() as tx:
        days = [day for day in days_there_are(tx) if scope.first_day <= day < scope.end_day]
    found, faults, blocks, waiting = Differences(_SHOWN), 0, 0, 0
    with closing(Influx(settings)) as influx, progress() as bar:
        reads = InfluxReads(influx, settings.reads_bucket)
        for day in bar.track(days, description="comparing with InfluxDB"):
            looked = compare_with_influx(site.database, reads, day, scope.meters, found)
            blocks, waiting, faults = blocks + looked.blocks, waiting + looked.waiting, faults + bool(looked.fault)
            if looked.fault:
                typer.echo(looked.fault)
    typer.echo(f"InfluxDB: {len(days)} days, {blocks} day blocks compared, {waiting} wait to be sent")
    return found, faults


def _say(found: list[Differences]) -> int:
    """The first differences, a line each, and how many there are."""
    from headend.reads.days import moment

    count = sum(differences.count for differences in found)
    shown = [each for differences in found for each in differences.first][:_SHOWN]
    for each in shown:
        store, other = ("nothing" if value is None else str(value) for value in (each.stored, each.told))
        at = f"{moment(each.start_s):%Y-%m-%dT%H:%M:%SZ}"
        by = "the journal" if each.by == "journal" else each.by
        typer.echo(f"{each.meter} {each.channel} {at}: {each.what} {store} in the store, {other} in {by}")
    if count > len(shown):
        typer.echo(f"… and {count - len(shown)} more")
    typer.echo("no difference" if not count else "1 difference" if count == 1 else f"{count} differences")
    return count


class _Steps:
    """One bar for each step of something that tells how far it is."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def told(self, step: str, done: int, of: int) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._bar.add_task(step)
        self._bar.update(self._tasks[step], completed=done, total=of)
