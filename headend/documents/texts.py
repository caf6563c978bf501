"""The words of a statement, by language. A language that is not here gets English words and its own numbers.

A key that ends in `_one` is the singular of another, said of 1; of 0 as well in French and Brazilian Portuguese.
"""

from __future__ import annotations

from babel import Locale, UnknownLocaleError

ENGLISH = {
    "title": "Your statement for {month}",
    "final_title": "Your final bill for {month}",
    "final_rebill_title": "Your corrected final bill for {month}",
    "cancellation_title": "Cancellation of your statement for {month}",
    "rebill_title": "Your corrected statement for {month}",
    "difference_title": "Correction of your statement for {month}",
    "cancellation_of": "This document cancels statement {id} of {date}: all of its amounts are taken back.",
    "rebill_of": (
        "This statement takes the place of statement {id} of {date}, which is cancelled. What "
        "you paid for that one counts towards this one."
    ),
    "difference_of": (
        "This document corrects statement {id} of {date}. Its lines are only what is charged more or "
        "less than before; use and readings are those that are right."
    ),
    "correction_reason": "Reason: {reason}",
    "nothing_due": "Nothing to pay.",
    "write_off": "Not charged: used longer ago than may be billed afterwards",
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
    "instalment_due": "Instalment due",
    "budget": "Your budget plan",
    "budget_brought": "Billed before and not asked for yet",
    "budget_ahead": "Paid ahead of your bills before",
    "budget_bill": "This bill",
    "budget_carried": "Carried to the next bill: billed and not asked for yet",
    "budget_left": "Carried to the next bill: paid ahead",
    "budget_note": "You pay the same instalment each time. What your bills come to beyond that is settled once a year.",
    "budget_settled": "This bill settles your budget plan: what was carried so far is added to it, or taken off.",
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
    "brought": "In your bank before this bill: {what}.",
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
    "days_one": "{days} day",
    "comparison_now_one": "{per_day} a day over {days} day",
    "estimated_note_one": (
        "E: {count} of {total} interval reads ({share}) was estimated, because no valid read "
        "arrived. Days with an estimate are hatched and marked E."
    ),
    "all_actual_one": "The interval read is an actual one: nothing was estimated.",
    "last_year": "Compared with last year",
    "typical": "Comparable customers: {label}",
    "typical_use": "{per_day} a day, {a_year} a year",
    "other_lines": "Other",
    "contacts": "Who to turn to",
    "phone": "Telephone",
    "email": "E-mail",
    "website": "Website",
    "register": "Registered at",
    "complaints": "Complaints",
    "ombudsman": "Disputes",
    "regulator": "Regulator",
    "advice": "Advice",
    "switching": "Changing supplier",
    "comparison_tool": "Compare offers",
    "metering_operator": "Metering operator",
    "network_operator": "Network operator",
    "complain_known": (
        "Write to {complaints}, and quote statement {id}. If our answer does not satisfy you, you can "
        "turn to {others}, free of charge and without a court."
    ),
    "or": "{one}, or to {other}",
    "contract": "Contract",
    "contract_open": "since {since}, without an end date",
    "contract_until": "from {since} to {until}",
    "mix": "Where our electricity came from in {year}",
    "mix_source": "{source} {percent}",
    "mix_co2": "Carbon dioxide: {quantity} g/kWh",
    "mix_waste": "Radioactive waste: {quantity} g/kWh",
    "mix_incentives": "All energy sources may also benefit from incentives that are not financed by the levies above.",
    "renewables": "renewables",
    "coal": "coal",
    "natural_gas": "natural gas",
    "nuclear": "nuclear",
    "other_fossil": "other fossil",
    "page": "Page",
}

