"""`headend bill accrued`, as a clerk types it."""

from __future__ import annotations

from tests.billing.test_commands import Run, run, village
from tests.billing.town import Town

__all__ = ["run", "village"]


def test_what_is_not_billed_is_told_once_it_is_rated(village: Town, run: Run) -> None:
    assert run("bill", "accrued") == (0, "Nothing has accrued that is not billed.\n", "")
    code, out, _ = run("bill", "accrued", "--update")
    assert code == 0
    assert "2 accruals updated" in out
    # Bea has no meter.
    assert [line.split()[3] for line in out.splitlines() if "EUR" in line] == ["1"]
    assert run("bill", "accrued")[1] == out.removeprefix("2 accruals updated\n")
