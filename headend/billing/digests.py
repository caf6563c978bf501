"""What else a statement names, so that years later it can be told why a bill would come out otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from typing import Final

from headend.billing.parts import Part
from headend.billing.statement import Statement
from headend.reads.days import seconds
from headend.tariffs import BillingWindow, Market, Tariff, TariffBook, codes_of
from headend.tariffs.format.components import Demand, Dynamic, Energy, Reactive
from headend.tariffs.format.schema import MAIN

#: The program that makes statements.
ENGINE: Final = f"headend {version('headend')}"


def tariffs_of(statements: Iterable[Statement]) -> set[tuple[str, str]]:
    """Name and digest of the tariff versions that statements are made by."""
    return {(segment.tariff.id, segment.tariff.sha256) for each in statements for segment in each.segments}


def versions_of(book: TariffBook, named: Iterable[tuple[str, str]]) -> set[Tariff]:
    """Versions by their names and digests; those that the book has no more are left out."""
    return {
        version
        for name, digest in named
        if name in book.ids
        for version in book.versions(name)
        if version.digest == digest
    }


def calendar_digest(part: Part, window: BillingWindow, interval_s: int, market: Market) -> str:
    """SHA-256 over the periods in which the intervals of a part lie, hexadecimal.

    For the tariff's own schedule, and then for each other that a component goes by, in order of their names: the line
    `name|begin of the first interval [s since 1970]|interval [s]|count` and a line feed, in UTF-8 (the own one has no
    name); then for each interval a byte, the place of its period in the schedule, from 0.
    """
    digest, begin_s = hashlib.sha256(), seconds(window.start_utc)
    for name in (MAIN, *_other_schedules(part)):
        codes = codes_of(part.tariff, window, interval_s, name, market)
        digest.update(f"{name or ''}|{begin_s}|{interval_s}|{len(codes)}\n".encode())
        digest.update(codes.tobytes())
    return digest.hexdigest()


def _other_schedules(part: Part) -> list[str]:
    named = {
        component.schedule
        for component in part.components.values()
        if isinstance(component, Energy | Dynamic | Demand | Reactive)
    }
    return sorted(name for name in named if name is not MAIN)
