"""Reactive energy and the power factor."""

from __future__ import annotations

from headend.errors import CannotRate
from headend.tariffs.bill import Column
from headend.tariffs.components import PowerFactor, Reactive
from headend.tariffs.scope import Scope


def reactive(component: Reactive, scope: Scope) -> list[Column]:
    raise CannotRate("reactive is not known")


def power_factor(component: PowerFactor, scope: Scope) -> list[Column]:
    raise CannotRate("power factor is not known")
