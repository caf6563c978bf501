"""What billing needs from outside: records to read, a ledger to keep, and an office that opens both.

Everything here is a shape. Who has a database fills it in; rules and rating see nothing else of the world.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

from headend.billing.agreements import Agreement
from headend.billing.backbilling import NO_LIMIT, BackBilling
from headend.billing.budgets import Standing
from headend.billing.cycle import BillCycle, BillException, ControlTotals, StepTaken
from headend.billing.groups import BillingGroup
from headend.billing.profiles import StatementRules
from headend.billing.review import (
    Exclusion,
    Finding,
    FindingCode,
    FindingState,
    PeerGroup,
    Peers,
    Queued,
    ReviewRules,
)
from headend.billing.statement import Draft, Statement, Utility
from headend.errors import NotFound
from headend.reads import Channel, LoadProfiles
from headend.reads.constants import Constant
from headend.reads.days import Period
from headend.tariffs import Market, Tariff, TariffBook


class MeterChannel(Protocol):
    """A channel of a meter, and where and when the meter hung; times in seconds since 1970, None: it still does."""

    @property
    def meter(self) -> int: ...
    @property
    def meter_name(self) -> str: ...
    @property
    def channel(self) -> Channel: ...
    @property
    def interval_s(self) -> int: ...
    @property
    def register_digits(self) -> int: ...
    @property
    def constants(self) -> Sequence[Constant]: ...
    @property
    def usage_point(self) -> str: ...
    @property
    def installed_s(self) -> int: ...
    @property
    def removed_s(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class GasQuality:
    """What a m³ of gas is worth from a local day on.

    Parameters
    ----------
    calorific_value
        of a m³ at base conditions [kWh/m³].
    conversion
        volume at base conditions ÷ volume counted.
    """

    valid_from: date
    calorific_value: Decimal
    conversion: Decimal


#: By gas area, rising in time.
GasQualities = Mapping[str, Sequence[GasQuality]]


@dataclass(frozen=True, slots=True)
class Hold:
    """Reads of which somebody has to decide something before they are billed.

    Parameters
    ----------
    exception
        its number in the queue of exceptions.
    meter, channel
        registry key and OBIS code.
    start_s, end_s
        begin of the first interval and end of the last, UTC [s since 1970].
    why
        the rule, and what it found.
    """

    exception: int
    meter: int
    channel: int
    start_s: int
    end_s: int
    why: str


@dataclass(frozen=True, slots=True)
class AccountRange:
    """Accounts from the first to the last, as the database orders their ids; of so many when they were counted."""

    first: str
    last: str
    accounts: int


class Records(Protocol):
    """Registry, reads and what is published, as one transaction sees them."""

    def accounts(self) -> Iterable[str]:
        """The id of every account, in order."""

    def agreements(self, account: str | None = None) -> Sequence[Agreement]:
        """Every service agreement, or those of one account; by account."""

    def agreements_between(self, accounts: AccountRange) -> Sequence[Agreement]:
        """Service agreements of a range of accounts; by account."""

    def agreements_beside(self, accounts: AccountRange) -> Sequence[Agreement]:
        """Those of other accounts that share a usage point, a commodity and a day with one of the range."""

    def timezones(self) -> Collection[str]:
        """Of all usage points."""

    def groups(self) -> Mapping[str, BillingGroup]:
        """Billing groups that were made, by name; not the monthly one, which is always there."""

    def channels(self, usage_points: Collection[str] | None = None) -> Sequence[MeterChannel]:
        """Every enrolled channel, or those at some usage points."""

    def gas_qualities(self) -> GasQualities:
        """What gas is worth, by area."""

    def profiles(self, channels: Sequence[tuple[int, int]], start_s: int, end_s: int, interval_s: int) -> LoadProfiles:
        """Reads of (meter, channel) over [start_s, end_s), in the order asked for."""

    def holds(self, start_s: int, end_s: int, meters: Collection[int] | None = None) -> Sequence[Hold]:
        """What holds bills of reads in [start_s, end_s), of all meters or some."""

    def market(self, series: Collection[str], events: Collection[str], start_s: int, end_s: int) -> Market:
        """Published prices and events over [start_s, end_s)."""

    def last_statements(self, accounts: Collection[str], period: str) -> Mapping[str, bytes]:
        """By account, the document of the last statement, issued or draft, of the months before `period`."""

    def refused(self, accounts: Collection[str], period: str) -> Collection[str]:
        """Those of the accounts that are among the exceptions of month `period` and have no statement for it."""

    def budgets(self, accounts: Collection[str], period: str) -> Mapping[str, Standing]:
        """Those of the accounts that have, or had, a budget plan, as they stand before billing period `period`."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A statement in the ledger.

    Parameters
    ----------
    state
        draft or issued.
    document
        canonical JSON; `sha256` is its hash.
    """

    id: str
    cycle: str
    account: str
    state: str
    document: bytes
    sha256: str


class Ledger(Protocol):
    """Cycles, statements and exceptions, as one transaction sees them."""

    def cycle(self, name: str, period: str) -> BillCycle | None:
        """The cycle, if it was ever opened."""

    def keep_cycle(self, cycle: BillCycle) -> None:
        """Add the cycle or put its newer state in place."""

    def billed_elsewhere(self, cycle: BillCycle, accounts: AccountRange) -> set[str]:
        """Accounts of a range that another cycle of the same period has a statement for."""

    def begin_run(self, cycle: BillCycle, ranges: Iterable[AccountRange]) -> int:
        """Note what the cycle's next run has to rate; its number."""

    def last_run(self, cycle: BillCycle) -> int:
        """Number of the cycle's last run; 0: there was none."""

    def ranges(self, cycle: BillCycle, run: int) -> Sequence[tuple[AccountRange, ControlTotals | None]]:
        """The ranges of a run in order, and their totals; None: not committed yet."""

    def is_open(self, cycle: BillCycle, run: int, accounts: AccountRange) -> bool:
        """Whether a run is the cycle's last, and the range not committed in it."""

    def keep_range(
        self,
        cycle: BillCycle,
        run: int,
        accounts: AccountRange,
        drafts: Iterable[Draft],
        exceptions: Iterable[BillException],
        totals: ControlTotals,
        now: datetime,
    ) -> None:
        """Put a range's new drafts and exceptions in the place of the old ones, and note that it is committed."""

    def revisions(self, period: str, accounts: AccountRange) -> Mapping[str, int]:
        """Those of a range whose bill of the period was corrected, and the revision of their last document."""

    def keep_correction(
        self, cycle: BillCycle, drafts: Iterable[Statement], exceptions: Iterable[BillException]
    ) -> None:
        """Add a cycle of corrections with its drafts and exceptions."""

    def withdraw(self, cycle: BillCycle) -> None:
        """Drop the drafts and exceptions of a correction."""

    def counts(self, cycle: BillCycle) -> tuple[int, int]:
        """Accounts with statements, and exceptions, that the cycle has."""

    def statements(self, cycle: BillCycle, accounts: AccountRange | None = None) -> Iterator[Kept]:
        """The cycle's statements, of all accounts or a range; by account."""

    def billed(self, cycle: BillCycle) -> Iterator[str]:
        """Accounts that the cycle has statements for, in order."""

    def chain_heads(self, cycle: BillCycle, accounts: AccountRange) -> dict[str, str]:
        """Hash of the last issued statement of each of a range of the cycle's accounts that has one."""

    def issue(self, cycle: BillCycle, statements: Iterable[Statement]) -> None:
        """Put issued statements in the place of their drafts, for good; all of an account together."""

    def keep_tariffs(self, cycle: BillCycle, tariffs: Iterable[Tariff]) -> None:
        """Keep for good the tariff versions that the cycle's statements were made by."""


