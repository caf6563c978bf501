"""Completeness and silence, counted by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from headend.monitor.health import Fleet, fleet
from headend.monitor.meters import Completeness
from headend.monitor.quarantine import FaultCount, faults, quarantined, quarantined_count
from headend.reads.channels import IMPORT
from headend.reads.days import DAY_S, seconds
from headend.reads.quality import Quality
from headend.registry.registry import enrol
from headend.registry.site_file import SiteFile
from headend.store import tables as t
from headend.store.commands import cancel, mark_sent, queue_command
from headend.store.journal import Journal
from headend.store.sequence import Note
from headend.store.sql import SqlIntervalStore
from headend.vee.ruleset import ClockRule
from tests.databases import file_database

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2025, 11, 12, 11, 0, tzinfo=UTC)
# 30 local days before 12 November begin on 13 October, 22:00 UTC of the 12th: 30 × 24 + 1 hours for the autumn change,
# and 12 more since midnight.
WINDOW_START = datetime(2025, 10, 12, 22, tzinfo=UTC)
WINDOW_HOURS = 30 * 24 + 1 + 12


def site_file(*meters: dict[str, object]) -> SiteFile:
    return SiteFile.model_validate(
        {
            "gateways": ["GW-1"],
            "usage_points": [{"id": "UP", "address": "-", "timezone": "Europe/Berlin"}],
            "meters": [
                {
                    "commodity": "electricity",
                    "usage_point": "UP",
                    "channels": [{"channel": IMPORT.obis, "max_per_interval": 10_000}],
                    **meter,
                }
                for meter in meters
            ],
        }
    )


class Bench:
    """A store, a registry and a journal to look at."""

    def __init__(self, folder: Path) -> None:
        self.database = file_database(folder / "site.db", "site")
        self.journal_database = file_database(folder / "journal.db", "journal")
        self.journal = Journal(self.journal_database)
        self.store = SqlIntervalStore()

    def enrol(self, *meters: dict[str, object]) -> None:
        with self.database.write() as tx:
            enrol(tx, site_file(*meters))

    def fill(self, meter: int, start: datetime, end: datetime, quality: Quality = Quality.VALIDATED) -> None:
        """Hourly reads over [start, end); what is there already stays."""
        day = np.arange(seconds(start) // DAY_S, -(-seconds(end) // DAY_S))
        keys = [(number, meter, IMPORT.code) for number in day.tolist()]
        with self.database.write() as tx:
            blocks = self.store.load(tx, keys, 3600)
            inside = (blocks.start_s >= seconds(start)) & (blocks.start_s < seconds(end))
            blocks.quality[inside] = quality
            self.store.save(tx, blocks, blocks.present, settled=True)

    def look(self) -> Fleet:
        with self.database.read() as tx:
            return fleet(
                tx, self.store, self.journal, NOW, BERLIN, ClockRule(then="fail", future_s=300, warn_s=60, fail_s=180)
            )


@pytest.fixture
def bench(tmp_path: Path):
    made = Bench(tmp_path)
    yield made
    made.database.close()
    made.journal_database.close()


def test_complete_meter_has_every_hour_of_the_window_and_no_more(bench):
    bench.enrol({"meter": "E-1"})
    bench.fill(1, datetime(2025, 9, 1, tzinfo=UTC), NOW)
    (meter,) = bench.look().meters
    assert meter.completeness == Completeness(WINDOW_HOURS, WINDOW_HOURS, 0)
    assert meter.last_seen_s == seconds(NOW)
    assert not meter.silent


def test_hours_before_local_midnight_do_not_count(bench):
    bench.enrol({"meter": "E-1"})
    bench.fill(1, datetime(2025, 10, 12, tzinfo=UTC), datetime(2025, 10, 13, tzinfo=UTC))
    (meter,) = bench.look().meters
    assert meter.completeness == Completeness(WINDOW_HOURS, 2, 0)


def test_nothing_is_expected_before_installation(bench):
    bench.enrol({"meter": "E-1", "installed": "2025-11-12T08:30:00Z"})
    bench.fill(1, datetime(2025, 11, 12, 9, tzinfo=UTC), datetime(2025, 11, 12, 10, tzinfo=UTC))
    (meter,) = bench.look().meters
    assert meter.completeness == Completeness(2, 1, 0)
    assert meter.completeness.share == 0.5


def test_nothing_is_expected_after_removal_and_a_removed_meter_is_not_silent(bench):
    bench.enrol({"meter": "E-1"})
    with bench.database.write() as tx:
        tx.execute(t.installation.update().values(removed_s=seconds(WINDOW_START) + 5 * 3600))
    (meter,) = bench.look().meters
    assert meter.completeness.expected == 5
    assert not meter.silent


def test_estimates_count_as_present_but_not_as_heard(bench):
    bench.enrol({"meter": "E-1"})
    bench.fill(1, datetime(2025, 11, 10, tzinfo=UTC), datetime(2025, 11, 11, tzinfo=UTC))
    bench.fill(1, datetime(2025, 11, 11, tzinfo=UTC), NOW, Quality.ESTIMATED_LIKE_DAY)
    seen = bench.look()
    (meter,) = seen.meters
    assert (meter.completeness.present, meter.completeness.estimated) == (24 + 35, 35)
    assert meter.completeness.estimated_share == 35 / 59
    assert meter.last_seen_s == seconds(datetime(2025, 11, 11, tzinfo=UTC))
    assert meter.silent
    assert seen.totals.completeness.read_success == 24 / WINDOW_HOURS


def test_meter_heard_exactly_a_day_ago_is_not_silent_yet(bench):
    bench.enrol({"meter": "E-1"}, {"meter": "E-2"})
    bench.fill(1, datetime(2025, 11, 1, tzinfo=UTC), datetime(2025, 11, 11, 11, tzinfo=UTC))
    bench.fill(2, datetime(2025, 11, 1, tzinfo=UTC), datetime(2025, 11, 11, 10, tzinfo=UTC))
    assert [meter.silent for meter in bench.look().meters] == [False, True]


def test_gateway_sums_up_the_meters_bound_to_it(bench):
    bench.enrol({"meter": "E-1", "gateway": "GW-1"}, {"meter": "E-2", "gateway": "GW-1"}, {"meter": "E-3"})
    bench.fill(1, datetime(2025, 9, 1, tzinfo=UTC), NOW)
    bench.fill(3, datetime(2025, 9, 1, tzinfo=UTC), NOW)
    seen = bench.look()
    (gateway,) = seen.gateways
    assert (gateway.meters, gateway.silent) == (2, 1)
    assert gateway.completeness == Completeness(2 * WINDOW_HOURS, WINDOW_HOURS, 0)
    assert seen.totals.completeness == Completeness(3 * WINDOW_HOURS, 2 * WINDOW_HOURS, 0)
    assert (seen.totals.meters, seen.totals.silent, seen.totals.gateways_online) == (3, 1, 0)


def test_warnings_and_failures_are_counted_estimates_are_not(bench):
    bench.enrol({"meter": "E-1"})
    with bench.database.write() as tx:
        tx.execute(
            t.finding.insert(),
            [
                {
                    "meter": 1,
                    "channel": IMPORT.code,
                    "start_s": seconds(at),
                    "rule": rule,
                    "severity": severity,
                    "detail": "-",
                    "rule_set": "1",
                    "found_us": 0,
                }
                for at, rule, severity in (
                    (WINDOW_START, "V4", "warning"),
                    (WINDOW_START, "V8", "failed"),
                    (WINDOW_START, "E3", "info"),
                    (datetime(2025, 10, 12, 21, tzinfo=UTC), "V4", "warning"),
                )
            ],
        )
    (meter,) = bench.look().meters
    assert meter.findings == 2


def test_revoked_gateways_are_in_no_total(bench):
    bench.journal.append([], [Note("GW-1", 1), Note("GW-1", 4), Note("GW-2", 1), Note("GW-2", 9)])
    with bench.database.write() as tx:
        row = {"online": True, "clock_offset_s": -61, "last_seen_s": seconds(NOW), "messages": 2}
        for name, revoked_s in (("GW-1", None), ("GW-2", 1)):
            tx.execute(t.gateway.insert(), row | {"name": name, "revoked_s": revoked_s})
    seen = bench.look()
    totals = seen.totals
    assert (totals.gateways, totals.gateways_online, totals.clocks_off, totals.sequence_missing) == (1, 1, 1, 2)
    assert [gateway.missing for gateway in seen.gateways] == [2, 7]


@pytest.mark.parametrize(
    ("offset_s", "off", "wrong"),
    [(None, False, False), (60, False, False), (-61, True, False), (180, True, False), (-181, True, True)],
)
def test_clock_is_off_by_more_than_a_minute_and_wrong_by_more_than_three(bench, offset_s, off, wrong):
    with bench.database.write() as tx:
        tx.execute(t.gateway.insert(), {"name": "GW-1", "clock_offset_s": offset_s, "messages": 1})
    (gateway,) = bench.look().gateways
    assert (gateway.clock_off, gateway.clock_wrong) == (off, wrong)


def test_gateway_heard_exactly_a_day_ago_is_not_quiet_yet(bench):
    with bench.database.write() as tx:
        for name, last in (("GW-1", seconds(NOW) - DAY_S), ("GW-2", seconds(NOW) - DAY_S - 1), ("GW-3", None)):
            tx.execute(t.gateway.insert(), {"name": name, "last_seen_s": last, "messages": 1})
    assert [gateway.quiet for gateway in bench.look().gateways] == [False, True, False]


def test_open_commands_are_counted_by_gateway_and_all_by_state(bench):
    with bench.database.write() as tx:
        tx.execute(t.gateway.insert(), [{"name": name, "messages": 0} for name in ("GW-1", "GW-2")])
        for gateway in ("GW-1", "GW-1", "GW-1", "GW-2"):
            queue_command(tx, gateway, "read", {}, by="olga", now=NOW, expires=NOW + timedelta(days=1))
        mark_sent(tx, 2, NOW)
        cancel(tx, 3, by="olga", now=NOW)
    seen = bench.look()
    assert [gateway.open_commands for gateway in seen.gateways] == [2, 1]
    assert {state: count for state, count in seen.commands.items() if count} == {"queued": 2, "sent": 1, "cancelled": 1}
    assert {"done", "failed", "expired", "acknowledged"} < set(seen.commands)


def test_events_of_the_last_day_by_kind_and_of_unknown_kinds_together(bench):
    happened = (
        (0, "tamper"),
        (DAY_S, "tamper"),
        (DAY_S + 1, "tamper"),
        (5, "door_open"),
        (6, "frost"),
        (-60, "outage"),
    )
    with bench.database.write() as tx:
        row = {"offset": 1, "gateway": "GW-1", "meter": None, "detail": ""}
        for place, (ago, kind) in enumerate(happened):
            tx.execute(t.event.insert(), row | {"place": place, "at_s": seconds(NOW) - ago, "kind": kind})
    # One of a minute from now comes from a clock that is fast, and counts; one of a day from now does not.
    assert {kind: count for kind, count in bench.look().events.items() if count} == {
        "tamper": 2,
        "other": 2,
        "outage": 1,
    }


def test_empty_fleet(bench):
    seen = bench.look()
    assert (seen.meters, seen.gateways) == ((), ())
    assert seen.totals.completeness.share is None


def test_quarantine_newest_first_by_fault(bench):
    with bench.database.write() as tx:
        tx.execute(
            t.quarantine.insert(),
            [
                {
                    "offset": offset,
                    "path": path,
                    "received_us": 0,
                    "gateway": "GW-1",
                    "fault": fault,
                    "reason": f"{fault}, and where",
                    "excerpt": "",
                }
                for offset, path, fault in (
                    (1, "", "a"),
                    (2, "blocks.0", "b"),
                    (2, "blocks.1", "b"),
                )
            ],
        )
    with bench.database.read() as tx:
        assert [(one.offset, one.path) for one in quarantined(tx)] == [(2, "blocks.0"), (2, "blocks.1"), (1, "")]
        assert [(one.offset, one.path) for one in quarantined(tx, limit=1, skip=1)] == [(2, "blocks.1")]
        assert faults(tx) == [FaultCount("b", 2), FaultCount("a", 1)]
        assert (quarantined_count(tx), quarantined_count(tx, fault="a")) == (3, 1)


def test_a_day_that_cannot_be_opened_hides_no_other(bench):
    bench.enrol({"meter": "E-1"})
    bench.fill(1, datetime(2025, 9, 1, tzinfo=UTC), NOW)
    edge = t.day_block.c.day == seconds(WINDOW_START) // DAY_S
    with bench.database.write() as tx:
        tx.execute(t.day_block.update().where(edge).values(reads=b"broken"))
    seen = bench.look()
    (meter,) = seen.meters
    assert seen.store_away
    assert meter.completeness == Completeness(WINDOW_HOURS - 2, WINDOW_HOURS - 2, 0)
    assert meter.last_seen_s == seconds(NOW)
