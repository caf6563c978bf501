"""One channel's reads on the worksheet of validation, for a person who estimates by a method of their choice."""

from __future__ import annotations

from sqlalchemy import Connection

from headend.process.due import DueRun
from headend.process.evidence import calendar_of, class_profiles, due_of
from headend.process.reopening import horizon
from headend.reads.days import DAY_S
from headend.registry.registry import EnrolledChannel, enrolled_channels
from headend.site import Site
from headend.store import dailyuse
from headend.vee.worksheet import Worksheet


def worksheet_of(tx: Connection, site: Site, channel: EnrolledChannel, start_s: int, end_s: int) -> Worksheet:
    """The days of a stretch [s since 1970] with the weeks before and after them; raises `StoreAway`."""
    rules = site.rules.of(channel.customer_class)
    beside = rules.estimation.look_back_days
    days = range(start_s // DAY_S, -(-end_s // DAY_S))
    first_day, end_day = days.start - beside, max(days.stop, min(horizon(site), days.stop + beside))
    run = DueRun(channel, tuple(days), 0)
    profiles = site.store.profiles(tx, [run.key], first_day * DAY_S, end_day * DAY_S, channel.interval_s)
    due = due_of(tx, [run], profiles, rules, dailyuse.load(tx, [run.key], first_day))
    of_its_class = class_profiles(tx, site, channel, days.start, lambda: enrolled_channels(tx), but={run.key})
    return Worksheet(profiles, due, rules, calendar_of(site, channel, profiles), of_its_class)
