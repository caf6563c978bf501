"""V13: for how long nothing was read, and when estimation gives up."""

from __future__ import annotations

import numpy as np
import pytest

from headend.vee.dailyuse import DAYS, nothing_known
from headend.vee.prolonged import check_prolonged, given_up
from headend.vee.ruleset import ProlongedRule, Then

END = 20_500
DAY_S = 86_400


def rule(then: Then = "warn") -> ProlongedRule:
    return ProlongedRule(then=then, review=True, days=3, bills=2, stop_after_days=62)  # type: ignore[arg-type]


def unread(*days: range):
    """One channel a range: on its days, counted back from the end, nothing was read; on the others everything."""
    use = nothing_known(len(days), END)
    use.total[:] = 100
    for row, its in enumerate(days):
        use.unread[row, [DAYS - back for back in its]] = 24
    return use


@pytest.mark.parametrize(("days", "found"), [(range(1, 4), 0), (range(1, 5), 1), (range(11, 15), 1), (range(0), 0)])
def test_more_than_three_days_in_a_row(days: range, found: int) -> None:
    assert len(check_prolonged(unread(days), [(7, 8)], 24, rule())) == found


def test_the_finding_spans_the_days_and_asks() -> None:
    (one,) = check_prolonged(unread(range(0), range(2, 8)), [(7, 8), (9, 8)], 24, rule("hold_bill"))
    assert (one.meter, one.channel, one.rule, one.severity, one.review) == (9, 8, "V13", "warning", True)
    assert (one.start_s, one.end_s) == ((END - 7) * DAY_S, (END - 1) * DAY_S)
    assert one.detail == "nothing was read for 6 days"


def test_one_interval_that_was_read_ends_it() -> None:
    use = unread(range(1, 8))
    use.unread[0, -4] = 23
    assert check_prolonged(use, [(7, 8)], 24, rule()) == []


def test_days_that_are_not_known_are_none_on_which_nothing_was_read() -> None:
    use = unread(range(1, 8))
    use.total[0, -4] = -1
    assert check_prolonged(use, [(7, 8)], 24, rule()) == []


def test_longer_than_is_kept_and_than_is_estimated() -> None:
    (one,) = check_prolonged(unread(range(1, DAYS + 1)), [(7, 8)], 24, rule())
    assert one.detail == "nothing was read for 70 or more days; nothing is estimated any more"
    (one,) = check_prolonged(unread(range(1, 63)), [(7, 8)], 24, rule())
    assert one.detail == "nothing was read for 62 days"


def test_a_rule_that_passes_finds_nothing() -> None:
    assert check_prolonged(unread(range(1, 60)), [(7, 8)], 24, rule("pass")) == []


def test_given_up_is_what_lies_too_long_after_the_last_read() -> None:
    # The last read on the day before; on the day after 62 more, on the 65th day the meter is back.
    read = np.zeros((2, 70), dtype=np.bool_)
    read[:, 65] = True
    gone = given_up(np.array([END - 1, -1]), read, END, rule())
    assert np.flatnonzero(gone[0]).tolist() == [62, 63, 64]
    assert not gone[1].any()
