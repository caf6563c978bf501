"""A statement: what one account owes for one cycle, as a document whose bytes are the record.

The canonical JSON is the statement; HTML and PDF are pictures of it. Keys are sorted, decimals are text, nothing
depends on the machine, so equal statements have equal bytes and one hash. Each issued statement names the hash of the
account's statement before it: nobody can take one out of the chain, or change one, unseen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import PlainSerializer, TypeAdapter

from headend.billing.columns import column, each_of, some_of
from headend.billing.written import Writer

#: Format of the document; a reader that knows it can read every statement that carries it.
FORMAT = "headend-statement/1"

#: A number as text, without exponent; trailing zeros are kept, because 12.30 is a sum of money.
Number = Annotated[Decimal, PlainSerializer(lambda number: format(number, "f"), return_type=str, when_used="json")]

Obtained = Literal["read", "calculated", "estimated"]

Kind = Literal["final", "cancellation", "rebill", "difference"]


@dataclass(frozen=True, slots=True)
class Contacts:
    """Whom a customer can turn to, and where more can be read, as the utility's settings say; "" where they do not.

    Parameters
    ----------
    phone, email, website, registered
        the utility's own; `registered` is the court or register it is entered in.
    complaints
        where its complaints are dealt with, if not at its address.
    ombudsman, regulator, advice
        who settles disputes out of court; who watches the utility; who advises consumers.
    switching, comparison
        on changing the supplier; where offers can be compared.
    metering_operator, network_operator
        who runs the meters; code number of the network's operator.
    """

    phone: str = ""
    email: str = ""
    website: str = ""
    registered: str = ""
    complaints: str = ""
    ombudsman: str = ""
    regulator: str = ""
    advice: str = ""
    switching: str = ""
    comparison: str = ""
    metering_operator: str = ""
    network_operator: str = ""


@dataclass(frozen=True, slots=True)
class EnergySource:
    """What share [%] of the electricity sold comes from a source; `name` is a word of the statement, or written out."""

    name: str
    percent: Number


@dataclass(frozen=True, slots=True)
class EnergyMix:
    """Where the utility's electricity of a year came from, and what that left behind.

    Parameters
    ----------
    co2, waste
        carbon dioxide and radioactive waste [g/kWh]; None: not told.
    """

    year: int
    sources: tuple[EnergySource, ...]
    co2: Number | None = None
    waste: Number | None = None


@dataclass(frozen=True, slots=True)
class Utility:
    """Who sends the bill; `mix` only where the statement has to show it."""

    name: str
    address: tuple[str, ...]
    contacts: Contacts | None = None
    mix: EnergyMix | None = None


@dataclass(frozen=True, slots=True)
class Customer:
    """Who gets the bill, and in which language and number format."""

    account: str
    name: str
    address: str
    customer_class: str
    locale: str


@dataclass(frozen=True, slots=True)
class RegisterRead:
    """What a meter's register showed at a moment.

    Parameters
    ----------
    value
        register [kWh or m³].
    obtained
        read: the meter sent it for this very moment; calculated: from the nearest register it sent and the interval
        reads between; estimated: the same, where one of those is an estimate.
    """

    at: datetime
    value: Number
    obtained: Obtained


@dataclass(frozen=True, slots=True)
class MeterReads:
    """One meter channel over the period: opening and closing register where known, and what the intervals sum to.

    Where a constant changes within the period there is one for each.

    Parameters
    ----------
    constant
        transformers or pulses that registers and quantity are multiplied by already; None: none.
    """

    meter: str
    channel: str
    opening: RegisterRead | None
    closing: RegisterRead | None
    quantity: Number
    constant: str | None = None


@dataclass(frozen=True, slots=True)
class GasEnergy:
    """Gas by energy over days with one calorific value: volume × conversion × calorific value, rounded once.

    Parameters
    ----------
    first, last
        local days, both included.
    volume
        counted [m³].
    conversion
        volume at base conditions ÷ volume counted.
    calorific_value
        [kWh/m³].
    energy
        [kWh], rounded half up to a whole Wh.
    """

    first: date
    last: date
    volume: Number
    conversion: Number
    calorific_value: Number
    energy: Number


@dataclass(frozen=True, slots=True)
class PeriodUse:
    """Use in one TOU period."""

    name: str
    label: str
    quantity: Number


@dataclass(frozen=True, slots=True)
class TierUse:
    """Use in one tier, counted from 1."""

    tier: int
    quantity: Number


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One line of the bill: quantity × price, rounded once, is the amount; negative for a credit.

    Parameters
    ----------
    kind
        as in the tariff, but energy or export for energy of any price.
    unit
        of the quantity: kWh, m³, kW, kvarh, day, month; the currency for a share of other lines, whose price is 0.19
        for 19 %, and for a minimum or a bank, whose price is 1 or -1.
    period, tier
        TOU period and tier (counted from 1) where the price belongs to one.
    estimated
        how much of the quantity rests on estimates; None: nothing.
    included
        the amount is contained in other lines, and not added to the total.
    mean
        every interval has its own price, and `price` is their mean to 6 places: amount ÷ quantity before rounding.
    heading
        what it stands under on paper, where the statement's profile has headings.
    """

    kind: str
    label: str
    quantity: Number
    unit: str
    price: Number
    amount: Number
    period: str | None
    tier: int | None
    estimated: Number | None = None
    included: bool = False
    mean: bool = False
    heading: str | None = None


