"""Who is billed for what: accounts and their service agreements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who gets a statement.

    Parameters
    ----------
    customer_class
        residential, commercial …: which limits validation uses, which tariffs fit.
    locale
        language and number format of the statement, such as de_DE.
    """

    id: str
    name: str
    customer_class: str
    locale: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """From when on which tariff applies to an account at a usage point.

    Parameters
    ----------
    timezone
        the usage point's: its local days are what is billed.
    valid_to
        first day on which it no longer applies; None: open.
    """

    id: str
    account: Account
    usage_point: str
    address: str
    timezone: str
    commodity: str
    tariff_id: str
    valid_from: date
    valid_to: date | None
