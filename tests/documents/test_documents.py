"""A statement as HTML and PDF: what stands on paper, in which language."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest

from headend.billing.statement import (
    BillingDays,
    Contract,
    Corrected,
    EventUsed,
    InBank,
    PastPeak,
    PeriodUse,
    SeriesUsed,
    Statement,
    StatementLine,
    canonical_json,
    parse_statement,
)
from headend.documents import statement_html, statement_pdf, write_statement
from headend.documents.view import statement_view
from tests.billing.made import made_statement

pdftotext = pytest.mark.skipif(
    shutil.which("pdftotext") is None and "CI" not in os.environ, reason="pdftotext is not installed"
)


class Text(HTMLParser):
    """The words of a page, and its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def pdf_text(statement: Statement, folder: Path) -> str:
    path = folder / "statement.pdf"
    path.write_bytes(statement_pdf(statement))
    run = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True, timeout=30)
    return " ".join(run.stdout.decode().split())


GERMAN = [
    "Ihre Rechnung für Oktober 2026",
    "Zu zahlen",
    "119,00 €",
    "Bitte zahlen Sie bis zum 17. November 2026 und geben Sie A-1-2026-10-1 an.",
    "Jürgen & Søn",
    "310,000 kWh",
    "1 Monat",
    "1.000,000",
    "abgelesen",
    "E: 2 von 745 Intervallwerten (0,3 %) wurden geschätzt",
    "25 % mehr am Tag",
    "Stufe 2",
    "Tarif Home (home), Version abababababab",
]
ENGLISH = [
    "Your statement for October 2026",
    "Amount due",
    "€119.00",
    "Please pay by 17 November 2026, quoting A-1-2026-10-1.",
    "1–31 Oct 2026 (31 days)",
    "1,310.000",
    "calculated",
    "E: 2 of 745 interval reads (0.3%) were estimated",
    "10.0 kWh a day over 31 days",
    "25% more a day",
    "How to check this statement",
    "Marktplatz 1, 12345 Musterstadt",
]


@pytest.mark.parametrize(("locale", "words"), [("de_DE", GERMAN), ("en_GB", ENGLISH)])
def test_page_says_it_in_the_customers_language(locale: str, words: list[str]) -> None:
    text = Text(statement_html(made_statement(locale))).text
    assert [each for each in words if each not in text] == []


@pdftotext
@pytest.mark.parametrize(("locale", "words"), [("de_DE", GERMAN), ("en_GB", ENGLISH)])
def test_pdf_says_it_in_the_customers_language(locale: str, words: list[str], tmp_path: Path) -> None:
    text = pdf_text(made_statement(locale), tmp_path)
    # Text in two columns is interleaved line by line: short words only.
    assert [each for each in words if len(each.split()) < 5 and each not in text] == []


D = Decimal
LINES = (
    StatementLine("energy", "Spot", D("372.5"), "kWh", D("0.059283"), D("22.08"), None, None, mean=True),
    StatementLine("demand", "Demand", D("4.215"), "kW", D("12.50"), D("52.69"), None, None, estimated=D("4.215")),
    StatementLine("reactive", "Reactive", D("37.25"), "kvarh", D("0.013"), D("0.48"), None, None),
    StatementLine("percentage", "Discount", D("75.25"), "EUR", D("-0.17"), D("-12.79"), None, None),
    StatementLine("minimum", "Minimum", D("4.10"), "EUR", D("1"), D("4.10"), None, None),
    StatementLine("bank", "Bank", D("-28.80"), "EUR", D("1"), D("-28.80"), None, None),
    StatementLine("tax", "VAT", D("119.00"), "EUR", D("0.19"), D("19.00"), None, None, included=True),
)
DRAWN = {
    "en_GB": [
        (["Spot", "372.500 kWh", "mean €0.059283/kWh", "€22.08"], ""),
        (["Demand", "4.215 kW", "€12.50/kW", "€52.69"], "4.215 kW of it estimated"),
        (["Reactive", "37.250 kvarh", "€0.013/kvarh", "€0.48"], ""),
        (["Discount", "€75.25", "-17%", "-€12.79"], ""),
        (["Minimum", "", "", "€4.10"], ""),
        (["Bank", "", "", "-€28.80"], ""),
        (["VAT", "€100.00", "19%", "(€19.00)"], "contained in the prices, not added"),
    ],
    "de_DE": [
        (["Spot", "372,500 kWh", "im Mittel 0,059283 €/kWh", "22,08 €"], ""),
        (["Demand", "4,215 kW", "12,50 €/kW", "52,69 €"], "davon 4,215 kW geschätzt"),
        (["Reactive", "37,250 kvarh", "0,013 €/kvarh", "0,48 €"], ""),
        (["Discount", "75,25 €", "-17 %", "-12,79 €"], ""),
        (["Minimum", "", "", "4,10 €"], ""),
        (["Bank", "", "", "-28,80 €"], ""),
        (["VAT", "100,00 €", "19 %", "(19,00 €)"], "in den Preisen enthalten, nicht hinzugerechnet"),
    ],
}