@dataclass(frozen=True, slots=True)
class InBank:
    """What a bill takes over from the one before, or leaves to the next.

    Parameters
    ----------
    energy
        by TOU period, periods with nothing left out.
    credit
        money; None: nothing.
    """

    energy: tuple[PeriodUse, ...] = ()
    credit: Number | None = None


@dataclass(frozen=True, slots=True)
class SeriesUsed:
    """A series of published prices, and the SHA-256 digest of those that priced the days."""

    series: str
    sha256: str


@dataclass(frozen=True, slots=True)
class EventUsed:
    """An event the prices depend on, such as a critical peak."""

    name: str
    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class PastPeak:
    """Highest demand of an earlier month [kW, m³/h], for ratchets.

    Parameters
    ----------
    month, label
        `YYYY-MM`, and the line's.
    period
        TOU period, where the demand of each has its own price.
    """

    month: str
    label: str
    quantity: Number
    period: str | None = None


@dataclass(frozen=True, slots=True)
class DayUse:
    """Use on one local day; `estimated` where an interval of it is an estimate."""

    day: date
    quantity: Number
    estimated: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Use under the same agreement in an earlier month, over days of which all reads are there.

    Of the month before these are its last days; of the same month a year ago, the days that are billed.
    """

    first: date
    last: date
    days: int
    quantity: Number


@dataclass(frozen=True, slots=True)
class Contract:
    """How long an agreement lasts, and how it is ended.

    Parameters
    ----------
    since, until
        first and last local day; None: it has no end yet.
    notice
        period of notice and next possible end, as the utility's settings say.
    """

    since: date
    until: date | None
    notice: str


@dataclass(frozen=True, slots=True)
class TypicalUse:
    """What comparable customers use in a year [unit of the segment], and who they are."""

    label: str
    a_year: Number


@dataclass(frozen=True, slots=True)
class TariffVersion:
    """Which prices: the tariff, and the hash of everything it says."""

    id: str
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Segment:
    """What one agreement used and costs, under one tariff version.

    Parameters
    ----------
    first, last
        local days of `timezone`, both included.
    usage, export
        taken from and fed into the network [unit].
    intervals, estimated_intervals
        reads the bill rests on, and how many of them are estimates.
    reads_sha256
        digest of all values and quality codes billed.
    net, tax, gross
        gross is the sum of all lines but those whose amount is included in others; tax, that of added and of included
        ones; net is the rest.
    gas
        how the energy came about, where gas is priced by it; `meters` are in m³ then. Else empty.
    reactive
        reactive energy taken [kvarh]; None where it is not priced.
    brought, carried
        in the bank before these days, and after them; None: nothing.
    prices, events
        what was published that the lines depend on.
    peaks
        of earlier months, latest first, where a ratchet asks for them.
    calendar_sha256
        digest of which period each interval was in; None: made before there was one.
    last_year
        use on the same days of the year before; None: not all reads are there, or the agreement was not.
    contract, typical
        only where the statement has to show them.
    """

    agreement: str
    usage_point: str
    address: str
    commodity: str
    unit: str
    timezone: str
    first: date
    last: date
    days: int
    tariff: TariffVersion
    meters: tuple[MeterReads, ...]
    usage: Number
    export: Number | None
    usage_by_period: tuple[PeriodUse, ...]
    usage_by_tier: tuple[TierUse, ...]
    lines: tuple[StatementLine, ...]
    intervals: int
    estimated_intervals: int
    daily: tuple[DayUse, ...]
    reads_sha256: str
    previous: Comparison | None
    currency: str
    net: Number
    tax: Number
    gross: Number
    gas: tuple[GasEnergy, ...] = ()
    reactive: Number | None = None
    brought: InBank | None = None
    carried: InBank | None = None
    prices: tuple[SeriesUsed, ...] = ()
    events: tuple[EventUsed, ...] = ()
    peaks: tuple[PastPeak, ...] = ()
    calendar_sha256: str | None = None
    last_year: Comparison | None = None
    contract: Contract | None = None
    typical: TypicalUse | None = None

    @property
    def metered(self) -> Decimal:
        """What the meters counted [kWh or m³]: the volume of gas, also where its energy is priced."""
        return sum((each.volume for each in self.gas), Decimal(0)) if self.gas else self.usage


@dataclass(frozen=True, slots=True)
class Totals:
    """What is due: gross = net + tax = sum of all lines but those whose amount is included in others."""

    currency: str
    net: Number
    tax: Number
    gross: Number


@dataclass(frozen=True, slots=True)
class BillingDays:
    """All local days of a billing period, both included."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Budget:
    """What is asked for of an account that pays the same each period: brought + gross = due + carried.

    Parameters
    ----------
    instalment
        what is paid in place of the bill; None: this bill settles what was brought.
    brought, carried
        billed and not asked for yet, before this bill and after it; negative: asked for and not billed yet.
    due
        to be paid now; negative: in the customer's favour.
    """

    instalment: Number | None
    brought: Number
    carried: Number
    due: Number

    def does_not_add_up(self, gross: Decimal) -> tuple[str, str] | None:
        """What it says is due and carried, and what was brought and billed, where these are not the same."""
        if self.brought + gross == self.due + self.carried:
            return None
        return f"{self.due} due + {self.carried} carried", f"{self.brought} brought + {gross} billed"


