"""How good an interval is, in the words of three standards: ESPI, IEC 61968-9 and NEM12.

A `Condition` is all we know of one interval beside its value. `to_…` says it in a standard's codes, `from_…` reads
them: what we wrote ourselves comes back as it was, as far as the standard has room for it, and codes of others become
the nearest of ours. A code that means nothing in its standard is refused by name.

=========  ===================================  ========================================================
standard   carries                              does not carry
=========  ===================================  ========================================================
ESPI       the quality                          flags and reason: QualityOfReading has no such codes
CIM        quality, flags                       a reason IEC 61968-9 has no code for (`to_cim` names them)
NEM12      quality, flags and reason            —
=========  ===================================  ========================================================

Sources: NAESB ESPI QualityOfReading; IEC 61968-9 ReadingQualityType `system.category.index`; AEMO MDFF Specification
NEM12 & NEM13 v2.6, appendices C to F.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from headend.errors import InvalidInput
from headend.reads.quality import Flag, Quality


class Reason(IntEnum):
    """Why a value was replaced, or is doubted; the numbers are NEM12's reason codes."""

    OTHER = 0
    METER_CHANGED = 1
    DE_ENERGISED = 6
    VACANT = 8
    UNDER_INVESTIGATION = 9
    BELOW_PREVIOUS = 18
    DATA_CORRECTION = 24
    NEGATIVE = 26
    TRANSFORMER_FAULT = 28
    REVERSE_ENERGY = 39
    POWER_OUTAGE = 43
    METER_TEST = 44
    FAILED_VALIDATION = 45
    TAMPERED = 61
    ZERO = 68
    RECALCULATED = 72
    LOW = 73
    HIGH = 74
    CUSTOMER_READ = 75
    COMMUNICATIONS = 76
    SHORT_INTERVAL = 80
    LONG_INTERVAL = 81
    RESET = 87
    TIME_RESET = 89
    WRONG_MULTIPLIER = 100
    CUSTOMER_BYPASS = 102
    NETWORK_BYPASS = 103


class Condition(NamedTuple):
    """What we know of one interval beside its value.

    Parameters
    ----------
    quality
        how good it is.
    flags
        what the device says of it, and what we saw of the device.
    reason
        why it was replaced or is doubted; None: nobody said.
    """

    quality: Quality
    flags: Flag = Flag.GOOD
    reason: Reason | None = None


class Nem12(NamedTuple):
    """What a 300 or 400 record says of intervals.

    Parameters
    ----------
    method
        QualityMethod: A, N, or S, F, E with the two digits of a method.
    reason
        ReasonCode; None: empty.
    description
        ReasonDescription.
    """

    method: str
    reason: int | None = None
    description: str = ""


_ESPI: dict[Quality, tuple[int, ...]] = {
    Quality.MISSING: (),
    Quality.RAW: (14,),
    Quality.VALIDATED: (17,),
    Quality.VERIFIED: (18,),
    Quality.QUESTIONABLE: (10,),
    Quality.EDITED: (7,),
    Quality.ESTIMATED_LINEAR: (9,),
    Quality.ESTIMATED_LIKE_DAY: (8,),
    Quality.ESTIMATED_FROM_REGISTER: (11,),
    Quality.ESTIMATED_AVERAGE: (12,),
    Quality.ESTIMATED_CLASS_PROFILE: (12, 8),  # projected, from a day that stands for its class
    Quality.ESTIMATED_BY_HAND: (7, 11),  # edited, and derived by a method
}
_OF_ESPI = {frozenset(codes): quality for quality, codes in _ESPI.items() if codes}
#: From the worst on: where a reading has several, the first of these counts.
_ESPI_WORST_FIRST = {
    10: Quality.QUESTIONABLE,
    13: Quality.QUESTIONABLE,  # mixed
    15: Quality.QUESTIONABLE,  # normalised for weather: no longer what flowed
    16: Quality.QUESTIONABLE,  # other
    12: Quality.ESTIMATED_AVERAGE,
    8: Quality.ESTIMATED_LIKE_DAY,
    9: Quality.ESTIMATED_LINEAR,
    11: Quality.ESTIMATED_FROM_REGISTER,
    7: Quality.EDITED,
    14: Quality.RAW,
    0: Quality.VALIDATED,
    17: Quality.VALIDATED,
    19: Quality.VALIDATED,  # revenue quality
    18: Quality.VERIFIED,
}


