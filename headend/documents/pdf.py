"""A statement as PDF, drawn by typst. The same statement gives the same bytes."""

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
#: The compiler keeps the inputs of its last run, so one thread at a time may use it.
_LOCK = Lock()


@cache
def _compiler() -> typst.Compiler:
    # Only typst's own fonts: a statement looks the same on every machine.
    return typst.Compiler(_TEMPLATE, root=_TEMPLATE.parent, ignore_system_fonts=True)


def statement_pdf(statement: Statement) -> bytes:
    """The PDF of a statement, dated with its moment of issue; safe to call from any thread."""
    view = json.dumps(statement_view(statement), ensure_ascii=False)
    dated = statement.issued_at or datetime.combine(statement.last, time(), UTC)
    with _LOCK:
        pdf = _compiler().compile(format="pdf", sys_inputs={"view": view}, timestamp=int(dated.timestamp()))
    if not isinstance(pdf, bytes):
        raise TypeError(f"typst made {type(pdf).__name__} of statement {statement.id}, not one PDF")
    return pdf
