"""Energy fed in against energy taken, and what one bill leaves to the next: docs/tariff-format.md, "Energy fed in"."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from headend.errors import CannotRate
from headend.tariffs.bill import Column
from headend.tariffs.calendar import BillingWindow
from headend.tariffs.components import Bank
from headend.tariffs.market import Market
from headend.tariffs.schema import Tariff
from headend.tariffs.scope import Scope
from headend.tariffs.use import NOTHING_CARRIED, Carried, Use


def net_use(
    tariff: Tariff, window: BillingWindow, use: Use, start_utc: datetime, market: Market, carried: Carried
) -> tuple[Use, NDArray[np.int64] | None]:
    """Use as it is priced; with netting by month, also what is left of import by period [Wh] (m, periods)."""
    if tariff.netting == "none":
        return use, None
    raise CannotRate(f"netting by {tariff.netting} is not known")


def bank(component: Bank, scope: Scope) -> list[Column]:
    """The line that lifts others to zero, or uses up credit from before."""
    raise CannotRate("banks are not known")


def left_over(scope: Scope, columns: list[Column]) -> tuple[list[Column], Carried]:
    """All columns of a bill, and what it leaves to the next."""
    return columns, NOTHING_CARRIED
