"""`headend prices` and `headend events`: what they say of what they did."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import Ended, headend


@pytest.fixture(autouse=True)
def _no_tariffs(tmp_path: Path) -> None:
    (tmp_path / "tariffs").mkdir()


def lines(ended: Ended) -> list[str]:
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    return ended.stdout.splitlines()


def cells(ended: Ended) -> list[list[str]]:
    """Rows of a table, without its head."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines(ended) if line.startswith("│")]


def test_a_file_is_imported_told_and_shown(tmp_path: Path) -> None:
    file = tmp_path / "january.csv"
    file.write_text("start,price\n2026-01-01T00:00Z,42.1\n2026-01-01T01:00Z,-5\n2026-01-01T02:00Z,7\n")
    bring = ("prices", "import", "day-ahead", str(file), "--currency", "EUR", "--per", "MWh")
    said = "day-ahead: 3 would be new, 0 there with the same price, 0 would be changed"
    assert lines(headend(tmp_path, *bring, "--dry-run")) == [said]
    assert cells(headend(tmp_path, "prices", "list")) == []
    assert lines(headend(tmp_path, *bring)) == ["day-ahead: 3 new, 0 there with the same price, 0 changed"]
    file.write_text(
        "start,end,price\n2026-01-01T01:00Z,2026-01-01T02:00Z,-5\n2026-01-01T02:00Z,2026-01-01T03:00Z,8\n"
        "2026-01-01T05:00Z,2026-01-01T06:00Z,9\n"
    )
    assert lines(headend(tmp_path, *bring)) == [
        "day-ahead: 1 new, 1 there with the same price, 1 changed",
        "  2026-01-01 02:00 to 2026-01-01 03:00: 0.007 → 0.008",
    ]
    (row,) = cells(headend(tmp_path, "prices", "list"))
    assert row[:6] == ["day-ahead", "EUR/kWh", "2026-01-01 00:00", "2026-01-01 06:00", "4", "1"]
    stretch = ("--from", "2026-01-01T02:00Z", "--to", "2026-01-01T08:00+01:00")
    shown = [[*row[:4], row[5]] for row in cells(headend(tmp_path, "prices", "show", "day-ahead", *stretch))]
    assert shown == [
        ["2026-01-01 02:00", "2026-01-01 03:00", "0.008", "2", "anna"],
        ["2026-01-01 03:00", "2026-01-01 05:00", "none", "", ""],
        ["2026-01-01 05:00", "2026-01-01 06:00", "0.009", "1", "anna"],
        ["2026-01-01 06:00", "2026-01-01 07:00", "none", "", ""],
    ]


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("start,price\n2026-01-01T00:00Z,42.1\n2026-01-01T01:00Z,n/a\n")
    for args, said in (
        (("import", "spot", str(file), "--currency", "EUR"), f"{file}, line 3, price: found 'n/a', expected a decimal"),
        (("import", "spot", str(tmp_path / "none.csv"), "--currency", "EUR"), "expected a readable file"),
        (("show", "spot", "--from", "2026-01-01T00:00Z", "--to", "2026-01-02T00:00Z"), "no price series is called"),
        (("show", "spot", "--from", "2026-01-01", "--to", "2026-01-02T00:00Z"), "--from: found '2026-01-01', expected"),
        (("fetch",), "no [[prices]] in the settings"),
    ):
        ended = headend(tmp_path, "prices", *args)
        assert ended.returncode == 2
        assert said in ended.stderr
        assert ended.stderr.count("\n") == 1


