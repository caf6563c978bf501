"""Tables and lines as commands print them: what is data is never taken for markup."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from rich.console import Console
from rich.table import Column


def plain_console(*, highlight: bool = True) -> Console:
    """Where a command prints; `highlight`: numbers and the like in colours."""
    return Console(markup=False, emoji=False, highlight=highlight)


def counted(number: int, what: str) -> str:
    """`1 account`, `2 accounts`, `1,000 accounts`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def amount(money: Decimal, currency: str, sign: Literal["", "+"] = "") -> str:
    """An amount in the currency's minor unit, without its name: `0.00`, `-1,000.00`; `sign`: of what is more, too."""
    from headend.tariffs.money import rounded

    return f"{rounded(money, currency):{sign},}"


def whole(head: str) -> Column:
    """A column of names that somebody has to copy: never cut, however narrow the terminal."""
    return Column(head, no_wrap=True, overflow="fold")
