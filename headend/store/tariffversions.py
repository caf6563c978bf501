"""Tariff versions that bills were made by: kept for good, and held against the files at every start.

From the approval of a cycle on, its statements are final, and so are the versions that priced them. A file may be taken
away; the version is still here, and what it made can be rated again. A file may not be given other prices.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Row, insert, select

from headend.billing.peaks import ratchet_months
from headend.errors import BillingConflict, InvalidTariff, StoreBroken
from headend.reads.days import microseconds, moment_us
from headend.store.tables import tariff_version
from headend.tariffs import Tariff, TariffBook, canonical_json, load_tariff
from headend.tariffs.check import told_apart_faults
from headend.tariffs.load import tariff_files


def keep_versions(tx: Connection, tariffs: Iterable[Tariff], cycle: str, at: datetime) -> None:
    """Keep the versions that a cycle's statements were made by; those that are kept stay as they are.

    Raises
    ------
    BillingConflict
        another version of the same tariff and day was used before.
    """
    kept = {(row.tariff_id, row.valid_from): row for row in tx.execute(select(tariff_version))}
    for tariff in sorted(tariffs, key=lambda each: (each.id, each.valid_from)):
        before = kept.get((tariff.id, tariff.valid_from.isoformat()))
        if before is None:
            row = {
                "digest": tariff.digest,
                "tariff_id": tariff.id,
                "valid_from": tariff.valid_from.isoformat(),
                "document": canonical_json(tariff),
                "used_us": microseconds(at),
                "cycle_id": cycle,
            }
            tx.execute(insert(tariff_version), row)
        elif before.digest != tariff.digest:
            raise BillingConflict(
                f"{tariff.id} from {tariff.valid_from} on is version {tariff.version} here, but {before.digest[:12]} in"
                f" {before.cycle_id}: start anew, and rate the cycle again"
            )


def with_kept_versions(tx: Connection, book: TariffBook, folder: Path) -> TariffBook:
    """The book of a folder, and in it every version that was used and has no file any more.

    Raises
    ------
    InvalidTariff
        a file says something else than the version of the same tariff and day that was used, or says a new version
        whose components a statement could not tell apart.
    StoreBroken
        a version is not what was kept.
    """
    versions = {(its.id, its.valid_from.isoformat()): its for name in book.ids for its in book.versions(name)}
    kept = tx.execute(select(tariff_version)).all()
    new = versions.keys() - {(row.tariff_id, row.valid_from) for row in kept}
    for key in sorted(new):
        for fault in told_apart_faults(versions[key]):
            raise InvalidTariff(f"{_file_of(versions[key], folder)}: {fault.where}", fault.found, fault.expected)
    for row in kept:
        its = versions.get((row.tariff_id, row.valid_from))
        if its is None:
            versions[row.tariff_id, row.valid_from] = _tariff(row)
        elif its.digest != row.digest:
            raise InvalidTariff(
                f"{_file_of(its, folder)}",
                f"version {its.version}, but bills were made by {row.digest[:12]} of {its.id} from {its.valid_from} on"
                f" (cycle {row.cycle_id}, approved {moment_us(row.used_us):%Y-%m-%d})",
                "the file as it was, and a new file with a later valid_from",
            )
    return TariffBook(versions.values())


def ratcheted_versions(tx: Connection) -> dict[str, Tariff]:
    """Kept versions whose demand goes by peaks of earlier months, by digest; raises `StoreBroken`."""
    query = select(tariff_version).where(tariff_version.c.document.contains('"ratchet"'))
    kept = {row.digest: _tariff(row) for row in tx.execute(query)}
    return {digest: tariff for digest, tariff in kept.items() if ratchet_months(tariff)}


def _tariff(row: Row[Any]) -> Tariff:
    try:
        tariff = Tariff.model_validate(json.loads(row.document))
    except (ValueError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise StoreBroken(f"tariff version {row.digest[:12]} of {row.tariff_id}: {reason}") from None
    if tariff.digest != row.digest:
        raise StoreBroken(f"tariff version {row.digest[:12]} of {row.tariff_id}: its hash is {tariff.version}")
    return tariff


def _file_of(tariff: Tariff, folder: Path) -> Path:
    return next((path for path in tariff_files(folder) if load_tariff(path) == tariff), folder)
