"""Feeds: the answers of those who publish prices, as they document them, and every way in which one can fail."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import structlog

from headend.app import open_site
from headend.collect.pricefeed import Feed, feeds_of, fetch
from headend.config import PriceFeedSettings, load_settings
from headend.errors import InvalidConfig, InvalidInput, PublisherAway
from headend.jobs import Jobs
from headend.site import Site
from headend.store.market import price_series_told, prices_of
from headend.tariffs.money import EXACT
from tests.commands import headend

from .publisher import Publisher

BERLIN = ZoneInfo("Europe/Berlin")
DAY = date(2026, 3, 29)  # of 23 hours in Europe, from 28 March 23:00Z to 29 March 22:00Z
BEGIN_S = 1_774_738_800

DOCS = Path(__file__).parents[2] / "docs" / "prices.md"
#: The feeds of the documentation, asking a server of the test's own.
ENERGY_CHARTS, AWATTAR, AGILE = (
    its | {"url": re.sub("^https://[^/]+", "", its["url"])}
    for block in re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    for its in tomllib.loads(block)["prices"]
)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher() as started:
        yield started


def feed(publisher: Publisher, preset: dict[str, Any], **other: Any) -> Feed:
    its = {**preset, "name": "spot", "url": publisher.url + preset["url"], **other}
    return feeds_of([PriceFeedSettings(**its)], BERLIN)[0]


def told(publisher: Publisher, preset: dict[str, Any], **other: Any) -> list[tuple[int, int, Decimal]]:
    """Begin and end [min after the day's begin] and price."""
    series = fetch(feed(publisher, preset, **other), DAY)
    prices = [Decimal(int(price)).scaleb(-series.scale, EXACT) for price in series.prices]
    minutes = [((at - BEGIN_S) // 60).tolist() for at in (series.start_s, series.end_s)]
    return list(zip(*minutes, prices, strict=True))


def quarters(n: int = 92) -> dict[str, Any]:
    """What energy-charts answers: floats as they stand, and what is not known yet as null."""
    return {
        "license_info": "CC BY 4.0 (creativecommons.org/licenses/by/4.0) from Bundesnetzagentur | SMARD.de",
        "unix_seconds": [BEGIN_S + 900 * place for place in range(92)],
        "price": [round(-10 + 1.37 * place, 2) for place in range(n)] + [None] * (92 - n),
        "unit": "EUR / MWh",
        "deprecated": False,
    }


def test_energy_charts(publisher: Publisher) -> None:
    publisher.body = quarters()
    rows = told(publisher, ENERGY_CHARTS)
    assert publisher.asked == ["/price?bzn=DE-LU&start=2026-03-29&end=2026-03-29"]
    assert len(rows) == 92
    assert rows[:2] == [(0, 15, Decimal("-0.01000")), (15, 30, Decimal("-0.00863"))]
    assert rows[-1] == (91 * 15, 92 * 15, Decimal("0.11467"))


def test_what_is_not_known_yet_is_no_price(publisher: Publisher) -> None:
    publisher.body = quarters(40)
    assert [row[:2] for row in told(publisher, ENERGY_CHARTS)][-1] == (39 * 15, 40 * 15)


def test_awattar(publisher: Publisher) -> None:
    hours = [(0, 42.09), (1, -5.12)]
    publisher.body = {
        "object": "list",
        "data": [
            {
                "start_timestamp": (BEGIN_S + hour * 3600) * 1000,
                "end_timestamp": (BEGIN_S + (hour + 1) * 3600) * 1000,
                "marketprice": price,
                "unit": "Eur/MWh",
            }
            for hour, price in hours
        ],
        "url": "/at/v1/marketdata",
    }
    assert told(publisher, AWATTAR) == [(0, 60, Decimal("0.04209")), (60, 120, Decimal("-0.00512"))]
    assert publisher.asked == ["/v1/marketdata?start=1774738800000&end=1774821600000"]


def test_octopus_agile_tells_the_newest_first_in_pence(publisher: Publisher) -> None:
    rates = [("23:30:00Z", "2026-03-29T00:00:00Z", 21.4515), ("23:00:00Z", "2026-03-28T23:30:00Z", -2.8571)]
    publisher.body = {
        "count": 2,
        "next": None,
        "previous": None,
        "results": [
            {
                "value_exc_vat": price,
                "value_inc_vat": price * 1.05,
                "valid_from": f"2026-03-28T{begin}",
                "valid_to": end,
                "payment_method": None,
            }
            for begin, end, price in rates
        ],
    }
    assert told(publisher, AGILE) == [(0, 30, Decimal("-0.028571")), (30, 60, Decimal("0.214515"))]
    assert publisher.asked[0].endswith("?period_from=2026-03-28T23:00:00Z&period_to=2026-03-29T22:00:00Z")


def test_csv(publisher: Publisher) -> None:
    publisher.body = b"start,price\n2026-03-28T23:00:00Z,10.5\n2026-03-29T00:00:00Z,11\n"
    plain = {"url": "/{date}/{next_date}/{start_s}/{end_s}.csv", "currency": "EUR", "format": "csv"}
    assert told(publisher, plain) == [(0, 60, Decimal("10.5")), (60, 120, Decimal(11))]
    assert publisher.asked == ["/2026-03-29/2026-03-30/1774738800/1774821600.csv"]


def changed(**other: Any) -> dict[str, Any]:
    return {**quarters(), **other}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "found '<html>', expected JSON"),
        (b'{"price": [1e99999999999999999999]}', "expected JSON"),
        ([], "/price: found no price, expected at least one"),
        ({}, "/price: found no price, expected at least one"),
        (changed(price=[None] * 92), "/price: found no price, expected at least one"),
        (changed(price=[1] * 91), "/price: found 92 begins, 91 prices, expected as many of each"),
        (changed(price=["x"] * 92), "/price, price 0: found 'x', expected a decimal number such as 0.2831"),
        (changed(unix_seconds=["x"] * 92), "found 'x', expected a number"),
        (changed(unix_seconds=[BEGIN_S + 0.5] * 92), "/price, price 0: found 2026-03-28T23:00:00.500000+00:00, exp"),
        (changed(unix_seconds=[BEGIN_S] * 92), "found 2026-03-28T23:00:00Z again, and not as at"),
        (
            changed(unix_seconds=[BEGIN_S + 900 * place for place in (*range(50), *range(51, 93))]),
            "/price: found steps of 900 and 1800 s, expected even steps, or a path to the ends",
        ),
    ],
)
def test_an_answer_that_cannot_be_used(publisher: Publisher, body: Any, said: str) -> None:
    publisher.body = body
    with pytest.raises(InvalidInput) as refused:
        told(publisher, ENERGY_CHARTS)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_answer_is_one_line_without_what_may_be_secret(publisher: Publisher) -> None:
    publisher.status, publisher.body = 404, b"no such day"
    secret = {**ENERGY_CHARTS, "url": "/price?token=hush&start={date}"}
    with pytest.raises(PublisherAway) as away:
        told(publisher, secret)
    assert str(away.value) == f"{publisher.url}/price answers 404 Not Found"
    publisher.status, publisher.delay_s = 200, 5
    with pytest.raises(PublisherAway, match=r"/price does not answer within 0\.1 s"):
        told(publisher, secret, timeout_s=0.1)
    with pytest.raises(PublisherAway, match="does not answer: ") as away:
        fetch(feed(Publisher(url="http://127.0.0.1:1"), secret), DAY)
    assert "hush" not in str(away.value)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"url": "http://x/{day}"}, "prices.0.url: found {day}, expected {date}, {end}, "),
        ({"start": ""}, "prices.0.start: found nothing, expected a JSONPath such as"),
        ({"price": "price"}, "prices.0.price: found 'price', expected a JSONPath such as"),
        ({"price": "$.price["}, "prices.0.price: found '$.price[', expected an RFC 9535 JSONPath"),
        ({"format": "csv"}, "prices.0.start: found '$.unix_seconds[*]', expected nothing with format"),
    ],
)
def test_a_feed_that_cannot_be_is_refused_at_the_start(other: dict[str, Any], said: str) -> None:
    its = {**ENERGY_CHARTS, "name": "spot", "url": "http://x", **other}
    with pytest.raises(InvalidConfig) as refused:
        feeds_of([PriceFeedSettings(**its)], BERLIN)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('at = "25:00"', "mine.toml: prices.0.at: found '25:00'"),
        ('timezone = "Mars"', "mine.toml: prices.0.timezone: found 'Mars', expected an IANA time zone"),
        ('url = "ftp://x"', "mine.toml: prices.0.url: found 'ftp://x'"),
    ],
)
def test_settings_name_the_feed_and_the_key(tmp_path: Path, text: str, said: str) -> None:
    its = {"name": '"a"', "url": '"http://x"', "format": '"csv"', "currency": '"EUR"'}
    key, _, value = text.partition(" = ")
    path = tmp_path / "mine.toml"
    path.write_text("[[prices]]\n" + "".join(f"{name} = {its[name]}\n" for name in its | {key: value} if name != key))
    path.write_text(path.read_text() + f"{key} = {value}\n")
    with pytest.raises(InvalidConfig) as refused:
        load_settings(path)
    assert said in str(refused.value)


