"""Thresholds of the anomalies; the shipped `vee.toml` says what each means."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Days = Annotated[int, Field(ge=1, le=60)]
_Percent = Annotated[float, Field(gt=0, le=100)]


class AnomalyLimits(BaseModel):
    """When something beyond the rules is worth a look."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    review_score: Annotated[float, Field(ge=0, le=1)]
    unread_intervals: Annotated[int, Field(ge=0, le=96)]
    common_percent: _Percent
    leak_days: _Days
    leak_heating_days: _Days
    leak_dry_percent: _Percent
    stuck_days: _Days
    stuck_zero_days: _Days
    stuck_zero_flow_days: _Days
    reverse_days: _Days
    reverse_floor: Annotated[int, Field(ge=0)]
    tamper_days: _Days
    tamper_drop_percent: Annotated[float, Field(gt=0, lt=100)]
    inactive_days: _Days
    inactive_wh: Annotated[int, Field(ge=0)]
    inactive_litres: Annotated[int, Field(ge=0)]
    peers_group: Annotated[int, Field(ge=3)]
    peers_weeks: Annotated[int, Field(ge=1, le=7)]
    peers_drop_percent: Annotated[float, Field(gt=0, lt=100)]
    peers_rise_percent: Annotated[float, Field(gt=0, le=1000)]
    peers_deviations: Annotated[float, Field(ge=1, le=100)]
