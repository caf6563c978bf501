"""A file made ready for the journal: read and checked as a whole, cut into messages. Nothing is written here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import Literal

from headend.collect.files.csvfile import Layout, parse_csv
from headend.collect.files.greenbutton import parse_green_button
from headend.collect.files.match import Key, Matched, Named, match
from headend.collect.files.message import FileBlock, FileMessage, Format, Source
from headend.collect.files.nem import parse_nem
from headend.collect.files.series import FileReads, Series
from headend.collect.wire import WireRegister
from headend.errors import InvalidInput
from headend.reads.days import microseconds, moment
from headend.reads.quality import Quality
from headend.store.journal import Arrival

#: More than this does not fit into memory together with what is made of it.
LARGEST_FILE = 256 * 1024 * 1024

_VALUES_A_MESSAGE = 4_000
#: A block costs some two hundred bytes whatever it holds: short runs must not make a message too large.
_BLOCKS_A_MESSAGE = 1_000
#: A CSV file that says all of itself.
AS_IT_SAYS = Layout()
_MARKS = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"
_NEM_RECORD = re.compile(r'[\s\ufeff]*"?(100|200|250|300|900)"?\s*(,|$)', re.ASCII)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that can be imported.

    Parameters
    ----------
    left_out
        what of it is not imported, for people.
    """

    source: Source
    matched: Matched
    left_out: list[str]

    @property
    def topic(self) -> str:
        """Where its messages stand in the journal."""
        return f"file/{re.sub(r'[^A-Za-z0-9._-]', '_', self.source.name)[:64]}"

    def messages(self, sent_at: datetime) -> Iterator[FileMessage]:
        """All its reads, a few thousand a message."""
        blocks: list[FileBlock] = []
        registers: list[WireRegister] = []
        size = seq = 0
        for part in self._parts():
            length = len(part.values) if isinstance(part, FileBlock) else 1
            full = size + length > _VALUES_A_MESSAGE or len(blocks) + len(registers) == _BLOCKS_A_MESSAGE
            if full:
                seq += 1
                yield FileMessage(seq=seq, sent_at=sent_at, blocks=blocks, registers=registers, source=self.source)
                blocks, registers, size = [], [], 0
            if isinstance(part, FileBlock):
                blocks.append(part)
            else:
                registers.append(part)
            size += length
        yield FileMessage(seq=seq + 1, sent_at=sent_at, blocks=blocks, registers=registers, source=self.source)

    def arrivals(self, received: datetime) -> list[Arrival]:
        """Its messages, as the journal takes them."""
        received_us = microseconds(received)
        payloads = [message.payload() for message in self.messages(received)]
        return [Arrival(received_us, self.topic, "", payload, len(payload)) for payload in payloads]

    def _parts(self) -> Iterator[FileBlock | WireRegister]:
        for (meter, channel), series in self.matched.series:
            for run in series.runs(_VALUES_A_MESSAGE):
                yield _block(meter, channel, series, run)
        for (meter, channel), register in self.matched.registers:
            at = moment(register.at_s)
            yield WireRegister(meter=meter, channel=channel, at=at, value=register.value, serial=register.serial)


def _block(meter: str, channel: str, series: Series, run: slice) -> FileBlock:
    codes = list(series.codes[run])
    plain = all(code in {Quality.RAW, Quality.MISSING} for code in codes)
    flags = list(series.flags[run])
    return FileBlock(
        meter=meter,
        channel=channel,
        start=moment(series.start_s[run.start]),
        interval_s=series.interval_s,
        values=series.values[run],
        quality=flags if any(flags) else None,
        codes=None if plain else codes,
    )


def read_whole(path: Path) -> bytes:
    """A file's bytes; raises `InvalidInput` where there are too many, and `OSError`."""
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise InvalidInput(str(path), f"{size} bytes", f"at most {LARGEST_FILE}: split it")
    return path.read_bytes()


def prepare(
    name: str,
    payload: bytes,
    known: Collection[Key],
    *,
    form: Literal["auto"] | Format = "auto",
    layout: Layout = AS_IT_SAYS,
    names: Mapping[str, Named] | None = None,
    skip_unknown: bool = False,
) -> Prepared:
    """Read a file and match it with the registry.

    Parameters
    ----------
    name
        of the file, for errors and for the journal.
    known
        every (meter, OBIS code) of the registry.
    form
        its format; "auto" looks at its content.
    layout
        what a CSV file does not say of itself; the other formats do.
    names, skip_unknown
        see `match`.

    Raises
    ------
    InvalidInput
        with file, line, what was found and what was expected: nothing of the file can be imported.
    """
    reads = parse(name, payload, form=form, layout=layout)
    matched = match(name, reads, frozenset(known), names or {}, skip_unknown=skip_unknown)
    source = Source(name=PurePath(name).name[-255:], sha256=hashlib.sha256(payload).hexdigest(), format=reads.format)
    return Prepared(source, matched, reads.left_out + matched.skipped)


def parse(
    name: str, payload: bytes, *, form: Literal["auto"] | Format = "auto", layout: Layout = AS_IT_SAYS
) -> FileReads:
    """What a file says, in its own names; raises `InvalidInput`. See `prepare`."""
    if form == "greenbutton" or (form == "auto" and payload.lstrip(_MARKS)[:1] == b"<"):
        reads = parse_green_button(name, payload)
    else:
        try:
            text = payload.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = payload.count(b"\n", 0, error.start) + 1
            raise InvalidInput(f"{name}: line {line}", f"byte {payload[error.start]:#04x}", "text in UTF-8") from None
        if form == "nem12" or (form == "auto" and _NEM_RECORD.match(text)):
            reads = parse_nem(name, text)
        else:
            reads = parse_csv(name, text, layout)
    if reads.format != "csv" and (beside := layout.beside_the_file):
        raise InvalidInput(
            name, f"{beside[0]} for a {reads.format} file", "it for CSV alone: such a file says it itself"
        )
    if not (reads.series or reads.registers or reads.left_out):
        raise InvalidInput(name, "no reads", "a file with some")
    return reads
