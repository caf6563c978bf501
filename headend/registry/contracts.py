"""Service agreements as clerks change them: who moves in and out, and by which tariff.

At a usage point and commodity one agreement applies on a day, or none. These rules are asked before anything is
written, whether one agreement changes or a hundred thousand come in a file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import Connection, select

from headend.errors import InvalidInput, NotFound
from headend.registry.billed import Billed, Span, billed, flag_touched, refuse_billed, rows_of, touched
from headend.registry.changes import MOVE_IN, MOVE_OUT, TARIFF, Clerk, note
from headend.registry.members import memberships
from headend.registry.site_file import AccountRow
from headend.store.bulk import upsert_rows
from headend.store.database import storable
from headend.store.tables import account, service_agreement, usage_point
from headend.tariffs import TariffBook


@dataclass(frozen=True, slots=True)
class Held:
    """An agreement as it is kept: from `valid_from` up to and without `valid_to` (None: open)."""

    account: str
    usage_point: str
    commodity: str
    tariff: str
    valid_from: date
    valid_to: date | None = None

    @property
    def id(self) -> str:
        """Its key: what it applies to, and from when on."""
        return f"{self.account}/{self.usage_point}/{self.commodity}/{self.valid_from}"

    @property
    def end(self) -> date:
        """`valid_to`, or the last day there is."""
        return self.valid_to or date.max

    @property
    def days(self) -> str:
        """In words."""
        return f"{self.valid_from} to {self.valid_to}" if self.valid_to else f"from {self.valid_from} on"


@dataclass(frozen=True, slots=True)
class Changed:
    """An agreement before (None: it is new) and after a change."""

    before: Held | None
    after: Held

    def span(self) -> Span:
        """Days on which it matters."""
        before, after = self.before, self.after
        first, end = after.valid_from, after.end
        if before is not None:
            first, end = before.valid_from, max(before.end, after.end)
            if before.tariff == after.tariff:
                first = min(before.end, after.end)
        return Span(after.account, after.usage_point, first, None if end == date.max else end)


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong about an agreement: which of its columns, what was found, what would be right."""

    agreement: str
    column: str
    found: str
    expected: str


def agreements_where(tx: Connection, column: Any, keys: Iterable[object]) -> list[Held]:
    """Agreements of which a column is among some keys, by begin."""
    g = service_agreement.c
    query = select(g.account_id, g.usage_point_id, g.commodity, g.tariff_id, g.valid_from, g.valid_to)
    rows = rows_of(tx, column, keys, query)
    held = [_held(*row) for row in rows]
    return sorted(held, key=lambda each: (each.valid_from, each.id))


def _held(whose: str, point: str, commodity: str, tariff: str, valid_from: str, valid_to: str | None) -> Held:
    end = None if valid_to is None else date.fromisoformat(valid_to)
    return Held(whose, point, commodity, tariff, date.fromisoformat(valid_from), end)


def wrong_tariffs(tariffs: TariffBook, changed: Iterable[Changed], classes: Mapping[str, str]) -> Iterator[Wrong]:
    """Agreements by a tariff that cannot price them; `classes` has the customer class of each account."""
    for each in changed:
        its, before = each.after, each.before
        if before is not None and before.tariff == its.tariff:
            continue
        if its.tariff not in tariffs.ids:
            near = ", ".join(tariffs.ids[:5])
            yield Wrong(its.id, "tariff", repr(its.tariff), f"a tariff of the book, such as {near}")
            continue
        versions = tariffs.versions(its.tariff)
        if versions[0].valid_from > its.valid_from:
            expected = f"{versions[0].valid_from} or later, from when on there is tariff {its.tariff}"
            yield Wrong(its.id, "valid_from", str(its.valid_from), expected)
            continue
        version = tariffs.version(its.tariff, its.valid_from)
        if version.commodity != its.commodity:
            yield Wrong(its.id, "tariff", f"{its.tariff}, for {version.commodity}", f"a tariff for {its.commodity}")
        customer_class = classes.get(its.account)
        if customer_class is not None and customer_class not in version.customer_classes:
            fits = ", ".join(version.customer_classes)
            yield Wrong(its.id, "tariff", f"{its.tariff}, for {fits}", f"one for {customer_class}, as the account is")


