"""What people deploy with: the compose file, the broker's settings, the lock."""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

import paho.mqtt.client as paho
import pytest
import yaml
from paho.mqtt import publish
from paho.mqtt.enums import CallbackAPIVersion

from headend.collect.topics import NATIVE
from tests.e2e.sites import becomes_true
from tests.servers import MOSQUITTO, Influxd, Mosquitto, await_answer, await_port, free_port, needs

ROOT = Path(__file__).parents[1]


SECRETS = {
    "INFLUXDB_TOKEN": Influxd.TOKEN,
    "INFLUXDB_PASSWORD": "password-of-influxdb",
    "GRAFANA_PASSWORD": "password-of-grafana",
    "POSTGRESQL_PASSWORD": "password-of-postgresql",
}
POSTGRESQL_URL = f"postgresql://headend:{SECRETS['POSTGRESQL_PASSWORD']}@postgresql/headend"
ROLES = ("collect", "process", "jobs", "api")


def compose(*files: str, secrets: Mapping[str, str] = SECRETS) -> subprocess.CompletedProcess[str]:
    """What docker-compose makes of these files, where the secrets are in a file as docs/deployment.md says."""
    needs("docker-compose", shutil.which("docker-compose"))
    environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
    with NamedTemporaryFile("w", suffix=".env") as env:
        env.writelines(f"{name}={value}\n" for name, value in secrets.items())
        env.flush()
        command = ["docker-compose", f"--env-file={env.name}", *(f"--file={file}" for file in files), "config"]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
        )


def services(*files: str) -> dict[str, dict]:
    ended = compose(*files)
    assert ended.returncode == 0, ended.stderr
    return yaml.safe_load(ended.stdout)["services"]


def test_compose_waits_for_what_each_service_needs():
    found = services("docker-compose.yml")
    assert found.keys() == {"mosquitto", "store-init", *ROLES, "influxdb", "prometheus", "grafana"}
    for role in ROLES:
        assert found[role]["command"] == ["headend", "serve", "--role", role]
        assert found[role]["depends_on"]["store-init"] == {"condition": "service_completed_successfully"}
        assert found[role]["environment"] == found["store-init"]["environment"]
    assert found["store-init"]["command"] == ["headend", "store", "init"]
    assert found["store-init"]["restart"] == "no"
    for service in found.values():
        for other, until in service.get("depends_on", {}).items():
            assert until["condition"] != "service_healthy" or "healthcheck" in found[other], other


