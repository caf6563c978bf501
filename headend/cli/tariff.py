"""`headend tariff`: lint a tariff, rate a load file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from headend.errors import InvalidInput

app = typer.Typer(help="Tariff files.", no_args_is_help=True)

TariffFile = Annotated[Path, typer.Argument(metavar="FILE", help="A tariff, TOML or JSON.")]


@app.command()
def check(file: TariffFile) -> None:
    """Say what is wrong with a tariff, a line for each finding; exit 2 if there is any."""
    from headend.tariffs import check_tariff, load_tariff

    findings = check_tariff(file)
    for finding in findings:
        typer.echo(f"{finding.where}: found {finding.found}, expected {finding.expected}", err=True)
    if findings:
        raise typer.Exit(2)
    tariff = load_tariff(file)
    typer.echo(f"{file}: {tariff.name}, valid from {tariff.valid_from}, version {tariff.version}")


@app.command()
def rate(
    file: TariffFile,
    reads: Annotated[Path, typer.Option(help="CSV with start (ISO 8601, Z or offset), import_wh and/or export_wh.")],
    timezone: Annotated[str, typer.Option(help="IANA time zone of the usage point.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    rounded: Annotated[bool, typer.Option("--round", help="Each line rounded, as on a statement.")] = False,
) -> None:
    """Rate a load file month by month."""
    from headend.reads.days import zone_named
    from headend.tariffs import load_tariff
    from headend.tariffs.monthly import rate_months, read_load

    tariff = load_tariff(file)
    try:
        with reads.open(encoding="utf-8", newline="") as lines:
            load = read_load(lines, str(reads))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(str(reads), str(error), "a readable CSV file") from None
    bill = rate_months(tariff, load, zone_named(timezone), rounded=rounded)
    if as_json:
        typer.echo(json.dumps(bill, indent=2))
        return
    names = [name for name in bill["months"][0] if name != "month"] if bill["months"] else []
    table = Table("month", *names, title=f"{tariff.name}, {bill['currency']}", title_justify="left")
    for month in bill["months"]:
        table.add_row(month["month"], *(month[name] for name in names))
    Console(markup=False, emoji=False).print(table)
