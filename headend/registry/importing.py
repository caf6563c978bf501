"""Registry files into the registry: looked at as a whole, then written as a whole or not at all.

A cell that is empty says nothing: what there is stays, and what is new takes the site file's defaults. So a file that
was made before somebody moved out does not undo that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, func, select

from headend.billing.groups import ALWAYS_MONTHLY, MONTHLY, Membership
from headend.errors import BillingConflict, InvalidInput
from headend.reads.channels import Channel
from headend.reads.days import moment, seconds, zone_named
from headend.registry.billed import Billed, Span, billed, flag_touched, rows_of
from headend.registry.changes import IMPORT, MEMBER, Clerk, note
from headend.registry.contracts import (
    Changed,
    Held,
    agreements_where,
    put_agreements,
    touches,
    wrong_classes,
    wrong_overlaps,
    wrong_tariffs,
)
from headend.registry.exchange import KNOWN_GATEWAY
from headend.registry.grouping import EVER, check_change, following, put_memberships
from headend.registry.members import billing_groups, memberships
from headend.registry.rows import AgreementLine, Fault, RegistryRows, Told
from headend.registry.site_file import MeterRow
from headend.store import tables as t
from headend.store.bulk import upsert_rows
from headend.tariffs import TariffBook

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of a kind: what is new, what changes, what is there already."""

    add: int = 0
    change: int = 0
    leave: int = 0


@dataclass(slots=True)
class Report:
    """What an import does, or would do.

    Parameters
    ----------
    faults
        what is wrong; where there is anything, nothing is written.
    billed
        statements of which it changes days.
    """

    counts: dict[str, Counts] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    billed: list[Billed] = field(default_factory=list)


def import_rows(
    tx: Connection,
    tariffs: TariffBook,
    rows: RegistryRows,
    clerk: Clerk,
    *,
    billed_too: bool = False,
    dry_run: bool = False,
) -> Report:
    """Add and change what files name; nothing is written where anything in them is wrong, or in a dry run."""
    plan = _Plan(tx, rows, Report(faults=list(rows.faults)))
    plan.look(tariffs, clerk.now.date(), billed_too=billed_too)
    report = plan.report
    # In the order of the files: so they are mended from the top.
    report.faults.sort(key=lambda fault: (fault.file, fault.line))
    if not report.faults and not dry_run:
        plan.write(clerk)
    return report


