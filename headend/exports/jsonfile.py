"""JSON: every channel's intervals as arrays without a hole, and what their codes mean in three standards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from headend.exports.stretch import Stretch
from headend.reads.channels import Channel
from headend.reads.crosswalk import Condition, to_cim, to_espi, to_nem12
from headend.reads.days import moment


def json_of(stretches: Sequence[Stretch], now: datetime) -> str:
    """One document of a meter: its channels, and every pair of quality and flags in it with its codes."""
    told = {condition for one in stretches for condition in one.conditions()}
    document = {
        "meter": stretches[0].channel.meter_name,
        "exported": _utc(now),
        "channels": [_channel(one) for one in stretches],
        "conditions": [_codes(condition) for condition in sorted(told)],
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _channel(one: Stretch) -> dict[str, Any]:
    values = zip(one.values.tolist(), one.present.tolist(), strict=True)
    return {
        "channel": one.channel.channel.obis,
        "unit": _base_unit(one.channel.channel),
        "interval_s": one.interval_s,
        "start": _utc(moment(one.start_s)),
        "end": _utc(moment(one.end_s)),
        "values": [value if present else None for value, present in values],
        "quality": one.quality.tolist(),
        "flags": one.flags.tolist(),
    }


def _codes(condition: Condition) -> dict[str, Any]:
    nem12 = to_nem12(condition)
    return {
        "quality": condition.quality.value,
        "flags": condition.flags.value,
        "label": condition.quality.label,
        "espi": to_espi(condition),
        "cim": to_cim(condition),
        "nem12": {"method": nem12.method, "reason": nem12.reason, "description": nem12.description},
    }


def _base_unit(channel: Channel) -> str:
    return {"kWh": "Wh", "kvarh": "var·h", "m³": "litre" if channel.commodity == "water" else "dm³"}[channel.unit]


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
