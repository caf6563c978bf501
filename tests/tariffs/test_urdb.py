"""Rates of the Utility Rate Database as tariffs: what they become, and what is refused, by name."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headend.errors import InvalidTariff
from headend.tariffs import Load, Tariff, codes_of, rate_months
from headend.tariffs.calendar import BillingWindow
from headend.tariffs.check import examine_text
from headend.tariffs.format.to_toml import to_toml
from headend.tariffs.urdb import tariff_from_urdb

Rate = dict[str, Any]
FLAT = [[0] * 24 for _ in range(12)]


def rate(**keys: Any) -> Rate:
    """A rate at 0.20 a kWh, and what else is said."""
    return {
        "name": "Plain rate",
        "energyratestructure": [[{"rate": 0.2, "unit": "kWh"}]],
        "energyweekdayschedule": FLAT,
        "energyweekendschedule": FLAT,
        **keys,
    }


def imported(its: Rate) -> Tariff:
    return tariff_from_urdb(json.dumps(its), "rate.json")


def refusal(its: Rate | str) -> str:
    with pytest.raises(InvalidTariff) as error:
        tariff_from_urdb(its if isinstance(its, str) else json.dumps(its), "rate.json")
    return str(error.value)


def steps(*tiers: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Tiers as (rate, max)."""
    return [{"rate": tier[0], **({"max": tier[1]} if len(tier) > 1 else {})} for tier in tiers]


def written(its: Rate) -> str:
    return to_toml(imported(its))


def row(*at: range, of: int = 0, to: int = 1) -> list[int]:
    """A day in one period, but for some hours that are in another."""
    return [to if any(hour in its for its in at) else of for hour in range(24)]


REAL = {
    "label": "539f74d4ec4f024411ed0cf3",
    "uri": "https://apps.openei.org/IURDB/rate/view/539f74d4ec4f024411ed0cf3",
    "name": "Rate Schedule LLFI (Low Load Factor Interruptible)",
    "utility": "Adams Electric Coop",
    "eiaid": 97,
    "country": "USA",
    "approved": True,
    "sector": "Commercial",
    "startdate": 1301641200,
    "revisions": [1349714258, 1427405193],
    "description": "Available to members with an average demand greater than 200 kW.",
    "demandcomments": "$0.50 kVA charge can be voided if the customer owns the transformer",
    "demandunits": "kW",
    "fixedchargefirstmeter": 90,
    "fixedchargeunits": "$/month",
    "energyratestructure": [[{"rate": 0.075, "adj": 0.0021, "unit": "kWh"}]],
    "energyweekdayschedule": FLAT,
    "energyweekendschedule": FLAT,
    "flatdemandunit": "kW",
    "flatdemandstructure": [[{"rate": 11}]],
    "flatdemandmonths": [0] * 12,
    "demandattrs": [],
}


def test_a_rate_of_the_database() -> None:
    made = imported({"items": [REAL]})
    assert made == imported(REAL)
    assert to_toml(made) == (
        'id = "rate-schedule-llfi-low-load-factor-interruptible"\n'
        'name = "Rate Schedule LLFI (Low Load Factor Interruptible)"\n'
        "valid_from = 2011-04-01\n"
        'customer_classes = ["commercial"]\n'
        'commodity = "electricity"\n'
        'unit = "kWh"\n'
        'currency = "USD"\n'
        "\n[[components]]\n"
        'kind = "energy"\n'
        'label = "Energy"\n'
        "tiers = [{ price = 0.0771 }]\n"
        "\n[[components]]\n"
        'kind = "demand"\n'
        'label = "Demand, all hours"\n'
        "tiers = [{ price = 11 }]\n"
        "\n[[components]]\n"
        'kind = "standing"\n'
        'label = "Fixed charge"\n'
        'per = "month"\n'
        "price = 90\n"
    )
    # 1 kW over January and a peak of 3 kW: 746 kWh × 0.0771 + 3 kW × 11 + 90
    use = np.full(744, 1000)
    use[100] = 3000
    load = Load(datetime(2018, 1, 1, tzinfo=UTC), 3600, use, None)
    (january,) = rate_months(made, load, ZoneInfo("UTC"))["months"]
    assert january["total"] == "180.5166"


