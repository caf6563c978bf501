"""One head-end's open parts, handed to whoever works with them. Opened in one place: `open_site`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from headend.billing.profiles import StatementRules
from headend.collect.modbus.profile import Profile
from headend.collect.pricefeed import Feed
from headend.collect.topics import Topics
from headend.config import Settings
from headend.store.database import Database
from headend.store.intervals import IntervalStore
from headend.store.journal import Journal
from headend.tariffs import TariffBook
from headend.vee import RuleSet

#: Tells the time: aware UTC. Everything that asks for "now" is given one, so that a demo can run ahead.
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Site:
    """What a running head-end consists of.

    Parameters
    ----------
    paper
        what statements have to show; None: as the settings and the shipped profiles say.
    """

    settings: Settings
    clock: Clock
    database: Database
    journal: Journal
    topics: Topics
    profiles: Mapping[str, Profile]
    store: IntervalStore
    tariffs: TariffBook
    rules: RuleSet
    feeds: Sequence[Feed] = ()
    paper: StatementRules | None = None