def to_espi(condition: Condition) -> tuple[int, ...]:
    """QualityOfReading codes of a reading, the most telling first; none where there is no reading to tell of."""
    return _ESPI[condition.quality]


def from_espi(codes: Collection[int]) -> Condition:
    """What QualityOfReading codes say; none says nothing, and is raw. Raises `InvalidInput` for 1 to 6 and above 19."""
    told = frozenset(codes)
    if strange := told - _ESPI_WORST_FIRST.keys():
        raise InvalidInput("quality", f"quality {min(strange)}", "0, or 7 to 19")
    worst = (quality for code, quality in _ESPI_WORST_FIRST.items() if code in told)
    return Condition(_OF_ESPI.get(told) or next(worst, Quality.RAW))


#: System 1 is the device, 2 the head-end, 3 the meter data management; an estimate's index is the number of our code.
_CIM = {
    Quality.MISSING: "3.5.259",
    Quality.RAW: "2.0.0",
    Quality.VALIDATED: "3.0.1",
    Quality.VERIFIED: "3.10.1",
    Quality.QUESTIONABLE: "3.6.0",
    Quality.EDITED: "3.7.0",
    **{quality: f"3.8.{quality.value}" for quality in Quality if quality.name.startswith("ESTIMATED")},
}
_CIM_FLAGS = {
    Flag.POWER_OUTAGE: "1.2.32",
    Flag.CLOCK_SET: "1.4.9",
    Flag.PARTIAL: "1.4.2",
    Flag.TEST: "1.4.5",
    Flag.TAMPER: "1.3.1",
    Flag.NEW_REGISTER: "2.4.8",
    Flag.LOST: "1.5.259",
    Flag.CLOCK_OFF: "2.1.9",
}
_CIM_REASONS = {
    Reason.DE_ENERGISED: "3.6.2",
    Reason.UNDER_INVESTIGATION: "3.5.258",
    Reason.NEGATIVE: "3.5.256",
    Reason.REVERSE_ENERGY: "3.3.4",
    Reason.POWER_OUTAGE: "3.2.32",
    Reason.METER_TEST: "3.4.5",
    Reason.TAMPERED: "3.3.1",
    Reason.ZERO: "3.6.1",
    Reason.LOW: "3.6.4",
    Reason.HIGH: "3.6.3",
    Reason.SHORT_INTERVAL: "3.4.2",
    Reason.LONG_INTERVAL: "3.4.3",
    Reason.RESET: "3.4.8",
    Reason.TIME_RESET: "3.4.9",
}
_OF_CIM = {code: quality for quality, code in _CIM.items()}
_FLAG_OF_CIM = {code: flag for flag, code in _CIM_FLAGS.items()}
_REASON_OF_CIM = {code: reason for reason, code in _CIM_REASONS.items()}

#: What was done to a value outranks what was found before: failed validation and estimated is estimated.
_CIM_LATEST_FIRST = (
    Quality.EDITED,
    *sorted((quality for quality in Quality if quality.name.startswith("ESTIMATED")), reverse=True),
    Quality.VERIFIED,
    Quality.QUESTIONABLE,
    Quality.VALIDATED,
    Quality.RAW,
    Quality.MISSING,
)
_CIM_CODE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{1,5})", re.ASCII)

#: Codes of others by category and index, whatever the system that says them.
_FLAGS_OF_INDEX = {
    (1, 9): Flag.CLOCK_OFF,
    (2, 32): Flag.POWER_OUTAGE,
    (4, 2): Flag.PARTIAL,
    (4, 3): Flag.PARTIAL,
    (4, 4): Flag.PARTIAL,
    (4, 5): Flag.TEST,
    (4, 8): Flag.NEW_REGISTER,
    (4, 9): Flag.CLOCK_SET,
    (4, 64): Flag.CLOCK_SET,
    (4, 128): Flag.CLOCK_SET,
}


def to_cim(condition: Condition) -> tuple[str, ...]:
    """ReadingQualityType codes `system.category.index` of a reading: its quality, then its flags, then the reason.

    Left out, for IEC 61968-9 has no code for them: the reasons OTHER, METER_CHANGED, VACANT, BELOW_PREVIOUS,
    DATA_CORRECTION, TRANSFORMER_FAULT, FAILED_VALIDATION, RECALCULATED, CUSTOMER_READ, COMMUNICATIONS,
    WRONG_MULTIPLIER, CUSTOMER_BYPASS and NETWORK_BYPASS.
    """
    codes = [_CIM[condition.quality], *(_CIM_FLAGS[flag] for flag in condition.flags)]
    if condition.reason in _CIM_REASONS:
        codes.append(_CIM_REASONS[condition.reason])
    return tuple(codes)


