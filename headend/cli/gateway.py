"""`headend gateway`: who may send, and what gateways are to do."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from headend.cli.options import By
from headend.cli.printed import plain_console
from headend.cli.serve import Config
from headend.errors import InvalidInput

app = typer.Typer(help="Gateways: who may send, and what they are to do.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The gateway's name.")]


@app.command()
def enrol(name: Name, config: Config = None) -> None:
    """Let a gateway in, or in again; prints its token, which is shown this once."""
    from headend.app import open_site
    from headend.registry.gateways import enrol_gateway

    site = open_site(config)
    with site.database.write() as tx:
        token = enrol_gateway(tx, name)
    typer.echo(token)


@app.command()
def revoke(name: Name, by: By, config: Config = None) -> None:
    """Take nothing from a gateway any more, until it is enrolled again."""
    from headend.app import open_site
    from headend.registry.gateways import revoke_gateway

    site = open_site(config)
    with site.database.write() as tx:
        revoke_gateway(tx, name, site.clock(), by=by)
    typer.echo(f"{name} is revoked")


@app.command("list")
def list_gateways(config: Config = None) -> None:
    """Every gateway that was enrolled or heard."""
    from headend.app import open_site
    from headend.registry.gateways import enrolled_gateways

    site = open_site(config)
    table = Table("gateway", "online", "last heard (UTC)", "firmware", "token", "revoked (UTC)")
    with site.database.read() as tx:
        for one in enrolled_gateways(tx):
            online = {True: "yes", False: "no", None: ""}[one.online]
            token = "yes" if one.enrolled else ""
            heard, revoked = _time(one.last_seen_s), _time(one.revoked_s)
            table.add_row(one.name, online, heard, one.firmware or "", token, revoked)
    plain_console().print(table)


@app.command()
def command(
    name: Name,
    kind: Annotated[str, typer.Argument(help="read, backfill, set_clock, set_interval, restart, rebirth.")],
    by: By,
    arg: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Text or JSON; as often as needed.")
    ] = None,
    config: Config = None,
) -> None:
    """Ask a gateway to do something; prints the command's number."""
    from headend.app import open_site
    from headend.store.commands import queue_command

    site = open_site(config)
    now = site.clock()
    expires = now + timedelta(seconds=site.settings.commands.expire_after_s)
    with site.database.write() as tx:
        number = queue_command(tx, name, kind, _args(arg or []), by=by, now=now, expires=expires)
    typer.echo(number)


@app.command()
def cancel(number: Annotated[int, typer.Argument(help="The command's number.")], by: By, config: Config = None) -> None:
    """Ask for something no longer; what a gateway has already it may still do."""
    from headend.app import open_site
    from headend.store.commands import cancel as cancel_command

    site = open_site(config)
    with site.database.write() as tx:
        cancel_command(tx, number, by=by, now=site.clock())
    typer.echo(f"command {number} is cancelled")


@app.command()
def commands(
    name: Annotated[str | None, typer.Argument(help="The gateway's name; all without it.")] = None,
    config: Config = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
) -> None:
    """The newest commands, and where they stand."""
    from headend.app import open_site
    from headend.store.commands import commands_of

    site = open_site(config)
    kind, state = Column("kind", no_wrap=True), Column("state", no_wrap=True)
    table = Table("number", "gateway", kind, state, "sent", "asked (UTC)", "by", "detail")
    with site.database.read() as tx:
        for one in commands_of(tx, name, limit):
            asked = f"{one.created:%m-%d %H:%M}"
            sent = f"{one.attempts}×"
            table.add_row(str(one.id), one.gateway, one.kind, one.state, sent, asked, one.created_by, one.detail)
    plain_console().print(table)


def _args(given: list[str]) -> dict[str, Any]:
    args: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise InvalidInput("--arg", repr(text), "KEY=VALUE")
        try:
            args[key] = json.loads(value)
        except ValueError:
            args[key] = value
    return args


def _time(epoch_s: int | None) -> str:
    from headend.reads.days import moment

    return "" if epoch_s is None else f"{moment(epoch_s):%Y-%m-%d %H:%M:%S}"
