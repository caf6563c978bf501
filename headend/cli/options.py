"""Options that many commands have."""

from __future__ import annotations

import getpass
from typing import Annotated, TypeAlias

import typer

By: TypeAlias = Annotated[
    str, typer.Option("--by", default_factory=getpass.getuser, show_default="the login name", help="Who does it.")
]
