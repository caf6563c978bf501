"""Statements as people see them: one page of HTML, or a PDF. Both show the same view of the canonical document."""

from headend.documents.files import write_statement
from headend.documents.html import statement_html
from headend.documents.pdf import statement_pdf

__all__ = ["statement_html", "statement_pdf", "write_statement"]
