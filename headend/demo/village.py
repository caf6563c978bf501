"""The demo's registry: the manufacturer's shipment file turned into usage points, accounts and agreements."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from headend.config import Zone, checked, read_toml
from headend.registry.site_file import SiteFile

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Commercial(_Table):
    """Which kinds of load are businesses, and what they are called."""

    kinds: Names
    names: Names


class People(_Table):
    """Names for everybody else."""

    first: Names
    last: Names
    streets: Names
    locales: Names


class DemoPlan(_Table):
    """The shipped `demo/demo.toml`."""

    timezone: Zone
    meters: Annotated[int, Field(gt=0)]
    meters_per_gateway: Annotated[int, Field(gt=0)]
    seed: int
    live_speed: Annotated[float, Field(gt=0)]
    modbus_profiles: tuple[str, ...]
    tariffs: dict[str, Names]
    commercial: Commercial
    people: People


def read_over_modbus(plan: DemoPlan, shipment: dict[str, Any]) -> dict[str, str]:
    """Which meters no gateway reads: their names, and the Modbus profile of each."""
    plain = [
        meter["meter"]
        for meter in shipment["meters"]
        if (meter["commodity"], meter["kind"]) == ("electricity", "household")
    ]
    return dict(zip(plain[::-1], plan.modbus_profiles, strict=False))


def load_plan(path: Path) -> DemoPlan:
    """The demo's plan; raises `InvalidConfig`."""
    return checked(str(path), lambda: DemoPlan.model_validate(read_toml(path)))


def village(
    plan: DemoPlan,
    shipment: dict[str, Any],
    modbus: Mapping[str, dict[str, Any] | None],
    installed: datetime,
    agreed_from: date,
) -> SiteFile:
    """The registry of the demo's utility.

    Parameters
    ----------
    shipment
        the manufacturer's file: gateways and meters with premises and channels.
    modbus
        meters that no gateway reads: the site file's `modbus` row of each, None before there is one.
    installed
        when all meters began to measure.
    agreed_from
        first day of every agreement.
    """
    homes: dict[str, list[dict[str, Any]]] = {}
    for meter in shipment["meters"]:
        homes.setdefault(meter["premise"], []).append(meter)
    turns: dict[str, int] = {}

    def next_tariff(kind: str) -> str:
        turn = turns[kind] = turns.get(kind, -1) + 1
        return plan.tariffs[kind][turn % len(plan.tariffs[kind])]

    accounts = []
    for place, (premise, meters) in enumerate(homes.items()):
        kind = next(meter["kind"] for meter in meters if meter["commodity"] == "electricity")
        commercial = kind in plan.commercial.kinds
        agreements = [
            {
                "usage_point": premise,
                "commodity": commodity,
                "tariff": next_tariff(kind if commodity == "electricity" else commodity),
                "valid_from": agreed_from,
            }
            for commodity in sorted({meter["commodity"] for meter in meters})
        ]
        accounts.append(
            {
                "id": f"A-{premise.removeprefix('P-')}",
                "name": _business(plan, turns) if commercial else _person(plan, place),
                "customer_class": "commercial" if commercial else "residential",
                "locale": plan.people.locales[place % len(plan.people.locales)],
                "agreements": agreements,
            }
        )
    return SiteFile.model_validate(
        {
            "gateways": shipment["gateways"],
            "usage_points": [
                {"id": premise, "address": _address(plan, place), "timezone": plan.timezone}
                for place, premise in enumerate(homes)
            ],
            "meters": [
                _meter(meter, installed)
                | ({"gateway": None, "modbus": modbus[meter["meter"]]} if meter["meter"] in modbus else {})
                for meter in shipment["meters"]
            ],
            "accounts": accounts,
        }
    )


def _meter(meter: dict[str, Any], installed: datetime) -> dict[str, Any]:
    wanted = ("channel", "interval_s", "max_per_interval", "register_digits")
    return {
        "meter": meter["meter"],
        "commodity": meter["commodity"],
        "usage_point": meter["premise"],
        "gateway": meter["gateway"],
        "installed": installed,
        "channels": [{key: channel[key] for key in wanted} for channel in meter["channels"]],
    }


def _business(plan: DemoPlan, turns: dict[str, int]) -> str:
    turn = turns["business"] = turns.get("business", -1) + 1
    names = plan.commercial.names
    again = turn // len(names)
    return names[turn % len(names)] + (f" {again + 1}" if again else "")


def _person(plan: DemoPlan, place: int) -> str:
    first, last = plan.people.first, plan.people.last
    # Steps without a common divisor meet every pair before one comes again.
    return f"{first[place * 7 % len(first)]} {last[(place * 3 + place // len(first)) % len(last)]}"


def _address(plan: DemoPlan, place: int) -> str:
    streets = plan.people.streets
    return f"{streets[place % len(streets)]} {place // len(streets) + 1}, 12345 Musterstadt"
