"""Settlement: a day that is due is validated as a whole, and what is missing or wrong in it is estimated.

The central idea is the window between two register reads (`registers`). A window whose intervals add up to the
register's advance is right; one that does not holds a wrong interval, which is looked for; one with holes tells what
they hold together. Only a gap that no window closes yet has to be guessed without its total, and is estimated again
when the next register comes.

Rules speak in the order register, spike, runs, estimate; none hides another. What a person has passed for one rule is
passed for that rule alone, and what a person decided is neither judged nor estimated again.

Clean channels are settled with array operations alone. The loop is over what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headend.reads.profiles import LoadProfiles
from headend.reads.quality import Quality
from headend.vee.classprofile import ClassProfile
from headend.vee.daytypes import DayTypes
from headend.vee.fill import estimate_from_registers, estimate_gaps
from headend.vee.findings import Finding
from headend.vee.patterns import check_refused, check_runs, check_spikes
from headend.vee.ruleset import Rules
from headend.vee.sumcheck import check_registers, check_sums
from headend.vee.worksheet import Basis, Due, Worksheet

Int64s = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """What should stand after settlement.

    Parameters
    ----------
    values, quality
        of every interval, open or not (k, n).
    clean
        rows in which nothing was missing and nothing failed (k,). Rows that are not want the long view: their
        estimates are only as good as the like days that were shown.
    findings
        what was found and done.
    basis
        what the estimates rest on.
    """

    values: Int64s
    quality: Bytes
    clean: Bools
    findings: list[Finding]
    basis: list[Basis]


def settle(
    profiles: LoadProfiles,
    due: Due,
    rules: Rules,
    calendar: DayTypes,
    class_profile: Callable[[int], ClassProfile | None] = lambda channel: None,  # noqa: ARG005
) -> Settled:
    """Validate and estimate the open days of channels that share rules and time zone.

    Parameters
    ----------
    profiles
        the channels, whole UTC days, with the days before the open ones as far as they may be looked at.
    class_profile
        what the class uses on a channel (its OBIS code as a number), asked for only where a channel itself has no like
        day; None: nothing is known.
    """
    sheet = Worksheet(profiles, due, rules, calendar, class_profile)
    check_refused(sheet)
    check_registers(sheet)
    vouched = check_sums(sheet)
    check_spikes(sheet, vouched)
    check_runs(sheet, vouched)
    sheet.quality[sheet.is_open & (sheet.quality == Quality.RAW)] = Quality.VALIDATED
    incomplete = sheet.windows_to_fill()
    clean = np.logical_and.reduce(sheet.good | ~sheet.is_open, axis=1)
    clean[sheet.windows.row[incomplete]] = False
    clean &= ~_looks_too_short(sheet)
    filled = estimate_from_registers(sheet, incomplete)
    filled |= estimate_gaps(sheet, sheet.is_open & ~sheet.good & ~filled)
    untouched = ~sheet.good & ~filled
    sheet.values[untouched] = profiles.values[untouched]
    return Settled(sheet.values, sheet.quality, clean, sheet.findings, sheet.basis)


def _looks_too_short(sheet: Worksheet) -> Bools:
    """Rows with a register in the open days but none before, to check them against (k,)."""
    has = sheet.profiles.register >= 0
    return np.logical_and((has & sheet.is_open).any(axis=1), ~(has & ~sheet.is_open).any(axis=1))