def test_months_with_the_same_hours_are_one_condition() -> None:
    summer = row(range(15, 20))
    night = row(range(22, 24), range(6))
    weekday = [summer if month in (5, 6, 7, 8) else night for month in range(12)]
    weekend = [row() if month in (5, 6, 7, 8) else night for month in range(12)]
    made = written(
        rate(
            energyratestructure=[steps((0.1,)), steps((0.3,))],
            energyweekdayschedule=weekday,
            energyweekendschedule=weekend,
        )
    )
    assert made.partition("[[periods]]\n")[2].partition("\n[[components]]")[0] == (
        'name = "period_2"\n'
        'label = "Period 2"\n'
        "when = [\n"
        '  { months = [1, 2, 3, 4, 5, 10, 11, 12], hours = ["22:00-06:00"] },\n'
        '  { months = [6, 7, 8, 9], days = ["weekday"], hours = ["15:00-20:00"] },\n'
        "]\n"
        "\n[[periods]]\n"
        'name = "period_1"\n'
        'label = "Period 1"\n'
    )


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 3), min_size=24, max_size=24), min_size=1, max_size=5),
    st.lists(st.integers(0, 4), min_size=24, max_size=24),
)
def test_every_hour_of_the_year_is_in_the_period_of_its_schedule(rows: list[list[int]], which: list[int]) -> None:
    days = [[rows[at % len(rows)] for at in which[:12]], [rows[at % len(rows)] for at in which[12:]]]
    made = imported(
        rate(
            energyratestructure=[steps((price,)) for price in (0.1, 0.2, 0.3, 0.4)],
            energyweekdayschedule=days[0],
            energyweekendschedule=days[1],
        )
    )
    window = BillingWindow(date(2024, 1, 1), date(2025, 1, 1), UTC)
    codes = codes_of(made, window, 3600)
    names = [period.name for period in made.periods]
    for hour in range(0, len(codes), 7):
        at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
        number = days[at.weekday() >= 5][at.month - 1][at.hour]
        assert names[codes[hour]] == (f"period_{number + 1}" if len(names) > 1 else "all")


def test_periods_may_have_ladders_of_different_length() -> None:
    made = written(
        rate(
            energyratestructure=[steps((0.1, 100), (0.2, 300), (0.3,)), steps((0.4, 200), (0.5,)), steps((0.6,))],
            energyweekdayschedule=[[0] * 12 + [1] * 6 + [2] * 6] * 12,
            energyweekendschedule=FLAT,
        )
    )
    assert (
        'tiers_per = "month"\n'
        "tiers = [\n"
        "  { up_to = { period_1 = 100, period_2 = 200 },"
        " price = { period_1 = 0.1, period_2 = 0.4, period_3 = 0.6 } },\n"
        "  { up_to = { period_1 = 300 }, price = { period_1 = 0.2, period_2 = 0.5 } },\n"
        "  { price = { period_1 = 0.3 } },\n"
        "]\n"
    ) in made


@pytest.mark.parametrize(
    ("unit", "per"),
    [("kWh", "month"), ("kwh", "month"), ("kWh daily", "day"), ("kWh/kW", "kW_month"), ("kWh/kW daily", "kW_day")],
)
def test_units_say_what_limits_are_for(unit: str, per: str) -> None:
    tiers = [{**step, "unit": unit} for step in steps((0.1, 100), (0.2, 1e38))]
    (component,) = imported(rate(energyratestructure=[tiers])).components
    assert component.tiers_per == per
    assert [tier.up_to for tier in component.tiers] == [100, None]


@pytest.mark.parametrize(
    ("rule", "netting"),
    [
        (None, "none"),
        ("Net Billing Instantaneous", "none"),
        ("Net Billing Hourly", "hour"),
        ("Buy All Sell All", "none"),
    ],
)
def test_rules_for_what_is_fed_in(rule: str | None, netting: str) -> None:
    tiers = [{"rate": 0.2, "sell": 0.05, "max": 100}, {"rate": 0.3, "sell": 0.05}]
    made = imported(rate(energyratestructure=[tiers], dgrules=rule))
    assert made.netting == netting
    assert [component.measures for component in made.components] == ["import", "export"]
    assert [len(component.tiers) for component in made.components] == [2, 1]


