"""The crosswalk: everything of ours there and back again, and codes as other systems write them."""

from __future__ import annotations

import itertools
from pathlib import Path

import aemo_mdff_reader
import pytest
from greenbutton_objects.enums import QualityOfReading

from headend.errors import InvalidInput
from headend.reads.crosswalk import (
    Condition,
    Nem12,
    Reason,
    from_cim,
    from_espi,
    from_nem12,
    to_cim,
    to_espi,
    to_nem12,
)
from headend.reads.quality import IS_BILLABLE, Flag, Quality

#: Every quality with every set of flags and every reason.
ALL = [
    Condition(quality, Flag(flags), reason)
    for quality, flags, reason in itertools.product(Quality, range(256), [None, *Reason])
]

#: The reasons IEC 61968-9 has no code for.
NOT_IN_CIM = {
    Reason.OTHER,
    Reason.METER_CHANGED,
    Reason.VACANT,
    Reason.BELOW_PREVIOUS,
    Reason.DATA_CORRECTION,
    Reason.TRANSFORMER_FAULT,
    Reason.FAILED_VALIDATION,
    Reason.RECALCULATED,
    Reason.CUSTOMER_READ,
    Reason.COMMUNICATIONS,
    Reason.WRONG_MULTIPLIER,
    Reason.CUSTOMER_BYPASS,
    Reason.NETWORK_BYPASS,
}


def test_all_there_is_are_codes_of_flags_and_reasons_the_crosswalk_knows():
    assert sum(flag.value for flag in Flag) == 255
    assert len(ALL) == len(Quality) * 256 * (len(Reason) + 1)


def test_nem12_gives_back_everything():
    assert [back for back in ALL if from_nem12(*to_nem12(back)) != back] == []


def test_cim_gives_back_all_but_the_reasons_it_has_no_code_for():
    for condition in ALL:
        expected = condition._replace(reason=None) if condition.reason in NOT_IN_CIM else condition
        assert from_cim(to_cim(condition)) == expected


def test_cim_gives_the_same_in_whatever_order_its_codes_stand():
    for condition in ALL[::97]:
        codes = to_cim(condition)
        assert from_cim(reversed(codes)) == from_cim(codes)


def test_espi_gives_back_the_quality_of_every_reading_there_is():
    for condition in ALL:
        if condition.quality != Quality.MISSING:
            assert from_espi(to_espi(condition)) == Condition(condition.quality)
    assert to_espi(Condition(Quality.MISSING)) == (), "what is missing is no reading, and never 0"


def test_espi_codes_are_those_other_readers_know():
    known = {code.value for code in QualityOfReading}
    assert {code for quality in Quality for code in to_espi(Condition(quality))} <= known


@pytest.mark.parametrize(
    ("quality", "espi", "cim", "nem12"),
    [
        (Quality.MISSING, (), "3.5.259", "N"),
        (Quality.RAW, (14,), "2.0.0", "A"),
        (Quality.VALIDATED, (17,), "3.0.1", "A"),
        (Quality.VERIFIED, (18,), "3.10.1", "A"),
        (Quality.QUESTIONABLE, (10,), "3.6.0", "A"),
        (Quality.EDITED, (7,), "3.7.0", "F18"),
        (Quality.ESTIMATED_LINEAR, (9,), "3.8.6", "S17"),
        (Quality.ESTIMATED_LIKE_DAY, (8,), "3.8.7", "S15"),
        (Quality.ESTIMATED_FROM_REGISTER, (11,), "3.8.8", "S24"),
        (Quality.ESTIMATED_AVERAGE, (12,), "3.8.9", "S25"),
        (Quality.ESTIMATED_CLASS_PROFILE, (12, 8), "3.8.10", "S57"),
        (Quality.ESTIMATED_BY_HAND, (7, 11), "3.8.11", "S55"),
    ],
)
def test_the_table(quality: Quality, espi: tuple[int, ...], cim: str, nem12: str):
    plain = Condition(quality)
    assert (to_espi(plain), to_cim(plain), to_nem12(plain).method) == (espi, (cim,), nem12)


DOCUMENT = (Path(__file__).parents[2] / "docs" / "quality.md").read_text(encoding="utf-8")


def documented(heading: str) -> list[list[str]]:
    """The rows of the table under a heading."""
    section = DOCUMENT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return rows[2:]


def test_the_documented_qualities_are_those_that_are_written():
    for row, quality in zip(documented("Qualities"), Quality, strict=True):
        plain = Condition(quality)
        espi = " ".join(map(str, to_espi(plain))) or "no reading"
        billable = "yes" if IS_BILLABLE[quality] else "no"
        expected = [
            str(quality.value),
            f"`{quality.name.lower()}`",
            espi,
            *to_cim(plain),
            to_nem12(plain).method,
            billable,
        ]
        assert [*row[:2], *row[3:]] == expected


