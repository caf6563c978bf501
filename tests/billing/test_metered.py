"""Meters that are looked at all at once say what each says alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headend.billing.columns import each_of
from headend.billing.metered import PlainMeterReads, meter_reads
from headend.reads import NO_REGISTER, LoadProfiles, Quality
from headend.reads.channels import IMPORT, Channel
from headend.reads.constants import Constant
from headend.reads.quality import Flag

HOUR, N = 3600, 12


@dataclass(frozen=True)
class Hung:
    meter: int
    installed_s: int = 0
    removed_s: int | None = None
    constants: tuple[Constant, ...] = ()
    usage_point: str = "UP"
    channel: Channel = IMPORT
    interval_s: int = HOUR
    register_digits: int = 4

    @property
    def meter_name(self) -> str:
        return f"M-{self.meter}"


@st.composite
def months(draw: st.DrawFn) -> tuple[LoadProfiles, list[tuple[int, Hung]], slice]:
    k = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    qualities = [Quality.VALIDATED, Quality.ESTIMATED_LINEAR, Quality.MISSING]
    sent = rng.random((k, N)) < draw(st.sampled_from([0, 0.2, 0.9]))
    profiles = LoadProfiles(
        HOUR,
        0,
        np.arange(k),
        np.full(k, IMPORT.code),
        rng.integers(0, 900, (k, N)),
        rng.choice(np.array(qualities, dtype=np.uint8), (k, N), p=[0.8, 0.15, 0.05]),
        np.where(rng.random((k, N)) < draw(st.sampled_from([0, 0.05])), np.uint8(Flag.NEW_REGISTER), np.uint8(0)),
        np.where(sent, rng.integers(0, 10_000, (k, N)), NO_REGISTER),
    )
    hung = [
        Hung(
            row,
            draw(st.sampled_from([0, 3 * HOUR])),
            draw(st.sampled_from([None, 9 * HOUR])),
            draw(st.sampled_from([(), (Constant(0, 40, 1, "CT 200/5"),)])),
        )
        for row in range(k)
    ]
    return profiles, list(enumerate(hung)), slice(draw(st.integers(0, 2)), N)


@settings(max_examples=200)
@given(months())
def test_all_at_once_as_each_alone(month: tuple[LoadProfiles, list[tuple[int, Hung]], slice]) -> None:
    profiles, meters, columns = month
    plain = PlainMeterReads.of(profiles, meters, columns)
    for row, meter in meters:
        if plain.is_plain[row]:
            assert each_of(plain.form([row]), 1) == meter_reads(profiles, row, meter, columns)
        else:
            begin_s = columns.start * HOUR
            moved = meter.installed_s > begin_s or meter.removed_s is not None
            assert moved or meter.constants or profiles.flags[row, columns].any()
