"""What running billing periods cost so far, and will have cost at their end: accruals, of many accounts at once.

An accrual is what the engine that makes statements makes of the reads there are, without the statement: agreements that
share tariff version, days and interval length are rows of one array, rated together, and nothing is looked up or
digested that only paper needs. The same array, its missing intervals filled with what is expected, three times, is
rated for the forecast: so tiers, TOU periods, demand, allowances and standing charges count as they will. What is said
of the accounts is said in columns, and accruals are made of it where somebody asks for them one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import product
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from headend.billing.accrued import Accrual, AccrualsAlike, Forecast, LineSoFar, SegmentSoFar
from headend.billing.agreements import Agreement, billing_days, billing_window, period_at
from headend.billing.banks import Balance, Balances, has_bank, left, opening_of, taken_over
from headend.billing.columns import column, numbers, some_of
from headend.billing.cycle import ExceptionCode
from headend.billing.drafting import several_currencies
from headend.billing.forecast import Days, expected_rest, pattern_of, scaled_rest, share_off
from headend.billing.gas import by_energy, is_by_energy
from headend.billing.groups import Membership
from headend.billing.metered import UNIT_SCALE, Metered, at_usage_points
from headend.billing.parts import Hung, Part, by_usage_point, parts_of
from headend.billing.peaks import peaks_before, ratchet_months
from headend.billing.ports import GasQualities, MeterChannel, Office, Records
from headend.billing.published import market_of, with_prices_as_a_week_before, with_prices_up_to
from headend.billing.usage import day_begins, rated_use
from headend.errors import CannotRate, NotFound
from headend.reads import LoadProfiles, Quality
from headend.reads.days import Period, moment, seconds, zone_named
from headend.tariffs import BillingWindow, Carried, Market, Peaks, RatedBatch, TariffBook, Use, rate_batch
from headend.tariffs.money import Integers, minor_digits
from headend.tariffs.rating.bill import Column

Bools = NDArray[np.bool_]
Int64s = NDArray[np.int64]
Rows = NDArray[np.int64]

# What is rated at once stays in the processor's cache.
_ROWS = 512

#: What is rated: the reads there are, and with the rest as it may become.
Scenario = Literal["so far", "low", "expected", "high"]
_SO_FAR: tuple[Scenario, ...] = ("so far",)
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
        (alike,) = accrue(Basis.of(records, office.tariffs, channels), agreements, period, now)
    (accrual,) = alike.each()
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


def accrue(basis: Basis, agreements: Sequence[Agreement], period: str, now: datetime) -> list[AccrualsAlike]:
    """The accruals of one billing period, one for each account, those together that are alike.

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
    return run.accruals(agreements)


@dataclass(frozen=True, slots=True, eq=False)
class _SegmentsAlike:
    """Segments of one form, of `k` parts.

    Parameters
    ----------
    gross
        what they come to so far [minor units] (k,).
    reads_end_s
        of each [s since 1970] (k,).
    to_come
        what they will come to, by scenario [minor units] (3, k); nothing where the account is unforeseen.
    """

    form: SegmentSoFar
    gross: Integers
    reads_end_s: Int64s
    to_come: Integers

    def some(self, places: list[int]) -> _SegmentsAlike:
        """Some of them."""
        if places == list(range(len(self.gross))):
            return self
        form = some_of(self.form, places)
        return _SegmentsAlike(form, self.gross[places], self.reads_end_s[places], self.to_come[:, places])


class _Placed(NamedTuple):
    """Where a segment of an account is; in the order in which the account has them."""

    agreement: str
    first: date
    alike: int
    place: int


