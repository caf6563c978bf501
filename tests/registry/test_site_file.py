"""The site file, and what it enrols."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from headend.billing.ports import GasQuality
from headend.config import checked, shipped
from headend.errors import InvalidConfig, NotFound
from headend.reads.constants import Constant
from headend.reads.days import seconds
from headend.registry.registry import (
    account_named,
    agreements,
    channels_of,
    enrol,
    enrolled_channels,
    gas_qualities,
)
from headend.registry.site_file import SiteFile, read_site_file
from headend.store import tables as t
from headend.store.database import Database
from tests.databases import file_database

SHIPPED = shipped("site.toml").read_text(encoding="utf-8")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = file_database(tmp_path / "site.db", "site")
    yield made
    made.close()


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The shipped file with one change."""
    assert old in SHIPPED
    path = tmp_path / "site.toml"
    path.write_text(SHIPPED.replace(old, new, 1), encoding="utf-8")
    return path


def test_the_shipped_file_enrols(database: Database) -> None:
    with database.write() as tx:
        enrol(tx, read_site_file(shipped("site.toml")))
        found = enrolled_channels(tx)
        (agreement,) = agreements(tx, account="A-1")
    assert [(c.meter_name, c.channel.obis, c.interval_s, c.max_per_interval, c.register_digits) for c in found] == [
        ("E-10023", "1-0:1.8.0", 3600, 23_000, 9),
        ("E-10023", "1-0:2.8.0", 3600, 23_000, 9),
    ]
    assert (found[0].timezone, found[0].customer_class, found[0].gateway) == ("Europe/Berlin", "residential", None)
    assert found[0].installed_s == int(datetime(2025, 12, 31, 23, tzinfo=UTC).timestamp())
    assert (agreement.account.name, agreement.tariff_id, agreement.valid_to) == ("Erika Mustermann", "home-tou", None)


def test_enrolled_again_it_changes_nothing_and_a_change_is_taken(database: Database, tmp_path: Path) -> None:
    tables = (t.gateway, t.usage_point, t.meter, t.installation, t.meter_channel, t.account, t.service_agreement)

    def everything() -> list[Any]:
        with database.read() as tx:
            return [tx.execute(select(table)).all() for table in tables]

    for _ in range(2):
        with database.write() as tx:
            enrol(tx, read_site_file(shipped("site.toml")))
    once = everything()
    assert [len(rows) for rows in once] == [1, 1, 1, 1, 2, 1, 1]
    with database.write() as tx:
        enrol(tx, read_site_file(changed(tmp_path, "max_per_interval = 23000", "max_per_interval = 11000")))
    assert [row.max_per_interval for row in everything()[4]] == [11_000, 23_000]
    assert everything()[2] == once[2]


def test_a_corrected_day_of_installation_replaces_the_earlier_one(database: Database, tmp_path: Path) -> None:
    for month in ("03", "02"):
        with database.write() as tx:
            enrol(tx, read_site_file(changed(tmp_path, "2026-01-01T00:00:00+01:00", f"2026-{month}-01T00:00:00+01:00")))
    with database.read() as tx:
        (row,) = tx.execute(select(t.installation)).all()
        found = channels_of(tx, "E-10023")
    expected = int(datetime(2026, 1, 31, 23, tzinfo=UTC).timestamp())
    assert row.installed_s == expected
    assert {c.installed_s for c in found} == {expected}


def row(**more: object) -> dict[str, Any]:
    """A meter of one import channel; `channel_` keys are the channel's."""
    channel = {"channel": "1-0:1.8.0", "max_per_interval": 10**6}
    channel |= {key.removeprefix("channel_"): value for key, value in more.items() if key.startswith("channel_")}
    own = {key: value for key, value in more.items() if not key.startswith("channel_")}
    return {"meter": "E-1", "commodity": "electricity", "usage_point": "UP", "channels": [channel]} | own


def site(*meters: dict[str, Any], **more: object) -> SiteFile:
    points = [{"id": "UP", "timezone": "UTC", "address": "", "gas_area": "north"}]
    return SiteFile.model_validate({"usage_points": points, "meters": meters} | more)


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def test_constants_are_exact_and_dated_and_the_file_has_the_last_word(database: Database) -> None:
    first = {"from": at(1), "ct": "200/5", "pt": "20000/100"}
    second = {"from": at(9), "ct": "300/5", "pulses_per_unit": "0.75"}
    with database.write() as tx:
        enrol(tx, site(row(channel_constants=[second, first])))
        (channel,) = enrolled_channels(tx)
        # 40 × 200 = 8,000; 60 × 1,000 ÷ 0.75 = 80,000.
        assert channel.constants == (
            Constant(seconds(at(1)), 8_000, 1, "CT 200/5 × PT 20000/100"),
            Constant(seconds(at(9)), 80_000, 1, "CT 300/5 × 0.75 pulses per kWh"),
        )
        enrol(tx, site(row(meter="E-2"), row(channel_constants=[{"from": at(1), "pulses_per_unit": 3000}])))
        constants = {each.meter_name: each.constants for each in enrolled_channels(tx)}
    assert constants == {"E-1": (Constant(seconds(at(1)), 1, 3, "3000 pulses per kWh"),), "E-2": ()}


