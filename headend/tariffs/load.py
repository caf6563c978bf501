"""Tariff files, and the book of all versions of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from headend.errors import InvalidTariff, NotFound
from headend.tariffs.check import examine
from headend.tariffs.format.schema import Tariff


def load_tariff(path: Path | str) -> Tariff:
    """The tariff version in a TOML or JSON file.

    Raises
    ------
    InvalidTariff
        with file and key, what stands there and what was expected.
    """
    tariff, findings = examine(Path(path))
    if tariff is None:
        raise InvalidTariff(findings[0].where, findings[0].found, findings[0].expected)
    return tariff


def load_book(folder: Path | str) -> TariffBook:
    """All tariff versions in the `.toml` and `.json` files of a folder.

    Raises
    ------
    InvalidTariff
        a file cannot be used, or two files are the same tariff from the same day on.
    """
    if not Path(folder).is_dir():
        raise InvalidTariff(str(folder), "no folder", "a folder of tariff files")
    seen: dict[tuple[str, date], Path] = {}
    tariffs = []
    for path in tariff_files(Path(folder)):
        tariff = load_tariff(path)
        twin = seen.setdefault((tariff.id, tariff.valid_from), path)
        if twin is not path:
            raise InvalidTariff(
                f"{path}: valid_from",
                f"{tariff.id} from {tariff.valid_from} on, which {twin.name} is too",
                "one file for a version",
            )
        tariffs.append(tariff)
    return TariffBook(tariffs)


def tariff_files(folder: Path) -> list[Path]:
    """The tariff files of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix in {".toml", ".json"})


class TariffBook:
    """Every version of every tariff. A version is valid until the next one of its id is.

    Parameters
    ----------
    tariffs
        no two with the same id and `valid_from`.
    """

    def __init__(self, tariffs: Iterable[Tariff]) -> None:
        self._versions: dict[str, list[Tariff]] = {}
        for tariff in sorted(tariffs, key=lambda each: (each.id, each.valid_from)):
            versions = self._versions.setdefault(tariff.id, [])
            if versions and versions[-1].valid_from == tariff.valid_from:
                raise InvalidTariff(tariff.id, f"two versions from {tariff.valid_from} on", "one version for a day")
            versions.append(tariff)
        self._between: dict[tuple[str, date, date], Sequence[tuple[date, date, Tariff]]] = {}

    @property
    def ids(self) -> list[str]:
        """All tariffs, sorted."""
        return list(self._versions)

    def versions(self, tariff_id: str) -> list[Tariff]:
        """All versions of a tariff, oldest first; raises `NotFound`."""
        try:
            return list(self._versions[tariff_id])
        except KeyError:
            raise NotFound(f"no tariff is called {tariff_id!r}") from None

    def version(self, tariff_id: str, on: date) -> Tariff:
        """The version that is valid on that day; raises `NotFound`."""
        valid = [tariff for tariff in self.versions(tariff_id) if tariff.valid_from <= on]
        if not valid:
            raise NotFound(f"no version of tariff {tariff_id!r} is valid on {on}")
        return valid[-1]

    def versions_between(self, tariff_id: str, first: date, end: date) -> Sequence[tuple[date, date, Tariff]]:
        """The days `first` up to and without `end`, cut where a new version begins: (first, end, version) each.

        Raises
        ------
        NotFound
            the tariff is unknown, or was not yet valid on the first day.
        """
        # A run asks for the same days by the thousand.
        asked = tariff_id, first, end
        if asked not in self._between:
            later = [tariff for tariff in self.versions(tariff_id) if first < tariff.valid_from < end]
            parts = [self.version(tariff_id, first), *later]
            begins = [first, *(tariff.valid_from for tariff in later)]
            self._between[asked] = tuple(zip(begins, [*begins[1:], end], parts, strict=True))
        return self._between[asked]