@dataclass(frozen=True, slots=True)
class Corrected:
    """The statement that a correction is about, its hash and day of issue, and why it is corrected."""

    id: str
    sha256: str
    issued_on: date
    reason: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One account's statement of one cycle.

    Parameters
    ----------
    kind
        None: a bill as usual. final: the last, of an account that moved out. cancellation: takes back the statement
        `corrects`, line by line. rebill: takes the place of one that was cancelled. difference: what the period costs
        more or less than `corrects` and its differences said.
    corrects
        only in a correction.
    billing_days
        all days of the period, where that is not the calendar month.
    budget
        only where the account pays by instalments.
    first, last
        first and last local day, both included.
    issued_at, issued_on, due_on, previous_sha256
        moment and local day of issue, day the money is due, and the hash of the account's statement before; None in a
        draft, `due_on` also where nothing is to be paid, `previous_sha256` also in an account's first statement.
    engine
        program and version that made it; None: made before it was told.
    """

    id: str
    utility: Utility
    customer: Customer
    cycle: str
    period: str
    revision: int
    timezone: str
    first: date
    last: date
    days: int
    segments: tuple[Segment, ...]
    totals: Totals
    issued_at: datetime | None = None
    issued_on: date | None = None
    due_on: date | None = None
    previous_sha256: str | None = None
    format: str = FORMAT
    engine: str | None = None
    kind: Kind | None = None
    corrects: Corrected | None = None
    billing_days: BillingDays | None = None
    budget: Budget | None = None

    @property
    def due(self) -> Decimal:
        """What is to be paid now; negative: in the customer's favour."""
        return self.totals.gross if self.budget is None else self.budget.due


