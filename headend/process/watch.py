"""The watch: every day the daily use of all channels is looked through for what no rule of validation fails.

It asks the staged daily use and the registry, never reads again. Channels are looked through by neighbourhoods, so that
memory does not grow with the fleet: what hangs at one gateway, in one customer class, should fare alike.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from headend.billing.agreements import Agreement
from headend.reads.days import DAY_S, day_number
from headend.registry.registry import EnrolledChannel, agreements, enrolled_channels
from headend.site import Site
from headend.store import dailyuse
from headend.store.exceptions import open_anomalies
from headend.store.tables import finding
from headend.tariffs.format.components import Energy
from headend.vee.anomalies import Installations, anomalies
from headend.vee.dailyuse import DAYS

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Channels looked through at once: some 3 kB each.
_CHANNELS_AT_ONCE = 20_000
#: What says that a read or a register went backwards.
_BACKWARDS = ("V5", "V7")


def watch(site: Site, end_day: int) -> int:
    """Look through the days before `end_day` [days since 1970]; how many exceptions that opened."""
    with site.database.read() as tx:
        channels, agreed = enrolled_channels(tx), agreements(tx)
        backwards = _backwards(tx, end_day)
    supplied: dict[tuple[str, str], list[Agreement]] = defaultdict(list)
    for agreement in agreed:
        supplied[agreement.usage_point, agreement.commodity].append(agreement)
    accounts = {name: place for place, name in enumerate(sorted({each.account.id for each in agreed}), start=1)}
    feeding, billed = _tariffs_that_feed_in(site), {each.commodity for each in agreed}
    opened = 0
    for some, neighbourhood in _by_neighbourhood([c for c in channels if c.removed_s is None]):
        keys = [(c.meter, c.channel.code) for c in some]
        its = [supplied[c.usage_point, c.channel.commodity] for c in some]
        of = Installations(
            channel=np.array([code for _, code in keys]),
            usage_point=np.unique([c.usage_point for c in some], return_inverse=True)[1],
            per_day=np.array([DAY_S // c.interval_s for c in some]),
            generates=np.array([any(each.tariff_id in feeding for each in held) for held in its]),
            account=np.array(
                [
                    # Where a commodity is not billed at all, nobody knows who is supplied.
                    _account_of_days(held, accounts, end_day) if c.channel.commodity in billed else np.ones(DAYS, int)
                    for c, held in zip(some, its, strict=True)
                ]
            ),
            neighbourhood=neighbourhood,
            backwards=np.array([[backwards[*key, day] for day in range(end_day - DAYS, end_day)] for key in keys]),
        )
        with site.database.read() as tx:
            use = dailyuse.load(tx, keys, end_day)
        found = [
            (*keys[each.row], each.code, each.first_day * DAY_S, each.end_day * DAY_S, each.score, each.detail)
            for each in anomalies(use, of, site.rules.anomalies)
        ]
        if found:
            with site.database.write() as tx:
                opened += open_anomalies(tx, found, site.rules.version, site.clock())
    return opened


def _backwards(tx: Connection, end_day: int) -> Counter[tuple[int, int, int]]:
    """How often reads or registers went backwards, by meter, channel and day."""
    f = finding.c
    day = f.start_s // DAY_S
    query = (
        select(f.meter, f.channel, day, func.count())
        .where(f.rule.in_(_BACKWARDS), f.start_s >= (end_day - DAYS) * DAY_S, f.start_s < end_day * DAY_S)
        .group_by(f.meter, f.channel, day)
    )
    return Counter({(meter, channel, int(at)): many for meter, channel, at, many in tx.execute(query)})


def _tariffs_that_feed_in(site: Site) -> set[str]:
    """Tariffs that credit energy fed in: who has one may feed in."""
    return {
        tariff.id
        for name in site.tariffs.ids
        for tariff in site.tariffs.versions(name)
        if any(isinstance(part, Energy) and part.measures == "export" for part in tariff.components)
    }


def _account_of_days(held: Sequence[Agreement], accounts: dict[str, int], end_day: int) -> Int64s:
    """The number of the account that was supplied on each day, 0 for none (d,)."""
    supplied = np.zeros(DAYS, np.int64)
    first_day = end_day - DAYS
    for agreement in held:
        begin = max(day_number(agreement.valid_from) - first_day, 0)
        end = DAYS if agreement.valid_to is None else max(day_number(agreement.valid_to) - first_day, 0)
        supplied[begin:end] = accounts[agreement.account.id]
    return supplied


def _by_neighbourhood(channels: Sequence[EnrolledChannel]) -> Iterator[tuple[list[EnrolledChannel], Int64s]]:
    """Portions of channels, those of one neighbourhood and usage point together, with each one's neighbourhood."""
    points: dict[str, list[EnrolledChannel]] = defaultdict(list)
    for channel in channels:
        points[channel.usage_point].append(channel)
    areas: dict[tuple[str, str], list[list[EnrolledChannel]]] = defaultdict(list)
    for its in points.values():
        areas[its[0].gateway or its[0].timezone, its[0].customer_class].append(its)
    portion: list[EnrolledChannel] = []
    numbers: list[int] = []
    for number, area in enumerate(areas.values()):
        for its in area:
            portion += its
            numbers += [number] * len(its)
        if len(portion) >= _CHANNELS_AT_ONCE:
            yield portion, np.array(numbers)
            portion, numbers = [], []
    if portion:
        yield portion, np.array(numbers)
