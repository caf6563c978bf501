"""A small real site: SQLite files, enrolled meters, two months of reads with known holes."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
from argon2 import PasswordHasher

from headend.billing.approval import approve, issue
from headend.billing.run import rate_cycle
from headend.collect.topics import Topics
from headend.config import load_settings, shipped
from headend.office import office_of
from headend.reads.blocks import Blocks, empty_blocks
from headend.reads.channels import EXPORT, IMPORT, WATER
from headend.reads.days import DAY_S, seconds
from headend.reads.quality import Quality
from headend.registry.registry import enrol
from headend.registry.site_file import SiteFile
from headend.registry.users import add_user
from headend.site import Site
from headend.store import tables as t
from headend.store.journal import Arrival, Journal
from headend.store.sql import SqlIntervalStore
from headend.tariffs import TariffBook, load_book
from headend.vee import RuleSet, load_rule_set
from tests.databases import file_database
from tests.web.field_side import SEQUENCES, tell_field_side

#: Noon in Berlin, winter time; the autumn change was in the month before.
NOW = datetime(2025, 11, 12, 11, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
#: Reads begin a day before October does in Berlin.
FIRST_DAY = seconds(datetime(2025, 9, 30, tzinfo=UTC)) // DAY_S

REGISTRY = {
    "gateways": ["GW-1", "GW-2", "GW-3"],
    "usage_points": [
        {"id": f"UP-{n}", "address": f"Lindenstraße {n}, 12345 Musterstadt", "timezone": "Europe/Berlin"}
        for n in (1, 2, 3)
    ],
    "meters": [
        {
            "meter": "E-1",
            "commodity": "electricity",
            "usage_point": "UP-1",
            "gateway": "GW-1",
            "channels": [
                {"channel": IMPORT.obis, "max_per_interval": 20_000},
                {"channel": EXPORT.obis, "max_per_interval": 20_000},
            ],
        },
        {
            "meter": "E-2",
            "commodity": "electricity",
            "usage_point": "UP-2",
            "gateway": "GW-1",
            "channels": [{"channel": IMPORT.obis, "max_per_interval": 20_000}],
        },
        {
            "meter": "W-2",
            "commodity": "water",
            "usage_point": "UP-2",
            "gateway": "GW-2",
            "channels": [{"channel": WATER.obis, "max_per_interval": 3_000, "interval_s": 900}],
        },
        {
            "meter": "E-3",
            "commodity": "electricity",
            "usage_point": "UP-3",
            "modbus": {"profile": "eastron-sdm630", "address": "tcp://192.0.2.7:502", "unit": 3},
            "channels": [
                {
                    "channel": IMPORT.obis,
                    "max_per_interval": 20_000,
                    "constants": [{"from": "2025-01-01T00:00:00Z", "ct": "200/5", "pt": "20000/100"}],
                }
            ],
        },
    ],
    "accounts": [
        {
            "id": "A-1",
            "name": "Anna Solar",
            "locale": "de_DE",
            "agreements": [
                {"usage_point": "UP-1", "commodity": "electricity", "tariff": "home-flat", "valid_from": "2025-01-01"}
            ],
        },
        {
            "id": "A-2",
            "name": "Ben <Water>",
            "agreements": [
                {"usage_point": "UP-2", "commodity": "electricity", "tariff": "home-tou", "valid_from": "2025-10-15"},
                {"usage_point": "UP-2", "commodity": "water", "tariff": "water", "valid_from": "2025-10-15"},
            ],
        },
        {
            "id": "A-3",
            "name": "Carla Silent",
            "agreements": [
                {"usage_point": "UP-3", "commodity": "electricity", "tariff": "home-flat", "valid_from": "2025-01-01"}
            ],
        },
    ],
}


def empty_site(folder: Path) -> Site:
    """A site in which nothing is enrolled."""
    settings = load_settings(overrides={"data": {"directory": str(folder)}})
    return Site(
        settings,
        lambda: NOW,
        file_database(folder / "site.db", "site"),
        Journal(file_database(folder / "journal.db", "journal")),
        Topics(),
        {},
        SqlIntervalStore(),
        *_prices_and_rules(),
    )


@cache
def _prices_and_rules() -> tuple[TariffBook, RuleSet]:
    return load_book(shipped("tariffs")), load_rule_set(shipped("vee.toml"))


def close(site: Site) -> None:
    """Give back the site's connections."""
    site.database.close()
    site.journal._database.close()


