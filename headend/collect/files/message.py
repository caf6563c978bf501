"""What an import puts into the journal: native reads, with quality codes and the file they came from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headend.collect.wire import ReadsMessage, WireBlock
from headend.errors import InvalidMessage
from headend.reads.quality import Quality

Format = Literal["csv", "nem12", "greenbutton"]


class FileBlock(WireBlock):
    """A run of intervals whose file may say how each value came about."""

    codes: Annotated[
        list[Annotated[int, Field(ge=0, le=max(Quality))]] | None,
        Field(description="`Quality` code of each value; null: all are raw reads"),
    ] = None


class Source(BaseModel):
    """The file a message came from."""

    model_config = ConfigDict(strict=True, frozen=True)

    name: str
    sha256: str
    format: Format


class FileMessage(ReadsMessage):
    """A few thousand reads of a file, on `file/{name}`; `seq` counts the messages of one file."""

    # pydantic's own list of blocks, narrower: whoever reads them finds `codes`.
    blocks: list[FileBlock]  # type: ignore[assignment]
    source: Source

    def payload(self) -> bytes:
        """As it goes into the journal."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


def read_file_message(payload: bytes) -> FileMessage:
    """A message as the importer wrote it; raises `InvalidMessage`."""
    try:
        message = FileMessage.model_validate_json(payload)
    except ValidationError as error:
        complaint = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in complaint["loc"]) or "message"
        found = repr(complaint["input"])[:60]
        raise InvalidMessage(where, found, "reads of a file", fault="not the schema") from None
    for place, block in enumerate(message.blocks):
        if block.codes is not None and len(block.codes) != len(block.values):
            found = f"{len(block.codes)} codes"
            expected = f"one for each of {len(block.values)} values"
            raise InvalidMessage(f"blocks.{place}.codes", found, expected, fault="flags do not fit")
    return message
