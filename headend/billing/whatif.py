"""What if: a month of many accounts' reads, rated as it was billed and under another tariff version.

Nothing is written, and nothing but the tariff differs: both times the same reads go through the same engine. So what
comes out is what the bills would have been. Banks begin the month empty both times: the month stands for itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from headend.billing.agreements import Agreement, billing_days, in_force
from headend.billing.budgets import Standing
from headend.billing.groups import BillingGroup
from headend.billing.ports import AccountRange, GasQualities, Hold, MeterChannel, Office, Records
from headend.billing.segments import rate_agreements
from headend.billing.statement import Segment
from headend.errors import InvalidInput, NotFound
from headend.reads import LoadProfiles
from headend.tariffs import Market, PriceSeries, Tariff, TariffBook

#: So many accounts are rated at once.
ACCOUNTS_A_BATCH = 500
#: Shares of the accounts [%] of which percentiles tell.
PERCENTILES = (5, 25, 50, 75, 95)
MOST = 10

_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Question:
    """Which accounts, and under which tariff.

    Parameters
    ----------
    tariff
        version that rates the whole month, whenever it is valid from.
    period
        month `YYYY-MM` that is over.
    from_tariff
        only agreements with this tariff; None: with any for the same commodity.
    customer_class
        only accounts of this class; None: of those that the tariff is for.
    accounts
        only these; empty: all.
    prices
        series of published prices that take the place of those that are stored, for the other tariff alone.
    """

    tariff: Tariff
    period: str
    from_tariff: str | None = None
    customer_class: str | None = None
    accounts: Collection[str] = ()
    prices: Mapping[str, PriceSeries] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One account: what it pays now, and what it would pay; gross and net [currency].

    Parameters
    ----------
    use
        [kWh, m³].
    """

    account: str
    customer_class: str
    tariffs: tuple[str, ...]
    use: Decimal
    unit: str
    currency: str
    gross_now: Decimal
    gross_then: Decimal
    net_now: Decimal
    net_then: Decimal

    @property
    def change(self) -> Decimal:
        """What the account would pay more, or less where negative."""
        return self.gross_then - self.gross_now

    @property
    def percent(self) -> Decimal | None:
        """The change [% of now, 2 places, half away from zero]; None where there is nothing to pay now."""
        if self.gross_now <= 0:
            return None
        return (self.change / self.gross_now * 100).quantize(_HUNDREDTH, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Unrated:
    """An account that cannot be rated, now or then, and why."""

    account: str
    reason: str


@dataclass(frozen=True, slots=True)
class Bin:
    """Accounts with `low` ≤ change < `high`; None: no end on that side."""

    low: Decimal | None
    high: Decimal | None
    accounts: int


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What a segment would have paid; accounts in the order of their ids."""

    question: Question
    currency: str
    outcomes: tuple[Outcome, ...]
    unrated: tuple[Unrated, ...]

    def total(self, name: str) -> Decimal:
        """Sum over all accounts of `gross_now`, `gross_then`, `net_now` or `net_then`."""
        return sum((getattr(each, name) for each in self.outcomes), Decimal(0))

    @property
    def higher(self) -> int:
        """Accounts that would pay more."""
        return sum(each.change > 0 for each in self.outcomes)

    @property
    def lower(self) -> int:
        """Accounts that would pay less."""
        return sum(each.change < 0 for each in self.outcomes)

    @property
    def losers(self) -> list[Outcome]:
        """The ten who would pay most more."""
        return sorted((each for each in self.outcomes if each.change > 0), key=lambda its: (-its.change, its.account))[
            :MOST
        ]

    @property
    def winners(self) -> list[Outcome]:
        """The ten who would pay most less."""
        return sorted((each for each in self.outcomes if each.change < 0), key=lambda its: (its.change, its.account))[
            :MOST
        ]

    @property
    def changes(self) -> dict[int, Decimal]:
        """Percentiles of the change in money."""
        return percentiles([each.change for each in self.outcomes])

    @property
    def percents(self) -> dict[int, Decimal]:
        """Percentiles of the change in percent, of the accounts that pay something now."""
        return percentiles([each.percent for each in self.outcomes if each.percent is not None])

    @property
    def histogram(self) -> list[Bin]:
        """How many accounts have which change."""
        return histogram([each.change for each in self.outcomes])


def percentiles(values: Sequence[Decimal]) -> dict[int, Decimal]:
    """The p-th percentile by the nearest rank: the smallest value that p % of all are not above. Nothing of nothing."""
    if not values:
        return {}
    ordered = sorted(values)
    return {percent: ordered[-(-percent * len(ordered) // 100) - 1] for percent in PERCENTILES}


def histogram(values: Sequence[Decimal]) -> list[Bin]:
    """Bins of one width, 1, 2 or 5 × 10^n, about ten of them between the 5th and 95th percentile; zero is an edge.

    What lies beyond is in an open bin at each end, which is there where anything is in it.
    """
    if not values:
        return []
    of = percentiles(values)
    width = _nice((of[95] - of[5]) / 10)
    first, last = (int((of[percent] / width).to_integral_value("ROUND_FLOOR")) for percent in (5, 95))
    counts: dict[int, int] = defaultdict(int)
    for value in values:
        place = int((value / width).to_integral_value("ROUND_FLOOR"))
        counts[min(max(place, first - 1), last + 1)] += 1
    bins = [Bin(width * place, width * (place + 1), counts[place]) for place in range(first, last + 1)]
    if counts[first - 1]:
        bins.insert(0, Bin(None, width * first, counts[first - 1]))
    if counts[last + 1]:
        bins.append(Bin(width * (last + 1), None, counts[last + 1]))
    return bins


def _nice(width: Decimal) -> Decimal:
    """The smallest of 1, 2 and 5 × 10^n that is not less; at least a hundredth."""
    nice = _HUNDREDTH
    while nice < width:
        nice *= Decimal("2.5") if nice.normalize().as_tuple().digits == (2,) else 2
    return nice


#: Told how many accounts are done, and of how many.
Progress = Callable[[int, int], None]


def what_if(office: Office, question: Question, progress: Progress = lambda _done, _all: None) -> WhatIf:
    """Rate a segment's month as it is and under another tariff version; nothing is changed.

    All reads are those of one moment. Accounts go through in batches, so that memory does not grow with their number.

    Parameters
    ----------
    progress
        what it raises ends the work.

    Raises
    ------
    InvalidInput
        the month is not over, nobody is asked for, or the tariffs are in several currencies.
    NotFound
        no tariff or account has such a name.
    """
    if question.from_tariff is not None:
        office.tariffs.versions(question.from_tariff)
    with office.database.read() as tx:
        records = office.records(tx)
        chosen = _chosen(records, question)
        _check_over(chosen, question.period, office.clock())
        view = _View(records)
        outcomes: list[Outcome] = []
        unrated: list[Unrated] = []
        accounts = sorted(chosen)
        progress(0, len(accounts))
        for begin in range(0, len(accounts), ACCOUNTS_A_BATCH):
            some = {account: chosen[account] for account in accounts[begin : begin + ACCOUNTS_A_BATCH]}
            for result in _batch(view.of(some.values()), office.tariffs, question, some):
                if isinstance(result, Outcome):
                    outcomes.append(result)
                else:
                    unrated.append(result)
            progress(min(begin + ACCOUNTS_A_BATCH, len(accounts)), len(accounts))
    return WhatIf(question, question.tariff.currency, tuple(outcomes), tuple(unrated))


def _chosen(records: Records, question: Question) -> dict[str, list[Agreement]]:
    """By account, the agreements in force in the month that are asked for; an account that is named may have none."""
    tariff, named = question.tariff, set(question.accounts)
    every = records.agreements()
    if unknown := sorted(named - {each.account.id for each in every}):
        raise NotFound(f"no account with an agreement is called {unknown[0]!r}")
    classes = tariff.customer_classes if question.customer_class is None else (question.customer_class,)
    # Accounts that are named are asked for whatever their class, unless a class is named too.
    by_class = question.customer_class is not None or not named
    chosen: dict[str, list[Agreement]] = {account: [] for account in named}
    for each in every:
        wanted = not named or each.account.id in named
        fits = each.commodity == tariff.commodity and (not by_class or each.account.customer_class in classes)
        of_tariff = question.from_tariff is None or each.tariff_id == question.from_tariff
        if wanted and fits and of_tariff and in_force(each, question.period):
            chosen.setdefault(each.account.id, []).append(each)
    if not any(chosen.values()):
        who = f" with tariff {question.from_tariff}" if question.from_tariff else ""
        raise InvalidInput(
            "accounts",
            "none",
            f"at least one for {tariff.commodity}{who} of class {' or '.join(classes)} in {question.period}",
        )
    return chosen


def _check_over(chosen: Mapping[str, Sequence[Agreement]], period: str, now: datetime) -> None:
    end = max(billing_days(each, period).end_utc for agreements in chosen.values() for each in agreements)
    if now < end:
        raise InvalidInput("period", period, f"a month that is over; this one is at {end:%Y-%m-%d %H:%M} UTC")


def _batch(
    view: _BatchView, tariffs: TariffBook, question: Question, chosen: Mapping[str, Sequence[Agreement]]
) -> Iterator[Outcome | Unrated]:
    """Every account of a batch, rated or not, by id."""
    now = [each for agreements in chosen.values() for each in agreements]
    tariff = question.tariff
    then = [replace(each, tariff_id=tariff.id) for each in now]
    is_now = rate_agreements(view, tariffs, now, question.period)
    is_then = rate_agreements(replace(view, prices=question.prices), _Always(tariff), then, question.period)
    problems: dict[str, str] = {}
    for when, rated in (("now", is_now), ("then", is_then)):
        for each in rated.exceptions:
            problems.setdefault(each.account, f"{when}: {each.code}: {each.detail}")
    segments: tuple[dict[str, list[Segment]], dict[str, list[Segment]]] = (defaultdict(list), defaultdict(list))
    for side, rated in zip(segments, (is_now, is_then), strict=True):
        for one in rated.segments:
            side[one.agreement.account.id].append(one.segment)
    for account in sorted(chosen):
        agreements, was, will = chosen[account], segments[0][account], segments[1][account]
        if not agreements:
            problems[account] = "no agreement of this kind is in force in the month"
        elif account not in problems and {each.currency for each in was} != {tariff.currency}:
            currencies = " and ".join(sorted({each.currency for each in was}))
            problems[account] = f"now: its bill is in {currencies}, the other tariff in {tariff.currency}"
        if account in problems:
            yield Unrated(account, problems[account])
        else:
            yield _outcome(agreements[0], was, will)


def _outcome(agreement: Agreement, was: Sequence[Segment], will: Sequence[Segment]) -> Outcome:
    def of(name: str, segments: Sequence[Segment]) -> Decimal:
        return sum((getattr(each, name) for each in segments), Decimal(0))

    return Outcome(
        agreement.account.id,
        agreement.account.customer_class,
        tuple(dict.fromkeys(each.tariff.id for each in was)),
        of("usage", will),
        will[0].unit,
        will[0].currency,
        of("gross", was),
        of("gross", will),
        of("net", was),
        of("net", will),
    )


class _Always(TariffBook):
    """A book of one version, which is valid on every day."""

    def __init__(self, tariff: Tariff) -> None:
        super().__init__([tariff])
        self._only = tariff

    def versions_between(self, tariff_id: str, first: date, end: date) -> list[tuple[date, date, Tariff]]:  # noqa: ARG002 - any tariff is this one
        """The version, over all of these days."""
        return [(first, end, self._only)]


class _View:
    """What batches have in common: what the registry says is asked for once."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._channels: dict[str, list[MeterChannel]] = defaultdict(list)
        for channel in records.channels():
            self._channels[channel.usage_point].append(channel)

    def of(self, agreements: Collection[Sequence[Agreement]]) -> _BatchView:
        """The view of a batch."""
        points = {each.usage_point for several in agreements for each in several}
        channels = [channel for point in sorted(points) for channel in self._channels.get(point, ())]
        return _BatchView(self._records, channels)


@dataclass(frozen=True, slots=True)
class _BatchView:
    """The records of one batch, without banks and with other prices; reads are fetched once for both bills.

    See `headend.billing.ports.Records`.
    """

    records: Records
    hung: Sequence[MeterChannel]
    prices: Mapping[str, PriceSeries] = field(default_factory=dict)
    fetched: dict[tuple[object, ...], LoadProfiles] = field(default_factory=dict)

    def agreements(self, account: str | None = None) -> Sequence[Agreement]:
        """As recorded."""
        return self.records.agreements(account)

    def accounts(self) -> Iterable[str]:
        """As recorded."""
        return self.records.accounts()

    def agreements_between(self, accounts: AccountRange) -> Sequence[Agreement]:
        """As recorded."""
        return self.records.agreements_between(accounts)

    def agreements_beside(self, accounts: AccountRange) -> Sequence[Agreement]:
        """As recorded."""
        return self.records.agreements_beside(accounts)

    def timezones(self) -> Collection[str]:
        """As recorded."""
        return self.records.timezones()

    def groups(self) -> Mapping[str, BillingGroup]:
        """As recorded."""
        return self.records.groups()

    def channels(self, usage_points: Collection[str] | None = None) -> Sequence[MeterChannel]:
        """Those at the batch's usage points."""
        return [each for each in self.hung if usage_points is None or each.usage_point in usage_points]

    def gas_qualities(self) -> GasQualities:
        """As recorded."""
        return self.records.gas_qualities()

    def profiles(self, channels: Sequence[tuple[int, int]], start_s: int, end_s: int, interval_s: int) -> LoadProfiles:
        """As stored; asked for again, the same."""
        key = (tuple(channels), start_s, end_s, interval_s)
        if key not in self.fetched:
            self.fetched[key] = self.records.profiles(channels, start_s, end_s, interval_s)
        return self.fetched[key]

    def holds(self, start_s: int, end_s: int, meters: Collection[int] | None = None) -> Sequence[Hold]:
        """As recorded: what somebody has to decide about is not rated here either."""
        return self.records.holds(start_s, end_s, meters)

    def market(self, series: Collection[str], events: Collection[str], start_s: int, end_s: int) -> Market:
        """As published, but for the series that are given."""
        given = {name: its for name, its in self.prices.items() if name in series}
        market = self.records.market([name for name in series if name not in given], events, start_s, end_s)
        return replace(market, prices={**market.prices, **given})

    def last_statements(self, accounts: Collection[str], period: str) -> Mapping[str, bytes]:  # noqa: ARG002
        """None: banks begin empty."""
        return {}

    def refused(self, accounts: Collection[str], period: str) -> Collection[str]:  # noqa: ARG002
        """Nobody: no month has to be billed before."""
        return ()

    def budgets(self, accounts: Collection[str], period: str) -> Mapping[str, Standing]:  # noqa: ARG002
        """None: what is asked for when makes no difference."""
        return {}


def to_json(found: WhatIf) -> dict[str, Any]:
    """The result as JSON data, without the list of accounts; amounts are decimal text."""
    question = found.question
    return {
        "tariff": {"id": question.tariff.id, "name": question.tariff.name, "version": question.tariff.version},
        "period": question.period,
        "from_tariff": question.from_tariff,
        "customer_class": question.customer_class,
        "currency": found.currency,
        "accounts": len(found.outcomes),
        "higher": found.higher,
        "lower": found.lower,
        "same": len(found.outcomes) - found.higher - found.lower,
        "revenue": {
            kind: {
                "now": format(found.total(f"{kind}_now"), "f"),
                "then": format(found.total(f"{kind}_then"), "f"),
                "difference": format(found.total(f"{kind}_then") - found.total(f"{kind}_now"), "f"),
            }
            for kind in ("gross", "net")
        },
        "percentiles": {
            "change": {str(percent): format(value, "f") for percent, value in found.changes.items()},
            "percent": {str(percent): format(value, "f") for percent, value in found.percents.items()},
        },
        "without_percent": sum(each.percent is None for each in found.outcomes),
        "histogram": [
            {
                "from": None if each.low is None else format(each.low, "f"),
                "to": None if each.high is None else format(each.high, "f"),
                "accounts": each.accounts,
            }
            for each in found.histogram
        ],
        "losers": [_outcome_json(each) for each in found.losers],
        "winners": [_outcome_json(each) for each in found.winners],
        "unrated": [{"account": each.account, "reason": each.reason} for each in found.unrated],
    }


def _outcome_json(its: Outcome) -> dict[str, str | None]:
    return {
        "account": its.account,
        "now": format(its.gross_now, "f"),
        "then": format(its.gross_then, "f"),
        "change": format(its.change, "f"),
        "percent": None if its.percent is None else format(its.percent, "f"),
    }


#: Columns of the list of accounts.
COLUMNS = (
    *("account", "customer_class", "tariffs_now", "use", "unit", "currency", "gross_now", "gross_then", "change"),
    *("percent", "net_now", "net_then", "not_rated"),
)


def rows(found: WhatIf) -> Iterator[tuple[str, ...]]:
    """The list of accounts as text, in the order of `COLUMNS`: by id, those that cannot be rated with their reason."""
    listed: list[Outcome | Unrated] = [*found.outcomes, *found.unrated]
    for its in sorted(listed, key=lambda its: its.account):
        if isinstance(its, Unrated):
            yield (its.account, *[""] * (len(COLUMNS) - 2), its.reason)
            continue
        amounts = (its.gross_now, its.gross_then, its.change, its.percent, its.net_now, its.net_then)
        texts = ("" if amount is None else format(amount, "f") for amount in amounts)
        tariffs = " ".join(its.tariffs)
        yield (its.account, its.customer_class, tariffs, format(its.use, "f"), its.unit, its.currency, *texts, "")
