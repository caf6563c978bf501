"""How fast statements are drawn: `python -m benchmarks.statements [--quick]`.

One home's month after another: other reads, days, amounts and names on each, as in a cycle; one core, processor time.
Beside it stands what the same compiler needs for less: for a page with nothing but the number, for the head and summary
alone, and for the same statement again and again, where nothing is laid out and what remains is to write the file: no
statement can be faster than that. And what it needs if it finds nothing again, because statements come to it as inputs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import typst

import headend.documents.pdf as drawn
from benchmarks.table import show
from headend.billing.statement import (
    Comparison,
    Customer,
    DayUse,
    MeterReads,
    PeriodUse,
    RegisterRead,
    Segment,
    Statement,
    StatementLine,
    TariffVersion,
    TierUse,
    Utility,
    totals_of,
)
from headend.documents import statement_html, statement_pdf
from headend.documents.view import statement_view

_BEGIN, _END = datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC)
_AS_FILE, _AS_INPUT = 'json("view.json")', "json(bytes(sys.inputs.view))"
_LOCALES = ("de_DE", "en_GB", "es_ES", "pt_PT", "fr_FR")


def statement(number: int) -> Statement:
    """October 2026 of home `number`."""
    days = [Decimal(7_000 + (number * 911 + day * 577) % 6_000).scaleb(-3) for day in range(31)]
    use = sum(days, Decimal(0))
    peak = (use * 3 / 10).quantize(Decimal("0.001"))
    energy = (use * Decimal("0.31")).quantize(Decimal("0.01"))
    net = energy + Decimal("11.90")
    tax = (net * Decimal("0.19")).quantize(Decimal("0.01"))
    lines = (
        StatementLine("energy", "Energy", use, "kWh", Decimal("0.31"), energy, None, 1),
        StatementLine(
            "standing", "Standing charge", Decimal(1), "month", Decimal("11.90"), Decimal("11.90"), None, None
        ),
        StatementLine("tax", "VAT 19 %", net, "EUR", Decimal("0.19"), tax, None, None),
    )
    opening = Decimal(1_000 + number)
    meter = MeterReads(
        f"E-{number}",
        "1-0:1.8.0",
        RegisterRead(_BEGIN, opening, "read"),
        RegisterRead(_END, opening + use, "calculated"),
        use,
    )
    segment = Segment(
        agreement=f"A-{number}/UP-{number}/electricity/2025-01-01",
        usage_point=f"UP-{number}",
        address=f"Lindenweg {number}, 12345 Musterstadt",
        commodity="electricity",
        unit="kWh",
        timezone="Europe/Berlin",
        first=date(2026, 10, 1),
        last=date(2026, 10, 31),
        days=31,
        tariff=TariffVersion("home", "Home", "ab" * 32),
        meters=(meter,),
        usage=use,
        export=None,
        usage_by_period=(PeriodUse("peak", "Peak", peak), PeriodUse("rest", "Other hours", use - peak)),
        usage_by_tier=(TierUse(1, Decimal(200)), TierUse(2, use - 200)),
        lines=lines,
        intervals=745,
        estimated_intervals=number % 3,
        daily=tuple(DayUse(date(2026, 10, 1) + timedelta(days=i), day, False) for i, day in enumerate(days)),
        reads_sha256=f"{number:064x}",
        previous=None,
        currency="EUR",
        net=net,
        tax=tax,
        gross=net + tax,
        last_year=Comparison(date(2025, 10, 1), date(2025, 10, 31), 31, use + number % 50),
    )
    locale = _LOCALES[number % len(_LOCALES)]
    return Statement(
        id=f"A-{number}-2026-10-1",
        utility=Utility("Musterstadt Utilities", ("Marktplatz 1", "12345 Musterstadt")),
        customer=Customer(f"A-{number}", f"Customer {number}", segment.address, "residential", locale),
        cycle="monthly",
        period="2026-10",
        revision=1,
        timezone="Europe/Berlin",
        first=segment.first,
        last=segment.last,
        days=31,
        segments=(segment,),
        totals=totals_of((segment,)),
        issued_at=datetime(2026, 11, 3, 9, tzinfo=UTC),
        issued_on=date(2026, 11, 3),
        due_on=date(2026, 11, 17),
        previous_sha256=f"{number + 1:064x}",
    )


def timed(draw: Callable[[Statement], object], statements: list[Statement]) -> float:
    """Processor time a statement [ms], the best of three rounds; the first few warm it up."""
    for each in statements[:5]:
        draw(each)
    rounds = []
    third = len(statements) // 3
    for begin in range(0, 3 * third, third):
        started = time.process_time()
        for each in statements[begin : begin + third]:
            draw(each)
        rounds.append((time.process_time() - started) / third * 1_000)
    return min(rounds)


def part_of_template(text: str, folder: Path) -> Callable[[Statement], object]:
    """Draws with a part of the template, kept in a file of `folder`."""
    file = folder / f"{len(text)}.typ"
    file.write_text(text, encoding="utf-8")
    compiler = typst.Compiler(file, root=folder, ignore_system_fonts=True)

    def draw(each: Statement) -> object:
        view = json.dumps(statement_view(each), ensure_ascii=False)
        if _AS_INPUT in text:
            return compiler.compile(format="pdf", sys_inputs={"view": view}, timestamp=0)
        (folder / "view.json").write_text(view, encoding="utf-8")
        return compiler.compile(format="pdf", timestamp=0)

    return draw


def main(quick: bool = False) -> None:
    """Print the table."""
    statements = [statement(number) for number in range(1, 61 if quick else 301)]
    numbered = [replace(statements[0], id=f"A-{number}") for number in range(len(statements))]
    template = (Path(drawn.__file__).parent / "statement.typ").read_text(encoding="utf-8")
    head, _, _ = template.partition("// ---- one part for each service")
    empty = f"#let bill = {_AS_FILE}\n#bill.id"
    if _AS_FILE not in template:
        raise ValueError(f"statement.typ: the view is not read by {_AS_FILE}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        ways = [
            ("PDF, every statement another", statement_pdf, statements),
            ("PDF, another number alone", statement_pdf, numbered),
            ("PDF, nothing another: the file alone", statement_pdf, statements[:1] * len(statements)),
            ("… given as an input", part_of_template(template.replace(_AS_FILE, _AS_INPUT), folder), statements),
            ("… head and summary alone", part_of_template(head, folder), statements),
            ("… a page with its number alone", part_of_template(empty, folder), statements),
            ("HTML", statement_html, statements),
            ("words and numbers (in all of them)", statement_view, statements),
        ]
        rows = _timed_ways(ways)
    show(f"{len(statements)} statements in five languages, one core", ("drawn", "ms each", "a second"), rows)


def _timed_ways(
    ways: Sequence[tuple[str, Callable[[Statement], object], list[Statement]]],
) -> list[tuple[str, str, str]]:
    rows = []
    for name, draw, drawn_of in ways:
        taken = timed(draw, drawn_of)
        rows.append((name, f"{taken:.1f}", f"{1_000 / taken:,.0f}"))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer statements")
    main(parser.parse_args().quick)