@dataclass(slots=True)
class _Plan:
    """What is to be written, by kind, found out before anything is."""

    tx: Connection
    rows: RegistryRows
    report: Report
    accounts: list[tuple[Any, ...]] = field(default_factory=list)
    usage_points: list[tuple[Any, ...]] = field(default_factory=list)
    meters: list[MeterRow] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int | None] = field(default_factory=dict)
    agreements: list[Changed] = field(default_factory=list)
    memberships: dict[str, tuple[Membership, ...]] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    met: list[tuple[Span, list[Billed]]] = field(default_factory=list)
    told: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    moved: dict[str, str] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    reclassed: dict[str, Told[Any]] = field(default_factory=dict)
    zones: dict[str, str] = field(default_factory=dict)

    def look(self, tariffs: TariffBook, today: date, *, billed_too: bool) -> None:
        """Compare the files with what there is."""
        self._look_at_accounts()
        self._look_at_usage_points()
        self._look_at_meters()
        at = self._look_at_agreements(tariffs)
        self._refuse_classes(tariffs, today)
        self._look_at_groups()
        self.met = touches(self.tx, self.spans)
        self.report.billed = list(dict.fromkeys(one for _, its in self.met for one in its))
        if not billed_too:
            for span, its in self.met:
                named = ", ".join(f"{each.statement} ({each.period})" for each in its[:3])
                line = at.get((span.account, span.usage_point, span.first)) or at.get(span.usage_point)
                expected = "days that are not billed, or --billed-too to have it flagged"
                where = line or Told("", 0, None)
                self.report.faults.append(where.fault("", f"days that are billed in {named}", expected))

    def write(self, clerk: Clerk) -> None:
        """Write it all."""
        tx = self.tx
        upsert_rows(tx, t.account, self.accounts)
        upsert_rows(tx, t.usage_point, self.usage_points)
        self._write_meters(clerk)
        put_agreements(tx, (each.after for each in self.agreements), clerk)
        put_memberships(tx, self.memberships)
        flag_touched(tx, self.met, f"import by {clerk.name}", clerk)
        note(tx, IMPORT, clerk, ((subject, "; ".join(texts)) for subject, texts in self.told.items()))
        # By these the site file knows whose groups it has to leave alone.
        note(tx, MEMBER, clerk, self.moved.items())

    # ---- what there is against what the files say ----

    def _look_at_accounts(self) -> None:
        told = self._once("accounts", self.rows.accounts, lambda row: row.id, "account")
        named = [each.row.account for each in self.rows.agreements] + [each.row.account for each in self.rows.groups]
        kept = self._kept(t.account, [*told, *named])
        self.classes = {key: row.customer_class for key, row in kept.items()}
        for key, each in told.items():
            row = each.row
            put = (key, row.name, row.customer_class, row.locale)
            if key in kept:
                old = kept[key]
                said = row.model_fields_set
                put = (
                    key,
                    row.name,
                    row.customer_class if "customer_class" in said else old.customer_class,
                    row.locale if "locale" in said else old.locale,
                )
            self._count("accounts", key, kept.get(key), put, self.accounts, _words("account", put[1:]))
            self.classes[key] = put[2]
            if key in kept and put[2] != kept[key].customer_class:
                self.reclassed[key] = each

    def _look_at_usage_points(self) -> None:
        told = self._once("usage_points", self.rows.usage_points, lambda row: row.id, "usage_point")
        places = [each.row.usage_point for each in self.rows.meters]
        places += [each.row.usage_point for each in self.rows.agreements]
        kept = self._kept(t.usage_point, [*told, *places])
        self.zones = {key: row.timezone for key, row in kept.items()}
        for key, each in told.items():
            row, old = each.row, kept.get(key)
            area = row.gas_area if old is None or "gas_area" in row.model_fields_set else old.gas_area
            put = (key, row.timezone, row.address, area)
            if old is not None and old.timezone != row.timezone:
                found = f"{row.timezone}, but its days are those of {old.timezone}"
                self.report.faults.append(each.fault("timezone", found, "what it has always been"))
            self._count("usage_points", key, old, put, self.usage_points, _words("usage point", put[1:]))
            self.zones[key] = row.timezone

    def _look_at_meters(self) -> None:
        told = self._once("meters", self.rows.meters, lambda row: row.meter, "meter")
        m, i = t.meter.c, t.installation.c
        query = select(t.meter, i.usage_point_id, i.installed_s, i.removed_s).join(t.installation, i.meter_id == m.id)
        kept = {row.name: row for row in rows_of(self.tx, m.name, told, query)}
        channels: dict[int, dict[int, Any]] = defaultdict(dict)
        ids = [row.id for row in kept.values()]
        for row in rows_of(self.tx, t.meter_channel.c.meter_id, ids, select(t.meter_channel)):
            channels[row.meter_id][row.channel] = row
        constants = Counter(
            (row.meter_id, row.channel, row.numerator, row.denominator)
            for row in rows_of(self.tx, t.channel_constant.c.meter_id, ids, select(t.channel_constant))
        )
        number = self.tx.execute(select(func.max(m.id))).scalar() or 0
        counts: Counter[str] = Counter()
        self._refuse_gateways(told, kept)
        for name, each in told.items():
            row, old = each.row, kept.get(name)
            if row.usage_point not in self.zones:
                expected = "one that there is, or a line of usage_points.csv"
                self.report.faults.append(each.fault("usage_point", row.usage_point, expected))
                continue
            if old is None:
                number += 1
                self.ids[name], self.removed[name] = number, seconds(row.removed) if row.removed else None
                self.meters.append(row)
                self.told[name].append(f"{row.commodity} meter at {row.usage_point}")
                counts["add"] += 1
                continue
            row = _completed(row, old, channels[old.id])
            self._refuse_moved(replace(each, row=row), old, channels[old.id])
            self.ids[name] = old.id
            self.removed[name] = seconds(row.removed) if row.removed else old.removed_s
            if _same_meter(row, old, channels[old.id], constants) and self.removed[name] == old.removed_s:
                counts["leave"] += 1
                continue
            counts["change"] += 1
            self.meters.append(row)
            self.told[name].append(f"changed: {row.commodity} meter at {row.usage_point}")
            self._span_of_removal(row, old)
        self.report.counts["meters"] = Counts(**counts)

    def _refuse_gateways(self, told: Mapping[str, Told[MeterRow]], kept: Mapping[str, Any]) -> None:
        """Nobody could tell a meter whose gateway nobody knows; what it has always been told by may stay."""
        new = {
            name: each
            for name, each in told.items()
            if each.row.gateway is not None and (name not in kept or each.row.gateway != kept[name].gateway)
        }
        g = t.gateway.c.name
        known = {row.name for row in rows_of(self.tx, g, (each.row.gateway for each in new.values()), select(g))}
        self.report.faults += [
            each.fault("gateway", str(each.row.gateway), KNOWN_GATEWAY)
            for each in new.values()
            if each.row.gateway not in known
        ]

    def _refuse_moved(self, each: Told[MeterRow], old: Any, channels: Mapping[int, Any]) -> None:
        row, faults = each.row, self.report.faults
        always = "what it has always been"
        if row.usage_point != old.usage_point_id:
            found = f"{row.usage_point}, but it hangs at {old.usage_point_id}"
            faults.append(each.fault("usage_point", found, "where it hangs, or a meter of another name"))
        if row.commodity != old.commodity:
            faults.append(each.fault("commodity", f"{row.commodity}, but it counts {old.commodity}", always))
        if "installed" in row.model_fields_set and seconds(row.installed) != old.installed_s:
            found = f"{row.installed.isoformat()}, but it hangs since {moment(old.installed_s).isoformat()}"
            faults.append(each.fault("installed", found, "what it was"))
        for channel in row.channels:
            before = channels.get(Channel.parse(channel.channel).code)
            if before is not None and before.interval_s != channel.interval_s:
                found = f"{channel.interval_s}, but its reads are of {before.interval_s} s"
                faults.append(each.fault("interval_s", found, always))

    def _span_of_removal(self, row: MeterRow, old: Any) -> None:
        """Where the end of a meter moves, days of who has an agreement there are billed otherwise."""
        now = self.removed[row.meter]
        if now == old.removed_s:
            return
        edges = [each for each in (now, old.removed_s) if each is not None]
        zone = zone_named(self.zones[row.usage_point])
        first = moment(min(edges)).astimezone(zone).date()
        for held in agreements_where(self.tx, t.service_agreement.c.usage_point_id, [row.usage_point]):
            if held.commodity == row.commodity and held.end > first:
                self.spans.append(Span(held.account, held.usage_point, max(first, held.valid_from), held.valid_to))

    def _look_at_agreements(self, tariffs: TariffBook) -> dict[Hashable, Told[Any]]:
        """The lines of what is told, by (account, usage point, first day) and by usage point."""
        told = self._once("agreements", self.rows.agreements, _held, "valid_from")
        lines = {held.id: each for held, each in ((_held(each.row), each) for each in told.values())}
        places = {each.row.usage_point for each in told.values()}
        kept = {held.id: held for held in agreements_where(self.tx, t.service_agreement.c.usage_point_id, places)}
        counts: Counter[str] = Counter()
        for key, each in lines.items():
            held, old = _held(each.row), kept.get(key)
            self._refuse_unknown(each)
            if old is not None and "valid_to" not in each.row.model_fields_set:
                held = replace(held, valid_to=old.valid_to)
            if old == held:
                counts["leave"] += 1
                continue
            counts["add" if old is None else "change"] += 1
            self.agreements.append(Changed(old, held))
            self.told[held.account].append(f"at {held.usage_point}: {held.commodity} by {held.tariff}, {held.days}")
        self.report.counts["agreements"] = Counts(**counts)
        wrong = (
            *wrong_tariffs(tariffs, self.agreements, self.classes),
            *wrong_overlaps(kept.values(), self.agreements),
        )
        self.report.faults += (lines[each.agreement].fault(each.column, each.found, each.expected) for each in wrong)
        self.spans += (each.span() for each in self.agreements)
        found: dict[Hashable, Told[Any]] = {each.row.usage_point: each for each in self.rows.meters}
        for changed in self.agreements:
            span = changed.span()
            found[span.account, span.usage_point, span.first] = lines[changed.after.id]
        return found

    def _refuse_classes(self, tariffs: TariffBook, today: date) -> None:
        """Refuse another class for an account that has, today or later, a tariff which is not for it."""
        its = {held.id: held for held in agreements_where(self.tx, t.service_agreement.c.account_id, self.reclassed)}
        its |= {each.after.id: each.after for each in self.agreements if each.before is not None}
        going_on = [each for each in its.values() if each.account in self.reclassed and each.end > today]
        lines = {each.id: self.reclassed[each.account] for each in going_on}
        for wrong in wrong_classes(tariffs, going_on, self.classes, today):
            self.report.faults.append(lines[wrong.agreement].fault("customer_class", wrong.found, wrong.expected))

    def _refuse_unknown(self, each: Told[AgreementLine]) -> None:
        row = each.row
        if row.account not in self.classes:
            expected = "one that there is, or a line of accounts.csv"
            self.report.faults.append(each.fault("account", row.account, expected))
        if row.usage_point not in self.zones:
            expected = "one that there is, or a line of usage_points.csv"
            self.report.faults.append(each.fault("usage_point", row.usage_point, expected))

    def _look_at_groups(self) -> None:
        told = self._once("groups", self.rows.groups, lambda row: (row.account, row.since), "from")
        if not told:
            return
        groups, kept = billing_groups(self.tx), memberships(self.tx)
        by_account: dict[str, list[Told[Any]]] = defaultdict(list)
        for each in told.values():
            by_account[each.row.account].append(each)
            if each.row.account not in self.classes:
                self.report.faults.append(
                    each.fault("account", each.row.account, "one that there is, or a line of accounts.csv")
                )
            if each.row.group != MONTHLY and each.row.group not in groups:
                expected = ", ".join([MONTHLY, *groups]) + ", or one that is added first"
                self.report.faults.append(each.fault("group", each.row.group, expected))
        if any(each.row.group != MONTHLY and each.row.group not in groups for each in told.values()):
            return
        begins, done = self._begins(by_account), billed(self.tx, by_account)
        counts: Counter[str] = Counter()
        for account, lines in by_account.items():
            before = kept.get(account, ALWAYS_MONTHLY)
            of = {each.since or EVER: each.group.name for each in before}
            for each in lines:
                # Before its first agreement there is nothing to bill: from then on is from ever.
                since = each.row.since if each.row.since > begins.get(account, date.max) else EVER
                counts[
                    "leave"
                    if of.get(since) == each.row.group
                    else "change"
                    if account in kept and since in of
                    else "add"
                ] += 1
                of[since] = each.row.group
            its = following(groups, list(_where_it_changes(of)))
            if its == before:
                continue
            try:
                check_change(account, before, its, done.get(account, ()))
            except (InvalidInput, BillingConflict) as error:
                self.report.faults.append(_refused(lines[0], error))
            self.memberships[account] = its
            self.moved[account] = ", ".join(f"in group {each.row.group} from {each.row.since} on" for each in lines)
        self.report.counts["groups"] = Counts(**counts)

    def _begins(self, accounts: Collection[str]) -> dict[str, date]:
        """Begin of the first agreement of each account, in the registry or in the files."""
        held = agreements_where(self.tx, t.service_agreement.c.account_id, accounts)
        found: dict[str, date] = {}
        for each in (*held, *(changed.after for changed in self.agreements)):
            if each.valid_from < each.end:
                found[each.account] = min(each.valid_from, found.get(each.account, each.valid_from))
        return found

    # ---- what all kinds have in common ----

    def _once(self, kind: str, told: Iterable[Told[T]], key: Any, column: str) -> dict[Any, Told[T]]:
        """Rows by their key; one that stands twice is a fault."""
        found: dict[Any, Told[T]] = {}
        for each in told:
            its = key(each.row)
            its = its.id if isinstance(its, Held) else its
            first = found.setdefault(its, each)
            if first is not each:
                what = ", ".join(map(str, its)) if isinstance(its, tuple) else str(its)
                expected = f"it once: it stands in {first.file}, line {first.line}"
                self.report.faults.append(each.fault(column, what, expected))
        self.report.counts[kind] = Counts()
        return found

    def _kept(self, table: Table, keys: Iterable[str]) -> dict[str, Any]:
        return {row.id: row for row in rows_of(self.tx, table.c.id, keys, select(table))}

    def _count(
        self, kind: str, key: str, old: Any, put: tuple[Any, ...], into: list[tuple[Any, ...]], text: str
    ) -> None:
        before = self.report.counts[kind]
        if old is not None and tuple(old) == put:
            self.report.counts[kind] = replace(before, leave=before.leave + 1)
            return
        into.append(put)
        if old is None:
            self.report.counts[kind] = replace(before, add=before.add + 1)
            self.told[key].append(text)
        else:
            self.report.counts[kind] = replace(before, change=before.change + 1)
            self.told[key].append(f"changed: {text}")

    def _write_meters(self, clerk: Clerk) -> None:
        ids = self.ids
        upsert_rows(self.tx, t.meter, [(ids[m.meter], m.meter, m.commodity, m.gateway) for m in self.meters])
        kept = {
            row.meter_id: row.installed_s
            for row in rows_of(
                self.tx, t.installation.c.meter_id, (ids[m.meter] for m in self.meters), select(t.installation)
            )
        }
        hung = [
            (
                ids[m.meter],
                kept.get(ids[m.meter], seconds(m.installed)),
                m.usage_point,
                self.removed[m.meter],
                clerk.name,
            )
            for m in self.meters
        ]
        upsert_rows(self.tx, t.installation, hung)
        channels, constants = [], []
        for m in self.meters:
            for c in m.channels:
                key = ids[m.meter], Channel.parse(c.channel).code
                channels.append((*key, c.interval_s, c.max_per_interval, c.register_digits))
                constants += [
                    (*key, each.valid_from_s, each.numerator, each.denominator, each.made_of)
                    for each in c.dated_constants
                ]
        upsert_rows(self.tx, t.meter_channel, channels)
        upsert_rows(self.tx, t.channel_constant, constants)


