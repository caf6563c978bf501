"""The published sample files, and small ones made up line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from headend.collect.files.prepare import parse
from headend.collect.files.series import FileReads
from headend.errors import InvalidInput

DATA = Path(__file__).parents[2] / "data" / "files"


def sample(name: str) -> FileReads:
    return parse(name, (DATA / name).read_bytes())


def refused(text: str | bytes, **options: object) -> str:
    """Why a file is refused, in the one line a user sees."""
    payload = text.encode() if isinstance(text, str) else text
    with pytest.raises(InvalidInput) as refusal:
        parse("reads.csv", payload, **options)  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)
    return str(refusal.value)
