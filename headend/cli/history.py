"""`headend reads history`: every version of one interval, and every message that told of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from headend.cli.printed import plain_console
from headend.cli.progress import progress
from headend.cli.serve import Config

if TYPE_CHECKING:
    from datetime import datetime

    from headend.process.told import Became, Told
    from headend.process.versions import IntervalVersions
    from headend.site import Site


def history(
    meter: Annotated[str, typer.Option(metavar="ID", help="The meter.")],
    at: Annotated[str, typer.Option(metavar="T", help="A moment of the interval: ISO 8601 with Z or an offset.")],
    channel: Annotated[
        str | None, typer.Option(metavar="OBIS", help="The channel; may be left out where there is only one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    config: Config = None,
) -> None:
    """Every version of one interval, with what made it, and every message of the journal that told of it."""
    from headend.app import open_site
    from headend.process.told import became_of
    from headend.process.versions import interval_at, moment_of, versions_of
    from headend.registry.registry import channels_of

    moment, site = moment_of(at, "--at"), open_site(config)
    with site.database.read() as tx:
        its, start_s = interval_at(channels_of(tx, meter), channel, moment, site.clock())
        # First what stands and then what was told, so that no version lacks its message.
        seen = versions_of(tx, site.store, its, start_s)
    told = _told(site, seen)
    with site.database.read() as tx:
        became = became_of(tx, seen.versions, told)
    if as_json:
        typer.echo(json.dumps(_for_machines(seen, told, became), ensure_ascii=False, indent=2))
    else:
        _show(seen, told, became)


def _told(site: Site, seen: IntervalVersions) -> list[Told]:
    from headend.process.told import told_of

    with progress() as bar:
        task = bar.add_task("searching the journal", total=None)

        def watch(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)

        return list(told_of(site, seen.channel, seen.start_s, watch))


def _for_machines(seen: IntervalVersions, told: Sequence[Told], became: Sequence[Became]) -> dict[str, Any]:
    from headend.reads.days import moment, moment_us
    from headend.web.history import history_out

    messages = [
        {
            "offset": one.offset,
            "received": _utc(moment_us(one.received_us)),
            "gateway": one.gateway or None,
            "topic": one.topic,
            "path": one.path,
            "value": one.value,
            "register_at": None if one.register_at_s is None else _utc(moment(one.register_at_s)),
            "outcome": what.outcome,
            "version": what.version,
            "reason": what.reason,
        }
        for one, what in zip(told, became, strict=True)
    ]
    return history_out(seen).model_dump(mode="json") | {"messages": messages}


def _show(seen: IntervalVersions, told: Sequence[Told], became: Sequence[Became]) -> None:
    from headend.reads.days import moment, moment_us
    from headend.web.words import unit_of

    console = plain_console(highlight=False)
    its = seen.channel
    console.print(
        f"{its.meter_name} {its.channel.obis} ({its.channel.meaning}),"
        f" {_utc(moment(seen.start_s))} to {_utc(moment(seen.end_s))}, in {unit_of(its.channel).base}"
    )
    if not seen.versions:
        console.print("no value was ever stored")
    else:
        versions = Table("version", "value", "quality", "since (UTC)", "by", "replaced (UTC)")
        for version in seen.versions:
            rule = f", {version.rule}" if version.rule else ""  # its finding below says how
            since = _in_table(version.since) if version.since else ""
            until = _in_table(version.until) if version.until else ""
            value = "" if version.value is None else str(version.value)
            versions.add_row(str(version.number), value, version.quality.label, since, (version.by or "") + rule, until)
        console.print(versions)
    messages = Table(
        "journal", "arrived (UTC)", "gateway", Column("topic", overflow="fold"), "piece", "value", "became"
    )
    for one, what in zip(told, became, strict=True):
        value = "none" if one.value is None else str(one.value)
        if one.register_at_s is not None:
            value = f"register {value} at {_utc(moment(one.register_at_s))}"
        arrived, outcome = _in_table(moment_us(one.received_us)), _in_words(what)
        messages.add_row(str(one.offset), arrived, one.gateway, one.topic, one.path, value, outcome)
    if messages.row_count:
        console.print(messages)
    for found in seen.findings:
        console.print(f"{_utc(found.found)} {found.rule} {found.severity}: {found.detail} (rules {found.rule_set})")


def _in_words(what: Became) -> str:
    match what.outcome:
        case "version":
            return f"version {what.version}"
        case "quarantine":
            return f"quarantine: {what.reason}"
        case "waiting":
            return "not processed yet"
        case "register":
            return "intervals are made of it"
    return what.outcome


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _in_table(at: datetime) -> str:
    """With a space, where a narrow table can break it."""
    return f"{at:%Y-%m-%d %H:%M:%S}"
