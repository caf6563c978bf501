"""Each rule's word on days made by hand, and what one rule's word leaves to the others."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from headend.config import shipped
from headend.reads import NO_REGISTER, LoadProfiles, Quality
from headend.reads.channels import Channel
from headend.reads.quality import Flag
from headend.vee import Due, Rules, Settled, load_rule_set, settle
from headend.vee.classprofile import ClassProfile
from headend.vee.daytypes import day_types
from headend.vee.worksheet import PASSED_BIT

RULES = load_rule_set(shipped("vee.toml"))
HOME, SHOP = RULES.of("residential"), RULES.of("commercial")
IMPORT = Channel.parse("1-0:1.8.0").code
BERLIN = ZoneInfo("Europe/Berlin")
START_S = 20_486 * 86_400  # Monday, 2 February 2026
DAY = 24
#: A day with a morning and an evening: the third-highest hour is 800.
USUAL = [300] * 6 + [800, 900] + [400] * 10 + [1_000, 700] + [300] * 4


class Days:
    """Whole UTC days of one channel, the usual ones until a test changes an hour."""

    def __init__(self, days: int, channel: int = IMPORT) -> None:
        self.values = np.array(USUAL * days)
        self.quality = np.full(days * DAY, Quality.VALIDATED, np.uint8)
        self.quality[-DAY:] = Quality.RAW
        self.flags = np.zeros(days * DAY, np.uint8)
        self.register = np.full(days * DAY, NO_REGISTER)
        self.passed = np.zeros(days * DAY, np.uint8)
        self.channel, self.first_open = channel, (days - 1) * DAY

    def with_registers(self) -> Days:
        """A register at the end of each day, of what has flowed until now."""
        self.register[DAY - 1 :: DAY] = 5_000 + self.values.cumsum()[DAY - 1 :: DAY]
        return self

    def settled(self, rules: Rules = HOME, *, used_before: bool = True, profile: ClassProfile | None = None) -> Settled:
        n = len(self.values)
        profiles = LoadProfiles(
            3600,
            START_S,
            np.array([1]),
            np.array([self.channel]),
            np.where(self.quality == Quality.MISSING, 0, self.values)[None, :],
            self.quality[None, :],
            self.flags[None, :],
            self.register[None, :],
        )
        due = Due(
            np.array([self.first_open]),
            np.array([n]),
            np.array([10**9]),
            np.array([24_000]),
            np.array([used_before]),
            self.passed[None, :],
        )
        return settle(profiles, due, rules, day_types(START_S, n, 3600, BERLIN, "DE"), lambda _: profile)

    def missing(self, *hours: int) -> Days:
        """Hours of the open day of which nothing came."""
        for hour in hours:
            self.quality[self.first_open + hour] = Quality.MISSING
        return self


def said(settled: Settled, rule: str) -> list[tuple[int, int, str, bool]]:
    """(first hour, hours, severity, whether a person is asked) of a rule's findings."""
    return [
        ((f.start_s - START_S) // 3600, (f.end_s - f.start_s) // 3600, f.severity, f.review)
        for f in settled.findings
        if f.rule == rule
    ]


# ---- V9, spike -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("peak", "stands_out"), [(2_520, False), (2_521, True)])
def test_a_spike_is_more_than_180_percent_above_the_third_highest_hour(peak: int, stands_out: bool) -> None:
    days = Days(2)
    days.values[DAY + 18] = peak  # the others are 900 and 800; 900 is the third-highest with 901 beside it
    days.values[DAY + 19] = 901
    assert bool(said(days.settled(), "V9")) == stands_out


def test_a_homes_spike_is_noted_and_stands_and_nobody_is_asked() -> None:
    days = Days(2)
    days.values[DAY + 3] = 9_000
    settled = days.settled()
    assert said(settled, "V9") == [(DAY + 3, 1, "warning", False)]
    assert (settled.values[0, DAY + 3], settled.quality[0, DAY + 3]) == (9_000, Quality.VALIDATED)


def test_a_shops_spike_is_estimated_where_no_register_vouches_for_it() -> None:
    days = Days(15)
    days.values *= 10  # above the floor of a shop
    days.values[-DAY + 3] = 90_000
    settled = days.settled(SHOP)
    assert said(settled, "V9") == [(14 * DAY + 3, 1, "failed", False)]
    assert settled.quality[0, -DAY + 3] == Quality.ESTIMATED_LINEAR
    assert settled.values[0, -DAY + 3] == 3_000


def test_a_spike_the_register_vouches_for_is_verified() -> None:
    days = Days(2)
    days.values[DAY + 3] = 9_000
    settled = days.with_registers().settled()
    assert said(settled, "V9") == []
    assert settled.quality[0, DAY:].tolist() == [
        Quality.VERIFIED if hour == 3 else Quality.VALIDATED for hour in range(24)
    ]


def test_a_person_can_pass_a_spike_and_passes_nothing_else() -> None:
    days = Days(15)
    days.values *= 10
    days.values[-DAY + 3] = 90_000
    days.passed[-DAY + 3] = PASSED_BIT["V9"]
    settled = days.settled(SHOP)
    assert settled.quality[0, -DAY + 3] == Quality.VERIFIED
    # The sum check is not passed with it: the register knows of 3,000.
    days.register[-DAY - 1], days.register[-1] = 0, 10 * sum(USUAL)
    settled = days.settled(SHOP)
    assert [(first, length) for first, length, *_ in said(settled, "V8")] == [(14 * DAY + 3, 1)]
    assert settled.values[0, -DAY + 3] == 3_000


def test_an_hour_in_which_the_clock_was_set_is_no_spike() -> None:
    days = Days(2)
    days.values[DAY + 3], days.flags[DAY + 3] = 9_000, Flag.CLOCK_SET
    assert said(days.settled(), "V9") == []


# ---- V10, runs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "first", "hours", "named"),
    [
        (HOME, 23, 25, True),
        (HOME, 24, 24, False),
        (SHOP, 30, 7, True),
        (SHOP, 30, 6, False),
    ],
)
def test_zero_for_long_is_named_and_asked_about(rules: Rules, first: int, hours: int, named: bool) -> None:
    days = Days(2)
    days.values[first : first + hours] = 0
    settled = days.settled(rules)
    assert said(settled, "V10") == ([(first, hours, "warning", True)] if named else [])
    # It is named, not taken away.
    assert settled.values[0, first] == 0
    assert settled.quality[0, -1] == Quality.VALIDATED