#: An open flag: statement, meter and channel, by how much it is off [base units], and since when [µs since 1970].
FlagAt = tuple[Any, ...]


def known_cycle(ledger: Ledger, period: str, name: str) -> BillCycle:
    """A cycle by its name; raises `NotFound`."""
    found = ledger.cycle(name, period)
    if found is None:
        raise NotFound(f"no cycle {name!r} was ever rated for {period}")
    return found


class Corrections(Protocol):
    """What corrections look at and keep, as one transaction sees it."""

    def issued(self, period: str, accounts: Collection[str]) -> Mapping[str, Sequence[Kept]]:
        """Issued documents of a period by account, in the order of their revisions."""

    def drafted(self, period: str, accounts: Collection[str]) -> Mapping[str, str]:
        """Names of open corrections of a period by account; accounts without are left out."""

    def whereabouts(self, ids: Collection[str]) -> Mapping[str, tuple[str, str, str]]:
        """Account, period and state of the statements that there are, by id."""

    def newest(self, period: str, accounts: Collection[str]) -> Mapping[str, int]:
        """The highest revision, of drafts as well, by account."""

    def open_flags(self, period: str, accounts: Collection[str]) -> Mapping[str, Sequence[FlagAt]]:
        """Open flags of a period's issued documents as they stand, by account; accounts without are left out."""

    def nothing_to_correct(self, flags: Iterable[FlagAt], by: str, reason: str) -> None:
        """Settle flags under which nothing comes out otherwise."""

    def names(self, period: str) -> Collection[str]:
        """Names of the period's cycles."""

    def resting_on(self, period: str, accounts: Collection[str]) -> Mapping[str, Sequence[Kept]]:
        """Newest standing documents of later periods, by account, earliest period first."""

    def ratcheted(self) -> Mapping[str, Tariff]:
        """Tariff versions of bills whose demand goes by peaks of earlier months, by digest."""


