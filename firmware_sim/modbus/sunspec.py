"""A SunSpec meter's chain of models: 'SunS', who it is (model 1), what it measures (201–204), the end.

References
----------
SunSpec Alliance, Device Information Model Specification; models 1 and 201–204 (github.com/sunspec/models).
"""

from __future__ import annotations

import struct

from firmware_sim.modbus.image import Image

BASE = 40_000
COMMON_LENGTH = 66
METER_LENGTH = 105
HEADS = {"common": BASE + 2, "meter": BASE + 2 + 2 + COMMON_LENGTH}
"""Where the models begin, with their number and length."""

NO_NUMBER = b"\x80\x00"
"""An int16 or a scale factor that the meter does not have; an accumulator that it does not have stays 0."""

INSTANTANEOUS = 36
"""Registers before the accumulators: currents, voltages, powers and their scale factors."""

SCALE_FACTORS = (54, 71, 104)
"""TotWh_SF, TotVAh_SF and TotVArh_SF: offsets in the meter's model."""


def chain(model: int, maker: str) -> Image:
    """The chain of a meter that tells nothing but its energies.

    Parameters
    ----------
    model
        201 (one phase), 202 (split phase), 203 (wye) or 204 (delta).
    """
    common = bytearray(struct.pack(">HH", 1, COMMON_LENGTH) + bytes(2 * COMMON_LENGTH))
    _text(common, 2, maker)
    _text(common, 18, f"meter {model}")
    _text(common, 42, "1")
    common[-2:] = NO_NUMBER  # its padding
    meter = bytearray(struct.pack(">HH", model, METER_LENGTH) + NO_NUMBER * INSTANTANEOUS)
    meter += bytes(2 * (2 + METER_LENGTH) - len(meter))
    for offset in SCALE_FACTORS:
        meter[2 * offset : 2 * offset + 2] = NO_NUMBER
    return Image({3: [(BASE, bytearray(b"SunS") + common + meter + b"\xff\xff\x00\x00")]})


def _text(model: bytearray, offset: int, text: str) -> None:
    words = text.encode()
    model[2 * offset : 2 * offset + len(words)] = words
