"""What a tariff is, and what it makes of reads: schema, calendar, rating. No I/O but a tariff file given by path.

Files become `Tariff` versions (`load_tariff`, `load_book`); `rate_batch` makes the bills of many customers at once.
"""

from headend.tariffs.calendar import BillingWindow, clock_zone, codes_of, compile_calendar
from headend.tariffs.check import Finding, check_tariff
from headend.tariffs.format.schema import Tariff, canonical_json
from headend.tariffs.load import TariffBook, load_book, load_tariff
from headend.tariffs.market import NO_MARKET, Events, Market, PriceSeries
from headend.tariffs.rating.bill import Charge, Line, RatedBatch, RatedBill
from headend.tariffs.rating.loadfile import Load, read_load
from headend.tariffs.rating.monthly import rate_months
from headend.tariffs.rating.rate import past_peaks, rate_batch
from headend.tariffs.rating.use import Carried, Peaks, Use

__all__ = [
    "NO_MARKET",
    "BillingWindow",
    "Carried",
    "Charge",
    "Events",
    "Finding",
    "Line",
    "Load",
    "Market",
    "Peaks",
    "PriceSeries",
    "RatedBatch",
    "RatedBill",
    "Tariff",
    "TariffBook",
    "Use",
    "canonical_json",
    "check_tariff",
    "clock_zone",
    "codes_of",
    "compile_calendar",
    "load_book",
    "load_tariff",
    "past_peaks",
    "rate_batch",
    "rate_months",
    "read_load",
]