def test_compose_makes_the_organization_that_head_end_and_grafana_ask():
    found = services("docker-compose.yml")
    head_end, grafana, influxdb = (found[name]["environment"] for name in ("api", "grafana", "influxdb"))
    assert head_end["HEADEND_INFLUX__ORG"] == grafana["INFLUXDB_ORG"] == influxdb["DOCKER_INFLUXDB_INIT_ORG"]
    token = influxdb["DOCKER_INFLUXDB_INIT_ADMIN_TOKEN"]
    assert head_end["HEADEND_INFLUX__TOKEN"] == grafana["INFLUXDB_TOKEN"] == token == SECRETS["INFLUXDB_TOKEN"]
    (source,) = yaml.safe_load((ROOT / "config/grafana/provisioning/datasources/influxdb.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == head_end["HEADEND_INFLUX__URL"]
    assert source["jsonData"]["defaultBucket"] == influxdb["DOCKER_INFLUXDB_INIT_BUCKET"]


def test_compose_mounts_files_that_are_there():
    for service in services("docker-compose.yml").values():
        for volume in service.get("volumes", []):
            outside = volume.partition(":")[0]
            assert not outside.startswith("/") or Path(outside).exists(), outside


@pytest.mark.parametrize("name", SECRETS)
def test_compose_starts_nothing_without_a_secret(name: str):
    given = {secret: value for secret, value in SECRETS.items() if secret != name}
    refused = compose("docker-compose.yml", "docker-compose.postgresql.yml", secrets=given)
    assert refused.returncode != 0
    assert "docs/deployment.md" in refused.stderr


def test_compose_with_postgresql_moves_both_databases_there():
    found = services("docker-compose.yml", "docker-compose.postgresql.yml")
    for name in ("store-init", *ROLES):
        said = found[name]["environment"]
        for key in ("HEADEND_DATA__JOURNAL_URL", "HEADEND_DATA__SITE_URL"):
            assert said[key] == POSTGRESQL_URL
        assert said["HEADEND_STORE__KIND"] == "influx"
    assert found["store-init"]["depends_on"].keys() == {"influxdb", "postgresql"}


class Deployed:
    """Commands of `docker-compose.yml` as processes of this machine, with the environment that it gives them.

    What the containers' network and volumes would do is put in: names of hosts, ports, the folder.
    """

    def __init__(
        self, services: Mapping[str, dict], folder: Path, broker: Mosquitto, influxd: Influxd, postgres_url: str = ""
    ) -> None:
        self.broker, self.influxd = broker, influxd
        self._services, self._folder = services, folder
        self._port = free_port()
        self._running: list[subprocess.Popen[bytes]] = []
        self._here = {
            "http://influxdb:8086": influxd.url,
            "mosquitto": "127.0.0.1",
            "0.0.0.0": "127.0.0.1",
            "/data": str(folder),
            POSTGRESQL_URL: postgres_url,
        }
        self._ports = {"HEADEND_MQTT__PORT": str(broker.port), "HEADEND_WEB__PORT": str(self._port)}
        folder.mkdir()

    def start(self, service: str) -> subprocess.Popen[bytes]:
        said = {name: self._here.get(value, value) for name, value in self._services[service]["environment"].items()}
        ours = {name: value for name, value in os.environ.items() if not name.startswith("HEADEND_")}
        command = [sys.executable, "-m", *self._services[service]["command"]]
        with (self._folder / f"{service}.log").open("a") as log:
            process = subprocess.Popen(command, cwd=self._folder, env={**ours, **said, **self._ports}, stdout=log)
        self._running.append(process)
        return process

    def page(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def stop(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait(timeout=30)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """It writes down who subscribes."""
    made = Mosquitto(tmp_path, *Mosquitto.TALKATIVE)
    yield made
    made.kill()


@pytest.fixture(
    params=[
        pytest.param("", id="sqlite"),
        pytest.param("docker-compose.postgresql.yml", id="postgresql", marks=pytest.mark.slow),
    ]
)
def deployed(tmp_path: Path, broker: Mosquitto, request: pytest.FixtureRequest) -> Iterator[Deployed]:
    """What compose starts, with an InfluxDB that has what its image's set-up makes."""
    started = services("docker-compose.yml", *filter(None, [request.param]))
    postgres_url = request.getfixturevalue("postgres_url") if request.param else ""
    influxd = Influxd(tmp_path)
    influxd.ask("/api/v2/buckets", {"name": "reads", "orgID": influxd.organization, "retentionRules": []})
    made = Deployed(started, tmp_path / "data", broker, influxd, postgres_url)
    yield made
    try:
        made.stop()
    finally:
        influxd.kill()


def test_an_hour_from_the_broker_reaches_influxdb_in_what_compose_starts(deployed: Deployed):
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    for _ in range(2):  # every start of the site begins with it
        assert deployed.start("store-init").wait(timeout=60) == 0
    for role in ROLES:
        deployed.start(role)
    assert becomes_true(lambda: deployed.broker.subscribed("headend-collector"), within_s=120)

    block = {
        "meter": "E-10023",
        "channel": "1-0:1.8.0",
        "start": begin.isoformat(),
        "interval_s": 3600,
        "values": [1240],
    }
    message = {"seq": 1, "sent_at": datetime.now(UTC).isoformat(), "blocks": [block]}
    publish.single("headend/v1/GW-001/reads", json.dumps(message), qos=1, port=deployed.broker.port)

    flux = f"""from(bucket: "reads") |> range(start: {begin:%Y-%m-%dT%H:%M:%SZ})
        |> filter(fn: (r) => r._measurement == "reads" and r._field == "value")"""
    found: list[dict[str, str]] = []
    assert becomes_true(lambda: found.extend(deployed.influxd.rows(flux)) or found, within_s=60)
    assert [(row["meter"], row["channel"], row["_time"], row["_value"]) for row in found] == [
        ("E-10023", "1-0:1.8.0", f"{begin:%Y-%m-%dT%H:%M:%SZ}", "1240")
    ]

    await_answer(lambda: deployed.page("/healthz"), "api")
    shown = deployed.page("/metrics")
    assert "\nheadend_store_unsent_blocks 0.0\n" in shown
    dashboards = "".join(path.read_text() for path in (ROOT / "config/grafana/dashboards").glob("*.json"))
    asked = {name for query in re.findall(r'"expr": "(.*)"', dashboards) for name in re.findall(r"headend_\w+", query)}
    assert asked
    assert {name for name in asked if f"\n{name} " not in shown} == set()


def test_mosquitto_takes_the_shipped_settings(tmp_path: Path):
    needs("mosquitto", MOSQUITTO)
    port = free_port()
    settings = (ROOT / "config" / "mosquitto.conf").read_text()
    settings = settings.replace("listener 1883", f"listener {port} 127.0.0.1")
    settings = settings.replace("/mosquitto/data/", f"{tmp_path}/")
    (tmp_path / "mosquitto.conf").write_text(settings + "\nuser root\n")
    broker = subprocess.Popen(
        [MOSQUITTO, "-c", str(tmp_path / "mosquitto.conf")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        await_port(port)
        # It listens before it heeds signals: one that comes in between is lost. Who was answered can ask it to end.
        gateway = _client("GW-1", port)
        gateway.disconnect()
        gateway.loop_stop()
        broker.terminate()
        said = broker.communicate(timeout=30)[0].decode()
    finally:
        broker.kill()
        broker.communicate()
    assert broker.returncode == 0, said
    assert "Error" not in said


def test_the_shipped_rules_keep_gateways_from_speaking_for_one_another(tmp_path: Path):
    needs("mosquitto", MOSQUITTO)
    passwords = tmp_path / "passwords"
    passwords.touch(0o600)
    for name in ("headend", "GW-1"):
        subprocess.run(["mosquitto_passwd", "-b", passwords, name, "secret"], check=True, capture_output=True)
    rules = f"password_file {passwords}", f"acl_file {ROOT / 'config' / 'mosquitto.acl'}", "user root"
    broker = Mosquitto(tmp_path, *rules)
    heard: queue.Queue[str] = queue.Queue()
    headend, gateway = (_client(name, broker.port) for name in ("headend", "GW-1"))
    try:
        subscribed = threading.Event()
        headend.on_subscribe = lambda *_: subscribed.set()
        headend.on_message = lambda _client, _data, message: heard.put(message.topic)
        headend.subscribe([(topic, 1) for topic in NATIVE])
        assert subscribed.wait(10)
        for topic in ("headend/v1/GW-2/reads", "file/x"):
            # Some brokers cut off who is refused, others say nothing: each try has a connection of its own.
            intruder = _client("GW-1", broker.port)
            intruder.publish(topic, b"{}", qos=0).wait_for_publish(10)
            intruder.disconnect()
            intruder.loop_stop()
        for topic in ("headend/v1/GW-1/reads", "headend/v1/GW-1/status"):
            gateway.publish(topic, b"{}", qos=1).wait_for_publish(10)
        assert [heard.get(timeout=10) for _ in range(2)] == ["headend/v1/GW-1/reads", "headend/v1/GW-1/status"]
        assert heard.empty()
    finally:
        for client in (headend, gateway):
            client.disconnect()
            client.loop_stop()
        broker.kill()


def _client(user: str, port: int) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(user, "secret")
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert connected.wait(10)
    return client


def test_lock_pins_every_dependency_with_hashes_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for requirement in wanted:
        name = re.split(r"[<>=!~\[; ]", requirement)[0]
        pinned = re.search(rf"^{re.escape(name)}==\S+[^\n]*\\\n    --hash=sha256:", lock, re.MULTILINE)
        assert pinned, f"{name} is not pinned with a hash: make lock"
    assert "http" not in re.sub(r"^(\S*http\S*==|\s+#).*$", "", lock, flags=re.MULTILINE)