@pytest.mark.parametrize("locale", DRAWN)
def test_every_kind_of_line_is_written_as_people_read_it(locale: str) -> None:
    statement = made_statement(locale)
    drawn = replace(statement, segments=(replace(statement.segments[0], lines=LINES),))
    (view,) = statement_view(drawn)["segments"]
    assert not any(row["heading"] for row in view["lines"]["rows"])
    plain = [([cell.replace("\u00a0", " ") for cell in row["cells"]], row["note"]) for row in view["lines"]["rows"]]
    assert [(cells, note.replace("\u00a0", " ")) for cells, note in plain] == DRAWN[locale]
    assert statement_pdf(drawn).startswith(b"%PDF")


def test_remarks_tell_of_bank_peaks_and_events() -> None:
    statement = made_statement("en_GB")
    told = replace(
        statement.segments[0],
        brought=InBank((PeriodUse("peak", "Peak", D("120.000")),), D("3.40")),
        carried=InBank((PeriodUse("peak", "Peak", D(1)), PeriodUse("rest", "Other hours", D("2.5")))),
        peaks=(PastPeak("2026-08", "Demand", D("10.000")),),
        events=(
            EventUsed("critical", datetime(2026, 10, 15, 15, tzinfo=UTC), datetime(2026, 10, 15, 18, tzinfo=UTC)),
            EventUsed("critical", datetime(2026, 10, 20, 20, tzinfo=UTC), datetime(2026, 10, 20, 22, tzinfo=UTC)),
        ),
        prices=(SeriesUsed("day-ahead", "12" * 32),),
    )
    changed = replace(statement, segments=(told,))
    text = Text(statement_html(changed)).text.replace("\u00a0", " ")
    for words in (
        "In your bank before this bill: Peak 120.000 kWh, €3.40.",
        "In your bank for the next bill: Peak 1.000 kWh, Other hours 2.500 kWh.",
        "Demand, August 2026, 10.000 kW.",
        "Events: critical 15 Oct 2026 17:00–20:00; critical 20 Oct 2026 22:00–21 Oct 2026 00:00.",
        f"Digest of the prices of day-ahead: {'12' * 32}.",
        "is taken off your use first.",
    ):
        assert words in text, words
    assert parse_statement(canonical_json(changed)) == changed


def test_page_is_self_contained_and_escapes_names() -> None:
    statement = made_statement("en_GB")
    hostile = replace(statement, customer=replace(statement.customer, name="<script>alert(1)</script>"))
    page = Text(statement_html(hostile))
    assert "<script>alert(1)</script>" in page.text
    assert {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object"} == set()
    assert [attributes for _, attributes in page.tags if attributes.keys() & {"src", "href", "onclick"}] == []


def test_chart_has_a_bar_a_day_and_hatches_the_estimated() -> None:
    page = Text(statement_html(made_statement()))
    bars = [attributes for tag, attributes in page.tags if tag == "rect" and "x" in attributes]
    assert len(bars) == 31
    assert [place + 1 for place, bar in enumerate(bars) if (bar["fill"] or "").startswith("url(#hatch")] == [3]


@pdftotext
@pytest.mark.parametrize("label", ["Nights", "Nights, weekends and public holidays of the whole country"])
def test_label_beside_a_bar_stands_above_the_next_however_long_it_is(label: str, tmp_path: Path) -> None:
    statement = made_statement("en_GB")
    periods = (PeriodUse("nights", f"{label} end", D(100)), PeriodUse("rest", "Thereafter", D(50)))
    drawn = replace(statement, segments=(replace(statement.segments[0], usage_by_period=periods),))
    path = tmp_path / "statement.pdf"
    path.write_bytes(statement_pdf(drawn))
    run = subprocess.run(["pdftotext", "-bbox", path, "-"], capture_output=True, check=True, timeout=30)
    words = re.findall(r'yMin="([\d.]+)" xMax="[\d.]+" yMax="([\d.]+)">(\w+)<', run.stdout.decode())
    (last,) = (float(y_max) for _, y_max, word in words if word == "end")
    (following,) = (float(y_min) for y_min, _, word in words if word == "Thereafter")
    assert following > last


def test_credit_is_not_something_to_pay() -> None:
    text = Text(statement_html(made_statement("en_GB", gross_sign=-1))).text
    assert "In your favour" in text
    assert "€119.00" in text
    assert "Please pay" not in text


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en_GB", "Nothing to pay."),
        ("de_DE", "Nichts zu zahlen."),
        ("es_ES", "Nada que pagar."),
        ("pt_PT", "Nada a pagar."),
        ("fr_FR", "Rien à payer."),
    ],
)
@pytest.mark.parametrize("due_on", [None, date(2026, 11, 17)])
def test_where_nothing_is_to_be_paid_no_day_is_named(locale: str, said: str, due_on: date | None) -> None:
    """Nor in a document that names one, as those did that were issued before."""
    made = made_statement(locale)
    totals = replace(made.totals, net=Decimal("0.00"), tax=Decimal("0.00"), gross=Decimal("0.00"))
    due = statement_view(replace(made, totals=totals, due_on=due_on))["due"]
    assert due["note"] == said


