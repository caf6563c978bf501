"""Tariff versions that bills were made by: no file changes them any more, and none is needed for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from headend.billing.again import rated_again
from headend.billing.approval import approve, issue
from headend.billing.run import rate_cycle
from headend.errors import BillingConflict, InvalidTariff, StoreBroken
from headend.store.tables import tariff_version
from headend.store.tariffversions import keep_versions, with_kept_versions
from headend.tariffs import TariffBook, canonical_json, load_book, load_tariff
from tests.billing.town import IMPORT, Town
from tests.commands import headend

OCTOBER = "2026-10"


@pytest.fixture(params=["sqlite", "postgresql"])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    """Ada's home, on a tariff that has a new version on 11 October."""
    made = made_town(
        tmp_path, request.getfixturevalue("migrated_postgres_url") if request.param == "postgresql" else ""
    )
    yield made
    made.database.close()
    made.site.journal._database.close()


def made_town(folder: Path, url: str = "") -> Town:
    made = Town(folder, url)
    made.account("Ada", {"tariff": "changing"})
    made.meter("E-1", "Ada", IMPORT)
    made.reads("E-1")
    return made


def bill(town: Town, until: str = "issue") -> None:
    for step in (rate_cycle, approve, issue):
        step(town.office, OCTOBER, "monthly", "ann")
        if step.__name__ == until:
            return


def kept(town: Town) -> list[tuple[str, str, str]]:
    with town.database.read() as tx:
        rows = tx.execute(select(tariff_version).order_by(tariff_version.c.valid_from))
        return [(row.tariff_id, row.valid_from, row.digest) for row in rows]


def opened(town: Town, folder: Path) -> TariffBook:
    """The book as a start makes it."""
    with town.database.read() as tx:
        return with_kept_versions(tx, load_book(folder / "tariffs"), folder / "tariffs")


def test_both_versions_of_a_month_are_kept_once_it_is_approved(town: Town) -> None:
    bill(town, until="rate_cycle")
    assert kept(town) == []
    bill(town, until="approve")
    (one, other) = town.office.tariffs.versions("changing")
    expected = [("changing", "2025-01-01", one.digest), ("changing", "2026-10-11", other.digest)]
    assert kept(town) == expected
    issue(town.office, OCTOBER, "monthly", "ann")
    named = {(segment.tariff.id, segment.tariff.sha256) for segment in town.statements()["Ada"].segments}
    assert {(name, digest) for name, _, digest in kept(town)} == named


def test_the_database_refuses_any_change(town: Town) -> None:
    bill(town)
    for change in ("UPDATE tariff_version SET document = '{}'", "DELETE FROM tariff_version"):
        with pytest.raises(IntegrityError, match="a tariff version that was billed"), town.database.write() as tx:
            tx.execute(text(change))


def test_a_file_with_other_prices_under_a_used_version_is_refused_by_name(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "tariffs" / "flat-next.toml"
    before = file.read_text()
    file.write_text(before.replace("0.40", "0.41"))
    changed = load_tariff(file)
    opened(town, tmp_path)  # nothing was billed by it
    file.write_text(before)
    bill(town)
    opened(town, tmp_path)
    used = load_tariff(file)
    file.write_text(before.replace("0.40", "0.400") + "\n# another layout is no other version\n")
    opened(town, tmp_path)
    file.write_text(before.replace("0.40", "0.41"))
    with pytest.raises(InvalidTariff) as refused:
        opened(town, tmp_path)
    assert str(refused.value) == (
        f"{file}: found version {changed.version}, but bills were made by {used.version} of changing from 2026-10-11 on"
        " (cycle 2026-10/monthly, approved 2026-11-03), expected the file as it was, and a new file with a later"
        " valid_from"
    )
    file.write_text(before)
    (tmp_path / "tariffs" / "later.toml").write_text(before.replace("0.40", "0.41").replace("2026-10-11", "2026-11-01"))
    begins = [its.valid_from for its in opened(town, tmp_path).versions("changing")]
    assert begins == [date(2025, 1, 1), date(2026, 10, 11), date(2026, 11, 1)]


def test_a_used_version_outlives_its_file(town: Town, tmp_path: Path) -> None:
    bill(town)
    statement = town.statements()["Ada"]
    for name in ("flat-first", "flat-next"):
        (tmp_path / "tariffs" / f"{name}.toml").unlink()
    assert "changing" not in load_book(tmp_path / "tariffs").ids
    book = opened(town, tmp_path)
    assert book.versions("changing") == town.office.tariffs.versions("changing")
    # What it made is rated again, to the cent.
    again = rated_again(replace(town.office, tariffs=book), statement)
    assert (again.problem, again.now) == (None, statement.totals)


def test_a_version_that_mixes_up_its_components_is_no_new_one_and_loads_where_it_was_used(
    town: Town, tmp_path: Path
) -> None:
    file = tmp_path / "tariffs" / "flat-next.toml"
    energy = """
[[components]]
kind = "energy"
label = "Grid"
tiers_per = "month"
tiers = [{ up_to = 100, price = 0.1 }, { price = 0.2 }]
"""
    places = len(load_tariff(file).components)
    file.write_text(file.read_text() + energy * 2)
    with pytest.raises(InvalidTariff) as refused:
        opened(town, tmp_path)
    assert str(refused.value).startswith(
        f"{file}: components[{places + 1}].label: found 'Grid', and components[{places}].label is 'Grid', expected "
    )
    # Bills were made by it before that was refused.
    town.site = replace(town.site, tariffs=load_book(tmp_path / "tariffs"))
    town.office = replace(town.office, tariffs=town.site.tariffs)
    bill(town, until="approve")
    used = load_tariff(file)
    assert used in opened(town, tmp_path).versions("changing")
    file.unlink()
    assert used in opened(town, tmp_path).versions("changing")


def test_two_processes_with_different_files_do_not_both_bill(town: Town, tmp_path: Path) -> None:
    bill(town)
    file = tmp_path / "tariffs" / "flat-next.toml"
    file.write_text(file.read_text().replace("0.40", "0.41"))
    with pytest.raises(BillingConflict, match="changing from 2026-10-11 on is version"), town.database.write() as tx:
        keep_versions(tx, [load_tariff(file)], "2026-10/monthly", datetime(2026, 11, 4, tzinfo=UTC))


@pytest.mark.parametrize(
    ("document", "said"),
    [(None, "its hash is "), ("{}", "validation errors"), ("{", "Expecting property name")],
)
def test_a_version_that_is_not_what_was_kept_is_no_version(tmp_path: Path, document: str | None, said: str) -> None:
    town = made_town(tmp_path)
    bill(town)
    row = {"digest": "ab" * 32, "tariff_id": "flat", "valid_from": "2024-01-01", "cycle_id": "2026-10/monthly"}
    flat = canonical_json(town.office.tariffs.versions("flat")[0])
    with town.database.write() as tx:
        tx.execute(insert(tariff_version), row | {"used_us": 0, "document": flat if document is None else document})
    with pytest.raises(StoreBroken, match=f"tariff version abababababab of flat: .*{said}"):
        opened(town, tmp_path)


def test_a_head_end_does_not_start_with_a_changed_version(tmp_path: Path) -> None:
    bill(made_town(tmp_path), until="approve")
    file = tmp_path / "tariffs" / "flat-next.toml"
    file.write_text(file.read_text().replace("0.40", "0.41"))
    ended = headend(tmp_path, "bill", "run", "--period", "2026-10")
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"headend: {file}: found version ")