@dataclass(slots=True)
class _Run:
    """What grows while accounts are rated; problems, and where segments are, are by account."""

    basis: Basis
    period: str
    now: datetime
    balances: dict[Scenario, Balances] = field(default_factory=dict)
    alike: list[_SegmentsAlike] = field(default_factory=list)
    placed: dict[str, list[_Placed]] = field(default_factory=lambda: defaultdict(list))
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
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

    def put(self, parts: Sequence[Part], alike: _SegmentsAlike) -> None:
        """Add segments, those of these parts."""
        at = len(self.alike)
        self.alike.append(alike)
        for place, part in enumerate(parts):
            its = part.agreement
            self.placed[its.account.id].append(_Placed(its.id, part.first, at, place))

    def accruals(self, agreements: Iterable[Agreement]) -> list[AccrualsAlike]:
        """Of all accounts, of what has grown: those together that have segments of the same forms."""
        whole: dict[str, Period] = {}
        for agreement in agreements:
            account = agreement.account.id
            if account not in whole:
                whole[account] = self.days_of(agreement)
        alike: dict[tuple[Period, tuple[int, ...], bool], list[tuple[str, list[_Placed]]]] = defaultdict(list)
        for account, days in whole.items():
            its = self.placed.get(account, [])
            if len(its) > 1:
                its.sort()
            kinds = tuple([each.alike for each in its])
            is_foreseen = account not in self.problems and account not in self.unforeseen
            alike[days, kinds, is_foreseen].append((account, its))
        return [self._accruals(*key, its) for key, its in alike.items()]

    def _accruals(
        self,
        whole: Period,
        kinds: tuple[int, ...],
        is_foreseen: bool,
        its: Sequence[tuple[str, Sequence[_Placed]]],
    ) -> AccrualsAlike:
        accounts = [account for account, _ in its]
        segments = [self.alike[kind].some([placed[at].place for _, placed in its]) for at, kind in enumerate(kinds)]
        currencies = sorted({each.form.currency for each in segments})
        problems = [tuple(self.problems.get(account, ())) for account in accounts]
        currency = amount = forecast = None
        if len(currencies) == 1:
            (currency,) = currencies
            digits = minor_digits(currency)
            amount = numbers(np.sum([each.gross for each in segments], axis=0), digits)
            if is_foreseen:
                to_come = np.sum([each.to_come for each in segments], axis=0)
                # A negative price turns the ends round.
                low, high = to_come.min(axis=0), to_come.max(axis=0)
                forecast = Forecast(numbers(low, digits), numbers(to_come[1], digits), numbers(high, digits))
        elif currencies:
            problems = [(*each, several_currencies(currencies)) for each in problems]
        why = [
            "" if forecast else self._why_not(account, bool(segments), its)
            for account, its in zip(accounts, problems, strict=True)
        ]
        form = Accrual(
            account=column(accounts),
            period=self.period,
            first=whole.first,
            last=whole.end - timedelta(days=1),
            currency=currency,
            amount=amount,
            through=_moments(np.minimum.reduce([each.reads_end_s for each in segments])) if segments else None,
            segments=tuple([each.form for each in segments]),
            forecast=forecast,
            no_forecast=column(why),
            problems=column(problems),
        )
        return AccrualsAlike(form, len(accounts))

    def _why_not(self, account: str, has_segments: bool, problems: Sequence[str]) -> str:
        if problems:
            return "not all of it can be rated"
        return self.unforeseen[account] if has_segments else "there is nothing to bill"


