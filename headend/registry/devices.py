"""Modbus devices: which meter answers where, under which profile."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy import Connection, select

from headend.errors import InvalidInput
from headend.reads.channels import Channel
from headend.store import tables as t

_EXPECTED = "tcp://host:port or rtu:///dev/ttyUSB0?baud=9600&parity=N&stopbits=1"
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,253}")
_SETTINGS = {
    "baud": ("1200", "2400", "4800", "9600", "19200", "38400", "57600", "115200"),
    "parity": ("N", "E", "O"),
    "stopbits": ("1", "2"),
}


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A Modbus TCP server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp://[{self.host}]:{self.port}" if ":" in self.host else f"tcp://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SerialLine:
    """A serial device with Modbus RTU on it.

    Parameters
    ----------
    baud, parity, stopbits
        as all devices on the line are set [bit/s; N, E or O; 1 or 2].
    """

    device: str
    baud: int
    parity: str
    stopbits: int

    def __str__(self) -> str:
        return f"rtu://{self.device}"


@dataclass(frozen=True, slots=True)
class ModbusDevice:
    """A meter that is read over Modbus.

    Parameters
    ----------
    meter
        its name.
    profile
        the name of a profile file.
    address
        `tcp://host:port` or `rtu:///dev/ttyUSB0?baud=9600&parity=N&stopbits=1`.
    unit
        its Modbus unit id.
    interval_s
        how often it is read: the smallest interval of its channels [s].
    channels
        the OBIS codes enrolled.
    """

    meter: str
    profile: str
    address: str
    unit: int
    interval_s: int
    channels: tuple[str, ...]


def parse_address(text: str) -> TcpAddress | SerialLine:
    """Where a Modbus device answers; raises `InvalidInput`.

    The port is 502 if none is given; a serial line has 9600 bit/s, no parity, one stop bit unless it says otherwise.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInput("address", f"{text[:100]!r} ({error})", _EXPECTED) from None
    if parts.scheme == "tcp" and host and _HOST.fullmatch(host) and not (parts.path + parts.query + parts.fragment):
        return TcpAddress(host, 502 if port is None else port)
    if parts.scheme == "rtu" and not parts.netloc and len(parts.path) > 1 and not parts.fragment:
        return _serial_line(text, parts.path, parts.query)
    raise InvalidInput("address", repr(text[:100]), _EXPECTED)


def _serial_line(text: str, device: str, query: str) -> SerialLine:
    settings = {"baud": "9600", "parity": "N", "stopbits": "1"}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in settings:
            raise InvalidInput(f"address {text[:100]!r}", repr(key), "baud, parity or stopbits")
        settings[key] = value
    for key, allowed in _SETTINGS.items():
        if settings[key] not in allowed:
            raise InvalidInput(f"address {text[:100]!r}: {key}", repr(settings[key]), " or ".join(allowed))
    return SerialLine(device, int(settings["baud"]), settings["parity"], int(settings["stopbits"]))


def modbus_devices(tx: Connection) -> list[ModbusDevice]:
    """Every Modbus meter in service, by name."""
    query = (
        select(t.meter.c.name, t.modbus_device, t.meter_channel.c.channel, t.meter_channel.c.interval_s)
        .join(t.meter, t.meter.c.id == t.modbus_device.c.meter_id)
        .join(t.meter_channel, t.meter_channel.c.meter_id == t.modbus_device.c.meter_id)
        .join(t.installation, t.installation.c.meter_id == t.modbus_device.c.meter_id)
        .where(t.installation.c.removed_s.is_(None))
        .order_by(t.meter.c.name, t.meter_channel.c.channel)
    )
    found: dict[str, ModbusDevice] = {}
    for row in tx.execute(query):
        before = found.get(row.name)
        found[row.name] = ModbusDevice(
            row.name,
            row.profile,
            row.address,
            row.unit,
            min(row.interval_s, before.interval_s) if before else row.interval_s,
            (*(before.channels if before else ()), Channel(row.channel).obis),
        )
    return list(found.values())
