"""A meter is exchanged: one ends to measure where another begins, at the end of an interval."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, literal, select, update

from headend.errors import InvalidInput
from headend.reads.days import moment, seconds, zone_named
from headend.registry.billed import Billed, Span, flag_touched, refuse_billed
from headend.registry.changes import EXCHANGE, Clerk, note
from headend.registry.contracts import agreements_where, touches
from headend.registry.registry import EnrolledChannel, channels_of
from headend.registry.site_file import LARGEST
from headend.store import tables as t

#: What is expected where a gateway is named that nobody knows.
KNOWN_GATEWAY = "one that was enrolled or heard (headend gateway list; headend gateway enrol NAME)"

_METER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


@dataclass(frozen=True, slots=True)
class NewMeter:
    """What is hung in a meter's place; where nothing is said, it is as the old one was.

    Parameters
    ----------
    gateway
        who may report it.
    register_digits
        its registers roll over at 10 ** register_digits.
    """

    name: str
    gateway: str | None = None
    register_digits: int | None = None


def exchange_meter(
    tx: Connection, old: str, new: NewMeter, at: datetime, clerk: Clerk, *, billed_too: bool = False
) -> list[Billed]:
    """Remove a meter and hang another in its place, with the same channels and transformers; statements it touches.

    Raises
    ------
    NotFound
        no meter is called as the old one.
    InvalidInput
        it does not hang then, the moment is not the end of an interval or is to come, the new one hangs somewhere, or
        nobody knows its gateway.
    BillingConflict
        days after it are billed, and that is not `billed_too`.
    """
    channels = channels_of(tx, old)
    its = channels[0]
    _check_moment(channels, old, at, clerk.now)
    _check_new(tx, new, channels)
    span_of = at.astimezone(zone_named(its.timezone)).date()
    commodity = tx.execute(select(t.meter.c.commodity).where(t.meter.c.id == its.meter)).scalar_one()
    held = [
        each
        for each in agreements_where(tx, t.service_agreement.c.usage_point_id, [its.usage_point])
        if each.commodity == commodity and each.end > span_of
    ]
    spans = [Span(each.account, each.usage_point, max(span_of, each.valid_from), each.valid_to) for each in held]
    met = touches(tx, spans)
    statements = list(dict.fromkeys(one for _, found in met for one in found))
    where = f"exchange of {old} at {its.usage_point}"
    if not billed_too:
        refuse_billed(where, statements)
    _hang(tx, its, new, commodity, seconds(at), clerk)
    flag_touched(tx, met, f"exchange by {clerk.name}", clerk)
    text = f"{new.name} for {old} at {its.usage_point}, {moment(seconds(at)):%Y-%m-%dT%H:%MZ}"
    if statements:
        text += f"; billed already in {', '.join(each.statement for each in statements)}"
    note(tx, EXCHANGE, clerk, [(subject, text) for subject in (old, new.name, its.usage_point)])
    return statements


def _check_moment(channels: list[EnrolledChannel], old: str, at: datetime, now: datetime) -> None:
    its, where = channels[0], f"exchange of {old}: at"
    if at > now:
        raise InvalidInput(where, f"{at.isoformat()}, which is to come", f"up to now, {now:%Y-%m-%dT%H:%MZ}")
    if its.removed_s is not None:
        found = f"removed at {moment(its.removed_s):%Y-%m-%dT%H:%MZ}"
        raise InvalidInput(f"exchange of {old}", found, "a meter that hangs")
    if seconds(at) <= its.installed_s:
        raise InvalidInput(where, at.isoformat(), f"after it was installed, {moment(its.installed_s):%Y-%m-%dT%H:%MZ}")
    longest = max(channel.interval_s for channel in channels)
    if seconds(at) % longest or at.microsecond:
        raise InvalidInput(where, at.isoformat(), f"the end of an interval of {longest} s")


def _check_new(tx: Connection, new: NewMeter, channels: list[EnrolledChannel]) -> None:
    its = channels[0]
    where = f"exchange of {its.meter_name}: the new meter"
    if new.name == its.meter_name:
        raise InvalidInput(where, new.name, "another than the old one")
    if not _METER.fullmatch(new.name):
        raise InvalidInput(where, repr(new.name[:80]), "1 to 64 letters, digits or . _ : -")
    if new.register_digits is not None and not 4 <= new.register_digits <= 18:
        raise InvalidInput(f"{where}: register digits", str(new.register_digits), "4 to 18")
    if new.gateway is not None and new.gateway != its.gateway:
        gateways = t.gateway.c.name
        if tx.execute(select(gateways).where(gateways == new.gateway)).first() is None:
            raise InvalidInput(f"{where}: gateway", repr(new.gateway[:80]), KNOWN_GATEWAY)
    digits = [each.register_digits if new.register_digits is None else new.register_digits for each in channels]
    for each, number in zip(channels, digits, strict=True):
        for constant in each.constants:
            if constant.scaled(10**number) > LARGEST:
                raise InvalidInput(f"{where}: register digits", str(number), f"fewer, as {constant.made_of} holds")
    i = t.installation.c
    query = select(i.usage_point_id, i.removed_s).join(t.meter, t.meter.c.id == i.meter_id)
    hangs = tx.execute(query.where(t.meter.c.name == new.name)).first()
    if hangs is not None:
        since = "" if hangs.removed_s is None else f", until {moment(hangs.removed_s):%Y-%m-%dT%H:%MZ}"
        found = f"{new.name}, which {'hangs' if hangs.removed_s is None else 'hung'} at {hangs.usage_point_id}{since}"
        raise InvalidInput(where, found, "one that hung nowhere yet: a meter is of one place")


def _hang(tx: Connection, its: EnrolledChannel, new: NewMeter, commodity: str, at_s: int, clerk: Clerk) -> None:
    i = t.installation.c
    mine = update(t.installation).where(i.meter_id == its.meter, i.installed_s == its.installed_s)
    tx.execute(mine.values(removed_s=at_s, changed_by=clerk.name))
    number = tx.execute(select(func.max(t.meter.c.id))).scalar_one() + 1
    gateway = new.gateway or its.gateway
    tx.execute(t.meter.insert().values(id=number, name=new.name, commodity=commodity, gateway=gateway))
    tx.execute(
        t.installation.insert().values(
            meter_id=number, installed_s=at_s, usage_point_id=its.usage_point, changed_by=clerk.name
        )
    )
    for table in (t.meter_channel, t.channel_constant):
        columns = {column.name: column for column in table.columns} | {"meter_id": literal(number)}
        if table is t.meter_channel and new.register_digits is not None:
            columns["register_digits"] = literal(new.register_digits)
        copied = select(*columns.values()).where(table.c.meter_id == its.meter)
        tx.execute(insert(table).from_select(list(columns), copied))