def test_events_are_called_listed_and_called_off(tmp_path: Path) -> None:
    file = tmp_path / "e.csv"
    file.write_text("start,end\n2020-07-01T16:00-07:00,2020-07-01T21:00-07:00\n")
    assert lines(headend(tmp_path, "events", "import", "critical", str(file))) == ["critical: 1 new, 0 there already"]
    assert lines(headend(tmp_path, "events", "import", "critical", str(file))) == ["critical: 0 new, 1 there already"]
    later = ("--from", "2099-07-01T16:00Z", "--to", "2099-07-01T21:00Z")
    assert lines(headend(tmp_path, "events", "add", "critical", *later)) == ["critical: 1 new, 0 there already"]
    rows = [(row[0], row[1], row[2], row[4]) for row in cells(headend(tmp_path, "events", "list", "critical"))]
    assert rows == [
        ("critical", "2020-07-01 23:00", "2020-07-02 04:00", "anna"),
        ("critical", "2099-07-01 16:00", "2099-07-01 21:00", "anna"),
    ]
    ended = headend(tmp_path, "events", "remove", "critical", "--from", "2020-07-01T23:00Z")
    said = "headend: --from: found an event that began at 2020-07-01T23:00Z, expected one that has not begun\n"
    assert (ended.returncode, ended.stderr) == (2, said)
    said = "critical: 2099-07-01 16:00 to 2099-07-01 21:00 UTC is called off"
    assert lines(headend(tmp_path, "events", "remove", "critical", "--from", "2099-07-01T16:00Z")) == [said]
    assert len(cells(headend(tmp_path, "events", "list", "critical"))) == 1
    ended = headend(tmp_path, "events", "add", "Critical!", *later)
    assert (ended.returncode, ended.stderr[:37]) == (2, "headend: name: found 'Critical!', exp")


@pytest.fixture
def peaks(tmp_path: Path) -> None:
    """A tariff that asks for events and prices."""
    (tmp_path / "tariffs" / "peaks.toml").write_text(
        'id = "peaks"\nname = "Peaks"\nvalid_from = 2025-01-01\ncustomer_classes = ["residential"]\n'
        'commodity = "electricity"\nunit = "kWh"\ncurrency = "EUR"\n'
        '[[periods]]\nname = "critical"\nlabel = "Critical"\nevent = "critical-peaks"\n'
        '[[periods]]\nname = "rest"\nlabel = "Rest"\n'
        '[[components]]\nkind = "energy"\nlabel = "Energy"\ntiers = [{ price = { critical = 1, rest = 0.3 } }]\n'
        '[[components]]\nkind = "dynamic"\nlabel = "Market"\nseries = "spot"\n'
    )


@pytest.mark.usefixtures("peaks")
def test_a_list_that_a_tariff_asks_for_and_nobody_filled_is_told(tmp_path: Path) -> None:
    assert cells(headend(tmp_path, "events", "list")) == [["critical-peaks", "none", "", "", ""]]


@pytest.mark.usefixtures("peaks")
def test_a_name_that_no_tariff_asks_for_is_noted(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("start,end,price\n2026-01-01T00:00Z,2026-01-01T01:00Z,4\n")
    for name, note in (("spott", "note: no tariff asks for spott; asked for: spot\n"), ("spot", "")):
        ended = headend(tmp_path, "prices", "import", name, str(file), "--currency", "EUR")
        assert (ended.returncode, ended.stderr) == (0, note)
    later = ("--from", "2099-07-01T16:00Z", "--to", "2099-07-01T21:00Z")
    note = "note: no tariff asks for critical-peak; asked for: critical-peaks\n"
    for name, told in (("critical-peak", note), ("critical-peaks", "")):
        ended = headend(tmp_path, "events", "add", name, *later)
        assert (ended.returncode, ended.stderr) == (0, told)


def test_a_narrow_screen_names_series_in_full(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("start,end,price\n2026-01-01T00:00Z,2026-01-01T01:00Z,4\n")
    lines(headend(tmp_path, "prices", "import", "day-ahead", str(file), "--currency", "EUR"))
    row, wrapped = cells(headend(tmp_path, "prices", "list", columns=80))
    assert row[:3] == ["day-ahead", "EUR/kWh", "2026-01-01"]
    assert wrapped[2] == "00:00"


def test_an_event_that_has_begun_is_called_late_or_not_at_all(tmp_path: Path) -> None:
    past = ("--from", "2025-01-09T16:00:00Z", "--to", "2025-01-09T19:00:00Z")
    ended = headend(tmp_path, "events", "add", "critical", *past)
    assert ended.returncode == 2
    expected = "a moment to come, since a past event cannot be removed; or --late"
    assert ended.stderr.strip() == f"headend: --from: found 2025-01-09T16:00:00Z, expected {expected}"
    assert lines(headend(tmp_path, "events", "add", "critical", *past, "--late"))[0].startswith("critical: 1 new")
