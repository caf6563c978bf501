"""The fast rater equals the reference rater bit for bit, over random tariffs, loads, zones and clock changes."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from headend.errors import CannotRate
from headend.tariffs import BillingWindow, RatedBill, rate_batch
from headend.tariffs.check import examine_text

from .make import BERLIN
from .random_tariffs import CUSTOMERS, EVERYTHING, Case, cases
from .reference import DIGITS, Earlier, NoBill, PlainBill, Reads, rate_plainly
from .test_docs import DOCS

PARTS = {
    "energy by tiers": frozenset(("tiers", "export", "dates")),
    "dynamic prices": frozenset(("dynamic", "export", "dates")),
    "demand": frozenset(("demand", "dates")),
    "reactive energy": frozenset(("reactive", "dates")),
    "baseline and standing charges": frozenset(("baseline", "standing", "dates")),
    "shares of other lines": frozenset(("export", "standing", "shares", "dates")),
    "netting": frozenset(("tiers", "export", "baseline", "demand", "netting")),
    "everything": EVERYTHING,
}
EXAMPLES = {"everything": 60}


def fast_lines(bill: RatedBill) -> list[dict[str, Any]]:
    return [
        {
            "kind": line.kind,
            "label": line.label,
            "period": line.period,
            "tier": line.tier,
            "price": Fraction(line.price),
            "quantity": Fraction(line.quantity),
            "exact": Fraction(line.exact),
            "amount": Fraction(line.amount),
            "estimated": Fraction(line.estimated),
            "component": line.charge.component,
            "included": line.charge.included,
        }
        for line in bill.lines
    ]


def plain_lines(bill: PlainBill, fast: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The reference's lines; where it does not say what is estimated, any answer is right."""
    lines = [{key: getattr(line, key) for key in fast[0]} if fast else {} for line in bill.lines]
    if len(lines) == len(fast):
        for line, its in zip(lines, fast, strict=True):
            if line["estimated"] is None:
                line["estimated"] = its["estimated"]
    return lines


def reads_of(case: Case, row: int) -> Reads:
    use = case.use
    return Reads(
        use.interval_s,
        use.imported[row].tolist(),
        None if use.exported is None else use.exported[row].tolist(),
        None if use.reactive is None else use.reactive[row].tolist(),
        None if use.estimated is None else use.estimated[row].tolist(),
    )


def earlier_of(case: Case, row: int) -> Earlier:
    carried = case.carried
    peaks = {
        place: [(peaks.month, peaks.watts[row].tolist()) for peaks in bills] for place, bills in carried.peaks.items()
    }
    names = [period.name for period in case.tariff.periods]
    energy = {} if carried.energy is None else dict(zip(names, carried.energy[row].tolist(), strict=True))
    if carried.credit is None:
        return Earlier(peaks, energy)
    minor, scale = 10 ** DIGITS[case.tariff.currency], 10**carried.credit.scale
    return Earlier(
        peaks,
        energy,
        Fraction(int(carried.credit.amount[row]), minor),
        Fraction(int(carried.credit.exact[row]), scale),
    )


def truth_of(case: Case) -> list[PlainBill] | None:
    try:
        return [
            rate_plainly(
                case.tariff,
                case.window,
                reads_of(case, row),
                case.market,
                earlier_of(case, row),
                case.customer_class,
            )
            for row in range(CUSTOMERS)
        ]
    except NoBill:
        return None


def agrees_with_the_reference(case: Case) -> None:
    truth = truth_of(case)
    try:
        batch = rate_batch(case.tariff, case.window, case.use, case.market, case.carried, case.customer_class)
        bills = batch.bills()
    except CannotRate:
        if truth is not None:
            raise
        return
    assert truth is not None, "rated what cannot be rated"
    assert len(bills) == len(truth)
    minor = 10 ** DIGITS[case.tariff.currency]
    for row, (bill, plain) in enumerate(zip(bills, truth, strict=True)):
        lines = fast_lines(bill)
        assert lines == plain_lines(plain, lines)
        assert Fraction(bill.total) == plain.total == Fraction(int(batch.totals[row]), minor)
        assert Fraction(bill.exact_total) == sum(line["exact"] for line in lines if not line["included"])
        left = batch.carried
        if case.tariff.netting == "month":
            assert left.energy is not None
            assert left.energy[row].tolist() == list(plain.energy.values())
        if any(component.kind == "bank" for component in case.tariff.components):
            credit = left.credit
            assert (Fraction(int(credit.amount[row]), minor) if credit else 0) == plain.credit
            assert (Fraction(int(credit.exact[row]), 10**credit.scale) if credit else 0) == plain.exact_credit
        for place, watts in plain.peaks.items():
            if place in left.peaks or case.tariff.components[place].ratchet is not None:
                (peaks,) = left.peaks[place]
                assert peaks.watts[row].tolist() == watts


@pytest.mark.parametrize("part", PARTS)
def test_fast_rater_equals_reference_bit_for_bit(part: str) -> None:
    @settings(max_examples=EXAMPLES.get(part, 20), deadline=None, suppress_health_check=list(HealthCheck))
    @given(cases(PARTS[part]))
    def agree(case: Case) -> None:
        agrees_with_the_reference(case)

    agree()


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_fast_rater_equals_reference_on_thousands_of_cases(part: str) -> None:
    @settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cases(PARTS[part], most_days=8))
    def agree(case: Case) -> None:
        agrees_with_the_reference(case)

    agree()


def test_the_reference_itself_says_what_the_worked_example_says() -> None:
    text = DOCS.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    example, _ = examine_text(text, "example", is_json=False)
    assert example is not None
    bill = rate_plainly(example, BillingWindow(date(2025, 4, 30), date(2025, 5, 3), BERLIN), Reads(3600, [500] * 72))
    assert [(line.label, float(line.quantity), str(line.amount * 100)) for line in bill.lines] == [
        ("Energy, Peak, tier 1", 2.0, "80"),
        ("Energy, Off-peak, tier 1", 28.0, "690"),
        ("Energy, Peak, tier 2", 2.0, "93"),
        ("Energy, Off-peak, tier 2", 4.0, "125"),
        ("Baseline credit", 12.0, "-54"),
        ("Standing charge", 3.0, "119"),
        ("VAT 19 %", 10.53, "200"),
    ]
    assert bill.total == Fraction("12.53")
