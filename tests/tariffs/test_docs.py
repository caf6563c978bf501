"""The worked example of the documentation is what the rater says, cent for cent."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import numpy as np

from headend.tariffs import BillingWindow, Use, rate_batch
from headend.tariffs.check import examine_text
from headend.tariffs.money import plain

from .make import BERLIN

DOCS = Path(__file__).parents[2] / "docs" / "tariff-format.md"


def test_the_worked_example() -> None:
    text = DOCS.read_text(encoding="utf-8")
    example, findings = examine_text(text.split("```toml\n")[1].split("```")[0], "example", is_json=False)
    assert findings == []
    assert example is not None
    window = BillingWindow(date(2025, 4, 30), date(2025, 5, 3), BERLIN)
    (bill,) = rate_batch(example, window, Use(3600, np.full((1, 72), 500))).bills()
    rows = [
        [line.label, f"{plain(line.quantity)} {line.unit}", plain(line.price), plain(line.exact), str(line.amount)]
        for line in bill.lines
    ]
    rows.append(["**Total**", "", "", plain(bill.exact_total), str(bill.total)])
    table = re.search(r"\| line \|.*\n\|---.*\n((?:\|.*\n)+)", text)
    assert table is not None
    assert [[cell.strip() for cell in row.strip("|").split("|")] for row in table[1].splitlines()] == rows