def test_net_metering() -> None:
    keys = {
        "energyratestructure": [steps((0.1, 100), (0.2,)), steps((0.3, 100), (0.4,))],
        "energyweekdayschedule": [row(range(16, 21))] * 12,
    }
    for rule in ({"dgrules": "Net Metering"}, {"usenetmetering": True}):
        made = imported(rate(**keys, **rule))
        assert (made.netting, made.net_metering, made.components[0].order) == ("month", None, "share")


def test_fuel_adjustments_by_month() -> None:
    made = imported(rate(fueladjustmentsmonthly=[0.01] * 6 + [-0.02] * 6))
    load = Load(datetime(2018, 6, 30, tzinfo=UTC), 3600, np.full(48, 1000), None)
    months = rate_months(made, load, ZoneInfo("UTC"))["months"]
    # 24 kWh each: 0.20 + 0.01, and 0.20 - 0.02
    assert [month["energy"] for month in months] == ["5.04", "4.32"]


def test_demand_with_its_own_hours_window_and_lookback() -> None:
    keys = {
        "demandratestructure": [steps((2,)), steps((9, 50), (12,))],
        "demandweekdayschedule": [row(range(8, 18))] * 12,
        "demandweekendschedule": FLAT,
        "demandwindow": 15,
    }
    made = written(rate(**keys))
    assert '[[schedules.demand]]\nname = "period_2"\nlabel = "Period 2"\ndays = ["weekday"]\n' in made
    assert (
        'schedule = "demand"\nwindow_min = 15\n'
        "tiers = [\n"
        "  { up_to = { period_2 = 50 }, price = { period_1 = 2, period_2 = 9 } },\n"
        "  { price = { period_2 = 12 } },\n"
        "]\n"
    ) in made
    flat = {"flatdemandstructure": [steps((4,))], "flatdemandmonths": [0] * 12}
    for key, months in (("lookbackMonths", [month in (5, 6, 7) for month in range(12)]), ("lookbackRange", 6)):
        ratchet = imported(rate(**flat, lookbackPercent=0.8, **{key: months})).components[1].ratchet
        expected = (80, 11, (6, 7, 8)) if key == "lookbackMonths" else (80, 6, None)
        assert (ratchet.percent, ratchet.months, ratchet.of_months) == expected


def test_charges_that_do_not_depend_on_use() -> None:
    made = imported(
        rate(fixedchargefirstmeter=-0.5, fixedchargeunits="$/day", mincharge=0.3, minchargeunits="$/day")
    ).components
    assert (made[1].kind, made[1].per, made[1].price, made[1].credit) == ("standing", "day", Decimal("0.5"), True)
    assert (made[2].kind, made[2].per, made[2].amount) == ("minimum", "day", Decimal("0.3"))
    old = imported(rate(fixedmonthlycharge=7, minmonthlycharge=9)).components
    assert [(each.kind, each.per) for each in old[1:]] == [("standing", "month"), ("minimum", "month")]
    yearly = imported(rate(fixedchargefirstmeter=120, fixedchargeunits="$/year")).components[1]
    assert (yearly.per, yearly.price) == ("year", 120)


def test_what_charges_nothing_is_left_out() -> None:
    made = imported(
        rate(
            demandratestructure=[[{"rate": 0, "max": 10}, {"rate": 0}]],
            demandweekdayschedule=FLAT,
            demandweekendschedule=FLAT,
            demandrateunit="hp",
            flatdemandstructure=[],
            coincidentratestructure=[[{"rate": 0}]],
            demandratchetpercentage=[0] * 12,
            demandreactivepowercharge=0,
            fueladjustmentsmonthly=[0] * 12,
            annualmincharge=0,
            mincharge=0,
            fixedchargeunits="$/month",
            lookbackpercent=0,
            lookbackmonths=[True] * 12,
            lookbackrange=3,
            energyattrs=[{"Fuel clause": "see the utility's pages"}],
            someword="of no account",
            something=None,
        )
    )
    assert made == imported(rate())


def test_noise_of_binary_fractions_is_no_decimal() -> None:
    made = imported(rate(energyratestructure=[[{"rate": 0.06999999999999999, "adj": 0.1 + 0.2}]]))
    assert made.components[0].tiers[0].price == Decimal("0.37")


