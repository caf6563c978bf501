"""`headend firmware`: keys, images, and their way to the gateways."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from headend.cli.options import By
from headend.cli.printed import plain_console
from headend.cli.serve import Config
from headend.errors import InvalidInput

app = typer.Typer(help="Firmware for gateways: keys, images, and their way to the field.", no_args_is_help=True)


@app.command()
def keygen(file: Annotated[Path, typer.Argument(help="For the private key; the public one goes to FILE.pub.")]) -> None:
    """A new pair of Ed25519 keys: sign with the private one, build the public one into your gateways."""
    from headend.registry.firmware import make_keys

    public = make_keys(file)
    typer.echo(f"private key in {file}, public key in {public}")


@app.command()
def add(
    image: Annotated[Path, typer.Argument(help="The image, as the gateway is to have it.")],
    version: Annotated[str, typer.Option(help="What a gateway that runs it says it runs.")],
    key: Annotated[Path, typer.Option(help="PEM file of the private key; it is read, and not kept.")],
    by: By,
    config: Config = None,
) -> None:
    """Sign an image and keep it."""
    from headend.app import open_site
    from headend.registry.firmware import add_image, sign

    try:
        content = image.read_bytes()
    except OSError as error:
        raise InvalidInput(str(image), error.strerror or str(error), "a readable file") from None
    signature = sign(content, key)
    site = open_site(config)
    with site.database.write() as tx:
        add_image(tx, version, content, signature, by=by, now=site.clock())
    typer.echo(f"firmware {version}: {len(content)} bytes")


@app.command("list")
def list_images(config: Config = None) -> None:
    """The images there are, newest first."""
    from headend.app import open_site
    from headend.reads.days import moment
    from headend.registry.firmware import images

    site = open_site(config)
    table = Table("version", "bytes", "SHA-256", "added (UTC)", "by")
    with site.database.read() as tx:
        for one in images(tx):
            added = f"{moment(one.added_s):%Y-%m-%d %H:%M:%S}"
            table.add_row(one.version, str(one.size), one.sha256[:16], added, one.added_by)
    plain_console().print(table)


@app.command("roll-out")
def roll_out(
    version: Annotated[str, typer.Argument(help="Of the image.")],
    by: By,
    gateways: Annotated[list[str] | None, typer.Argument(help="Names of gateways.")] = None,
    all_gateways: Annotated[bool, typer.Option("--all", help="Every gateway that hears commands.")] = False,
    config: Config = None,
) -> None:
    """Ask gateways to run a version; those that run it, or are at another update, are not asked."""
    from headend.app import open_site
    from headend.registry.firmware import roll_out as ask
    from headend.registry.gateways import gateways_with_commands

    if bool(gateways) == all_gateways:
        raise InvalidInput("gateways", "both names and --all" if gateways else "none", "names, or --all")
    site = open_site(config)
    now = site.clock()
    expires = now + timedelta(seconds=site.settings.commands.expire_after_s)
    with site.database.write() as tx:
        chosen = gateways or sorted(gateways_with_commands(tx))
        asked = ask(tx, version, chosen, by=by, now=now, expires=expires)
    typer.echo(f"{len(asked)} of {len(set(chosen))} gateways asked to run {version}")
