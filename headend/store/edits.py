"""Edits: what people did about exceptions, or want to do. A row is written once; only a second person adds to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import Connection, insert, select, update

from headend.errors import NotFound
from headend.reads.days import microseconds, moment_us
from headend.store import tables as t
from headend.store.exceptions import ChannelKey
from headend.vee.byhand import Method

Action = Literal["accept", "edit", "estimate", "reject"]
EditState = Literal["waiting", "done", "refused"]


@dataclass(frozen=True, slots=True)
class Edit:
    """What somebody did about an exception, or wants to do.

    Parameters
    ----------
    exception
        its number.
    method
        of an estimate.
    start_s, end_s
        the intervals that are decided [s since 1970].
    values
        what an edit or an estimate puts there [base units]; None: this one stays as it is.
    reads
        digest of the reads that were decided on.
    change
        energy after − energy before, of these intervals [base units].
    state
        waiting for a second person; done; refused.
    second, second_by
        when and by whom it was confirmed or refused.
    """

    id: int
    exception: int
    action: Action
    method: Method | None
    start_s: int
    end_s: int
    values: tuple[int | None, ...] | None
    reads: str
    reason: str
    note: str
    change: int
    state: EditState
    made: datetime
    made_by: str
    second: datetime | None = None
    second_by: str | None = None


_C = t.edit.c


def keep_edit(
    tx: Connection,
    *,
    exception: int,
    action: Action,
    method: Method | None,
    start_s: int,
    end_s: int,
    values: Sequence[int | None] | None,
    reads: str,
    reason: str,
    note: str,
    change: int,
    state: EditState,
    by: str,
    now: datetime,
) -> int:
    """Write down an edit; its number."""
    row = {
        "exception_id": exception,
        "action": action,
        "method": method,
        "start_s": start_s,
        "end_s": end_s,
        "given": json.dumps({"values": None if values is None else list(values), "reads": reads}),
        "reason": reason,
        "note": note,
        "change": change,
        "state": state,
        "made_us": microseconds(now),
        "made_by": by,
    }
    key = tx.execute(insert(t.edit).values(row)).inserted_primary_key
    return cast("int", key[0]) if key else 0


def has_changed(tx: Connection, edit: int, change: int) -> None:
    """Complete an edit that was just made with the energy it came to."""
    tx.execute(update(t.edit).where(_C.id == edit).values(change=change))


def second(tx: Connection, edit: int, state: Literal["done", "refused"], *, by: str, now: datetime) -> None:
    """A second person confirmed or refused an edit that waited."""
    said = {"state": state, "second_us": microseconds(now), "second_by": by}
    tx.execute(update(t.edit).where(_C.id == edit, _C.state == "waiting").values(said))


def edit_of(tx: Connection, edit: int) -> Edit:
    """One edit by its number; raises `NotFound`."""
    row = tx.execute(select(t.edit).where(_C.id == edit)).first()
    if row is None:
        raise NotFound(f"no edit has the number {edit}")
    return _edit(row)


def edits_of(tx: Connection, exception: int) -> list[Edit]:
    """Everything that was done or asked for about an exception, oldest first."""
    query = select(t.edit).where(_C.exception_id == exception).order_by(_C.id)
    return [_edit(row) for row in tx.execute(query)]


def edits_over(tx: Connection, key: ChannelKey, start_s: int, end_s: int) -> list[Edit]:
    """What was done to a channel's intervals in [start_s, end_s), oldest first."""
    e = t.exception.c
    query = (
        select(t.edit)
        .join(t.exception, e.id == _C.exception_id)
        .where(e.meter == key[0], e.channel == key[1], _C.state == "done", _C.start_s < end_s, _C.end_s > start_s)
        .order_by(_C.id)
    )
    return [_edit(row) for row in tx.execute(query)]


def _edit(row: Any) -> Edit:
    given = json.loads(row.given)
    return Edit(
        row.id,
        row.exception_id,
        row.action,
        row.method,
        row.start_s,
        row.end_s,
        None if given["values"] is None else tuple(given["values"]),
        given["reads"],
        row.reason,
        row.note,
        row.change,
        row.state,
        moment_us(row.made_us),
        row.made_by,
        None if row.second_us is None else moment_us(row.second_us),
        row.second_by,
    )
