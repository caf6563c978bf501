"""`headend reads`: files of reads in and out, and how a read came to be what it is."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from headend.cli.export import export_reads
from headend.cli.history import history
from headend.cli.progress import progress
from headend.cli.serve import Config
from headend.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import datetime

    from headend.collect.files.match import Key
    from headend.collect.files.prepare import Prepared
    from headend.registry.registry import EnrolledChannel
    from headend.site import Site

app = typer.Typer(help="Reads: in from files, out to files, and every version of one.", no_args_is_help=True)


@app.callback()
def _reads() -> None:
    """Reads: in from files, out to files, and every version of one."""


app.command("history")(history)
app.command("export")(export_reads)


@app.command("import")
def import_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="CSV, NEM12, NEM13 or Green Button.")],
    form: Annotated[
        Literal["auto", "csv", "nem12", "greenbutton"],
        typer.Option("--format", help="auto looks at the content; nem12 is NEM13 too."),
    ] = "auto",
    meter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=METER", help="What the file calls a meter, or NAME:CHANNEL=METER/OBIS; repeatable."),
    ] = None,
    interval: Annotated[
        int, typer.Option(min=1, max=86_400, help="Interval in seconds, of CSV without interval_s.")
    ] = 3600,
    channel: Annotated[
        str | None, typer.Option(metavar="METER/OBIS", help="Whose a CSV file without columns meter and channel is.")
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(metavar="UNIT", help="Of the values of CSV, such as kWh; without it whole Wh, litres …"),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Of stamps in CSV without an offset, such as Europe/London.")
    ] = None,
    stamps: Annotated[
        Literal["begin", "end"], typer.Option(help="Whether a stamp in CSV begins or ends its interval.")
    ] = "begin",
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out what the registry does not know.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")] = False,
    config: Config = None,
) -> None:
    """Import files of reads, each as a whole or not at all; exit 1 if something went to quarantine."""
    from headend.app import open_site
    from headend.collect.files.csvfile import Layout, whose
    from headend.collect.files.match import read_names
    from headend.collect.files.prepare import prepare
    from headend.reads.days import zone_named
    from headend.registry.registry import enrolled_channels

    layout = Layout(
        interval, whose(channel) if channel else None, unit, zone_named(timezone) if timezone else None, stamps
    )
    site, names = open_site(config), read_names(meter or [])
    with site.database.read() as tx:
        enrolled = {(c.meter_name, c.channel.obis): c for c in enrolled_channels(tx)}
    ready = partial(prepare, form=form, layout=layout, names=names, skip_unknown=skip_unknown)
    with progress() as bar:
        # All files are read before the first is written: a wrong one stops all of them.
        prepared = [ready(str(file), _bytes(file), enrolled) for file in bar.track(files, description="reading")]
    quarantined = 0
    for one in prepared:
        _describe(one)
        if dry_run:
            _foretell(site, enrolled, one)
        else:
            quarantined += _import(site, enrolled, one)
    if quarantined:
        raise typer.Exit(1)


def _bytes(file: Path) -> bytes:
    from headend.collect.files.prepare import read_whole

    try:
        return read_whole(file)
    except OSError as error:
        raise InvalidInput(str(file), error.strerror or str(error), "a readable file") from None


def _describe(prepared: Prepared) -> None:
    """What is in the file."""
    from headend.reads.days import moment

    matched = prepared.matched
    keys = {key for key, _ in [*matched.series, *matched.registers]}
    meters, intervals = len({meter for meter, _ in keys}), sum(len(series.values) for _, series in matched.series)
    typer.echo(
        f"{prepared.source.name}: {prepared.source.format}, {meters} meters, {len(keys)} channels,"
        f" {intervals} intervals, {len(matched.registers)} registers"
    )
    moments = [at for _, series in matched.series for at in (series.start_s[0], series.start_s[-1] + series.interval_s)]
    moments += [register.at_s for _, register in matched.registers]
    if moments:
        typer.echo(f"  {moment(min(moments)):%Y-%m-%d %H:%M} to {moment(max(moments)):%Y-%m-%d %H:%M} UTC")
    for left_out in prepared.left_out:
        typer.echo(f"  left out: {left_out}")


def _foretell(site: Site, enrolled: dict[Key, EnrolledChannel], prepared: Prepared) -> None:
    """What an import would do."""
    from headend.collect.files.standing import standing

    with site.database.read() as tx:
        now = standing(tx, site.store, enrolled, prepared.matched)
    typer.echo(
        f"  would be imported: {now.missing.sum()} new,"
        f" {now.same.sum()} are there with the same value, {now.other.sum()} with another"
    )
    for (meter, obis), series in prepared.matched.series:
        if (expected := enrolled[meter, obis].interval_s) != series.interval_s:
            typer.echo(f"  would be quarantined: {meter}/{obis} has intervals of {expected} s, not {series.interval_s}")


def _import(site: Site, enrolled: dict[Key, EnrolledChannel], prepared: Prepared) -> int:
    """Into the journal and on into the store, and what became of it; how much of it is in quarantine."""
    from headend.collect.files.standing import standing
    from headend.vee.ruleset import NAMES

    began = site.clock()
    arrivals = prepared.arrivals(began)
    with site.database.read() as tx:
        before = standing(tx, site.store, enrolled, prepared.matched)
    site.journal.append(arrivals)
    last = site.journal.last_offset
    _process(site, last)
    with site.database.read() as tx:
        after = standing(tx, site.store, enrolled, prepared.matched)
    stored, replaced = before.missing & after.same, before.other & after.same
    typer.echo(f"  {stored.sum()} stored, {before.same.sum()} duplicates, {replaced.sum()} replaced")
    if kept := int((before.other & after.other).sum()):
        typer.echo(f"  {kept} not taken: what stands there is newer or better")
    for rule, count in _doubted(site, prepared, began).items():
        typer.echo(f"  {count} noted by {rule}, {NAMES[rule]}")
    reasons = _quarantined(site, last - len(arrivals) + 1, last)
    for reason, count in reasons.most_common():
        typer.echo(f"  quarantined: {count} × {reason}")
    return reasons.total()


def _process(site: Site, last: int) -> None:
    """Take in the journal up to `last`; another process may be at it too."""
    from headend.process import Intake
    from headend.store.checkpoints import checkpoint

    intake = Intake(site)
    with site.database.read() as tx:
        done = checkpoint(tx)
    with progress() as bar:
        task = bar.add_task("storing", total=last - done)
        while done < last:
            intake.step()
            with site.database.read() as tx:
                before, done = done, checkpoint(tx)
            bar.advance(task, done - before)


def _doubted(site: Site, prepared: Prepared, since: datetime) -> dict[str, int]:
    """What arrival checks said of an import's intervals, by rule."""
    from sqlalchemy import func, select

    from headend.reads.days import microseconds
    from headend.store.tables import finding as f
    from headend.store.tables import meter as m

    meters = sorted({meter for (meter, _), _ in prepared.matched.series})
    query = (
        select(f.c.rule, func.count().label("times"))
        .join(m, m.c.id == f.c.meter)
        .where(m.c.name.in_(meters), f.c.found_us >= microseconds(since), f.c.rule.in_(("V2", "V5", "V6", "V12")))
        .group_by(f.c.rule)
    )
    with site.database.read() as tx:
        return {row.rule: row.times for row in tx.execute(query)}


def _quarantined(site: Site, first: int, last: int) -> Counter[str]:
    """Why messages of an import are in quarantine, and how often."""
    from sqlalchemy import select

    from headend.store.tables import quarantine as q

    with site.database.read() as tx:
        rows = tx.execute(select(q.c.reason).where(q.c.offset.between(first, last)))
        return Counter(rows.scalars())
