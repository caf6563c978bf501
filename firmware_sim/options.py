"""What command-line options mean, where more than one command has them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from firmware_sim.clock import hour_of
from firmware_sim.errors import InvalidInput


def moment(option: str, text: str) -> datetime:
    """An aware time.

    Raises
    ------
    InvalidInput
        when it is none, or does not say its offset.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(option, text, "an ISO 8601 time such as 2026-01-05T00:00:00Z") from error
    if found.tzinfo is None:
        raise InvalidInput(option, text, "an offset or Z at its end")
    return found


def whole_hour(option: str, text: str) -> int:
    """A time that is a whole UTC hour [hours since 1970]; raises `InvalidInput`."""
    found = moment(option, text).astimezone(UTC)
    if found.minute or found.second or found.microsecond:
        raise InvalidInput(option, text, "a whole hour")
    return hour_of(found)


def check_zone(name: str) -> None:
    """Refuse what is no IANA time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput("--timezone", name, "an IANA name such as Europe/Berlin") from error


def writable(path: Path, option: str = "--truth") -> TextIO:
    """A new file that an option names, open for writing."""
    try:
        return path.open("w", encoding="utf-8", newline="", buffering=1)  # read while it grows
    except OSError as error:
        raise InvalidInput(option, str(error), "a file that can be written") from error
