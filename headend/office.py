"""The clerk's office of a site: billing's ports filled in with the registry, the interval store and the SQL ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from headend.billing.agreements import Agreement
from headend.billing.backbilling import BackBilling
from headend.billing.budgets import Standing
from headend.billing.groups import BillingGroup
from headend.billing.ports import AccountRange, GasQualities, Gate, Hold, Office
from headend.billing.profiles import Profile, StatementRules, Typical
from headend.billing.review import Limits, ReviewRules
from headend.billing.statement import Contacts, EnergyMix, EnergySource, TypicalUse, Utility
from headend.config import ReviewSettings, Settings, beside, checked, read_toml
from headend.errors import InvalidConfig
from headend.process.billcheck import check_bills
from headend.reads import LoadProfiles
from headend.registry.members import billing_groups
from headend.registry.registry import (
    InstalledChannel,
    account_ids,
    agreements,
    agreements_beside,
    agreements_between,
    gas_qualities,
    installed_channels,
    timezones,
)
from headend.site import Site
from headend.store.budgets import standings
from headend.store.corrections import SqlCorrections
from headend.store.exceptions import ReadException, holds
from headend.store.intervals import IntervalStore
from headend.store.laststatements import last_statements, refused
from headend.store.ledger import SqlLedger
from headend.store.market import load_market
from headend.store.reviews import SqlReviews
from headend.tariffs import Market
from headend.vee.ruleset import NAMES


@dataclass(frozen=True, slots=True)
class SiteRecords:
    """Registry and reads within one transaction; see `headend.billing.ports.Records`."""

    tx: Connection
    store: IntervalStore

    def accounts(self) -> Iterator[str]:
        """The id of every account, in order."""
        return account_ids(self.tx)

    def agreements(self, account: str | None = None) -> Sequence[Agreement]:
        """Every service agreement, or those of one account."""
        return agreements(self.tx, account=account)

    def agreements_between(self, accounts: AccountRange) -> Sequence[Agreement]:
        """Service agreements of a range of accounts; by account."""
        return agreements_between(self.tx, accounts.first, accounts.last)

    def agreements_beside(self, accounts: AccountRange) -> Sequence[Agreement]:
        """Those of other accounts that share a usage point, a commodity and a day with one of the range."""
        return agreements_beside(self.tx, accounts.first, accounts.last)

    def timezones(self) -> set[str]:
        """Of all usage points."""
        return timezones(self.tx)

    def groups(self) -> Mapping[str, BillingGroup]:
        """Billing groups that were made, by name."""
        return billing_groups(self.tx)

    def channels(self, usage_points: Collection[str] | None = None) -> Sequence[InstalledChannel]:
        """Every channel in service, or those at some usage points."""
        return installed_channels(self.tx, usage_points)

    def gas_qualities(self) -> GasQualities:
        """What gas is worth, by area."""
        return gas_qualities(self.tx)

    def profiles(self, channels: Sequence[tuple[int, int]], start_s: int, end_s: int, interval_s: int) -> LoadProfiles:
        """Reads of (meter, channel) over [start_s, end_s), in the order asked for."""
        return self.store.profiles(self.tx, channels, start_s, end_s, interval_s)

    def holds(self, start_s: int, end_s: int, meters: Collection[int] | None = None) -> list[Hold]:
        """What holds bills of reads in [start_s, end_s), of all meters or some."""
        return [
            Hold(one.id, one.meter, one.channel.code, one.start_s, one.end_s, _why(one))
            for one in holds(self.tx, start_s, end_s, meters)
        ]

    def market(self, series: Collection[str], events: Collection[str], start_s: int, end_s: int) -> Market:
        """Published prices and events over [start_s, end_s)."""
        return load_market(self.tx, series, events, start_s, end_s)

    def last_statements(self, accounts: Collection[str], period: str) -> Mapping[str, bytes]:
        """By account, the document of the last statement of the months before `period`."""
        return last_statements(self.tx, accounts, period)

    def refused(self, accounts: Collection[str], period: str) -> Collection[str]:
        """Those of the accounts that are among the exceptions of month `period` and have no statement for it."""
        return refused(self.tx, accounts, period)

    def budgets(self, accounts: Collection[str], period: str) -> Mapping[str, Standing]:
        """Those of the accounts that have, or had, a budget plan, as they stand before billing period `period`."""
        return standings(self.tx, accounts, period)


def _why(one: ReadException) -> str:
    waits = " (waits for a second person)" if one.state == "waiting" else ""
    return f"{one.rule} {NAMES.get(one.rule, '')}".rstrip() + f"{waits}: {one.detail}"


def statement_rules(settings: Settings, config: Path | None = None) -> StatementRules:
    """What statements have to show, as the settings say; profiles stand beside `config` or among the shipped files.

    Raises
    ------
    InvalidConfig
        there is no such profile, something is wrong in it, or an item is waived that no profile has.
    """
    its = settings.statement
    by_class = {name: _profile(profile, config, f"statement.profiles.{name}") for name, profile in its.profiles.items()}
    default = _profile(its.profile, config, "statement.profile")
    known = {item.key for profile in (default, *by_class.values()) for item in profile.items}
    if unknown := sorted(set(its.waived) - known):
        where = f"{config or 'headend.toml'}: statement.waived"
        raise InvalidConfig(where, repr(unknown[0]), f"an item of the profile: {', '.join(sorted(known))}")
    contacts = Contacts(**settings.contacts.model_dump())
    mix = its.mix
    return StatementRules(
        default,
        by_class,
        frozenset(its.waived),
        contacts if contacts != Contacts() else None,
        None
        if mix is None
        else EnergyMix(
            mix.year,
            tuple(EnergySource(name, percent) for name, percent in mix.sources.items()),
            mix.co2_g_per_kwh,
            mix.waste_g_per_kwh,
        ),
        its.notice,
        tuple(
            Typical(each.commodity, each.customer_class, TypicalUse(each.label, each.a_year)) for each in its.typical
        ),
    )


def review_rules(its: ReviewSettings) -> ReviewRules:
    """What is looked at before a cycle is approved, as the settings say."""
    given = its.model_dump(exclude={"second_above", "days"})
    days = (its.days[0], its.days[1]) if its.days else None
    return ReviewRules(Limits(**given, days=days), its.second_above)


def _profile(name: str, config: Path | None, key: str) -> Profile:
    path = beside(config, key, f"profiles/{name}.toml")
    return checked(str(path), lambda: Profile.model_validate(read_toml(path)))


def office_of(site: Site) -> Office:
    """The office of an open site."""
    corrections = site.settings.corrections
    return Office(
        utility=Utility(site.settings.site.name, site.settings.site.address),
        due_days=site.settings.billing.due_after_days,
        rules=site.paper or statement_rules(site.settings),
        review=review_rules(site.settings.review),
        gate=Gate(site.settings.billing.complete_share, site.settings.billing.collect_days),
        tariffs=site.tariffs,
        clock=site.clock,
        database=site.database,
        records=lambda tx: SiteRecords(tx, site.store),
        ledger=SqlLedger,
        corrections=SqlCorrections,
        back_billing=BackBilling(corrections.back_bill_months, corrections.by_class),
        reviews=SqlReviews,
        check=partial(check_bills, site),
    )
