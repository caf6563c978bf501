"""Money: the one rounding rule, and integers that stay exact until a Decimal is made of them.

An amount is rounded once, at the line, half away from zero to the currency's minor unit (0.125 → 0.13,
-0.125 → -0.13). Up to there it is a whole number of 10^-scale currency units in an array: int64 while that is safe,
Python's unbounded integers in an object array beyond. No float ever holds money.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_HALF_UP, Context, Decimal, Inexact
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Whole numbers (n,): int64, or object holding Python integers where int64 could overflow.
Integers = NDArray[Any]

#: Sums and products with all their digits. Not for quotients, which may have no end.
EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])

_IN_USE = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF
IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD
MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB
RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU
UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
#: ISO 4217, currencies in use.
CURRENCIES = frozenset(_IN_USE.split())
_NO_MINOR_UNIT = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF")
)
_THOUSANDTHS = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))

# Below it stays what is multiplied in int64, so that sums of so many stay below 2^63.
_SAFE = 2**56
_MOST_SUMMED = 2**63 // _SAFE


def minor_digits(currency: str) -> int:
    """Decimal places of the currency's minor unit [ISO 4217]: 2 for EUR, 0 for JPY, 3 for KWD."""
    if currency in _NO_MINOR_UNIT:
        return 0
    return 3 if currency in _THOUSANDTHS else 2


def minor_unit(currency: str) -> Decimal:
    """The smallest amount of the currency: 0.01 for EUR."""
    return unit_of_scale(minor_digits(currency))


def unit_of_scale(scale: int) -> Decimal:
    """10^-scale."""
    return Decimal((0, (1,), -scale))


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Amount by the rounding rule: half away from zero, to the minor unit."""
    return amount.quantize(minor_unit(currency), rounding=ROUND_HALF_UP)


def scaled(number: Decimal) -> tuple[int, int]:
    """A decimal as (whole number, scale): 0.35 → (35, 2)."""
    scale = max(0, -int(number.as_tuple().exponent))
    return int(number.scaleb(scale, EXACT)), scale


def plain(number: Decimal) -> str:
    """A decimal as people write it, without exponent or trailing zeros."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def half_up(number: Fraction) -> int:
    """Nearest whole number, half away from zero."""
    magnitude = (2 * abs(number.numerator) + number.denominator) // (2 * number.denominator)
    return magnitude if number >= 0 else -magnitude


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Their sum, exact; `Decimal`'s own would keep 28 digits."""
    return reduce(EXACT.add, amounts, Decimal(0))


def added_up(columns: Sequence[Integers], n: int = 1) -> Integers:
    """Sum of columns (n,) or (1,) of products, exact; zeros (n,) if there are none."""
    start = np.zeros(n, dtype=np.int64 if len(columns) < _MOST_SUMMED else object)
    return np.asarray(sum(columns, start=start))


def times(values: Integers, factor: int) -> Integers:
    """Values × factor, exact: goes over to unbounded integers before int64 would overflow."""
    if values.dtype != object and max(largest(values), 1) * abs(factor) >= _SAFE:
        values = values.astype(object)
    return np.asarray(values * factor)


def exactly(values: Integers, bound: int) -> Integers:
    """The same values, as unbounded integers if what is made of them may reach a `bound` that int64 does not hold."""
    return values.astype(np.int64 if bound < _SAFE else object, copy=False)


def rescaled(values: Integers, scale: int, to_scale: int) -> Integers:
    """Whole numbers of 10^-scale as whole numbers of 10^-to_scale, rounded half away from zero where digits go."""
    if to_scale >= scale:
        return times(values, int(10 ** (to_scale - scale)))
    return divided(values, int(10 ** (scale - to_scale)))


def divided(values: Integers, divisor: int) -> Integers:
    """Values ÷ a positive divisor, rounded half away from zero."""
    if values.dtype != object and divisor >= _SAFE:
        values = values.astype(object)
    magnitude = (np.abs(values) + divisor // 2) // divisor
    return np.asarray(np.where(values < 0, -magnitude, magnitude))


def largest(values: Integers) -> int:
    """The largest magnitude there is; 0 if there are no values."""
    return max(abs(int(values.max())), abs(int(values.min()))) if values.size else 0
