"""Why a statement differs from another, in the customer's language and number format: the one view that pages draw.

Everything is text, or a share between 0 and 1 of the width of a bar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from babel.dates import format_interval
from babel.numbers import format_currency, format_decimal, format_percent, get_plus_sign_symbol

from headend.billing.explain import Cause, Explanation, ServiceExplained, Side
from headend.documents.explanation_texts import texts_of
from headend.documents.texts import locale_named
from headend.tariffs.money import minor_digits


@dataclass(frozen=True, slots=True)
class Bar:
    """One step of the way from the old total to the new: from `left`, `width` wide, as shares of the whole width.

    Parameters
    ----------
    kind
        total, more or less.
    why
        what stands behind it, for each service a sentence.
    """

    label: str
    amount: str
    kind: str
    left: float
    width: float
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExplanationView:
    """What is drawn; `headline` says the difference in one sentence, `bars` go from the old total to the new."""

    language: str
    title: str
    headline: str
    note: str
    bars: tuple[Bar, ...]


def explanation_view(explanation: Explanation, locale: str) -> ExplanationView:
    """The view of an explanation, for a locale such as `de_DE`."""
    return _Writer(locale, explanation.currency).view(explanation)


class _Writer:
    """Writes in one language and one currency."""

    def __init__(self, locale: str, currency: str) -> None:
        self.locale = locale_named(locale)
        self.currency = currency
        self.language, self.texts = texts_of(self.locale.language)

    def money(self, amount: Decimal, *, signed: bool = False) -> str:
        text = format_currency(amount, self.currency, locale=self.locale)
        return f"{get_plus_sign_symbol(self.locale)}{text}" if signed and amount > 0 else text

    def number(self, number: Fraction | Decimal, unit: str) -> str:
        rounded = Decimal(round(Fraction(number) * 100)) / 100
        return f"{format_decimal(rounded, '#,##0.0#', locale=self.locale)}\u00a0{unit}"

    def percent(self, share: Fraction | Decimal) -> str:
        pattern: str = self.locale.percent_formats[None].pattern
        rounded = Decimal(round(Fraction(share) * 1000)) / 1000
        return format_percent(rounded, pattern.replace("0", "0.#", 1), locale=self.locale)

    def view(self, its: Explanation) -> ExplanationView:
        (first, last, was), (now_first, now_last, now) = its.before, its.now
        old, new = (
            format_interval(*days, "yMMMd", locale=self.locale) for days in ((first, last), (now_first, now_last))
        )
        key = "more" if its.difference > 0 else "less" if its.difference < 0 else "same"
        return ExplanationView(
            self.language,
            self.texts["title"],
            self.texts[key].format(amount=self.money(abs(its.difference)), before=old),
            self.texts["note"],
            self._bars(its, (old, was), (new, now)),
        )

    def _bars(self, its: Explanation, before: tuple[str, Decimal], now: tuple[str, Decimal]) -> tuple[Bar, ...]:
        levels = [before[1]]
        for part in its.parts:
            levels.append(levels[-1] + part.amount)
        low, high = min(Decimal(0), *levels), max(Decimal(0), *levels)
        span = (high - low) or Decimal(1).scaleb(-minor_digits(self.currency))

        def bar(label: str, amount: Decimal, kind: str, ends: Sequence[Decimal], why: tuple[str, ...] = ()) -> Bar:
            left, right = min(ends), max(ends)
            text = self.money(amount, signed=kind != "total")
            return Bar(label, text, kind, float((left - low) / span), float((right - left) / span), why)

        zero = Decimal(0)
        bars = [bar(before[0], before[1], "total", (zero, before[1]))]
        for part, level in zip(its.parts, levels, strict=False):
            kind = "more" if part.amount > 0 else "less"
            ends = (level, level + part.amount)
            bars.append(bar(self.texts[part.cause], part.amount, kind, ends, self._why(part.cause, its.services)))
        return (*bars, bar(now[0], now[1], "total", (zero, now[1])))

    def _why(self, cause: Cause, services: Sequence[ServiceExplained]) -> tuple[str, ...]:
        """A sentence for each service that has a part of it; the service is named where there are several."""
        several, told = len(services) > 1, []
        for service in services:
            if any(part.cause == cause for part in service.parts):
                text = self._sentence(cause, service)
                if several and text:
                    text = f"{self.texts[service.commodity]}: {text}"
                told.append(text)
        return tuple(dict.fromkeys(text for text in told if text))

    def _sentence(self, cause: Cause, service: ServiceExplained) -> str:  # noqa: PLR0911 - one for each there is
        was, now = service.before, service.now
        if was is None or now is None:
            return self.texts["gone" if now is None else "come"]
        if cause is Cause.DAYS and was.days != now.days:
            return self._instead(self.texts["days_of"].format(days=now.days), str(was.days))
        if cause is Cause.USE and was.unit == now.unit:
            a_day = [self.number(Fraction(side.use) / side.days, side.unit) for side in (now, was)]
            return self._instead(self.texts["a_day"].format(quantity=a_day[0]), a_day[1])
        if cause is Cause.WHEN:
            return self._share(now.shares, was.shares)
        if cause is Cause.TIER:
            tiers = [
                {self.texts["tier_no"].format(tier=n): share for n, share in enumerate(side.tiers, start=1)}
                for side in (now, was)
            ]
            return self._share(*tiers)
        if cause is Cause.PRICE:
            return self._tariffs(now, was)
        if cause is Cause.TAX_RATE and len(now.tax_rates) == len(was.tax_rates) == 1:
            return self._instead(self.percent(now.tax_rates[0]), self.percent(was.tax_rates[0]))
        return self.texts.get(f"{cause}_why", "")

    def _instead(self, now: str, was: str) -> str:
        return self.texts["instead"].format(now=now, before=was) if now != was else ""

    def _share(self, now: Mapping[str, Fraction], was: Mapping[str, Fraction]) -> str:
        """The part of use that has changed most."""
        none = Fraction(0)
        names = sorted({*now, *was}, key=lambda name: (-abs(now.get(name, none) - was.get(name, none)), name))
        if not names or not now or not was:
            return ""
        shares = [self.percent(side.get(names[0], none)) for side in (now, was)]
        return self._instead(self.texts["share_of"].format(name=names[0], share=shares[0]), shares[1])

    def _tariffs(self, now: Side, was: Side) -> str:
        if now.tariffs != was.tariffs:
            return self._instead(" + ".join(now.tariffs), " + ".join(was.tariffs))
        key = "new_version" if now.versions != was.versions else "same_version"
        return self.texts[key].format(tariff=" + ".join(now.tariffs))
