"""Rates of the Utility Rate Database in PySAM: NREL's own reading of them and NREL's own rating.

PySAM's year has 365 days from a Monday on, as 2018; its hours know no clock change; its demand is the highest read.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PySAM", reason="NREL's PySAM is not made for this platform")
from PySAM import Utilityrate5
from PySAM.UtilityRateTools import URDBv8_to_ElectricityRates

HOURS = 8760
# What PySAM calls the ways to settle what is fed in.
NET_METERING, NET_BILLING, NET_BILLING_CARRIED_OVER, BUY_ALL_SELL_ALL = 0, 2, 3, 4

Rate = dict[str, Any]
Model = Any


def model_of(rate: Rate, metering: int | None = None) -> Model:
    """A rate in PySAM, without any load yet.

    Parameters
    ----------
    rate
        as the database's API has it.
    metering
        one of the ways above. None: what NREL's import makes of the rate; net billing, where the rate says nothing, as
        PySAM then fills tiers hour by hour.
    """
    model = Utilityrate5.new()
    # It counts up the schedules it is given, row by row.
    electricity = URDBv8_to_ElectricityRates(json.loads(json.dumps(rate)))
    if metering is None and "dgrules" not in rate:
        metering = NET_BILLING
    if metering is not None:
        electricity["ur_metering_option"] = metering
    if electricity["ur_enable_billing_demand"]:
        # NREL's import scales this month's own peak too, and all months if any looks back; PySAM's rating does not.
        looked_at = rate.get("lookbackmonths") or [True] * 12
        percent = 100 * rate["lookbackpercent"]
        electricity["ur_billing_demand_lookback_percentages"] = [[percent if on else 0, 1] for on in looked_at]
        electricity["ur_billing_demand_lookback_period"] = rate.get("lookbackrange") or 11
        electricity["ur_yearzero_usage_peaks"] = [0] * 12
    model.ElectricityRates.assign(
        {
            "ur_annual_min_charge": 0,
            "ur_monthly_min_charge": 0,
            "ur_monthly_fixed_charge": 0,
            "ur_nm_credit_month": 11,
            "ur_nm_credit_rollover": 0,
            "ur_nm_yearend_sell_rate": 0,
            "ur_nb_apply_credit_current_month": 1,
            "ur_nb_credit_expire": 1,
            "ur_sell_eq_buy": 0,
            "ur_en_ts_buy_rate": 0,
            "ur_en_ts_sell_rate": 0,
            "rate_escalation": [0],
            **electricity,
        }
    )
    model.Lifetime.assign({"analysis_period": 1, "system_use_lifetime_output": 0, "inflation_rate": 0})
    model.SystemOutput.assign({"degradation": [0], "gen": [0.0] * HOURS})
    return model


def rated(model: Model, used_wh: np.ndarray, made_wh: np.ndarray | None = None) -> list[dict[str, float]]:
    """Charges of each month.

    Parameters
    ----------
    used_wh, made_wh
        of the house and of its generator in each hour, or part of one (8760 × parts,).
    """
    parts = len(used_wh) // HOURS
    model.Load.load = (used_wh * parts / 1000).tolist()
    model.SystemOutput.gen = [0.0] * len(used_wh) if made_wh is None else (made_wh * parts / 1000).tolist()
    model.execute(0)
    found = model.Outputs
    return [
        {
            "energy": found.charge_w_sys_ec_ym[1][month],
            "demand": found.charge_w_sys_dc_tou_ym[1][month] + found.charge_w_sys_dc_fixed_ym[1][month],
            "fixed": found.charge_w_sys_fixed_ym[1][month],
            "minimum": found.charge_w_sys_minimum_ym[1][month],
            "total": found.utility_bill_w_sys_ym[1][month],
        }
        for month in range(12)
    ]
