"""Making a bundle: files in order, not compressed, all of one date, so that two bundles of a statement are one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from importlib.resources import files as package_files
from io import BytesIO
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from headend.billing.bundle.manifest import (
    MANIFEST,
    PRICES_HEADER,
    README,
    READS_HEADER,
    STATEMENT,
    Manifest,
    Named,
    PricesFile,
    ReadsFile,
    SegmentFiles,
    manifest_bytes,
    span_of,
    stamp_of,
)
from headend.billing.recount import Evidence, counted
from headend.billing.statement import Segment, parse_statement, sha256
from headend.tariffs import PriceSeries, canonical_json
from headend.tariffs.money import EXACT, plain


def make_bundle(document: bytes, evidence: Sequence[Evidence]) -> bytes:
    """The ZIP file of an issued statement.

    Parameters
    ----------
    document
        the statement's bytes.
    evidence
        what each of its segments was rated on, in order.
    """
    statement = parse_statement(document)
    files: dict[str, bytes] = {README: _readme(), STATEMENT: document}
    segments = [
        _written(files, number, segment, its)
        for number, (segment, its) in enumerate(zip(statement.segments, evidence, strict=True), 1)
    ]
    manifest = Manifest(
        format="headend-bundle/1",
        statement=Named(id=statement.id, sha256=sha256(document), previous_sha256=statement.previous_sha256),
        segments=segments,
        files={name: sha256(content) for name, content in sorted(files.items())},
    )
    return archive({README: files.pop(README), MANIFEST: manifest_bytes(manifest), **files})


def archive(files: Mapping[str, bytes]) -> bytes:
    """Files as a ZIP file: in their order, not compressed, all of one date."""
    out = BytesIO()
    with ZipFile(out, "w", ZIP_STORED) as zipped:
        for name, content in files.items():
            info = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o100644 << 16
            zipped.writestr(info, content)
    return out.getvalue()


def _readme() -> bytes:
    return package_files("headend.billing.bundle").joinpath("readme.txt").read_bytes()


def _written(files: dict[str, bytes], number: int, segment: Segment, its: Evidence) -> SegmentFiles:
    """Add a segment's files."""
    folder = f"segment-{number}"
    files[f"{folder}/tariff.json"] = canonical_json(its.tariff).encode()
    reads, prices = [], []
    for row, meter in enumerate(its.meters):
        name = f"{folder}/reads-{row + 1}.csv"
        files[name] = _reads_csv(its, row).encode()
        reads.append(ReadsFile(file=name, meter=meter.meter_name, channel=meter.channel.obis))
    begin_s, end_s = span_of(segment)
    for place, series in enumerate(its.prices, 1):
        name = f"{folder}/prices-{place}.csv"
        files[name] = _prices_csv(series, begin_s, end_s).encode()
        prices.append(PricesFile(file=name, series=series.name, currency=series.currency, unit=series.unit))
    return SegmentFiles(tariff=f"{folder}/tariff.json", interval_s=its.profiles.interval_s, reads=reads, prices=prices)


def _reads_csv(its: Evidence, row: int) -> str:
    profiles = its.profiles
    columns = zip(
        profiles.values[row].tolist(),
        profiles.quality[row].tolist(),
        counted(its, row).astype(int).tolist(),
        strict=True,
    )
    lines = [
        f"{stamp_of(profiles.start_s + place * profiles.interval_s)},{value},{quality},{counts}"
        for place, (value, quality, counts) in enumerate(columns)
    ]
    return "\n".join([READS_HEADER, *lines, ""])


def _prices_csv(series: PriceSeries, begin_s: int, end_s: int) -> str:
    lines = [
        f"{stamp_of(start_s)},{stamp_of(until_s)},{plain(Decimal(price).scaleb(-series.scale, EXACT))}"
        for start_s, until_s, price in zip(
            series.start_s.tolist(), series.end_s.tolist(), series.prices.tolist(), strict=True
        )
        if until_s > begin_s and start_s < end_s
    ]
    return "\n".join([PRICES_HEADER, *lines, ""])