def test_zero_before_any_use_is_no_run() -> None:
    days = Days(3)
    days.values[:] = 0
    assert said(days.settled(used_before=False), "V10") == []
    assert said(days.settled(used_before=True), "V10") == [(0, 72, "warning", True)]


def test_zero_the_register_vouches_for_is_noted_and_nobody_is_asked() -> None:
    days = Days(4)
    days.values[2 * DAY :] = 0
    assert said(days.with_registers().settled(), "V10") == [(2 * DAY, 2 * DAY, "info", False)]


@pytest.mark.parametrize(("hours", "named"), [(12, False), (13, True)])
def test_the_same_value_for_long_is_named(hours: int, named: bool) -> None:
    days = Days(2)
    days.values[DAY + 1 : DAY + 1 + hours] = 417
    assert bool(said(days.settled(), "V10")) == named


def test_runs_are_looked_for_on_the_channels_the_rule_names() -> None:
    export = Days(3, Channel.parse("1-0:2.8.0").code)
    export.values[:] = 0
    assert len(export.settled().findings) == 0


# ---- V8, the sum check -----------------------------------------------------------------------------------------------


def test_two_hours_that_could_be_wrong_share_what_is_known_of_them() -> None:
    days = Days(15).with_registers()
    days.values[-DAY + 3], days.values[-DAY + 10] = 3_000, 3_700
    days.register[-1] = days.register[-DAY - 1] + int(days.values[-DAY:].sum()) - 2_700
    settled = days.settled()
    # Either alone explains the 2,700 too much, and neither more than the other.
    assert said(settled, "V8") == [(14 * DAY + 3, 1, "failed", True), (14 * DAY + 10, 1, "failed", True)]
    assert settled.values[0, -DAY:].sum() == days.register[-1] - days.register[-DAY - 1]
    assert {settled.quality[0, -DAY + 3], settled.quality[0, -DAY + 10]} == {Quality.ESTIMATED_FROM_REGISTER}


