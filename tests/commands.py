"""`headend …` in the test's own process: to start one takes longer than what most commands do."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from headend.cli.main import main


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def headend(folder: Path, *args: str, columns: int = 240) -> Ended:
    """A command on the site in a folder, by anna, on a wide screen."""
    config = folder / "headend.toml"
    config.write_text(f'[data]\ndirectory = "{folder}"\n[site]\nregistry = ""\n[log]\nlevel = "warning"\n')
    return without_site(*args, "--config", str(config), columns=columns)


def without_site(*args: str, columns: int = 240) -> Ended:
    """A command that needs no site, by anna, on a wide screen."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr("sys.argv", ["headend", *args])
        patch.setenv("COLUMNS", str(columns))
        patch.setenv("LOGNAME", "anna")
        with pytest.raises(SystemExit) as ended:
            main()
    return Ended(int(ended.value.code or 0), out.getvalue(), err.getvalue())
