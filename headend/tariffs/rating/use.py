"""What goes into a bill beside the tariff: what was used, and what earlier bills left over. Rows are customers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from headend.errors import CannotRate
from headend.reads.days import HOUR_S
from headend.tariffs.arrays import Bools, Int64s
from headend.tariffs.money import Integers

#: No meter counts more in an interval [base units]; sums over a year of minutes stay far below 2^63.
LARGEST_READ = 10**12


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """Interval reads of `m` customers over the same `n` intervals.

    Parameters
    ----------
    interval_s
        length of an interval [s].
    imported
        energy, gas or water taken [base units] (m, n).
    exported, reactive
        energy fed in [Wh] and reactive energy taken [varh] (m, n); None where nothing measures it.
    estimated
        which intervals of `imported` are estimates (m, n); None: not known, which counts as none.
    """

    interval_s: int
    imported: Int64s
    exported: Int64s | None = None
    reactive: Int64s | None = None
    estimated: Bools | None = None

    def __len__(self) -> int:
        return len(self.imported)

    def part(self, columns: slice) -> Use:
        """Some of the intervals, of all customers."""
        return Use(
            self.interval_s,
            self.imported[:, columns],
            None if self.exported is None else self.exported[:, columns],
            None if self.reactive is None else self.reactive[:, columns],
            None if self.estimated is None else self.estimated[:, columns],
        )

    def by_hour(self) -> Use:
        """The same, added up to hours, from the first interval on. An hour with an estimate in it is an estimate.

        Raises
        ------
        CannotRate
            the intervals are longer than an hour, or do not fill hours.
        """
        parts, rest = divmod(HOUR_S, self.interval_s)
        if rest or not parts or self.imported.shape[1] % parts:
            raise CannotRate(f"{self.imported.shape[1]} reads of {self.interval_s} s do not fill hours")
        begins = np.arange(0, self.imported.shape[1], parts)

        def added(reads: Int64s | None) -> Int64s | None:
            return None if reads is None else np.add.reduceat(reads, begins, axis=1, dtype=np.int64)

        imported = np.add.reduceat(self.imported, begins, axis=1, dtype=np.int64)
        estimated = None if self.estimated is None else np.logical_or.reduceat(self.estimated, begins, axis=1)
        return Use(HOUR_S, imported, added(self.exported), added(self.reactive), estimated)

    def check(self, n: int) -> None:
        """Raise `CannotRate` unless these are whole, possible reads of `n` intervals."""
        shape = (len(self), n)
        for name, reads in (("import", self.imported), ("export", self.exported), ("reactive", self.reactive)):
            if reads is not None:
                _check(name, reads, shape)
        if self.estimated is not None and self.estimated.shape != shape:
            raise CannotRate(f"marks of estimates are {self.estimated.shape}, the reads {shape}")


def _check(name: str, reads: Int64s, shape: tuple[int, int]) -> None:
    if reads.shape != shape:
        raise CannotRate(
            f"{name} reads have {reads.shape[-1]} intervals for {len(reads)} customers, "
            f"the window has {shape[-1]} for {shape[0]}"
        )
    if not np.issubdtype(reads.dtype, np.integer):
        raise CannotRate(f"{name} reads are {reads.dtype}, not whole numbers")
    if reads.size and not 0 <= int(reads.min()) <= int(reads.max()) <= LARGEST_READ:
        row, interval = (int(at[0]) for at in np.nonzero((reads < 0) | (reads > LARGEST_READ)))
        raise CannotRate(f"{name} read {interval} of customer {row} is {reads[row, interval]}, which no meter counts")


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """Highest demand in one bill.

    Parameters
    ----------
    month
        calendar month (1 to 12) the bill is for.
    watts
        measured, before any ratchet, by line of the demand component (m, lines).
    """

    month: int
    watts: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Credit:
    """Money in the bank, nothing or more.

    Parameters
    ----------
    amount
        as billed, in minor units (m,).
    exact, scale
        never rounded on the way, in 10^-`scale` of the currency (m,).
    """

    amount: Integers
    exact: Integers
    scale: int


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """What a bill takes over from the ones before it, and leaves to the next.

    Parameters
    ----------
    peaks
        by place of the demand component in the tariff, latest bill first.
    energy
        in the bank of energy, by period of the tariff's own schedule [Wh] (m, periods); None: nothing.
    credit
        in the bank of money; None: nothing.
    """

    peaks: Mapping[int, tuple[Peaks, ...]] = field(default_factory=dict)
    energy: Int64s | None = None
    credit: Credit | None = None

    def then(self, later: Carried) -> Carried:
        """What the bill after next takes over, where `later` is what the next one made: its peaks come first."""
        peaks = {index: (*its, *self.peaks.get(index, ())) for index, its in later.peaks.items()}
        return replace(later, peaks=peaks)


#: A first bill's.
NOTHING_CARRIED = Carried()