GERMAN = {
    "title": "Ihre Rechnung für {month}",
    "final_title": "Ihre Schlussrechnung für {month}",
    "final_rebill_title": "Ihre berichtigte Schlussrechnung für {month}",
    "cancellation_title": "Storno Ihrer Rechnung für {month}",
    "rebill_title": "Ihre berichtigte Rechnung für {month}",
    "difference_title": "Berichtigung Ihrer Rechnung für {month}",
    "cancellation_of": (
        "Dieses Dokument storniert die Rechnung {id} vom {date}: Alle ihre Beträge werden zurückgenommen."
    ),
    "rebill_of": (
        "Diese Rechnung tritt an die Stelle der stornierten Rechnung {id} vom {date}. Was Sie "
        "auf jene gezahlt haben, wird auf diese angerechnet."
    ),
    "difference_of": (
        "Dieses Dokument berichtigt die Rechnung {id} vom {date}. Aufgeführt ist nur, was mehr oder weniger "
        "berechnet wird als bisher; Verbrauch und Zählerstände sind die richtigen."
    ),
    "correction_reason": "Grund: {reason}",
    "nothing_due": "Nichts zu zahlen.",
    "write_off": "Nicht berechnet: Verbrauch, der zu lange zurückliegt, um nachberechnet zu werden",
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
    "instalment_due": "Abschlag zu zahlen",
    "budget": "Ihr Abschlagsplan",
    "budget_brought": "Bisher berechnet und noch nicht verlangt",
    "budget_ahead": "Bisher im Voraus gezahlt",
    "budget_bill": "Diese Rechnung",
    "budget_carried": "Übertrag auf die nächste Rechnung: berechnet und noch nicht verlangt",
    "budget_left": "Übertrag auf die nächste Rechnung: im Voraus gezahlt",
    "budget_note": (
        "Sie zahlen jedes Mal den gleichen Abschlag. Was Ihre Rechnungen darüber oder darunter ergeben, wird einmal"
        " im Jahr abgerechnet."
    ),
    "budget_settled": (
        "Mit dieser Rechnung wird Ihr Abschlagsplan abgerechnet: Der bisherige Übertrag kommt hinzu oder wird"
        " abgezogen."
    ),
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
    "brought": "Guthaben vor dieser Rechnung: {what}.",
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
    "days_one": "{days} Tag",
    "comparison_now_one": "{per_day} am Tag an {days} Tag",
    "estimated_note_one": (
        "E: {count} von {total} Intervallwerten ({share}) wurde geschätzt, weil kein gültiger "
        "Messwert kam. Tage mit Schätzung sind schraffiert und mit E gekennzeichnet."
    ),
    "all_actual_one": "Der Intervallwert ist gemessen: Nichts wurde geschätzt.",
    "last_year": "Verglichen mit dem Vorjahr",
    "typical": "Vergleichskunden: {label}",
    "typical_use": "{per_day} am Tag, {a_year} im Jahr",
    "other_lines": "Sonstiges",
    "contacts": "An wen Sie sich wenden können",
    "phone": "Telefon",
    "email": "E-Mail",
    "website": "Internet",
    "register": "Register",
    "complaints": "Beschwerden",
    "ombudsman": "Schlichtung",
    "regulator": "Behörde",
    "advice": "Beratung",
    "switching": "Lieferantenwechsel",
    "comparison_tool": "Preisvergleich",
    "metering_operator": "Messstellenbetreiber",
    "network_operator": "Netzbetreiber",
    "complain_known": (
        "Schreiben Sie an {complaints}, und nennen Sie die Rechnung {id}. Hilft unsere Antwort nicht "
        "weiter, können Sie sich kostenlos und ohne Gericht wenden an {others}."
    ),
    "or": "{one}, oder an {other}",
    "contract": "Vertrag",
    "contract_open": "seit {since}, auf unbestimmte Zeit",
    "contract_until": "vom {since} bis {until}",
    "mix": "Woher unser Strom im Jahr {year} kam",
    "mix_source": "{source} {percent}",
    "mix_co2": "CO₂: {quantity} g/kWh",
    "mix_waste": "Radioaktiver Abfall: {quantity} g/kWh",
    "mix_incentives": (
        "Alle Energiequellen können auch durch Anreize gefördert werden, die nicht durch die oben "
        "genannten Umlagen finanziert sind."
    ),
    "renewables": "Erneuerbare",
    "coal": "Kohle",
    "natural_gas": "Erdgas",
    "nuclear": "Kernkraft",
    "other_fossil": "sonstige fossile",
    "page": "Seite",
}

