"""A statement as one self-contained page of HTML, for the screen and for the printer."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from headend.billing.statement import Statement
from headend.documents.view import statement_view

_PAGES = Environment(
    loader=PackageLoader("headend.documents", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def statement_html(statement: Statement) -> str:
    """The page of a statement, in the customer's language; no script, nothing loaded from elsewhere."""
    return _PAGES.get_template("statement.html").render(bill=statement_view(statement))