def test_a_series_has_one_feed(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[prices]]\nname = "a"\nurl = "http://x"\nformat = "csv"\ncurrency = "EUR"\n' * 2)
    with pytest.raises(InvalidConfig, match=r"prices\.1\.name: found 'a', expected one feed for a series"):
        load_settings(path)


class Market:
    """A head-end with a feed, and its publisher, who has the prices of a day from some moment on."""

    def __init__(self, folder: Path, publisher: Publisher) -> None:
        self.now = datetime(2026, 3, 27, 12, tzinfo=UTC)
        self.publisher = publisher
        its = {**ENERGY_CHARTS, "name": "spot", "url": publisher.url + ENERGY_CHARTS["url"]}
        (folder / "tariffs").mkdir()
        path = folder / "headend.toml"
        rest = "".join(f"{key} = {json.dumps(value)}\n" for key, value in its.items())
        path.write_text(f'[data]\ndirectory = "{folder}"\n[site]\nregistry = ""\n[[prices]]\n{rest}')
        self.site: Site = open_site(path, clock=lambda: self.now)
        self.jobs = Jobs(self.site)
        self.published: set[str] = set()
        publisher.body = self._answer

    def _answer(self, request: Any) -> dict[str, Any]:
        day = request.query["start"]
        if day not in self.published:
            return {"unix_seconds": [], "price": []}
        begin = datetime.fromisoformat(day).replace(tzinfo=BERLIN)
        hours = range(int(begin.timestamp()), int(begin.timestamp()) + 24 * 3600, 3600)
        return {"unix_seconds": list(hours), "price": [10] * 24}

    def at(self, moment: str) -> list[tuple[str, str, str]]:
        """The job at a moment, UTC: what it logged, as event, day and level."""
        self.now = datetime.fromisoformat(moment + "Z")
        told = structlog.testing.LogCapture()
        every = structlog.make_filtering_bound_logger(0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("headend.jobs.log", structlog.wrap_logger(None, processors=[told], wrapper_class=every))
            self.jobs.prices()
        return [(one["event"], one["day"], one["log_level"]) for one in told.entries]

    @property
    def stored(self) -> int:
        with self.site.database.read() as tx:
            return sum(one.prices for one in price_series_told(tx))


def test_the_job_asks_from_the_hour_on_until_tomorrow_is_there(tmp_path: Path, publisher: Publisher) -> None:
    market = Market(tmp_path, publisher)
    assert market.at("2026-03-26T12:29") == []  # 13:29 in Berlin
    market.published = {"2026-03-26"}
    fetched, not_fetched = ("prices fetched", "2026-03-26", "info"), ("prices not fetched", "2026-03-27", "warning")
    assert market.at("2026-03-26T12:30") == [fetched, not_fetched]
    assert market.stored == 24
    assert market.at("2026-03-26T12:45") == [not_fetched]
    market.published.add("2026-03-27")
    assert market.at("2026-03-26T13:00") == [("prices fetched", "2026-03-27", "info")]
    asked = len(publisher.asked)
    assert market.at("2026-03-26T13:15") == market.at("2026-03-27T12:00") == []
    assert (market.stored, len(publisher.asked)) == (48, asked)


def test_at_midnight_it_says_once_that_prices_did_not_come_and_asks_for_them_again(
    tmp_path: Path, publisher: Publisher
) -> None:
    market = Market(tmp_path, publisher)
    market.published = {"2026-03-26"}
    market.at("2026-03-26T20:00")
    assert market.at("2026-03-26T23:00") == [("prices did not come before their day began", "2026-03-27", "warning")]
    assert market.at("2026-03-26T23:15") == []
    publisher.status = 500
    failed = [("prices not fetched", day, "warning") for day in ("2026-03-27", "2026-03-28")]
    assert market.at("2026-03-27T12:30") == failed
    assert market.stored == 24
    publisher.status, market.published = 200, {"2026-03-27", "2026-03-28"}
    assert [name for name, _, _ in market.at("2026-03-27T12:45")] == ["prices fetched"] * 2
    assert market.stored == 72


def test_an_answer_that_does_not_fit_leaves_nothing(tmp_path: Path, publisher: Publisher) -> None:
    market = Market(tmp_path, publisher)
    market.published = {"2026-03-26", "2026-03-27"}
    market.at("2026-03-26T12:30")
    begin = int(datetime(2026, 3, 26, 23, tzinfo=UTC).timestamp())
    # A new day in quarter hours, whose first hour is there already as one.
    publisher.body = {"unix_seconds": [begin + 900 * (92 + place) for place in range(96)], "price": [7] * 96}
    assert market.at("2026-03-27T12:30") == [("prices not fetched", "2026-03-28", "warning")]
    assert market.stored == 48
    with market.site.database.read() as tx:
        assert {one.price for one in prices_of(tx, "spot", begin, begin + 90_000)} == {Decimal("0.01")}


def test_the_command_fetches_days_and_says_what_did_not_come(
    tmp_path: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.body = quarters()
    (tmp_path / "tariffs").mkdir()
    its = {**ENERGY_CHARTS, "name": "spot", "url": publisher.url + ENERGY_CHARTS["url"]}
    monkeypatch.setenv("HEADEND_PRICES", json.dumps([its]))
    ended = headend(tmp_path, "prices", "fetch", "spot", "--from", "2026-03-29")
    said = "spot 2026-03-29: 92 new, 0 there with the same price, 0 changed\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, said, "")
    publisher.body = {**quarters(), "price": [None, *quarters()["price"][1:]]}
    (tmp_path / "other").mkdir()
    ended = headend(tmp_path / "other", "prices", "fetch", "spot", "--from", "2026-03-29")
    said = "spot 2026-03-29: some of the day's prices did not come; prices show names them\n"
    assert (ended.returncode, ended.stderr) == (1, said)
    publisher.status = 503
    ended = headend(tmp_path, "prices", "fetch", "--from", "2026-03-29", "--to", "2026-03-30")
    lines = [
        f"spot {day}: {publisher.url}/price answers 503 Service Unavailable" for day in ("2026-03-29", "2026-03-30")
    ]
    assert (ended.returncode, ended.stderr.splitlines()) == (1, lines)
    ended = headend(tmp_path, "prices", "fetch", "sport")
    assert (ended.returncode, ended.stderr) == (2, "headend: no [[prices]] in the settings is called 'sport'\n")
    listed = headend(tmp_path, "prices", "list").stdout
    assert f"{publisher.url}/price" in listed
