"""What was measured for parts that are rated together, with some weeks of history: as what is rated of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from headend.billing.accruals.forecast import HISTORY_DAYS, Days
from headend.billing.accruals.quantity import SO_FAR, Quantity, Rows, Scenario
from headend.billing.agreements import billing_window
from headend.billing.gas import by_energy, is_by_energy
from headend.billing.metered import Metered
from headend.billing.parts import Part
from headend.billing.ports import GasQualities, MeterChannel, Records
from headend.billing.published import market_of, with_prices_as_a_week_before, with_prices_up_to
from headend.billing.usage import day_begins
from headend.reads import LoadProfiles
from headend.reads.days import Period, seconds
from headend.tariffs import BillingWindow, Market, Use
from headend.tariffs.arrays import Bools, Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Fetched:
    """Reads and prices of parts of the same billing days and interval length.

    Parameters
    ----------
    whole
        the billing days.
    keys
        rows of `profiles`, by meter and channel.
    days
        local days of `profiles`: some weeks of history, and the billing days.
    today
        which of them is today's, the first of which nothing is looked back on.
    """

    whole: Period
    keys: dict[tuple[int, int], int]
    profiles: LoadProfiles
    market: Market
    days: Days
    today: int

    @classmethod
    def of(cls, records: Records, parts: Sequence[Part], whole: Period, now: datetime) -> Fetched:
        """All at once."""
        interval_s = parts[0].interval_s
        keys: dict[tuple[int, int], int] = {}
        for part in parts:
            for meter in part.meters:
                keys.setdefault((meter.meter, meter.channel.code), len(keys))
        today = min(now.astimezone(whole.zone).date(), whole.end)
        span = replace(whole, first=min(whole.first, today - timedelta(days=HISTORY_DAYS)))
        if span.start_s % interval_s:
            span = whole  # long intervals, and the clock was changed meanwhile
        profiles = records.profiles(list(keys), span.start_s, span.end_s, interval_s)
        tariffs = {part.tariff.version: part.tariff for part in parts}.values()
        market = market_of(records, tariffs, replace(whole, first=whole.first - timedelta(weeks=1)))
        begins = day_begins(span.first, span.end, span.zone, interval_s)
        days = Days(span.first, begins, span.intervals(interval_s))
        return cls(whole, keys, profiles, market, days, max(0, (today - span.first).days))

    def rows(self, meters: Sequence[MeterChannel]) -> list[tuple[int, MeterChannel]]:
        """Meters of a usage point, each with its row of `profiles`."""
        return [(self.keys[each.meter, each.channel.code], each) for each in meters]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Parts of one kind, row by row, and what of them is rated: as it was read, and as it may become.

    Parameters
    ----------
    whole
        the billing days, of which the window is some.
    day_begins
        number of the window's interval with which each of its local days begins (d,).
    gas
        what gas is worth, by area.
    """

    parts: Sequence[Part]
    whole: Period
    window: BillingWindow
    day_begins: Int64s
    market: Market
    gas: GasQualities
    used: Quantity
    fed_in: Quantity | None
    reactive: Quantity | None

    @classmethod
    def of(cls, fetched: Fetched, parts: Sequence[Part], period: str, gas: GasQualities) -> Measured:
        """What was fetched of parts of one kind."""
        part, whole = parts[0], fetched.whole
        window = billing_window(replace(whole, first=part.first, end=part.end), period, whole)
        first = (part.first - fetched.days.first).days
        its = range(first, first + window.days)
        begins = fetched.days.begins[its.start : its.stop]
        days = fetched.days.up_to(its.stop, int(begins[0]) + window.intervals(part.interval_s))
        since = np.array([(each.agreement.valid_from - days.first).days for each in parts])

        def quantity(meters: Iterable[Sequence[MeterChannel]]) -> Quantity:
            rows = list(map(fetched.rows, meters))
            return Quantity.of(fetched.profiles, rows, days, its, min(fetched.today, its.stop), since)

        return cls(
            parts=parts,
            whole=whole,
            window=window,
            day_begins=begins - begins[0],
            market=fetched.market,
            gas=gas,
            used=quantity(each.used for each in parts),
            fed_in=None if part.fed_in is None else quantity(each.fed_in or () for each in parts),
            reactive=None if part.reactive is None else quantity(each.reactive or () for each in parts),
        )

    @property
    def quantities(self) -> list[Quantity]:
        """All that are billed."""
        return [each for each in (self.used, self.fed_in, self.reactive) if each is not None]

    @property
    def is_open(self) -> Bools:
        """Of which parts some reads are missing (m,)."""
        return np.logical_or.reduce([each.is_open for each in self.quantities])

    @property
    def is_known(self) -> Bools:
        """Of which parts it is known what to expect where reads are missing (m,)."""
        return np.logical_and.reduce([each.known for each in self.quantities])

    @property
    def interval_s(self) -> int:
        """Length of an interval [s]."""
        return self.parts[0].interval_s

    def ends_s(self, intervals: Int64s) -> Int64s:
        """The moments at which so many intervals of the window end [s since 1970]."""
        return seconds(self.window.start_utc) + intervals * self.interval_s

    def by_day(self, values: Int64s) -> Int64s:
        """Intervals of the window (k, n), added up by local day (k, d)."""
        return np.add.reduceat(values, self.day_begins, axis=1)

    def use(self, rows: Rows, scenarios: Sequence[Scenario]) -> Use:
        """What is rated of some parts, one scenario below the other; that reads are estimates changes no amount."""
        return Use(
            self.interval_s,
            self._as_priced(self.used.values(rows, scenarios), rows, len(scenarios)),
            None if self.fed_in is None else self.fed_in.values(rows, scenarios, falls=True),
            None if self.reactive is None else self.reactive.values(rows, scenarios),
        )

    def published(self, rows: Rows, scenarios: Sequence[Scenario]) -> Market:
        """What is published, made longer over the time of which nothing is yet."""
        if not self.market.prices:
            return self.market
        if scenarios != SO_FAR:
            return with_prices_as_a_week_before(self.market, self.whole.end_s)
        reached = np.max([each.reached(rows) for each in self.quantities])
        return with_prices_up_to(self.market, int(self.ends_s(reached)), self.whole.end_s)

    def expected_by_day(self, rows: Rows) -> list[tuple[int, ...]]:
        """Use of each local day as it is expected [base units]; none of parts read to their end, or of unknown ones."""
        found: list[tuple[int, ...]] = [()] * len(rows)
        places = np.flatnonzero((self.is_open & self.is_known)[rows])
        if len(places):
            foreseen = rows[places]
            by_day = self.by_day(self._as_priced(self.used.expected[foreseen], foreseen))
            for place, its in zip(places.tolist(), by_day.tolist(), strict=True):
                found[place] = tuple(its)
        return found

    def _as_priced(self, values: Int64s, rows: Rows, times: int = 1) -> Int64s:
        """Use of rows, so many times one below the other; of gas its energy, where that is priced."""
        if not is_by_energy(self.parts[0].tariff):
            return values
        areas = [self.parts[row].agreement.gas_area for row in rows.tolist()] * times
        counted = Metered(values, self.used.metered.quality)
        return by_energy(counted, areas, self.gas, self.window, self.interval_s)[0].values
