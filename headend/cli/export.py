"""`headend reads export`: a meter's reads in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from headend.cli.serve import Config
from headend.errors import InvalidInput


def export_reads(
    meter: Annotated[str, typer.Option(metavar="ID", help="The meter.")],
    begin: Annotated[str, typer.Option("--from", metavar="T", help="ISO 8601 with Z or an offset.")],
    end: Annotated[str, typer.Option("--to", metavar="T", help="The same; what begins then is no longer in it.")],
    channel: Annotated[str | None, typer.Option(metavar="OBIS", help="One channel; without it, all.")] = None,
    form: Annotated[
        Literal["csv", "nem12", "greenbutton", "json"],
        typer.Option("--format", help="csv is what import reads back; nem12 has 5, 15 or 30 minutes."),
    ] = "csv",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Instead of the screen.")
    ] = None,
    config: Config = None,
) -> None:
    """Write a meter's intervals with their qualities: CSV, NEM12, Green Button or JSON."""
    from headend.app import open_site
    from headend.exports import export
    from headend.process.versions import moment_of

    first, last = moment_of(begin, "--from"), moment_of(end, "--to")
    text = export(open_site(config), meter, channel, first, last, form)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise InvalidInput(str(output), error.strerror or str(error), "a file that can be written") from None
