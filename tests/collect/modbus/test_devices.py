"""Where Modbus meters answer, and which of them are in service."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, update

from headend.errors import InvalidInput
from headend.reads.channels import EXPORT, IMPORT
from headend.registry.devices import ModbusDevice, SerialLine, TcpAddress, modbus_devices, parse_address
from headend.store import tables as t
from headend.store.database import Database


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://192.0.2.17:1502", TcpAddress("192.0.2.17", 1502)),
        ("tcp://meter-7.example", TcpAddress("meter-7.example", 502)),
        ("tcp://[2001:db8::7]:502", TcpAddress("2001:db8::7", 502)),
        ("rtu:///dev/ttyUSB0", SerialLine("/dev/ttyUSB0", 9600, "N", 1)),
        ("rtu:///dev/ttyS1?baud=19200&parity=E&stopbits=2", SerialLine("/dev/ttyS1", 19200, "E", 2)),
    ],
)
def test_address_is_understood(text: str, address: TcpAddress | SerialLine) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("192.0.2.17:502", "expected tcp://host:port or rtu:///dev/ttyUSB0"),
        ("tcp://", "expected tcp://host:port"),
        ("tcp://host:70000", "Port out of range"),
        ("tcp://host:502/1", "expected tcp://host:port"),
        ("tcp://ho st", "expected tcp://host:port"),
        ("udp://host", "expected tcp://host:port"),
        ("rtu://dev/ttyUSB0", "expected tcp://host:port"),
        ("rtu:///dev/ttyUSB0?baud=9601", "baud: found '9601', expected 1200 or 2400"),
        ("rtu:///dev/ttyUSB0?parity=X", "parity: found 'X', expected N or E or O"),
        ("rtu:///dev/ttyUSB0?speed=9600", "found 'speed', expected baud, parity or stopbits"),
    ],
)
def test_wrong_address_is_refused_with_what_was_expected(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        parse_address(text)


@given(st.one_of(st.text(), st.text().map("tcp://".__add__), st.text().map("rtu:///dev/x?".__add__)))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        parse_address(text)
    except InvalidInput as refusal:
        assert "expected" in str(refusal)  # noqa: PT017


def _enrol(tx: Connection, meter: int, removed_s: int | None = None) -> None:
    tx.execute(insert(t.meter), {"id": meter, "name": f"M-{meter}", "commodity": "electricity"})
    tx.execute(insert(t.usage_point), {"id": f"UP-{meter}", "timezone": "UTC", "address": ""})
    tx.execute(
        insert(t.installation),
        {"meter_id": meter, "installed_s": 0, "usage_point_id": f"UP-{meter}", "removed_s": removed_s},
    )
    for channel, interval_s in ((IMPORT, 900), (EXPORT, 3600)):
        tx.execute(
            insert(t.meter_channel),
            {
                "meter_id": meter,
                "channel": channel.code,
                "interval_s": interval_s,
                "max_per_interval": 1,
                "register_digits": 9,
            },
        )
    tx.execute(
        insert(t.modbus_device), {"meter_id": meter, "profile": "abb-b23-b24", "address": "tcp://a:502", "unit": meter}
    )


def test_meters_in_service_are_read_at_the_shortest_of_their_intervals(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'site.db'}", "site")
    with database.write() as tx:
        _enrol(tx, 1)
        _enrol(tx, 2, removed_s=1_000)
        tx.execute(insert(t.meter), {"id": 3, "name": "M-3", "commodity": "electricity"})  # not over Modbus
    expected = ModbusDevice("M-1", "abb-b23-b24", "tcp://a:502", 1, 900, ("1-0:1.8.0", "1-0:2.8.0"))
    with database.read() as tx:
        assert modbus_devices(tx) == [expected]
    with database.write() as tx:
        tx.execute(update(t.installation).where(t.installation.c.meter_id == 1).values(removed_s=2_000))
    with database.read() as tx:
        assert modbus_devices(tx) == []
    database.close()
