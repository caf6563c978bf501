"""CSV in the long form, one interval a line: what `reads import` takes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime

from headend.exports.stretch import Stretch
from headend.reads.days import moment
from headend.reads.quality import Flag, Quality


def csv_of(stretches: Sequence[Stretch], _now: datetime) -> str:
    """Intervals as lines, in base units; a missing one has a line only if the device said that it has no value."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["meter", "channel", "start", "interval_s", "value", "quality", "flags"])
    for one in stretches:
        whose = one.channel.meter_name, one.channel.channel.obis
        rows = zip(one.starts_s.tolist(), one.values.tolist(), one.conditions(), strict=True)
        for start_s, value, (quality, flags, _) in rows:
            gone = quality == Quality.MISSING
            if gone and Flag.LOST not in flags:
                continue
            at = f"{moment(start_s):%Y-%m-%dT%H:%M:%SZ}"
            lines.writerow([*whose, at, one.interval_s, "" if gone else value, quality.name.lower(), int(flags)])
    return text.getvalue()
