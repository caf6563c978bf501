"""`headend bill` and `headend statement`, as a clerk types them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from headend.cli.main import main
from headend.reads.days import day_number
from headend.store.ledger import SqlLedger
from headend.store.rebills import flag_rebills
from tests.billing.town import IMPORT, Town

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run the command on a site whose folder also holds the test's town; answers exit code, output and errors."""
    (tmp_path / "headend.toml").write_text(
        f'[site]\nregistry = ""\n[data]\ndirectory = "{tmp_path}"\n[log]\nlevel = "error"\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, config: bool = True) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["headend", *arguments, *(["--config", "headend.toml"] if config else [])])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfdbinary.readouterr()
        return int(ended.value.code or 0), out.decode(), err.decode()

    return run


@pytest.fixture
def village(town: Town) -> Town:
    """Ada, complete; Bea, without a meter."""
    for name in ("Ada", "Bea"):
        town.account(name, {"tariff": "flat"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1")
    return town


def test_clerks_month(village: Town, run: Run, tmp_path: Path) -> None:
    month = ("--period", "2026-10", "--by", "ann")
    assert run("bill", "run", *month) == (
        0,
        "cycle 2026-10/monthly is rated: 2 accounts = 1 billed + 1 excepted; 154.85 EUR\n",
        "",
    )
    code, out, _ = run("bill", "review", "--period", "2026-10")
    assert code == 0
    assert "electricity: 372.500 kWh billed" in out
    assert "Ada-2026-10-1" in out
    assert "no_meter" in out
    assert run("bill", "approve", *month)[0] == 0
    assert run("bill", "issue", *month)[:2] == (
        0,
        "cycle 2026-10/monthly is issued: 2 accounts = 1 billed + 1 excepted; 154.85 EUR\n",
    )
    code, _, err = run("bill", "issue", *month)
    assert (code, err) == (1, "headend: cycle 2026-10/monthly is issued: cannot issue it, only what is approved\n")
    code, out, _ = run("bill", "review")
    assert code == 0
    assert "issued" in out

    code, out, _ = run("statement", "show", "Ada-2026-10-1")
    with village.database.read() as tx:
        kept = SqlLedger(tx).statement("Ada-2026-10-1")
    assert (code, hashlib.sha256(out.encode()).hexdigest()) == (0, kept.sha256)
    assert run("statement", "pdf", "Ada-2026-10-1")[:2] == (0, "Ada-2026-10-1.pdf\n")
    assert (tmp_path / "Ada-2026-10-1.pdf").read_bytes().startswith(b"%PDF")


def test_held_accounts_and_changed_reads_are_shown(village: Town, run: Run) -> None:
    village.account("Cyd", {"tariff": "flat"})
    village.meter("E-3", "Cyd", IMPORT)
    village.reads("E-3", 500, first=date(2026, 9, 1), last=date(2026, 9, 30))
    village.reads("E-3", 1_100, first=date(2026, 10, 1))
    month = ("--period", "2026-10", "--by", "ann")
    assert "3 accounts = 1 billed + 2 excepted" in run("bill", "run", *month)[1]
    _, out, _ = run("bill", "review", "--period", "2026-10")
    assert "held" in out
    assert (
        "exception 1: V11 high or low use: 26,400 a day against 12,000 a day in the 3 weeks before: 220 %"
        in " ".join(out.split())
    )
    run("bill", "approve", *month)
    run("bill", "issue", *month)
    assert run("bill", "flagged") == (0, "No statement is flagged.\n", "")
    assert run("bill", "flagged", "Ada-2026-10-1")[1] == (
        "Statement Ada-2026-10-1 is not flagged.\n"
        "Ada-2026-10-1 says 154.85 EUR; by today's reads it would be 154.85: +0.00\n"
    )
    with village.database.write() as tx:
        stood = village.store.load(tx, [(day_number(date(2026, 10, 5)), *village.key("E-1", IMPORT))], 3600)
        now = replace(stood, values=stood.values + 50)
        village.store.save(tx, now, now.present, settled=True)
        flag_rebills(tx, stood, now, "journal 8", village.now)
    for arguments in (("review", "--period", "2026-10"), ("flagged",), ("flagged", "Ada-2026-10-1")):
        code, out, _ = run("bill", *arguments)
        assert code == 0
        (line,) = (line for line in out.splitlines() if "journal 8" in line)
        told = "Ada-2026-10-1 Ada E-1 1-0:1.8.0 2026-10-05 00:00 2026-10-06 00:00 +1.200 kWh journal 8"
        assert " ".join(line.replace("│", " ").split()) == told
    assert "says 154.85 EUR; by today's reads it would be 155.31: +0.46" in out


def test_queue_is_worked_through(village: Town, run: Run) -> None:
    """By the shipped limits: in Bea's home nothing is used."""
    village.meter("E-2", "Bea", IMPORT)
    village.reads("E-2", 0)
    month = ("--period", "2026-10")
    ann, bob = ("--by", "ann"), ("--by", "bob")
    assert run("bill", "collect", *month, *ann) == (
        0,
        "cycle 2026-10/monthly is collected: 2 of 2 accounts have all their reads\n",
        "",
    )
    assert run("bill", "run", *month, *ann)[0] == 0
    code, out, _ = run("bill", "findings", *month)
    assert code == 1
    assert "no electricity used at UP-Bea on 31 days" in out
    assert "1 to decide" in out
    code, _, err = run("bill", "approve", *month, *ann)
    assert (code, err) == (
        1,
        "headend: cycle 2026-10/monthly: a finding is not decided yet, first Bea: zero_use, no electricity used at"
        " UP-Bea on 31 days. See headend bill findings --period 2026-10 --cycle monthly\n",
    )
    assert run("bill", "hold", "Bea", *month, *ann, "--reason", "look")[1] == (
        "Bea: zero_use is held\nBea: its reads are those of E-2 (headend exception list, exception ask)\n"
    )
    code, _, err = run("bill", "release", "Bea", *month, *bob, "--reason", "away")
    assert code == 1
    assert "ann held it at" in err
    assert run("bill", "reopen", "Bea", *month, *bob, "--reason", "he is away")[1] == "Bea: zero_use is open\n"
    assert (
        run("bill", "exclude", "Bea", *month, *bob, "--reason", "moved")[1]
        == "Bea is left out of cycle 2026-10/monthly\n"
    )
    assert run("bill", "findings", *month)[0] == 0
    assert run("bill", "review", *month, "--done", *bob)[1] == (
        "cycle 2026-10/monthly is reviewed: 2 accounts = 1 billed + 0 excepted + 1 excluded; 154.85 EUR\n"
    )
    assert run("bill", "approve", *month, *ann)[0] == 0
    assert run("bill", "issue", *month, *ann)[0] == 0
    assert run("bill", "close", *month, *ann)[1].startswith("cycle 2026-10/monthly is closed")
    out = run("bill", "review", *month)[1]
    for told in ("hold", "reopen", "exclude", "Bea: moved", "2 of 2 accounts have all their reads"):
        assert told in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("bill", "run", "--period", "2026-13"), "period: found '2026-13', expected a month such as 2026-10"),
        (("bill", "run", "--period", "2026-1"), "period: found '2026-1', expected a month such as 2026-10"),
        (("bill", "run", "--period", "2026-10", "--cycle", "a/b"), "cycle: found 'a/b', expected a name of letters"),
        (("bill", "run", "--period", "2026-10", "--by", " "), "clerk: found nothing, expected the name"),
        (("bill", "approve", "--period", "2026-10"), "no cycle 'monthly' was ever rated for 2026-10"),
        (("bill", "review", "--period", "2026-10"), "no cycle 'monthly' was ever rated for 2026-10"),
        (
            ("bill", "findings", "--period", "2026-10", "--code", "odd"),
            "code: found 'odd', expected estimated",
        ),
        (
            ("bill", "run", "--period", "2026-10", "--account", "Ada"),
            "--cycle: found 'monthly', expected a name",
        ),
        (("bill", "run", "--period", "2026-10", "--group", "x"), "no billing group is called 'x'"),
        (("bill", "release", "--period", "2026-10", "--reason", "x"), "no cycle 'monthly' was ever rated for 2026-10"),
        (("statement", "show", "X"), "no statement is called 'X'"),
        (("bill", "flagged", "X"), "no statement is called 'X'"),
        (("statement", "pdf", "Ada-2026-10-1", "-o", "no/such/folder.pdf"), "expected a file that can be written"),
    ],
)
def test_wrong_input_is_one_line(village: Town, run: Run, arguments: tuple[str, ...], says: str) -> None:
    if "-o" in arguments:
        run("bill", "run", "--period", "2026-10")
    code, _, err = run(*arguments)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_rated_by_processes(village: Town, run: Run) -> None:
    month = ("--period", "2026-10", "--by", "ann")
    code, out, err = run("bill", "run", *month, "--workers", "2")
    assert (code, out, err) == (
        0,
        "cycle 2026-10/monthly is rated: 2 accounts = 1 billed + 1 excepted; 154.85 EUR\n",
        "",
    )
    code, _, err = run("bill", "run", *month, "--workers", "2", "--dask", "tcp://127.0.0.1:9")
    assert (code, err) == (
        2,
        "headend: --workers: found 2, expected nothing beside --dask, whose cluster has workers\n",
    )
    assert run("bill", "run", *month, "--workers", "0")[0] == 2