def test_the_documented_flags_are_those_that_are_written():
    for row, flag in zip(documented("Flags"), Flag, strict=True):
        said = Condition(Quality.VALIDATED, flag)
        assert [row[0], *row[2:]] == [str(flag.value), to_cim(said)[1], str(to_nem12(said).reason)]


def test_the_documented_reasons_are_those_that_are_written():
    rows = documented("Reasons")
    told = {row[at]: row[at + 2] for row in rows for at in (0, 4) if row[at]}
    said = {reason: to_cim(Condition(Quality.EDITED, reason=reason))[1:] for reason in Reason}
    assert told == {str(reason.value): codes[0] if codes else "—" for reason, codes in said.items()}


def test_nem12_needs_words_only_where_its_codes_say_something_else():
    outage = Condition(Quality.VALIDATED, Flag.POWER_OUTAGE)
    assert to_nem12(Condition(Quality.VALIDATED)) == Nem12("A")
    assert to_nem12(outage) == Nem12("A", 79)
    assert to_nem12(Condition(Quality.ESTIMATED_LIKE_DAY, reason=Reason.COMMUNICATIONS)) == Nem12("S15", 76)
    assert to_nem12(Condition(Quality.VERIFIED, Flag.POWER_OUTAGE | Flag.CLOCK_SET, Reason.HIGH)) == Nem12(
        "A", 74, "headend: verified; power_outage; clock_set; reason 74"
    )
    assert to_nem12(Condition(Quality.ESTIMATED_LINEAR)) == Nem12("S17", 0, "headend: estimated_linear")


def test_nem12_is_written_as_the_specification_has_it():
    for condition in ALL:
        method, reason, description = to_nem12(condition)
        assert method[0] in "AN" or reason is not None, "a substitute has a reason code"
        assert reason != 0 or description, "0 says that the description has the reason"
        assert len(description) <= 240
        assert "," not in description
        known = aemo_mdff_reader.spec.REASON_CODES | aemo_mdff_reader.spec.OBSOLETE_REASON_CODES
        assert reason is None or reason in known


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (Nem12("A"), Condition(Quality.VALIDATED)),
        (Nem12("A", 79, "Power Outage Alarm"), Condition(Quality.VALIDATED, Flag.POWER_OUTAGE)),
        (Nem12("A", 89, "Time Reset Occurred"), Condition(Quality.VALIDATED, Flag.CLOCK_SET)),
        (Nem12("A", 81), Condition(Quality.VALIDATED, Flag.PARTIAL)),
        (Nem12("A", 90), Condition(Quality.VALIDATED, Flag.TEST)),
        (Nem12("A", 45), Condition(Quality.QUESTIONABLE)),
        (Nem12("A", 48, "Dog on premises"), Condition(Quality.VALIDATED, reason=Reason.OTHER)),
        (Nem12("F14", 76), Condition(Quality.EDITED, reason=Reason.COMMUNICATIONS)),
        (Nem12("S14", 61), Condition(Quality.ESTIMATED_LIKE_DAY, reason=Reason.TAMPERED)),
        (Nem12("S14", 79), Condition(Quality.ESTIMATED_LIKE_DAY, Flag.POWER_OUTAGE)),
        (Nem12("S", 4), Condition(Quality.EDITED, reason=Reason.OTHER)),
        (Nem12("E20"), Condition(Quality.ESTIMATED_LIKE_DAY)),
        (Nem12("E"), Condition(Quality.ESTIMATED_AVERAGE)),
        (Nem12("S57", 3), Condition(Quality.ESTIMATED_CLASS_PROFILE, reason=Reason.OTHER)),
        (Nem12("N", 78), Condition(Quality.MISSING, Flag.LOST)),
        # Not quite as we write it: then the codes count.
        (Nem12("A", 0, "headend: fine"), Condition(Quality.VALIDATED, reason=Reason.OTHER)),
        (Nem12("A", 0, "headend: verified; reason 7"), Condition(Quality.VALIDATED, reason=Reason.OTHER)),
        (Nem12("S14", 0, "headend: verified"), Condition(Quality.ESTIMATED_LIKE_DAY, reason=Reason.OTHER)),
    ],
)
def test_nem12_of_others(said: Nem12, expected: Condition):
    assert from_nem12(*said) == expected