SPANISH = {
    "title": "Su factura de {month}",
    "final_title": "Su factura final de {month}",
    "final_rebill_title": "Su factura final corregida de {month}",
    "cancellation_title": "Anulación de su factura de {month}",
    "rebill_title": "Su factura corregida de {month}",
    "difference_title": "Corrección de su factura de {month}",
    "cancellation_of": "Este documento anula la factura {id} del {date}: se devuelven todos sus importes.",
    "rebill_of": (
        "Esta factura sustituye a la factura {id} del {date}, que queda anulada. Lo "
        "que pagó por aquella cuenta para esta."
    ),
    "difference_of": (
        "Este documento corrige la factura {id} del {date}. Sus líneas son solo lo que se cobra de más o de "
        "menos que antes; el consumo y las lecturas son los correctos."
    ),
    "correction_reason": "Motivo: {reason}",
    "nothing_due": "Nada que pagar.",
    "write_off": "No se cobra: consumo demasiado antiguo para facturarlo después",
    "draft": "Borrador: aún no emitida, nada que pagar todavía",
    "statement_no": "Factura",
    "account_no": "Cuenta",
    "issued": "Fecha de emisión",
    "period": "Periodo",
    "days": "{days} días",
    "days_one": "{days} día",
    "amount_due": "Importe a pagar",
    "pay_by": "Páguese, por favor, antes del {date} inclusive, indicando {id}.",
    "credit": "A su favor",
    "credit_note": "Nada que pagar: este importe se abona en su cuenta.",
    "not_due": "Nada que pagar todavía.",
    "instalment_due": "Cuota a pagar",
    "budget": "Su plan de cuota fija",
    "budget_brought": "Facturado antes y aún no reclamado",
    "budget_ahead": "Pagado antes por adelantado",
    "budget_bill": "Esta factura",
    "budget_carried": "Pasa a la próxima factura: facturado y aún no reclamado",
    "budget_left": "Pasa a la próxima factura: pagado por adelantado",
    "budget_note": (
        "Usted paga siempre la misma cuota. La diferencia con el importe de sus facturas se regulariza una vez al año."
    ),
    "budget_settled": (
        "Esta factura regulariza su plan de cuota fija: se suma o se descuenta lo acumulado hasta ahora."
    ),
    "summary": "De un vistazo",
    "service": "Servicio",
    "tariff": "Tarifa",
    "use": "Consumo",
    "net": "Base",
    "tax": "Impuesto",
    "total": "Total",
    "electricity": "Electricidad",
    "gas": "Gas",
    "water": "Agua",
    "heat": "Calefacción",
    "charges": "Lo que cuesta",
    "item": "Concepto",
    "quantity": "Cantidad",
    "price": "Precio",
    "amount": "Importe",
    "per_day": "día",
    "per_month": "mes",
    "per_year": "año",
    "mean": "media {price}",
    "included": "incluido en los precios, no se suma",
    "estimated_part": "{quantity} de ello, estimado",
    "brought": "Saldo acumulado antes de esta factura: {what}.",
    "carried": "En su saldo para la próxima factura: {what}.",
    "peaks": "Potencia de los meses anteriores, de cuya máxima se cobra al menos una parte: {what}.",
    "events": "Eventos: {what}.",
    "meter": "Contador",
    "meter_reads": "Lecturas del contador",
    "opening": "Inicial",
    "closing": "Final",
    "read": "leída",
    "calculated": "calculada",
    "estimated": "E",
    "not_known": "desconocida",
    "fed_in": "vertida",
    "reactive": "reactiva",
    "gas_energy": "Del volumen a la energía",
    "volume": "Volumen",
    "conversion": "Factor de conversión",
    "calorific_value": "Poder calorífico",
    "energy": "Energía",
    "use_by_period": "Cuándo consumió",
    "use_by_tier": "Por tramos",
    "tier": "Tramo {tier}",
    "daily_use": "Consumo por día, {unit}",
    "daily_label": "{day}: {quantity}",
    "estimated_day": "estimado en parte",
    "estimated_note": (
        "E: se estimaron {count} de {total} lecturas horarias o de intervalo ({share}), porque no llegó "
        "ninguna lectura válida. Los días con estimaciones están rayados y marcados con E."
    ),
    "estimated_note_one": (
        "E: se estimó {count} de {total} lecturas horarias o de intervalo ({share}), porque no llegó "
        "ninguna lectura válida. Los días con estimaciones están rayados y marcados con E."
    ),
    "all_actual": "Las {total} lecturas de intervalo son reales: no se estimó nada.",
    "all_actual_one": "La lectura de intervalo es real: no se estimó nada.",
    "comparison": "Comparado con el mes anterior",
    "comparison_now": "{per_day} al día durante {days} días",
    "comparison_now_one": "{per_day} al día durante {days} día",
    "comparison_before": "{per_day} al día del {first} al {last}",
    "more": "{share} más al día",
    "less": "{share} menos al día",
    "same": "lo mismo al día",
    "last_year": "Comparado con el año pasado",
    "typical": "Clientes comparables: {label}",
    "typical_use": "{per_day} al día, {a_year} al año",
    "other_lines": "Otros conceptos",
    "check": "Cómo comprobar esta factura",
    "check_text": (
        "La lectura final menos la inicial es el consumo facturado, y también lo es la suma de los días."
        " Cada concepto es cantidad por precio, redondeado una sola vez, a la moneda más pequeña. Las "
        "lecturas «calculadas» se llevan desde la lectura más próxima que envió el contador hasta la "
        "medianoche, con las lecturas de intervalo intermedias. Puede pedir todas las lecturas de "
        "intervalo del periodo."
    ),
    "check_gas": "En el gas eso es el volumen, del que se obtiene la energía facturada como se muestra.",
    "check_mean": (
        "Donde cada intervalo tiene su propio precio, el concepto es la suma de todos los intervalos, "
        "redondeada una sola vez, y muestra su precio medio."
    ),
    "check_bank": "Lo vertido a la red y lo que había en su saldo se descuenta primero de su consumo.",
    "complain": "Preguntas y reclamaciones",
    "complain_text": (
        "Escriba a {utility}, {address}, indicando la factura {id}. Si nuestra respuesta no le "
        "satisface, puede acudir al defensor del consumidor de energía o a la autoridad reguladora de su"
        " país."
    ),
    "complain_known": (
        "Escriba a {complaints}, indicando la factura {id}. Si nuestra respuesta no le satisface, puede "
        "acudir, gratis y sin tribunal, a {others}."
    ),
    "or": "{one}, o a {other}",
    "contacts": "A quién acudir",
    "phone": "Teléfono",
    "email": "Correo electrónico",
    "website": "Sitio web",
    "register": "Registro",
    "complaints": "Reclamaciones",
    "ombudsman": "Litigios",
    "regulator": "Autoridad",
    "advice": "Asesoramiento",
    "switching": "Cambio de suministrador",
    "comparison_tool": "Comparar ofertas",
    "metering_operator": "Operador de medida",
    "network_operator": "Operador de red",
    "contract": "Contrato",
    "contract_open": "desde el {since}, sin fecha de fin",
    "contract_until": "del {since} al {until}",
    "mix": "De dónde vino nuestra electricidad en {year}",
    "mix_source": "{source} {percent}",
    "mix_co2": "Dióxido de carbono: {quantity} g/kWh",
    "mix_waste": "Residuos radiactivos: {quantity} g/kWh",
    "mix_incentives": (
        "Todas las fuentes de energía pueden beneficiarse también de incentivos no financiados con los "
        "cargos indicados."
    ),
    "renewables": "renovables",
    "coal": "carbón",
    "natural_gas": "gas natural",
    "nuclear": "nuclear",
    "other_fossil": "otras fósiles",
    "small_tariff": "{service}: tarifa {name} ({id}), versión {version}, punto de suministro {point}.",
    "small_reads": "Huella de las lecturas: {digest}.",
    "small_prices": "Huella de los precios de {series}: {digest}.",
    "small_previous": "Factura anterior: {digest}.",
    "page": "Página",
}

