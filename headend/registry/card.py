"""All that the registry knows of one account, usage point or meter, with every date, for people to read."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from headend.billing.groups import ALWAYS_MONTHLY
from headend.errors import NotFound
from headend.reads.channels import Channel
from headend.reads.days import moment
from headend.registry.changes import Change, changes
from headend.registry.contracts import Held, agreements_where
from headend.registry.members import memberships
from headend.store import tables as t


@dataclass(frozen=True, slots=True)
class Hung:
    """A meter at a usage point, from when to when [UTC], and what it counts."""

    meter: str
    commodity: str
    usage_point: str
    installed: str
    removed: str | None
    gateway: str | None
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """What there is about a subject.

    Parameters
    ----------
    facts
        (what, in words).
    groups
        billing groups of an account, (name, from, until): "" is from ever, or open.
    """

    kind: str
    subject: str
    facts: tuple[tuple[str, str], ...]
    agreements: tuple[Held, ...]
    meters: tuple[Hung, ...]
    groups: tuple[tuple[str, str, str], ...]
    changes: tuple[Change, ...]


def cards(tx: Connection, subject: str) -> list[Card]:
    """Whatever goes by that name: an account, a usage point, a meter, or several of them; raises `NotFound`."""
    found = [card for card in (_account(tx, subject), _usage_point(tx, subject), _meter(tx, subject)) if card]
    if not found:
        raise NotFound(f"no account, usage point or meter is called {subject!r}")
    return found


def _account(tx: Connection, subject: str) -> Card | None:
    row = tx.execute(select(t.account).where(t.account.c.id == subject)).first()
    if row is None:
        return None
    held = agreements_where(tx, t.service_agreement.c.account_id, [subject])
    members = memberships(tx, account=subject).get(subject, ALWAYS_MONTHLY)
    groups = tuple((each.group.name, str(each.since or ""), str(each.until or "")) for each in members)
    facts = (("name", row.name), ("customer class", row.customer_class), ("locale", row.locale))
    return _card(tx, "account", subject, facts, held, [each.usage_point for each in held], groups)


def _usage_point(tx: Connection, subject: str) -> Card | None:
    row = tx.execute(select(t.usage_point).where(t.usage_point.c.id == subject)).first()
    if row is None:
        return None
    held = agreements_where(tx, t.service_agreement.c.usage_point_id, [subject])
    facts = (("address", row.address), ("timezone", row.timezone), ("gas area", row.gas_area or "none"))
    return _card(tx, "usage point", subject, facts, held, [subject])


def _meter(tx: Connection, subject: str) -> Card | None:
    query = (
        select(t.installation.c.usage_point_id)
        .join(t.meter, t.meter.c.id == t.installation.c.meter_id)
        .where(t.meter.c.name == subject)
    )
    places = list(tx.execute(query).scalars())
    if not places:
        return None
    its = [each for each in _hung(tx, places) if each.meter == subject]
    there = agreements_where(tx, t.service_agreement.c.usage_point_id, places)
    held = [each for each in there if each.commodity == its[0].commodity]
    facts = (("commodity", its[0].commodity), ("gateway", its[0].gateway or "any"))
    return Card("meter", subject, facts, tuple(held), tuple(its), (), tuple(changes(tx, [subject])))


def _card(
    tx: Connection,
    kind: str,
    subject: str,
    facts: tuple[tuple[str, str], ...],
    held: list[Held],
    places: list[str],
    groups: tuple[tuple[str, str, str], ...] = (),
) -> Card:
    return Card(kind, subject, facts, tuple(held), tuple(_hung(tx, places)), groups, tuple(changes(tx, [subject])))


def _hung(tx: Connection, places: list[str]) -> list[Hung]:
    m, i = t.meter.c, t.installation.c
    query = (
        select(m.id, m.name, m.commodity, m.gateway, i.usage_point_id, i.installed_s, i.removed_s)
        .join(t.installation, i.meter_id == m.id)
        .where(i.usage_point_id.in_(places))
        .order_by(i.usage_point_id, i.installed_s, m.name)
    )
    c = t.meter_channel.c
    return [
        Hung(
            row.name,
            row.commodity,
            row.usage_point_id,
            _utc(row.installed_s),
            None if row.removed_s is None else _utc(row.removed_s),
            row.gateway,
            tuple(
                Channel(code).obis
                for code in tx.execute(select(c.channel).where(c.meter_id == row.id).order_by(c.channel)).scalars()
            ),
        )
        for row in tx.execute(query).all()
    ]


def _utc(at_s: int) -> str:
    return f"{moment(at_s):%Y-%m-%d %H:%M}"
