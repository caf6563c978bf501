"""Real servers for the tests, each on a port of its own, that can be killed and started again."""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
import pytest


def _found(program: str, *beside: str | Path) -> str | None:
    """Where a program is: on the PATH, or where packages put what is not for everybody's PATH."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, beside)]))


MOSQUITTO = _found("mosquitto", "/usr/sbin", "/usr/local/sbin")
INITDB = _found("initdb", *Path("/usr/lib/postgresql").glob("*/bin"))
INFLUXD_RECIPE = Path(__file__).parent / "influxd/build.sh"


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port: int) -> None:
    """Return once somebody listens on the port."""
    await_answer(lambda: socket.create_connection(("127.0.0.1", port), timeout=1).close(), f"port {port}")


def await_answer(ask: Callable[[], object], whom: str) -> None:
    """Return once asking succeeds."""
    until = time.monotonic() + 60  # the machine may be busy with other tests
    while True:
        try:
            ask()
        except (OSError, psycopg.OperationalError):
            if time.monotonic() > until:
                pytest.fail(f"{whom} does not answer")
            time.sleep(0.02)
        else:
            return


def needs(tool: str, found: object) -> None:
    """Skip the test that wants a tool this machine has not; in CI that is a failure."""
    if not found:
        if os.environ.get("CI"):
            pytest.fail(f"{tool} is not installed; CI must have it")
        pytest.skip(f"{tool} is not installed")


class Mosquitto:
    """A broker that keeps nothing on disk.

    Parameters
    ----------
    more
        further lines of its configuration, such as the certificates of its listener.
    """

    #: Lines with which its log names every packet.
    TALKATIVE = ("log_dest stderr", "log_type debug", "log_type notice")

    def __init__(self, folder: Path, *more: str) -> None:
        needs("mosquitto", MOSQUITTO)
        self.port = free_port()
        self.log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            "max_queued_messages 0\nmax_inflight_messages 2000\n"  # as config/mosquitto.conf
            + "".join(f"{line}\n" for line in more)
        )
        self.start()

    def start(self) -> None:
        command = [MOSQUITTO, "-c", str(self._config)]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        await_port(self.port)

    def subscribed(self, client: str) -> bool:
        """Whether a client has asked for messages; of one that is talkative."""
        return f"Received SUBSCRIBE from {client}" in self.log.read_text()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Influxd:
    """An InfluxDB 2 server with an organization and a token; its data outlive it, its log is `folder/influxd.log`."""

    ORG, TOKEN = "headend", "token-of-the-tests"

    def __init__(self, folder: Path) -> None:
        found = subprocess.run([INFLUXD_RECIPE, "--find"], check=False, capture_output=True, text=True)
        needs("influxd", found.returncode == 0)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "influxd.log"
        self._numbers = itertools.count(1)
        self._command = [found.stdout.strip(), "--reporting-disabled", "--http-bind-address", f"127.0.0.1:{self.port}"]
        self._command += ["--bolt-path", str(folder / "influxd.bolt"), "--engine-path", str(folder / "engine")]
        self._command += ["--sqlite-path", str(folder / "influxd.sqlite")]
        self.start()
        owner = {"username": "tests", "password": "only-on-loopback", "org": self.ORG, "bucket": "first"}
        self.organization = self.ask("/api/v2/setup", owner | {"token": self.TOKEN})["org"]["id"]

    def start(self) -> None:
        """Return once it answers; after `kill` or `stop` it has what it had."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        await_answer(lambda: self._send("/health"), "influxd")

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """As an operator does."""
        self._process.terminate()
        self._process.wait(timeout=30)

    def pause(self) -> None:
        """It takes connections, and answers nothing any more."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def fresh_bucket(self, name: str) -> str:
        """The name of an empty bucket that nobody else uses; it begins with `name`."""
        made = f"{name}-{next(self._numbers)}"
        self.ask("/api/v2/buckets", {"name": made, "orgID": self.organization, "retentionRules": []})
        return made

    def settings(self) -> dict[str, object]:
        """Section `influx` of a head-end, with fresh buckets."""
        buckets = {f"{kind}_bucket": self.fresh_bucket(kind) for kind in ("reads", "telemetry")}
        return {"url": self.url, "org": self.ORG, "token": self.TOKEN, **buckets}

    def ask(self, path: str, question: Mapping[str, object]) -> dict:
        """What it answers to a JSON document; `urllib.error.HTTPError` where it refuses."""
        return json.loads(self._send(path, json.dumps(question).encode(), "application/json"))

    def rows(self, flux: str, within_s: float = 60) -> list[dict[str, str]]:
        """What a Flux query finds: by column, as text. `OSError` or `HTTPException` where it does not answer."""
        answer = self._send(f"/api/v2/query?org={self.ORG}", flux.encode(), "application/vnd.flux", within_s).decode()
        # Every table of the answer that has other columns comes with a header of its own, after an empty line.
        tables = answer.replace("\r\n", "\n").split("\n\n")
        return [row for table in tables for row in csv.DictReader(table.splitlines())]

    def write(self, bucket: str, *lines: str) -> None:
        """Points in line protocol, times in seconds."""
        path = f"/api/v2/write?org={self.ORG}&bucket={bucket}&precision=s"
        self._send(path, "\n".join(lines).encode(), "text/plain")

    def _send(self, path: str, body: bytes | None = None, kind: str = "", within_s: float = 60) -> bytes:
        headers = {"Authorization": f"Token {self.TOKEN}", "Content-Type": kind}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, body, headers), timeout=within_s) as answer:
            return answer.read()


class Postgres:
    """A PostgreSQL server, whose data are gone with it.

    Parameters
    ----------
    durable
        whether a commit survives a crash of the machine; it costs time, so only for those who test that.
    """

    def __init__(self, durable: bool = False) -> None:
        needs("postgresql", INITDB)
        self.port = free_port()
        # Not below pytest's own folder: only its owner may enter that, and the server refuses to run as root.
        self._folder = Path(tempfile.mkdtemp(prefix="headend-postgres-"))
        self._as: dict[str, object] = {"cwd": self._folder}
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
            self._as |= {"user": "postgres", "group": "postgres", "extra_groups": ()}
        self.log = self._folder / "postgres.log"
        self._options = {"port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        if not durable:
            self._options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        self._numbers = itertools.count(1)
        with self.log.open("a") as log:
            initdb = [str(INITDB), "--pgdata=data", "--username=headend", "--auth=trust", "--no-sync"]
            initdb += ["--encoding=UTF8", "--locale=C"]
            subprocess.run(initdb, stdout=log, stderr=log, check=True, **self._as)
        self.start()

    def start(self) -> None:
        """Return once it answers; after `kill` it has what was committed."""
        command = [str(Path(str(INITDB)).resolve().with_name("postgres")), "-D", "data"]
        command += [argument for name, value in self._options.items() for argument in ("-c", f"{name}={value}")]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._as)
        await_answer(lambda: self._connect().close(), "postgres")

    def kill(self) -> None:
        """As a machine dies; those who serve its connections notice and end too."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """As an operator does in a hurry, and nothing is left."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=30)
        shutil.rmtree(self._folder)

    def fresh_database(self) -> str:
        """The name of an empty database that nobody else uses."""
        name = f"headend_{next(self._numbers)}"
        self._command(f"CREATE DATABASE {name}")
        return name

    def empty_tables(self, name: str) -> None:
        """Leave a database as its migrations left it, whoever still uses it; much faster than another one."""
        with self._connect(name) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'alembic_version%'"
            )
            filled = " UNION ALL ".join(f"(SELECT '{table}' FROM {table} LIMIT 1)" for (table,) in tables)
            if written := [table for (table,) in connection.execute(filled)]:
                connection.execute(f"TRUNCATE {', '.join(written)} CASCADE")
            connection.execute(
                "SELECT setval(format('%I', sequencename)::regclass, start_value, false) FROM pg_sequences"
                " WHERE last_value IS NOT NULL"
            )

    def drop_database(self, name: str) -> None:
        """… whoever still uses it."""
        self._command(f"DROP DATABASE {name} WITH (FORCE)")

    def url(self, database: str) -> str:
        """How SQLAlchemy is told of it."""
        return f"postgresql+psycopg://headend@127.0.0.1:{self.port}/{database}"

    def _connect(self, database: str = "postgres") -> psycopg.Connection:
        where = {"host": "127.0.0.1", "port": self.port, "user": "headend", "dbname": database}
        return psycopg.connect(**where, autocommit=True, connect_timeout=5)

    def _command(self, sql: str) -> None:
        with self._connect() as connection:
            connection.execute(sql)


class Headend:
    """`headend serve` as a process of its own, with one folder for all it writes.

    Parameters
    ----------
    settings
        by section; the rest is as shipped.
    name
        of its settings file, where several share a folder; else the role.
    """

    def __init__(self, folder: Path, settings: dict[str, dict[str, object]], role: str = "all", name: str = "") -> None:
        self.folder, self._role = folder, role
        folder.mkdir(parents=True, exist_ok=True)
        merged = {"data": {"directory": str(folder)}, "log": {"level": "warning"}} | settings
        self.config = folder / f"{name or role}.toml"
        self.config.write_text(
            "".join(
                f"[{section}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in keys.items())
                for section, keys in merged.items()
            )
        )

    def start(self) -> None:
        command = [sys.executable, "-m", "headend", "serve", "--config", str(self.config), "--role", self._role]
        self.process = subprocess.Popen(command)

    def kill(self) -> None:
        """As the kernel does when memory is short: no good-bye."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """As an operator does; its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=30)


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
