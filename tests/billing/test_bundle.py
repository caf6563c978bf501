"""A statement and all it was made of, in one file that anybody can check."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headend.billing.bundle import Checked, check_bundle
from headend.billing.bundle.making import archive
from headend.billing.run import rate_cycle
from headend.errors import BillingConflict, InvalidInput
from headend.process.asbilled import bundle_of
from tests.billing.kinds import KINDS
from tests.billing.test_commands import Run, run
from tests.billing.town import Town

__all__ = ["run"]
ADA = "Ada-2026-10-1"


def bundled(town: Town, statement: str = ADA) -> bytes:
    with town.database.read() as tx:
        return bundle_of(tx, town.site, statement)[1]


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


def consistent(files: dict[str, bytes]) -> bytes:
    """Zipped again, with a manifest that has the hashes of what is there."""
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = {
        name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files) if name != "manifest.json"
    }
    manifest["statement"]["sha256"] = manifest["files"]["statement.json"]
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    return archive({**files, "manifest.json": text.encode()})


def checked(data: bytes) -> tuple[Checked | None, str]:
    """What came of it, or why it was refused."""
    try:
        return check_bundle(data), ""
    except InvalidInput as error:
        return None, str(error)


def where(found: Checked) -> list[str]:
    return [each.where for each in found.differs]


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a bundle with prices, and of one with an exchange, by their names."""
    made = {}
    for name in ("dynamic", "exchanged", "business"):
        town = Town(tmp_path_factory.mktemp(name))
        KINDS[name](town)
        town.bill()
        made[name] = bundled(town)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tariff_comes_out_of_its_bundle(town: Town, kind: str) -> None:
    KINDS[kind](town)
    statement = town.bill()["Ada"]
    data = bundled(town)
    found = check_bundle(data)
    assert found.differs == []
    assert found.identical
    assert found.statement == statement
    assert [len(lines) for lines in found.lines] == [len(segment.lines) for segment in statement.segments]
    assert bundled(town) == data
    assert unzipped(data)["statement.json"] == town.documents()["Ada"]


def test_bundle_can_be_checked_by_hand(billed: dict[str, bytes]) -> None:
    files = unzipped(billed["dynamic"])
    assert list(files) == [
        "README.txt",
        "manifest.json",
        "statement.json",
        "segment-1/tariff.json",
        "segment-1/reads-1.csv",
        "segment-1/prices-1.csv",
    ]
    segment = json.loads(files["statement.json"])["segments"][0]
    rows = list(csv.DictReader(files["segment-1/reads-1.csv"].decode().splitlines()))
    begin = int(datetime.fromisoformat(rows[0]["start"]).timestamp())
    digest = hashlib.sha256(f"E-1|1-0:1.8.0|{begin}|3600|{len(rows)}\n".encode())
    digest.update(struct.pack(f"<{len(rows)}q", *(int(row["value"]) for row in rows)))
    digest.update(bytes(int(row["quality"]) for row in rows))
    assert digest.hexdigest() == segment["reads_sha256"]
    assert hashlib.sha256(files["segment-1/tariff.json"]).hexdigest() == segment["tariff"]["sha256"]
    prices = list(csv.DictReader(files["segment-1/prices-1.csv"].decode().splitlines()))
    price = {row["start"]: Decimal(row["price"]) for row in prices}
    # Day-ahead price × 1.03 + 0.018, hour by hour.
    energy = sum(
        Decimal(row["value"]) / 1000 * (price[row["start"]] * Decimal("1.03") + Decimal("0.018")) for row in rows
    )
    assert segment["lines"][0]["amount"] == str(energy.quantize(Decimal("0.01")))


def test_meter_counts_while_it_hung(billed: dict[str, bytes]) -> None:
    files = unzipped(billed["exchanged"])
    counts = [
        [row["counted"] for row in csv.DictReader(files[f"segment-1/reads-{number}.csv"].decode().splitlines())]
        for number in (1, 2)
    ]
    assert counts == [["1"] * 276 + ["0"] * 469, ["0"] * 276 + ["1"] * 469]


def test_zipped_again_by_anybody_is_as_good(billed: dict[str, bytes]) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.mkdir("segment-1")
        for name, content in sorted(unzipped(billed["dynamic"]).items()):
            zipped.writestr(name, content)
    assert check_bundle(out.getvalue()).identical


# -- what is changed is found, and named --