def without(key: str) -> Rate:
    return {name: value for name, value in rate().items() if name != key}


def energy(*tiers: dict[str, Any]) -> Rate:
    return rate(energyratestructure=[list(tiers)])


DEMAND = {"flatdemandstructure": [steps((4,))], "flatdemandmonths": [0] * 12}


@pytest.mark.parametrize(
    ("its", "said"),
    [
        ("{", "rate.json: found Expecting property name enclosed in double quotes"),
        ("[" * 100_000, "rate.json: found maximum recursion depth exceeded"),
        ('{"name": "a", "Name": "b"}', "rate.json: found the key 'Name' twice, expected JSON"),
        ('{"mincharge": NaN}', "rate.json: found NaN, which is no number"),
        ("[1]", "rate.json: found [1], expected one rate, a JSON object"),
        ({"items": []}, "rate.json: items: found 0 rates, expected one rate"),
        ({"items": [rate(), rate()]}, "rate.json: items: found 2 rates, expected one rate"),
        ({"name": "Nothing"}, "rate.json: energyratestructure: found nothing, expected a rate that charges"),
        (without("name"), "rate.json: name: found nothing, expected the rate's name"),
        (rate(name="«»"), "rate.json: name: found '«»', expected the rate's name"),
        (rate(country="DEU"), "rate.json: country: found 'DEU', expected USA"),
        (rate(startdate="2018-01-01"), "rate.json: startdate: found '2018-01-01', expected seconds since 1970"),
        # shapes
        (without("energyweekdayschedule"), "rate.json: energyweekdayschedule: found nothing, expected a list of 12"),
        (without("energyratestructure"), "rate.json: energyratestructure: found nothing, expected a rate that"),
        (rate(energyratestructure={}), "rate.json: energyratestructure: found {}, expected a list of periods"),
        (rate(energyratestructure=[5]), "rate.json: energyratestructure[0]: found 5, expected a list of tiers"),
        (rate(energyratestructure=[[5]]), "rate.json: energyratestructure[0][0]: found 5, expected a tier"),
        (rate(energyweekdayschedule=FLAT[:11]), "rate.json: energyweekdayschedule: found 11 values, expected 12, one"),
        (
            rate(energyweekendschedule=[*FLAT[:11], [0] * 23]),
            "rate.json: energyweekendschedule[11]: found 23 values, expected 24, one for each hour",
        ),
        (
            rate(energyweekendschedule=[*FLAT[:11], row(range(3, 4))]),
            "rate.json: energyweekendschedule[11][3]: found 1, expected a period of energyratestructure, 0 to 0",
        ),
        (rate(energyweekdayschedule=[[-1] * 24] * 12), "rate.json: energyweekdayschedule[0][0]: found -1, expected"),
        (rate(energyweekdayschedule=[["0"] * 24] * 12), "rate.json: energyweekdayschedule[0][0]: found '0', expected"),
        (rate(**{**DEMAND, "flatdemandmonths": [0] * 11}), "rate.json: flatdemandmonths: found 11 values, expected 12"),
        (
            rate(**{**DEMAND, "flatdemandmonths": [1] * 12}),
            "rate.json: flatdemandmonths[0]: found 1, expected a period",
        ),
        # tiers
        (energy(*steps((0.1, 100))), "rate.json: energyratestructure[0][0].max: found 100, expected no limit in the"),
        (energy(*steps((0.1,), (0.2,))), "rate.json: energyratestructure[0][0].max: found nothing, expected a limit"),
        (
            energy(*steps((0.1, 100), (0.2, 100), (0.3,))),
            "rate.json: energyratestructure[0][1].max: found 100, expected more than 100",
        ),
        (energy(*steps((0.1, 0), (0.2,))), "rate.json: energyratestructure[0][0].max: found 0, expected more than 0"),
        (energy({"unit": "kWh"}), "rate.json: energyratestructure[0][0].rate: found nothing, expected a rate"),
        (energy({"rate": -0.1}), "rate.json: energyratestructure[0][0].rate: found -0.1, expected a price of 0 or"),
        (energy({"rate": 0.1, "adj": -0.2}), "rate.json: energyratestructure[0][0].rate: found -0.1, expected"),
        (energy({"rate": "0.1"}), "rate.json: energyratestructure[0][0].rate: found '0.1', expected a number"),
        (energy({"rate": 0.12345678901}), "rate.json: energyratestructure[0][0].rate: found 0.12345678901, expected a"),
        (energy({"rate": 1e12}), "rate.json: energyratestructure[0][0].rate: found 1000000000000.0, expected a number"),
        (energy({"rate": 1e9}), "rate.json: components[0].tiers[0].price: found '1000000000', expected less than"),
        (
            energy({"rate": 1, "unit": "kVAh"}),
            "rate.json: energyratestructure[0][0].unit: found 'kVAh', expected kwh or",
        ),
        (energy({"rate": 1, "per": 5}), "rate.json: energyratestructure[0][0].per: found 5, expected rate, adj, sell"),
        (
            energy({"rate": 1, "max": 5, "unit": "kWh/kW"}, {"rate": 2, "unit": "kWh"}),
            "rate.json: energyratestructure: unit: found 'kwh and kwh/kw', expected one unit for all limits",
        ),
        # what cannot be expressed
        (
            rate(riderpercharge=0.01),
            "rate.json: riderpercharge: found 0.01, expected a key of the Utility Rate Database",
        ),
        (rate(riders=[{"of": {"a": 1}}]), 'rate.json: riders: found [{"of": {"a": 1}}], expected a key of the Utility'),
        (
            rate(demandattrs=[{"Transformation Charge": "$0.50/kVA"}]),
            'rate.json: demandattrs: found [{"transformation charge": "$0.50/kVA"}], expected attributes without',
        ),
        (
            rate(demandratchetpercentage=[0.8] * 12),
            "rate.json: demandratchetpercentage: found [0.8, 0.8, 0.8, ",
        ),
        (
            rate(coincidentratestructure=[[{"rate": 3}]]),
            'rate.json: coincidentratestructure: found [[{"rate": 3}]], expec',
        ),
        (rate(demandreactivepowercharge=0.3), "rate.json: demandreactivepowercharge: found 0.3, expected none, or 0"),
        (
            rate(annualmincharge=50),
            "rate.json: annualmincharge: found 50, expected none, or 0: a minimum is for each bill",
        ),
        (
            rate(mincharge=50, minchargeunits="$/year"),
            "rate.json: minchargeunits: found '$/year', expected $/month or $/day: a minimum is for each bill",
        ),
        (rate(mincharge=5), "rate.json: minchargeunits: found nothing, expected $/day or $/month or $/year"),
        (
            rate(mincharge=5, minchargeunits="$/month", minmonthlycharge=5),
            "rate.json: minmonthlycharge: found 5, expected",
        ),
        (rate(minmonthlycharge=-5), "rate.json: minmonthlycharge: found -5, expected 0 or more"),
        (
            rate(fixedchargefirstmeter=5),
            "rate.json: fixedchargeunits: found nothing, expected $/day or $/month or $/year",
        ),
        (
            rate(fixedchargefirstmeter=5, fixedchargeunits="$/month", fixedmonthlycharge=5),
            "rate.json: fixedmonthlycharge: found 5, expected none beside fixedchargefirstmeter",
        ),
        (rate(**DEMAND, flatdemandunit="kVA"), "rate.json: flatdemandunit: found 'kVA', expected kW"),
        (
            rate(**{**DEMAND, "flatdemandstructure": [[{"rate": 4, "unit": "hp"}]]}),
            "rate.json: flatdemandstructure[0][0].unit: found 'hp', expected kw",
        ),
        (rate(**DEMAND, demandwindow=12), "rate.json: demandwindow: found 12, expected 5, 10, 15, 20, 30, 60 minutes"),
        (
            {
                **energy({"rate": 1, "max": 5, "unit": "kWh/kW"}, {"rate": 2, "unit": "kWh/kW"}),
                "demandwindow": 15,
            },
            "rate.json: demandwindow: found 15, expected none with kwh/kw: the interval of the reads",
        ),
        (rate(**DEMAND, lookbackpercent=80, lookbackrange=6), "rate.json: lookbackpercent: found 80, expected a share"),
        (
            rate(**DEMAND, lookbackpercent=0.8, lookbackmonths=["no"] * 12),
            "rate.json: lookbackmonths[0]: found 'no', expected true or false",
        ),
        (rate(**DEMAND, lookbackpercent=0.8), "rate.json: lookbackrange: found nothing, expected a whole number of"),
        (
            rate(**DEMAND, lookbackpercent=0.8, lookbackrange=6, lookbackmonths=[True] * 12),
            "rate.json: lookbackrange: found 6, expected a whole number of months, or else lookbackmonths",
        ),
        (
            rate(
                flatdemandstructure=[steps((4,)), steps((5,))],
                flatdemandmonths=[0] * 6 + [1] * 6,
                lookbackpercent=0.8,
                lookbackrange=6,
            ),
            "rate.json: lookbackpercent: found 0.8, expected one period in flatdemandstructure with a lookback",
        ),
        # what is fed in
        (rate(dgrules="Feed-in"), "rate.json: dgrules: found 'Feed-in', expected Net Metering or Net Billing"),
        (rate(usenetmetering="yes"), "rate.json: usenetmetering: found 'yes', expected true or false"),
        (
            {**energy({"rate": 0.2, "sell": 0.1}), "dgrules": "Net Metering"},
            "rate.json: energyratestructure: sell: found 'prices', expected none with net metering",
        ),
        (
            rate(
                dgrules="Net Metering",
                energyratestructure=[steps((0.1,)), steps((0.2,))],
                energyweekdayschedule=[[1] * 24, *FLAT[1:]],
            ),
            "rate.json: dgrules: found 'Net Metering', expected the same periods in every month with net metering",
        ),
        (
            rate(dgrules="Net Metering", fueladjustmentsmonthly=[0.01] * 6 + [0.02] * 6),
            "rate.json: fueladjustmentsmonthly: found [0.01, 0.01, ",
        ),
    ],
)
def test_what_cannot_be_right_or_expressed_is_named(its: Rate | str, said: str) -> None:
    found = refusal(its)
    assert found.startswith(said), found
    assert " expected " in found


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a rate."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [each for key, its in inside for each in [(value, key), *places(its)]]