def test_meter_is_removed_and_its_successor_installed_at_the_same_place(database: Database) -> None:
    with database.write() as tx:
        enrol(tx, site(row()))
        enrol(tx, site(row(removed=at(9, 10)), row(meter="E-2", installed=at(9, 10))))
        served = {each.meter_name: (each.installed_s, each.removed_s) for each in enrolled_channels(tx)}
        assert served["E-1"][1] == served["E-2"][0] == seconds(at(9, 10))
        assert served["E-2"][1] is None
        enrol(tx, site(row(installed=at(1))))
        (old,) = channels_of(tx, "E-1")
    assert (old.installed_s, old.removed_s) == (seconds(at(1)), None)


def test_a_modbus_device_that_is_no_longer_named_is_no_longer_asked(database: Database) -> None:
    def devices() -> list[tuple[Any, ...]]:
        return [tuple(found) for found in tx.execute(select(t.modbus_device))]

    device = {"profile": "eastron-sdm120", "address": "tcp://10.0.0.5:502", "unit": 7}
    with database.write() as tx:
        enrol(tx, site(row(modbus=device)))
        assert devices() == [(1, "eastron-sdm120", "tcp://10.0.0.5:502", 7)]
        enrol(tx, site(row(modbus=device | {"address": "rtu:///dev/ttyUSB0?baud=9600&parity=N"})))
        assert devices() == [(1, "eastron-sdm120", "rtu:///dev/ttyUSB0?baud=9600&parity=N", 7)]
        enrol(tx, site(row()))
        assert devices() == []


def test_gas_quality_is_dated_by_area(database: Database) -> None:
    values = [
        {"area": "north", "from": date(2026, 2, 1), "calorific_value": "11.300", "conversion": "0.9627"},
        {"area": "north", "from": date(2026, 1, 1), "calorific_value": "11.243", "conversion": "0.9627"},
    ]
    with database.write() as tx:
        enrol(tx, site(gas_quality=values))
        assert gas_qualities(tx) == {
            "north": (
                GasQuality(date(2026, 1, 1), Decimal("11.243"), Decimal("0.9627")),
                GasQuality(date(2026, 2, 1), Decimal("11.300"), Decimal("0.9627")),
            )
        }


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"channel_constants": [{"from": at(1)}]}, "expected ct, pt or pulses_per_unit"),
        (
            {"channel_constants": [{"from": at(1), "ct": "200/0"}]},
            "expected a positive number, or a ratio ",
        ),
        (
            {"channel_constants": [{"from": at(1), "ct": "many"}]},
            "expected a positive number, or a ratio ",
        ),
        ({"channel_constants": [{"from": at(1), "ct": "nan"}]}, "expected a positive number, or a ratio "),
        (
            {"channel_constants": [{"from": at(1).replace(minute=30), "ct": "2"}]},
            "expected constants that change with an interval of 3600 s",
        ),
        (
            {"channel_register_digits": 18, "channel_constants": [{"from": at(1), "ct": "200/5"}]},
            "expected CT 200/5 with fewer register digits",
        ),
        ({"channel_constants": [{"from": at(1), "ct": "2"}] * 2}, "stands twice"),
        ({"channel_constants": [{"from": at(1), "ct": "1e9"}]}, "expected a positive number, or a ratio "),
        ({"channel_constants": [{"from": at(1), "ct": -2}]}, "expected a positive number, or a ratio "),
        ({"removed": at(1), "installed": at(2)}, "expected removed after it was installed"),
        ({"removed": at(1, 10).replace(minute=20)}, "expected removed at the end of an interval of 3600 s"),
        ({"modbus": {"profile": "x", "address": "10.0.0.5:502"}}, "meters.0.modbus.address: found '10.0.0.5:502'"),
    ],
)
def test_what_no_meter_can_be_is_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidConfig, match=complaint) as refused:
        checked("site.toml", lambda: site(row(**changes)))
    assert "\n" not in str(refused.value)


def test_what_the_file_no_longer_names_stays(database: Database) -> None:
    with database.write() as tx:
        enrol(tx, read_site_file(shipped("site.toml")))
        enrol(tx, SiteFile())
        assert len(enrolled_channels(tx)) == 2
        assert account_named(tx, "A-1").locale == "de_DE"


