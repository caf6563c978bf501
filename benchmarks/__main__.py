"""All benchmarks, one after the other."""

from __future__ import annotations

import argparse

from benchmarks import (
    accruals,
    anomalies,
    backlog,
    billrun,
    collector,
    demo,
    estimation,
    fleet,
    modbus,
    rating,
    statements,
    stores,
    validation,
    whole_path,
)

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("--quick", action="store_true", help="a minute instead of several; rougher figures")
quick = parser.parse_args().quick
for benchmark in (
    rating,
    statements,
    billrun,
    accruals,
    validation,
    estimation,
    anomalies,
    collector,
    modbus,
    fleet,
    stores,
    whole_path,
    backlog,
    demo,
):
    benchmark.main(quick)
