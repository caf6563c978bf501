"""The words of a statement, by language. A language that is not here gets English words and its own numbers."""

from __future__ import annotations

ENGLISH = {
    "title": "Your statement for {month}",
    "draft": "Draft: not issued, nothing to pay yet",
    "statement_no": "Statement",
    "account_no": "Account",
    "issued": "Date of issue",
    "period": "Period",
    "days": "{days} days",
    "amount_due": "Amount due",
    "pay_by": "Please pay by {date}, quoting {id}.",
    "credit": "In your favour",
    "credit_note": "Nothing to pay: this amount is credited to your account.",
    "not_due": "Nothing to pay yet.",
    "summary": "At a glance",
    "service": "Service",
    "tariff": "Tariff",
    "use": "Use",
    "net": "Net",
    "tax": "Tax",
    "total": "Total",
    "electricity": "Electricity",
    "gas": "Gas",
    "water": "Water",
    "heat": "Heat",
    "charges": "What it costs",
    "item": "Item",
    "quantity": "Quantity",
    "price": "Price",
    "amount": "Amount",
    "per_day": "day",
    "per_month": "month",
    "per_year": "year",
    "mean": "mean {price}",
    "included": "contained in the prices, not added",
    "estimated_part": "{quantity} of it estimated",
    "brought": "From your bank: {what}.",
    "carried": "In your bank for the next bill: {what}.",
    "peaks": "Demand of the months before, of the highest of which at least a part is charged: {what}.",
    "events": "Events: {what}.",
    "meter": "Meter",
    "meter_reads": "Meter readings",
    "opening": "Opening",
    "closing": "Closing",
    "read": "read",
    "calculated": "calculated",
    "estimated": "E",
    "not_known": "not known",
    "fed_in": "fed in",
    "reactive": "reactive",
    "gas_energy": "From volume to energy",
    "volume": "Volume",
    "conversion": "Conversion factor",
    "calorific_value": "Calorific value",
    "energy": "Energy",
    "use_by_period": "When you used it",
    "use_by_tier": "By tier",
    "tier": "Tier {tier}",
    "daily_use": "Use by day, {unit}",
    "daily_label": "{day}: {quantity}",
    "estimated_day": "estimated in part",
    "estimated_note": (
        "E: {count} of {total} interval reads ({share}) were estimated, because no valid read "
        "arrived. Days with an estimate are hatched and marked E."
    ),
    "all_actual": "All {total} interval reads are actual reads: nothing was estimated.",
    "comparison": "Compared with the month before",
    "comparison_now": "{per_day} a day over {days} days",
    "comparison_before": "{per_day} a day from {first} to {last}",
    "more": "{share} more a day",
    "less": "{share} less a day",
    "same": "as much a day",
    "check": "How to check this statement",
    "check_text": (
        "Closing less opening reading is the use charged, and so is the sum of the days. Each line is"
        " quantity times price, rounded once, to the smallest coin. “Calculated” readings are carried"
        " from the nearest reading the meter sent to midnight, over the interval reads between. You "
        "may ask for all interval reads of the period."
    ),
    "check_gas": "For gas that is the volume, from which the energy charged is worked out as shown.",
    "check_mean": (
        "Where every interval has a price of its own, the line is the sum over all intervals, rounded "
        "once, and shows their mean price."
    ),
    "check_bank": "What was fed in, and what was in your bank, is taken off your use first.",
    "complain": "Questions and complaints",
    "complain_text": (
        "Write to {utility}, {address}, and quote statement {id}. If our answer does not satisfy you,"
        " you can turn to the energy ombudsman or regulator of your country."
    ),
    "small_tariff": "{service}: tariff {name} ({id}), version {version}, usage point {point}.",
    "small_reads": "Digest of the reads: {digest}.",
    "small_prices": "Digest of the prices of {series}: {digest}.",
    "small_previous": "Statement before this one: {digest}.",
    "page": "Page",
}