@pytest.mark.parametrize("method", ["A", "N", "S14", "F18", "E20", "S99"])
def test_any_reason_code_leaves_the_quality_as_the_method_says_it(method: str):
    plain = from_nem12(method).quality
    for reason in [*aemo_mdff_reader.spec.REASON_CODES, *aemo_mdff_reader.spec.OBSOLETE_REASON_CODES, 999]:
        doubted = (method, reason) == ("A", 45)
        assert from_nem12(method, reason, "in words").quality == (Quality.QUESTIONABLE if doubted else plain)


@pytest.mark.parametrize("method", ["", "V", "X", "A1", "S1", "S123", "a", "٣"])
def test_a_method_that_is_none_is_refused_by_name(method: str):
    with pytest.raises(InvalidInput) as refusal:
        from_nem12(method)
    assert refusal.value.found == f"quality {method!r}"


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], Quality.RAW),
        ([0], Quality.VALIDATED),
        ([19], Quality.VALIDATED),
        ([16], Quality.QUESTIONABLE),
        ([17, 9], Quality.ESTIMATED_LINEAR),
        ([8, 10], Quality.QUESTIONABLE),
        ([14, 17], Quality.RAW),
        ([11, 7], Quality.ESTIMATED_BY_HAND),
        ([8, 12], Quality.ESTIMATED_CLASS_PROFILE),
        ([8, 12, 17], Quality.ESTIMATED_AVERAGE),
    ],
)
def test_espi_of_others_the_worst_of_several_counts(codes: list[int], expected: Quality):
    assert from_espi(codes) == Condition(expected)


@pytest.mark.parametrize("code", [-1, 1, 6, 20, 99])
def test_an_espi_code_that_is_none_is_refused_by_name(code: int):
    with pytest.raises(InvalidInput) as refusal:
        from_espi([17, code])
    assert refusal.value.found == f"quality {code}"


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], Condition(Quality.RAW)),
        # As Connexo writes them: 2 its data collection, 3 its data management, an index of 1000 and more its own rule.
        (["1.0.0"], Condition(Quality.RAW)),
        (["3.0.0"], Condition(Quality.VALIDATED)),
        (["2.0.1"], Condition(Quality.VALIDATED)),
        (["2.5.258"], Condition(Quality.QUESTIONABLE)),
        (["2.5.259"], Condition(Quality.MISSING)),
        (["3.5.259"], Condition(Quality.MISSING)),
        (["2.6.1002"], Condition(Quality.QUESTIONABLE)),
        (["3.6.1", "3.5.258"], Condition(Quality.QUESTIONABLE, reason=Reason.UNDER_INVESTIGATION)),
        (["2.7.0"], Condition(Quality.EDITED)),
        (["2.7.1"], Condition(Quality.EDITED)),
        (["2.7.3"], Condition(Quality.QUESTIONABLE)),
        (["2.8.1005"], Condition(Quality.ESTIMATED_AVERAGE)),
        (["2.10.0"], Condition(Quality.QUESTIONABLE)),
        (["2.10.1"], Condition(Quality.VERIFIED)),
        (["4.11.0"], Condition(Quality.ESTIMATED_FROM_REGISTER)),
        (["3.12.0"], Condition(Quality.ESTIMATED_AVERAGE)),
        (["1.2.32"], Condition(Quality.RAW, Flag.POWER_OUTAGE)),
        (["2.3.4"], Condition(Quality.RAW, Flag.TAMPER)),
        (["1.4.128", "1.4.3"], Condition(Quality.RAW, Flag.CLOCK_SET | Flag.PARTIAL)),
        (["1.4.16"], Condition(Quality.RAW)),
        (["1.4.1"], Condition(Quality.QUESTIONABLE)),
        (["1.1.4"], Condition(Quality.QUESTIONABLE)),
        # What was done last counts.
        (["3.6.1003", "2.8.0"], Condition(Quality.ESTIMATED_AVERAGE)),
        (["3.6.1003", "3.10.1"], Condition(Quality.VERIFIED)),
        (["2.0.0", "3.0.1"], Condition(Quality.VALIDATED)),
        (["3.8.0", "3.7.0"], Condition(Quality.EDITED)),
        (["3.0.1", "1.2.32"], Condition(Quality.VALIDATED, Flag.POWER_OUTAGE)),
    ],
)
def test_cim_of_others(codes: list[str], expected: Condition):
    assert from_cim(codes) == expected


@pytest.mark.parametrize("code", ["", "3", "3.8", "3.8.0.1", "3.9.0", "3.13.0", "a.b.c", "3,8,0", "-1.8.0", " 3.8.0"])
def test_a_cim_code_that_is_none_is_refused_by_name(code: str):
    with pytest.raises(InvalidInput) as refusal:
        from_cim(["3.0.1", code])
    assert refusal.value.found == f"quality {code!r}"
