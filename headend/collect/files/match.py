"""Whose reads a file holds: what it calls a meter and a channel, against the registry."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from headend.collect.files.series import FileReads, Register, Series
from headend.errors import InvalidInput

#: (meter, OBIS code), as the registry knows them.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Named:
    """A meter by another name: what `NMI=E-1` or `NMI:E1=E-1/1-0:1.8.0` says.

    Parameters
    ----------
    obis
        the channel it is; None: the one the file's own channel means.
    """

    meter: str
    obis: str | None


@dataclass(frozen=True, slots=True)
class Matched:
    """A file's reads with our names.

    Parameters
    ----------
    skipped
        what the registry does not know, for people.
    """

    series: list[tuple[Key, Series]] = field(default_factory=list)
    registers: list[tuple[Key, Register]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def read_names(options: Iterable[str]) -> dict[str, Named]:
    """`NAME=METER`, `NAME:CHANNEL=METER` and `NAME:CHANNEL=METER/OBIS` by what the file says; raises `InvalidInput`."""
    names = {}
    for option in options:
        theirs, equals, ours = option.rpartition("=")
        meter, _, obis = ours.partition("/")
        if not (equals and theirs and meter):
            raise InvalidInput("--meter", repr(option), "NMI=E-1 or NMI:E1=E-1/1-0:1.8.0")
        names[theirs] = Named(meter, obis or None)
    return names


def match(
    name: str, reads: FileReads, known: Collection[Key], names: Mapping[str, Named], *, skip_unknown: bool
) -> Matched:
    """Reads with the registry's names.

    Parameters
    ----------
    name
        of the file, for errors.
    known
        every channel of the registry.
    names
        what the file calls a meter, or a meter's channel as `meter:channel`, and what that is.
    skip_unknown
        True: leave out what is not known, and say so; False: refuse the whole file.

    Raises
    ------
    InvalidInput
        a meter or channel is unknown, or two of the file's channels claim the same interval of one of ours.
    """
    matched, meters = Matched(), {meter for meter, _ in known}
    everything: list[Series | Register] = [*reads.series, *reads.registers]
    for one in everything:
        try:
            key = _key(f"{name}: line {one.line}", one, known, meters, names)
        except InvalidInput as error:
            if not skip_unknown:
                raise
            matched.skipped.append(error.found)
            continue
        if isinstance(one, Series):
            matched.series.append((key, one))
        else:
            matched.registers.append((key, one))
    _refuse_rivals(name, matched)
    return matched


def _key(
    where: str, one: Series | Register, known: Collection[Key], meters: Collection[str], names: Mapping[str, Named]
) -> Key:
    called = f"{one.names[0]!r}, channel {one.channel!r}"
    if isinstance(one, Series) and one.unusable:
        raise InvalidInput(where, f"{called}: {one.unusable}", "reads of energy or volume, or --skip-unknown")
    keys = [f"{name}:{one.channel}" for name in one.names] + list(one.names)
    named = next((names[key] for key in keys if key in names), None)
    meter = named.meter if named else next((name for name in one.names if name in meters), None)
    obis = (named.obis if named else None) or one.obis
    if meter is None or meter not in meters:
        found = f"unknown meter {called}" + (f" (named {meter})" if meter else "")
        raise InvalidInput(where, found, "a meter of the registry; --meter NAME=METER says which it is")
    if obis is None or (meter, obis) not in known:
        has = ", ".join(sorted(channel for name, channel in known if name == meter))
        found = f"unknown channel {called}" + (f" ({obis})" if obis and obis != one.channel else "")
        raise InvalidInput(where, found, f"one that {meter} has: {has}; --meter NAME:CHANNEL=METER/OBIS says which")
    return meter, obis


def _refuse_rivals(name: str, matched: Matched) -> None:
    """Two channels of the file that both tell the same interval or register of one of ours: neither is it."""
    series: dict[Key, list[Series]] = {}
    for key, one in matched.series:
        for other in series.setdefault(key, []):
            if len(np.intersect1d(_told(one), _told(other))):
                raise _rivals(name, key, other, one)
        series[key].append(one)
    registers: dict[Key, dict[int, Register]] = {}
    for key, register in matched.registers:
        before = registers.setdefault(key, {}).setdefault(register.at_s, register)
        if (before.channel, before.value) != (register.channel, register.value):
            raise _rivals(name, key, before, register)


def _rivals(name: str, key: Key, one: Series | Register, other: Series | Register) -> InvalidInput:
    called, rival = (f"{each.names[0]!r} {each.channel!r}" for each in (one, other))
    found = f"{called} and {rival} for {'/'.join(key)}"
    expected = "one of them at a time; --meter NAME:CHANNEL=METER/OBIS tells them apart"
    return InvalidInput(f"{name}: lines {one.line} and {other.line}", found, expected)


def _told(series: Series) -> NDArray[np.int64]:
    present = np.array([value is not None for value in series.values], dtype=np.bool_)
    return series.starts[present]
