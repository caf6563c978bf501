"""What a statement says, in the customer's language and number format: the one view that HTML and PDF draw.

Everything is text that stands as it is on paper, or a share between 0 and 1 for something drawn. A template only lays
out; it knows no number, no date and no word of any language.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from typing import Any, Literal

from babel import Locale
from babel.dates import format_date, format_interval, format_skeleton
from babel.numbers import (
    NumberPattern,
    format_currency,
    format_percent,
    get_currency_precision,
    get_decimal_symbol,
    get_group_symbol,
    parse_pattern,
)
from babel.units import format_unit

from headend.billing.backbilling import KIND
from headend.billing.statement import (
    Contacts,
    Contract,
    EnergyMix,
    InBank,
    MeterReads,
    RegisterRead,
    Segment,
    Statement,
    StatementLine,
    Utility,
)
from headend.documents.texts import LANGUAGES, locale_named, texts_of
from headend.reads import Channel
from headend.reads.days import Period, zone_named

#: What stands beside a meter that does not count use.
_COUNTS = {"1-0:2.8.0": "fed_in", "1-0:3.8.0": "reactive"}
#: Reads are whole Wh, dm³ or litre, so three places show a quantity in full.
_THREE_PLACES = parse_pattern("#,##0.000")
_AS_IT_IS = parse_pattern("#,##0.###")
_SIX_PLACES = parse_pattern("#,##0.000###")
_TWO_PLACES = parse_pattern("#,##0.0#")
_FIVE_PLACES = parse_pattern("#,##0.#####")
_DAYS_OF_A_YEAR = 365
#: Whom a customer can turn to, in this order, and the word for each.
_CONTACTS = {
    "phone": "phone",
    "email": "email",
    "website": "website",
    "registered": "register",
    "complaints": "complaints",
    "ombudsman": "ombudsman",
    "regulator": "regulator",
    "advice": "advice",
    "switching": "switching",
    "comparison": "comparison_tool",
    "metering_operator": "metering_operator",
    "network_operator": "network_operator",
}

View = dict[str, Any]


def statement_view(statement: Statement) -> View:
    """The view of a statement, ready to draw (also as JSON)."""
    return Writer(statement.customer.locale, statement.totals.currency).statement(statement)


class Writer:
    """Writes in one language and one currency."""

    def __init__(self, locale: str, currency: str) -> None:
        self.locale = locale_named(locale)
        self.currency = currency
        self.texts = texts_of(self.locale.language)
        self.signs = _signs(self.locale)
        self.around = _around_amounts(self.locale, currency)

    def text(self, key: str, **values: object) -> str:
        return self.texts[key].format(**values)

    def counted(self, key: str, number: int, **values: object) -> str:
        """A text that has a singular, in the form the number asks for."""
        one = f"{key}_one"
        return self.text(one if self.locale.plural_form(number) == "one" else key, **values)

    def money(self, amount: Decimal) -> str:
        around = self.around[amount.is_signed()]
        if around is None:
            return format_currency(amount, self.currency, locale=self.locale)
        before, after, places = around
        return f"{before}{f'{abs(amount):,.{places}f}'.translate(self.signs)}{after}"

    def number(self, number: Decimal, pattern: NumberPattern = _AS_IT_IS) -> str:
        least, most = pattern.frac_prec
        whole, point, places = f"{number:,.{most}f}".partition(".")
        places = places.rstrip("0").ljust(least, "0")
        return f"{whole}{point}{places}".translate(self.signs) if places else whole.translate(self.signs)

    def percent(self, share: Fraction) -> str:
        # The smallest share that is not zero must not look like none.
        per_mille = max(Decimal(round(share * 1000)), Decimal(1 if share else 0))
        return self.rate(per_mille / 1000)

    def rate(self, share: Decimal) -> str:
        pattern: str = self.locale.percent_formats[None].pattern
        return format_percent(share, pattern.replace("0", "0.######", 1), locale=self.locale)

    def quantity(self, number: Decimal, unit: str, pattern: NumberPattern = _THREE_PLACES) -> str:
        if unit in ("day", "month", "year"):
            # Six places, so that a part of a month or year × its price is the amount beside it.
            name, places = f"duration-{unit}", "#,##0.######"
            written = format_unit(number, name, "long", places, locale=self.locale)
            # Portuguese and Italian write the unit out in their short form alone: what babel lacks stands as its key.
            return format_unit(number, name, "short", places, locale=self.locale) if name in written else written
        return f"{self.number(number, pattern)}\u00a0{unit}"

    def per_day(self, quantity: Decimal, days: int, unit: str) -> str:
        return f"{self.number(quantity / days, _TWO_PLACES)}\u00a0{unit}"

    def day(self, day: date, length: Literal["long", "medium", "short"] = "long") -> str:
        return _day(day, length, self.locale)

    def month(self, day: date) -> str:
        return format_skeleton("yMMMM", day, locale=self.locale)

    def days(self, first: date, last: date) -> str:
        return format_interval(first, last, "yMMMd", locale=self.locale)

    def statement(self, s: Statement) -> View:
        language = self.locale.language
        facts = [(self.text("statement_no"), s.id), (self.text("account_no"), s.customer.account)]
        if s.issued_on is not None:
            facts.append((self.text("issued"), self.day(s.issued_on)))
        facts.append(
            (self.text("period"), f"{self.days(s.first, s.last)} ({self.counted('days', s.days, days=s.days)})")
        )
        return {
            "language": language if language in LANGUAGES else "en",
            "title": self.text(_title_of(s), month=self._period(s)),
            "correction": self._correction(s),
            "draft": self.text("draft") if s.issued_on is None else None,
            "utility": {"name": s.utility.name, "address": list(s.utility.address)},
            "customer": {"name": s.customer.name, "address": _lines(s.customer.address)},
            "id": s.id,
            "facts": facts,
            "due": self._due(s),
            "summary": self._summary(s),
            "budget": self._budget(s),
            "segments": [self._segment(segment) for segment in s.segments],
            "contacts": self._contacts(s.utility.contacts),
            "mix": self._mix(s.utility.mix),
            "notes": self._notes(s),
            "small_print": self._small_print(s),
            "page": self.text("page"),
        }

    def _period(self, s: Statement) -> str:
        """What is billed: a month by its name, any other billing period by its days."""
        whole = s.billing_days
        return self.month(s.first) if whole is None else self.days(whole.first, whole.last)

    def _correction(self, s: Statement) -> list[str] | None:
        """What it does to which statement, and why."""
        its = s.corrects
        if its is None:
            return None
        done = self.text(f"{s.kind}_of", id=its.id, date=self.day(its.issued_on))
        return [done, self.text("correction_reason", reason=its.reason)]

    def _due(self, s: Statement) -> View:
        owed = s.due
        if owed < 0:
            return {"label": self.text("credit"), "amount": self.money(-owed), "note": self.text("credit_note")}
        is_draft = s.issued_on is None and s.corrects is None
        note = self.text("not_due" if owed or is_draft else "nothing_due")
        if owed and s.due_on is not None:
            note = self.text("pay_by", date=self.day(s.due_on), id=s.id)
        label = self.text("amount_due" if s.budget is None or s.budget.instalment is None else "instalment_due")
        return {"label": label, "amount": self.money(owed), "note": note}

    def _budget(self, s: Statement) -> View | None:
        if s.budget is None:
            return None
        its, settled = s.budget, s.budget.instalment is None
        rows = [
            ("budget_brought" if its.brought >= 0 else "budget_ahead", abs(its.brought)),
            ("budget_bill", s.totals.gross),
            ("credit" if its.due < 0 else "amount_due" if settled else "instalment_due", abs(its.due)),
            *([] if settled else [("budget_carried" if its.carried >= 0 else "budget_left", abs(its.carried))]),
        ]
        return {
            "title": self.text("budget"),
            "rows": [[self.text(key), self.money(amount)] for key, amount in rows],
            "note": self.text("budget_settled" if settled else "budget_note"),
        }

    def _summary(self, s: Statement) -> View:
        totals = s.totals
        return {
            "title": self.text("summary"),
            "head": [self.text(key) for key in ("service", "tariff", "use", "net", "tax", "total")],
            "rows": [
                [
                    self.text(each.commodity),
                    each.tariff.name,
                    self.quantity(each.usage, each.unit),
                    *(self.money(amount) for amount in (each.net, each.tax, each.gross)),
                ]
                for each in s.segments
            ],
            "total": [self.text("total"), *(self.money(amount) for amount in (totals.net, totals.tax, totals.gross))],
        }

    def _segment(self, s: Segment) -> View:
        return {
            "title": self.text(s.commodity),
            "tariff": s.tariff.name,
            "place": " · ".join([s.address, *([self._contract(s.contract)] if s.contract else [])]),
            "days": f"{self.days(s.first, s.last)} ({self.counted('days', s.days, days=s.days)})",
            "meters": {
                "title": self.text("meter_reads"),
                "head": [self.text(key) for key in ("meter", "opening", "closing", "use")],
                "rows": [self._meter(meter, s) for meter in s.meters],
            },
            "gas": self._gas(s),
            "lines": {
                "title": self.text("charges"),
                "head": [self.text(key) for key in ("item", "quantity", "price", "amount")],
                "rows": self._lines_of(s),
                "total": [self.text("total"), self.money(s.gross)],
                "remarks": self._remarks(s),
            },
            "periods": self._shares(
                self.text("use_by_period"), [(p.label, p.quantity) for p in s.usage_by_period], s.unit
            ),
            "tiers": self._shares(
                self.text("use_by_tier"),
                [(self.text("tier", tier=tier.tier), tier.quantity) for tier in s.usage_by_tier],
                s.unit,
            ),
            "chart": self._chart(s),
            "estimates": self._estimates(s),
            "comparison": self._comparison(s),
        }

    def _meter(self, meter: MeterReads, s: Segment) -> View:
        notes = [self.text(_COUNTS[meter.channel])] if meter.channel in _COUNTS else []
        return {
            "meter": meter.meter,
            "note": ", ".join([*notes, *([meter.constant] if meter.constant else [])]),
            "registers": [self._register(read, s) for read in (meter.opening, meter.closing)],
            "quantity": self.quantity(meter.quantity, Channel.parse(meter.channel).unit),
        }

    def _gas(self, s: Segment) -> View | None:
        if not s.gas:
            return None
        return {
            "title": self.text("gas_energy"),
            "head": [self.text(key) for key in ("period", "volume", "conversion", "calorific_value", "energy")],
            "rows": [
                [
                    self.days(each.first, each.last),
                    self.quantity(each.volume, "m³"),
                    f"× {self.number(each.conversion, _SIX_PLACES)}",
                    f"× {self.number(each.calorific_value, _SIX_PLACES)}\u00a0kWh/m³",
                    f"= {self.quantity(each.energy, s.unit)}",
                ]
                for each in s.gas
            ],
        }

    def _register(self, read: RegisterRead | None, s: Segment) -> View:
        if read is None:
            return {"value": self.text("not_known"), "note": ""}
        local: datetime = read.at.astimezone(zone_named(s.timezone))
        at = f"{self.day(local.date(), 'medium')} {local:%H:%M}"
        return {"value": self.number(read.value, _THREE_PLACES), "note": f"{at}, {self.text(read.obtained)}"}

    def _lines_of(self, s: Segment) -> list[View]:
        """The lines; where they have headings, each heading with the sum of its lines before them."""
        rows: list[View] = []
        for number, (heading, its) in enumerate(groupby(s.lines, key=lambda line: line.heading)):
            lines = list(its)
            if heading is not None or number:
                amount = self.money(sum((line.amount for line in lines if not line.included), Decimal(0)))
                title = heading or self.text("other_lines")
                rows.append({"cells": [title, "", "", amount], "note": "", "heading": True})
            rows += [self._line(line) for line in lines]
        return rows

    def _line(self, line: StatementLine) -> View:
        notes = [self.text("included")] if line.included else []
        if line.estimated is not None:
            notes.append(self.text("estimated_part", quantity=self.quantity(line.estimated, line.unit, _SIX_PLACES)))
        amount = self.money(line.amount)
        return {
            "cells": [self._label(line), *self._quantity_and_price(line), f"({amount})" if line.included else amount],
            "note": ", ".join(notes),
            "heading": False,
        }

    def _quantity_and_price(self, line: StatementLine) -> tuple[str, str]:
        if line.unit == self.currency:
            # What tops up or carries over is an amount of money, and no price of anything.
            # A tax that prices contain is a percentage of what they are without it.
            base = line.quantity - line.amount if line.included else line.quantity
            return ("", "") if abs(line.price) == 1 else (self.money(base), self.rate(line.price))
        price = format_currency(
            line.price, self.currency, locale=self.locale, currency_digits=False, decimal_quantization=False
        )
        price = f"{price}/{self.texts.get(f'per_{line.unit}', line.unit)}"
        return self.quantity(line.quantity, line.unit, _SIX_PLACES), self.text(
            "mean", price=price
        ) if line.mean else price

    def _remarks(self, s: Segment) -> list[str]:
        """What else the lines rest on: the bank, peaks of earlier months, events."""
        said = []
        if s.brought is not None:
            said.append(self.text("brought", what=self._in_bank(s.brought, s)))
        if s.carried is not None:
            said.append(self.text("carried", what=self._in_bank(s.carried, s)))
        if s.peaks:
            power = "kW" if s.unit == "kWh" else "m³/h"
            peaks = (
                f"{peak.label}, {self.month(date.fromisoformat(f'{peak.month}-01'))},"
                f" {self.quantity(peak.quantity, power)}"
                for peak in s.peaks
            )
            said.append(self.text("peaks", what="; ".join(peaks)))
        if s.events:
            spans = (f"{event.name} {self._span(event.begin, event.end, s.timezone)}" for event in s.events)
            said.append(self.text("events", what="; ".join(spans)))
        return said

    def _label(self, line: StatementLine) -> str:
        """The tariff's own words, but for the number of a tier, and what is written off."""
        if line.kind == KIND:
            return self.text("write_off")
        number = f", tier {line.tier}"
        if line.tier is None or not line.label.endswith(number):
            return line.label
        return f"{line.label.removesuffix(number)}, {self.text('tier', tier=line.tier)}"

    def _in_bank(self, bank: InBank, s: Segment) -> str:
        parts = [
            f"{use.label} {self.quantity(use.quantity, s.unit)}"
            if s.usage_by_period
            else self.quantity(use.quantity, s.unit)
            for use in bank.energy
        ]
        return ", ".join([*parts, *([self.money(bank.credit)] if bank.credit else [])])

    def _span(self, begin: datetime, end: datetime, timezone: str) -> str:
        local, until = (at.astimezone(zone_named(timezone)) for at in (begin, end))
        ends = f"{until:%H:%M}" if until.date() == local.date() else f"{self.day(until.date(), 'medium')} {until:%H:%M}"
        return f"{self.day(local.date(), 'medium')} {local:%H:%M}–{ends}"

    def _shares(self, title: str, parts: list[tuple[str, Decimal]], unit: str) -> View | None:
        whole = sum((quantity for _, quantity in parts), Decimal(0))
        if not parts or not whole:
            return None
        return {
            "title": title,
            "rows": [
                {
                    "label": label,
                    "quantity": self.quantity(quantity, unit),
                    "share": round(float(quantity / whole), 4),
                    "percent": self.percent(Fraction(quantity) / Fraction(whole)),
                }
                for label, quantity in parts
            ],
        }

    def _chart(self, s: Segment) -> View:
        top = _round_above(max((use.quantity for use in s.daily), default=Decimal(0)))
        bars = []
        for use in s.daily:
            label = self.text(
                "daily_label", day=self.day(use.day, "medium"), quantity=self.quantity(use.quantity, s.unit)
            )
            bars.append(
                {
                    "day": str(use.day.day),
                    "height": round(float(use.quantity / top), 4),
                    "estimated": use.estimated,
                    "label": f"{label} ({self.text('estimated_day')})" if use.estimated else label,
                }
            )
        ticks = [(step / 4, self.number(top * step / 4)) for step in range(5)]
        return {"title": self.text("daily_use", unit=s.unit), "bars": bars, "ticks": ticks}

    def _estimates(self, s: Segment) -> str:
        if not s.estimated_intervals:
            return self.counted("all_actual", s.intervals, total=self.number(Decimal(s.intervals)))
        return self.counted(
            "estimated_note",
            s.estimated_intervals,
            count=self.number(Decimal(s.estimated_intervals)),
            total=self.number(Decimal(s.intervals)),
            share=self.percent(Fraction(s.estimated_intervals, s.intervals)),
        )

    def _comparison(self, s: Segment) -> View | None:
        """Use a day against that of last year, else of the month before, and of comparable customers."""
        before = s.last_year or s.previous
        if before is None and s.typical is None:
            return None
        now = Fraction(s.usage) / s.days
        bars = [
            (now, self.counted("comparison_now", s.days, per_day=self.per_day(s.usage, s.days, s.unit), days=s.days))
        ]
        change = ""
        if before is not None:
            then = Fraction(before.quantity) / before.days
            if now == then:
                change = self.text("same")
            elif then:
                change = self.text("more" if now > then else "less", share=self.percent(abs(now / then - 1)))
            per_day = self.per_day(before.quantity, before.days, s.unit)
            first, last = (self.day(day, "short") for day in (before.first, before.last))
            bars.append((then, self.text("comparison_before", per_day=per_day, first=first, last=last)))
        if s.typical is not None:
            a_year = self.quantity(s.typical.a_year, s.unit, _AS_IT_IS)
            per_day = self.per_day(s.typical.a_year, _DAYS_OF_A_YEAR, s.unit)
            use = self.text("typical_use", per_day=per_day, a_year=a_year)
            label = self.text("typical", label=s.typical.label)
            bars.append((Fraction(s.typical.a_year) / _DAYS_OF_A_YEAR, f"{label}, {use}"))
        largest = max(share for share, _ in bars) or Fraction(1)
        return {
            "title": self.text("last_year" if s.last_year or not before else "comparison"),
            "change": change,
            "bars": [{"text": text, "share": max(0.0, round(float(share / largest), 4))} for share, text in bars],
        }

    def _contract(self, contract: Contract) -> str:
        since = self.day(contract.since)
        if contract.until is None:
            lasts = self.text("contract_open", since=since)
        else:
            lasts = self.text("contract_until", since=since, until=self.day(contract.until))
        said = f"{self.text('contract')}: {lasts}"
        return f"{said}. {contract.notice}" if contract.notice else said

    def _contacts(self, contacts: Contacts | None) -> View | None:
        if contacts is None:
            return None
        # Whom to complain to stands in a paragraph of its own, if it is known.
        told = ("complaints", "ombudsman", "regulator") if contacts.ombudsman or contacts.regulator else ()
        known = ((name, getattr(contacts, name)) for name in _CONTACTS if name not in told)
        rows = [(self.text(_CONTACTS[name]), value) for name, value in known if value]
        if not rows:
            return None
        return {"title": self.text("contacts"), "rows": rows}

    def _mix(self, mix: EnergyMix | None) -> View | None:
        if mix is None:
            return None
        sources = (
            self.text("mix_source", source=self.texts.get(each.name, each.name), percent=self.rate(each.percent / 100))
            for each in mix.sources
        )
        said = [
            ", ".join(sources),
            *([self.text("mix_co2", quantity=self.number(mix.co2))] if mix.co2 is not None else []),
            *([self.text("mix_waste", quantity=self.number(mix.waste, _FIVE_PLACES))] if mix.waste is not None else []),
        ]
        return {
            "title": self.text("mix", year=mix.year),
            "text": ". ".join(said) + ". " + self.text("mix_incentives"),
        }

    def _notes(self, s: Statement) -> list[tuple[str, str]]:
        complain = self._complain(s)
        segments, lines = s.segments, [line for each in s.segments for line in each.lines]
        banks = [bank for each in segments for bank in (each.brought, each.carried) if bank is not None]
        check = [
            self.text("check_text"),
            *([self.text("check_gas")] if any(each.gas for each in segments) else []),
            *([self.text("check_mean")] if any(line.mean for line in lines) else []),
            *([self.text("check_bank")] if any(bank.energy for bank in banks) else []),
        ]
        return [(self.text("check"), " ".join(check)), (self.text("complain"), complain)]

    def _complain(self, s: Statement) -> str:
        address = ", ".join([s.utility.name, *_without(s.utility)])
        known = s.utility.contacts
        others = [other for other in (known.ombudsman, known.regulator) if other] if known else []
        if known is None or not others:
            return self.text("complain_text", utility=s.utility.name, address=", ".join(_without(s.utility)), id=s.id)
        named = self.text("or", one=others[0], other=others[1]) if len(others) > 1 else others[0]
        return self.text("complain_known", complaints=known.complaints or address, id=s.id, others=named)

    def _small_print(self, s: Statement) -> list[str]:
        said = []
        for each in s.segments:
            tariff = each.tariff
            said.append(
                self.text(
                    "small_tariff",
                    service=self.text(each.commodity),
                    name=tariff.name,
                    id=tariff.id,
                    version=tariff.sha256[:12],
                    point=each.usage_point,
                )
                + " "
                + self.text("small_reads", digest=each.reads_sha256)
            )
            said += [self.text("small_prices", series=used.series, digest=used.sha256) for used in each.prices]
        if s.previous_sha256 is not None:
            said.append(self.text("small_previous", digest=s.previous_sha256))
        return said


