"""What a tariff is, and what it makes of reads: schema, calendar, rating. No I/O but a tariff file given by path.

Files become `Tariff` versions (`load_tariff`, `load_book`); `rate_batch` makes the bills of many customers at once.
"""

from headend.tariffs.bill import Charge, Line, RatedBatch, RatedBill
from headend.tariffs.calendar import BillingWindow, clock_zone, compile_calendar
from headend.tariffs.check import Finding, check_tariff
from headend.tariffs.load import TariffBook, load_book, load_tariff
from headend.tariffs.monthly import Load, rate_months, read_load
from headend.tariffs.rate import rate_batch, rate_segments
from headend.tariffs.schema import Tariff, canonical_json

__all__ = [
    "BillingWindow",
    "Charge",
    "Finding",
    "Line",
    "Load",
    "RatedBatch",
    "RatedBill",
    "Tariff",
    "TariffBook",
    "canonical_json",
    "check_tariff",
    "clock_zone",
    "compile_calendar",
    "load_book",
    "load_tariff",
    "rate_batch",
    "rate_months",
    "rate_segments",
    "read_load",
]