def filled_site(folder: Path) -> Site:
    """The registry above, users of every role, and reads of E-1, E-2 and W-2 up to now; E-3 is silent."""
    site = empty_site(folder)
    with site.database.write() as tx:
        enrol(tx, SiteFile.model_validate(REGISTRY))
        meters = {row.name: row.id for row in tx.execute(t.meter.select())}
        for blocks in (
            reads_of(meters["E-1"], IMPORT.code, 3600, 900),
            reads_of(meters["E-1"], EXPORT.code, 3600, 400),
            reads_of(meters["E-2"], IMPORT.code, 3600, 1500),
            reads_of(meters["W-2"], WATER.code, 900, 12),
        ):
            site.store.save(tx, blocks, blocks.present, settled=True)
        for login, role, account in (
            ("olga", "operator", None),
            ("clara", "clerk", None),
            ("anna", "customer", "A-1"),
            ("ben", "customer", "A-2"),
            ("root", "admin", None),
        ):
            add_user(tx, login, role, PASSWORD, account)
        # As safe as need be here: somebody logs in in nearly every test. What a hash must cost, test_users says.
        tx.execute(
            t.user.update().values(
                password_hash=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
            )
        )
        tell(tx, meters["E-1"])
    site.journal.append([Arrival(seconds(NOW) * 1_000_000, "headend/v1/GW-1/reads", "GW-1", b"{}", 2)] * 5, SEQUENCES)
    return site


def reads_of(meter: int, channel: int, interval_s: int, level: int) -> Blocks:
    """A daily curve, validated, up to `NOW`; the third of November is estimated from 3 to 7, missing from 10 to 12."""
    n_days = seconds(NOW) // DAY_S - FIRST_DAY + 1
    day = FIRST_DAY + np.arange(n_days)
    blocks = empty_blocks(interval_s, np.full(n_days, meter), np.full(n_days, channel), day)
    hour = (blocks.start_s % DAY_S) / 3600
    weekly = 1 + 0.25 * np.sin(day[:, None] * 2 * np.pi / 7)
    curve = level * weekly * (0.35 + np.exp(-((hour - 7) ** 2) / 4) + 1.6 * np.exp(-((hour - 19) ** 2) / 6))
    blocks.values[:] = curve.astype(np.int64)
    blocks.quality[:] = Quality.VALIDATED
    third = seconds(datetime(2025, 11, 3, tzinfo=UTC)) // DAY_S - FIRST_DAY
    blocks.quality[third][(hour[0] >= 3) & (hour[0] < 7)] = Quality.ESTIMATED_LIKE_DAY
    blocks.quality[third][(hour[0] >= 10) & (hour[0] < 12)] = Quality.MISSING
    blocks.quality[blocks.start_s + interval_s > seconds(NOW)] = Quality.MISSING
    blocks.values[blocks.quality == Quality.MISSING] = 0
    blocks.version[:] = blocks.quality != Quality.MISSING
    return blocks


def tell(tx, meter: int) -> None:
    """What processing leaves behind: gateways heard, findings, quarantine, a place in the journal."""
    tx.execute(
        t.gateway.update().where(t.gateway.c.name == "GW-1"),
        {"online": True, "last_seen_s": seconds(NOW) - 30, "clock_offset_s": 2, "messages": 5},
    )
    tell_field_side(tx, seconds(NOW))
    third = seconds(datetime(2025, 11, 3, tzinfo=UTC))
    tx.execute(
        t.finding.insert(),
        [
            {
                "meter": meter,
                "channel": IMPORT.code,
                "start_s": third + hour * 3600,
                "rule": rule,
                "severity": severity,
                "detail": detail,
                "rule_set": "1",
                "found_us": seconds(NOW) * 1_000_000,
            }
            for hour, rule, severity, detail in (
                *((hour, "E3", "info", "mean of 3 like days") for hour in range(3, 7)),
                *((hour, "V4", "warning", "no read came for this interval") for hour in (10, 11)),
            )
        ],
    )
    tx.execute(
        t.quarantine.insert(),
        [
            {
                "offset": offset,
                "path": path,
                "received_us": (seconds(NOW) - offset) * 1_000_000,
                "gateway": "GW-9",
                "fault": fault,
                "reason": reason,
                "excerpt": excerpt,
            }
            for offset, path, fault, reason, excerpt in (
                (1, "", "not JSON", "payload: found text, expected JSON", "<script>alert(1)</script>"),
                (
                    2,
                    "blocks.0",
                    "unknown meter",
                    "meter: found 'X-9', expected an enrolled meter",
                    '{"meter": "X-9", "values": [1, 2, 3]}',
                ),
                (3, "blocks.1", "unknown meter", "meter: found 'X-9', expected an enrolled meter", '{"meter": "X-9"}'),
            )
        ],
    )
    tx.execute(
        t.checkpoint.insert(),
        {"name": "store", "offset": 3, "reads_stored": 1234, "duplicates": 5, "replaced": 2},
    )


def bill_october(site: Site, *, until: str) -> None:
    """Take October to a state: rated, approved or issued."""
    for step, state in ((rate_cycle, "rated"), (approve, "approved"), (issue, "issued")):
        step(office_of(site), "2025-10", "monthly", "clara")
        if state == until:
            return
