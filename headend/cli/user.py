"""`headend user`: who may log in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headend.cli.serve import Config
from headend.errors import InvalidInput, why_unread

app = typer.Typer(no_args_is_help=True, help="Who may log in.")


@app.callback()
def _user() -> None:
    """Who may log in."""


@app.command()
def add(
    login: Annotated[str, typer.Argument(help="Name to log in with.")],
    role: Annotated[str, typer.Option(help="operator, clerk, customer or admin.")],
    account: Annotated[str | None, typer.Option(help="The customer's account.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="File whose first line is the password; without it, you are asked.")
    ] = None,
    config: Config = None,
) -> None:
    """Add a login."""
    from headend.app import open_site
    from headend.registry.users import add_user

    password = _first_line(password_file) if password_file else _asked()
    site = open_site(config)
    with site.database.write() as tx:
        user = add_user(tx, login, role, password, account)
    typer.echo(f"{user.login} may log in as {user.role}" + (f" of account {user.account}" if user.account else ""))


@app.command("password")
def change(
    login: Annotated[str, typer.Argument(help="Whose password.")],
    password_file: Annotated[
        Path | None, typer.Option(help="File whose first line is the password; without it, you are asked.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings that differ from the shipped ones.")] = None,
) -> None:
    """Give a login another password; its sessions end."""
    from headend.app import open_site
    from headend.registry.users import change_password

    password = _first_line(password_file) if password_file else _asked()
    site = open_site(config)
    with site.database.write() as tx:
        change_password(tx, login, password)
    typer.echo(f"{login} has another password")


def _first_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("--password-file", why_unread(error), "a readable text file") from None
    return lines[0] if lines else ""


def _asked() -> str:
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password