GERMAN = {
    "title": "Ihre Rechnung für {month}",
    "draft": "Entwurf: noch nicht ausgestellt, noch nichts zu zahlen",
    "statement_no": "Rechnung",
    "account_no": "Kundenkonto",
    "issued": "Rechnungsdatum",
    "period": "Zeitraum",
    "days": "{days} Tage",
    "amount_due": "Zu zahlen",
    "pay_by": "Bitte zahlen Sie bis zum {date} und geben Sie {id} an.",
    "credit": "Zu Ihren Gunsten",
    "credit_note": "Nichts zu zahlen: Der Betrag wird Ihrem Kundenkonto gutgeschrieben.",
    "not_due": "Noch nichts zu zahlen.",
    "summary": "Auf einen Blick",
    "service": "Leistung",
    "tariff": "Tarif",
    "use": "Verbrauch",
    "net": "Netto",
    "tax": "Steuer",
    "total": "Gesamt",
    "electricity": "Strom",
    "gas": "Gas",
    "water": "Wasser",
    "heat": "Wärme",
    "charges": "Was es kostet",
    "item": "Position",
    "quantity": "Menge",
    "price": "Preis",
    "amount": "Betrag",
    "per_day": "Tag",
    "per_month": "Monat",
    "per_year": "Jahr",
    "mean": "im Mittel {price}",
    "included": "in den Preisen enthalten, nicht hinzugerechnet",
    "estimated_part": "davon {quantity} geschätzt",
    "brought": "Aus Ihrem Guthaben: {what}.",
    "carried": "Guthaben für die nächste Rechnung: {what}.",
    "peaks": "Leistung der Vormonate, von deren höchster mindestens ein Teil berechnet wird: {what}.",
    "events": "Ereignisse: {what}.",
    "meter": "Zähler",
    "meter_reads": "Zählerstände",
    "opening": "Anfang",
    "closing": "Ende",
    "read": "abgelesen",
    "calculated": "berechnet",
    "estimated": "E",
    "not_known": "nicht bekannt",
    "fed_in": "eingespeist",
    "reactive": "Blindenergie",
    "gas_energy": "Vom Volumen zur Energie",
    "volume": "Volumen",
    "conversion": "Zustandszahl",
    "calorific_value": "Brennwert",
    "energy": "Energie",
    "use_by_period": "Wann Sie verbraucht haben",
    "use_by_tier": "Nach Stufen",
    "tier": "Stufe {tier}",
    "daily_use": "Verbrauch je Tag in {unit}",
    "daily_label": "{day}: {quantity}",
    "estimated_day": "teilweise geschätzt",
    "estimated_note": (
        "E: {count} von {total} Intervallwerten ({share}) wurden geschätzt, weil kein gültiger "
        "Messwert kam. Tage mit Schätzung sind schraffiert und mit E gekennzeichnet."
    ),
    "all_actual": "Alle {total} Intervallwerte sind gemessen: Nichts wurde geschätzt.",
    "comparison": "Verglichen mit dem Vormonat",
    "comparison_now": "{per_day} am Tag in {days} Tagen",
    "comparison_before": "{per_day} am Tag vom {first} bis {last}",
    "more": "{share} mehr am Tag",
    "less": "{share} weniger am Tag",
    "same": "gleich viel am Tag",
    "check": "So prüfen Sie diese Rechnung",
    "check_text": (
        "Endstand minus Anfangsstand ist der berechnete Verbrauch, die Summe der Tage ebenso. Jede "
        "Position ist Menge mal Preis, einmal gerundet, auf die kleinste Münze. „Berechnete“ Stände "
        "sind vom nächstliegenden Zählerstand, den der Zähler meldete, über die Intervallwerte bis "
        "Mitternacht fortgeschrieben. Auf Wunsch erhalten Sie alle Intervallwerte des Zeitraums."
    ),
    "check_gas": "Bei Gas ist das das Volumen, aus dem die berechnete Energie wie gezeigt folgt.",
    "check_mean": (
        "Wo jedes Intervall seinen eigenen Preis hat, ist die Position die Summe aller Intervalle, "
        "einmal gerundet, und nennt ihren mittleren Preis."
    ),
    "check_bank": "Was eingespeist wurde und was im Guthaben war, wird vom Verbrauch zuerst abgezogen.",
    "complain": "Fragen und Beschwerden",
    "complain_text": (
        "Schreiben Sie an {utility}, {address}, und nennen Sie die Rechnung {id}. Hilft unsere "
        "Antwort nicht weiter, können Sie sich an die Schlichtungsstelle Energie oder die zuständige "
        "Behörde wenden."
    ),
    "small_tariff": "{service}: Tarif {name} ({id}), Version {version}, Verbrauchsstelle {point}.",
    "small_reads": "Prüfsumme der Messwerte: {digest}.",
    "small_prices": "Prüfsumme der Preise von {series}: {digest}.",
    "small_previous": "Rechnung davor: {digest}.",
    "page": "Seite",
}

_BY_LANGUAGE = {"en": ENGLISH, "de": GERMAN}


def texts_of(language: str) -> dict[str, str]:
    """The words of a language such as `de`."""
    return _BY_LANGUAGE.get(language, ENGLISH)
