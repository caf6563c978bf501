"""The registry: what is enrolled, who has it, and what it is allowed to say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import repeat
from typing import Any

from sqlalchemy import Column, Connection, Row, and_, bindparam, delete, func, not_, or_, select

from headend.billing.agreements import Account, Agreement
from headend.billing.columns import made_of
from headend.billing.groups import ALWAYS_MONTHLY, Membership
from headend.billing.ports import GasQuality
from headend.errors import InvalidConfig, NotFound
from headend.reads.channels import Channel
from headend.reads.constants import Constant
from headend.reads.days import seconds
from headend.registry.billed import rows_of
from headend.registry.grouping import enrol_groups
from headend.registry.members import memberships
from headend.registry.site_file import SiteFile
from headend.store import tables as t
from headend.store.bulk import among
from headend.store.database import upsert

_IDS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class EnrolledChannel:
    """A channel the head-end expects reads from.

    Parameters
    ----------
    meter, meter_name
        registry key, and the name on the wire.
    max_per_interval
        what the connection can physically carry in one interval [base units].
    register_digits
        the cumulative register on the wire rolls over at 10 ** register_digits.
    installed_s, removed_s
        when it began and ended to measure [s since 1970]; None: still does.
    constants
        what one unit on the wire stands for, rising in time; none: one base unit.
    polled
        the head-end asks the meter itself, over Modbus.
    """

    meter: int
    meter_name: str
    channel: Channel
    gateway: str | None
    interval_s: int
    max_per_interval: int
    register_digits: int
    usage_point: str
    timezone: str
    customer_class: str
    installed_s: int
    removed_s: int | None
    constants: tuple[Constant, ...] = ()
    polled: bool = False


@dataclass(frozen=True, slots=True)
class InstalledChannel:
    """A channel of a meter, where and while it hung, with what bills ask of it; see `EnrolledChannel`."""

    meter: int
    meter_name: str
    channel: Channel
    interval_s: int
    register_digits: int
    usage_point: str
    installed_s: int
    removed_s: int | None
    constants: tuple[Constant, ...] = ()


def enrol(tx: Connection, site: SiteFile) -> None:
    """Add or change what the site file names, but for agreements, installations and groups that a clerk has changed.

    Raises
    ------
    InvalidConfig
        a meter is said to hang elsewhere, or to count by other intervals.
    InvalidInput, BillingConflict
        groups do not fit one another, or what is billed.
    """
    upsert(tx, t.gateway, [{"name": name, "messages": 0} for name in _unseen(tx, site.gateways)])
    upsert(
        tx,
        t.usage_point,
        [{"id": p.id, "timezone": p.timezone, "address": p.address, "gas_area": p.gas_area} for p in site.usage_points],
    )
    known = {row.name: row.id for row in tx.execute(select(t.meter.c.name, t.meter.c.id))}
    next_id = max(known.values(), default=0) + 1
    for place, row in enumerate(row for row in site.meters if row.meter not in known):
        known[row.meter] = next_id + place
    upsert(
        tx,
        t.meter,
        [{"id": known[m.meter], "name": m.meter, "commodity": m.commodity, "gateway": m.gateway} for m in site.meters],
    )
    _refuse_moves(tx, site, known)
    by_clerks = _changed_by_clerks(tx, t.installation.c.meter_id, (known[meter.meter] for meter in site.meters))
    hung = [meter for meter in site.meters if known[meter.meter] not in by_clerks]
    _correct_installations(tx, {known[m.meter]: seconds(m.installed) for m in hung})
    upsert(
        tx,
        t.installation,
        [
            {
                "meter_id": known[m.meter],
                "installed_s": seconds(m.installed),
                "usage_point_id": m.usage_point,
                "removed_s": seconds(m.removed) if m.removed else None,
            }
            for m in hung
        ],
    )
    upsert(
        tx,
        t.meter_channel,
        [
            {
                "meter_id": known[m.meter],
                "channel": Channel.parse(c.channel).code,
                "interval_s": c.interval_s,
                "max_per_interval": c.max_per_interval,
                "register_digits": c.register_digits,
            }
            for m in site.meters
            for c in m.channels
        ],
    )
    _put_constants(tx, site, known)
    _put_modbus(tx, site, known)
    upsert(
        tx,
        t.gas_quality,
        [
            {
                "area": row.area,
                "valid_from": row.since.isoformat(),
                "calorific_value": format(row.calorific_value, "f"),
                "conversion": format(row.conversion, "f"),
            }
            for row in site.gas_quality
        ],
    )
    _put_accounts(tx, site)


def _put_accounts(tx: Connection, site: SiteFile) -> None:
    upsert(
        tx,
        t.account,
        [{"id": a.id, "name": a.name, "customer_class": a.customer_class, "locale": a.locale} for a in site.accounts],
    )
    rows = [
        {
            "id": f"{a.id}/{g.usage_point}/{g.commodity}/{g.valid_from}",
            "account_id": a.id,
            "usage_point_id": g.usage_point,
            "commodity": g.commodity,
            "tariff_id": g.tariff,
            "valid_from": g.valid_from.isoformat(),
            "valid_to": g.valid_to.isoformat() if g.valid_to else None,
        }
        for a in site.accounts
        for g in a.agreements
    ]
    by_clerks = _changed_by_clerks(tx, t.service_agreement.c.id, (row["id"] for row in rows))
    upsert(tx, t.service_agreement, [row for row in rows if row["id"] not in by_clerks])
    enrol_groups(tx, site)


def _changed_by_clerks(tx: Connection, key: Column[Any], named: Iterable[object]) -> set[object]:
    """Of these agreements or meters those that were changed otherwise than by the file, which leaves them alone."""
    changed = select(key).where(key.table.c.changed_by.is_not(None))
    return {row[0] for row in rows_of(tx, key, named, changed)}


def _put_constants(tx: Connection, site: SiteFile, known: Mapping[str, int]) -> None:
    """A channel that the file names has the constants it has there, and no other."""
    named = [
        ({"meter_id": known[meter.meter], "channel": Channel.parse(row.channel).code}, row.dated_constants)
        for meter in site.meters
        for row in meter.channels
    ]
    c = t.channel_constant.c
    its = delete(t.channel_constant).where(c.meter_id == bindparam("meter_id"), c.channel == bindparam("channel"))
    if named:
        tx.execute(its, [key for key, _ in named])
    upsert(tx, t.channel_constant, [key | asdict(constant) for key, dated in named for constant in dated])


def _put_modbus(tx: Connection, site: SiteFile, known: Mapping[str, int]) -> None:
    """A device that the file no longer names is no longer asked."""
    rows = [{"meter_id": known[m.meter], **m.modbus.model_dump()} for m in site.meters if m.modbus is not None]
    tx.execute(delete(t.modbus_device).where(t.modbus_device.c.meter_id.not_in([row["meter_id"] for row in rows])))
    upsert(tx, t.modbus_device, rows)


def _refuse_moves(tx: Connection, site: SiteFile, known: Mapping[str, int]) -> None:
    """The site file cannot say when a meter moved or counted otherwise, so it must not say that it did."""
    hangs = {row.meter_id: row.usage_point_id for row in tx.execute(select(t.installation))}
    counts = {(row.meter_id, row.channel): row.interval_s for row in tx.execute(select(t.meter_channel))}
    for meter in site.meters:
        if hangs.get(known[meter.meter], meter.usage_point) != meter.usage_point:
            found = f"{meter.usage_point}, but it hangs at {hangs[known[meter.meter]]}"
            raise InvalidConfig(
                f"meter {meter.meter}: usage_point", found, "where it hangs, or a meter of another name"
            )
        for row in meter.channels:
            before = counts.get((known[meter.meter], Channel.parse(row.channel).code), row.interval_s)
            if before != row.interval_s:
                found = f"{row.interval_s}, but its reads are of {before} s"
                raise InvalidConfig(f"meter {meter.meter}: {row.channel}: interval_s", found, "what it has always been")


def _correct_installations(tx: Connection, begins: Mapping[int, int]) -> None:
    """The file names one installation of a meter: another begin at the same place corrects the earlier one."""
    i = t.installation.c
    for row in tx.execute(select(t.installation)).all():
        if begins.get(row.meter_id, row.installed_s) != row.installed_s:
            tx.execute(delete(t.installation).where(i.meter_id == row.meter_id, i.installed_s == row.installed_s))


def _unseen(tx: Connection, gateways: tuple[str, ...]) -> list[str]:
    seen = set(tx.execute(select(t.gateway.c.name)).scalars())
    return [name for name in gateways if name not in seen]


# Channels, where and while their meters hung.
_IN_SERVICE = t.meter.join(t.meter_channel, t.meter_channel.c.meter_id == t.meter.c.id).join(
    t.installation, t.installation.c.meter_id == t.meter.c.id
)


def enrolled_channels(tx: Connection, *, meter: str | None = None) -> list[EnrolledChannel]:
    """Every channel in service, or those of one meter; by meter name."""
    query = (
        select(
            t.meter.c.id,
            t.meter.c.name,
            t.meter_channel.c.channel,
            t.meter.c.gateway,
            t.meter_channel.c.interval_s,
            t.meter_channel.c.max_per_interval,
            t.meter_channel.c.register_digits,
            t.usage_point.c.id.label("usage_point"),
            t.usage_point.c.timezone,
            t.installation.c.installed_s,
            t.installation.c.removed_s,
            t.modbus_device.c.meter_id.is_not(None).label("polled"),
        )
        .select_from(_IN_SERVICE)
        .join(t.usage_point, t.usage_point.c.id == t.installation.c.usage_point_id)
        .join(t.modbus_device, t.modbus_device.c.meter_id == t.meter.c.id, isouter=True)
        .order_by(t.meter.c.name, t.meter_channel.c.channel)
    )
    if meter is not None:
        query = query.where(t.meter.c.name == meter)
    rows = tx.execute(query).all()
    if not rows:
        return []
    # By columns: a fleet's rows one by one would take longer than the query.
    ids, names, codes, *between, point, timezone, installed_s, removed_s, polled = zip(*rows, strict=True)
    class_at = _classes(tx, meter)
    classes = [class_at.get(each, "residential") for each in point]
    columns = (ids, names, map(_channel, codes), *between, point, timezone, classes, installed_s, removed_s)
    return made_of(EnrolledChannel, len(rows), *columns, _constants(tx, ids, codes, are_all=meter is None), polled)


def installed_channels(tx: Connection, usage_points: Collection[str] | None = None) -> list[InstalledChannel]:
    """Every channel in service, or those at some usage points, with what bills ask of it; by meter name."""
    query = (
        select(
            t.meter.c.id,
            t.meter.c.name,
            t.meter_channel.c.channel,
            t.meter_channel.c.interval_s,
            t.meter_channel.c.register_digits,
            t.installation.c.usage_point_id,
            t.installation.c.installed_s,
            t.installation.c.removed_s,
        )
        .select_from(_IN_SERVICE)
        .order_by(t.meter.c.name, t.meter_channel.c.channel)
    )
    if usage_points is not None:
        query = query.where(among(tx, t.installation.c.usage_point_id, usage_points))
    rows = tx.execute(query).all()
    if not rows:
        return []
    ids, names, codes, *rest = zip(*rows, strict=True)
    constants = _constants(tx, ids, codes, are_all=usage_points is None)
    return made_of(InstalledChannel, len(rows), ids, names, map(_channel, codes), *rest, constants)


_channel = lru_cache(maxsize=256)(Channel)


def _classes(tx: Connection, meter: str | None) -> dict[str, str]:
    """The customer class of who has, or had last, a usage point."""
    g = t.service_agreement.c
    query = (
        select(g.usage_point_id, t.account.c.customer_class)
        .join(t.account, t.account.c.id == g.account_id)
        .group_by(g.usage_point_id, t.account.c.customer_class)
        .order_by(func.max(g.valid_from))
    )
    if meter is not None:
        places = select(t.installation.c.usage_point_id).join(t.meter, t.meter.c.id == t.installation.c.meter_id)
        query = query.where(g.usage_point_id.in_(places.where(t.meter.c.name == meter)))
    return {row[0]: row[1] for row in tx.execute(query).all()}


def _constants(
    tx: Connection, meters: Sequence[int], codes: Sequence[int], *, are_all: bool
) -> Iterable[tuple[Constant, ...]]:
    """Of each of these channels, rising in time; `are_all`: there are no others."""
    c = t.channel_constant.c
    query = select(t.channel_constant).order_by(c.meter_id, c.channel, c.valid_from_s)
    if not are_all:
        query = query.where(among(tx, c.meter_id, set(meters)))
    found: dict[tuple[int, int], tuple[Constant, ...]] = {}
    for row in tx.execute(query):
        constant = Constant(row.valid_from_s, row.numerator, row.denominator, row.made_of)
        found[row.meter_id, row.channel] = (*found.get((row.meter_id, row.channel), ()), constant)
    # Most meters have none.
    return [found.get(key, ()) for key in zip(meters, codes, strict=True)] if found else repeat(())


def channels_of(tx: Connection, meter: str) -> list[EnrolledChannel]:
    """The channels of one meter by name; raises `NotFound`."""
    found = enrolled_channels(tx, meter=meter)
    if not found:
        raise NotFound(f"no meter is called {meter!r}")
    return found


_AGREEMENTS = (
    select(
        t.account.c.id.label("account"),
        *(t.account.c[name] for name in ("name", "customer_class", "locale")),
        *(t.service_agreement.c[name] for name in ("id", "usage_point_id", "commodity", "tariff_id")),
        *(t.service_agreement.c[name] for name in ("valid_from", "valid_to")),
        *(t.usage_point.c[name] for name in ("address", "timezone", "gas_area")),
    )
    .join(t.account, t.account.c.id == t.service_agreement.c.account_id)
    .join(t.usage_point, t.usage_point.c.id == t.service_agreement.c.usage_point_id)
    # One that ends as it begins was given up before its first day, and never applies.
    .where(
        or_(t.service_agreement.c.valid_to.is_(None), t.service_agreement.c.valid_from < t.service_agreement.c.valid_to)
    )
    .order_by(t.service_agreement.c.account_id, t.service_agreement.c.id)
)


def agreements(tx: Connection, *, account: str | None = None) -> list[Agreement]:
    """Every service agreement, or those of one account; by account."""
    query = _AGREEMENTS if account is None else _AGREEMENTS.where(t.service_agreement.c.account_id == account)
    return _found(tx.execute(query).all(), memberships(tx, account=account))


def account_ids(tx: Connection) -> Iterator[str]:
    """The id of every account, in order."""
    query = select(t.account.c.id).order_by(t.account.c.id).execution_options(yield_per=_IDS_AT_ONCE)
    yield from tx.execute(query).scalars()


def agreements_between(tx: Connection, first: str, last: str) -> list[Agreement]:
    """Service agreements of the accounts from the first to the last; by account."""
    query = _AGREEMENTS.where(t.service_agreement.c.account_id.between(first, last))
    return _found(tx.execute(query).all(), memberships(tx, between=(first, last)))


def agreements_beside(tx: Connection, first: str, last: str) -> list[Agreement]:
    """Agreements of accounts outside of a range that share a usage point, a commodity and a day with one inside."""
    its, inside = t.service_agreement.c, t.service_agreement.alias("inside")
    always = "9999-12-31"
    query = _AGREEMENTS.join(
        inside,
        and_(
            inside.c.account_id.between(first, last),
            inside.c.usage_point_id == its.usage_point_id,
            inside.c.commodity == its.commodity,
            inside.c.valid_from < func.coalesce(its.valid_to, always),
            its.valid_from < func.coalesce(inside.c.valid_to, always),
        ),
    ).where(not_(its.account_id.between(first, last)))
    rows = list({row.id: row for row in tx.execute(query)}.values())
    members: dict[str, tuple[Membership, ...]] = {}
    for each in {whose for whose, *_ in rows}:
        members |= memberships(tx, account=each)
    return _found(rows, members)


def timezones(tx: Connection) -> set[str]:
    """Of all usage points."""
    return set(tx.execute(select(t.usage_point.c.timezone).distinct()).scalars())


def _found(rows: Sequence[Row[Any]], members: Mapping[str, tuple[Membership, ...]]) -> list[Agreement]:
    """Agreements of rows of `_AGREEMENTS`: of a range of accounts they are looked up by the thousand."""
    if not rows:
        return []
    whose, name, customer_class, locale, its, point, commodity, tariff, begins, ends, *place = zip(*rows, strict=True)
    n = len(rows)
    groups = [members.get(each, ALWAYS_MONTHLY) for each in whose] if members else repeat(ALWAYS_MONTHLY)
    accounts = made_of(Account, n, whose, name, customer_class, locale, groups)
    address, timezone, gas_area = place
    since, until = map(_day, begins), map(_day, ends)
    return made_of(Agreement, n, its, accounts, point, address, timezone, commodity, tariff, since, until, gas_area)


@lru_cache(maxsize=16_384)
def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def gas_qualities(tx: Connection) -> dict[str, tuple[GasQuality, ...]]:
    """What gas is worth, by area, rising in time."""
    c = t.gas_quality.c
    found: dict[str, tuple[GasQuality, ...]] = {}
    for row in tx.execute(select(t.gas_quality).order_by(c.area, c.valid_from)):
        value = GasQuality(date.fromisoformat(row.valid_from), Decimal(row.calorific_value), Decimal(row.conversion))
        found[row.area] = (*found.get(row.area, ()), value)
    return found


def account_named(tx: Connection, account: str) -> Account:
    """One account; raises `NotFound`."""
    row = tx.execute(select(t.account).where(t.account.c.id == account)).first()
    if row is None:
        raise NotFound(f"no account is called {account!r}")
    members = memberships(tx, account=account).get(account, ALWAYS_MONTHLY)
    return Account(row.id, row.name, row.customer_class, row.locale, members)