PORTUGUESE = {
    "title": "A sua fatura de {month}",
    "final_title": "A sua fatura final de {month}",
    "final_rebill_title": "A sua fatura final corrigida de {month}",
    "cancellation_title": "Anulação da sua fatura de {month}",
    "rebill_title": "A sua fatura corrigida de {month}",
    "difference_title": "Correção da sua fatura de {month}",
    "cancellation_of": "Este documento anula a fatura {id} de {date}: todos os seus valores são devolvidos.",
    "rebill_of": (
        "Esta fatura substitui a fatura {id} de {date}, que fica anulada. O que pagou por aquela conta para esta."
    ),
    "difference_of": (
        "Este documento corrige a fatura {id} de {date}. As suas linhas são apenas o que é cobrado a mais ou "
        "a menos do que antes; o consumo e as leituras são os corretos."
    ),
    "correction_reason": "Motivo: {reason}",
    "nothing_due": "Nada a pagar.",
    "write_off": "Não cobrado: consumo demasiado antigo para ser faturado depois",
    "draft": "Rascunho: ainda não emitida, nada a pagar por agora",
    "statement_no": "Fatura",
    "account_no": "Conta",
    "issued": "Data de emissão",
    "period": "Período",
    "days": "{days} dias",
    "days_one": "{days} dia",
    "amount_due": "Valor a pagar",
    "pay_by": "Pague, por favor, até {date}, indicando {id}.",
    "credit": "A seu favor",
    "credit_note": "Nada a pagar: este valor é creditado na sua conta.",
    "not_due": "Nada a pagar por agora.",
    "instalment_due": "Prestação a pagar",
    "budget": "O seu plano de conta certa",
    "budget_brought": "Faturado antes e ainda não cobrado",
    "budget_ahead": "Pago antes em adiantado",
    "budget_bill": "Esta fatura",
    "budget_carried": "Passa para a próxima fatura: faturado e ainda não cobrado",
    "budget_left": "Passa para a próxima fatura: pago em adiantado",
    "budget_note": (
        "Paga sempre a mesma prestação. A diferença para o valor das suas faturas é acertada uma vez por ano."
    ),
    "budget_settled": (
        "Esta fatura acerta o seu plano de conta certa: o que foi acumulado até agora é somado ou descontado."
    ),
    "summary": "Resumo",
    "service": "Serviço",
    "tariff": "Tarifa",
    "use": "Consumo",
    "net": "Base",
    "tax": "Imposto",
    "total": "Total",
    "electricity": "Eletricidade",
    "gas": "Gás",
    "water": "Água",
    "heat": "Aquecimento",
    "charges": "Quanto custa",
    "item": "Item",
    "quantity": "Quantidade",
    "price": "Preço",
    "amount": "Valor",
    "per_day": "dia",
    "per_month": "mês",
    "per_year": "ano",
    "mean": "média {price}",
    "included": "incluído nos preços, não somado",
    "estimated_part": "dos quais {quantity} por estimativa",
    "brought": "Saldo antes desta fatura: {what}.",
    "carried": "No seu saldo para a próxima fatura: {what}.",
    "peaks": "Potência dos meses anteriores, de cujo máximo se cobra pelo menos uma parte: {what}.",
    "events": "Eventos: {what}.",
    "meter": "Contador",
    "meter_reads": "Leituras do contador",
    "opening": "Inicial",
    "closing": "Final",
    "read": "lida",
    "calculated": "calculada",
    "estimated": "E",
    "not_known": "desconhecida",
    "fed_in": "injetada",
    "reactive": "reativa",
    "gas_energy": "Do volume à energia",
    "volume": "Volume",
    "conversion": "Fator de conversão",
    "calorific_value": "Poder calorífico",
    "energy": "Energia",
    "use_by_period": "Quando consumiu",
    "use_by_tier": "Por escalões",
    "tier": "Escalão {tier}",
    "daily_use": "Consumo por dia, {unit}",
    "daily_label": "{day}: {quantity}",
    "estimated_day": "em parte por estimativa",
    "estimated_note": (
        "E: {count} de {total} leituras de intervalo ({share}) foram estimadas, porque não chegou "
        "nenhuma leitura válida. Os dias com estimativas estão tracejados e marcados com E."
    ),
    "estimated_note_one": (
        "E: {count} de {total} leituras de intervalo ({share}) foi estimada, porque não chegou nenhuma "
        "leitura válida. Os dias com estimativas estão tracejados e marcados com E."
    ),
    "all_actual": "Todas as {total} leituras de intervalo são reais: nada foi estimado.",
    "all_actual_one": "A leitura de intervalo é real: nada foi estimado.",
    "comparison": "Em comparação com o mês anterior",
    "comparison_now": "{per_day} por dia em {days} dias",
    "comparison_now_one": "{per_day} por dia em {days} dia",
    "comparison_before": "{per_day} por dia de {first} a {last}",
    "more": "{share} mais por dia",
    "less": "{share} menos por dia",
    "same": "o mesmo por dia",
    "last_year": "Em comparação com o ano passado",
    "typical": "Clientes comparáveis: {label}",
    "typical_use": "{per_day} por dia, {a_year} por ano",
    "other_lines": "Outros itens",
    "check": "Como verificar esta fatura",
    "check_text": (
        "A leitura final menos a inicial é o consumo faturado, tal como a soma dos dias. Cada item é "
        "quantidade vezes preço, arredondado uma só vez, à menor moeda. As leituras “calculadas” são "
        "levadas da leitura mais próxima enviada pelo contador até à meia-noite, com as leituras de "
        "intervalo entre ambas. Pode pedir todas as leituras de intervalo do período."
    ),
    "check_gas": "No gás isso é o volume, do qual se obtém a energia faturada como se mostra.",
    "check_mean": (
        "Onde cada intervalo tem o seu próprio preço, o item é a soma de todos os intervalos, "
        "arredondada uma só vez, e mostra o preço médio."
    ),
    "check_bank": "O que foi injetado na rede e o que estava no seu saldo é descontado primeiro do consumo.",
    "complain": "Perguntas e reclamações",
    "complain_text": (
        "Escreva para {utility}, {address}, indicando a fatura {id}. Se a nossa resposta não for "
        "satisfatória, pode recorrer à entidade de resolução de litígios de energia ou ao regulador do "
        "seu país."
    ),
    "complain_known": (
        "Escreva para {complaints}, indicando a fatura {id}. Se a nossa resposta não for satisfatória, "
        "pode recorrer, sem custos e sem tribunal, a {others}."
    ),
    "or": "{one}, ou a {other}",
    "contacts": "A quem recorrer",
    "phone": "Telefone",
    "email": "Correio eletrónico",
    "website": "Sítio web",
    "register": "Registo",
    "complaints": "Reclamações",
    "ombudsman": "Litígios",
    "regulator": "Regulador",
    "advice": "Aconselhamento",
    "switching": "Mudança de fornecedor",
    "comparison_tool": "Comparar ofertas",
    "metering_operator": "Operador de medição",
    "network_operator": "Operador da rede",
    "contract": "Contrato",
    "contract_open": "desde {since}, sem data de fim",
    "contract_until": "de {since} a {until}",
    "mix": "De onde veio a nossa eletricidade em {year}",
    "mix_source": "{source} {percent}",
    "mix_co2": "Dióxido de carbono: {quantity} g/kWh",
    "mix_waste": "Resíduos radioativos: {quantity} g/kWh",
    "mix_incentives": (
        "Todas as fontes de energia podem beneficiar também de incentivos não financiados pelas taxas indicadas."
    ),
    "renewables": "renováveis",
    "coal": "carvão",
    "natural_gas": "gás natural",
    "nuclear": "nuclear",
    "other_fossil": "outras fósseis",
    "small_tariff": "{service}: tarifa {name} ({id}), versão {version}, ponto de consumo {point}.",
    "small_reads": "Resumo criptográfico das leituras: {digest}.",
    "small_prices": "Resumo criptográfico dos preços de {series}: {digest}.",
    "small_previous": "Fatura anterior: {digest}.",
    "page": "Página",
}

