"""Tables and lines as commands print them: what is data is never taken for markup."""

from __future__ import annotations

from rich.console import Console
from rich.table import Column


def plain_console(*, highlight: bool = True) -> Console:
    """Where a command prints; `highlight`: numbers and the like in colours."""
    return Console(markup=False, emoji=False, highlight=highlight)


def whole(head: str) -> Column:
    """A column of names that somebody has to copy: never cut, however narrow the terminal."""
    return Column(head, no_wrap=True, overflow="fold")