def test_read_that_was_changed_changes_lines(billed: dict[str, bytes]) -> None:
    files = unzipped(billed["business"])
    reads = files["segment-1/reads-1.csv"].decode().split("\n")
    start, value, rest = reads[100].split(",", 2)
    reads[100] = f"{start},{int(value) + 10_000},{rest}"
    files["segment-1/reads-1.csv"] = "\n".join(reads).encode()
    # With the old manifest the file is named; with a new one, the digest on the statement. The lines tell either way.
    for data, named in ((archive(files), "segment-1/reads-1.csv"), (consistent(files), "segment 1, reads")):
        found = check_bundle(data)
        assert named in where(found)
        assert "segment 1, line 'Demand'" in where(found)
        assert "segment 1, gross" in where(found)
        assert "totals, gross" in where(found)
        assert not found.identical


def test_price_that_was_changed_changes_lines(billed: dict[str, bytes]) -> None:
    files = unzipped(billed["dynamic"])
    name = "segment-1/prices-1.csv"
    files[name] = files[name].replace(b",0.1\n", b",0.2\n", 1)
    found = check_bundle(consistent(files))
    assert {"segment 1, line 'Energy at day-ahead prices'", "segment 1, prices"} <= set(where(found))


def test_tariff_that_was_changed_changes_lines(billed: dict[str, bytes]) -> None:
    files = unzipped(billed["business"])
    name = "segment-1/tariff.json"
    assert b'"0.164"' in files[name]
    files[name] = files[name].replace(b'"0.164"', b'"0.165"')
    found = check_bundle(consistent(files))
    assert {"segment 1, tariff", "segment 1, line 'Energy, Day'"} <= set(where(found))


def test_amount_that_was_changed_on_the_statement(billed: dict[str, bytes]) -> None:
    files = unzipped(billed["business"])
    statement = json.loads(files["statement.json"])
    line = statement["segments"][0]["lines"][0]
    line["amount"] = str(Decimal(line["amount"]) + 1)
    known = hashlib.sha256(files["statement.json"]).hexdigest()
    files["statement.json"] = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    found = check_bundle(consistent(files), known)
    assert where(found) == ["statement", f"segment 1, line {line['label']!r}"]
    assert check_bundle(billed["business"], known).identical