FRENCH = {
    "title": "Votre facture – {month}",
    "final_title": "Votre facture de clôture – {month}",
    "final_rebill_title": "Votre facture de clôture rectifiée – {month}",
    "cancellation_title": "Annulation de votre facture – {month}",
    "rebill_title": "Votre facture rectifiée – {month}",
    "difference_title": "Rectification de votre facture – {month}",
    "cancellation_of": "Ce document annule la facture {id} du {date} : tous ses montants sont repris.",
    "rebill_of": (
        "Cette facture remplace la facture {id} du {date}, qui est annulée. Ce que vous avez "
        "payé pour celle-là est compté pour celle-ci."
    ),
    "difference_of": (
        "Ce document rectifie la facture {id} du {date}. Ses lignes sont seulement ce qui est facturé en plus ou en "
        "moins qu’auparavant ; la consommation et les relevés sont les bons."
    ),
    "correction_reason": "Motif : {reason}",
    "nothing_due": "Rien à payer.",
    "write_off": "Non facturé : consommation trop ancienne pour être facturée après coup",
    "draft": "Projet : facture non émise, rien à payer pour le moment",
    "statement_no": "Facture",
    "account_no": "Compte",
    "issued": "Date d’émission",
    "period": "Période",
    "days": "{days} jours",
    "days_one": "{days} jour",
    "amount_due": "Montant à payer",
    "pay_by": "À régler au plus tard le {date}, en rappelant {id}.",
    "credit": "En votre faveur",
    "credit_note": "Rien à payer : ce montant est porté au crédit de votre compte.",
    "not_due": "Rien à payer pour le moment.",
    "instalment_due": "Mensualité à payer",
    "budget": "Votre plan de mensualisation",
    "budget_brought": "Facturé auparavant et pas encore réclamé",
    "budget_ahead": "Payé d’avance auparavant",
    "budget_bill": "Cette facture",
    "budget_carried": "Report sur la prochaine facture : facturé et pas encore réclamé",
    "budget_left": "Report sur la prochaine facture : payé d’avance",
    "budget_note": (
        "Vous payez chaque fois la même mensualité. La différence avec le montant de vos factures est régularisée une"
        " fois par an."
    ),
    "budget_settled": (
        "Cette facture régularise votre plan de mensualisation : le report est ajouté au montant ou en est déduit."
    ),
    "summary": "En bref",
    "service": "Service",
    "tariff": "Tarif",
    "use": "Consommation",
    "net": "Hors taxes",
    "tax": "Taxes",
    "total": "Total",
    "electricity": "Électricité",
    "gas": "Gaz",
    "water": "Eau",
    "heat": "Chauffage",
    "charges": "Ce que cela coûte",
    "item": "Poste",
    "quantity": "Quantité",
    "price": "Prix",
    "amount": "Montant",
    "per_day": "jour",
    "per_month": "mois",
    "per_year": "an",
    "mean": "en moyenne {price}",
    "included": "compris dans les prix, non ajouté",
    "estimated_part": "dont {quantity} par estimation",
    "brought": "En réserve avant cette facture : {what}.",
    "carried": "En réserve pour la prochaine facture : {what}.",
    "peaks": "Puissance des mois précédents, dont une part au moins de la plus élevée est facturée : {what}.",
    "events": "Événements : {what}.",
    "meter": "Compteur",
    "meter_reads": "Relevés du compteur",
    "opening": "Début",
    "closing": "Fin",
    "read": "relevé",
    "calculated": "calculé",
    "estimated": "E",
    "not_known": "inconnu",
    "fed_in": "injecté",
    "reactive": "réactif",
    "gas_energy": "Du volume à l’énergie",
    "volume": "Volume",
    "conversion": "Coefficient de conversion",
    "calorific_value": "Pouvoir calorifique",
    "energy": "Énergie",
    "use_by_period": "Quand vous avez consommé",
    "use_by_tier": "Par tranche",
    "tier": "Tranche {tier}",
    "daily_use": "Consommation par jour, {unit}",
    "daily_label": "{day} : {quantity}",
    "estimated_day": "en partie par estimation",
    "estimated_note": (
        "E : {count} mesures sur {total} ({share}) ont été estimées, faute de mesure valable. Les jours "
        "avec estimation sont hachurés et marqués E."
    ),
    "estimated_note_one": (
        "E : {count} mesure sur {total} ({share}) a été estimée, faute de mesure valable. Les jours avec"
        " estimation sont hachurés et marqués E."
    ),
    "all_actual": "Les {total} mesures sont réelles : rien n’a été estimé.",
    "all_actual_one": "La mesure est réelle : rien n’a été estimé.",
    "comparison": "Par rapport au mois précédent",
    "comparison_now": "{per_day} par jour sur {days} jours",
    "comparison_now_one": "{per_day} par jour sur {days} jour",
    "comparison_before": "{per_day} par jour du {first} au {last}",
    "more": "{share} de plus par jour",
    "less": "{share} de moins par jour",
    "same": "autant par jour",
    "last_year": "Par rapport à l’an dernier",
    "typical": "Clients comparables : {label}",
    "typical_use": "{per_day} par jour, {a_year} par an",
    "other_lines": "Autres postes",
    "check": "Comment vérifier cette facture",
    "check_text": (
        "Le relevé de fin moins celui de début est la consommation facturée, de même que la somme des "
        "jours. Chaque poste est quantité fois prix, arrondi une seule fois, à la plus petite pièce. Les"
        " relevés « calculés » sont reportés du relevé le plus proche envoyé par le compteur jusqu’à "
        "minuit, au moyen des mesures intermédiaires. Vous pouvez demander toutes les mesures de la "
        "période."
    ),
    "check_gas": "Pour le gaz, c’est le volume, dont l’énergie facturée est tirée comme indiqué.",
    "check_mean": (
        "Là où chaque intervalle a son propre prix, le poste est la somme de tous les intervalles, "
        "arrondie une seule fois, et indique leur prix moyen."
    ),
    "check_bank": "Ce qui a été injecté et ce qui était en réserve est d’abord déduit de votre consommation.",
    "complain": "Questions et réclamations",
    "complain_text": (
        "Écrivez à {utility}, {address}, en rappelant la facture {id}. Si notre réponse ne vous "
        "satisfait pas, vous pouvez saisir le médiateur de l’énergie ou le régulateur de votre pays."
    ),
    "complain_known": (
        "Écrivez à {complaints}, en rappelant la facture {id}. Si notre réponse ne vous satisfait pas, "
        "vous pouvez saisir, gratuitement et sans tribunal, {others}."
    ),
    "or": "{one}, ou {other}",
    "contacts": "À qui vous adresser",
    "phone": "Téléphone",
    "email": "Courriel",
    "website": "Site web",
    "register": "Registre",
    "complaints": "Réclamations",
    "ombudsman": "Litiges",
    "regulator": "Régulateur",
    "advice": "Conseil",
    "switching": "Changer de fournisseur",
    "comparison_tool": "Comparer les offres",
    "metering_operator": "Opérateur de comptage",
    "network_operator": "Gestionnaire du réseau",
    "contract": "Contrat\u00a0",  # a colon follows
    "contract_open": "depuis le {since}, sans date de fin",
    "contract_until": "du {since} au {until}",
    "mix": "D’où venait notre électricité en {year}",
    "mix_source": "{source} {percent}",
    "mix_co2": "Dioxyde de carbone : {quantity} g/kWh",
    "mix_waste": "Déchets radioactifs : {quantity} g/kWh",
    "mix_incentives": (
        "Toutes les sources d’énergie peuvent aussi bénéficier d’aides qui ne sont pas financées par les"
        " prélèvements indiqués."
    ),
    "renewables": "renouvelables",
    "coal": "charbon",
    "natural_gas": "gaz naturel",
    "nuclear": "nucléaire",
    "other_fossil": "autres fossiles",
    "small_tariff": "{service} : tarif {name} ({id}), version {version}, point de livraison {point}.",
    "small_reads": "Empreinte des mesures : {digest}.",
    "small_prices": "Empreinte des prix de {series} : {digest}.",
    "small_previous": "Facture précédente : {digest}.",
    "page": "Page",
}

#: Every language that a statement can be written in.
LANGUAGES = {"en": ENGLISH, "de": GERMAN, "es": SPANISH, "pt": PORTUGUESE, "fr": FRENCH}


def texts_of(language: str) -> dict[str, str]:
    """The words of a language such as `de`."""
    return LANGUAGES.get(language, ENGLISH)


def locale_named(name: str) -> Locale:
    """The locale of that name, such as `de_DE`; British English where there is none."""
    try:
        return Locale.parse(name)
    except (UnknownLocaleError, ValueError):
        return Locale("en", "GB")