def from_cim(codes: Iterable[str]) -> Condition:
    """What ReadingQualityType codes say; none says nothing, and is raw.

    Where a reading has several, what was done last counts: one that failed and was estimated is estimated, one that
    failed and was accepted is verified.

    Raises
    ------
    InvalidInput
        a code that is no `system.category.index`, or of a category there is not.
    """
    said: set[Quality] = set()
    implied: set[Quality] = set()
    flags, reason = Flag.GOOD, None
    for code in codes:
        if code in _OF_CIM:
            said.add(_OF_CIM[code])
        elif code in _FLAG_OF_CIM:
            flags |= _FLAG_OF_CIM[code]
            implied.add(_quality_of_cim(code)[0])
        else:
            quality, flag = _quality_of_cim(code)
            if code in _REASON_OF_CIM:
                reason = _REASON_OF_CIM[code]
                implied.add(quality)
            else:
                flags |= flag
                (implied if flag else said).add(quality)
    present = said or implied or {Quality.RAW}
    return Condition(next(quality for quality in _CIM_LATEST_FIRST if quality in present), flags, reason)


def _quality_of_cim(code: str) -> tuple[Quality, Flag]:
    """The nearest quality and flag of a code, by its category."""
    parts = _CIM_CODE.fullmatch(code)
    system, category, index = (int(part) for part in parts.groups()) if parts else (0, -1, 0)
    flag = Flag.TAMPER if category == 3 else _FLAGS_OF_INDEX.get((category, index), Flag.GOOD)
    match category:
        case 0:
            quality = Quality.RAW if system in (1, 2) and index == 0 else Quality.VALIDATED
        case 1 | 2 | 3 | 4:
            # Diagnostics and an overflow cast doubt on the number; the quality of power, tampering and clocks do not.
            doubtful = not flag and (category == 1 or (category, index) == (4, 1))
            quality = Quality.QUESTIONABLE if doubtful else Quality.RAW
        case 5 | 6:
            quality = Quality.MISSING if (category, index) == (5, 259) else Quality.QUESTIONABLE
        case 7:
            quality = Quality.QUESTIONABLE if index == 3 else Quality.EDITED  # 3: rejected
        case 8:
            quality = Quality.ESTIMATED_AVERAGE
        case 10:
            quality = Quality.VERIFIED if index == 1 else Quality.QUESTIONABLE  # 1: accepted
        case 11:
            quality = Quality.ESTIMATED_FROM_REGISTER
        case 12:
            quality = Quality.ESTIMATED_AVERAGE
        case _:
            raise InvalidInput("quality", f"quality {code[:40]!r}", "system.category.index of IEC 61968-9, as 3.8.0")
    return quality, flag


#: F18: final, from another source than the meter. 55 and 57 are methods of manually read meters, for want of others.
_NEM12 = {
    Quality.MISSING: "N",
    Quality.RAW: "A",
    Quality.VALIDATED: "A",
    Quality.VERIFIED: "A",
    Quality.QUESTIONABLE: "A",
    Quality.EDITED: "F18",
    Quality.ESTIMATED_LINEAR: "S17",
    Quality.ESTIMATED_LIKE_DAY: "S15",
    Quality.ESTIMATED_FROM_REGISTER: "S24",
    Quality.ESTIMATED_AVERAGE: "S25",
    Quality.ESTIMATED_CLASS_PROFILE: "S57",
    Quality.ESTIMATED_BY_HAND: "S55",
}
#: By the method of a substitute or an estimate; what is not here was decided or agreed.
_METHODS = {
    **dict.fromkeys((17, 54, 69), Quality.ESTIMATED_LINEAR),
    **dict.fromkeys((14, 15, 20, 22, 23, 51, 61), Quality.ESTIMATED_LIKE_DAY),
    24: Quality.ESTIMATED_FROM_REGISTER,
    **dict.fromkeys((25, 52, 62, 63, 65), Quality.ESTIMATED_AVERAGE),
    57: Quality.ESTIMATED_CLASS_PROFILE,
    55: Quality.ESTIMATED_BY_HAND,
}
_METHOD = re.compile(r"[AN]|[SFE](\d\d)?", re.ASCII)
#: A reason code of the meter's own value is an alarm. The first that is set is told by its code.
_CODE_OF_FLAG = {
    Flag.TAMPER: 61,
    Flag.TEST: 44,
    Flag.NEW_REGISTER: 1,
    Flag.POWER_OUTAGE: 79,
    Flag.CLOCK_SET: 89,
    Flag.PARTIAL: 80,
    Flag.CLOCK_OFF: 86,
    Flag.LOST: 78,
}
_FLAG_OF_CODE = {code: flag for flag, code in _CODE_OF_FLAG.items()} | {
    70: Flag.TAMPER,  # probe reports tampering
    81: Flag.PARTIAL,  # long interval
    87: Flag.NEW_REGISTER,  # reset
    90: Flag.TEST,  # test mode
}
_REASONS = {reason.value: reason for reason in Reason}
_MARK = "headend:"
_QUALITY_OF_WORD = {quality.name.lower(): quality for quality in Quality}
_FLAG_OF_WORD = {str(flag.name).lower(): flag for flag in Flag if flag}


