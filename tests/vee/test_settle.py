"""What settlement promises whatever happens in the field."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headend.config import shipped
from headend.reads import NO_REGISTER, LoadProfiles, Quality
from headend.reads.quality import IS_BILLABLE
from headend.vee import Due, Settled, load_rule_set, settle
from headend.vee.daytypes import day_types

RULES = load_rule_set(shipped("vee.toml")).of("residential")
START_S = 20_486 * 86_400  # Monday, 2 February 2026
N = 4 * 24
MAXIMUM = 24_000


def settled(profiles: LoadProfiles, first_day: int = 0, end_day: int = 4) -> Settled:
    k = len(profiles.meter)
    calendar = day_types(START_S, N, 3600, ZoneInfo("Europe/Berlin"), "DE")
    open_from, open_to = np.full(k, first_day * 24), np.full(k, end_day * 24)
    due = Due(open_from, open_to, np.full(k, 10**9), np.full(k, MAXIMUM), np.zeros(k, dtype=np.bool_))
    return settle(profiles, due, RULES, calendar)


def profile(values: np.ndarray, quality: np.ndarray, register: np.ndarray) -> LoadProfiles:
    k = len(values)
    return LoadProfiles(3600, START_S, np.arange(k), np.full(k, 7), values, quality, np.zeros_like(quality), register)


@st.composite
def fields(draw: st.DrawFn) -> tuple[LoadProfiles, np.ndarray]:
    """Three honest meters with holes, and what truly flowed."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    truth = random.integers(0, draw(st.sampled_from([1, 10, 2_000, MAXIMUM + 1])), (3, N))
    missing = random.random((3, N)) < draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    begin, end = sorted(draw(st.tuples(st.integers(0, N), st.integers(0, N))))
    missing[0, begin:end] = True
    register = (10**9 - 30_000 + truth.cumsum(axis=1)) % 10**9
    register[random.random((3, N)) > draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))] = NO_REGISTER
    quality = np.where(missing, Quality.MISSING, Quality.RAW).astype(np.uint8)
    return profile(np.where(missing, 0, truth), quality, register), truth


@settings(max_examples=120, deadline=None)
@given(fields())
def test_an_honest_meter_keeps_its_reads_and_its_registers(field: tuple[LoadProfiles, np.ndarray]) -> None:
    profiles, truth = field
    came = profiles.quality != Quality.MISSING
    result = settled(profiles)
    # An estimate never stands where a read stood.
    assert np.array_equal(result.values[came], truth[came])
    assert set(np.unique(result.quality[came])) <= {Quality.VALIDATED, Quality.VERIFIED}
    # Whatever lies between two registers adds up to their difference.
    for row in range(len(profiles.meter)):
        reads = np.flatnonzero(profiles.register[row] != NO_REGISTER)
        for a, b in zip(reads[:-1].tolist(), reads[1:].tolist(), strict=True):
            assert result.values[row, a + 1 : b + 1].sum() == truth[row, a + 1 : b + 1].sum()
        # And a meter of which anything came has a value that may be billed for every hour.
        if came[row].any():
            assert IS_BILLABLE[result.quality[row]].all()
    assert (result.values >= 0).all()
    assert np.array_equal(result.clean & came.all(axis=1), result.clean)


@settings(max_examples=40, deadline=None)
@given(fields())
def test_what_is_settled_stays_as_it_is(field: tuple[LoadProfiles, np.ndarray]) -> None:
    profiles, _ = field
    once = settled(profiles)
    again = settled(profile(once.values, once.quality, profiles.register))
    assert np.array_equal(again.values, once.values)
    assert np.array_equal(again.quality, once.quality)
    assert not {f.rule for f in again.findings} & {"V8", "E1", "E2", "E3"}


@settings(max_examples=40, deadline=None)
@given(fields(), st.integers(0, 3))
def test_days_that_are_not_open_keep_their_reads(field: tuple[LoadProfiles, np.ndarray], first: int) -> None:
    profiles, _ = field
    result = settled(profiles, first)
    came = profiles.quality != Quality.MISSING
    closed = np.arange(N) < first * 24
    assert np.array_equal(result.values[came], profiles.values[came])
    assert np.array_equal(result.quality[:, closed][came[:, closed]], profiles.quality[:, closed][came[:, closed]])


@settings(max_examples=80, deadline=None)
@given(fields(), st.data())
def test_one_wrong_read_never_changes_a_register_total(
    field: tuple[LoadProfiles, np.ndarray], data: st.DataObject
) -> None:
    profiles, truth = field
    row, column = data.draw(st.integers(0, 2)), data.draw(st.integers(0, N - 1))
    values = profiles.values.copy()
    if profiles.quality[row, column]:
        values[row, column] = data.draw(st.integers(0, MAXIMUM))
    result = settled(profile(values, profiles.quality, profiles.register))
    reads = np.flatnonzero(profiles.register[row] != NO_REGISTER)
    for a, b in zip(reads[:-1].tolist(), reads[1:].tolist(), strict=True):
        advance = truth[row, a + 1 : b + 1].sum()
        assert abs(result.values[row, a + 1 : b + 1].sum() - advance) <= max(2, advance * 0.005)
    assert (result.values >= 0).all()
