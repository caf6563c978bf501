"""`headend events`: times that a utility calls, such as critical peaks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from rich.table import Table

from headend.cli.options import By
from headend.cli.prices import lines_of, note_unless_asked, span_of, utc
from headend.cli.printed import plain_console
from headend.cli.serve import Config
from headend.errors import few

if TYPE_CHECKING:
    from headend.site import Site
    from headend.store.market import Imported

app = typer.Typer(help="Events that tariffs refer to, such as critical peaks.", no_args_is_help=True)

List: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The list, as tariffs call it.")]


@app.command()
def add(
    name: List,
    from_: Annotated[str, typer.Option("--from", metavar="T", help="ISO 8601 with Z or an offset.")],
    to: Annotated[str, typer.Option("--to", metavar="T", help="The end.")],
    by: By,
    late: Annotated[bool, typer.Option("--late", help="It has begun already, and is billed all the same.")] = False,
    config: Config = None,
) -> None:
    """Call an event."""
    from headend.app import open_site
    from headend.errors import InvalidInput
    from headend.reads.days import seconds
    from headend.store.market import add_events
    from headend.tariffs.market import Events
    from headend.tariffs.published import checked_name

    called = Events(checked_name(name), (span_of(from_, to),))
    site = open_site(config)
    if called.spans[0][0] < seconds(site.clock()) and not late:
        raise InvalidInput("--from", from_, "a moment to come, since a past event cannot be removed; or --late")
    with site.database.write() as tx:
        came = add_events(tx, called, "--from", by=by, at=site.clock())
    _say(name, came)
    note_unless_asked(name, _asked(site))


@app.command("import")
def import_file(
    name: List,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with start,end; or JSON.")],
    by: By,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")] = False,
    config: Config = None,
) -> None:
    """Import a file of events, as a whole or not at all."""
    from headend.app import open_site
    from headend.store.market import add_events
    from headend.tariffs.published import read_events

    called = read_events(lines_of(file), str(file), name=name)
    site = open_site(config)
    with site.database.write() as tx:
        came = add_events(tx, called, str(file), by=by, at=site.clock(), dry_run=dry_run)
    _say(name, came, "would be " if dry_run else "")
    note_unless_asked(name, _asked(site))


@app.command("list")
def list_events(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The list; all without it.")] = None,
    config: Config = None,
) -> None:
    """Every event, and the lists that tariffs ask for and nobody has called an event of."""
    from headend.app import open_site
    from headend.store.market import events_told

    site = open_site(config)
    table = Table("list", "from (UTC)", "to (UTC)", "called (UTC)", "by")
    with site.database.read() as tx:
        told = events_told(tx, name)
    for one in told:
        table.add_row(one.name, utc(one.start_s), utc(one.end_s), f"{one.added:%Y-%m-%d %H:%M}", one.added_by)
    for empty in sorted(_asked(site) - {one.name for one in told}):
        if name in (None, empty):
            table.add_row(empty, "none", "", "", "")
    plain_console().print(table)


@app.command()
def remove(
    name: List,
    from_: Annotated[str, typer.Option("--from", metavar="T", help="When the event begins.")],
    config: Config = None,
) -> None:
    """Call off an event that has not begun."""
    from headend.app import open_site
    from headend.reads.days import seconds
    from headend.store.market import remove_event
    from headend.tariffs.published import stamp

    begin_s = stamp(from_, "--from")
    site = open_site(config)
    with site.database.write() as tx:
        gone = remove_event(tx, name, begin_s, seconds(site.clock()))
    typer.echo(f"{name}: {utc(gone.start_s)} to {utc(gone.end_s)} UTC is called off")


def _say(name: str, came: Imported, would: str = "") -> None:
    typer.echo(f"{name}: {came.new} {would}new, {came.same} there already")
    if came.flagged:
        typer.echo(f"billed without, {would}flagged: {few(came.flagged)}. See headend bill flagged")


def _asked(site: Site) -> set[str]:
    """The lists that tariffs ask for."""
    from headend.tariffs.published import events_named

    return {event for each in site.tariffs.ids for its in site.tariffs.versions(each) for event in events_named(its)}
