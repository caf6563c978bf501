"""`headend statement`: one statement, as the record or as a document."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headend.cli.serve import Config

if TYPE_CHECKING:
    from headend.billing.ports import Kept

app = typer.Typer(help="One statement, as the record or as a document.", no_args_is_help=True)

StatementId = Annotated[str, typer.Argument(metavar="ID", help="Number of the statement, such as A-1001-2026-10-1.")]


@app.command()
def show(statement: StatementId, config: Config = None) -> None:
    """The statement's canonical JSON: exactly the bytes whose SHA-256 the ledger and the next statement hold."""
    document = _kept(statement, config).document
    sys.stdout.buffer.write(document)
    if sys.stdout.isatty():
        sys.stdout.buffer.write(b"\n")


@app.command()
def pdf(
    statement: StatementId,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; default: ID.pdf.")] = None,
    config: Config = None,
) -> None:
    """Write the statement as PDF."""
    from headend.billing.statement import parse_statement
    from headend.documents.pdf import statement_pdf
    from headend.errors import InvalidInput

    kept = _kept(statement, config)
    path = output or Path(f"{kept.id}.pdf")
    try:
        path.write_bytes(statement_pdf(parse_statement(kept.document)))
    except OSError as error:
        raise InvalidInput("--output", f"{path} ({error.strerror})", "a file that can be written") from None
    typer.echo(str(path))


def _kept(statement: str, config: Path | None) -> Kept:
    from headend.app import open_site
    from headend.store.ledger import SqlLedger

    with open_site(config).database.read() as tx:
        return SqlLedger(tx).statement(statement)
