"""Rating a billing period that runs: what reads there are, and the same with the rest as it may become.

Agreements that share tariff version, days and interval length are rows of one array, rated together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import product
from typing import get_args

import numpy as np

from headend.billing.accruals.forecast import ENOUGH_DAYS, HISTORY_DAYS
from headend.billing.accruals.measured import Fetched, Measured
from headend.billing.accruals.quantity import SO_FAR, TO_COME, Rows, Scenario
from headend.billing.accruals.segments import PartsSoFar, SegmentsAlike
from headend.billing.agreements import Agreement, billing_days
from headend.billing.banks import Balance, Balances, has_bank, left, opening_of, taken_over
from headend.billing.cycle import ExceptionCode
from headend.billing.parts import Hung, Part, by_usage_point, parts_of
from headend.billing.peaks import peaks_before, ratchet_months
from headend.billing.ports import GasQualities, MeterChannel, Records
from headend.errors import CannotRate
from headend.reads.days import Period
from headend.tariffs import Carried, Peaks, RatedBatch, Tariff, TariffBook, Use, rate_batch
from headend.tariffs.money import Integers

# What is rated at once stays in the processor's cache.
_ROWS = 512

_TOO_SHORT = f"fewer than {ENOUGH_DAYS} of the last {HISTORY_DAYS} days have been read all through"


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


@dataclass(slots=True)
class RatedSoFar:
    """Segments, and by account what of it cannot be rated, or why it cannot be foreseen what it will come to."""

    segments: list[SegmentsAlike] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    unforeseen: dict[str, str] = field(default_factory=dict)

    def refuse(self, agreement: Agreement, code: ExceptionCode, detail: str) -> None:  # noqa: ARG002
        """An agreement that cannot be rated."""
        self.problems[agreement.account.id].append(f"{agreement.id}: {detail}")


def rate_so_far(basis: Basis, agreements: Iterable[Agreement], period: str, now: datetime) -> RatedSoFar:
    """Rate the local days of `period` on which each agreement is in force, and what they may become.

    Parameters
    ----------
    now
        days before it are what is looked back on.
    """
    rated = RatedSoFar()
    parts = [part for each in agreements for part in parts_of(each, basis.tariffs, basis.hung, period, rated.refuse)]
    opening = opening_of(basis.records, parts, period, provisional=True)
    balances = {scenario: dict(opening.balances) for scenario in get_args(Scenario)}
    ground = _Ground(basis, period, balances, rated)
    places: dict[tuple[Period, int], list[Part]] = defaultdict(list)
    for part in parts:
        places[billing_days(part.agreement, period), part.interval_s].append(part)
    for (whole, _), together in places.items():
        fetched = Fetched.of(basis.records, together, whole, now)
        for its in _of_one_kind(together):
            _Group(ground, Measured.of(fetched, its, period, basis.gas)).rate()
    return rated


def _of_one_kind(parts: Iterable[Part]) -> Iterator[Sequence[Part]]:
    kinds: dict[tuple[object, ...], list[Part]] = defaultdict(list)
    for part in parts:
        kinds[part.kind].append(part)
    # Earlier days first: they leave their bank to the later ones.
    for its in sorted(kinds.values(), key=lambda its: its[0].first):
        for begin in range(0, len(its), _ROWS):
            yield its[begin : begin + _ROWS]


@dataclass(frozen=True, slots=True)
class _Ground:
    """What all parts are rated on; `balances` and `rated` grow on the way."""

    basis: Basis
    period: str
    balances: Mapping[Scenario, Balances]
    rated: RatedSoFar


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Rows rated at once, `use`, `bills` and `totals` [minor units] of one scenario below those of the one before."""

    rows: Rows
    scenarios: Sequence[Scenario]
    use: Use
    bills: RatedBatch
    totals: Integers