def to_nem12(condition: Condition) -> Nem12:
    """Quality flag, method, reason code and reason description of intervals.

    Where the codes alone would be read as something else (NEM12 has one A for raw, validated and verified, and one
    reason code an interval), the description says all of it: `headend: verified; power_outage; clock_set`.
    """
    quality, flags, reason = condition
    method = _NEM12[quality]
    code = reason.value if reason is not None else None
    if code is None and quality == Quality.QUESTIONABLE:
        code = Reason.FAILED_VALIDATION.value
    if code is None:
        code = next((each for flag, each in _CODE_OF_FLAG.items() if flag in flags), None)
    if code is None and method not in {"A", "N"}:
        code = Reason.OTHER.value  # a substitute must have one; 0 leaves it to the description
    plain = Nem12(method, code)
    if code != Reason.OTHER and from_nem12(*plain) == condition:
        return plain
    words = [quality.name.lower(), *(str(flag.name).lower() for flag in flags)]
    words += [] if reason is None else [f"reason {reason.value}"]
    # A reason code of 0 says that the description has the reason.
    return Nem12(method, Reason.OTHER.value if code is None else code, f"{_MARK} {'; '.join(words)}")


@lru_cache(maxsize=1024)
def from_nem12(method: str, reason: int | None = None, description: str = "") -> Condition:
    """What a 300 or 400 record says of its intervals.

    A reason code beside A is an alarm of the meter, if there is such; beside S and F it is why the value was replaced.
    One that we do not know is `Reason.OTHER`.

    Raises
    ------
    InvalidInput
        a method that is none, V among them: that is said of a day, not of an interval.
    """
    if not _METHOD.fullmatch(method):
        raise InvalidInput("quality", f"quality {method[:20]!r}", "A, N, V, or S, F, E with a method, such as S14")
    ours = _our_description(description)
    if ours is not None and _NEM12[ours.quality] == method:
        return ours
    known = None if reason is None else _REASONS.get(reason, Reason.OTHER)
    alarm = Flag.GOOD if reason is None else _FLAG_OF_CODE.get(reason, Flag.GOOD)
    if method in {"A", "N"}:
        quality = Quality.VALIDATED if method == "A" else Quality.MISSING
        if method == "A" and known == Reason.FAILED_VALIDATION:
            return Condition(Quality.QUESTIONABLE)
        return Condition(quality, alarm, None if alarm else known)
    decided = Quality.ESTIMATED_AVERAGE if method[0] == "E" else Quality.EDITED
    # Final is what the market has decided on, however it was once worked out.
    quality = decided if method[0] == "F" else _METHODS.get(int(method[1:] or 0), decided)
    if known == Reason.OTHER and alarm:
        return Condition(quality, alarm)
    return Condition(quality, Flag.GOOD, known)


def _our_description(text: str) -> Condition | None:
    """What we wrote into a reason description ourselves; None where it is somebody else's, or was changed."""
    if not text.startswith(_MARK):
        return None
    first, *words = [word.strip() for word in text.removeprefix(_MARK).split(";")]
    quality, flags, reason = _QUALITY_OF_WORD.get(first), Flag.GOOD, None
    for word in words:
        number = word.removeprefix("reason ")
        if word in _FLAG_OF_WORD:
            flags |= _FLAG_OF_WORD[word]
        elif number != word and number.isascii() and number.isdigit() and int(number) in _REASONS:
            reason = _REASONS[int(number)]
        else:
            return None
    return None if quality is None else Condition(quality, flags, reason)
