"""How benchmarks show their figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def show(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table in Markdown: the first column to the left, figures to the right."""
    body = [tuple(row) for row in rows]
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    print(f"\n{title}\n")
    for row in (head, None, *body):
        if row is None:
            cells = ["-" * width + ("" if i == 0 else ":") for i, width in enumerate(widths)]
        else:
            cells = [cell.ljust(widths[i]) if i == 0 else cell.rjust(widths[i] + 1) for i, cell in enumerate(row)]
        print(f"| {' | '.join(cells)} |")
