"""Class profile: the mean of actual reads by kind of day and local time."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np

from headend.reads import NO_REGISTER, LoadProfiles, Quality
from headend.vee.classprofile import class_profile_of
from headend.vee.daytypes import day_types

# Friday, 6 February 2026, and the Saturday after it, in a zone five and a half hours ahead.
START_S, KOLKATA = 20_490 * 86_400, ZoneInfo("Asia/Kolkata")


def profiles(values: np.ndarray, quality: np.ndarray) -> LoadProfiles:
    k, n = values.shape
    none = np.zeros((k, n), np.uint8)
    return LoadProfiles(1800, START_S, np.arange(k), np.full(k, 7), values, quality, none, np.full((k, n), NO_REGISTER))


def test_mean_of_actual_reads_by_kind_of_day_and_local_time() -> None:
    calendar = day_types(START_S, 96, 1800, KOLKATA, "")
    values = np.array([[100] * 96, [300] * 96])
    quality = np.full((2, 96), Quality.VALIDATED, np.uint8)
    values[1, 4], quality[1, 4] = 9_999, Quality.ESTIMATED_LINEAR  # 02:00 UTC: half past seven on Friday
    profile = class_profile_of(profiles(values, quality), calendar)
    assert profile is not None
    assert profile.channels == 2
    # The local Friday ends at 18:30 UTC, column 37.
    assert calendar.kind[36:38].tolist() == [0, 1]
    assert profile.at(calendar, np.array([3, 4, 5, 40])).tolist() == [200, 100, 200, 200]


def test_what_one_kind_of_day_lacks_is_taken_from_the_other_and_else_is_the_mean_of_all() -> None:
    calendar = day_types(START_S, 96, 1800, KOLKATA, "")
    quality = np.zeros((1, 96), np.uint8)
    quality[0, [4, 10]] = Quality.RAW  # half past seven and half past ten on Friday
    values = np.zeros((1, 96), np.int64)
    values[0, [4, 10]] = 80, 40
    profile = class_profile_of(profiles(values, quality), calendar)
    assert profile is not None
    assert profile.at(calendar, np.array([4, 52, 58, 20])).tolist() == [80, 80, 40, 60]


def test_without_reads_there_is_none() -> None:
    calendar = day_types(START_S, 96, 1800, KOLKATA, "")
    assert class_profile_of(profiles(np.zeros((1, 96), np.int64), np.zeros((1, 96), np.uint8)), calendar) is None
