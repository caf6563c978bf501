"""What people deploy with: the compose file, the broker's settings, the lock."""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
import threading
import tomllib
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from headend.collect.topics import NATIVE
from tests.servers import MOSQUITTO, Mosquitto, await_port, free_port, needs

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