def test_meters_keep_their_keys_when_others_join(database: Database) -> None:
    def site(*names: str) -> SiteFile:
        channel = {"channel": "1-0:1.8.0", "max_per_interval": 1}
        return SiteFile.model_validate(
            {
                "usage_points": [{"id": "UP", "timezone": "UTC", "address": ""}],
                "meters": [
                    {"meter": n, "commodity": "electricity", "usage_point": "UP", "channels": [channel]} for n in names
                ],
            }
        )

    with database.write() as tx:
        enrol(tx, site("B", "A"))
        enrol(tx, site("D", "A", "C"))
        keys = {c.meter_name: c.meter for c in enrolled_channels(tx)}
    assert keys == {"B": 1, "A": 2, "D": 3, "C": 4}


def test_an_unknown_meter_or_account_is_named(database: Database) -> None:
    with database.read() as tx:
        with pytest.raises(NotFound, match="'E-9'"):
            channels_of(tx, "E-9")
        with pytest.raises(NotFound, match="'A-9'"):
            account_named(tx, "A-9")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('meter = "E-10023"', 'meter = "E 10023"', "meters.0.meter: found 'E 10023', expected "),
        ('"electricity"\nusage', '"steam"\nusage', "meters.0.commodity: found 'steam', expected 'electricity', "),
        (
            'timezone = "Europe/Berlin"',
            'timezone = "Berlin"',
            "usage_points.0.timezone: found 'Berlin', expected an IANA",
        ),
        ("2026-01-01T00:00:00+01:00", "2026-01-01T00:00:00", "meters.0.installed: found "),
        ('"1-0:1.8.0"', '"1.8.0"', "meters.0.channels.0.channel: found '1.8.0', expected an OBIS code"),
        ("interval_s = 3600", "interval_s = 600", "meters.0.channels.0.interval_s: found 600, expected 3600, "),
        (
            "max_per_interval = 23000",
            "max_per_interval = 0",
            "meters.0.channels.0.max_per_interval: found 0, expected ",
        ),
        ("register_digits = 9", "register_digits = 19", "meters.0.channels.0.register_digits: found 19, expected "),
        ("register_digits = 9", "digits = 9", "meters.0.channels.0.digits: found 9, expected a key that "),
        (
            'locale = "de_DE"',
            'locale = "klingon"',
            "accounts.0.locale: found 'klingon', expected a locale such as de_DE",
        ),
        ('usage_point = "UP-1"\ninstalled', 'usage_point = "UP-9"\ninstalled', "file: found "),
        ('id = "A-1"\n', "", "accounts.0.id: found nothing, expected a value"),
        (
            "valid_from = 2026-01-01",
            'valid_from = "soon"',
            "accounts.0.agreements.0.valid_from: found 'soon', expected ",
        ),
        ('gateways = ["GW-001"]', 'gateways = ["GW/001"]', "gateways.0: found 'GW/001', expected "),
        ("[[meters]]", "[[meters]", "found "),
    ],
)
def test_what_is_wrong_is_one_line_with_file_and_key(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(InvalidConfig) as refused:
        read_site_file(path)
    assert str(refused.value).startswith(f"{path}: {complaint}"), str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < len(str(path)) + 300


@pytest.mark.parametrize("table", ["meters", "usage_points", "accounts"])
def test_a_name_twice_is_a_mistake_of_whoever_copied_it(tmp_path: Path, table: str) -> None:
    begin = SHIPPED.index(f"[[{table}]]")
    end = SHIPPED.find("\n[[", begin)
    copy = SHIPPED[begin : end if end > 0 else None]
    path = tmp_path / "site.toml"
    path.write_text(f"{SHIPPED}\n{copy}\n", encoding="utf-8")
    with pytest.raises(InvalidConfig, match=r"stands twice") as refused:
        read_site_file(path)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"none\.toml: found .*No such file.*expected a readable TOML file$"):
        read_site_file(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            'usage_point = "UP-1"\ninstalled',
            'usage_point = "UP-2"\ninstalled',
            "meter E-10023: usage_point: found UP-2, but it hangs at UP-1",
        ),
        (
            'channel = "1-0:1.8.0", interval_s = 3600',
            'channel = "1-0:1.8.0", interval_s = 900',
            "meter E-10023: 1-0:1.8.0: interval_s: found 900, but its reads are of 3600 s",
        ),
    ],
)
def test_a_meter_neither_moves_nor_counts_otherwise(
    database: Database, tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    second = '[[usage_points]]\nid = "UP-2"\naddress = "there"\ntimezone = "Europe/Berlin"\n\n[[meters]]'
    with database.write() as tx:
        enrol(tx, read_site_file(shipped("site.toml")))
    text = shipped("site.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "moved.toml"
    path.write_text(text.replace(old, new, 1).replace("[[meters]]", second, 1), encoding="utf-8")
    with database.write() as tx, pytest.raises(InvalidConfig, match=complaint):
        enrol(tx, read_site_file(path))
