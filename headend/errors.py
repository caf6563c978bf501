"""Every exception the head-end raises on purpose.

HeadendError
├── InvalidInput          somebody gave us something wrong: says where, what was found, what was expected
│   ├── InvalidConfig     … in a configuration file
│   ├── InvalidTariff     … in a tariff file
│   └── InvalidMessage    … in a message from the field
├── CannotRate            a bill would be wrong, so there is none: says which price or read is missing
│   └── PriceMissing      … a price: published, or of the tariff
├── BillingConflict       the clerk asked for something the ledger forbids (bill twice, change what is issued)
├── EditConflict          somebody decided on reads what was decided meanwhile, or changed, or needs another person
├── NotFound              no such meter, account, statement …
├── StoreAway             the interval store does not answer; nothing is lost, try again later
├── PublisherAway         who publishes prices does not answer, or has none yet; try again later
├── WorkersDied           a bill run's workers end before they have done anything; what was committed stays
└── StoreBroken           stored bytes are not what was written (journal chain, block length, digest)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial


class HeadendError(Exception):
    """The root: catching it catches what we foresaw, and nothing else."""


class InvalidInput(HeadendError, ValueError):
    """Wrong input, in one line: where it stands, what was found, what was expected.

    Parameters
    ----------
    where
        file and key, or topic, or form field.
    found
        what stood there, already shortened for people.
    expected
        what would have been right.
    """

    def __init__(self, where: str, found: str, expected: str) -> None:
        super().__init__(f"{where}: found {found}, expected {expected}")
        self.where = where
        self.found = found
        self.expected = expected

    def __reduce__(self) -> tuple[object, ...]:
        """As it is handed from one process to another."""
        return type(self), (self.where, self.found, self.expected)


def why_unread(error: Exception) -> str:
    """Why a file could not be read, in the system's words without its number, or in those of what read it."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


class InvalidConfig(InvalidInput):
    """A configuration file is wrong."""


class InvalidTariff(InvalidInput):
    """A tariff file is wrong."""


class InvalidMessage(InvalidInput):
    """A message from the field cannot be used; it goes to quarantine with this text.

    Parameters
    ----------
    fault
        the kind of reason in a few words, by which operators sort: "unknown meter", "in the future" …
    """

    def __init__(self, where: str, found: str, expected: str, *, fault: str) -> None:
        super().__init__(where, found, expected)
        self.fault = fault

    def __reduce__(self) -> tuple[object, ...]:
        """As it is handed from one process to another."""
        return partial(type(self), fault=self.fault), (self.where, self.found, self.expected)


class CannotRate(HeadendError):
    """No bill rather than a wrong one: a price, or a read the bill needs, is missing."""


class PriceMissing(CannotRate):
    """No price is known for some of what was used."""


class BillingConflict(HeadendError):
    """What was asked would bill twice, or change what was issued."""


class EditConflict(HeadendError):
    """What was asked about reads is decided already, rests on what has changed since, or needs another person."""


class NotFound(HeadendError):
    """Nothing goes by that name."""


class StoreAway(HeadendError):
    """The server that keeps the reads does not answer, or refuses; what is not there yet waits."""


class PublisherAway(HeadendError):
    """Who publishes prices does not answer, or says that there are none."""


class WorkersDied(HeadendError):
    """Workers of a bill run end, one after the other, before they have done anything."""


class StoreBroken(HeadendError):
    """What was read back is not what was written."""


def given(what: str, text: str, expected: str) -> str:
    """What somebody has to say, without space around it; raises `InvalidInput` where it is nothing."""
    if not (said := text.strip()):
        raise InvalidInput(what, "nothing", expected)
    return said


def checked_name(by: str, where: str = "clerk") -> str:
    """The name of who does something, without space around it; raises `InvalidInput` where nobody is named."""
    return given(where, by, "the name of who does it")


def few(told: Sequence[str], most: int = 5, between: str = ", ") -> str:
    """The first of what there is to tell, and how many more there are."""
    more = f" and {len(told) - most:,} more" if len(told) > most else ""
    return between.join(told[:most]) + more
