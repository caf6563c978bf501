"""`headend tariff …` as a user has it: what is printed, and how it ends."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from headend.cli.heatmap import draw_hours
from headend.tariffs import check_tariff, load_tariff
from headend.tariffs.check import notes
from tests.commands import without_site

TOU = """
id = "tou"
name = "Time of use"
valid_from = 2025-01-01
customer_classes = ["residential"]
commodity = "electricity"
unit = "kWh"
currency = "EUR"

[[periods]]
name = "critical"
label = "Critical"
event = "cpp"

[[periods]]
name = "peak"
label = "Peak"
days = ["weekday"]
hours = ["17:00-20:30"]

[[periods]]
name = "evening"
label = "Evening"
hours = ["19:00-24:00"]

[[periods]]
name = "other"
label = "Other"

[[components]]
kind = "energy"
label = "Energy"
tiers = [{ price = { critical = 1.0, peak = 0.4, evening = 0.3, other = 0.2 } }]

[[components]]
kind = "standing"
label = "Standing charge"
per = "day"
price = 0.255
"""
URDB = {
    "name": "Two prices",
    "utility": "Utility",
    "label": "539f6a5bec4f024411ec8b4b",
    "startdate": 1420070400,
    "energyratestructure": [[{"rate": 0.1, "unit": "kWh"}], [{"rate": 0.3, "unit": "kWh"}]],
    "energyweekdayschedule": [[0] * 12 + [1] * 12] * 12,
    "energyweekendschedule": [[0] * 24] * 12,
    "fixedchargefirstmeter": 5,
    "fixedchargeunits": "$/month",
}


@pytest.fixture
def tou(tmp_path: Path) -> Path:
    path = tmp_path / "tou.toml"
    path.write_text(TOU, encoding="utf-8")
    return path


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    """1 kWh in each hour of Wednesday, 1 January 2025, UTC."""
    path = tmp_path / "reads.csv"
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    rows = [f"{(begin + timedelta(hours=hour)).isoformat()},1000" for hour in range(24)]
    path.write_text("\n".join(["start,import_wh", *rows, ""]), encoding="utf-8")
    return path


def test_check_draws_the_hours_within_100_columns(tou: Path) -> None:
    said = without_site("tariff", "check", str(tou))
    assert (said.returncode, said.stderr) == (0, "")
    lines = said.stdout.splitlines()
    assert lines[0] == f"{tou}: Time of use, valid from 2025-01-01, version {load_tariff(tou).version}"
    assert lines[1] == "note: periods[2]: 'evening' gives way to 'peak' above it: Mon-Fri, 19:00-20:30"
    assert "Jan        OOOOOOOOOOOOOOOOOPPP*EEE   OOOOOOOOOOOOOOOOOOOEEEEE" in lines
    assert "* changes within the hour, at 20:30" in lines
    assert "C Critical  1.0 EUR per kWh, while cpp lasts" in lines
    assert max(map(len, lines[1:])) <= 100
    assert "\x1b" not in said.stdout


def test_check_tells_faults_and_prices_out_of_bounds(tou: Path) -> None:
    said = without_site("tariff", "check", str(tou), "--lowest", "0.25", "--highest", "0.9")
    assert (said.returncode, said.stdout) == (2, "")
    key = f"{tou}: components[0].tiers[0].price"
    assert said.stderr.splitlines() == [
        f"{key}.critical: found 1, expected 0.9 or less",
        f"{key}.other: found 0.2, expected 0.25 or more",
    ]
    said = without_site("tariff", "check", str(tou), "--lowest", "cheap")
    assert (said.returncode, said.stderr) == (
        2,
        "headend: --lowest: found 'cheap', expected a price such as 0.05\n",
    )
    grid = '[[components]]\nkind = "demand"\nlabel = "Grid"\n'
    grid += "ratchet = { percent = 60, months = 11 }\ntiers = [{ price = 9 }]\n"
    tou.write_text(TOU + grid * 2, encoding="utf-8")
    said = without_site("tariff", "check", str(tou))
    assert (said.returncode, said.stdout) == (2, "")
    key = f"{tou}: components[3].label"
    assert said.stderr.startswith(f"{key}: found 'Grid', and components[2].label is 'Grid', expected another label: ")
    tou.write_text(TOU.replace('unit = "kWh"', 'unit = "MWh"'), encoding="utf-8")
    said = without_site("tariff", "check", str(tou))
    assert (said.returncode, said.stderr) == (2, f"{tou}: unit: found 'MWh', expected 'kWh' or 'm³'\n")


def test_every_tariff_of_ours_is_sound_and_can_be_drawn() -> None:
    for path in sorted((Path(__file__).parents[2] / "config" / "tariffs").glob("*.toml")):
        tariff, drawn = load_tariff(path), io.StringIO()
        assert check_tariff(path) == []
        assert notes(tariff) == []
        draw_hours(tariff, Console(file=drawn, width=100))
        assert f"{tariff.currency} per {tariff.unit}" in drawn.getvalue().splitlines()[-1]


def test_diff_says_what_changed(tou: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(TOU.replace("peak = 0.4", "peak = 0.5").replace("Standing charge", "Base"), encoding="utf-8")
    same = without_site("tariff", "diff", str(tou), str(tou))
    assert (same.returncode, same.stdout) == (0, f"{tou} and {tou} say the same\n")
    said = without_site("tariff", "diff", str(tou), str(other))
    assert said.returncode == 1
    assert said.stdout.splitlines() == [
        "components[Energy].tiers[0].price.peak: 0.4 → 0.5 (+25.00 %)",
        "components[Standing charge].label: Standing charge → Base",
    ]


def test_rate_with_events_lines_and_digest(tou: Path, reads: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.csv"
    events.write_text("start,end\n2025-01-01T10:00Z,2025-01-01T12:00Z\n")
    asked = ["tariff", "rate", str(tou), "--reads", str(reads), "--timezone", "UTC", "--events", f"cpp={events}"]
    said = without_site(*asked, "--lines", "--json")
    assert said.returncode == 0, said.stderr
    (month,) = json.loads(said.stdout)["months"]
    # An interval is in the period in which it begins: 2 h critical, 17 to 20 h peak (the last begins before 20:30),
    # 3 h evening, 15 h other.
    assert [(line["label"], line["quantity"], line["exact"]) for line in month["lines"]] == [
        ("Energy, Critical", "2", "2"),
        ("Energy, Peak", "4", "1.6"),
        ("Energy, Evening", "3", "0.9"),
        ("Energy, Other", "15", "3"),
        ("Standing charge", "1", "0.255"),
    ]
    assert (month["energy"], month["fixed"], month["total"]) == ("7.5", "0.255", "7.755")
    begin_s = 1735689600
    digest = hashlib.sha256(f"import_wh|{begin_s}|3600|24\n".encode() + struct.pack("<24q", *[1000] * 24))
    assert month["reads_digest"] == digest.hexdigest()
    shown = without_site(*asked, "--round", "--lines").stdout
    assert "│ 2025-01 │   7.50 │  0.26 │  7.76 │" in shown
    assert f"2025-01, reads {digest.hexdigest()[:12]}" in shown
    mistyped = without_site(*asked[:-1], f"ccp={events}")
    assert (mistyped.returncode, mistyped.stderr) == (0, "note: no tariff asks for ccp; asked for: cpp\n")


def test_rate_with_published_prices(tou: Path, reads: Path, tmp_path: Path) -> None:
    market = '[[components]]\nkind = "dynamic"\nlabel = "Market"\nseries = "spot"\n'
    tou.write_text(TOU + market, encoding="utf-8")
    prices = tmp_path / "prices.csv"
    prices.write_text(
        "start,end,price\n2025-01-01T00:00Z,2025-01-01T12:00Z,0.10\n2025-01-01T12:00Z,2025-01-02T00:00Z,-0.02\n"
    )
    asked = ["tariff", "rate", str(tou), "--reads", str(reads), "--timezone", "UTC", "--json"]
    said = without_site(*asked, "--prices", f"spot={prices}")
    assert said.returncode == 0, said.stderr
    # 4 × 0.4 + 3 × 0.3 + 17 × 0.2, and 12 × 0.10 - 12 × 0.02
    assert json.loads(said.stdout)["months"][0]["energy"] == "6.86"
    said = without_site(*asked)
    assert (said.returncode, said.stderr) == (1, "headend: there is no price series 'spot'\n")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--prices", "prices.csv"], "--prices: found 'prices.csv', expected NAME=FILE, such as day-ahead=prices.csv"),
        (["--events", "a=x.csv", "--events", "a=y.csv"], "--events: found a twice, expected one file for a name"),
        (["--prices", "a=/nowhere.csv"], "/nowhere.csv: found No such file or directory, expected a readable file"),
        (["--format", "xml"], "Invalid value for '--format'"),
    ],
)
def test_rate_refuses_wrong_options(tou: Path, reads: Path, options: list[str], expected: str) -> None:
    said = without_site("tariff", "rate", str(tou), "--reads", str(reads), "--timezone", "UTC", *options)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith(f"headend: {expected}")


def test_rate_of_the_utility_rate_database_is_that_of_the_file_it_is_taken_over_to(tmp_path: Path, reads: Path) -> None:
    rate, native = tmp_path / "rate.json", tmp_path / "native.toml"
    rate.write_text(json.dumps(URDB), encoding="utf-8")
    said = without_site("tariff", "import-urdb", str(rate), "-o", str(native))
    assert said.returncode == 0, said.stderr
    assert "Jan        111111111111222222222222   111111111111111111111111" in said.stdout
    asked = ["--reads", str(reads), "--timezone", "UTC", "--json"]
    straight = without_site("tariff", "rate", str(rate), "--format", "urdb", *asked)
    taken_over = without_site("tariff", "rate", str(native), *asked)
    assert straight.stdout == taken_over.stdout
    (month,) = json.loads(straight.stdout)["months"]
    assert Decimal(month["energy"]) == Decimal("4.8")


def test_import_writes_over_a_file_only_when_told_to_and_never_half(tmp_path: Path) -> None:
    rate, native = tmp_path / "rate.json", tmp_path / "native.toml"
    rate.write_text(json.dumps(URDB), encoding="utf-8")
    native.write_text("mine", encoding="utf-8")
    said = without_site("tariff", "import-urdb", str(rate), "-o", str(native))
    assert (said.returncode, said.stderr) == (
        2,
        f"headend: {native}: found a file that is there, expected a new one, or --force\n",
    )
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({**URDB, "fixedchargeunits": "$/moon"}), encoding="utf-8")
    said = without_site("tariff", "import-urdb", str(wrong), "-o", str(native), "--force")
    assert said.returncode == 2
    assert "fixedchargeunits" in said.stderr
    assert native.read_text(encoding="utf-8") == "mine"
    assert without_site("tariff", "import-urdb", str(rate), "-o", str(native), "--force").returncode == 0
    assert load_tariff(native).name == "Two prices"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["native.toml", "rate.json", "wrong.json"]
