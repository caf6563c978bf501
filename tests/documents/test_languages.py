"""Every language says everything, in its own words, numbers and plurals."""

from __future__ import annotations

import string
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from babel.numbers import format_currency, format_decimal, parse_pattern

from headend.billing.statement import (
    Comparison,
    Contacts,
    Contract,
    EnergyMix,
    EnergySource,
    Statement,
    TypicalUse,
)
from headend.documents import statement_html, statement_pdf
from headend.documents.texts import ENGLISH, LANGUAGES
from headend.documents.view import Writer, statement_view
from tests.billing.made import made_statement

D = Decimal
OTHERS = [language for language in LANGUAGES if language != "en"]
#: Spelt alike in English and another language, or a mere sign.
ALIKE = {"E", "{day}: {quantity}", "{source} {percent}", "Gas", "Total", "Volume", "Item", "Service", "Period", "Name"}


def names(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_there_with_the_same_blanks(language: str) -> None:
    texts = LANGUAGES[language]
    assert list(texts.keys() ^ ENGLISH.keys()) == []
    assert [key for key in ENGLISH if names(texts[key]) != names(ENGLISH[key])] == []
    assert [key for key in texts if not texts[key].strip()] == []


@pytest.mark.parametrize("language", OTHERS)
def test_no_english_text_is_left(language: str) -> None:
    texts = LANGUAGES[language]
    assert {texts[key] for key in ENGLISH if texts[key] == ENGLISH[key]} - ALIKE - _alike(language) == set()


def _alike(language: str) -> set[str]:
    return {"es": {"gas"}, "pt": set[str](), "fr": {"Page"}, "de": set[str]()}[language] | {"nuclear"}


def test_singulars_belong_to_a_text() -> None:
    assert [key for key in ENGLISH if key.endswith("_one") and key.removesuffix("_one") not in ENGLISH] == []


def whole(locale: str) -> Statement:
    statement = made_statement(locale)
    contacts = Contacts(phone="1", complaints="Desk 7", ombudsman="Ombudsman 8", regulator="Regulator 9")
    mix = EnergyMix(2025, (EnergySource("renewables", D("61.2")), EnergySource("Peat", D("38.8"))), D("286.5"))
    segment = replace(
        statement.segments[0],
        last_year=Comparison(date(2025, 10, 1), date(2025, 10, 31), 31, D("387.5")),
        contract=Contract(date(2025, 1, 1), date(2026, 12, 31), "6 w"),
        typical=TypicalUse("2 p", D(2920)),
    )
    return replace(statement, utility=replace(statement.utility, contacts=contacts, mix=mix), segments=(segment,))


SAID = {
    "en_GB": ("€119.00", "31 days", "20% less a day", "8.0 kWh a day, 2,920 kWh a year", "61.2%"),
    "de_DE": ("119,00 €", "31 Tage", "20 % weniger am Tag", "8,0 kWh am Tag, 2.920 kWh im Jahr", "61,2 %"),
    "es_ES": ("119,00 €", "31 días", "20 % menos al día", "8,0 kWh al día, 2920 kWh al año", "61,2 %"),
    "pt_PT": ("119,00 €", "31 dias", "20% menos por dia", "8,0 kWh por dia, 2920 kWh por ano", "61,2%"),
    "pt_BR": ("€ 119,00", "31 dias", "20% menos por dia", "8,0 kWh por dia, 2.920 kWh por ano", "61,2%"),
    "fr_FR": ("119,00 €", "31 jours", "20 % de moins par jour", "8,0 kWh par jour, 2 920 kWh par an", "61,2 %"),
}


@pytest.mark.parametrize("locale", SAID)
def test_numbers_are_those_of_the_locale(locale: str) -> None:
    text = statement_html(whole(locale)).replace("\u00a0", " ").replace("\u202f", " ")
    lacking = [words for words in SAID[locale] if words not in text]
    # Spanish and Portuguese group from five digits on; what babel knows of it decides.
    assert [words for words in lacking if "2920" not in words] == []


@pytest.mark.parametrize("locale", ["de_DE", "de_CH", "en_GB", "en_IN", "es_ES", "pt_PT", "pt_BR", "fr_FR", "sv_SE"])
def test_numbers_are_written_as_babel_writes_them(locale: str) -> None:
    digits = ["0", "-0", "1E-9", "1E+3", "2920", "0.0005", "0.0015", "-1234567.8905", "999.9995", "12345678.123456789"]
    patterns = ("#,##0.000", "#,##0.###", "#,##0.000###", "#,##0.0#")
    writer = Writer(locale, "EUR")
    for number, pattern in product(map(D, digits), patterns):
        told = format_decimal(number, pattern, locale=writer.locale)
        assert writer.number(number, parse_pattern(pattern)) == told, (number, pattern)


#: Grouped by three, grouped otherwise, with a sign of its own, written before or behind.
@pytest.mark.parametrize("locale", ["de_DE", "en_GB", "es_ES", "pt_PT", "pt_BR", "fr_CA", "hi_IN", "sv_SE", "de_CH"])
@pytest.mark.parametrize("currency", ["EUR", "CHF", "JPY", "KWD"])
def test_amounts_are_written_as_babel_writes_them(locale: str, currency: str) -> None:
    writer = Writer(locale, currency)
    for amount in map(D, ("0", "-0.00", "0.005", "0.015", "7", "-12.5", "999.995", "1234.5", "-1234567.89", "1E+9")):
        assert writer.money(amount) == format_currency(amount, currency, locale=writer.locale), amount


def words_of(view: Any) -> list[str]:
    if isinstance(view, dict):
        return [word for each in view.values() for word in words_of(each)]
    if isinstance(view, list | tuple):
        return [word for each in view for word in words_of(each)]
    return [view] if isinstance(view, str) else []


@pytest.mark.parametrize("locale", ["de_DE", "es_ES", "pt_PT", "fr_FR"])
def test_no_english_stands_on_the_page(locale: str) -> None:
    said = " ".join(words_of(statement_view(whole(locale)))).casefold().split()
    english = {"the", "of", "and", "your", "you", "month", "day", "days", "reads", "statement", "use", "with", "amount"}
    assert english & set(said) == set()


@pytest.mark.parametrize(
    ("locale", "days", "said"),
    [
        ("en_GB", 1, "1 day"),
        ("de_DE", 1, "1 Tag"),
        ("es_ES", 1, "1 día"),
        ("fr_FR", 1, "1 jour"),
        ("pt_PT", 1, "1 dia"),
        ("fr_FR", 2, "2 jours"),
    ],
)
def test_one_day_is_not_days(locale: str, days: int, said: str) -> None:
    statement = made_statement(locale)
    (segment,) = statement.segments
    short = replace(statement, days=days, segments=(replace(segment, days=days, estimated_intervals=1),))
    view = statement_view(short)
    assert view["segments"][0]["days"].endswith(f"({said})")


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("pt_PT", ("1 dia", "1 mês", "2 meses", "2 anos")),
        ("pt_BR", ("1 dia", "1 mês", "2 meses", "2 anos")),
        ("fr_CA", ("1 jour", "1 mois", "2 mois", "2 ans")),
        ("de_DE", ("1 Tag", "1 Monat", "2 Monate", "2 Jahre")),
        ("es_ES", ("1 día", "1 mes", "2 meses", "2 años")),
    ],
)
def test_days_months_and_years_have_their_names(locale: str, said: tuple[str, ...]) -> None:
    writer = Writer(locale, "EUR")
    asked = [(D(1), "day"), (D(1), "month"), (D(2), "month"), (D(2), "year")]
    assert tuple(writer.quantity(number, unit).replace("\u00a0", " ") for number, unit in asked) == said


