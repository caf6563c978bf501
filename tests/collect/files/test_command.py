"""`headend reads import`, as people type it, on a site with real files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from headend.app import open_site
from headend.cli.main import main
from headend.reads.channels import IMPORT
from headend.reads.days import seconds
from headend.reads.quality import Quality
from headend.registry.registry import channels_of
from headend.store.tables import register_read
from tests.collect.files.samples import DATA
from tests.collect.files.sites import csv_of, write_site

Run = Callable[..., tuple[int, str, str]]
Stored = Callable[..., list[tuple[int | None, Quality]]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    solar = [("NMI1234567", "1-0:1.8.0", 300), ("NMI1234567", "1-0:2.8.0", 300)]
    return write_site(tmp_path, ("E-1", "1-0:1.8.0", 3600), ("E-2", "1-0:1.8.0", 1800), *solar)


@pytest.fixture
def run(config: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`headend reads import`; answers exit code, output and errors."""
    monkeypatch.chdir(config.parent)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["headend", "reads", "import", *arguments, "--config", str(config)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture
def stored(config: Path) -> Stored:
    """What stands in the store: value and quality."""

    def stored(meter: str, start: datetime, count: int) -> list[tuple[int | None, Quality]]:
        site = open_site(config)
        with site.database.read() as tx:
            (channel,) = [c for c in channels_of(tx, meter) if c.channel == IMPORT]
            first, length = seconds(start), channel.interval_s
            key = (channel.meter, IMPORT.code)
            reads = site.store.profiles(tx, [key], first, first + count * length, length)
        pairs = zip(reads.values[0].tolist(), reads.quality[0].tolist(), strict=True)
        return [(value if quality else None, Quality(quality)) for value, quality in pairs]

    return stored


MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)


def test_a_file_is_stored_and_the_second_time_all_of_it_is_duplicates(run: Run, stored: Stored, tmp_path: Path):
    (tmp_path / "reads.csv").write_text(csv_of(100, 200, None, 400))
    assert run("reads.csv") == (
        0,
        "reads.csv: csv, 1 meters, 1 channels, 4 intervals, 0 registers\n"
        "  2026-01-05 00:00 to 2026-01-05 04:00 UTC\n"
        "  3 stored, 0 duplicates, 0 replaced\n",
        "",
    )
    raw = Quality.RAW
    expected = [(100, raw), (200, raw), (None, Quality.MISSING), (400, raw)]
    assert stored("E-1", MIDNIGHT, 4) == expected
    code, out, _ = run("reads.csv")
    assert (code, out.splitlines()[2]) == (0, "  0 stored, 3 duplicates, 0 replaced")
    assert stored("E-1", MIDNIGHT, 4) == expected


def test_what_arrival_checks_doubt_is_said(run: Run, stored: Stored, tmp_path: Path):
    (tmp_path / "reads.csv").write_text(csv_of(100, -1, 2_000_000_000, 2_000_000_001))
    code, out, _ = run("reads.csv")
    assert (code, out.splitlines()[2:]) == (
        0,
        [
            "  4 stored, 0 duplicates, 0 replaced",
            "  1 noted by V5, negative",
            "  2 noted by V6, above physical maximum",
        ],
    )
    assert [quality for _, quality in stored("E-1", MIDNIGHT, 4)] == [Quality.RAW] + [Quality.QUESTIONABLE] * 3


def test_another_value_is_foretold_and_then_replaces(run: Run, stored: Stored, tmp_path: Path):
    (tmp_path / "first.csv").write_text(csv_of(100, 200))
    (tmp_path / "second.csv").write_text(csv_of(100, 250, 300))
    assert run("first.csv")[0] == 0
    code, out, _ = run("second.csv", "--dry-run")
    foretold = "  would be imported: 1 new, 1 are there with the same value, 1 with another"
    assert (code, out.splitlines()[2]) == (0, foretold)
    assert stored("E-1", MIDNIGHT, 3)[1:] == [(200, Quality.RAW), (None, Quality.MISSING)]
    assert run("second.csv")[1].splitlines()[2] == "  1 stored, 1 duplicates, 1 replaced"
    assert stored("E-1", MIDNIGHT, 3)[1:] == [(250, Quality.RAW), (300, Quality.RAW)]


def test_a_value_that_was_superseded_is_not_taken_again(run: Run, tmp_path: Path):
    for name, value in (("first.csv", 200), ("second.csv", 250), ("first.csv", 200)):
        (tmp_path / name).write_text(csv_of(value))
        _, out, _ = run(name)
    assert "  1 not taken: what stands there is newer or better" in out


