"""Registry files: as a whole or not at all, and every fault with its line."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path

import pytest
from sqlalchemy import func, select

from headend.billing.groups import BillingGroup
from headend.errors import InvalidInput
from headend.reads.days import seconds
from headend.registry.changes import Clerk, changes
from headend.registry.contracts import agreements_where
from headend.registry.grouping import add_group
from headend.registry.importing import Counts, Report, import_rows
from headend.registry.members import memberships
from headend.registry.registry import channels_of
from headend.registry.rows import read_rows, registry_files
from headend.store import tables as t
from headend.store.rebills import rebills
from tests.billing.town import EXPORT, IMPORT, Town
from tests.commands import headend

ANN = Clerk("ann", datetime(2026, 11, 3, 9, tzinfo=UTC))
FILES = {
    "accounts": "account,name,customer_class,locale\nA-1,Ada,residential,de_DE\nA-2,Bob,,\n",
    "usage_points": 'usage_point,address,timezone\nUP-1,"Street 1, Town",Europe/Berlin\nUP-2,Street 2,Europe/Berlin\n',
    "meters": (
        "meter,commodity,usage_point,channel,max_per_interval,interval_s,register_digits,ct,pt,installed\n"
        "E-1,electricity,UP-1,1-0:1.8.0,23000,900,6,200/5,,2026-01-01T00:00:00Z\n"
        "E-1,electricity,UP-1,1-0:2.8.0,23000,900,6,,,2026-01-01T00:00:00Z\n"
        "E-2,electricity,UP-2,1-0:1.8.0,23000,,,,,\n"
    ),
    "agreements": (
        "account,usage_point,commodity,tariff,valid_from,valid_to\n"
        "A-1,UP-1,electricity,flat,2026-01-01,2026-06-01\n"
        "A-2,UP-1,electricity,tiered,2026-06-01,\n"
        "A-1,UP-2,electricity,flat,2026-06-01,\n"
    ),
    "groups": "account,group,from\nA-1,north,2026-03-15\nA-2,north,2026-01-01\n",
}


MEND = "residential, or change its tariff first"


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """An empty town with a billing group."""
    made = Town(tmp_path)
    with made.database.write() as tx:
        add_group(tx, BillingGroup("north", 15), ANN)
    return made


def written(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for kind, text in files.items():
        (folder / f"{kind}.csv").write_text(text, encoding="utf-8")
    return folder


def imported(town: Town, folder: Path, **how: bool) -> Report:
    with town.database.write() as tx:
        return import_rows(tx, town.site.tariffs, read_rows(registry_files([folder])), ANN, **how)


def sizes(town: Town) -> dict[str, int]:
    tables = (t.account, t.usage_point, t.meter, t.installation, t.meter_channel, t.service_agreement, t.account_group)
    with town.database.read() as tx:
        return {each.name: tx.execute(select(func.count()).select_from(each)).scalar_one() for each in tables}


def test_a_folder_is_imported_and_again_changes_nothing(town: Town, tmp_path: Path) -> None:
    folder = written(tmp_path / "in", **FILES)
    dry = imported(town, folder, dry_run=True)
    assert set(sizes(town).values()) == {0}
    assert imported(town, folder) == dry
    assert (dry.faults, dry.counts) == (
        [],
        {
            "accounts": Counts(add=2),
            "usage_points": Counts(add=2),
            "meters": Counts(add=2),
            "agreements": Counts(add=3),
            "groups": Counts(add=2),
        },
    )
    once = sizes(town)
    assert once == {
        "account": 2,
        "usage_point": 2,
        "meter": 2,
        "installation": 2,
        "meter_channel": 3,
        "service_agreement": 3,
        "account_group": 3,
    }
    with town.database.read() as tx:
        first, second = channels_of(tx, "E-1")
        members = memberships(tx)
        noted = {each.subject: each.text for each in changes(tx) if each.what == "import"}
        moved = {each.subject: each.text for each in changes(tx) if each.what == "member"}
    assert [(each.channel.obis, each.interval_s, each.register_digits) for each in (first, second)] == [
        (IMPORT, 900, 6),
        (EXPORT, 900, 6),
    ]
    assert [Fraction(one.numerator, one.denominator) for one in first.constants] == [40]
    assert (second.constants, first.installed_s) == ((), seconds(datetime(2026, 1, 1, tzinfo=UTC)))
    # Ada was billed by calendar months before; Bob's group is his from his first day on.
    assert [(each.group.name, each.since) for each in members["A-1"]] == [
        ("monthly", None),
        ("north", date(2026, 3, 15)),
    ]
    assert [(each.group.name, each.since) for each in members["A-2"]] == [("north", None)]
    assert noted["A-2"] == "account: Bob, residential, en_GB; at UP-1: electricity by tiered, from 2026-06-01 on"
    assert moved == {"A-1": "in group north from 2026-03-15 on", "A-2": "in group north from 2026-01-01 on"}
    again = imported(town, folder)
    assert again.counts == {kind: Counts(leave=counts.add) for kind, counts in dry.counts.items()}
    assert sizes(town) == once


def test_a_meter_of_a_gateway_that_nobody_knows_is_refused_by_its_line(town: Town, tmp_path: Path) -> None:
    head = "meter,commodity,usage_point,channel,max_per_interval,gateway\n"
    lines = [f"E-{n},electricity,UP-{n},1-0:1.8.0,23000,{name}\n" for n, name in ((1, "GW-1"), (2, "GW-9"))]
    folder = written(tmp_path / "in", **FILES | {"meters": head + "".join(lines)})
    with town.database.write() as tx:
        tx.execute(t.gateway.insert().values(name="GW-1"))
    for how in ({"dry_run": True}, {}):
        assert [
            (Path(each.file).name, each.line, each.column, each.found, each.expected)
            for each in imported(town, folder, **how).faults
        ] == [
            (
                "meters.csv",
                3,
                "gateway",
                "GW-9",
                "one that was enrolled or heard (headend gateway list; headend gateway enrol NAME)",
            )
        ]
    assert set(sizes(town).values()) == {0}
    with town.database.write() as tx:
        tx.execute(t.gateway.insert().values(name="GW-9"))
    assert imported(town, folder).faults == []
    # To another gateway: of that nobody knows either; what it has always been told by is not asked for.
    with town.database.write() as tx:
        tx.execute(t.gateway.delete().where(t.gateway.c.name == "GW-9"))
    assert imported(town, folder).faults == []
    written(folder, meters=head + lines[0].replace("GW-1", "GW-2"))
    assert [(each.line, each.found) for each in imported(town, folder).faults] == [(2, "GW-2")]


def test_another_class_is_refused_where_a_tariff_of_the_account_is_not_for_it(town: Town, tmp_path: Path) -> None:
    """`exempt` is for both classes; `flat` and `tiered` for residential ones alone."""
    imported(town, written(tmp_path / "in", **FILES))
    other = {"accounts": "account,name,customer_class\nA-3,Cy,\nA-1,Ada,commercial\nA-2,Bob,commercial\n"}
    refused = imported(town, written(tmp_path / "other", **other))
    assert [(each.line, each.column, each.found, each.expected) for each in refused.faults] == [
        (3, "customer_class", "commercial, but flat at UP-2 is for residential on 2026-11-03", MEND),
        (4, "customer_class", "commercial, but tiered at UP-1 is for residential on 2026-11-03", MEND),
    ]
    with town.database.read() as tx:
        assert tx.execute(select(t.account.c.customer_class)).scalars().all() == ["residential"] * 2

    # Ended before today, by the same files, and then on a tariff that is for both; or gone.
    agreements = (
        "account,usage_point,commodity,tariff,valid_from,valid_to\n"
        "A-1,UP-2,electricity,flat,2026-06-01,2026-11-03\n"
        "A-1,UP-2,electricity,exempt,2026-11-03,\n"
        "A-2,UP-1,electricity,tiered,2026-06-01,2026-10-01\n"
    )
    assert imported(town, written(tmp_path / "other", agreements=agreements)).faults == []
    with town.database.read() as tx:
        query = select(t.account.c.customer_class).order_by(t.account.c.id)
        assert tx.execute(query).scalars().all() == ["commercial", "commercial", "residential"]


def test_an_imported_group_survives_the_next_start(town: Town, tmp_path: Path) -> None:
    def start() -> None:
        group, account = {"name": "east", "first_day": 10}, {"id": "A-1", "name": "Ada", "group": "east"}
        town.enrol(billing_groups=[group], accounts=[account])

    start()
    imported(town, written(tmp_path / "in", groups="account,group,from\nA-1,north,2026-01-01\n"))
    with town.database.read() as tx:
        told = memberships(tx)
    assert [each.group.name for each in told["A-1"]] == ["north"]
    start()
    with town.database.read() as tx:
        assert memberships(tx) == told


def test_what_a_file_does_not_say_stays(town: Town, tmp_path: Path) -> None:
    imported(town, written(tmp_path / "in", **FILES))
    told = written(
        tmp_path / "more",
        accounts="account;name\nA-1;Ada Lovelace\n",
        meters="meter,commodity,usage_point,channel,max_per_interval\nE-1,electricity,UP-1,1-0:1.8.0,46000\n",
        agreements="account,usage_point,commodity,tariff,valid_from\nA-1,UP-1,electricity,flat,2026-01-01\n",
    )
    report = imported(town, told)
    assert report.counts == {
        "accounts": Counts(change=1),
        "usage_points": Counts(),
        "meters": Counts(change=1),
        "agreements": Counts(leave=1),
        "groups": Counts(),
    }
    with town.database.read() as tx:
        row = tx.execute(select(t.account).where(t.account.c.id == "A-1")).one()
        first, second = channels_of(tx, "E-1")
    assert tuple(row) == ("A-1", "Ada Lovelace", "residential", "de_DE")
    assert (first.max_per_interval, first.interval_s, first.register_digits) == (46_000, 900, 6)
    assert [one.made_of for one in first.constants] == ["CT 200/5"]
    assert (second.max_per_interval, first.installed_s) == (23_000, seconds(datetime(2026, 1, 1, tzinfo=UTC)))


def test_every_fault_is_told_with_its_line_and_nothing_is_written(town: Town, tmp_path: Path) -> None:
    files = {
        "accounts": "account,name,locale\nA-1,Ada,xx_YY\n,Bob,\nA-3,Cem\nA-4,Dee,\nA-4,Eve,\n",
        "usage_points": "usage_point,address,timezone\nUP-1,Street 1,Berlin\nUP-2,Street 2,UTC\n",
        "meters": (
            "meter,commodity,usage_point,channel,max_per_interval,interval_s\n"
            "E-1,electricity,UP-2,1-0:1.8.0,23000,100\n"
            "E-2,electricity,UP-9,1-0:1.8.0,23000,900\n"
            "E-3,electricity,UP-2,1-0:1.8.0,23000,900\n"
            "E-3,gas,UP-2,1-0:1.8.0,much,900\n"
        ),
        "agreements": (
            "account,usage_point,commodity,tariff,valid_from,valid_to\n"
            "A-4,UP-2,electricity,flat,2026-01-01,2025-06-01\n"
            "A-4,UP-2,electricity,nothing,2026-01-01,2026-06-01\n"
            "A-4,UP-2,electricity,flat,2026-05-31,\n"
            "A-9,UP-2,gas,flat,soon,\n"
            "A-9,UP-9,electricity,flat,2026-01-01,\n"
        ),
        "groups": "account,group,from\nA-4,south,2026-01-01\n",
    }
    report = imported(town, written(tmp_path / "in", **files))
    found = {(Path(each.file).stem, each.line, each.column): each.expected for each in report.faults}
    assert set(found) == {
        ("accounts", 2, "locale"),
        ("accounts", 3, "account"),
        ("accounts", 4, ""),
        ("accounts", 6, "account"),
        ("usage_points", 2, "timezone"),
        ("meters", 2, "interval_s"),
        ("meters", 3, "usage_point"),
        ("meters", 5, "commodity"),
        ("meters", 5, "channel"),
        ("meters", 5, "max_per_interval"),
        ("agreements", 2, ""),
        ("agreements", 3, "tariff"),
        ("agreements", 4, "valid_from"),
        ("agreements", 5, "valid_from"),
        ("agreements", 6, "account"),
        ("agreements", 6, "usage_point"),
        ("groups", 2, "group"),
    }
    assert found["accounts", 6, "account"] == f"it once: it stands in {tmp_path / 'in' / 'accounts.csv'}, line 5"
    assert found["meters", 2, "interval_s"] == "3600, 1800, 900, 300 or 60"
    assert found["accounts", 4, ""] == "3, as the header has"
    assert set(sizes(town).values()) == {0}


def test_what_a_meter_has_always_been_does_not_change(town: Town, tmp_path: Path) -> None:
    imported(town, written(tmp_path / "in", **FILES))
    head = "meter,commodity,usage_point,channel,max_per_interval,interval_s,installed\n"
    row = "E-1,gas,UP-2,1-0:1.8.0,23000,3600,2026-02-01T00:00:00Z\n"
    report = imported(town, written(tmp_path / "more", meters=head + row))
    assert [(each.line, each.column, each.found) for each in report.faults] == [
        (2, "usage_point", "UP-2, but it hangs at UP-1"),
        (2, "commodity", "gas, but it counts electricity"),
        (2, "installed", "2026-02-01T00:00:00+00:00, but it hangs since 2026-01-01T00:00:00+00:00"),
        (2, "interval_s", "3600, but its reads are of 900 s"),
    ]
    zone = written(tmp_path / "zone", usage_points="usage_point,address,timezone\nUP-1,Street 1,Europe/Paris\n")
    (fault,) = imported(town, zone).faults
    assert (fault.column, fault.found) == ("timezone", "Europe/Paris, but its days are those of Europe/Berlin")


def test_what_is_billed_is_refused_or_flagged(town: Town, tmp_path: Path) -> None:
    town.account("Ada", {"tariff": "flat"})
    town.meter("E-1", "Ada", IMPORT)
    town.reads("E-1")
    number = town.bill()["Ada"].id
    head = "account,usage_point,commodity,tariff,valid_from,valid_to\n"
    folder = written(tmp_path / "in", agreements=head + "Ada,UP-Ada,electricity,flat,2025-01-01,2026-10-20\n")
    (fault,) = imported(town, folder).faults
    assert (fault.line, fault.found) == (2, f"days that are billed in {number} (2026-10)")
    report = imported(town, folder, billed_too=True)
    assert [each.statement for each in report.billed] == [number]
    with town.database.read() as tx:
        assert [(each.statement, each.cause) for each in rebills(tx)] == [(number, "import by ann")]
        (held,) = agreements_where(tx, t.service_agreement.c.account_id, ["Ada"])
    assert held.valid_to == date(2026, 10, 20)


@pytest.mark.parametrize(
    ("name", "text", "refused"),
    [
        ("accounts.csv", "account,surname\nA-1,Ada\n", "line 1: found 'account,surname', expected the columns of one"),
        ("accounts.csv", "", "line 1: found ''"),
        ("other.csv", "account,account,name\nA-1,A-1,Ada\n", "expected the columns of one kind"),
    ],
)
def test_a_file_of_no_kind_is_refused(tmp_path: Path, name: str, text: str, refused: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInput, match=refused):
        read_rows([tmp_path / name])


def test_a_file_that_is_no_text_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_bytes(b"account,name\nA-1,M\xfcller\n")
    with pytest.raises(InvalidInput, match="expected a CSV file in UTF-8"):
        read_rows([tmp_path / "accounts.csv"])
    with pytest.raises(
        InvalidInput, match=r"none\.csv: found No such file or directory, expected a CSV file in UTF-8$"
    ):
        read_rows([tmp_path / "none.csv"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match=r"accounts\.csv or usage_points\.csv"):
        registry_files([tmp_path / "empty"])


def test_the_command_says_every_fault_and_ends_with_2(tmp_path: Path) -> None:
    written(tmp_path, accounts="account,name,locale\nA-1,Ada,xx_YY\nA-2,Bob,de_DE\n")
    ended = headend(tmp_path, "registry", "import", str(tmp_path), "--dry-run")
    assert (ended.returncode, "1 faults, expected none: nothing was written" in ended.stderr) == (2, True)
    assert all(told in ended.stdout for told in ("accounts.csv", "locale", "'xx_YY'", "a locale such as de_DE"))


def test_as_on_sqlite_so_on_postgresql(tmp_path: Path, migrated_postgres_url: str) -> None:
    folder, found = written(tmp_path / "in", **FILES), []
    for name, url in (("here", ""), ("there", migrated_postgres_url)):
        town = Town(tmp_path / name, url)
        with town.database.write() as tx:
            add_group(tx, BillingGroup("north", 15), ANN)
        reports = [imported(town, folder), imported(town, folder)]
        with town.database.read() as tx:
            noted = [(each.subject, each.text) for each in changes(tx)]
            found.append((reports, noted, channels_of(tx, "E-1"), memberships(tx), sizes(town)))
        town.database.close()
    assert found[0] == found[1]


def test_thousands_of_rows_take_a_second(town: Town, tmp_path: Path) -> None:
    n = range(2_000)
    files = {
        "accounts": "account,name\n" + "".join(f"A-{i},Name {i}\n" for i in n),
        "usage_points": "usage_point,address,timezone\n" + "".join(f"UP-{i},Street {i},UTC\n" for i in n),
        "meters": "meter,commodity,usage_point,channel,max_per_interval\n"
        + "".join(f"E-{i},electricity,UP-{i},1-0:1.8.0,23000\n" for i in n),
        "agreements": "account,usage_point,commodity,tariff,valid_from\n"
        + "".join(f"A-{i},UP-{i},electricity,flat,2026-01-01\n" for i in n),
        "groups": "account,group,from\n" + "".join(f"A-{i},north,2026-01-01\n" for i in n),
    }
    begun = time.perf_counter()
    assert imported(town, written(tmp_path / "in", **files)).faults == []
    # 10,000 rows; a row at a time with a commit each would take minutes.
    assert time.perf_counter() - begun < 10
    assert sizes(town)["service_agreement"] == 2_000
