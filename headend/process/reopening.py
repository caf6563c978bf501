"""Closed days that reads still come for: what rests on them is opened again, and settlement estimates it anew.

Estimated days are never a reference for others. So a day that is opened for what an actual read became changes nothing
that would open another, and all this ends after one round.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, update

from headend.reads.blocks import Blocks
from headend.reads.quality import IS_ACTUAL, IS_DECIDED, Quality
from headend.site import Site
from headend.store.basis import is_any, resting_on
from headend.store.intervals import BlockKey
from headend.store.tables import day_block

Bools = NDArray[np.bool_]


def horizon(site: Site) -> int:
    """The first day that is not due yet by the site's clock [days since 1970]."""
    return site.rules.due_before(site.clock())


def reopen_dependants(
    tx: Connection, site: Site, stood: Blocks, now: Blocks, changed: Bools, *, but: Collection[BlockKey] = ()
) -> list[BlockKey]:
    """Open every settled day again whose estimates rest on a read that changes; which.

    Days that are not due yet are what nothing rests on: they come when they should.

    Parameters
    ----------
    stood, now
        the same keys in the same order, as they stood and as they are now.
    changed
        of which intervals something changes (k, n). Where an estimate takes the place of another nothing does that
        anything could rest on.
    but
        days that stay as they are.
    """
    due = now.day < horizon(site)
    if not is_any(tx):
        return []
    matters = changed & (
        (_counts(stood) != _counts(now))
        | ((_counts(now) > 0) & (stood.values != now.values))
        | (stood.register != now.register)
        | (stood.flags != now.flags)
    )
    touched = matters.any(axis=1) & due
    if not touched.any():
        return []
    opened = sorted(resting_on(tx, now.take(touched).keys) - set(but))
    open_again(tx, opened)
    return opened


def open_again(tx: Connection, days: Collection[BlockKey]) -> None:
    """These days are to be settled again, wherever their reads are."""
    if days:
        b = day_block.c
        query = update(day_block).where(b.day == bindparam("d"), b.meter == bindparam("m"), b.channel == bindparam("c"))
        keys = [{"d": day, "m": meter, "c": channel} for day, meter, channel in days]
        tx.execute(query.values(settled=False), keys)


def _counts(blocks: Blocks) -> NDArray[np.int8]:
    """What others may make of an interval (k, n): 0 nothing, 1 the end of a gap, 2 a reference as well."""
    good = IS_ACTUAL[blocks.quality] | IS_DECIDED[blocks.quality]
    return good.astype(np.int8) + (good & (blocks.quality != Quality.ESTIMATED_BY_HAND))
