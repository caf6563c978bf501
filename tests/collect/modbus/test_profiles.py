"""Shipped profiles against registers worked by hand, over a real connection; and what a profile may not say."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headend.collect.modbus import Profile
from headend.collect.modbus.link import Link
from headend.collect.modbus.meter import Reading, read_meter
from headend.collect.modbus.profile import read_profile
from headend.config import shipped
from headend.errors import InvalidConfig, InvalidMessage
from headend.registry.devices import ModbusDevice, TcpAddress
from tests.collect.modbus.recorded import FOLDER, PROFILES, recorded
from tests.collect.modbus.slaves import Memory, Slave, remembering

NOW = datetime(2026, 1, 5, 13, tzinfo=UTC)


async def read(profile: Profile, memory: Memory, channels: tuple[str, ...] = ()) -> Reading:
    wanted = channels or tuple(register.channel for register in profile.registers)
    with Slave(remembering(memory)) as slave:
        link = Link(TcpAddress("127.0.0.1", slave.ports[0]), 2)
        await link.open()
        try:
            return await read_meter(
                link, ModbusDevice("M", "p", slave.address, 1, 3600, wanted), profile, lambda: NOW, None
            )
        finally:
            link.close()


def test_every_shipped_profile_has_a_register_file() -> None:
    assert set(PROFILES) == {path.stem for path in FOLDER.glob("*.toml")}


@pytest.mark.parametrize("name", PROFILES)
async def test_registers_mean_what_was_worked_by_hand(name: str) -> None:
    expected = recorded(name)
    reading = await read(PROFILES[name], {1: expected.memory})
    assert reading.decoded.values == expected.values
    assert {refusal.channel: refusal.fault for refusal in reading.decoded.refused} == expected.refused
    assert (reading.serial, reading.at) == (expected.serial, NOW)


# SunSpec's word order is part of the standard; the others are the makers' choice, and easily mistaken.
@pytest.mark.parametrize("name", [name for name in PROFILES if name != "sunspec-meter"])
async def test_wrong_word_order_is_caught_by_the_valid_range(name: str) -> None:
    profile = PROFILES[name]
    turned = profile.model_copy(
        update={
            "registers": tuple(
                row.model_copy(update={"word_order": "big" if row.word_order == "little" else "little"})
                for row in profile.registers
            )
        }
    )
    reading = await read(turned, {1: recorded(name).memory}, ("1-0:1.8.0",))
    assert [refusal.fault for refusal in reading.decoded.refused] == ["out of range"]


async def test_meter_without_a_serial_number_register_is_read_all_the_same() -> None:
    memory = {key: word for key, word in recorded("eastron-sdm120").memory.items() if key[0] == 4}
    reading = await read(PROFILES["eastron-sdm120"], {1: memory})
    assert reading.serial is None
    assert reading.decoded.values["1-0:2.8.0"] == 500


async def test_channel_without_a_register_is_refused_and_the_others_are_read() -> None:
    reading = await read(PROFILES["eastron-sdm120"], {1: recorded("eastron-sdm120").memory}, ("1-0:1.8.0", "7-0:3.0.0"))
    assert reading.decoded.values == {"1-0:1.8.0": 12345678}
    assert [refusal.fault for refusal in reading.decoded.refused] == ["no register"]


@pytest.mark.parametrize("base", [0, 50000])
async def test_sunspec_chain_is_found_at_every_base(base: int) -> None:
    recording = recorded("sunspec-meter")
    memory = {(function, address - 40000 + base): word for (function, address), word in recording.memory.items()}
    reading = await read(PROFILES["sunspec-meter"], {1: memory})
    assert (reading.decoded.values, reading.serial) == (recording.values, recording.serial)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({(3, 40000): 0}, "no marker SunS"),
        ({(3, 40190): 160}, "models 1, 101, 160"),
        ({(3, 40191): 80}, "model 203 of 80 registers"),
        ({(3, 40003): 0, (3, 40004): 0, (3, 40005): 0}, "models 1, 0"),
    ],
)
async def test_sunspec_device_without_a_meter_is_refused(changed: dict[tuple[int, int], int], reason: str) -> None:
    with pytest.raises(InvalidMessage, match=reason):
        await read(PROFILES["sunspec-meter"], {1: recorded("sunspec-meter").memory | changed})


def broken(tmp_path: Path, old: str, new: str) -> Path:
    text = (shipped("modbus") / "abb-b23-b24.toml").read_text()
    assert old in text
    path = tmp_path / "broken.toml"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('scale = "0.01"', "scale = 0.01", r"registers\.0\.scale: found 0.01, expected a decimal in quotes"),
        ('scale = "0.01"', 'scale = "-1"', r"registers\.0\.scale"),
        ("address = 0x5004", "address = 70000", r"registers\.1\.address: found 70000"),
        ('channel = "1-0:2.8.0"', 'channel = "2.8.0"', r"channel: found '2\.8\.0', expected an OBIS code"),
        ('channel = "1-0:2.8.0"', 'channel = "1-0:1.8.0"', "registers: found 1-0:1.8.0 twice"),
        ('unit = "kvarh"', 'unit = "VAh"', r"registers\.2\.unit: found 'VAh', expected one of Wh, "),
        ('range = ["0", "999999999.99"]', 'range = ["9", "1"]', "range: found 9 to 1"),
        ('range = ["0", "999999999.99"]', 'range = ["0", "1E300"]', "range: found 0 to"),
        ("function = 3", "function = 1", r"registers\.0\.function"),
        ('maker = "ABB"', "", "maker: found nothing"),
        ('maker = "ABB"', 'maker = "ABB"\nbaud = 9600', "baud"),
        ('type = "uint32"', 'type = "string"', r"serial\.words"),
        ('type = "uint32"', 'type = "uint32"\nmodel = 1', r"serial\.model"),
        ("[defaults]", "[defaults", "TOML"),
    ],
)
def test_wrong_profile_is_refused_with_file_and_key(tmp_path: Path, old: str, new: str, reason: str) -> None:
    with pytest.raises(InvalidConfig, match=reason) as caught:
        read_profile(broken(tmp_path, old, new))
    assert "broken.toml" in str(caught.value)


def test_list_of_supported_devices_is_up_to_date() -> None:
    command = [sys.executable, "-m", "headend.collect.modbus"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    page = Path(__file__).parents[3] / "docs" / "supported-devices.md"
    assert page.read_text() == made, "make it anew: python -m headend.collect.modbus > docs/supported-devices.md"