class Reviews(Protocol):
    """A cycle's history and its queue of findings, who is left out, and what alike bills use; in one transaction."""

    def note(self, cycle: BillCycle, step: str, note: str = "") -> None:
        """Add a line to the cycle's history: what its last change was."""

    def note_of(self, cycle_id: str, step: str, note: str, at: datetime, by: str) -> None:
        """Add a line about one of the cycle's accounts."""

    def note_each(self, cycle_id: str, step: str, notes: Iterable[str], at: datetime, by: str) -> None:
        """Add a line about each of several of the cycle's accounts."""

    def steps(self, cycle: BillCycle) -> Sequence[StepTaken]:
        """The cycle's history, oldest first."""

    def excluded(self, cycle: BillCycle, accounts: AccountRange | None = None) -> Mapping[str, Exclusion]:
        """Accounts, all or of a range, that are left out of a cycle."""

    def exclude(self, cycle: BillCycle, account: str, reason: str, at: datetime, by: str) -> None:
        """Leave an account out."""

    def include(self, cycle: BillCycle, account: str) -> None:
        """Take an account in again."""

    def drafts_of(self, cycle: BillCycle, accounts: Collection[str]) -> Iterator[Kept]:
        """The cycle's drafts for some accounts."""

    def amounts(self, cycle: BillCycle, accounts: Collection[str]) -> Mapping[str, tuple[Decimal, str]]:
        """What the cycle's drafts for some accounts come to, and in which currency."""

    def is_excepted(self, cycle: BillCycle, account: str) -> bool:
        """Whether the account is among the cycle's exceptions."""

    def withdraw(self, cycle: BillCycle, accounts: Collection[str]) -> int:
        """Delete drafts, exceptions and findings of accounts; how many exceptions there were."""

    def put_off(self, cycle: BillCycle, exceptions: Iterable[BillException]) -> None:
        """Put exceptions in the place of drafts."""

    def unsettled(self, cycle: BillCycle) -> Sequence[BillException]:
        """The cycle's exceptions that are neither billed for the period nor left out with a reason, by account."""

    def unbooked(self, cycle: BillCycle) -> Sequence[str]:
        """Ids of the cycle's issued statements that the books have no entry for."""

    def keep_findings(self, cycle: BillCycle, accounts: AccountRange, findings: Iterable[Finding]) -> None:
        """Put a range's findings in the place of the old ones; what has the same figures keeps its decision."""

    def findings(
        self,
        cycle: BillCycle,
        *,
        code: FindingCode | None = None,
        states: Sequence[FindingState] = (),
        account: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int | None = None,
    ) -> Sequence[Queued]:
        """The cycle's findings, by account and code; a page of them begins after an account and code."""

    def count_findings(self, cycle: BillCycle) -> Mapping[tuple[FindingCode, FindingState], int]:
        """How many findings of each code and state the cycle has."""

    def undecided(self, cycle: BillCycle) -> tuple[int, Queued | None]:
        """How many findings somebody has to decide, and the first; of accounts that are not left out."""

    def held(self, cycle: BillCycle, accounts: AccountRange | None = None) -> Mapping[str, str]:
        """Accounts, all or of a range, that a clerk holds, and what for."""

    def decide(self, cycle: BillCycle, decided: Iterable[Queued]) -> None:
        """Keep decisions."""

    def whole_days(
        self, channels: Sequence[tuple[int, int]], first_day: int, end_day: int
    ) -> Mapping[tuple[int, int], set[int]]:
        """By (meter, channel), the UTC days [since 1970] of [first_day, end_day) that are settled and all there."""

    def moved_out(self, group: str, period: str, first: date, last: date) -> Sequence[str]:
        """Accounts of a group whose last agreement ended after `first` and not after `last`, and no cycle knows."""

    def has_accounts(self, group: str, days: Period) -> bool:
        """Whether an account is in a group, and has an agreement in force, on any of these local days."""

    def peers(self, period: str, until: datetime) -> Mapping[PeerGroup, Peers]:
        """What alike bills of a period used, of the largest cycle that was issued by then."""

    def keep_peers(self, cycle: BillCycle, peers: Mapping[PeerGroup, Peers]) -> None:
        """Keep what the bills of a cycle used, for those of the next period."""


