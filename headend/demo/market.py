"""What the demo's power exchange and network publish: invented prices and critical peaks, the same for a seed."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from headend.reads.days import DAY_S, local_seconds, seconds
from headend.tariffs import Events, PriceSeries

DAY_AHEAD, CRITICAL_PEAK = "day-ahead", "critical-peak"
#: What is published when the demo begins reaches so far beyond its history.
AHEAD = timedelta(days=400)

_SCALE = 5
_THURSDAY = 3


def day_ahead(start: datetime, end: datetime, zone: ZoneInfo, seed: int) -> PriceSeries:
    """EUR per kWh for every hour: dear in the evening, cheap when the sun shines, now and then below zero."""
    begin_s = seconds(start)
    n = (seconds(end) - begin_s) // 3600
    local = local_seconds(begin_s, n, 3600, zone)
    hour, weekday = local % DAY_S / 3600, (local // DAY_S + _THURSDAY) % 7
    rng = np.random.default_rng(seed)
    days = local // DAY_S - local[0] // DAY_S
    wind, sun = rng.normal(0, 0.02, days[-1] + 1)[days], rng.uniform(0, 0.11, days[-1] + 1)[days]
    price = 0.095 + wind - 0.02 * (weekday >= 5) + rng.normal(0, 0.004, n)
    price += 0.06 * np.exp(-((hour - 19) ** 2) / 5) + 0.03 * np.exp(-((hour - 8) ** 2) / 4)
    price -= sun * np.exp(-((hour - 13) ** 2) / 8)
    starts = begin_s + 3600 * np.arange(n, dtype=np.int64)
    whole = np.rint(price * 10**_SCALE).astype(np.int64)
    return PriceSeries(DAY_AHEAD, "EUR", "kWh", starts, starts + 3600, whole, _SCALE)


def critical_peaks(first: date, end: date, zone: ZoneInfo) -> Events:
    """Every other Thursday from 17 to 20 o'clock."""
    days = (first + timedelta(days=day) for day in range((end - first).days))
    called = [day for day in days if day.weekday() == _THURSDAY and day.isocalendar().week % 2]
    hours = ((datetime.combine(day, time(hour), zone) for hour in (17, 20)) for day in called)
    return Events(CRITICAL_PEAK, tuple((seconds(begin), seconds(until)) for begin, until in hours))
