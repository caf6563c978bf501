"""Brokers that die with their queue, that have gathered a backlog, and that speak TLS."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.client as paho
import paho.mqtt.publish as publish
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion

from headend.app import open_site
from headend.store.checkpoints import totals
from headend.store.database import Database
from headend.store.journal import Journal
from tests.e2e.fleets import differences, play, processed, shipment, write_site_file
from tests.e2e.sites import HOUR, IMPORT, becomes_true, hours_ago, meter, values
from tests.servers import Headend, Mosquitto, free_port

START, END = "2026-08-31T22:00:00Z", "2026-09-08T22:00:00Z"


def test_many_gateways_come_back_to_a_broker_that_lost_its_queue(tmp_path: Path, mosquitto: Mosquitto):
    gateways, meters = 60, 60
    folder = tmp_path / "site"
    folder.mkdir()
    write_site_file(folder / "fleet.toml", shipment(gateways, meters), START)
    settings: dict[str, dict[str, object]] = {
        "site": {"registry": "fleet.toml"},
        "mqtt": {"embedded": False, "port": mosquitto.port, "protocol": "5"},
        "collect": {"commit_messages": 3},
    }
    headend = Headend(folder, settings, "collect")
    site, truth = open_site(headend.config), tmp_path / "truth.csv"
    headend.start()
    fleet = play(gateways, meters, mosquitto.port, START, END, truth, "--resend-after", "2", "--protocol", "5")
    try:
        for messages in (5, 150):
            assert becomes_true(lambda messages=messages: site.journal.newest_offset() >= messages)
            mosquitto.kill()
            mosquitto.start()
        assert fleet.wait(timeout=120) == 0, "the fleet was not acknowledged to the end"
    finally:
        fleet.kill()
        fleet.wait()
        assert headend.stop() == 0
    processed(headend.config)
    assert differences(site, truth) == []
    with site.database.read() as tx:
        assert totals(tx).replaced == 0


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_backlog_of_twenty_thousand_messages_is_drained_exactly_once(
    tmp_path: Path, mosquitto: Mosquitto, protocol: str
):
    """Every message is a gateway's hour, of another meter each, published while the collector is away."""
    gateways, hours = 100, 200
    start = hours_ago(hours + 1)
    folder = tmp_path / "site"
    folder.mkdir()
    rows = [meter(f"E-{number}", gateway=f"GW-{number}", installed=start) for number in range(gateways)]
    (folder / "meters.toml").write_text("\n".join(rows))
    settings: dict[str, dict[str, object]] = {
        "site": {"registry": "meters.toml"},
        "mqtt": {"embedded": False, "port": mosquitto.port, "protocol": protocol},
    }
    headend = Headend(folder, settings, "collect")
    site = open_site(headend.config)
    headend.start()  # so that the broker keeps a session for it
    assert becomes_true(lambda: "as headend-collector" in mosquitto.log.read_text())
    assert becomes_true(lambda: subscribed_by_echo(mosquitto.port, site.journal))
    assert headend.stop() == 0
    before = site.journal.newest_offset()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()
    for hour in range(hours):
        begin = (start + hour * HOUR).isoformat()
        for number in range(gateways):
            block = {"meter": f"E-{number}", "channel": IMPORT, "start": begin, "interval_s": 3600}
            message = {"seq": hour + 1, "sent_at": begin, "blocks": [block | {"values": [number * 1000 + hour]}]}
            sent = client.publish(f"headend/v1/GW-{number}/reads", json.dumps(message), qos=1)
    sent.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()
    headend.start()
    try:
        assert becomes_true(lambda: site.journal.newest_offset() >= before + gateways * hours, 120)
    finally:
        assert headend.stop() == 0
    assert site.journal.newest_offset() == before + gateways * hours
    assert site.journal.verify() == site.journal.newest_offset()
    processed(headend.config)
    for number in range(gateways):
        stored = values(site.database, f"E-{number}", start, hours)
        assert stored == [number * 1000 + hour for hour in range(hours)]
    with site.database.read() as tx:
        counts = totals(tx)
    assert (counts.stored, counts.duplicates, counts.replaced) == (gateways * hours, 0, 0)
    windows = site.journal.windows()
    assert {(windows[f"GW-{n}"].through, len(windows[f"GW-{n}"].missing)) for n in range(gateways)} == {(hours, 0)}