def _title_of(s: Statement) -> str:
    if s.kind in (None, "final", "rebill") and _is_final(s):
        return "final_title" if s.corrects is None else "final_rebill_title"
    return "title" if s.corrects is None else f"{s.kind}_title"


def _is_final(s: Statement) -> bool:
    """Whether the record says that it is the account's last bill: it is of kind final, or its contracts have ended.

    A period can be left early for another billing group too, so its days alone do not say it; nor does a contract that
    ends with the period, for another may begin on the day after.
    """
    if s.kind == "final":
        return True
    whole = s.billing_days
    end = Period.month(s.period, zone_named(s.timezone)).end if whole is None else whole.last + timedelta(days=1)
    ended = [its.contract is not None and its.contract.until == s.last for its in s.segments if its.last == s.last]
    return s.last + timedelta(days=1) < end and all(ended)


@lru_cache(maxsize=4096)
def _day(day: date, length: Literal["long", "medium", "short"], locale: Locale) -> str:
    # The same days stand on every statement of a cycle.
    return format_date(day, length, locale=locale)


@lru_cache(maxsize=64)
def _signs(locale: Locale) -> dict[int, str]:
    """What stands in the locale's numbers for our comma between thousands and our decimal point."""
    return str.maketrans({",": get_group_symbol(locale), ".": get_decimal_symbol(locale)})