def test_a_month_of_nem12_is_stored_where_its_time_is(run: Run, stored: Stored):
    code, out, err = run(str(DATA / "Example_NEM12_month_solar.csv"))
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "Example_NEM12_month_solar.csv: nem12, 1 meters, 2 channels, 17856 intervals, 0 registers",
        "  2023-02-28 14:00 to 2023-03-31 14:00 UTC",
        "  17856 stored, 0 duplicates, 0 replaced",
    ]
    # 1 March 2023, 00:00 to 00:05 in Brisbane: .048 kWh used
    assert stored("NMI1234567", datetime(2023, 2, 28, 14, tzinfo=UTC), 2) == [(48, Quality.RAW), (44, Quality.RAW)]


def test_estimates_of_a_file_keep_their_quality(run: Run, stored: Stored):
    file = str(DATA / "Example_NEM12_multiple_quality.csv")
    assert run(file, "--meter", "CCCC123456=E-2")[0] == 0
    found = stored("E-2", datetime(2004, 4, 16, 14, tzinfo=UTC), 48)
    assert found[0] == (18_023, Quality.EDITED)
    assert [quality for _, quality in found] == (
        [Quality.EDITED] * 20 + [Quality.RAW] * 4 + [Quality.ESTIMATED_LIKE_DAY] * 24
    )


def test_a_green_button_file_is_stored_under_the_meter_it_is_said_to_be(run: Run, stored: Stored, tmp_path: Path):
    write_site(tmp_path, ("E-1", "1-0:1.8.0", 900))
    code, out, _ = run(str(DATA / "test_usage_data_01.xml"), "--meter", "Front Electric Meter=E-1")
    assert (code, out.splitlines()[2]) == (0, "  96 stored, 0 duplicates, 0 replaced")
    assert stored("E-1", datetime(2012, 3, 1, 5, tzinfo=UTC), 3) == [
        (282, Quality.ESTIMATED_LIKE_DAY),
        (323, Quality.EDITED),
        (294, Quality.RAW),
    ]


BUILDING = DATA.parent / "meters" / "b101_electricity_2019.csv"
HOME = DATA.parent / "meters" / "mac000002_halfhourly.csv"


def test_a_building_in_two_columns_is_stored_when_it_is_said_whose_it_is(run: Run, stored: Stored):
    code, out, err = run(str(BUILDING), "--channel", "E-1/1-0:1.8.0", "--timezone", "UTC")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "b101_electricity_2019.csv: csv, 1 meters, 1 channels, 8760 intervals, 0 registers",
        "  2019-01-01 00:00 to 2020-01-01 00:00 UTC",
        "  8760 stored, 0 duplicates, 0 replaced",
    ]
    # The header says kWh; and what was published as zero is stored as zero, for validation to ask about.
    first = stored("E-1", datetime(2019, 1, 1, tzinfo=UTC), 8760)
    assert first[:2] == [(48_200, Quality.RAW), (96_400, Quality.RAW)]
    assert [value for value, _ in first].count(0) == 235


def test_a_home_is_stored_with_the_half_hours_it_repeats_named(run: Run, stored: Stored):
    options = ("--channel", "E-2/1-0:1.8.0", "--timezone", "UTC", "--unit", "kWh", "--interval", "1800")
    code, out, _ = run(str(HOME), *options)
    assert code == 0
    assert out.splitlines()[2].startswith(
        "  left out: 15 intervals that stand there again with the same value: lines 385,"
    )
    assert out.splitlines()[3] == "  22521 stored, 0 duplicates, 0 replaced"
    assert stored("E-2", datetime(2012, 10, 20, tzinfo=UTC), 1) == [(200, Quality.RAW)]


def test_interval_ends_of_local_time_are_stored_at_their_begin(run: Run, stored: Stored, tmp_path: Path):
    rows = "".join(f"2026-07-05 {hour:02}:00,{hour}\n" for hour in range(1, 24))
    (tmp_path / "ends.csv").write_text(f"start,value\n{rows}2026-07-06 00:00,24\n")
    options = ("--channel", "E-1/1-0:1.8.0", "--timezone", "Europe/Berlin", "--stamps", "end")
    assert run("ends.csv", *options)[0] == 0
    expected = [(hour, Quality.RAW) for hour in range(1, 25)]
    assert stored("E-1", datetime(2026, 7, 4, 22, tzinfo=UTC), 24) == expected