def test_a_window_nothing_explains_is_estimated_whole_and_asked_about() -> None:
    days = Days(15).with_registers()
    days.register[-1] = days.register[-DAY - 1] + 2 * sum(USUAL)
    settled = days.settled()
    assert said(settled, "V8") == [(14 * DAY, DAY, "failed", True)]
    # Like days, scaled: every hour twice its usual.
    assert settled.values[0, -DAY:].tolist() == [2 * value for value in USUAL]


def test_a_sum_that_a_person_passed_stands() -> None:
    days = Days(15).with_registers()
    days.register[-1] = days.register[-DAY - 1] + 2 * sum(USUAL)
    days.passed[-DAY] = PASSED_BIT["V8"]
    settled = days.settled()
    assert said(settled, "V8") == []
    assert settled.values[0, -DAY:].tolist() == USUAL


def test_what_a_person_decided_stands_against_the_register_and_moves_no_read_beside_it() -> None:
    days = Days(15).with_registers()
    days.values[-DAY + 3], days.quality[-DAY + 3] = 3_000, Quality.EDITED
    settled = days.settled()
    assert settled.values[0, -DAY:].tolist() == days.values[-DAY:].tolist()
    assert settled.quality[0, -DAY:].tolist() == [
        Quality.EDITED if hour == 3 else Quality.VALIDATED for hour in range(24)
    ]
    # It is noted, and nobody is asked about what somebody has decided.
    assert said(settled, "V8") == [(14 * DAY, DAY, "warning", False)]
    days.values[-DAY + 3] = 300
    assert said(days.settled(), "V8") == []


def test_holes_beside_what_a_person_decided_take_what_the_register_leaves() -> None:
    days = Days(15).with_registers().missing(10, 11)
    days.values[-DAY + 3], days.quality[-DAY + 3] = 500, Quality.EDITED
    settled = days.settled()
    # 400 and 400 are missing; 200 of them went to the edit.
    assert settled.values[0, -DAY + 10 : -DAY + 12].tolist() == [300, 300]


# ---- V6, refused when it came ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "asked"), [(6, False), (7, True)])
def test_where_much_was_refused_a_person_is_asked_about_the_limit(hours: int, asked: bool) -> None:
    days = Days(15)
    days.values[-DAY : -DAY + hours], days.quality[-DAY : -DAY + hours] = 30_000, Quality.QUESTIONABLE
    assert said(days.settled(), "V6") == ([(14 * DAY, hours, "warning", True)] if asked else [])


# ---- V2, a clock that was off ----------------------------------------------------------------------------------------


def test_reads_told_by_a_clock_that_is_off_are_verified_by_the_register_or_estimated() -> None:
    days = Days(15).with_registers()
    days.quality[-DAY + 5 : -DAY + 8] = Quality.QUESTIONABLE
    days.flags[-DAY + 5 : -DAY + 8] = Flag.CLOCK_OFF
    days.values[-DAY + 6] += 77
    days.register[-1] += 77
    settled = days.settled()
    assert settled.values[0, -DAY:].tolist() == days.values[-DAY:].tolist()
    assert settled.quality[0, -DAY + 5 : -DAY + 8].tolist() == [Quality.VERIFIED] * 3
    days.register[-1] += 500
    settled = days.settled()
    assert settled.quality[0, -DAY + 5 : -DAY + 8].tolist() == [Quality.ESTIMATED_FROM_REGISTER] * 3
    assert settled.values[0, -DAY:].sum() == sum(USUAL) + 577
    days.register[-1] = NO_REGISTER
    assert days.settled().quality[0, -DAY + 5 : -DAY + 8].tolist() == [Quality.ESTIMATED_LIKE_DAY] * 3