def left_early(locale: str = "en_GB", until: date | None = date(2026, 10, 9), *, contract: bool = True) -> Statement:
    """A bill of October up to the 9th, of a contract that lasts until that day, or as said."""
    whole = made_statement(locale)
    (segment,) = whole.segments
    told = Contract(date(2025, 1, 1), until, "") if contract else None
    segment = replace(segment, last=date(2026, 10, 9), days=9, daily=segment.daily[:9], contract=told)
    return replace(whole, last=segment.last, days=9, segments=(segment,))


@pytest.mark.parametrize(
    ("locale", "title"),
    [
        ("en_GB", "Your final bill for October 2026"),
        ("de_DE", "Ihre Schlussrechnung für Oktober 2026"),
        ("es_ES", "Su factura final de octubre de 2026"),
        ("pt_PT", "A sua fatura final de outubro de 2026"),
        ("fr_FR", "Votre facture de clôture – octobre 2026"),
    ],
)
def test_the_last_bill_of_who_moved_out_is_called_final(locale: str, title: str) -> None:
    made = replace(left_early(locale, contract=False), kind="final")
    page = statement_html(made)
    assert f"<title>{title} – A-1-2026-10-1</title>" in page
    assert title in Text(page).text
    # What a regular cycle billed of a contract that has ended in it is the last bill as well.
    assert statement_view(left_early(locale))["title"] == title


def test_a_bill_that_the_record_does_not_show_to_be_the_last_is_not_called_final() -> None:
    usual = "Your statement for October 2026"
    # Billed by another group from the 10th on: nothing has ended, or nothing is told of it.
    for other in (left_early(until=None), left_early(until=date(2026, 12, 31)), left_early(contract=False)):
        assert statement_view(other)["title"] == usual
    # A contract that ends with the month may be followed by another.
    whole = made_statement("en_GB")
    ends = replace(whole.segments[0], contract=Contract(date(2025, 1, 1), date(2026, 10, 31), ""))
    assert statement_view(replace(whole, segments=(ends,)))["title"] == usual
    # A period of a group of its own that ends with the contract.
    own = replace(left_early(), billing_days=BillingDays(date(2026, 9, 10), date(2026, 10, 9)))
    assert statement_view(own)["title"] == "Your statement for 10 Sept\u2009–\u20099 Oct 2026"
    # Of two contracts one goes on.
    two = replace(whole, segments=(left_early().segments[0], whole.segments[0]))
    assert statement_view(two)["title"] == usual


def test_corrections_of_a_final_bill_say_what_they_are() -> None:
    its = Corrected("A-1-2026-10-1", "ab" * 32, date(2026, 11, 3), "meter misread")
    titles = {
        kind: statement_view(replace(left_early(), kind=kind, corrects=its))["title"]
        for kind in ("cancellation", "rebill", "difference")
    }
    assert titles == {
        "cancellation": "Cancellation of your statement for October 2026",
        "rebill": "Your corrected final bill for October 2026",
        "difference": "Correction of your statement for October 2026",
    }


def test_draft_says_that_it_is_one(tmp_path: Path) -> None:
    draft = replace(made_statement("en_GB"), issued_at=None, issued_on=None, due_on=None)
    text = Text(statement_html(draft)).text
    assert "Draft: not issued" in text
    assert "Please pay" not in text
    assert statement_pdf(draft).startswith(b"%PDF")


def test_unknown_language_gets_english_words_and_its_own_numbers() -> None:
    view = statement_view(made_statement("sv_SE"))
    assert view["title"].startswith("Your statement for")
    assert view["due"]["amount"] == "119,00\u00a0kr".replace("kr", "€")


def test_month_without_use_can_be_drawn() -> None:
    statement = made_statement()
    (segment,) = statement.segments
    nothing = replace(
        segment,
        usage=segment.usage * 0,
        daily=tuple(replace(use, quantity=use.quantity * 0) for use in segment.daily),
        usage_by_period=(),
        usage_by_tier=(),
        previous=None,
        meters=(replace(segment.meters[0], opening=None, closing=None),),
    )
    empty = replace(statement, segments=(nothing,))
    assert "nicht bekannt" in statement_html(empty)
    assert statement_pdf(empty).startswith(b"%PDF")


def test_same_statement_same_bytes() -> None:
    statement = made_statement()
    first = statement_pdf(statement)
    statement_pdf(made_statement("en_GB"))
    assert statement_pdf(statement) == first


def test_many_threads_get_their_own_statement() -> None:
    statements = [made_statement(locale) for locale in ("de_DE", "en_GB", "fr_FR")] * 4
    alone = [statement_pdf(statement) for statement in statements]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(statement_pdf, statements)) == alone


def test_files_hold_the_record_itself(tmp_path: Path) -> None:
    document = canonical_json(made_statement())
    write_statement(document, tmp_path)
    assert (tmp_path / "A-1-2026-10-1.json").read_bytes() == document
    assert json.loads(document)["id"] == "A-1-2026-10-1"
    assert (tmp_path / "A-1-2026-10-1.pdf").read_bytes().startswith(b"%PDF")
    assert "119,00" in (tmp_path / "A-1-2026-10-1.html").read_text(encoding="utf-8")