def wrong_classes(
    tariffs: TariffBook, held: Iterable[Held], classes: Mapping[str, str], today: date
) -> Iterator[Wrong]:
    """Agreements whose tariff, today or on a later day, is not for the class that their account has now."""
    for its in held:
        begin, its_class = max(today, its.valid_from), classes[its.account]
        if its.tariff not in tariffs.ids or its.end <= begin:
            continue
        for first, _, version in tariffs.versions_between(its.tariff, begin, its.end):
            if its_class not in version.customer_classes:
                fits = ", ".join(version.customer_classes)
                found = f"{its_class}, but {its.tariff} at {its.usage_point} is for {fits} on {first}"
                yield Wrong(its.id, "customer_class", found, f"{fits}, or change its tariff first")
                break


def wrong_overlaps(kept: Iterable[Held], changed: Iterable[Changed]) -> Iterator[Wrong]:
    """Agreements that would apply on a day on which another does; `kept` are those that are there at these places."""
    its = {each.after.id for each in changed}
    places: dict[tuple[str, str], list[Held]] = defaultdict(list)
    for held in (*(each for each in kept if each.id not in its), *(each.after for each in changed)):
        if held.valid_from < held.end:
            places[held.usage_point, held.commodity].append(held)
    for together in places.values():
        together.sort(key=lambda each: each.valid_from)
        furthest = together[0]
        for held in together[1:]:
            if held.valid_from < furthest.end:
                mine, other = (held, furthest) if held.id in its else (furthest, held)
                if mine.id in its:
                    found = f"{mine.days}, while {other.account} has an agreement {other.days}"
                    yield Wrong(mine.id, "valid_from", found, f"days on which nobody has one at {mine.usage_point}")
            furthest = max(furthest, held, key=lambda each: each.end)


def touches(tx: Connection, spans: Sequence[Span]) -> list[tuple[Span, list[Billed]]]:
    """Spans with statements that billed days of them; the others are left out."""
    accounts = {span.account for span in spans}
    done = billed(tx, accounts)
    if not done:
        return []
    members = memberships(tx, account=next(iter(accounts)) if len(accounts) == 1 else None)
    found = ((span, touched(span, done, members)) for span in spans if span.account in done)
    return [(span, its) for span, its in found if its]


def put_agreements(tx: Connection, held: Iterable[Held], clerk: Clerk) -> None:
    """Write agreements as a clerk's, which the site file leaves alone."""
    upsert_rows(
        tx,
        service_agreement,
        [
            (
                each.id,
                each.account,
                each.usage_point,
                each.commodity,
                each.tariff,
                each.valid_from.isoformat(),
                each.valid_to.isoformat() if each.valid_to else None,
                clerk.name,
            )
            for each in held
        ],
    )


def move_in(
    tx: Connection,
    tariffs: TariffBook,
    held: Held,
    clerk: Clerk,
    *,
    new: AccountRow | None = None,
    billed_too: bool = False,
) -> list[Billed]:
    """An account gets an agreement; statements of which it changes days.

    Parameters
    ----------
    new
        the account, where there is none yet.

    Raises
    ------
    InvalidInput, NotFound
        the place or the tariff is not there, or somebody has the place on such a day.
    BillingConflict
        days of it are billed, and that is not `billed_too`.
    """
    if tx.execute(select(usage_point.c.id).where(usage_point.c.id == held.usage_point)).first() is None:
        raise NotFound(f"no usage point is called {held.usage_point!r}")
    if not held.valid_from < held.end:
        raise InvalidInput("move-in", held.days, "an end after its begin")
    known = tx.execute(select(account.c.name).where(account.c.id == held.account)).scalar()
    if known is None:
        if new is None:
            raise NotFound(f"no account is called {held.account!r}: give --name to add it")
        row = new.model_dump(include={"id", "customer_class", "locale"})
        tx.execute(account.insert().values(row | {"name": storable(new.name)}))
    elif new is not None and new.name != known:
        raise InvalidInput("name", repr(new.name), f"{known!r}, as account {held.account} is called")
    text = f"to {held.usage_point}, {held.commodity} by {held.tariff}, {held.days}"
    before = next((each for each in _at(tx, held) if each.id == held.id), None)
    if before is not None and before.valid_from < before.end:
        raise InvalidInput(f"move-in of {held.account}", f"{before.days} already", "change-tariff, or another day")
    return _change(tx, tariffs, [Changed(before, held)], clerk, MOVE_IN, text, billed_too=billed_too)


