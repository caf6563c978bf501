"""The words in which a difference is explained, by language; a language that is not here gets English words."""

from __future__ import annotations

_ENGLISH = {
    "title": "Why is it different?",
    "more": "{amount} more than for {before}.",
    "less": "{amount} less than for {before}.",
    "same": "As much as for {before}.",
    "note": (
        "The bill before is turned into this one step by step, in the order below; each step keeps what the "
        "steps above it changed. The steps add up to the difference to the cent."
    ),
    "days": "Number of days",
    "use": "How much was used",
    "season": "Season",
    "when": "When it was used",
    "tier": "Dearer and cheaper tiers",
    "price": "Prices of energy",
    "fixed": "Standing charges",
    "demand": "Demand and reactive energy",
    "surcharges": "Surcharges and discounts",
    "credits": "Credits",
    "tax_base": "Taxes, on another amount",
    "tax_rate": "Taxes, at another rate",
    "services": "Services begun or ended",
    "rounding": "Rounding",
    "electricity": "Electricity",
    "gas": "Gas",
    "water": "Water",
    "heat": "Heat",
    "come": "Only on this bill.",
    "gone": "Only on the bill before.",
    "instead": "{now} instead of {before}.",
    "days_of": "{days} days",
    "a_day": "{quantity} a day",
    "tier_no": "Tier {tier}",
    "share_of": "{name}: {share} of use",
    "season_why": "The tariff has other hours in this season.",
    "new_version": "{tariff} has new prices.",
    "same_version": "{tariff}: other prices apply to these days.",
    "tax_base_why": "There is more or less to tax.",
    "rounding_why": "Lines are rounded to the smallest coin.",
    "before_link": "The bill before",
    "last_year_link": "The same month of last year",
    "none_before": "There is no issued bill for an earlier month to compare this one with.",
    "none_last_year": "There is no issued bill for the same month of last year to compare this one with.",
    "not_comparable": "The two bills cannot be compared: {why}",
    "step": "Step",
    "amount": "Amount",
    "because": "Because",
}

_GERMAN = {
    "title": "Warum ist sie anders?",
    "more": "{amount} mehr als für {before}.",
    "less": "{amount} weniger als für {before}.",
    "same": "So viel wie für {before}.",
    "note": (
        "Aus der früheren Rechnung wird Schritt für Schritt diese, in der Reihenfolge unten; jeder Schritt behält, was "
        "die Schritte darüber verändert haben. Zusammen ergeben sie den Unterschied auf den Cent genau."
    ),
    "days": "Zahl der Tage",
    "use": "Wie viel verbraucht wurde",
    "season": "Jahreszeit",
    "when": "Wann verbraucht wurde",
    "tier": "Teurere und billigere Stufen",
    "price": "Energiepreise",
    "fixed": "Grundpreise",
    "demand": "Leistung und Blindenergie",
    "surcharges": "Zuschläge und Rabatte",
    "credits": "Gutschriften",
    "tax_base": "Steuern auf einen anderen Betrag",
    "tax_rate": "Steuern zu einem anderen Satz",
    "services": "Leistungen, die begonnen oder geendet haben",
    "rounding": "Rundung",
    "electricity": "Strom",
    "gas": "Gas",
    "water": "Wasser",
    "heat": "Wärme",
    "come": "Nur auf dieser Rechnung.",
    "gone": "Nur auf der früheren Rechnung.",
    "instead": "{now} statt {before}.",
    "days_of": "{days} Tage",
    "a_day": "{quantity} am Tag",
    "tier_no": "Stufe {tier}",
    "share_of": "{name}: {share} des Verbrauchs",
    "season_why": "In dieser Jahreszeit hat der Tarif andere Zeiten.",
    "new_version": "{tariff} hat neue Preise.",
    "same_version": "{tariff}: Für diese Tage gelten andere Preise.",
    "tax_base_why": "Es ist mehr oder weniger zu versteuern.",
    "rounding_why": "Positionen werden auf die kleinste Münze gerundet.",
    "before_link": "Die Rechnung davor",
    "last_year_link": "Derselbe Monat im letzten Jahr",
    "none_before": "Es gibt keine ausgestellte Rechnung eines früheren Monats, mit der sich diese vergleichen ließe.",
    "none_last_year": "Es gibt keine ausgestellte Rechnung für denselben Monat des letzten Jahres zum Vergleich.",
    "not_comparable": "Die beiden Rechnungen lassen sich nicht vergleichen: {why}",
    "step": "Schritt",
    "amount": "Betrag",
    "because": "Weil",
}

_BY_LANGUAGE = {"en": _ENGLISH, "de": _GERMAN}


def texts_of(language: str) -> tuple[str, dict[str, str]]:
    """The words of a language such as `de`, and which language they are."""
    known = language if language in _BY_LANGUAGE else "en"
    return known, _BY_LANGUAGE[known]