def test_registers_of_nem13_reach_the_store(run: Run, config: Path):
    code, out, _ = run(str(DATA / "Example_NEM13_consumption_data.csv"), "--meter", "VABC005890=E-1")
    assert (code, out.splitlines()[0].partition(": ")[2]) == (
        0,
        "nem12, 1 meters, 1 channels, 0 intervals, 2 registers",
    )
    with open_site(config).database.read() as tx:
        rows = tx.execute(select(register_read.c.register, register_read.c.serial).order_by(register_read.c.at_s))
        assert [tuple(row) for row in rows] == [(6_342_800, "METSER123"), (7_654_900, "METSER123")]


def test_what_cannot_be_stored_is_quarantined_with_its_reason_and_exit_1(run: Run, tmp_path: Path):
    (tmp_path / "reads.csv").write_text(csv_of(100, meter="E-2"))
    _, out, _ = run("reads.csv", "--dry-run")
    assert out.splitlines()[3] == "  would be quarantined: E-2/1-0:1.8.0 has intervals of 1800 s, not 3600"
    code, out, _ = run("reads.csv")
    assert (code, out.splitlines()[2]) == (1, "  0 stored, 0 duplicates, 0 replaced")
    assert "  quarantined: 1 × " in out
    assert "found 3600, expected 1800 for E-2" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("none.csv",), "none.csv: found No such file or directory, expected a readable file"),
        (("bad.csv",), "bad.csv: line 2, value: found 'x', expected a whole number"),
        (("good.csv", "bad.csv"), "bad.csv: line 2, value"),
        (("unknown.csv",), "unknown.csv: line 2: found unknown meter 'E-9', channel '1-0:1.8.0'"),
        (("good.csv", "--meter", "E-1"), "--meter: found 'E-1', expected NMI=E-1"),
        (("good.csv", "--format", "nem12"), "good.csv: line 1: found record 'meter,channel,start,value'"),
        (("good.csv", "--format", "greenbutton"), "good.csv: line 1: found syntax error, expected well-formed XML"),
        (("good.csv", "--format", "pdf"), "'pdf' is not one of"),
        (("good.csv", "--channel", "E-1"), "--channel: found 'E-1', expected METER/OBIS"),
        (("good.csv", "--channel", "E-1/1-0:1.8.0"), "expected no columns meter and channel where --channel is given"),
        (("good.csv", "--timezone", "Mars/Olympus"), "timezone: found 'Mars/Olympus', expected an IANA time zone"),
        (("good.csv", "--unit", "pints"), "good.csv: line 2, value: found unit 'pints' for 1-0:1.8.0, expected Wh"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(run: Run, config: Path, arguments: tuple[str, ...], says: str):
    for name, text in (
        ("good.csv", csv_of(1)),
        ("bad.csv", csv_of(1).replace(",1\n", ",x\n")),
        ("unknown.csv", csv_of(1, meter="E-9")),
    ):
        (config.parent / name).write_text(text)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert open_site(config).journal.newest_offset() == 0


def test_what_is_unknown_can_be_left_out(run: Run, tmp_path: Path):
    rows = csv_of(1) + csv_of(2, meter="E-9").partition("\n")[2]
    (tmp_path / "reads.csv").write_text(rows)
    code, out, _ = run("reads.csv", "--skip-unknown")
    assert (code, out.splitlines()[2:]) == (
        0,
        ["  left out: unknown meter 'E-9', channel '1-0:1.8.0'", "  1 stored, 0 duplicates, 0 replaced"],
    )


def test_two_imports_at_once_store_everything_once(config: Path, stored: Stored):
    commands = []
    for half, hours in enumerate((range(12), range(6, 18))):
        file = config.parent / f"{half}.csv"
        rows = "".join(f"E-1,1-0:1.8.0,2026-01-05T{hour:02}:00:00Z,{hour + 1}\n" for hour in hours)
        file.write_text("meter,channel,start,value\n" + rows)
        command = [sys.executable, "-m", "headend", "reads", "import", str(file), "--config", str(config)]
        commands.append(subprocess.Popen(command, stdout=subprocess.PIPE))
    assert [command.wait(timeout=60) for command in commands] == [0, 0]
    for command in commands:
        command.communicate()
    assert stored("E-1", MIDNIGHT, 18) == [(hour + 1, Quality.RAW) for hour in range(18)]
    site = open_site(config)
    assert site.journal.verify() == 2
