"""Dynamic."""

from __future__ import annotations

from headend.errors import CannotRate
from headend.tariffs.bill import Column
from headend.tariffs.components import Dynamic
from headend.tariffs.scope import Scope


def dynamic(component: Dynamic, scope: Scope) -> list[Column]:
    raise CannotRate("dynamic is not known")
