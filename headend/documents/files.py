"""A statement as files in a folder: the record, the page and the PDF."""

from __future__ import annotations

from pathlib import Path

from headend.billing.statement import parse_statement
from headend.documents.html import statement_html
from headend.documents.pdf import statement_pdf


def write_statement(document: bytes, folder: Path) -> None:
    """Write `ID.json` (the very bytes of the record), `ID.html` and `ID.pdf` into `folder`."""
    statement = parse_statement(document)
    (folder / f"{statement.id}.json").write_bytes(document)
    (folder / f"{statement.id}.html").write_text(statement_html(statement), encoding="utf-8")
    (folder / f"{statement.id}.pdf").write_bytes(statement_pdf(statement))
