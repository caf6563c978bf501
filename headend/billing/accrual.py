"""What running billing periods cost so far, and will have cost at their end: accruals, of many accounts at once.

An accrual is what the engine that makes statements makes of the reads there are, without the statement: agreements that
share tariff version, days and interval length are rows of one array, rated together, and nothing is looked up or
digested that only paper needs. The same array, its missing intervals filled with what is expected, is rated three
times more for the forecast: so tiers, TOU periods, demand, allowances and standing charges count as they will.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from headend.billing.accrued import Accrual, Forecast, LineSoFar, SegmentSoFar
from headend.billing.agreements import Agreement, billing_days, billing_window, period_at
from headend.billing.banks import Balance, Balances, has_bank, left, opening_of, taken_over
from headend.billing.cycle import ExceptionCode
from headend.billing.drafting import several_currencies
from headend.billing.forecast import Days, expected_rest, pattern_of, scaled_rest, share_off
from headend.billing.gas import by_energy, is_by_energy
from headend.billing.groups import Membership
from headend.billing.metered import Metered, at_usage_points, units
from headend.billing.parts import Hung, Part, by_usage_point, parts_of
from headend.billing.peaks import peaks_before, ratchet_months
from headend.billing.ports import GasQualities, MeterChannel, Office, Records
from headend.billing.published import market_of, with_prices_as_a_week_before, with_prices_up_to
from headend.billing.usage import day_begins, rated_use
from headend.errors import CannotRate, NotFound
from headend.reads import LoadProfiles, Quality
from headend.reads.days import Period, moment, seconds, zone_named
from headend.tariffs import BillingWindow, Carried, Line, Market, Peaks, RatedBatch, TariffBook, rate_batch
from headend.tariffs.money import unit_of_scale

Bools = NDArray[np.bool_]

# What is rated at once stays in the processor's cache.
_ROWS = 512

#: What is rated: the reads there are, and with the rest as it may become.
Scenario = Literal["so far", "low", "expected", "high"]
_TO_COME: tuple[Scenario, ...] = ("low", "expected", "high")


def cost_so_far(office: Office, account: str, now: datetime) -> Accrual:
    """The accrual of the billing period that `now` lies in, made on the spot; raises `NotFound`."""
    with office.database.read() as tx:
        records = office.records(tx)
        agreements = records.agreements(account)
        if not agreements:
            raise NotFound(f"account {account!r} has no service agreement")
        today = now.astimezone(zone_named(agreements[0].timezone)).date()
        period = period_at(agreements[0].account, today)
        channels = records.channels({agreement.usage_point for agreement in agreements})
        (accrual,) = accrue(Basis.of(records, office.tariffs, channels), agreements, period, now)
    return accrual


@dataclass(frozen=True, slots=True)
class Basis:
    """What accruals of all accounts are made from, within one view of registry and reads."""

    records: Records
    tariffs: TariffBook
    hung: Hung
    gas: GasQualities

    @classmethod
    def of(cls, records: Records, tariffs: TariffBook, channels: Iterable[MeterChannel]) -> Basis:
        """Look up what is the same for all.

        Parameters
        ----------
        channels
            at least those of the accounts' usage points.
        """
        return cls(records, tariffs, by_usage_point(channels), records.gas_qualities())


def accrue(basis: Basis, agreements: Sequence[Agreement], period: str, now: datetime) -> list[Accrual]:
    """The accruals of one billing period, one for each account, by account.

    Parameters
    ----------
    agreements
        all of each account.
    now
        days before it are what a forecast looks back on.
    """
    run = _Run(basis, period, now)
    parts = [part for each in agreements for part in parts_of(each, basis.tariffs, basis.hung, period, run.refuse)]
    opening = opening_of(basis.records, parts, period, provisional=True)
    run.balances = {scenario: dict(opening.balances) for scenario in get_args(Scenario)}
    places: dict[tuple[Period, int], list[Part]] = defaultdict(list)
    for part in parts:
        places[run.days_of(part.agreement), part.interval_s].append(part)
    for (whole, interval_s), together in places.items():
        _Place.of(run, whole, interval_s, together).rate(together)
    by_account: dict[str, list[Agreement]] = defaultdict(list)
    for agreement in agreements:
        by_account[agreement.account.id].append(agreement)
    return [run.accrual(its) for _, its in sorted(by_account.items())]


@dataclass(slots=True)
class _Run:
    """What grows while accounts are rated; lists and sums are by account."""

    basis: Basis
    period: str
    now: datetime
    balances: dict[Scenario, Balances] = field(default_factory=dict)
    segments: dict[str, list[SegmentSoFar]] = field(default_factory=lambda: defaultdict(list))
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    #: In the minor unit: low, expected, high.
    to_come: dict[str, list[int]] = field(default_factory=dict)
    unforeseen: dict[str, str] = field(default_factory=dict)
    whole: dict[tuple[tuple[Membership, ...], str], Period] = field(default_factory=dict)

    def refuse(self, agreement: Agreement, code: ExceptionCode, detail: str) -> None:  # noqa: ARG002
        """An agreement that cannot be rated."""
        self.problems[agreement.account.id].append(f"{agreement.id}: {detail}")

    def days_of(self, agreement: Agreement) -> Period:
        """All local days of the period, as the account's group has them."""
        members, zone = agreement.account.memberships, agreement.timezone
        its = self.whole.get((members, zone))
        if its is None:
            its = self.whole[members, zone] = billing_days(agreement, self.period)
        return its

    def foresee(self, agreement: Agreement, amounts: Sequence[int]) -> None:
        """Add what one part of an account will come to."""
        before = self.to_come.get(agreement.account.id, (0, 0, 0))
        self.to_come[agreement.account.id] = [one + other for one, other in zip(before, amounts, strict=True)]

    def accrual(self, agreements: Sequence[Agreement]) -> Accrual:
        """One account's, of what has grown."""
        account, whole = agreements[0].account.id, self.days_of(agreements[0])
        segments = tuple(sorted(self.segments.get(account, ()), key=lambda each: (each.agreement, each.first)))
        problems = list(self.problems.get(account, ()))
        currencies = sorted({each.currency for each in segments})
        if len(currencies) > 1:
            problems.append(several_currencies(currencies))
        one = len(currencies) == 1
        forecast, why = self._forecast(account, segments, problems)
        return Accrual(
            account=account,
            period=self.period,
            first=whole.first,
            last=whole.end - timedelta(days=1),
            currency=currencies[0] if one else None,
            amount=sum((each.gross for each in segments), Decimal(0)) if one else None,
            through=min((each.reads_end for each in segments), default=None),
            segments=segments,
            forecast=forecast,
            no_forecast=why,
            problems=tuple(problems),
        )

    def _forecast(
        self, account: str, segments: Sequence[SegmentSoFar], problems: Sequence[str]
    ) -> tuple[Forecast | None, str]:
        if problems:
            return None, "not all of it can be rated"
        if not segments:
            return None, "there is nothing to bill"
        if account in self.unforeseen:
            return None, self.unforeseen[account]
        # A negative price turns the ends round.
        exponent = segments[0].gross.as_tuple().exponent
        unit = unit_of_scale(-exponent if isinstance(exponent, int) else 0)
        low, expected, high = (amount * unit for amount in self.to_come[account])
        return Forecast(min(low, expected, high), expected, max(low, expected, high)), ""


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """What parts of the same billing days and interval length have in common; `keys` are rows of `profiles`.

    Parameters
    ----------
    days
        local days of `profiles`: some weeks of history, and the period.
    today
        which of them is today's, the first of which nothing is looked back on.
    """

    run: _Run
    whole: Period
    keys: dict[tuple[int, int], int]
    profiles: LoadProfiles
    market: Market
    days: Days
    today: int

    @classmethod
    def of(cls, run: _Run, whole: Period, interval_s: int, parts: Sequence[Part]) -> _Place:
        """Fetch the reads of parts at once."""
        records = run.basis.records
        keys: dict[tuple[int, int], int] = {}
        for part in parts:
            for meter in part.meters:
                keys.setdefault((meter.meter, meter.channel.code), len(keys))
        today = min(run.now.astimezone(whole.zone).date(), whole.end)
        span = replace(whole, first=min(whole.first, today - _HISTORY))
        if seconds(span.start_utc) % interval_s:
            span = whole  # long intervals, and the clock was changed meanwhile
        profiles = records.profiles(list(keys), seconds(span.start_utc), seconds(span.end_utc), interval_s)
        tariffs = {part.tariff.version: part.tariff for part in parts}.values()
        market = market_of(records, tariffs, replace(whole, first=whole.first - timedelta(weeks=1)))
        begins = day_begins(span.first, span.end, span.zone, interval_s)
        days = Days(span.first, begins, span.intervals(interval_s))
        return cls(run, whole, keys, profiles, market, days, max(0, (today - span.first).days))

    def rate(self, parts: Sequence[Part]) -> None:
        """Every part becomes a segment or a problem."""
        kinds: dict[tuple[object, ...], list[Part]] = defaultdict(list)
        for part in parts:
            kinds[part.kind].append(part)
        # Earlier days first: they leave their bank to the later ones.
        for its in sorted(kinds.values(), key=lambda its: its[0].first):
            for begin in range(0, len(its), _ROWS):
                _Group(self, its[begin : begin + _ROWS]).rate()


