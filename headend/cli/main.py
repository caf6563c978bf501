"""The `headend` command: its parts, and how it ends."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer
from sqlalchemy.exc import OperationalError

from headend.cli import (
    bill,
    budget,
    demo,
    events,
    exceptions,
    explain,
    firmware,
    gateway,
    journal,
    ledger,
    prices,
    quarantine,
    reads,
    registry,
    serve,
    statement,
    store,
    tariff,
    user,
)
from headend.errors import HeadendError, InvalidInput, NotFound

app = typer.Typer(
    help="A smart utility-meter head-end: collects reads, validates and estimates them, bills them to the cent.",
    no_args_is_help=True,
    add_completion=False,
)
app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.add_typer(reads.app, name="reads")
app.add_typer(tariff.app, name="tariff")
app.add_typer(prices.app, name="prices")
app.add_typer(events.app, name="events")
app.add_typer(bill.app, name="bill")
app.add_typer(budget.app, name="budget")
statement.app.command()(explain.explain)
app.add_typer(statement.app, name="statement")
app.add_typer(ledger.app, name="ledger")
app.add_typer(exceptions.app, name="exception")
app.add_typer(registry.app, name="registry")
app.add_typer(user.app, name="user")
app.add_typer(gateway.app, name="gateway")
app.add_typer(firmware.app, name="firmware")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(store.app, name="store")
app.add_typer(journal.app, name="journal")
app.add_typer(journal.database, name="db")


def main() -> None:
    """Entry point of `headend` and `python -m headend`."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except typer.TyperException as error:
        _fail(2, error.format_message())
    except (InvalidInput, NotFound) as error:
        _fail(2, str(error))
    except HeadendError as error:
        _fail(1, str(error))
    except OperationalError as error:
        _fail(1, f"the database refused: {error.orig}")
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)


def _fail(code: int, line: str) -> NoReturn:
    if line:  # a command without arguments has shown its help instead
        print(f"headend: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(code)
