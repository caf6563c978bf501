"""Files dropped into a running head-end's inbox."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.sites import EXPORT, HOUR, IMPORT, Site, becomes_true, hours_ago, meter


def drop(inbox: Path, name: str, text: str) -> None:
    """As the documentation asks for: under another name, then renamed."""
    part = inbox / f"{name}.part"
    part.write_text(text)
    part.rename(inbox / name)


def test_files_dropped_while_it_runs_are_stored_or_told_why_not(tmp_path: Path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    settings: dict[str, dict[str, object]] = {"collect": {"inbox": str(inbox), "inbox_every_s": 1}}
    start = hours_ago(3)
    with Site(tmp_path / "site", settings, meter("E-1", IMPORT, EXPORT)) as site:
        rows = [f"E-1,{IMPORT},{(start + hour * HOUR).isoformat()},{700 + hour}" for hour in range(3)]
        drop(inbox, "good.csv", "\n".join(["meter,channel,start,value", *rows]) + "\n")
        bad = [*rows[:2], f"E-1,{EXPORT},{start.isoformat()},many"]
        drop(inbox, "bad.csv", "\n".join(["meter,channel,start,value", *bad]) + "\n")
        site.hold("E-1", start, [700, 701, 702])
        assert site.values("E-1", start, 3, EXPORT) == [None] * 3
        assert becomes_true(lambda: not list(inbox.glob("*.csv")))
        (done,) = (inbox / "done").iterdir()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d-good\.csv", done.name)
        (failed,) = (inbox / "failed").glob("*-bad.csv")
        reason = failed.with_name(f"{failed.name}.error.txt").read_text()
        assert reason.count("\n") == 1
        assert "line 4" in reason
        assert "'many'" in reason
        assert failed.exists()