# ---- estimation ------------------------------------------------------------------------------------------------------


def test_days_with_holes_or_an_outage_are_no_reference_while_there_are_whole_ones() -> None:
    days = Days(5).missing(3, 4, 5, 6)
    days.values[2 * DAY : 3 * DAY] = 9_000
    days.flags[2 * DAY + 20] = Flag.POWER_OUTAGE
    days.values[3 * DAY : 4 * DAY] = 9_000
    days.quality[3 * DAY + 20] = Quality.MISSING
    settled = days.settled()
    assert settled.values[0, -DAY + 3 : -DAY + 7].tolist() == USUAL[3:7]
    assert settled.quality[0, -DAY + 3] == Quality.ESTIMATED_LIKE_DAY


def test_an_estimate_by_hand_stays_and_is_no_reference() -> None:
    days = Days(5).missing(3, 4, 5)
    days.values[: 3 * DAY] = 9_000
    days.quality[: 3 * DAY] = Quality.ESTIMATED_BY_HAND
    days.values[-1], days.quality[-1] = 1_234, Quality.ESTIMATED_BY_HAND
    settled = days.settled()
    assert settled.values[0, -DAY + 3 : -DAY + 6].tolist() == USUAL[3:6]
    assert (settled.values[0, -1], settled.quality[0, -1]) == (1_234, Quality.ESTIMATED_BY_HAND)


def test_the_class_profile_serves_who_has_no_past_at_the_level_it_has() -> None:
    profile = ClassProfile(40, np.array([[100.0 + slot for slot in range(24)]] * 2))
    days = Days(1).missing(*range(6, 24))
    days.first_open = 0
    settled = days.settled(profile=profile)
    # What it used from 0 to 5 UTC, that is 1 to 6 local, is 300 an hour; the profile has 103.5 on average there.
    assert settled.quality[0, 6:].tolist() == [Quality.ESTIMATED_CLASS_PROFILE] * 18
    assert settled.values[0, 6] == round((100 + 7) * 300 / 103.5)
    assert settled.values[0, 23] == round(100 * 300 / 103.5)
    nothing = Days(1).missing(*range(24))
    nothing.first_open = 0
    assert nothing.settled(profile=profile).values[0, :3].tolist() == [101, 102, 103]


def test_nothing_known_is_missing_and_asked_about() -> None:
    nothing = Days(1).missing(*range(24))
    nothing.first_open = 0
    settled = nothing.settled()
    assert said(settled, "V4") == [(0, 24, "failed", True)]
    assert set(settled.quality[0].tolist()) == {Quality.MISSING}


def test_a_trickle_is_not_rounded_away() -> None:
    days = Days(1).missing(*range(12, 24))
    days.first_open = 0
    days.values[:12] = [0, 0, 1] * 4
    assert days.settled().values[0, 12:].sum() == 4


def test_an_estimate_that_could_not_have_flowed_is_spread_evenly() -> None:
    days = Days(15).with_registers().missing(*range(4))
    days.values[: 14 * DAY] = ([1] * 3 + [20_000] + [300] * 20) * 14
    days.register[-DAY - 1] = 1_000
    days.register[-1] = 1_000 + 4 * 20_000 + sum(USUAL[4:])
    settled = days.settled()
    # By the shape of like days one hour would take 79,988 of 80,000; no more than 24,000 can flow.
    assert settled.values[0, -DAY : -DAY + 4].tolist() == [20_000] * 4


def test_an_estimate_names_what_it_rests_on() -> None:
    days = Days(15).missing(3, 4, 5, 6)
    (basis,) = days.settled().basis
    assert (basis.row, basis.begin, basis.stop) == (0, 14 * DAY + 3, 14 * DAY + 7)
    # Eight like days before it: the working days of the week before, and Wednesday to Friday of the week before that.
    assert basis.first // DAY == 14 - 12
    assert basis.end > 14 * DAY + 7