def _moments(at_s: Int64s) -> datetime:
    """Moments in one place of each document; most are the same."""
    found = {each: moment(each) for each in np.unique(at_s).tolist()}
    return column([found[each] for each in at_s.tolist()])


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
        if span.start_s % interval_s:
            span = whole  # long intervals, and the clock was changed meanwhile
        profiles = records.profiles(list(keys), span.start_s, span.end_s, interval_s)
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
    is_open
        whether any is missing (m,).
    begin
        the first interval that is missing anywhere: up to it there is nothing to expect.
    expected
        the window with what is expected there (m, n).
    known, share
        whether that is known, and how far it may be off, as a share (m,).
    """

    window: Metered
    missing: Bools
    is_open: Bools
    begin: int
    expected: Int64s
    known: Bools
    share: NDArray[np.float64]

    def to_come(self, rows: Rows, scenarios: Sequence[Scenario], *, falls: bool = False) -> Int64s:
        """Rows as scenarios have them, one scenario below the other; `falls`: it is the less, the more it costs."""
        some = slice(None) if len(rows) == len(self.expected) else rows
        expected, share = self.expected[some], self.share[some]
        values = np.empty((len(scenarios), *expected.shape), dtype=np.int64)
        values[:, :, : self.begin] = expected[:, : self.begin]
        rest, missing = expected[:, self.begin :], self.missing[some, self.begin :]
        for scenario, its in zip(scenarios, values[:, :, self.begin :], strict=True):
            sign = 1 if (scenario == "high") != falls else -1
            its[:] = rest if scenario == "expected" else scaled_rest(rest, missing, sign * share)
        return values.reshape(-1, expected.shape[1])


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
        counted = [each for each in (self.used, self.fed_in, self.reactive) if each is not None]
        #: Where there is a read of anything that is billed (m, n).
        self.there: Bools = np.logical_or.reduce([~each.missing for each in counted])
        #: Of which parts some of it is missing, and of which of these it is known what to expect (m,).
        self.is_open: Bools = np.logical_or.reduce([each.is_open for each in counted])
        self.is_known: Bools = np.logical_and.reduce([each.known for each in counted])
        self.past = Carried()
        #: By scenario to come, in the minor unit.
        self.to_come: Integers = np.zeros((len(_TO_COME), len(parts)), dtype=np.int64)

    def _counted(self, meters: Sequence[Sequence[MeterChannel]]) -> _Counted:
        place = self.place
        pairs = [[(place.keys[each.meter, each.channel.code], each) for each in its] for its in meters]
        # Up to the end of the window: the days before it are what is looked back on.
        all_of_it = at_usage_points(place.profiles, pairs, slice(0, self.columns.stop))
        window = Metered(all_of_it.values[:, self.begin :], all_of_it.quality[:, self.begin :])
        present = all_of_it.quality != Quality.MISSING
        missing = ~present[:, self.begin :]
        is_open = missing.any(axis=1)
        m = len(meters)
        if not is_open.any():
            return _Counted(
                window, missing, is_open, missing.shape[1], window.values, np.ones(m, dtype=np.bool_), np.zeros(m)
            )
        since = np.array([(part.agreement.valid_from - place.days.first).days for part in self.parts])
        until = min(place.today, self.days.stop)
        days = Days(place.days.first, place.days.begins[: self.days.stop], self.columns.stop)
        pattern = pattern_of(all_of_it.values, present, days, until, since)
        expected = expected_rest(all_of_it.values, present, days, self.days, pattern)
        begin = int(np.argmax(missing.any(axis=0)))
        rest = np.where(missing[:, begin:], expected[:, begin:], 0).sum(axis=1)
        share = share_off(rest, missing[:, begin:].sum(axis=1) * (self.interval_s / 86_400), pattern)
        return _Counted(window, missing, is_open, begin, expected, pattern.known | ~is_open, share)

    def rate(self) -> None:
        """Every part becomes a segment or a problem; where it can be foreseen, so does what it will come to."""
        rows = np.arange(len(self.parts))
        if ratchet_months(self.tariff):
            basis = self.run.basis
            try:
                self.past = peaks_before(basis.records, basis.hung, self.parts, basis.gas, self.run.period)
            except CannotRate as error:
                self._refuse(rows, f"demand of the months before: {error}")
                return
        so_far = list(self._rated(rows, _SO_FAR, self._refuse))
        for batch in so_far:
            self._end(batch)
        rated = np.concatenate([rows[:0], *(batch.rows for batch in so_far)])
        still_open = rated[self.is_open[rated]]
        self._unforeseen(still_open[~self.is_known[still_open]], _TOO_SHORT)
        for batch in self._rated(still_open[self.is_known[still_open]], _TO_COME, self._unforeseen):
            totals = batch.rated.totals.reshape(len(batch.scenarios), -1)
            for scenario, its in zip(batch.scenarios, totals, strict=True):
                self._foresee(batch.rows, scenario, its)
        for batch in so_far:
            self._put(batch)

    def _refuse(self, rows: Rows, detail: str) -> None:
        for row in rows.tolist():
            self.run.refuse(self.parts[row].agreement, ExceptionCode.CANNOT_RATE, detail)

    def _unforeseen(self, rows: Rows, detail: str) -> None:
        for row in rows.tolist():
            self.run.unforeseen[self.parts[row].agreement.account.id] = detail

    def _foresee(self, rows: Rows, scenario: Scenario, totals: Integers) -> None:
        if totals.dtype == object:
            self.to_come = self.to_come.astype(object)
        self.to_come[_TO_COME.index(scenario), rows] = totals

    def _end(self, batch: _Batch) -> None:
        """What is read to its end is foreseen as it is."""
        ended = ~self.is_open[batch.rows]
        rows, balances = batch.rows[ended], self.run.balances
        for scenario in _TO_COME:
            self._foresee(rows, scenario, batch.rated.totals[ended])
            if has_bank(self.tariff):
                for row in rows.tolist():
                    agreement = self.parts[row].agreement.id
                    balances[scenario][agreement] = balances["so far"][agreement]

    def _rated(
        self, rows: Rows, scenarios: Sequence[Scenario], refuse: Callable[[Rows, str], None]
    ) -> Iterator[_Batch]:
        """Rows rated at once, in each of some scenarios; where the engine refuses, halved until it is one it means."""
        rows = self._with_balance(rows, scenarios, refuse)
        if not len(rows):
            return
        try:
            batch = self._batch(rows, scenarios)
        except CannotRate as error:
            half = len(rows) // 2
            if half:
                yield from self._rated(rows[:half], scenarios, refuse)
                yield from self._rated(rows[half:], scenarios, refuse)
            elif len(scenarios) > 1:
                for scenario in scenarios:
                    yield from self._rated(rows, (scenario,), refuse)
            else:
                refuse(rows, str(error))
            return
        if has_bank(self.tariff):
            for at, (scenario, row) in enumerate(product(scenarios, rows.tolist())):
                after = Balance(self.window.end, left(self.tariff, batch.rated.carried, at))
                self.run.balances[scenario][self.parts[row].agreement.id] = after
        yield batch

    def _with_balance(self, rows: Rows, scenarios: Sequence[Scenario], refuse: Callable[[Rows, str], None]) -> Rows:
        """Rows of which it is known what is in their bank."""
        if not has_bank(self.tariff):
            return rows
        known = []
        for row in rows.tolist():
            agreement = self.parts[row].agreement.id
            sinces = [self.run.balances[scenario][agreement].since for scenario in scenarios]
            since = next((each for each in sinces if each != self.window.first), None)
            if since is None:
                known.append(row)
            else:
                its = f"the days from {since} on cannot be rated, so what they leave in its bank is not known"
                refuse(np.array([row]), its)
        return np.array(known, dtype=np.int64)

    def _batch(self, rows: Rows, scenarios: Sequence[Scenario]) -> _Batch:
        use = self._read(rows) if scenarios == _SO_FAR else self._to_come(rows, scenarios)
        customer_class = self.parts[0].agreement.account.customer_class
        market, carried = self._market(rows, scenarios), self._carried(rows, scenarios)
        rated = rate_batch(self.tariff, self.window, use, market, carried, customer_class)
        return _Batch(rows, scenarios, use, rated)

    def _read(self, rows: Rows) -> Use:
        some = rows.tolist()
        fed_in, reactive = (None if its is None else its.window.take(some) for its in (self.fed_in, self.reactive))
        used = self.used.window.take(some)
        return rated_use(self.interval_s, replace(used, values=self._as_priced(used.values, rows)), fed_in, reactive)

    def _to_come(self, rows: Rows, scenarios: Sequence[Scenario]) -> Use:
        """As scenarios have it, one below the other; it is not asked which are estimates."""
        used = self._as_priced(self.used.to_come(rows, scenarios), rows, len(scenarios))
        fed_in = None if self.fed_in is None else self.fed_in.to_come(rows, scenarios, falls=True)
        reactive = None if self.reactive is None else self.reactive.to_come(rows, scenarios)
        return Use(self.interval_s, used, fed_in, reactive)

    def _as_priced(self, values: Int64s, rows: Rows, times: int = 1) -> Int64s:
        """Use of rows, so many times one below the other; of gas its energy, where that is priced."""
        if not is_by_energy(self.tariff):
            return values
        areas = [self.parts[row].agreement.gas_area for row in rows.tolist()] * times
        counted = Metered(values, self.used.window.quality)
        return by_energy(counted, areas, self.run.basis.gas, self.window, self.interval_s)[0].values

    def _market(self, rows: Rows, scenarios: Sequence[Scenario]) -> Market:
        """What is published, made longer over the time of which nothing is yet."""
        market = self.place.market
        if not market.prices:
            return market
        end_s = self.place.whole.end_s
        if scenarios != _SO_FAR:
            return with_prices_as_a_week_before(market, end_s)
        present = np.flatnonzero(self.there[rows].any(axis=0))
        reached = int(present[-1]) + 1 if len(present) else 0
        return with_prices_up_to(market, seconds(self.window.start_utc) + reached * self.interval_s, end_s)

    def _carried(self, rows: Rows, scenarios: Sequence[Scenario]) -> Carried:
        """What bills take over."""
        peaks = {
            place: tuple(Peaks(each.month, np.tile(each.watts[rows], (len(scenarios), 1))) for each in several)
            for place, several in self.past.peaks.items()
        }
        if not has_bank(self.tariff):
            return Carried(peaks=peaks)
        agreements = [self.parts[row].agreement.id for row in rows.tolist()]
        banks = [self.run.balances[scenario][agreement].bank for scenario, agreement in product(scenarios, agreements)]
        return replace(taken_over(self.tariff, banks), peaks=peaks)

    def _put(self, batch: _Batch) -> None:
        """Segments of a batch, those together that have the same lines."""
        rows, reads = batch.rows, ~self.used.missing[batch.rows]
        n = reads.shape[1]
        begins = self.place.days.begins[self.days.start : self.days.stop] - self.begin
        reached = np.where(reads.any(axis=1), n - np.argmax(reads[:, ::-1], axis=1), 0)
        days_reached = np.searchsorted(begins, reached, side="left")
        by_day = np.add.reduceat(batch.use.imported, begins, axis=1)
        expected: list[tuple[int, ...]] = [()] * len(rows)
        foreseen = np.flatnonzero(self.is_open[rows] & self.is_known[rows])
        if len(foreseen):
            filled = self._as_priced(self.used.expected[rows[foreseen]], rows[foreseen])
            for place, its in zip(foreseen.tolist(), np.add.reduceat(filled, begins, axis=1).tolist(), strict=True):
                expected[place] = tuple(its)
        so_far = _SoFar(
            usage=by_day.sum(axis=1),
            export=None if self.fed_in is None else self.fed_in.window.values[rows].sum(axis=1),
            reads_end_s=seconds(self.window.start_utc) + reached * self.interval_s,
            daily=[tuple(use[:days]) for use, days in zip(by_day.tolist(), days_reached.tolist(), strict=True)],
            expected=expected,
        )
        for lines, places in batch.alike():
            self._put_alike(batch, lines, places, so_far)

    def _put_alike(self, batch: _Batch, lines: Sequence[Column], places: list[int], so_far: _SoFar) -> None:
        parts = [self.parts[row] for row in batch.rows[places].tolist()]
        one, currency = parts[0], batch.rated.currency
        digits, gross = minor_digits(currency), batch.rated.totals[places]
        form = SegmentSoFar(
            agreement=column([part.agreement.id for part in parts]),
            commodity=one.agreement.commodity,
            unit=self.tariff.unit,
            tariff=self.tariff.name,
            currency=currency,
            first=one.first,
            last=self.window.end - timedelta(days=1),
            usage=numbers(so_far.usage[places], UNIT_SCALE),
            export=None if so_far.export is None else numbers(so_far.export[places], UNIT_SCALE),
            gross=numbers(gross, digits),
            reads_end=_moments(so_far.reads_end_s[places]),
            daily=column([so_far.daily[place] for place in places]),
            expected=column([so_far.expected[place] for place in places]),
            lines=tuple([_line(each.some(places), digits) for each in lines]),
        )
        to_come = self.to_come[:, batch.rows[places]]
        self.run.put(parts, _SegmentsAlike(form, gross, so_far.reads_end_s[places], to_come))


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Rows rated at once, `use` and bills of one scenario below those of the one before."""

    rows: Rows
    scenarios: Sequence[Scenario]
    use: Use
    rated: RatedBatch

    def alike(self) -> Iterator[tuple[list[Column], list[int]]]:
        """The lines that bills have, and which bills have just these."""
        columns, n = self.rated.columns, self.rated.n
        there = np.stack([np.broadcast_to(line.is_there, n) for line in columns], axis=1)
        patterns, which = np.unique(there, axis=0, return_inverse=True)
        for at, pattern in enumerate(patterns):
            its = [line for line, is_there in zip(columns, pattern, strict=True) if is_there]
            yield its, np.flatnonzero(which == at).tolist()


@dataclass(frozen=True, slots=True, eq=False)
class _SoFar:
    """What the segments of a batch tell beside lines, in its order; use in base units."""

    usage: Int64s
    export: Int64s | None
    reads_end_s: Int64s
    daily: list[tuple[int, ...]]
    expected: list[tuple[int, ...]]


_TOO_SHORT = "fewer than 14 of the last 28 days have been read all through"


def _line(line: Column, digits: int) -> LineSoFar:
    charge = line.charge
    return LineSoFar(
        charge.kind,
        charge.label,
        charge.unit,
        charge.period,
        charge.tier,
        numbers(line.quantity, line.quantity_scale, is_plain=True),
        numbers(line.amount, digits),
    )
