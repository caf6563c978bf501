"""Demand."""

from __future__ import annotations

from headend.errors import CannotRate
from headend.tariffs.bill import Column
from headend.tariffs.components import Demand
from headend.tariffs.scope import Scope


def demand(component: Demand, scope: Scope) -> list[Column]:
    raise CannotRate("demand is not known")
