"""What a statement has to show: profiles, headings, and the same days of last year."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from headend.billing.approval import approve, issue
from headend.billing.columns import column, each_of
from headend.billing.profiles import Profile, RequiredItem, StatementRules, Typical
from headend.billing.run import rate_cycle
from headend.billing.statement import (
    Comparison,
    Contacts,
    Contract,
    EnergyMix,
    EnergySource,
    Statement,
    StatementLine,
    TypicalUse,
    canonical_json,
    parse_statement,
)
from headend.config import checked, load_settings, read_toml, shipped
from headend.errors import BillingConflict, InvalidConfig
from headend.office import office_of, statement_rules
from headend.reads import Quality
from tests.billing.made import made_statement
from tests.billing.town import IMPORT, Town

D = Decimal
OCTOBER = "2026-10"
CONTACTS = Contacts(
    phone="+49 351 1",
    email="service@example.org",
    registered="Amtsgericht, HRB 1",
    ombudsman="Ombudsman, 1 Street",
    regulator="Regulator, 2 Street",
    advice="Advice",
    switching="Switching",
    comparison="Compare",
    metering_operator="Metering",
    network_operator="9900",
)
MIX = EnergyMix(2025, (EnergySource("renewables", D("61.2")), EnergySource("coal", D("38.8"))), D(286), D("0.0001"))


def shipped_profile(name: str) -> Profile:
    return Profile.model_validate(read_toml(shipped(f"profiles/{name}.toml")))


def full_statement() -> Statement:
    """One that has everything any profile asks for, but headings."""
    statement = made_statement("en_GB")
    segment = replace(
        statement.segments[0],
        last_year=Comparison(date(2025, 10, 1), date(2025, 10, 31), 31, D("402.5")),
        contract=Contract(date(2025, 1, 1), None, "six weeks"),
        typical=TypicalUse("2 persons", D(2900)),
    )
    return replace(statement, utility=replace(statement.utility, contacts=CONTACTS, mix=MIX), segments=(segment,))


def keys(profile: Profile, statement: Statement, *, older: bool = True) -> list[str]:
    return [item.key for item in profile.missing(statement, [older] * len(statement.segments))]


@pytest.mark.parametrize("name", ["generic", "eu-2019-944", "enwg-40"])
def test_full_statement_lacks_nothing(name: str) -> None:
    assert keys(shipped_profile(name), full_statement()) == []


def without(statement: Statement, what: str) -> Statement:
    utility, (segment,) = statement.utility, statement.segments
    changed: dict[str, Statement] = {
        "due": replace(statement, due_on=None),
        "phone": replace(statement, utility=replace(utility, contacts=replace(CONTACTS, phone=""))),
        "contacts": replace(statement, utility=replace(utility, contacts=None)),
        "mix": replace(statement, utility=replace(utility, mix=None)),
        "opening": replace(
            statement,
            segments=(replace(segment, meters=(segment.meters[0], replace(segment.meters[0], opening=None))),),
        ),
        "last_year": replace(statement, segments=(replace(segment, last_year=None),)),
        "notice": replace(statement, segments=(replace(segment, contract=Contract(date(2025, 1, 1), None, "")),)),
        "lines": replace(statement, segments=(replace(segment, lines=()),)),
        "address": replace(statement, utility=replace(utility, address=())),
    }
    return changed[what]


EU_CONTACTS = ["supplier", "switching", "disputes", "contact_point", "comparison_tool", "advice"]


@pytest.mark.parametrize(
    ("profile", "what", "lacks"),
    [
        ("generic", "due", ["amount"]),
        ("generic", "lines", ["prices"]),
        ("generic", "address", ["parties"]),
        ("generic", "contacts", []),
        ("eu-2019-944", "due", ["due"]),
        ("eu-2019-944", "phone", ["supplier"]),
        ("eu-2019-944", "contacts", EU_CONTACTS),
        ("eu-2019-944", "mix", ["energy_sources"]),
        ("eu-2019-944", "last_year", ["last_year"]),
        ("enwg-40", "opening", ["zaehlerstand"]),
        ("enwg-40", "notice", ["kuendigung"]),
        ("enwg-40", "last_year", ["vorjahr"]),
    ],
)
def test_what_is_taken_away_is_missed(profile: str, what: str, lacks: list[str]) -> None:
    assert keys(shipped_profile(profile), without(full_statement(), what)) == lacks


def test_bills_alike_of_which_one_lacks_what_a_path_chooses_are_not_taken_for_full() -> None:
    """The second meter of the second bill measures import too, and its register is not known."""
    item = RequiredItem(key="x", what="x", source="x", paths=("segments[].meters[channel=1-0:1.8.0].opening.value",))
    statement = full_statement()
    (segment,) = statement.segments
    other = replace(segment.meters[0], channel=column(["1-0:2.8.0", "1-0:1.8.0"]), opening=None)
    form = replace(statement, segments=(replace(segment, meters=(segment.meters[0], other)),))
    assert [item.is_in(each, [True]) for each in each_of(form, 2)] == [True, False]
    assert not item.is_in(form, [True])


def test_new_customer_has_no_last_year_to_be_compared_with() -> None:
    statement = without(full_statement(), "last_year")
    assert keys(shipped_profile("eu-2019-944"), statement, older=False) == []


def test_water_needs_no_energy_mix() -> None:
    statement = without(full_statement(), "mix")
    water = replace(statement, segments=(replace(statement.segments[0], commodity="water"),))
    assert keys(shipped_profile("eu-2019-944"), water) == []


def line(label: str, kind: str = "energy") -> StatementLine:
    return StatementLine(kind, label, D(1), "kWh", D("0.1"), D("0.10"), None, None)


def test_lines_go_under_the_headings_of_ontario_in_their_order(town: Town) -> None:
    agreement = _agreement(town)
    rules = StatementRules(shipped_profile("ontario-275-04"))
    statement = made_statement("en_CA")
    lines = (
        line("HST 13 %", "tax"),
        line("Regulatory charges", "energy"),
        line("Delivery, fixed", "standing"),
        line("On-peak"),
        line("Distribution"),
        line("Any other energy"),
    )
    (segment,) = statement.segments
    mine = replace(segment, agreement=agreement.id, lines=lines)
    shown = rules.shown(replace(statement, segments=(mine,)), [rules.contract(agreement)])
    assert [(each.heading, each.label) for each in shown.segments[0].lines] == [
        ("Electricity", "On-peak"),
        ("Electricity", "Any other energy"),
        ("Delivery", "Delivery, fixed"),
        ("Delivery", "Distribution"),
        ("Regulatory charges", "Regulatory charges"),
        (None, "HST 13 %"),
    ]
    assert keys(rules.default, shown) == []
    lacks = replace(mine, lines=(lines[0], lines[3]))
    shown = rules.shown(replace(statement, segments=(lacks,)), [rules.contract(agreement)])
    assert keys(rules.default, shown) == ["delivery", "regulatory"]
    assert parse_statement(canonical_json(shown)) == shown


def _agreement(town: Town) -> Any:
    town.account("Ada", {"tariff": "flat"})
    with town.database.read() as tx:
        (found,) = town.office.records(tx).agreements()
    return found


def test_new_parts_stand_only_where_they_are_set() -> None:
    plain = json.loads(canonical_json(made_statement()))
    assert sorted(plain["utility"]) == ["address", "name"]
    assert plain["segments"][0].keys().isdisjoint({"last_year", "contract", "typical"})
    assert all("heading" not in each for each in plain["segments"][0]["lines"])
    full = full_statement()
    told = json.loads(canonical_json(full))["utility"]
    assert "website" not in told["contacts"]
    assert told["mix"]["co2"] == "286"
    assert parse_statement(canonical_json(full)) == full


def under(town: Town, profile: str, **other: Any) -> None:
    rules = StatementRules(shipped_profile(profile), **other)
    town.office = office_of(replace(town.site, paper=rules))


def test_statement_that_lacks_an_item_is_an_exception_and_cannot_be_issued(flat: Town) -> None:
    under(flat, "eu-2019-944", contacts=replace(CONTACTS, phone=""), mix=MIX, waived=frozenset({"last_year"}))
    cycle = rate_cycle(flat.office, OCTOBER, "monthly", "ann")
    assert (cycle.totals.billed, cycle.totals.excepted) == (0, 1)
    refused = flat.exceptions()["Ada"]
    assert refused.code == "required_item"
    assert refused.detail == (
        "Directive (EU) 2019/944, Annex I requires: name and contact details of the supplier, with telephone and e-mail"
        " address (supplier: Annex I, 1.2 (b)); comparison with an average customer of the same kind (typical_use:"
        " Annex I, 1.3 (c))"
    )
    typical = (Typical("electricity", "residential", TypicalUse("2 persons", D(2900))),)
    under(flat, "eu-2019-944", contacts=CONTACTS, mix=MIX, waived=frozenset({"last_year"}), typical=typical)
    (segment,) = flat.bill()["Ada"].segments
    assert segment.contract == Contract(date(2025, 1, 1), None, "")
    assert segment.typical == typical[0].use
    assert flat.statements()["Ada"].utility.contacts == CONTACTS


def test_settings_changed_after_rating_stop_approval(flat: Town) -> None:
    rate_cycle(flat.office, OCTOBER, "monthly", "ann")
    under(flat, "eu-2019-944")
    with pytest.raises(BillingConflict, match="have changed since"):
        approve(flat.office, OCTOBER, "monthly", "ann")
    assert flat.statements()["Ada"].issued_on is None


def test_each_class_has_its_profile(flat: Town) -> None:
    rules = StatementRules(shipped_profile("generic"), {"residential": shipped_profile("enwg-40")})
    flat.office = office_of(replace(flat.site, paper=rules))
    rate_cycle(flat.office, OCTOBER, "monthly", "ann")
    assert flat.exceptions()["Ada"].detail.startswith("EnWG § 40 requires: ")


# -- last year --


def a_year_ago(town: Town, value: int = 400, **other: Any) -> None:
    town.reads("E-1", value, first=date(2025, 9, 30), last=date(2025, 11, 1), **other)


def test_same_month_of_last_year_is_compared(flat: Town) -> None:
    a_year_ago(flat)
    # October has 745 hours in Berlin.
    assert flat.bill()["Ada"].segments[0].last_year == Comparison(
        date(2025, 10, 1), date(2025, 10, 31), 31, D("298.000")
    )


def test_last_year_with_a_hole_is_not_compared(flat: Town) -> None:
    a_year_ago(flat)
    flat.set("E-1", datetime(2025, 10, 9, 12, tzinfo=UTC), quality=Quality.MISSING)
    assert flat.bill()["Ada"].segments[0].last_year is None


def test_last_year_was_counted_by_the_meter_that_hung_there_then(town: Town) -> None:
    change = datetime(2026, 3, 1, tzinfo=UTC)
    town.account("Ada", {"tariff": "flat"})
    town.meter("E-1", "Ada", IMPORT, removed=change)
    town.meter("E-2", "Ada", IMPORT, installed=change)
    town.reads("E-2")
    a_year_ago(town)
    last_year = town.bill()["Ada"].segments[0].last_year
    assert last_year is not None
    assert last_year.quantity == D("298.000")


def test_agreement_that_is_younger_than_a_year_is_not_compared(town: Town) -> None:
    town.account("Ada", {"tariff": "flat", "valid_from": "2025-10-02"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1")
    a_year_ago(town)
    assert town.bill()["Ada"].segments[0].last_year is None


# -- data and settings --


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"paths": ["segments[.x"]}, "items.0.paths.0"),
        ({"paths": []}, "items.0.paths"),
        ({"key": "Not a key"}, "items.0.key"),
        ({"extra": 1}, "items.0.extra"),
        ({"source": ""}, "items.0.source"),
    ],
)
def test_profile_with_a_fault_is_refused_with_its_place(change: dict[str, Any], where: str) -> None:
    item = {"key": "due", "what": "due date", "source": "1", "paths": ["due_on"], **change}
    with pytest.raises(InvalidConfig) as refused:
        checked("mine.toml", lambda: Profile.model_validate({"name": "Mine", "law": "", "items": [item]}))
    assert refused.value.where.startswith(f"mine.toml: {where}")


def test_two_items_cannot_have_one_key() -> None:
    item = {"key": "due", "what": "due date", "source": "1", "paths": ["due_on"]}
    with pytest.raises(InvalidConfig, match="a key of its own"):
        checked("mine.toml", lambda: Profile.model_validate({"name": "Mine", "law": "", "items": [item, item]}))


def test_settings_name_profiles_and_contacts(tmp_path: Path) -> None:
    config = tmp_path / "headend.toml"
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.toml").write_text(
        'name = "Mine"\nlaw = ""\n[[items]]\nkey = "due"\nwhat = "due date"\nsource = "1"\npaths = ["due_on"]\n',
        encoding="utf-8",
    )
    config.write_text(
        '[statement]\nprofile = "mine"\nprofiles = { commercial = "generic" }\nwaived = ["due"]\n'
        "[statement.mix]\nyear = 2025\nsources = { renewables = 60.5, coal = 39.5 }\nco2_g_per_kwh = 286\n"
        '[[statement.typical]]\ncommodity = "electricity"\ncustomer_class = "residential"\n'
        'label = "2 persons"\na_year = 2900\n[contacts]\nphone = "1"\n',
        encoding="utf-8",
    )
    rules = statement_rules(load_settings(config), config)
    assert (rules.default.name, rules.profile_of("commercial").name) == ("Mine", "Generic")
    assert (rules.contacts, rules.waived) == (Contacts(phone="1"), {"due"})
    assert rules.mix == EnergyMix(
        2025, (EnergySource("renewables", D("60.5")), EnergySource("coal", D("39.5"))), D(286)
    )
    assert rules.typical[0].use == TypicalUse("2 persons", D(2900))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[statement]\nprofile = "unknown"\n', "statement.profile"),
        ('[statement]\nwaived = ["nothing"]\n', "statement.waived: found 'nothing'"),
        ("[statement.mix]\nyear = 2025\nsources = { coal = 50 }\n", "50 % together"),
        ('[statement]\nprofile = "../secret"\n', "statement.profile"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    config = tmp_path / "headend.toml"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidConfig) as refused:
        statement_rules(load_settings(config), config)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_issue_keeps_what_was_checked(flat: Town) -> None:
    rate_cycle(flat.office, OCTOBER, "monthly", "ann")
    approve(flat.office, OCTOBER, "monthly", "ann")
    issue(flat.office, OCTOBER, "monthly", "bob")
    statement = flat.statements()["Ada"]
    assert keys(shipped_profile("generic"), statement) == []