@lru_cache(maxsize=64)
def _around_amounts(locale: Locale, currency: str) -> tuple[tuple[str, str, int] | None, ...]:
    """What stands before and after an amount and its decimals, for amounts from zero up and below zero.

    None where the locale groups digits otherwise than by three: there babel writes each amount.
    """
    places = get_currency_precision(currency)
    sample = 1_234_567
    digits = f"{sample:,.{places}f}".translate(_signs(locale))
    written = (format_currency(sign * sample, currency, locale=locale) for sign in (1, -1))
    parts = (text.partition(digits) for text in written)
    return tuple((before, after, places) if found else None for before, found, after in parts)


def _lines(address: str) -> list[str]:
    return [line.strip() for line in address.replace("\n", ",").split(",") if line.strip()]


def _without(utility: Utility) -> list[str]:
    return [line for line in utility.address if line != utility.name]


#: Tops of a scale with four even steps.
_TOPS = tuple(map(Decimal, ("1", "1.2", "1.6", "2", "2.4", "2.8", "3.2", "4", "5", "6", "8", "10")))


def _round_above(number: Decimal) -> Decimal:
    """The smallest round number not below `number` that four even steps lead up to."""
    if number <= 0:
        return Decimal(1)
    power = Decimal(1).scaleb(number.adjusted())
    return next(top * power for top in _TOPS if top * power >= number)
