"""The truth file: every interval that was measured, also those sent as missing or bad, with its true value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

import numpy as np

from firmware_sim.clock import stamps
from firmware_sim.meter import Measured

HEADER = "meter,channel,start,interval_s,value\n"


class TruthFile:
    """Writes measured channels to an open text file, or nowhere."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file
        if file:
            file.write(HEADER)

    def write(self, measured: Iterable[Measured]) -> None:
        """Append every interval of these channels."""
        if self._file is None:
            return
        span, starts = (0, 0), [""]
        for channel in measured:
            asked = (channel.first_hour, len(channel.values))
            if asked != span:  # the channels of a fleet share their hours
                span, starts = asked, stamps(channel.first_hour + np.arange(asked[1]))
            head = f"{channel.meter.meter},{channel.channel.channel},"
            middle = f",{channel.channel.interval_s},"
            values = zip(starts, channel.values.tolist(), strict=True)
            self._file.write("".join([f"{head}{start}{middle}{value}\n" for start, value in values]))