@dataclass(slots=True)
class _Group:
    """Parts of one kind, row by row; `past`: their peaks in the months before."""

    ground: _Ground
    measured: Measured
    past: Carried = field(default_factory=Carried)

    def rate(self) -> None:
        """Every part becomes a segment or a problem; where it can be foreseen, so does what it will come to."""
        rows = self._with_past(np.arange(len(self.parts)))
        so_far = list(self._rated(rows, SO_FAR, self._refuse))
        rated = np.concatenate([rows[:0], *(batch.rows for batch in so_far)])
        is_open = self.measured.is_open[rated]
        self._end(rated[~is_open])
        foreseen = list(self._foreseen(rated[is_open]))
        to_come = self._to_come(so_far, foreseen)
        for batch in so_far:
            self.ground.rated.segments.extend(self._so_far(batch, to_come).segments())

    @property
    def parts(self) -> Sequence[Part]:
        """All of them."""
        return self.measured.parts

    @property
    def tariff(self) -> Tariff:
        """Its version, the same for all."""
        return self.parts[0].tariff

    def _refuse(self, rows: Rows, detail: str) -> None:
        for row in rows.tolist():
            self.ground.rated.refuse(self.parts[row].agreement, ExceptionCode.CANNOT_RATE, detail)

    def _unforeseen(self, rows: Rows, detail: str) -> None:
        for row in rows.tolist():
            self.ground.rated.unforeseen[self.parts[row].agreement.account.id] = detail

    def _with_past(self, rows: Rows) -> Rows:
        """All rows, once it is known what demand they had before; none, where it cannot be told."""
        if ratchet_months(self.tariff):
            basis = self.ground.basis
            try:
                self.past = peaks_before(basis.records, basis.hung, self.parts, basis.gas, self.ground.period)
            except CannotRate as error:
                self._refuse(rows, f"demand of the months before: {error}")
                return rows[:0]
        return rows

    def _end(self, rows: Rows) -> None:
        """What is read to its end leaves in its bank what it will leave."""
        if has_bank(self.tariff):
            balances = self.ground.balances
            for scenario, row in product(TO_COME, rows.tolist()):
                agreement = self.parts[row].agreement.id
                balances[scenario][agreement] = balances["so far"][agreement]

    def _foreseen(self, rows: Rows) -> Iterator[_Batch]:
        """Rows that are open, rated as they may become."""
        is_known = self.measured.is_known[rows]
        self._unforeseen(rows[~is_known], _TOO_SHORT)
        return self._rated(rows[is_known], TO_COME, self._unforeseen)

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
                after = Balance(self.measured.window.end, left(self.tariff, batch.bills.carried, at))
                self.ground.balances[scenario][self.parts[row].agreement.id] = after
        yield batch

    def _with_balance(self, rows: Rows, scenarios: Sequence[Scenario], refuse: Callable[[Rows, str], None]) -> Rows:
        """Rows of which it is known what is in their bank."""
        if not has_bank(self.tariff):
            return rows
        known = []
        for row in rows.tolist():
            agreement = self.parts[row].agreement.id
            sinces = [self.ground.balances[scenario][agreement].since for scenario in scenarios]
            since = next((each for each in sinces if each != self.measured.window.first), None)
            if since is None:
                known.append(row)
            else:
                its = f"the days from {since} on cannot be rated, so what they leave in its bank is not known"
                refuse(np.array([row]), its)
        return np.array(known, dtype=np.int64)

    def _batch(self, rows: Rows, scenarios: Sequence[Scenario]) -> _Batch:
        measured = self.measured
        use, market = measured.use(rows, scenarios), measured.published(rows, scenarios)
        customer_class = self.parts[0].agreement.account.customer_class
        bills = rate_batch(self.tariff, measured.window, use, market, self._carried(rows, scenarios), customer_class)
        return _Batch(rows, scenarios, use, bills, bills.totals)

    def _carried(self, rows: Rows, scenarios: Sequence[Scenario]) -> Carried:
        """What bills take over."""
        peaks = {
            place: tuple(Peaks(each.month, np.tile(each.watts[rows], (len(scenarios), 1))) for each in several)
            for place, several in self.past.peaks.items()
        }
        if not has_bank(self.tariff):
            return Carried(peaks=peaks)
        agreements = [self.parts[row].agreement.id for row in rows.tolist()]
        balances = self.ground.balances
        banks = [balances[scenario][agreement].bank for scenario, agreement in product(scenarios, agreements)]
        return replace(taken_over(self.tariff, banks), peaks=peaks)

    def _to_come(self, so_far: Sequence[_Batch], foreseen: Sequence[_Batch]) -> Integers:
        """What parts will come to, by scenario [minor units] (3, m): what is read to its end, as it is."""
        dtype = np.result_type(np.int64, *(batch.totals.dtype for batch in (*so_far, *foreseen)))
        to_come = np.zeros((len(TO_COME), len(self.parts)), dtype=dtype)
        for batch in so_far:
            to_come[:, batch.rows] = batch.totals
        for batch in foreseen:
            for scenario, totals in zip(batch.scenarios, batch.totals.reshape(-1, len(batch.rows)), strict=True):
                to_come[TO_COME.index(scenario), batch.rows] = totals
        return to_come

    def _so_far(self, batch: _Batch, to_come: Integers) -> PartsSoFar:
        """What segments of a batch tell."""
        measured, rows = self.measured, batch.rows
        by_day, reached = measured.by_day(batch.use.imported), measured.used.reached(rows)
        days_reached = np.searchsorted(measured.day_begins, reached, side="left")
        return PartsSoFar(
            parts=[self.parts[row] for row in rows.tolist()],
            bills=batch.bills,
            totals=batch.totals,
            to_come=to_come[:, rows],
            usage=by_day.sum(axis=1),
            export=None if measured.fed_in is None else measured.fed_in.metered.values[rows].sum(axis=1),
            reads_end_s=measured.ends_s(reached),
            daily=[tuple(use[:days]) for use, days in zip(by_day.tolist(), days_reached.tolist(), strict=True)],
            expected=measured.expected_by_day(rows),
        )