@dataclass(frozen=True, slots=True)
class Gate:
    """When a cycle is collected: so many of its accounts have all their reads, or so many days after its period."""

    share: Decimal
    days: int


class Transactions(Protocol):
    """A database: consistent views, and transactions that commit at their end."""

    def read(self) -> AbstractContextManager[Any]:
        """A view that holds up no writer."""

    def trim_log(self) -> None:
        """Between two pieces of long work: keep what the database logs from growing with it."""

    def write(self) -> AbstractContextManager[Any]:
        """A transaction."""


@dataclass(frozen=True, slots=True)
class Office:
    """What a bill run works with.

    Parameters
    ----------
    due_days
        days from issue until the money is due.
    records, ledger, reviews, corrections
        open them on a transaction of `database`.
    back_billing
        what may not be charged afterwards any more.
    rules
        what statements have to show.
    review, gate
        what is looked at before approval, and when a cycle is collected.
    check
        looks at what the bills of a month would rest on, of all accounts or a range, before they are rated, and puts
        into the queue what somebody has to decide.
    """

    utility: Utility
    due_days: int
    rules: StatementRules
    review: ReviewRules
    gate: Gate
    tariffs: TariffBook
    clock: Callable[[], datetime]
    database: Transactions
    records: Callable[[Any], Records]
    ledger: Callable[[Any], Ledger]
    reviews: Callable[[Any], Reviews]
    check: Callable[[str, AccountRange | None], object]
    corrections: Callable[[Any], Corrections]
    back_billing: BackBilling = NO_LIMIT