def subscribed_by_echo(port: int, journal: Journal) -> bool:
    """Whether something that was just said has reached the journal."""
    publish.single("headend/v1/GW-echo/status", '{"online": true}', qos=1, port=port)
    return becomes_true(journal.newest_offset, 0.2)


class Authority:
    """Signs certificates; its own is in `ca_file`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name)])
        self.ca_file = folder / "ca.pem"
        own = self._certificate(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.ca_file.write_bytes(self._signed(own))

    def listener(self) -> list[str]:
        """A broker's lines, for one at 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        signed = self._signed(self._certificate(name, key.public_key()).add_extension(here, critical=False))
        (self._folder / "broker.pem").write_bytes(signed)
        plain = serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        (self._folder / "broker.key").write_bytes(pem)
        files = [f"certfile {self._folder / 'broker.pem'}", f"keyfile {self._folder / 'broker.key'}"]
        return [f"cafile {self.ca_file}", *files, "user root"]

    def _certificate(self, name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        made = x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key)
        made = made.serial_number(x509.random_serial_number())
        return made.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))

    def _signed(self, certificate: x509.CertificateBuilder) -> bytes:
        return certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "utility")


@pytest.fixture
def tls_broker(tmp_path: Path, authority: Authority) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path, *authority.listener(), *Mosquitto.TALKATIVE)
    yield made
    made.kill()


def serve(folder: Path, port: int, ca_file: Path) -> subprocess.Popen[str]:
    """A collector that trusts one authority; what it says is in `folder/said`."""
    mqtt = {"embedded": False, "port": port, "tls": True, "ca_file": str(ca_file)}
    headend = Headend(folder, {"site": {"registry": ""}, "mqtt": mqtt})
    command = [sys.executable, "-m", "headend", "serve", "--config", str(headend.config), "--role", "collect"]
    with (folder / "said").open("w") as said:
        return subprocess.Popen(command, stderr=said, text=True)


def test_a_broker_that_our_authority_signed_is_collected_from_over_tls(
    tmp_path: Path, authority: Authority, tls_broker: Mosquitto
):
    process = serve(tmp_path / "site", tls_broker.port, authority.ca_file)
    try:
        assert becomes_true(lambda: tls_broker.subscribed("headend-collector"))
        message = {"seq": 1, "sent_at": "2026-01-05T13:00:07Z", "blocks": []}
        tls = {"ca_certs": str(authority.ca_file)}
        publish.single(
            "headend/v1/GW-1/reads", json.dumps(message), qos=1, port=tls_broker.port, tls=tls, hostname="127.0.0.1"
        )
        journal = Journal(Database(f"sqlite:///{tmp_path / 'site/journal.db'}", "journal"))
        assert becomes_true(lambda: journal.newest_offset() == 1)
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_a_broker_that_somebody_else_signed_is_refused_with_the_reason_and_tried_again(
    tmp_path: Path, tls_broker: Mosquitto
):
    process = serve(tmp_path / "site", tls_broker.port, Authority(tmp_path / "somebody").ca_file)
    try:
        said = tmp_path / "site/said"
        assert becomes_true(lambda: said.read_text().count("\n") >= 2)
        for line in said.read_text().splitlines():
            assert "no connection to the broker, trying again" in line
            assert "certificate verify failed" in line
            assert f"127.0.0.1:{tls_broker.port}" in line
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert not tls_broker.subscribed("headend-collector")


def test_an_authority_that_is_not_there_is_one_line_and_exit_2(tmp_path: Path):
    process = serve(tmp_path / "site", free_port(), tmp_path / "nowhere.pem")
    assert process.wait(30) == 2
    (line,) = (tmp_path / "site/said").read_text().splitlines()
    assert f"mqtt.ca_file: found '{tmp_path / 'nowhere.pem'}' (No such file or directory)" in line
