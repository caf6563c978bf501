"""A foreign master (mbpoll, on libmodbus) reads every shipped profile; the registers are worked by hand.

The meter is the London home. It used 953 Wh in the first hour of 2026, so one that read 123,455,836 Wh before reads
123,456,789 Wh after it: 0x075BCD15.
"""

from __future__ import annotations

import pytest

from tests.firmware_sim.modbus import line, mbpoll, simulator

START = ("--register", "123455836")
SERIAL = ["0000", "4E21"]  # E-20001: 20,001
SERIAL_TEXT = ["3230", "3030", "3100", "0000", "0000", "0000", "0000"]  # "20001"

REGISTERS = {
    "abb-b23-b24": [
        (3, 0x5000, ["0000", "0000", "00BC", "614E"]),  # 12,345,678 of 0.01 kWh, the last digit cut off
        (3, 0x5004, ["FFFF", "FFFF", "FFFF", "FFFF"]),  # it counts no export
        (3, 0x8900, SERIAL),
    ],
    "carlo-gavazzi-em24": [
        (4, 0x0034, ["D687", "0012"]),  # 1,234,567 of 0.1 kWh, low word first
        (4, 0x004E, ["FFFF", "7FFF"]),
        (4, 0x5000, SERIAL_TEXT),
    ],
    "eastron-sdm120": [
        (4, 0x0048, ["47F1", "2065", "0000", "0000"]),  # 123456.789 as float32; no export is 0.0
        (3, 0xFC00, SERIAL),
    ],
    "eastron-sdm630": [
        (4, 0x0048, ["47F1", "2065", "0000", "0000"]),
        (3, 0xFC00, SERIAL),
    ],
    "schneider-iem3155": [
        (3, 3203, ["0000", "0000", "075B", "CD15"]),
        (3, 3207, ["8000", "0000", "0000", "0000"]),
        (3, 129, SERIAL),
    ],
    "sunspec-meter": [
        (3, 40_000, ["5375", "6E53"]),  # "SunS"
        (3, 40_002, ["0001", "0042"]),  # model 1 of 66 registers
        (3, 40_052, [*SERIAL_TEXT, *["0000"] * 9]),
        (3, 40_070, ["00C9", "0069"]),  # model 201 of 105 registers
        (3, 40_108, ["0000", "0000"]),  # no export
        (3, 40_116, ["075B", "CD15"]),
        (3, 40_124, ["0000"]),  # TotWh_SF: 10⁰
        (3, 40_174, ["8000"]),  # TotVArh_SF: it counts no reactive energy
        (3, 40_177, ["FFFF", "0000"]),  # the end of the chain
    ],
}


@pytest.mark.parametrize("profile", REGISTERS)
def test_a_foreign_master_reads_a_profile_over_tcp(profile):
    with simulator(profile, *START) as [meter]:
        for function, address, words in REGISTERS[profile]:
            assert mbpoll(meter, function, address, len(words)) == words


def test_a_foreign_master_reads_two_meters_on_one_serial_line():
    serial = [["0000", "4E21"], ["0000", "4E22"]]
    meters = ("--meter", "E-20001", "--meter", "E-20002", "--meters", "3", "--unit", "7")
    with line() as (here, there), simulator("schneider-iem3155", *START, *meters, where=("--serial", there)) as found:
        assert [meter["unit"] for meter in found] == [7, 8]
        assert found[0]["address"] == f"rtu://{there}?baud=9600&parity=N"
        assert mbpoll(here, 3, 3203, 4, unit=7) == ["0000", "0000", "075B", "CD15"]
        assert [mbpoll(here, 3, 129, 2, unit=unit) for unit in (7, 8)] == serial