def test_complaints_go_to_whom_the_settings_name() -> None:
    (_, (_, told)) = statement_view(whole("en_GB"))["notes"]
    assert told.startswith("Write to Desk 7, and quote statement A-1-2026-10-1.")
    assert "Ombudsman 8, or to Regulator 9" in told
    view = statement_view(whole("en_GB"))
    assert view["contacts"]["rows"] == [("Telephone", "1")]


@pytest.mark.parametrize("locale", SAID)
@pytest.mark.parametrize("sign", [1, -1])
def test_every_language_can_be_printed(locale: str, sign: int) -> None:
    assert statement_pdf(made_statement(locale, gross_sign=sign)).startswith(b"%PDF")
    assert statement_pdf(whole(locale)).startswith(b"%PDF")


def test_lines_under_headings_have_their_sum() -> None:
    statement = made_statement("fr_CA")
    (segment,) = statement.segments
    heads = ("Electricity", "Delivery", None)
    lines = tuple(replace(line, heading=head) for line, head in zip(segment.lines, heads, strict=True))
    (view,) = statement_view(replace(statement, segments=(replace(segment, lines=lines),)))["segments"]
    rows = [
        (row["cells"][0], row["cells"][3].replace("\u00a0", " ")) for row in view["lines"]["rows"] if row["heading"]
    ]
    assert rows == [("Electricity", "88,10 €"), ("Delivery", "11,90 €"), ("Autres postes", "19,00 €")]
