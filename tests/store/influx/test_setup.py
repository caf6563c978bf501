"""Everything InfluxDB must have is made once, in a real InfluxDB."""

from __future__ import annotations

import json
import urllib.request
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

import pytest

from headend.config import Settings, load_settings
from headend.errors import InvalidConfig, StoreAway
from headend.store.influx.connection import Influx
from headend.store.influx.setup import set_up
from tests.servers import Influxd, free_port


def settings_with(influxd: Influxd, keep_days: int = 0, **influx: Any) -> Settings:
    name = f"made-{free_port()}"
    where = {"url": influxd.url, "org": influxd.ORG, "token": influxd.TOKEN}
    buckets = {"reads_bucket": f"{name}-reads", "telemetry_bucket": f"{name}-telemetry"}
    store = {"keep_days": keep_days, "keep_telemetry_days": 90}
    return load_settings(None, {"store": store, "influx": where | buckets | influx})


def prepared(settings: Settings) -> list[str]:
    with closing(Influx(settings.influx)) as influx:
        return [one.outcome for one in set_up(influx, settings)]


def kept_s(settings: Settings) -> list[int]:
    with closing(Influx(settings.influx)) as influx, influx.client() as client:
        names = settings.influx.reads_bucket, settings.influx.telemetry_bucket
        found = [client.buckets_api().find_bucket_by_name(name).retention_rules for name in names]
    return [sum(rule.every_seconds for rule in rules) for rules in found]


def test_it_is_made_once(influxd: Influxd) -> None:
    settings = settings_with(influxd)
    with closing(Influx(settings.influx)) as influx:
        assert [str(one) for one in set_up(influx, settings)] == [
            f"bucket {settings.influx.reads_bucket}, kept for ever: made",
            f"database {settings.influx.reads_bucket} for InfluxQL: made",
            f"bucket {settings.influx.telemetry_bucket}, kept for 90 days: made",
            f"database {settings.influx.telemetry_bucket} for InfluxQL: made",
        ]
    assert kept_s(settings) == [0, 90 * 86_400]
    assert prepared(settings) == ["was there"] * 4


@pytest.mark.parametrize("keep_days", [400, 1_000])
def test_another_retention_is_taken_over(influxd: Influxd, keep_days: int) -> None:
    settings = settings_with(influxd)
    prepared(settings)
    shorter = settings.model_copy(update={"store": settings.store.model_copy(update={"keep_days": keep_days})})
    assert prepared(shorter) == ["changed", "was there", "was there", "was there"]
    assert kept_s(shorter) == [(keep_days + 400) * 86_400, 90 * 86_400]
    assert prepared(settings) == ["changed", "was there", "was there", "was there"]
    assert kept_s(settings) == [0, 90 * 86_400]


def test_influxql_finds_the_reads(influxd: Influxd) -> None:
    settings = settings_with(influxd)
    prepared(settings)
    influxd.write(settings.influx.reads_bucket, "reads,channel=1-0:1.8.0,meter=E-1 value=42i 1700000000")
    asked = urlencode({"db": settings.influx.reads_bucket, "epoch": "s", "q": "SELECT value FROM reads"})
    header = {"Authorization": f"Token {influxd.TOKEN}"}
    with urllib.request.urlopen(urllib.request.Request(f"{influxd.url}/query?{asked}", headers=header)) as answer:
        assert json.load(answer)["results"][0]["series"][0]["values"] == [[1_700_000_000, 42]]


def test_who_may_not_or_is_not_there_is_told(influxd: Influxd) -> None:
    with pytest.raises(InvalidConfig, match=r"influx\.org: found 'nobody', expected an organization"):
        prepared(settings_with(influxd, org="nobody"))
    with pytest.raises(StoreAway, match="401 Unauthorized"):
        prepared(settings_with(influxd, token="wrong"))
    with pytest.raises(StoreAway, match="does not answer"):
        prepared(settings_with(influxd, url=f"http://127.0.0.1:{free_port()}"))