def move_out(
    tx: Connection,
    tariffs: TariffBook,
    place: tuple[str, str],
    on: date,
    clerk: Clerk,
    *,
    commodity: str | None = None,
    billed_too: bool = False,
) -> list[Billed]:
    """End the agreements of an account at a usage point; statements of which that changes days.

    Parameters
    ----------
    place
        account and usage point.
    on
        first day that is no longer the account's. The day it moved in: it never did.
    commodity
        this one alone; None: all.

    Raises
    ------
    InvalidInput
        it has moved out already, or had not moved in by then.
    NotFound
        the account has no agreement there.
    BillingConflict
        days after that are billed, and that is not `billed_too`.
    """
    its = _of(tx, *place, commodity)
    ending = [each for each in its if each.valid_from <= on < each.end]
    if not ending and (later := [each for each in its if on < each.valid_from]):
        found = f"{on}, before it moves in on {later[0].valid_from} ({later[0].commodity} by {later[0].tariff})"
        raise InvalidInput(f"move-out of {place[0]}", found, "that day or later")
    if not ending:
        last = max(each.end for each in its)
        raise InvalidInput(f"move-out of {place[0]}", str(on), f"a day before {last}, when it moved out of {place[1]}")
    changed = [Changed(each, replace(each, valid_to=on)) for each in ending]
    for each in its:  # by begin: another tariff that was to follow never applies
        if any(before.before is not None and _follows(each, before.before) for before in changed):
            changed.append(Changed(each, replace(each, valid_to=each.valid_from)))
    text = f"of {place[1]} on {on}: {', '.join(each.commodity for each in ending)}"
    return _change(tx, tariffs, changed, clerk, MOVE_OUT, text, billed_too=billed_too)


def change_tariff(
    tx: Connection, tariffs: TariffBook, place: tuple[str, str], tariff: str, since: date, clerk: Clerk, **how: Any
) -> list[Billed]:
    """Another tariff from a day on; statements of which that changes days.

    Parameters
    ----------
    how
        `commodity` where the account has several there, `billed_too` as everywhere.

    Raises
    ------
    InvalidInput, NotFound
        the account has no agreement there on that day, or several, or one by that tariff; no such tariff.
    BillingConflict
        days of it are billed, and that is not `billed_too`.
    """
    its = [each for each in _of(tx, *place, how.get("commodity")) if each.valid_from <= since < each.end]
    where = f"tariff of {place[0]} at {place[1]}"
    if len(its) != 1:
        found = " and ".join(each.commodity for each in its) or "no agreement"
        raise InvalidInput(where, f"{found} on {since}", "one agreement on that day, or --commodity")
    (old,) = its
    if old.tariff == tariff:
        raise InvalidInput(where, tariff, "another than it has")
    new = replace(old, tariff=tariff, valid_from=since)
    changed = [Changed(None, new)] if old.id != new.id else [Changed(old, new)]
    if old.id != new.id:
        changed.append(Changed(old, replace(old, valid_to=since)))
    text = f"at {place[1]}, {old.commodity}: {tariff} for {old.tariff}, {new.days}"
    return _change(tx, tariffs, changed, clerk, TARIFF, text, billed_too=bool(how.get("billed_too")))


def _of(tx: Connection, whose: str, point: str, commodity: str | None) -> list[Held]:
    its = [
        each
        for each in agreements_where(tx, service_agreement.c.account_id, [whose])
        if each.usage_point == point and commodity in (None, each.commodity) and each.valid_from < each.end
    ]
    if not its:
        what = f"{commodity} agreement" if commodity else "agreement"
        raise NotFound(f"account {whose!r} has no {what} at {point!r}")
    return its


def _follows(held: Held, before: Held) -> bool:
    return held.commodity == before.commodity and held.valid_from == before.end


def _at(tx: Connection, held: Held) -> list[Held]:
    return agreements_where(tx, service_agreement.c.usage_point_id, [held.usage_point])


def _change(
    tx: Connection,
    tariffs: TariffBook,
    changed: Sequence[Changed],
    clerk: Clerk,
    what: str,
    text: str,
    *,
    billed_too: bool,
) -> list[Billed]:
    whose, point = changed[0].after.account, changed[0].after.usage_point
    classes = {whose: tx.execute(select(account.c.customer_class).where(account.c.id == whose)).scalar_one()}
    wrong = (*wrong_tariffs(tariffs, changed, classes), *wrong_overlaps(_at(tx, changed[0].after), changed))
    for each in wrong:
        raise InvalidInput(f"{what} of {whose} at {point}: {each.column}", each.found, each.expected)
    met = touches(tx, [each.span() for each in changed])
    statements = list(dict.fromkeys(one for _, its in met for one in its))
    if not billed_too:
        refuse_billed(f"{what} of {whose} at {point}", statements)
    put_agreements(tx, [each.after for each in changed], clerk)
    told = f"{text}; billed already in {', '.join(each.statement for each in statements)}" if statements else text
    flag_touched(tx, met, f"{what} by {clerk.name}", clerk)
    note(tx, what, clerk, [(whose, told), (point, f"{whose} {told}")])
    return statements
