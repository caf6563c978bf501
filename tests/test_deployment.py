"""What people deploy with: the compose file, the broker's settings, the lock."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

from tests.servers import MOSQUITTO, await_port, free_port, needs

ROOT = Path(__file__).parents[1]


def test_compose_file_is_accepted_and_has_every_role():
    needs("docker-compose", shutil.which("docker-compose"))
    ended = subprocess.run(["docker-compose", "config"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    for service in ("mosquitto", "influxdb", "grafana", "collect", "process", "api", "jobs"):
        assert re.search(rf"^  {service}:$", ended.stdout, re.MULTILINE), service


def test_mosquitto_takes_the_shipped_settings(tmp_path: Path):
    needs("mosquitto", MOSQUITTO)
    port = free_port()
    settings = (ROOT / "config" / "mosquitto.conf").read_text()
    settings = settings.replace("listener 1883", f"listener {port} 127.0.0.1")
    settings = settings.replace("/mosquitto/data/", f"{tmp_path}/")
    (tmp_path / "mosquitto.conf").write_text(settings + "\nuser root\n")
    broker = subprocess.Popen([MOSQUITTO, "-c", str(tmp_path / "mosquitto.conf")], stderr=subprocess.PIPE)
    try:
        await_port(port)
        assert broker.poll() is None
    finally:
        broker.terminate()
        complaints = broker.communicate()[1].decode()
    assert "Error" not in complaints


def test_lock_pins_every_dependency_with_hashes_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for requirement in wanted:
        name = re.split(r"[<>=!~\[; ]", requirement)[0]
        pinned = re.search(rf"^{re.escape(name)}==\S+[^\n]*\\\n    --hash=sha256:", lock, re.MULTILINE)
        assert pinned, f"{name} is not pinned with a hash: make lock"
    assert "http" not in re.sub(r"^(\S*http\S*==|\s+#).*$", "", lock, flags=re.MULTILINE)
