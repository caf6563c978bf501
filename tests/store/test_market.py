"""Published prices and events in the site database: what is there, what takes whose place, what is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select

from headend.errors import CannotRate, InvalidInput, NotFound
from headend.store.database import Database
from headend.store.market import (
    Imported,
    add_events,
    events_told,
    gaps_of,
    import_prices,
    load_market,
    price_series_told,
    prices_of,
    remove_event,
)
from headend.store.tables import price_history
from headend.tariffs.market import Events, PriceSeries
from headend.tariffs.money import EXACT, scaled

D = Decimal
HOUR = 3600
BEGIN = 1_767_225_600  # 2026-01-01T00:00Z
FIRST, LATER = datetime(2026, 1, 1, 13, tzinfo=UTC), datetime(2026, 1, 2, 13, tzinfo=UTC)


def series(
    *prices: str, name: str = "spot", begin: int = BEGIN, step: int = HOUR, currency: str = "EUR", unit: str = "kWh"
) -> PriceSeries:
    starts = begin + step * np.arange(len(prices), dtype=np.int64)
    numbers = [scaled(D(price)) for price in prices]
    scale = max(its for _, its in numbers)
    whole = np.array([number * 10 ** (scale - its) for number, its in numbers])
    return PriceSeries(name, currency, unit, starts, starts + step, whole, scale)


def put(database: Database, its: PriceSeries, at: datetime = FIRST, *, dry_run: bool = False) -> Imported:
    with database.write() as tx:
        return import_prices(tx, its, "p.csv", by="anna", at=at, dry_run=dry_run)


def loaded(database: Database, begin_s: int, end_s: int, name: str = "spot") -> dict[int, Decimal]:
    """Price by hour after `BEGIN`."""
    with database.read() as tx:
        its = load_market(tx, [name], [], begin_s, end_s).series(name)
    hours = ((its.start_s - BEGIN) // HOUR).tolist()
    return dict(zip(hours, [D(int(price)).scaleb(-its.scale, EXACT) for price in its.prices], strict=True))


def test_prices_come_out_as_they_went_in(site_database: Database) -> None:
    assert put(site_database, series("0.2831", "-0.05", "0", "123456789.0000000001")) == Imported(4, 0)
    expected = {0: D("0.2831"), 1: D("-0.05"), 2: D(0), 3: D("123456789.0000000001")}
    assert loaded(site_database, BEGIN, BEGIN + 4 * HOUR) == expected
    with site_database.read() as tx:
        its = load_market(tx, ["spot"], [], BEGIN, BEGIN + HOUR).series("spot")
    assert (its.name, its.currency, its.unit) == ("spot", "EUR", "kWh")


def test_a_price_of_more_digits_than_a_word_holds(site_database: Database) -> None:
    put(site_database, series("-999999999.12345678901234567891", "0.1"))
    assert loaded(site_database, BEGIN, BEGIN + HOUR) == {0: D("-999999999.12345678901234567891")}


def test_only_prices_that_hold_within_are_loaded(site_database: Database) -> None:
    put(site_database, series(*map(str, range(24))))
    put(site_database, series(*map(str, range(24)), name="other"))
    for begin, end, hours in (
        (BEGIN + 5 * HOUR, BEGIN + 7 * HOUR, [5, 6]),
        (BEGIN + 5 * HOUR + 1, BEGIN + 7 * HOUR + 1, [5, 6, 7]),
        (BEGIN - 9 * HOUR, BEGIN, []),
        (BEGIN + 24 * HOUR, BEGIN + 30 * HOUR, []),
        (BEGIN - HOUR, BEGIN + HOUR, [0]),
    ):
        assert list(loaded(site_database, begin, end)) == hours


def test_a_price_may_hold_for_years(site_database: Database) -> None:
    put(site_database, series("0.1", "0.2", step=5 * 365 * 86_400))
    assert loaded(site_database, BEGIN + 86_400, BEGIN + 90_000) == {0: D("0.1")}


def test_what_was_never_imported_is_no_price(site_database: Database) -> None:
    put(site_database, series("0.1"))
    with site_database.read() as tx:
        market = load_market(tx, ["spot", "sport"], ["critical"], BEGIN + 9 * HOUR, BEGIN + 10 * HOUR)
    with pytest.raises(CannotRate, match="there is no price series 'sport'"):
        market.series("sport")
    with pytest.raises(CannotRate, match="price series spot has no price for 1 of 1 intervals"):
        market.series("spot").at(BEGIN + 9 * HOUR, 1, HOUR)
    assert market.events["critical"].spans == ()


def test_the_same_prices_again_change_nothing(site_database: Database) -> None:
    put(site_database, series("0.1", "0.20"))
    assert put(site_database, series("0.10", "0.2", "0.3"), LATER) == Imported(1, 2)
    with site_database.read() as tx:
        told = prices_of(tx, "spot", BEGIN, BEGIN + 3 * HOUR)
    assert [(one.version, one.imported) for one in told] == [(1, FIRST), (1, FIRST), (1, LATER)]


def test_a_price_published_anew_counts_and_the_one_before_is_kept(site_database: Database) -> None:
    put(site_database, series("0.1", "0.2"))
    changed = put(site_database, series("0.1", "0.25"), LATER)
    assert changed == Imported(0, 1, (((BEGIN + HOUR, BEGIN + 2 * HOUR), D("0.2"), D("0.25")),))
    put(site_database, series("0.1", "0.26"), LATER)
    assert loaded(site_database, BEGIN, BEGIN + 2 * HOUR) == {0: D("0.1"), 1: D("0.26")}
    with site_database.read() as tx:
        before = tx.execute(select(price_history).order_by(price_history.c.version)).all()
        assert [(row.start_s - BEGIN, row.end_s - BEGIN, row.version, row.price) for row in before] == [
            (HOUR, 2 * HOUR, 1, "0.2"),
            (HOUR, 2 * HOUR, 2, "0.25"),
        ]
        assert prices_of(tx, "spot", BEGIN + HOUR, BEGIN + 2 * HOUR)[0].version == 3


def test_a_dry_run_tells_and_writes_nothing(site_database: Database) -> None:
    assert put(site_database, series("0.1"), dry_run=True) == Imported(1, 0)
    with site_database.read() as tx:
        assert price_series_told(tx) == []


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            series("1", step=2 * HOUR),
            "p.csv: found a price from 2026-01-01T00:00Z to 2026-01-01T02:00Z, expected the same times as before, or"
            " others (2026-01-01T00:00Z to 2026-01-01T01:00Z stands there)",
        ),
        (series("1", "1", step=HOUR // 2), "found a price from 2026-01-01T00:00Z to 2026-01-01T00:30Z, expected"),
        (series("1", begin=BEGIN + HOUR // 2), "found a price from 2026-01-01T00:30Z to 2026-01-01T01:30Z, expected"),
        (series("1", currency="USD"), "p.csv: found USD per kWh, expected EUR per kWh, as spot has been"),
        (series("1", unit="m³"), "p.csv: found EUR per m³, expected EUR per kWh, as spot has been"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_of_it_stays(
    site_database: Database, other: PriceSeries, said: str
) -> None:
    put(site_database, series("0.1", "0.2", "0.3"))
    with pytest.raises(InvalidInput) as refused:
        put(site_database, other)
    assert said in str(refused.value)
    assert loaded(site_database, BEGIN - HOUR, BEGIN + 9 * HOUR) == {0: D("0.1"), 1: D("0.2"), 2: D("0.3")}


def test_what_there_is_of_each_series_and_where_it_has_gaps(site_database: Database) -> None:
    put(site_database, series("1", "2"))
    put(site_database, series("3", begin=BEGIN + 4 * HOUR), LATER)
    put(site_database, series("1", "2", name="agile", currency="GBP"))
    with site_database.read() as tx:
        agile, spot = price_series_told(tx)
        assert (agile.name, agile.currency, agile.prices, agile.gaps) == ("agile", "GBP", 2, 0)
        told = (spot.first_s, spot.end_s, spot.prices, spot.gaps, spot.imported)
        assert told == (BEGIN, BEGIN + 5 * HOUR, 3, 1, LATER)
        first, end = BEGIN - HOUR, BEGIN + 6 * HOUR
        gaps = gaps_of(prices_of(tx, "spot", first, end), first, end)
        with pytest.raises(NotFound, match="no price series is called 'sport'"):
            prices_of(tx, "sport", first, end)
    hours = [((begin - BEGIN) // HOUR, (end - BEGIN) // HOUR) for begin, end in gaps]
    assert hours == [(-1, 0), (2, 4), (5, 6)]


def test_a_market_is_two_questions_however_much_is_asked(site_database: Database) -> None:
    for name in ("a", "b", "c"):
        put(site_database, series("1", "2", name=name))
    asked: list[str] = []
    event.listen(site_database.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    with site_database.read() as tx:
        market = load_market(tx, ["a", "b", "c"], ["x", "y"], BEGIN, BEGIN + HOUR)
    assert sorted(market.prices) == ["a", "b", "c"]
    assert len([one for one in asked if one.startswith("SELECT")]) == 2


def events(*hours: tuple[int, int], name: str = "critical") -> Events:
    return Events(name, tuple((BEGIN + begin * HOUR, BEGIN + end * HOUR) for begin, end in hours))


def test_events_are_added_once_and_loaded_where_they_touch(site_database: Database) -> None:
    with site_database.write() as tx:
        add_events(tx, events((5, 9)), "e.csv", by="anna", at=FIRST)
        assert add_events(tx, events((5, 9), (9, 11)), "e.csv", by="bob", at=LATER) == Imported(1, 1)
        add_events(tx, events((5, 9), name="other"), "e.csv", by="bob", at=LATER)
        for overlap in (events((8, 10)), events((5, 8))):
            with pytest.raises(InvalidInput, match=r"e\.csv: found an event from 2026-01-01T0.*, expected no overlap"):
                add_events(tx, overlap, "e.csv", by="bob", at=LATER)
    with site_database.read() as tx:
        assert [(one.start_s, one.added_by) for one in events_told(tx, "critical")] == [
            (BEGIN + 5 * HOUR, "anna"),
            (BEGIN + 9 * HOUR, "bob"),
        ]
        market = load_market(tx, [], ["critical"], BEGIN + 8 * HOUR, BEGIN + 9 * HOUR)
    assert market.events["critical"] == events((5, 9))


def test_only_an_event_that_has_not_begun_is_called_off(site_database: Database) -> None:
    with site_database.write() as tx:
        add_events(tx, events((5, 9)), "e.csv", by="anna", at=FIRST)
        with pytest.raises(InvalidInput, match="found an event that began at 2026-01-01T05:00Z"):
            remove_event(tx, "critical", BEGIN + 5 * HOUR, BEGIN + 5 * HOUR)
        with pytest.raises(NotFound, match="critical has no event that begins at 2026-01-01T06:00Z"):
            remove_event(tx, "critical", BEGIN + 6 * HOUR, BEGIN)
        remove_event(tx, "critical", BEGIN + 5 * HOUR, BEGIN + 5 * HOUR - 1)
        assert events_told(tx) == []


QUARTER = 900
#: A day's prices: (begin, length [quarter hours], price [hundredths]); what overlaps is left out.
DAYS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([1, 2, 4]), st.integers(-300, 300)), max_size=12)


def apart(rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    kept: list[tuple[int, int, int]] = []
    for begin, length, cents in sorted(rows):
        if not kept or begin >= kept[-1][1]:
            kept.append((begin, begin + length, cents))
    return kept


def of_quarters(name: str, rows: list[tuple[int, int, int]]) -> PriceSeries:
    begins, ends, cents = np.array(rows, np.int64).reshape(-1, 3).T
    return PriceSeries(name, "EUR", "kWh", BEGIN + QUARTER * begins, BEGIN + QUARTER * ends, cents, 2)


@pytest.fixture(scope="module")
def database_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('market') / 'x.db'}", "site")
    yield database
    database.close()


NAMES = map("s{}".format, count())


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(DAYS, min_size=1, max_size=5), st.integers(-2, 44), st.integers(1, 20))
def test_imports_in_any_order_are_those_of_a_dictionary(
    database_for_all: Database, imports: list[list[tuple[int, int, int]]], first: int, length: int
) -> None:
    name = next(NAMES)
    model: dict[tuple[int, int], int] = {}
    replaced = 0
    for rows in map(apart, imports):
        others = [span for span in model if all(span != (begin, end) for begin, end, _ in rows)]
        if any(begin < its_end and its_begin < end for begin, end, _ in rows for its_begin, its_end in others):
            with pytest.raises(InvalidInput, match="expected the same times as before"):
                put(database_for_all, of_quarters(name, rows))
            continue
        came = put(database_for_all, of_quarters(name, rows))
        before = {(begin, end): model.get((begin, end)) for begin, end, _ in rows}
        model |= {(begin, end): cents for begin, end, cents in rows}
        new = sum(cents is None for cents in before.values())
        same = sum(cents == model[span] for span, cents in before.items())
        assert (came.new, came.same, came.changed) == (new, same, len(before) - new - same)
        replaced += came.changed
    begin_s, end_s = BEGIN + QUARTER * first, BEGIN + QUARTER * (first + length)
    with database_for_all.read() as tx:
        market = load_market(tx, [name], [], begin_s, end_s)
        kept = tx.execute(select(func.count()).where(price_history.c.series == name)).scalar_one()
    its = market.series(name)
    spans = zip(((its.start_s - BEGIN) // QUARTER).tolist(), ((its.end_s - BEGIN) // QUARTER).tolist(), strict=True)
    cents = [int(D(int(price)).scaleb(2 - its.scale)) for price in its.prices]
    expected = {span: cent for span, cent in model.items() if span[0] < first + length and span[1] > first}
    assert dict(zip(spans, cents, strict=True)) == expected
    assert kept == replaced