def test_calendar_that_was_changed_is_seen(billed: dict[str, bytes]) -> None:
    files = unzipped(billed["business"])
    statement = json.loads(files["statement.json"])
    statement["segments"][0]["calendar_sha256"] = "0" * 64
    files["statement.json"] = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert where(check_bundle(consistent(files))) == ["segment 1, calendar_sha256"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_byte_of_any_file_matters(billed: dict[str, bytes], data: st.DataObject) -> None:
    files = unzipped(billed[data.draw(st.sampled_from(sorted(billed)))])
    name = data.draw(st.sampled_from(sorted(files)))
    place = data.draw(st.integers(0, len(files[name]) - 1))
    changed = bytearray(files[name])
    changed[place] ^= data.draw(st.integers(1, 255))
    files[name] = bytes(changed)
    found, refused = checked(archive(files))
    if found is None:
        assert "\n" not in refused
        assert name in refused or name == "manifest.json"
    else:
        assert not found.identical
        assert any(each.where.startswith(name) for each in found.differs) or name == "manifest.json"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_forged_number_is_found_or_refused(billed: dict[str, bytes], data: st.DataObject) -> None:
    """A forger who also writes the manifest anew: no number of the statement can be another unseen."""
    files = unzipped(billed["business"])
    statement = json.loads(files["statement.json"])
    segment = statement["segments"][0]
    names = ["usage", "reactive", "intervals", "estimated_intervals", "days", "net", "tax", "gross"]
    forged: object = data.draw(st.sampled_from(["-1", "0", "1E9", "9" * 50, "NaN", "0.001", "x"]))
    part, key = data.draw(
        st.sampled_from(
            [(segment, name) for name in names]
            + [(line, name) for line in segment["lines"] for name in ("quantity", "price", "amount")]
            + [(day, "quantity") for day in segment["daily"]]
            + [(peak, "quantity") for peak in segment["peaks"][:2]]
            + [(statement["totals"], name) for name in ("net", "tax", "gross")]
        )
    )
    if key in ("intervals", "estimated_intervals", "days"):
        forged = data.draw(st.sampled_from([-1, 0, 10**12]))
    if str(part[key]) == str(forged):
        return
    part[key] = forged
    files["statement.json"] = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    found, _ = checked(consistent(files))
    # Peaks below the highest make no difference to the bill; the statement's own hash is another then.
    assert found is None or not found.identical or part in segment["peaks"]


# -- what is no bundle --


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archived:
        for name, content in files.items():
            archived.writestr(name, content)
    return out.getvalue()


def with_file(name: str, content: bytes) -> Callable[[dict[str, bytes]], bytes]:
    return lambda files: zipped({**files, name: content})


def without(name: str) -> Callable[[dict[str, bytes]], bytes]:
    return lambda files: zipped({other: content for other, content in files.items() if other != name})


def with_lines(change: Callable[[list[str]], list[str]]) -> Callable[[dict[str, bytes]], bytes]:
    name = "segment-1/reads-1.csv"
    return lambda files: zipped({**files, name: "\n".join(change(files[name].decode().split("\n"))).encode()})


HOSTILE: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "no zip": lambda files: b"PK\x03\x04 nothing",
    "nothing": lambda files: b"",
    "empty": lambda files: zipped({}),
    "cut off": lambda files: zipped(files)[:-100],
    "a path that leads elsewhere": with_file("../../etc/passwd", b"x"),
    "an absolute path": with_file("/etc/passwd", b"x"),
    "another file": with_file("segment-1/run.sh", b"x"),
    "a bomb": lambda files: zipped({**files, "segment-1/reads-2.csv": bytes(65 * 2**20)}, zipfile.ZIP_DEFLATED),
    "too many": lambda files: zipped({f"segment-{n // 900}/reads-{n % 900}.csv": b"" for n in range(1001)}),
    "no manifest": without("manifest.json"),
    "no statement": without("statement.json"),
    "no reads": without("segment-1/reads-1.csv"),
    "a manifest that is no JSON": with_file("manifest.json", b"{"),
    "a manifest of something else": with_file("manifest.json", b'{"format": "headend-bundle/2"}'),
    "a statement that is no text": with_file("statement.json", b"\xff"),
    "a statement of lists in lists": with_file("statement.json", b"[" * 100_000),
    "a statement that is none": with_file("statement.json", b"{}"),
    "a number that fills the memory": lambda files: zipped(
        {**files, "statement.json": files["statement.json"].replace(b'"gross":"', b'"gross":"1E999999999', 1)}
    ),
    "a tariff that is none": with_file("segment-1/tariff.json", b"[]"),
    "a read that is none": with_lines(lambda lines: [*lines[:9], "2026,x,2,1", *lines[10:]]),
    "a read too few": with_lines(lambda lines: [*lines[:-2], ""]),
    "a read twice": with_lines(lambda lines: [*lines[:9], *lines[8:]]),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_bundle_is_refused_in_one_line(billed: dict[str, bytes], what: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_bundle(HOSTILE[what](unzipped(billed["dynamic"])))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_two_files_of_one_name_are_refused(billed: dict[str, bytes]) -> None:
    out = io.BytesIO(billed["dynamic"])
    with zipfile.ZipFile(out, "a") as archived, pytest.warns(UserWarning, match="Duplicate"):
        archived.writestr("statement.json", b"{}")
    with pytest.raises(InvalidInput, match="two files of one name"):
        check_bundle(out.getvalue())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_zip_is_refused_or_found(billed: dict[str, bytes], data: st.DataObject) -> None:
    damaged = bytearray(billed["dynamic"])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    assert "\n" not in checked(bytes(damaged))[1]


# -- who gets one --


def test_draft_has_no_bundle(flat: Town) -> None:
    rate_cycle(flat.office, "2026-10", "monthly", "ann")
    with pytest.raises(BillingConflict, match="is not issued yet"):
        bundled(flat)


def test_from_the_record_to_the_check(town: Town, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KINDS["dynamic"](town)
    town.bill()
    assert run("statement", "bundle", ADA, "-o", "october.zip") == (0, "october.zip\n", "")
    assert (tmp_path / "october.zip").read_bytes() == bundled(town)
    # Nothing of the site is there any more.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "october.zip").rename(elsewhere / "october.zip")
    monkeypatch.chdir(elsewhere)
    code, out, err = run("statement", "check", "october.zip", config=False)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "identical"
    assert hashlib.sha256(town.documents()["Ada"]).hexdigest() in out
    code, out, _ = run("statement", "check", "october.zip", "--json", config=False)
    assert json.loads(out)["identical"]
    assert sorted(path.name for path in elsewhere.iterdir()) == ["october.zip"]

    files = unzipped((elsewhere / "october.zip").read_bytes())
    files["segment-1/prices-1.csv"] = files["segment-1/prices-1.csv"].replace(b",0.1\n", b",0.2\n", 1)
    (elsewhere / "other.zip").write_bytes(consistent(files))
    code, out, _ = run("statement", "check", "other.zip", config=False)
    assert code == 1
    assert "different" in out.splitlines()[-1]
    (elsewhere / "none.zip").write_bytes(b"")
    code, _, err = run("statement", "check", "none.zip", config=False)
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = run("statement", "check", "away.zip", config=False)
    assert (code, err.count("\n")) == (2, 1)
