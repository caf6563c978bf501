"""Accruals of accounts: all agreements of each rated, and put together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np

from headend.billing.accruals.accrual import Accrual, AccrualsAlike, Forecast
from headend.billing.accruals.rating import Basis, RatedSoFar, rate_so_far
from headend.billing.accruals.segments import SegmentsAlike, moments
from headend.billing.agreements import Agreement, billing_days, period_at
from headend.billing.columns import column, numbers
from headend.billing.drafting import several_currencies
from headend.billing.ports import Office
from headend.errors import NotFound
from headend.reads.days import Period, zone_named
from headend.tariffs.money import minor_digits


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


def accrue(basis: Basis, agreements: Sequence[Agreement], period: str, now: datetime) -> list[AccrualsAlike]:
    """The accruals of one billing period, one for each account, those together that are alike.

    Parameters
    ----------
    agreements
        all of each account.
    now
        days before it are what a forecast looks back on.
    """
    rated = rate_so_far(basis, agreements, period, now)
    alike: dict[_Form, dict[str, Sequence[_Placed]]] = defaultdict(dict)
    placed = _by_account(rated.segments)
    for account, days in _days_of_accounts(agreements, period).items():
        its = placed.get(account, [])
        is_foreseen = account not in rated.problems and account not in rated.unforeseen
        alike[_Form(days, tuple([each.alike for each in its]), is_foreseen)][account] = its
    return [_put_together(rated, period, form, accounts) for form, accounts in alike.items()]


class _Form(NamedTuple):
    """What accruals of one form have in common; segments by their place among those rated."""

    days: Period
    segments: tuple[int, ...]
    is_foreseen: bool


class _Placed(NamedTuple):
    """Where a segment of an account is among those rated; in the order in which the account has them."""

    agreement: str
    first: date
    alike: int
    place: int


def _by_account(segments: Iterable[SegmentsAlike]) -> dict[str, list[_Placed]]:
    placed: dict[str, list[_Placed]] = defaultdict(list)
    for number, alike in enumerate(segments):
        for place, part in enumerate(alike.parts):
            its = part.agreement
            placed[its.account.id].append(_Placed(its.id, part.first, number, place))
    for several in placed.values():
        several.sort()
    return placed


def _days_of_accounts(agreements: Iterable[Agreement], period: str) -> dict[str, Period]:
    """All local days of the period, of each account as its first agreement has them."""
    days: dict[str, Period] = {}
    for agreement in agreements:
        account = agreement.account.id
        if account not in days:
            days[account] = billing_days(agreement, period)
    return days


def _put_together(
    rated: RatedSoFar, period: str, common: _Form, accounts: Mapping[str, Sequence[_Placed]]
) -> AccrualsAlike:
    """Accruals of one form."""
    segments = [
        rated.segments[number].some([placed[at].place for placed in accounts.values()])
        for at, number in enumerate(common.segments)
    ]
    problems = [tuple(rated.problems.get(account, ())) for account in accounts]
    currencies = sorted({each.form.currency for each in segments})
    currency = amount = forecast = None
    if len(currencies) == 1:
        (currency,) = currencies
        amount = numbers(np.sum([each.gross for each in segments], axis=0), minor_digits(currency))
        forecast = _forecast(segments, currency) if common.is_foreseen else None
    elif currencies:
        problems = [(*its, several_currencies(currencies)) for its in problems]
    no_forecast = [""] * len(accounts)
    if forecast is None:
        no_forecast = [_why_none(rated, account, *its) for account, its in zip(accounts, problems, strict=True)]
    form = Accrual(
        account=column(list(accounts)),
        period=period,
        first=common.days.first,
        last=common.days.end - timedelta(days=1),
        currency=currency,
        amount=amount,
        through=moments(np.minimum.reduce([each.reads_end_s for each in segments])) if segments else None,
        segments=tuple([each.form for each in segments]),
        forecast=forecast,
        no_forecast=column(no_forecast),
        problems=column(problems),
    )
    return AccrualsAlike(form, len(accounts))


def _forecast(segments: Sequence[SegmentsAlike], currency: str) -> Forecast:
    to_come = np.sum([each.to_come for each in segments], axis=0)
    _, expected, _ = to_come
    # A negative price turns the ends round.
    ends = to_come.min(axis=0), expected, to_come.max(axis=0)
    return Forecast(*[numbers(each, minor_digits(currency)) for each in ends])


def _why_none(rated: RatedSoFar, account: str, *problems: str) -> str:
    """Why an account has no forecast."""
    if problems:
        return "not all of it can be rated"
    return rated.unforeseen.get(account, "there is nothing to bill")
