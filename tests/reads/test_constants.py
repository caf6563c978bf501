"""What one unit on the wire stands for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.errors import InvalidMessage
from headend.reads.blocks import NO_REGISTER
from headend.reads.constants import Constant, to_base_units

HOUR = 3600


def test_run_without_constants_is_untouched() -> None:
    values: list[int | None] = [5, None, 7]
    assert to_base_units((), 9, 0, HOUR, values, 1000) == (values, 1000)


def test_transformers_multiply() -> None:
    """CT 200/5 × PT 20000/100: 40 × 200 = 8,000 Wh on the primary side for each on the meter's."""
    constant = Constant(0, 8000, 1, "CT 200/5 × PT 20000/100")
    assert to_base_units((constant,), 9, 0, HOUR, [3, 0, 1], 1000) == ([24_000, 0, 8_000], 8_000_000)


def test_rounding_follows_the_register_and_never_adds_up() -> None:
    """1/3 base unit a pulse, register 100 at the end: 97, 98, 99, 100 pulses are 32⅓, 32⅔, 33, 33⅓ → 32, 33, 33, 33."""
    constant = Constant(0, 1, 3, "3000 pulses per kWh")
    assert to_base_units((constant,), 9, 0, HOUR, [1, 1, 1], 100) == ([1, 0, 0], 33)


def test_without_a_register_the_run_is_rounded_along_its_sum() -> None:
    """⅓, ⅔, 1, 1⅓ → 0, 1, 1, 1."""
    constant = Constant(0, 1, 3, "3000 pulses per kWh")
    assert to_base_units((constant,), 9, 0, HOUR, [1, 1, 1, 1], NO_REGISTER) == ([0, 1, 0, 0], NO_REGISTER)


def test_missing_stays_missing_and_what_follows_it_still_follows_the_register() -> None:
    """After the gap as above: 98 → 99 → 100 are 33, 33, 33. Before it: 2 pulses from the run's begin, ⅔ → 1."""
    constant = Constant(0, 1, 3, "3000 pulses per kWh")
    assert to_base_units((constant,), 9, 0, HOUR, [2, None, 1, 1], 100) == ([1, None, 0, 0], 33)


def test_constant_that_changes_within_a_run_holds_for_the_intervals_that_begin_after_it() -> None:
    constants = (Constant(0, 40, 1, "CT 200/5"), Constant(2 * HOUR, 60, 1, "CT 300/5"))
    assert to_base_units(constants, 9, 0, HOUR, [1, 1, 1, 1], 104) == ([40, 40, 60, 60], 6240)


def test_before_its_first_constant_a_channel_counts_base_units() -> None:
    assert to_base_units((Constant(HOUR, 10, 1, ""),), 9, 0, HOUR, [7, 7], NO_REGISTER) == ([7, 70], NO_REGISTER)


def test_dial_rolls_over_at_its_scaled_modulus() -> None:
    """10,000 pulses are 3,333⅓ → 3,333. From 9,999 (3,333) over 0 to 1 (⅓ → 0): 3,333 − 3,333, then 0."""
    constant = Constant(0, 1, 3, "3000 pulses per kWh")
    assert to_base_units((constant,), 4, 0, HOUR, [1, 1], 1) == ([0, 0], 0)


def test_number_that_no_store_holds_is_refused_by_name() -> None:
    with pytest.raises(InvalidMessage, match="base units"):
        to_base_units((Constant(0, 10**6, 1, ""),), 18, 0, HOUR, [1], 10**17)


constants = st.builds(Constant, st.just(0), st.integers(1, 10**6), st.integers(1, 10**6), st.just(""))
runs = st.lists(st.integers(0, 5_000), min_size=1, max_size=48)


@given(constants, runs, st.integers(0, 9_999))
def test_values_add_up_to_the_scaled_registers_advance_over_any_roll_over(
    constant: Constant, values: list[int | None], first: int
) -> None:
    rolled, last = divmod(first + sum(value or 0 for value in values), 10_000)
    scaled, register = to_base_units((constant,), 4, 0, HOUR, values, last)
    advance = register + rolled * constant.scaled(10_000) - constant.scaled(first)
    assert sum(value or 0 for value in scaled) == advance
    assert all(value is not None and value >= 0 for value in scaled)


@given(constants, constants, runs, st.integers(0, 9_999), st.data())
def test_an_interval_has_the_same_value_in_whatever_message_it_comes(
    one: Constant, other: Constant, values: list[int | None], first: int, data: st.DataObject
) -> None:
    change = data.draw(st.integers(0, len(values)))
    both = (one, Constant(change * HOUR, other.numerator, other.denominator, ""))
    whole, _ = to_base_units(both, 4, 0, HOUR, values, (first + sum(value or 0 for value in values)) % 10_000)
    begin = data.draw(st.integers(0, len(values) - 1))
    end = data.draw(st.integers(begin + 1, len(values)))
    register = (first + sum(value or 0 for value in values[:end])) % 10_000
    again, _ = to_base_units(both, 4, begin * HOUR, HOUR, values[begin:end], register)
    assert again == whole[begin:end]
