"""A statement as PDF, drawn by typst. The same statement gives the same bytes.

Most of a bill's paper is the same for everybody. The compiler keeps what it has laid out and finds it again, as long as
nothing that it was laid out under has changed. So a statement comes to it as a file: an input would be a part of its
library, and with another library everything is new.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, time
from functools import cache
from pathlib import Path
from threading import Lock

import typst

from headend.billing.statement import Statement
from headend.documents.view import statement_view

_TEMPLATE = Path(__file__).parent / "statement.typ"
_MAIN = f'#include "{_TEMPLATE.name}"'.encode()
#: The compiler keeps the files of its last run, so one thread at a time may use it.
_LOCK = Lock()


@cache
def _compiler() -> typst.Compiler:
    # Only typst's own fonts: a statement looks the same on every machine.
    return typst.Compiler(_TEMPLATE, root=_TEMPLATE.parent, ignore_system_fonts=True)


def statement_pdf(statement: Statement) -> bytes:
    """The PDF of a statement, dated with its moment of issue; safe to call from any thread."""
    view = json.dumps(statement_view(statement), ensure_ascii=False).encode()
    dated = statement.issued_at or datetime.combine(statement.last, time(), UTC)
    with _LOCK:
        pdf = _compiler().compile(
            {"main.typ": _MAIN, "view.json": view},  # type: ignore[type-var]  # its stubs do not know of files by name
            format="pdf",
            timestamp=int(dated.timestamp()),
        )
    if not isinstance(pdf, bytes):
        raise TypeError(f"typst made {type(pdf).__name__} of statement {statement.id}, not one PDF")
    return pdf