_HISTORY = timedelta(weeks=4)


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """One quantity of `m` usage points: before and in the window, and the window as it will be.

    Parameters
    ----------
    window
        reads there are (m, n).
    missing
        where there is none (m, n).
    expected
        the window with what is expected there (m, n).
    known, share
        whether that is known, and how far it may be off, as a share (m,).
    """

    window: Metered
    missing: Bools
    expected: NDArray[np.int64]
    known: Bools
    share: NDArray[np.float64]

    def take(self, rows: Sequence[int], scenario: Scenario, *, falls: bool = False) -> Metered:
        """Rows as a scenario has them; `falls`: it is the less, the more it costs."""
        if scenario == "so far":
            return self.window.take(rows)
        if scenario == "expected":
            return Metered(self.expected[rows], self.window.quality[rows])
        sign = 1 if (scenario == "high") != falls else -1
        values = scaled_rest(self.expected[rows], self.missing[rows], sign * self.share[rows])
        return Metered(values, self.window.quality[rows])


class _Group:
    """Parts of one kind, row by row."""

    def __init__(self, place: _Place, parts: Sequence[Part]) -> None:
        self.place, self.run, self.parts = place, place.run, parts
        part, whole = parts[0], place.whole
        self.tariff, self.interval_s = part.tariff, part.interval_s
        self.window: BillingWindow = billing_window(
            replace(whole, first=part.first, end=part.end), self.run.period, whole
        )
        at = (part.first - place.days.first).days
        self.days = range(at, at + self.window.days)
        self.begin = int(place.days.begins[at])
        self.columns = slice(self.begin, self.begin + self.window.intervals(self.interval_s))
        self.used = self._counted([part.used for part in parts])
        self.fed_in = None if part.fed_in is None else self._counted([part.fed_in or () for part in parts])
        self.reactive = None if part.reactive is None else self._counted([part.reactive or () for part in parts])
        self.past = Carried()

    @property
    def counted(self) -> list[_Counted]:
        """All quantities that are billed."""
        return [each for each in (self.used, self.fed_in, self.reactive) if each is not None]

    def _counted(self, meters: Sequence[Sequence[MeterChannel]]) -> _Counted:
        place = self.place
        pairs = [[(place.keys[each.meter, each.channel.code], each) for each in its] for its in meters]
        # Up to the end of the window: the days before it are what is looked back on.
        all_of_it = at_usage_points(place.profiles, pairs, slice(0, self.columns.stop))
        window = Metered(all_of_it.values[:, self.begin :], all_of_it.quality[:, self.begin :])
        present = all_of_it.quality != Quality.MISSING
        missing = ~present[:, self.begin :]
        m = len(meters)
        if not missing.any():
            return _Counted(window, missing, window.values, np.ones(m, dtype=np.bool_), np.zeros(m))
        since = np.array([(part.agreement.valid_from - place.days.first).days for part in self.parts])
        until = min(place.today, self.days.stop)
        days = Days(place.days.first, place.days.begins[: self.days.stop], self.columns.stop)
        pattern = pattern_of(all_of_it.values, present, days, until, since)
        expected = expected_rest(all_of_it.values, present, days, self.days, pattern)
        rest = np.where(missing, expected, 0).sum(axis=1)
        share = share_off(rest, missing.sum(axis=1) * (self.interval_s / 86_400), pattern)
        return _Counted(window, missing, expected, pattern.known | ~missing.any(axis=1), share)

    def rate(self) -> None:
        """Every part becomes a segment or a problem; where it can be foreseen, what it will come to is added."""
        rows = list(range(len(self.parts)))
        if ratchet_months(self.tariff):
            basis = self.run.basis
            try:
                self.past = peaks_before(basis.records, basis.hung, self.parts, basis.gas, self.run.period)
            except CannotRate as error:
                self._refuse(rows, f"demand of the months before: {error}")
                return
        rated = [row for some, batch in self._rated(rows, "so far", self._refuse) for row in self._keep(some, batch)]
        open_rows = np.logical_or.reduce([each.missing.any(axis=1) for each in self.counted])
        known = np.logical_and.reduce([each.known for each in self.counted])
        foreseen = [row for row in rated if open_rows[row] and known[row]]
        for row in rated:
            if open_rows[row] and not known[row]:
                self.run.unforeseen[self._account(row)] = _TOO_SHORT
        self._foresee(foreseen)

    def _account(self, row: int) -> str:
        return self.parts[row].agreement.account.id

    def _refuse(self, rows: Sequence[int], detail: str) -> None:
        for row in rows:
            self.run.refuse(self.parts[row].agreement, ExceptionCode.CANNOT_RATE, detail)

    def _foresee(self, rows: Sequence[int]) -> None:
        """Rate rows with the rest of their days as it may become."""
        if not rows:
            return
        amounts: dict[int, list[int]] = {row: [] for row in rows}

        def cannot(some: Sequence[int], detail: str) -> None:
            for row in some:
                self.run.unforeseen[self._account(row)] = detail

        for scenario in _TO_COME:
            for some, batch in self._rated(rows, scenario, cannot):
                for row, amount in zip(some, batch.totals.tolist(), strict=True):
                    amounts[row].append(amount)
        for row, its in amounts.items():
            if len(its) == len(_TO_COME):
                self.run.foresee(self.parts[row].agreement, its)

    def _rated(
        self, rows: Sequence[int], scenario: Scenario, refuse: Any
    ) -> Iterator[tuple[Sequence[int], RatedBatch]]:
        """Rows rated at once; where the engine refuses, halved until the one it means is alone."""
        rows = self._with_balance(rows, scenario, refuse)
        if not rows:
            return
        try:
            batch = self._batch(rows, scenario)
        except CannotRate as error:
            if len(rows) == 1:
                refuse(rows, str(error))
                return
            half = len(rows) // 2
            yield from self._rated(rows[:half], scenario, refuse)
            yield from self._rated(rows[half:], scenario, refuse)
            return
        if has_bank(self.tariff):
            for at, row in enumerate(rows):
                after = Balance(self.window.end, left(self.tariff, batch.carried, at))
                self.run.balances[scenario][self.parts[row].agreement.id] = after
        yield rows, batch

    def _with_balance(self, rows: Sequence[int], scenario: Scenario, refuse: Any) -> Sequence[int]:
        """Rows of which it is known what is in their bank."""
        if not has_bank(self.tariff):
            return rows
        known = []
        for row in rows:
            since = self.run.balances[scenario][self.parts[row].agreement.id].since
            if since == self.window.first:
                known.append(row)
            else:
                its = f"the days from {since} on cannot be rated, so what they leave in its bank is not known"
                refuse([row], its)
        return known

    def _batch(self, rows: Sequence[int], scenario: Scenario) -> RatedBatch:
        used = self.used.take(rows, scenario)
        fed_in = None if self.fed_in is None else self.fed_in.take(rows, scenario, falls=True)
        reactive = None if self.reactive is None else self.reactive.take(rows, scenario)
        if is_by_energy(self.tariff):
            areas = [self.parts[row].agreement.gas_area for row in rows]
            used, _ = by_energy(used, areas, self.run.basis.gas, self.window, self.interval_s)
        use = rated_use(self.interval_s, used, fed_in, reactive)
        customer_class = self.parts[0].agreement.account.customer_class
        carried = self._carried(rows, scenario)
        return rate_batch(self.tariff, self.window, use, self._market(rows, scenario), carried, customer_class)

    def _market(self, rows: Sequence[int], scenario: Scenario) -> Market:
        """What is published, made longer over the time of which nothing is yet."""
        market = self.place.market
        if not market.prices:
            return market
        end_s = seconds(self.place.whole.end_utc)
        if scenario != "so far":
            return with_prices_as_a_week_before(market, end_s)
        there = np.logical_or.reduce([(~each.missing[rows]).any(axis=0) for each in self.counted])
        present = np.flatnonzero(there)
        reached = int(present[-1]) + 1 if len(present) else 0
        return with_prices_up_to(market, seconds(self.window.start_utc) + reached * self.interval_s, end_s)

    def _carried(self, rows: Sequence[int], scenario: Scenario) -> Carried:
        """What bills take over."""
        peaks = {
            place: tuple(Peaks(each.month, each.watts[rows]) for each in several)
            for place, several in self.past.peaks.items()
        }
        if not has_bank(self.tariff):
            return Carried(peaks=peaks)
        balances = self.run.balances[scenario]
        banks = [balances[self.parts[row].agreement.id].bank for row in rows]
        return replace(taken_over(self.tariff, banks), peaks=peaks)

    def _keep(self, rows: Sequence[int], batch: RatedBatch) -> Iterator[int]:
        """Segments of rated rows, which are given back; one that is read to its end is foreseen as it is."""
        n = self.columns.stop - self.columns.start
        begins = self.place.days.begins[self.days.start : self.days.stop] - self.begin
        window, missing, expected = self.used.window.values, self.used.missing, self.used.expected
        if is_by_energy(self.tariff):
            areas = [part.agreement.gas_area for part in self.parts]
            gas, span, interval_s = self.run.basis.gas, self.window, self.interval_s
            window = by_energy(self.used.window, areas, gas, span, interval_s)[0].values
            expected = by_energy(Metered(expected, self.used.window.quality), areas, gas, span, interval_s)[0].values
        reached = np.where(missing.all(axis=1), 0, n - np.argmax(~missing[:, ::-1], axis=1))[rows].tolist()
        days_reached = np.searchsorted(begins, np.array(reached), side="left").tolist()
        daily = np.add.reduceat(window[rows], begins, axis=1)
        usage = daily.sum(axis=1).tolist()
        to_come = np.add.reduceat(expected[rows], begins, axis=1).tolist()
        fed_in = None if self.fed_in is None else self.fed_in.window.values[rows].sum(axis=1).tolist()
        is_open = np.logical_or.reduce([each.missing.any(axis=1) for each in self.counted])[rows].tolist()
        known = np.logical_and.reduce([each.known for each in self.counted])[rows].tolist()
        start_s, last = seconds(self.window.start_utc), self.window.end - timedelta(days=1)
        daily_rows, totals = daily.tolist(), batch.totals.tolist()
        for at, (row, bill) in enumerate(zip(rows, batch.bills(), strict=True)):
            part = self.parts[row]
            self.run.segments[part.agreement.account.id].append(
                SegmentSoFar(
                    agreement=part.agreement.id,
                    commodity=part.agreement.commodity,
                    unit=self.tariff.unit,
                    tariff=self.tariff.name,
                    currency=bill.currency,
                    first=part.first,
                    last=last,
                    usage=units(usage[at]),
                    export=None if fed_in is None else units(fed_in[at]),
                    gross=bill.total,
                    reads_end=moment(start_s + reached[at] * self.interval_s),
                    daily=tuple(daily_rows[at][: days_reached[at]]),
                    expected=tuple(to_come[at]) if is_open[at] and known[at] else (),
                    lines=tuple([_line(line) for line in bill.lines]),
                )
            )
            if not is_open[at]:
                self.run.foresee(part.agreement, [totals[at]] * len(_TO_COME))
                if has_bank(self.tariff):
                    for scenario in _TO_COME:
                        its = self.run.balances["so far"][part.agreement.id]
                        self.run.balances[scenario][part.agreement.id] = its
            yield row


_TOO_SHORT = "fewer than 14 of the last 28 days have been read all through"


def _line(line: Line) -> LineSoFar:
    charge = line.charge
    return LineSoFar(charge.kind, charge.label, charge.unit, charge.period, charge.tier, line.quantity, line.amount)
