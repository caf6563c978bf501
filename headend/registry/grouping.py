"""Billing groups as clerks make them: when their periods begin, when their meters are read, who is in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from sqlalchemy import Connection, delete, func, or_, select

from headend.billing.agreements import Account, Agreement, in_force
from headend.billing.groups import (
    ALWAYS_MONTHLY,
    CALENDAR_MONTHS,
    MONTHLY,
    BillingGroup,
    Membership,
    check_group,
    check_memberships,
)
from headend.errors import BillingConflict, InvalidInput, NotFound
from headend.reads.days import Period
from headend.registry.billed import Billed, billed
from headend.registry.changes import GROUP, MEMBER, Clerk, changed_by_hand, note
from headend.registry.members import billing_groups, memberships
from headend.registry.site_file import SiteFile
from headend.store import tables as t
from headend.store.bulk import portions
from headend.store.database import upsert

_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
#: Since when an account is in the group it was in first.
EVER = date.min


def add_group(tx: Connection, group: BillingGroup, clerk: Clerk) -> None:
    """Make a billing group; raises `InvalidInput` for one that is there, or whose periods cannot be billed."""
    if not _GROUP.fullmatch(group.name):
        raise InvalidInput("group", repr(group.name[:80]), "1 to 40 letters, digits or . _ -")
    if group.name == MONTHLY or group.name in billing_groups(tx):
        raise InvalidInput("group", f"{group.name}, which there is already", "another name")
    put_group(tx, group)
    note(tx, GROUP, clerk, [(group.name, f"added: periods begin on day {group.first_day}")])


def put_group(tx: Connection, group: BillingGroup) -> None:
    """Write a group and its reading dates in the place of what it was.

    Raises
    ------
    InvalidInput
        for periods that cannot be billed.
    BillingConflict
        days that are billed for good would lie in another period.
    """
    check_group(group)
    before = billing_groups(tx).get(group.name)
    if before is not None and before != group:
        _check_members(tx, before, group)
    upsert(tx, t.billing_group, [{"name": group.name, "first_day": group.first_day}])
    tx.execute(delete(t.reading_date).where(t.reading_date.c.group_name == group.name))
    rows = [
        {"group_name": group.name, "period": period, "read_on": day.isoformat()} for period, day in group.reading_dates
    ]
    upsert(tx, t.reading_date, rows)


def change_dates(tx: Connection, name: str, dates: Mapping[str, date], clerk: Clerk) -> BillingGroup:
    """Say on which days a group's meters are read, for some of its periods; the group after that.

    Raises
    ------
    NotFound
        there is no such group.
    InvalidInput, BillingConflict
        as `put_group`; and `InvalidInput` where nothing is said.
    """
    group = _group(billing_groups(tx), name)
    if name == MONTHLY:
        raise InvalidInput("group", MONTHLY, "a group that was added: the monthly one has calendar months")
    if not dates:
        raise InvalidInput("reading dates", "none", "a period and a day such as 2026-10=2026-10-28")
    its = replace(group, reading_dates=tuple(sorted({**dict(group.reading_dates), **dates}.items())))
    put_group(tx, its)
    told = ", ".join(f"{period} read on {day}" for period, day in sorted(dates.items()))
    note(tx, GROUP, clerk, [(name, told)])
    return its


def assign(tx: Connection, account: str, name: str, since: date, clerk: Clerk) -> None:
    """Put an account into a group from a local day on; what it was to be in after that is forgotten.

    Raises
    ------
    NotFound
        there is no such account or group.
    InvalidInput
        the change would bill days twice in a period or leave some out: the next possible day is named.
    BillingConflict
        days that are billed for good would lie in another period.
    """
    groups = billing_groups(tx)
    group = _group(groups, name)
    if tx.execute(select(t.account.c.id).where(t.account.c.id == account)).first() is None:
        raise NotFound(f"no account is called {account!r}")
    before = memberships(tx, account=account).get(account, ALWAYS_MONTHLY)
    kept = tuple(each for each in before if each.since is None or each.since < since)
    stays = kept[-1].group == group
    if stays and len(kept) == len(before):
        raise InvalidInput(f"account {account}: group", f"{name}, in which it is", "another group")
    g = t.service_agreement.c
    first = select(func.min(g.valid_from)).where(g.account_id == account)
    # One that ends as it begins never applies.
    begins = tx.execute(first.where(or_(g.valid_to.is_(None), g.valid_from < g.valid_to))).scalar()
    if begins is None or since.isoformat() <= begins:
        its: tuple[Membership, ...] = (Membership(group),)
    elif stays:
        its = (*kept[:-1], replace(kept[-1], until=None))
    else:
        its = (*kept[:-1], replace(kept[-1], until=since), Membership(group, since))
    check_change(account, before, its, billed(tx, [account]).get(account, ()))
    put_memberships(tx, {account: its})
    note(tx, MEMBER, clerk, [(account, f"in group {name} from {since} on")])


def enrol_groups(tx: Connection, site: SiteFile) -> None:
    """Groups and memberships of the site file, but for those that a clerk has changed."""
    by_clerks = changed_by_hand(tx, GROUP) if site.billing_groups else set()
    for row in site.billing_groups:
        if row.name not in by_clerks:
            put_group(tx, row.group)
    named = {row.id: row.memberships for row in site.accounts if row.memberships}
    if named:
        by_clerks = changed_by_hand(tx, MEMBER)
        named = {account: its for account, its in named.items() if account not in by_clerks}
        groups = billing_groups(tx)
        put_members(tx, {account: following(groups, its) for account, its in named.items()})


def following(groups: Mapping[str, BillingGroup], its: Sequence[tuple[str, date]]) -> tuple[Membership, ...]:
    """Memberships of an account in groups by name, each from a day on; the first from ever."""
    ends = [*(since for _, since in its[1:]), None]
    begins = [None, *ends[:-1]]
    return tuple(
        Membership(_group(groups, name), begin, end) for (name, _), begin, end in zip(its, begins, ends, strict=True)
    )


def put_members(tx: Connection, its: Mapping[str, tuple[Membership, ...]]) -> None:
    """Write memberships where they are others than before, once they fit what is billed; as `check_change`."""
    kept = memberships(tx)
    differ = {each: members for each, members in its.items() if kept.get(each, ALWAYS_MONTHLY) != members}
    done = billed(tx, differ)
    for account, members in differ.items():
        check_change(account, kept.get(account, ALWAYS_MONTHLY), members, done.get(account, ()))
    put_memberships(tx, differ)


def check_change(
    account: str, before: tuple[Membership, ...], after: tuple[Membership, ...], done: Sequence[Billed]
) -> None:
    """Raise where memberships do not fit one another, or what is billed: `InvalidInput`, `BillingConflict`."""
    check_memberships(account, after)
    for each in done:
        if days_of(account, before, each.period) != days_of(account, after, each.period):
            raise BillingConflict(
                f"account {account}: its days of {each.period} are billed in {each.statement} and would be others. A"
                " group changes from a day on that is not billed"
            )


def days_of(account: str, its: tuple[Membership, ...], period: str) -> Period | None:
    """Local days that a billing period bills an account for."""
    member = Account(account, "", "", "", its)
    return in_force(Agreement("", member, "", "", "UTC", "", "", date.min, None), period)


def put_memberships(tx: Connection, its: Mapping[str, tuple[Membership, ...]]) -> None:
    """Write in which groups accounts are, in the place of what was."""
    for some in portions(its):
        tx.execute(delete(t.account_group).where(t.account_group.c.account_id.in_(some)))
    upsert(
        tx,
        t.account_group,
        [
            {"account_id": account, "valid_from": (each.since or EVER).isoformat(), "group_name": each.group.name}
            for account, members in its.items()
            if members != ALWAYS_MONTHLY
            for each in members
        ],
    )


def _group(groups: Mapping[str, BillingGroup], name: str) -> BillingGroup:
    if name == MONTHLY:
        return CALENDAR_MONTHS
    if name not in groups:
        raise NotFound(f"no billing group is called {name!r}")
    return groups[name]


def _check_members(tx: Connection, before: BillingGroup, after: BillingGroup) -> None:
    """Raise where a change of a group's days does not fit what its accounts are billed, or their other groups."""
    m = t.account_group.c
    inside = select(m.account_id).where(m.group_name == before.name)
    s = t.statement.c
    periods = tx.execute(select(s.period).where(s.account_id.in_(inside)).distinct()).scalars()
    differ = [each for each in periods if before.days(each, "UTC") != after.days(each, "UTC")]
    others = select(m.account_id).group_by(m.account_id).having(func.count() > 1)
    moved = set(tx.execute(inside.where(m.account_id.in_(others))).scalars())
    whose: set[str] = set(moved)
    if differ:
        whose |= set(tx.execute(select(s.account_id).where(s.account_id.in_(inside), s.period.in_(differ))).scalars())
    if not whose:
        return
    members, done = memberships(tx), billed(tx, whose)
    for account in sorted(whose):
        its = members[account]
        changed = tuple(replace(each, group=after) if each.group == before else each for each in its)
        check_change(account, its, changed, done.get(account, ()))


def dates_of(where: str, told: Iterable[tuple[str, str]]) -> dict[str, date]:
    """Reading dates as people write them, by period; raises `InvalidInput`."""
    found: dict[str, date] = {}
    for period, text in told:
        try:
            day = date.fromisoformat(text.strip())
        except ValueError:
            raise InvalidInput(f"{where}: {period}", repr(text[:40]), "a day such as 2026-10-28") from None
        if period.strip() in found:
            raise InvalidInput(f"{where}: {period}", "twice", "each period once")
        found[period.strip()] = day
    return found