def _held(row: AgreementLine) -> Held:
    return Held(row.account, row.usage_point, row.commodity, row.tariff, row.valid_from, row.valid_to)


def _words(what: str, values: Iterable[object]) -> str:
    return f"{what}: {', '.join(str(value) for value in values if value is not None)}"


def _completed(row: MeterRow, old: Any, channels: Mapping[int, Any]) -> MeterRow:
    """A meter that there is, with what is not said of it as it is."""
    its = []
    for channel in row.channels:
        kept = channels.get(Channel.parse(channel.channel).code)
        missing = {"interval_s", "register_digits"} - channel.model_fields_set if kept is not None else ()
        its.append(channel.model_copy(update={name: getattr(kept, name) for name in missing}))
    gateway = row.gateway if "gateway" in row.model_fields_set else old.gateway
    return row.model_copy(update={"gateway": gateway, "channels": tuple(its)})


def _same_meter(row: MeterRow, old: Any, channels: Mapping[int, Any], constants: Mapping[Any, int]) -> bool:
    if row.gateway != old.gateway:
        return False
    for channel in row.channels:
        code = Channel.parse(channel.channel).code
        kept = channels.get(code)
        wanted = channel.max_per_interval, channel.register_digits
        if kept is None or (kept.max_per_interval, kept.register_digits) != wanted:
            return False
        if any(not constants.get((old.id, code, each.numerator, each.denominator)) for each in channel.dated_constants):
            return False
    return True


def _where_it_changes(of: Mapping[date, str]) -> Iterator[tuple[str, date]]:
    before = None
    for since in sorted(of):
        if of[since] != before:
            yield of[since], since
        before = of[since]


def _refused(line: Told[Any], error: InvalidInput | BillingConflict) -> Fault:
    if isinstance(error, InvalidInput):
        return line.fault("from", error.found, error.expected)
    return line.fault("from", str(error), "a day that is not billed")
