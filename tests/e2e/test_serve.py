"""`headend serve` as a stranger meets it: the documented example published by another program, stored and shown."""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from base64 import b64encode
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.servers import Headend, await_port, free_port, needs

DOCS = Path(__file__).parents[2] / "docs"
PASSWORD = "correct horse battery"


def documented_example() -> str:
    """The reads message of docs/wire-format.md, to the letter."""
    text = (DOCS / "wire-format.md").read_text(encoding="utf-8")
    return re.search(r"## Reads\s+```json\n(.*?)```", text, re.DOTALL)[1]


def get(url: str, login: str = "op") -> dict:
    request = urllib.request.Request(url)
    request.add_header("Authorization", "Basic " + b64encode(f"{login}:{PASSWORD}".encode()).decode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def listen(port: int, topic: str) -> queue.Queue[bytes]:
    """What comes on a topic from now on."""
    heard: queue.Queue[bytes] = queue.Queue()
    subscribed = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: heard.put(message.payload)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", port)
    client.subscribe(topic, 1)
    client.loop_start()
    assert subscribed.wait(10)
    return heard


def test_documented_example_by_mosquitto_pub_is_stored_acknowledged_and_shown(tmp_path: Path):
    needs("mosquitto_pub", shutil.which("mosquitto_pub"))
    mqtt, web = free_port(), free_port()
    headend = Headend(tmp_path / "site", {"mqtt": {"port": mqtt}, "web": {"port": web}})
    (tmp_path / "password").write_text(PASSWORD)
    add = [sys.executable, "-m", "headend", "user", "add", "op", "--role", "operator"]
    add += ["--password-file", str(tmp_path / "password"), "--config", str(headend.config)]
    subprocess.run(add, check=True, capture_output=True)
    headend.start()
    try:
        await_port(web)
        acknowledged = listen(mqtt, "headend/v1/GW-001/ack")
        publish = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(mqtt), "-q", "1", "-t", "headend/v1/GW-001/reads"]
        subprocess.run([*publish, "-m", documented_example()], check=True)
        assert json.loads(acknowledged.get(timeout=20)) == {"through": 1042, "missing": []}

        url = (
            f"http://127.0.0.1:{web}/api/v1/meters/E-10023/intervals"
            "?channel=1-0:1.8.0&from=2026-01-05T12:00:00Z&to=2026-01-05T13:00:00Z"
        )
        until = time.monotonic() + 20
        while (shown := get(url))["values"] != [1240]:
            assert time.monotonic() < until, shown
            time.sleep(0.1)
    finally:
        assert headend.stop() == 0


def test_wrong_settings_are_one_line_and_exit_2(tmp_path: Path):
    config = tmp_path / "headend.toml"
    config.write_text('[mqtt]\nport = "nineteen"\n')
    command = [sys.executable, "-m", "headend", "serve", "--config", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ, check=False)
    assert ended.returncode == 2
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1
    assert f"{config}: mqtt.port: found 'nineteen', expected a whole number" in lines[0]


def test_taken_port_is_one_line_and_exit_2(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        headend = Headend(tmp_path / "site", {"mqtt": {"port": free_port()}, "web": {"port": port}})
        command = [sys.executable, "-m", "headend", "serve", "--config", str(headend.config)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert f"web.port: found {port}" in ended.stderr.strip().splitlines()[-1]


def test_a_second_collector_is_refused_by_name(tmp_path: Path):
    port = free_port()
    first = Headend(tmp_path / "site", {"mqtt": {"port": port}}, "collect")
    first.start()
    try:
        await_port(port)
        command = [sys.executable, "-m", "headend", "serve", "--config", str(first.config), "--role", "collect"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 1
        assert "another process collects under this client id already" in ended.stderr.strip().splitlines()[-1]
    finally:
        assert first.stop() == 0
