"""Defects: what is wrong with a meter, or behind it, from some hour of the history on and for good.

Other faults spoil what is told. These change what is counted, so intervals, registers and the truth all have them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_sim.clock import stamp
from firmware_sim.inventory import MeterSpec
from firmware_sim.noise import one, seed_of
from firmware_sim.plan import FaultPlan

LEAST_LEAK, MOST_LEAK = 4, 20
"""What a leak lets through [litres an hour]."""
BYPASSED = 0.3
"""What a meter still counts of what is used, where somebody went round it."""


@dataclass(frozen=True, slots=True)
class Defect:
    """What one meter counts since an hour: a share of what is used, and a constant flow on top.

    Attributes
    ----------
    kind
        the plan's key.
    begin
        [UTC hours since 1970]
    share
        1 where all of it is counted.
    flow
        [the channel's unit, an hour]
    """

    kind: str
    meter: str
    begin: int
    share: float = 1.0
    flow: int = 0

    def counted(self, used: NDArray[np.int64], first_hour: int) -> NDArray[np.int64]:
        """What is counted of what is used in the hours from `first_hour` on, shape (…, n)."""
        since = np.arange(first_hour, first_hour + used.shape[-1]) >= self.begin
        return np.where(since, np.floor(used * self.share).astype(np.int64) + self.flow, used)

    def facts(self) -> dict[str, Any]:
        """For the record of what was planted."""
        facts: dict[str, Any] = {"meter": self.meter, "from": stamp(self.begin)}
        if self.kind == "leaks":
            return facts | {"litres_per_hour": self.flow}
        return facts | {"counted": self.share}


def defects(plan: FaultPlan, meters: Sequence[MeterSpec], live_from: int) -> list[Defect]:
    """The defects of these meters; the history ends at `live_from` [UTC hours since 1970]."""
    return [defect for spec in meters for defect in _of(plan, spec, live_from)]


def _of(plan: FaultPlan, spec: MeterSpec, live_from: int) -> Iterator[Defect]:
    seed = seed_of(plan.seed, spec.meter)

    def strikes(kind: str, share: float) -> bool:
        return share > 0 and one(seed, kind) < share

    def begin(kind: str, days: tuple[int, int]) -> int:
        least, most = days
        return live_from - 24 * least - int(24 * (most - least) * one(seed, f"{kind} since"))

    if spec.commodity == "water" and strikes("leaks", plan.leaks):
        flow = LEAST_LEAK + int((MOST_LEAK - LEAST_LEAK + 1) * one(seed, "leaks much"))
        yield Defect("leaks", spec.meter, begin("leaks", plan.leak_days), flow=flow)
    if spec.commodity == "electricity" and strikes("stuck", plan.stuck):
        yield Defect("stuck", spec.meter, begin("stuck", plan.stuck_days), share=0.0)
    if spec.commodity == "electricity" and strikes("bypasses", plan.bypasses):
        yield Defect("bypasses", spec.meter, begin("bypasses", plan.bypass_days), share=BYPASSED)