JUNK = st.one_of(
    st.sampled_from([None, True, False, -1, 0, 1, 11, 0.5, -0.5, 1e-300, 1e300, 10**40]),
    st.sampled_from(["", "kW", "kWh", "$/day", "Net Metering", "Net Billing Hourly"]),
    st.sampled_from([[], [[]], {}, {"a": 1}, [{"rate": 1}], [[{"rate": 1}]], [0] * 12, [True] * 12]),
)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_rate_is_read_or_refused(data: st.DataObject) -> None:
    broken = json.loads(json.dumps({**REAL, **EVERYTHING}))
    for _ in range(data.draw(st.integers(1, 4))):
        container, key = data.draw(st.sampled_from([(broken, name) for name in broken] + places(broken)[::29]))
        if isinstance(container, dict) or key < len(container):
            container[key] = data.draw(JUNK)
    try:
        made = imported(broken)
    except InvalidTariff as error:
        assert str(error).startswith("rate.json")  # noqa: PT017 - one of the two ends there are
    else:
        assert examine_text(to_toml(made), "x.toml", is_json=False) == (made, [])


EVERYTHING = {
    "energyratestructure": [steps((0.1, 100), (0.2,)), [{"rate": 0.3, "adj": 0.01, "unit": "kWh"}]],
    "energyweekdayschedule": [row(range(16, 21))] * 12,
    "demandratestructure": [steps((2,)), steps((9, 50), (12,))],
    "demandweekdayschedule": [row(range(8, 18))] * 12,
    "demandweekendschedule": FLAT,
    "demandrateunit": "kW",
    "demandwindow": 15,
    "fueladjustmentsmonthly": [0.01] * 6 + [-0.02] * 6,
    "dgrules": "Net Billing Hourly",
    "mincharge": 10,
    "minchargeunits": "$/month",
    "lookbackpercent": 0,
    "lookbackmonths": [False] * 12,
    "lookbackrange": 0,
    "demandratchetpercentage": [0] * 12,
    "coincidentratestructure": [],
    "usenetmetering": False,
    "fixedmonthlycharge": 0,
    "minmonthlycharge": 0,
    "annualmincharge": 0,
    "demandreactivepowercharge": 0,
    "energyattrs": [],
    "somethingelse": "text",
}
