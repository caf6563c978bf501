"""What is installed is what was tested: the wheel carries its configuration, and declares what it imports."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_demo_runs_from_the_wheel_in_an_empty_folder(tmp_path: Path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    zipfile.ZipFile(wheel).extractall(installed)
    empty.mkdir()
    command = [sys.executable, "-m", "headend", "demo", "--once", "--dir", "out", "--meters", "2", "--days", "5"]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    ended = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert json.loads((empty / "out" / "summary.json").read_text())["difference_wh"] == 0
    where = subprocess.run(
        [sys.executable, "-c", "from headend.config import shipped; print(shipped('headend.toml'))"],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(installed)


def test_everything_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    declared = {normal(re.split(r"[<>=!~\[; ]", line)[0]) for line in [*project["dependencies"], *extras]}
    owners = packages_distributions()
    undeclared = set()
    for path in [*(ROOT / "headend").rglob("*.py"), *(ROOT / "firmware_sim").rglob("*.py")]:
        for module in imported(path):
            if module in sys.stdlib_module_names or module in {"headend", "firmware_sim"}:
                continue
            if not {normal(name) for name in owners.get(module, [module])} & declared:
                undeclared.add(f"{path.relative_to(ROOT)} imports {module}")
    assert not undeclared


def normal(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(path: Path) -> set[str]:
    """Top-level names of the modules a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found