_DOCUMENT = TypeAdapter(Statement)
#: What came into the format later stands only where there is some of it: older statements keep their bytes.
_LATER: Mapping[type, tuple[str, ...]] = {
    Statement: ("engine", "kind", "corrects", "billing_days", "budget"),
    Utility: ("contacts", "mix"),
    Contacts: tuple(Contacts.__slots__),
    EnergyMix: tuple(EnergyMix.__slots__),
    Segment: (
        "gas",
        "reactive",
        "brought",
        "carried",
        "prices",
        "events",
        "peaks",
        "calendar_sha256",
        "last_year",
        "contract",
        "typical",
    ),
    StatementLine: ("estimated", "included", "mean", "heading"),
    MeterReads: ("constant",),
    PastPeak: ("period",),
}
_WRITER = Writer(Statement, _LATER)


def canonical_json(statement: Statement) -> bytes:
    """The statement's bytes: UTF-8, sorted keys, no blanks, decimals as text. Equal statements, equal bytes."""
    return _WRITER.one(statement).encode()


def parse_statement(document: bytes) -> Statement:
    """The statement these bytes are; `canonical_json` of it gives the same bytes."""
    return _DOCUMENT.validate_json(document)


@dataclass(frozen=True, slots=True)
class Draft:
    """A statement's record, and what is looked up of it.

    Parameters
    ----------
    document
        canonical JSON; `sha256` is its hash.
    corrects
        id of the statement that it corrects.
    due
        what is to be paid now, of an account that pays by instalments.
    """

    id: str
    account: str
    period: str
    revision: int
    kind: Kind | None
    corrects: str | None
    currency: str
    total: Decimal
    due: Decimal | None
    document: bytes
    sha256: str
    previous_sha256: str | None
    issued_at: datetime | None


def draft_of(statement: Statement) -> Draft:
    """A statement as it is kept."""
    document = canonical_json(statement)
    return _draft(statement, document, sha256(document))


@dataclass(frozen=True, slots=True, eq=False)
class StatementsAlike:
    """`n` statements of one form; see `headend.billing.columns`."""

    form: Statement
    n: int

    def some(self, places: Sequence[int]) -> StatementsAlike:
        """Some of them."""
        return StatementsAlike(some_of(self.form, places), len(places))

    def drafts(self) -> list[Draft]:
        """As they are kept."""
        documents = [text.encode() for text in _WRITER.alike(self.form, self.n)]
        return each_of(_draft(self.form, column(documents), column(list(map(sha256, documents)))), self.n)

    def without_days(self) -> StatementsAlike:
        """The same without the use of each day, which is most of what they say."""
        segments = tuple([replace(segment, daily=()) for segment in self.form.segments])
        return replace(self, form=replace(self.form, segments=segments))

    def each(self) -> list[Statement]:
        """One by one."""
        return each_of(self.form, self.n)


def _draft(statement: Statement, document: bytes, digest: str) -> Draft:
    return Draft(
        statement.id,
        statement.customer.account,
        statement.period,
        statement.revision,
        statement.kind,
        None if statement.corrects is None else statement.corrects.id,
        statement.totals.currency,
        statement.totals.gross,
        None if statement.budget is None else statement.budget.due,
        document,
        digest,
        statement.previous_sha256,
        statement.issued_at,
    )


def sha256(document: bytes) -> str:
    """Hash of a document, hexadecimal."""
    return hashlib.sha256(document).hexdigest()


def totals_of(segments: tuple[Segment, ...]) -> Totals:
    """Totals of segments in one currency; raises `ValueError` where there are several or none."""
    (currency,) = {segment.currency for segment in segments}
    net = sum((segment.net for segment in segments), Decimal(0))
    tax = sum((segment.tax for segment in segments), Decimal(0))
    return Totals(currency, net, tax, net + tax)
