"""What gateways say stands on the operator's screen as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from headend.store import tables as t
from tests.databases import file_database


def test_brackets_in_what_a_gateway_sent_are_shown_and_are_no_markup(tmp_path: Path) -> None:
    config = tmp_path / "headend.toml"
    config.write_text(f'[data]\ndirectory = "{tmp_path}"\n[site]\nregistry = ""\n')
    database = file_database(tmp_path / "site.db", "site")
    with database.write() as tx:
        tx.execute(
            t.quarantine.insert().values(
                offset=0, path="", received_us=0, gateway="GW", fault="not JSON", reason="[/x] [red]", excerpt=""
            )
        )
    database.close()
    command = [sys.executable, "-m", "headend", "quarantine", "list", "--config", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "[/x] [red]" in ended.stdout
