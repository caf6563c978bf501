"""Devices that speak JSON of their own: their recorded messages, published hour by hour, become intervals."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.e2e.sites import EXPORT, HOUR, IMPORT, Site, hours_ago, meter, quarantine
from tests.servers import Mosquitto, needs

RECORDED = Path(__file__).parents[1] / "data/messages"
TASMOTA, PRO3EM, ONE_PM = "athomspv3a", "shellypro3em-a0dd6c9f4d5c", "shelly1pmminig3-5432044edbc0"
BERLIN_WINTER = timezone(HOUR)


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


def publish(port: int, topic: str, message: Any) -> None:
    """By another program."""
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", topic, "-m", json.dumps(message)]
    subprocess.run(command, check=True, timeout=20)


def hour_of_messages(port: int, at: datetime, hour: int) -> None:
    """What all devices say in an hour: as recorded, with this time and the counters `hour` steps on."""
    tasmota = recorded("tasmota")
    tasmota["Time"] = at.astimezone(BERLIN_WINTER).isoformat(timespec="seconds")
    tasmota["ENERGY"]["Total"] = round(1066.001 + 0.123 * hour, 3)  # kWh
    publish(port, f"tele/{TASMOTA}/SENSOR", tasmota)
    pro = recorded("shelly-pro3em")
    pro["params"]["ts"] = at.timestamp() + 0.94
    pro["params"]["emdata:0"] |= {"total_act": round(20269.29 + 0.25 * hour, 2), "total_act_ret": 12.5 + hour}  # Wh
    publish(port, f"{PRO3EM}/events/rpc", pro)
    one = recorded("shelly-1pm")
    one["params"]["ts"] = at.timestamp() + 0.02
    one["params"]["switch:0"]["aenergy"]["total"] = round(152669.987 + 7.004 * hour, 3)  # Wh
    publish(port, f"{ONE_PM}/events/rpc", one)
    told = recorded("thingsboard")
    ((first, second), (water,)) = told["E-10023"], told["W-7"]
    first["ts"], second["ts"], water["ts"] = (round((at.timestamp() + late) * 1000) for late in (-1, 1, 2))
    first["values"][IMPORT] += 1000 * hour
    second["values"][IMPORT] += 1000 * hour + 5  # as near to the hour; of two as near as each other the earlier counts
    water["values"]["8-0:1.0.0"] += 17 * hour
    publish(port, "v1/gateway/telemetry", told)


def test_recorded_messages_of_foreign_devices_become_hours(tmp_path: Path, mosquitto: Mosquitto):
    needs("mosquitto_pub", shutil.which("mosquitto_pub"))
    settings: dict[str, dict[str, object]] = {
        "mqtt": {"embedded": False, "port": mosquitto.port},
        "collect": {"mappings": ["tasmota", "shelly-gen2", "thingsboard"]},
    }
    meters = [
        meter(TASMOTA),
        meter(PRO3EM, IMPORT, EXPORT),
        meter(f"{ONE_PM}:switch:0"),
        meter("E-10023", IMPORT, EXPORT),
        meter("W-7", "8-0:1.0.0", commodity="water"),
    ]
    start = hours_ago(4)
    with Site(tmp_path / "site", settings, *meters) as site:
        for hour in range(5):
            hour_of_messages(mosquitto.port, start + hour * HOUR, hour)
        site.hold(TASMOTA, start, [123] * 4)
        # 20269.29, .54, .79, 20270.04, .29 Wh, each rounded: 20269, 20270, 20270, 20270, 20270
        site.hold(PRO3EM, start, [1, 0, 0, 0])
        # 12.5, 13.5, 14.5, 15.5, 16.5 Wh, halves to the even side: 12, 14, 14, 16, 16
        site.hold(PRO3EM, start, [2, 0, 2, 0], EXPORT)
        # 152669.987, 676.991, 683.995, 690.999, 698.003 Wh
        site.hold(f"{ONE_PM}:switch:0", start, [7] * 4)
        site.hold("E-10023", start, [1000] * 4)
        site.hold("E-10023", start, [0] * 4, EXPORT)
        # 900.5, 917.5, 934.5, 951.5, 968.5 litre, halves to the even side: 900, 918, 934, 952, 968
        site.hold("W-7", start, [18, 16, 18, 16], "8-0:1.0.0")
        assert quarantine(site.database) == []
