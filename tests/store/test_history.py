"""The history: what was superseded, and what that says of what arrives."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from sqlalchemy import select

from headend.reads import Quality
from headend.store import history
from headend.store.database import Database
from headend.store.tables import finding, interval_history
from headend.vee.findings import Finding

from .blocks import DAY_S, block

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_only_what_is_replaced_is_kept(site_database: Database) -> None:
    day = block(4, 7, 20_000, 100)
    replaced = np.zeros((1, 24), np.bool_)
    replaced[0, 5] = True
    with site_database.write() as tx:
        history.keep(tx, day, replaced, by="journal 1–2", now=NOW)
        rows = tx.execute(select(interval_history)).all()
    start = 20_000 * DAY_S + 5 * 3600
    assert [tuple(row) for row in rows] == [(4, 7, start, 1, 1_767_225_600_000_000, 105, Quality.RAW, "journal 1–2")]


def test_a_value_superseded_before_is_known_again(site_database: Database) -> None:
    day = block(4, 7, 20_000, 100)
    everything = np.ones((1, 24), np.bool_)
    with site_database.write() as tx:
        history.keep(tx, day, everything, by="x", now=NOW)
        assert history.holds(tx, day, everything).all()
        assert not history.holds(tx, day, ~everything).any()
        assert not history.holds(tx, block(4, 7, 20_000, 101), everything).any()
        assert not history.holds(tx, block(5, 7, 20_000, 100), everything).any()
        assert not history.holds(tx, block(4, 7, 20_001, 100), everything).any()


def test_a_read_that_equals_a_former_estimate_is_news(site_database: Database) -> None:
    everything = np.ones((1, 24), np.bool_)
    for quality in Quality:
        day = block(int(quality) + 1, 7, 20_000, 100, quality=quality)
        with site_database.write() as tx:
            history.keep(tx, day, everything, by="x", now=NOW)
            known = history.holds(tx, day, everything)
        measured = quality in {Quality.RAW, Quality.VALIDATED, Quality.VERIFIED, Quality.QUESTIONABLE}
        assert known.all() if measured else not known.any(), quality


def test_more_intervals_than_fit_one_query(site_database: Database) -> None:
    days = [block(m, 7, 20_000, 100, n=1440) for m in (1, 2, 3)]
    everything = np.ones((1, 1440), np.bool_)
    with site_database.write() as tx:
        for day in days:
            history.keep(tx, day, everything, by="x", now=NOW)
        assert all(history.holds(tx, day, everything).all() for day in days)


def test_a_rules_newer_word_replaces_its_older_one(site_database: Database) -> None:
    with site_database.write() as tx:
        history.keep_findings(tx, [], "1", NOW)
        history.keep_findings(
            tx, [Finding(1, 7, 0, 60, "V4", "warning", "a"), Finding(1, 7, 0, 60, "V4", "warning", "b")], "1", NOW
        )
        history.keep_findings(
            tx, [Finding(1, 7, 0, 60, "V8", "failed", "c"), Finding(1, 7, 0, 120, "V4", "info", "d")], "2", NOW
        )
        rows = tx.execute(
            select(finding.c.rule, finding.c.detail, finding.c.rule_set, finding.c.end_s).order_by(finding.c.rule)
        ).all()
    assert [tuple(row) for row in rows] == [("V4", "d", "2", 120), ("V8", "c", "2", 60)]
