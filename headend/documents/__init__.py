"""Statements as people see them: one page of HTML, or a PDF. Both show the same view of the canonical document."""
