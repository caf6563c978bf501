"""A small town on a real database: usage points, meters, accounts and reads, as a test needs them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from headend.billing.approval import approve, issue
from headend.billing.cycle import BillException
from headend.billing.run import rate_cycle
from headend.billing.statement import Statement, parse_statement
from headend.collect.topics import Topics
from headend.config import load_settings, shipped
from headend.office import office_of
from headend.reads import Channel, Quality, empty_blocks
from headend.reads.days import DAY_S, day_number, seconds
from headend.registry.registry import enrol, enrolled_channels
from headend.registry.site_file import SiteFile
from headend.site import Site
from headend.store.database import Database, Schema
from headend.store.journal import Journal
from headend.store.ledger import SqlLedger
from headend.store.market import add_events, import_prices
from headend.store.sql import SqlIntervalStore
from headend.tariffs import Events, PriceSeries, TariffBook, load_book
from headend.vee import load_rule_set
from tests.databases import file_database

IMPORT, EXPORT, REACTIVE = "1-0:1.8.0", "1-0:2.8.0", "1-0:3.8.0"
BERLIN = "Europe/Berlin"

_HEAD = """id = "{id}"
name = "{id}"
valid_from = {valid_from}
customer_classes = ["residential"]
commodity = "{commodity}"
unit = "{unit}"
currency = "{currency}"
"""
_FLAT = """
[[components]]
kind = "energy"
label = "Energy"
tiers = [{{ price = {price} }}]
[[components]]
kind = "standing"
label = "Standing charge"
per = "month"
price = {standing}
[[components]]
kind = "tax"
label = "VAT 19 %"
percent = 19
"""
_CREDIT = """
[[components]]
kind = "energy"
label = "Feed-in credit"
measures = "export"
tiers = [{ price = 0.10 }]
"""
_TIERED = """
[[periods]]
name = "day"
label = "Day"
hours = ["06:00-22:00"]
[[periods]]
name = "night"
label = "Night"
[[components]]
kind = "energy"
label = "Energy"
tiers_per = "month"
tiers = [{ up_to = 100, price = { day = 0.30, night = 0.20 } }, { price = 0.50 }]
"""
_DEMAND = """
[[components]]
kind = "demand"
label = "Demand"
window_min = 60
tiers = [{{ price = {price} }}]
ratchet = {{ percent = 50, months = 2 }}
"""
_DEMAND_BY_PERIOD = """
[[periods]]
name = "day"
label = "Day"
hours = ["06:00-22:00"]
[[periods]]
name = "night"
label = "Night"
[[components]]
kind = "demand"
label = "Demand"
window_min = 60
tiers = [{ price = { day = 10, night = 4 } }]
ratchet = { percent = 50, months = 2 }
"""
_BANK = """
[[components]]
kind = "energy"
label = "Energy"
tiers = [{{ price = {price} }}]
[[components]]
kind = "energy"
label = "Feed-in credit"
measures = "export"
tiers = [{{ price = 0.10 }}]
[[components]]
kind = "bank"
label = "Bank"
[[components]]
kind = "standing"
label = "Standing charge"
per = "month"
price = 11.90
"""
_EXEMPT = """
[[components]]
kind = "energy"
label = "Energy"
tiers = [{ price = 0.30 }]
[[components]]
kind = "reactive"
label = "Reactive energy"
free = 0.5
price = 0.01
not_for = ["residential"]
[[components]]
kind = "tax"
label = "VAT 19 %"
percent = 19
not_for = ["commercial"]
"""
_SHIPPED = (
    "business-demand",
    "home-capacity",
    "home-critical-peak",
    "home-dynamic",
    "home-net-metering",
    "home-seasonal-tiers",
)


def _of(name: str, components: str, since: str = "2025-01-01") -> str:
    return _HEAD.format(id=name, valid_from=since, commodity="electricity", unit="kWh", currency="EUR") + components


def _flat(name: str, price: str, standing: str = "11.90", since: str = "2025-01-01", **other: str) -> str:
    said = {"commodity": "electricity", "unit": "kWh", "currency": "EUR", **other}
    return _HEAD.format(id=name, valid_from=since, **said) + _FLAT.format(price=price, standing=standing)


TARIFFS = {
    "flat": _flat("flat", "0.3174"),
    "flat-next": _flat("changing", "0.40", since="2026-10-11"),
    "flat-first": _flat("changing", "0.30"),
    "future": _flat("future", "0.30", since="2026-10-02"),
    "dollars": _flat("dollars", "1.00", commodity="gas", unit="m³", currency="USD"),
    "gas": _flat("gas", "1.00", "10.40", commodity="gas", unit="m³"),
    "gas-energy": _flat("gas-energy", "0.10", "10.40", commodity="gas", unit="kWh"),
    "heat": _flat("heat", "0.1180", "18.90", commodity="heat"),
    "solar": _flat("solar", "0.3000") + _CREDIT,
    "tiered": _of("tiered", _TIERED),
    "demand-first": _of("demand", _DEMAND.format(price="10")),
    "demand-next": _of("demand", _DEMAND.format(price="12"), since="2026-10-11"),
    "demand-by-period": _of("demand-by-period", _DEMAND_BY_PERIOD),
    "bank-first": _of("bank", _BANK.format(price="0.30")),
    "bank-next": _of("bank", _BANK.format(price="0.40"), since="2026-10-11"),
    "exempt": _of("exempt", _EXEMPT).replace('["residential"]', '["residential", "commercial"]', 1),
    **{name: shipped(f"tariffs/{name}.toml").read_text(encoding="utf-8") for name in _SHIPPED},
}


#: Drafts go to approval unseen, but where a test asks for a limit: `Town.office` with other rules of review.
NOTHING_IS_FOUND: dict[str, Any] = {
    "estimated_share": 0,
    "zero_use": [],
    "high_use": 0,
    "low_use": 0,
    "unlike_peers": 0,
    "register_difference": 0,
    "meter_change": False,
    "days": [],
    "negative": False,
    "over_limit": {},
    "back_billed_months": 0,
    "second_above": {},
}


def _write_tariffs(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in TARIFFS.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")


@cache
def _book() -> TariffBook:
    """`TARIFFS`, read once for all towns."""
    with TemporaryDirectory() as folder:
        _write_tariffs(Path(folder))
        return load_book(folder)


class Town:
    """Its office bills on the clock `now`, which a test may set."""

    def __init__(self, folder: Path, site_url: str = "") -> None:
        def database(schema: Schema) -> Database:
            return Database(site_url, schema) if site_url else file_database(folder / f"{schema}.db", schema)

        _write_tariffs(folder / "tariffs")
        self.folder = folder
        self.now = datetime(2026, 11, 3, 9, tzinfo=UTC)
        self.database = database("site")
        self.store = SqlIntervalStore()
        site = {"name": "Musterstadt Utilities", "address": ["Marktplatz 1", "12345 Musterstadt"]}
        self.site = Site(
            load_settings(
                overrides={
                    "site": site,
                    "billing": {"due_after_days": 14, "complete_share": 0},
                    "review": NOTHING_IS_FOUND,
                }
            ),
            lambda: self.now,
            self.database,
            Journal(database("journal")),
            Topics(),
            {},
            self.store,
            _book(),
            load_rule_set(shipped("vee.toml")),
        )
        self.office = office_of(self.site)

    def account(
        self, name: str, *agreements: dict[str, Any], at: str = "", gas_area: str | None = None, **other: str
    ) -> None:
        """An account at its own usage point `UP-name`, or at that of another account."""
        point = _point(at or name, gas_area)
        given = {"usage_point": point["id"], "commodity": "electricity", "valid_from": "2025-01-01"}
        accounts = [
            {
                "id": name,
                "name": f"{name} & Sons",
                "locale": "en_GB",
                "agreements": [given | each for each in agreements],
            }
            | other
        ]
        self.enrol(usage_points=[point], accounts=accounts)

    def meter(
        self,
        name: str,
        account: str,
        *channels: str,
        commodity: str = "electricity",
        gas_area: str | None = None,
        **other: object,
    ) -> None:
        """A meter at an account's usage point."""
        meter = {
            "meter": name,
            "commodity": commodity,
            "usage_point": f"UP-{account}",
            "channels": [{"channel": each, "max_per_interval": 10**6, "register_digits": 6} for each in channels],
            **other,
        }
        self.enrol(usage_points=[_point(account, gas_area)], meters=[meter])

    def enrol(self, **rows: object) -> None:
        """Rows of a site file."""
        with self.database.write() as tx:
            enrol(tx, SiteFile.model_validate(rows))

    def home(
        self, name: str = "Ada", meter: str = "E-1", first: date = date(2026, 9, 30), last: date = date(2026, 11, 1)
    ) -> None:
        """An account by the tariff `flat` with one meter, which uses 500 Wh every hour from `first` to `last`."""
        self.account(name, {"tariff": "flat"})
        self.meter(meter, name, IMPORT)
        self.reads(meter, first=first, last=last)

    def reads(
        self,
        meter: str,
        value: int | Sequence[int] = 500,
        *,
        channel: str = IMPORT,
        first: date = date(2026, 9, 30),
        last: date = date(2026, 11, 1),
        quality: Quality = Quality.VALIDATED,
    ) -> None:
        """The same day of hours for every UTC day from `first` to `last`."""
        days = np.arange(day_number(first), day_number(last) + 1)
        blocks = empty_blocks(3600, *(np.full(len(days), key) for key in self.key(meter, channel)), days)
        blocks.values[:] = value
        blocks.quality[:] = quality
        blocks.version[:] = 1
        with self.database.write() as tx:
            self.store.save(tx, blocks, blocks.present, settled=True)

    def set(self, meter: str, at: datetime, *, channel: str = IMPORT, **columns: int) -> None:
        """Change one interval's `values`, `quality` or `register`."""
        key = self.key(meter, channel)
        place = seconds(at) % DAY_S // 3600
        with self.database.write() as tx:
            blocks = self.store.load(tx, [(seconds(at) // DAY_S, *key)], 3600)
            for name, value in columns.items():
                getattr(blocks, name)[0, place] = value
            self.store.save(tx, blocks, blocks.present, settled=True)

    def prices(self, name: str, first: datetime, prices: Sequence[str]) -> None:
        """Prices of a series in EUR per kWh, hour by hour."""
        begins = seconds(first) + 3600 * np.arange(len(prices), dtype=np.int64)
        numbers = np.array([int(Decimal(price).scaleb(4)) for price in prices], dtype=np.int64)
        series = PriceSeries(name, "EUR", "kWh", begins, begins + 3600, numbers, 4)
        with self.database.write() as tx:
            import_prices(tx, series, "test", by="ann", at=self.now)

    def event(self, name: str, begin: datetime, end: datetime) -> None:
        """Call an event."""
        with self.database.write() as tx:
            add_events(tx, Events(name, ((seconds(begin), seconds(end)),)), "test", by="ann", at=self.now)

    def bill(self, period: str = "2026-10", cycle: str = "monthly") -> dict[str, Statement]:
        """Rate, approve and issue; the statements by account."""
        rate_cycle(self.office, period, cycle, "ann")
        approve(self.office, period, cycle, "ann")
        issue(self.office, period, cycle, "bob")
        return self.statements(period, cycle)

    def key(self, meter: str, channel: str) -> tuple[int, int]:
        """The (meter, channel) key of the store."""
        with self.database.read() as tx:
            found = [each.meter for each in enrolled_channels(tx, meter=meter)]
        return found[0], Channel.parse(channel).code

    def statements(self, period: str = "2026-10", cycle: str = "monthly") -> dict[str, Statement]:
        """The cycle's statements by account."""
        return {account: parse_statement(document) for account, document in self.documents(period, cycle).items()}

    def documents(self, period: str = "2026-10", cycle: str = "monthly") -> dict[str, bytes]:
        """The cycle's canonical documents by account."""
        with self.database.read() as tx:
            ledger = SqlLedger(tx)
            found = ledger.cycle(cycle, period)
            return {kept.account: kept.document for kept in ledger.statements(found)} if found else {}

    def exceptions(self, period: str = "2026-10", cycle: str = "monthly") -> dict[str, BillException]:
        """The cycle's exceptions by account."""
        with self.database.read() as tx:
            ledger = SqlLedger(tx)
            found = ledger.cycle(cycle, period)
            return {each.account: each for each in ledger.exceptions(found)} if found else {}


def _point(account: str, gas_area: str | None) -> dict[str, Any]:
    address = f"{account} Street 1, 12345 Musterstadt"
    return {"id": f"UP-{account}", "address": address, "timezone": BERLIN, "gas_area": gas_area}
