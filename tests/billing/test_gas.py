"""Gas priced by its energy, and heat."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.billing.accruals.accounts import cost_so_far
from headend.billing.gas import by_energy
from headend.billing.metered import Metered
from headend.billing.ports import GasQuality
from headend.billing.run import rate_cycle
from headend.billing.statement import GasEnergy, canonical_json, parse_statement
from headend.documents import statement_html, statement_pdf
from headend.documents.view import statement_view
from headend.errors import CannotRate
from headend.tariffs import BillingWindow
from headend.tariffs.money import half_up
from tests.billing.town import Town

GAS, HEAT = "7-0:3.0.0", "6-0:1.0.0"
D = Decimal


def rate(town: Town) -> dict[str, int]:
    return rate_cycle(town.office, "2026-10", "monthly", "ann").totals.energy


def quality(since: date, calorific_value: str, area: str = "north") -> dict[str, object]:
    return {"area": area, "from": since, "calorific_value": calorific_value, "conversion": "0.9627"}


def home(town: Town, name: str, area: str | None, tariff: str = "gas-energy") -> None:
    """A home that uses 0.1 m³ of gas every hour."""
    town.account(name, {"tariff": tariff, "commodity": "gas"}, gas_area=area)
    town.meter(f"G-{name}", name, GAS, commodity="gas", gas_area=area)
    town.reads(f"G-{name}", 100, channel=GAS)


@pytest.fixture
def warm(town: Town) -> Town:
    """Ada in the north, where the calorific value changes on 16 October."""
    town.enrol(gas_quality=[quality(date(2026, 9, 1), "11.243"), quality(date(2026, 10, 16), "11.300")])
    home(town, "Ada", "north")
    return town


def test_gas_by_energy_worked_by_hand(warm: Town) -> None:
    energy = rate(warm)
    statement = warm.statements()["Ada"]
    (segment,) = statement.segments
    # 15 days, 360 h: 36 m³ × 0.9627 × 11.243 = 389.6508996; 16 days, 385 h: 38.5 m³ × 0.9627 × 11.3 = 418.822635.
    assert segment.gas == (
        GasEnergy(date(2026, 10, 1), date(2026, 10, 15), D("36.000"), D("0.9627"), D("11.243"), D("389.651")),
        GasEnergy(date(2026, 10, 16), date(2026, 10, 31), D("38.500"), D("0.9627"), D("11.300"), D("418.823")),
    )
    # 808.474 kWh × 0.10 = 80.8474; + 10.40 = 91.25; VAT 17.3375.
    assert [(line.quantity, line.unit, line.amount) for line in segment.lines] == [
        (D("808.474"), "kWh", D("80.85")),
        (D(1), "month", D("10.40")),
        (D("91.25"), "EUR", D("17.34")),
    ]
    assert (segment.usage, segment.unit, statement.totals.gross) == (D("808.474"), "kWh", D("108.59"))
    assert sum(use.quantity for use in segment.daily) == segment.usage
    assert segment.meters[0].quantity == D("74.500")
    assert energy == {"gas": 74_500}
    assert parse_statement(canonical_json(statement)) == statement


def test_gas_by_energy_stands_on_paper(warm: Town) -> None:
    warm.set("G-Ada", datetime(2026, 10, 31, 22, tzinfo=UTC), channel=GAS, register=500_000)
    rate(warm)
    statement = warm.statements()["Ada"]
    (view,) = statement_view(statement)["segments"]
    assert view["gas"]["rows"] == [
        ["1\u201315 Oct 2026", "36.000\u00a0m³", "× 0.9627", "× 11.243\u00a0kWh/m³", "= 389.651\u00a0kWh"],
        ["16\u201331 Oct 2026", "38.500\u00a0m³", "× 0.9627", "× 11.300\u00a0kWh/m³", "= 418.823\u00a0kWh"],
    ]
    (meter,) = view["meters"]["rows"]
    assert [each["value"] for each in meter["registers"]] == ["425.500", "500.000"]
    assert meter["quantity"] == "74.500\u00a0m³"
    page = statement_html(statement)
    words = ("From volume to energy", "Calorific value", "× 11.243\u00a0kWh/m³", "For gas that is the volume")
    assert [word for word in words if word not in page] == []
    assert statement_pdf(statement).startswith(b"%PDF")


def test_home_without_a_value_is_named_and_its_neighbours_are_billed(warm: Town) -> None:
    warm.enrol(gas_quality=[quality(date(2026, 10, 2), "11.1", "west")])
    home(warm, "Bob", None)
    home(warm, "Cem", "south")
    home(warm, "Dot", "west")
    home(warm, "Eve", "north")
    home(warm, "Fay", None, tariff="gas")
    rate(warm)
    assert {name: (each.code, each.detail.split(": ")[1]) for name, each in warm.exceptions().items()} == {
        "Bob": ("cannot_rate", "its usage point is in no gas area, so nothing says what a m³ is worth"),
        "Cem": ("cannot_rate", "gas area south has no calorific value for 2026-10-01"),
        "Dot": ("cannot_rate", "gas area west has no calorific value for 2026-10-01"),
    }
    statements = warm.statements()
    assert statements["Eve"].totals == statements["Ada"].totals
    # By volume nothing is converted: 74.5 m³ × 1.00 + 10.40, and VAT.
    assert (statements["Fay"].segments[0].usage, statements["Fay"].totals.gross) == (D("74.500"), D("101.03"))


def test_the_month_before_is_compared_in_energy(warm: Town) -> None:
    warm.reads("G-Ada", 100, channel=GAS, first=date(2026, 8, 31), last=date(2026, 9, 29))
    rate(warm)
    previous = warm.statements()["Ada"].segments[0].previous
    assert previous is not None
    # 720 h: 72 m³ × 0.9627 × 11.243 = 779.3017992.
    assert (previous.days, previous.quantity) == (30, D("779.302"))


def test_cost_so_far_is_of_energy_too(warm: Town) -> None:
    whole = cost_so_far(warm.office, "Ada", datetime(2026, 10, 31, 22, 59, tzinfo=UTC))
    assert whole.segments[0].gross == D("108.59")


def test_heat_is_billed(town: Town) -> None:
    town.account("Ada", {"tariff": "heat", "commodity": "heat"})
    town.meter("H-1", "Ada", HEAT, commodity="heat")
    town.reads("H-1", 1_200, channel=HEAT)
    assert rate(town) == {"heat": 894_000}
    statement = town.statements()["Ada"]
    # 745 h × 1.2 kWh × 0.1180 = 105.492; + 18.90 = 124.39; VAT 23.6341.
    assert [line.amount for line in statement.segments[0].lines] == [D("105.49"), D("18.90"), D("23.63")]
    assert "Heat" in statement_html(statement)


values = st.decimals("0.5", "15", places=3)


@given(
    st.lists(st.integers(0, 10**7), min_size=72, max_size=72),
    values,
    values,
    st.decimals("0.8", "70", places=4),
    st.integers(-1, 4),
)
def test_each_stretch_is_rounded_once_and_its_hours_add_up_to_it(
    volumes: list[int], one: Decimal, other: Decimal, conversion: Decimal, day: int
) -> None:
    change = date(2026, 6, 10 + day)
    qualities = {"here": (GasQuality(date(2026, 1, 1), one, conversion), GasQuality(change, other, conversion))}
    window = BillingWindow(date(2026, 6, 10), date(2026, 6, 13), ZoneInfo("UTC"))
    counted = Metered(np.array([volumes]), np.zeros((1, 72), np.uint8))
    energy, ((*stretches,),) = by_energy(counted, ["here"], qualities, window, 3600)
    cut = min(max(day, 0), 3) * 24
    for hours, value in ((slice(0, cut), one), (slice(cut, 72), other)):
        exact = Fraction(sum(volumes[hours])) * Fraction(conversion) * Fraction(value)
        assert energy.values[0, hours].sum() == half_up(exact)
        for wh, dm3 in zip(energy.values[0, hours].tolist(), volumes[hours], strict=True):
            assert abs(wh - Fraction(dm3) * Fraction(conversion) * Fraction(value)) <= 1
    assert sum(each.energy for each in stretches) == D(int(energy.values.sum())).scaleb(-3)
    assert (stretches[0].first, stretches[-1].last) == (date(2026, 6, 10), date(2026, 6, 12))


def test_an_absurd_volume_is_refused_not_converted() -> None:
    qualities = {"here": (GasQuality(date(2026, 1, 1), D(11), D(1)),)}
    window = BillingWindow(date(2026, 6, 10), date(2026, 6, 11), ZoneInfo("UTC"))
    counted = Metered(np.full((1, 24), 2**53), np.zeros((1, 24), np.uint8))
    with pytest.raises(CannotRate, match="larger than any meter counts"):
        by_energy(counted, ["here"], qualities, window, 3600)
