"""Settings and rule sets: what is wrong is one line with file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from headend.config import beside, load_settings, shipped
from headend.errors import InvalidConfig
from headend.vee import load_rule_set

RULES = shipped("vee.toml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADEND_MQTT__HOST", raising=False)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_names_what_differs(tmp_path: Path) -> None:
    usual, mine = load_settings(), load_settings(written(tmp_path, '[mqtt]\nhost = "broker"\n'))
    assert (mine.mqtt.host, mine.mqtt.port) == ("broker", usual.mqtt.port)
    assert mine.web == usual.web


def test_the_environment_goes_before_overrides_and_these_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, '[mqtt]\nhost = "file"\nport = 1\nkeepalive_s = 7\n')
    overrides = {"mqtt": {"host": "override", "port": 2}}
    monkeypatch.setenv("HEADEND_MQTT__HOST", "environment")
    mqtt = load_settings(path, overrides).mqtt
    assert (mqtt.host, mqtt.port, mqtt.keepalive_s) == ("environment", 2, 7)


@pytest.mark.parametrize(("days", "good"), [(0, True), (1, False), (399, False), (400, True), (36_500, True)])
def test_reads_are_kept_as_long_as_bills_need_them(tmp_path: Path, days: int, good: bool) -> None:
    path = written(tmp_path, f"[store]\nkeep_days = {days}\n")
    if good:
        assert load_settings(path).store.keep_days == days
        return
    wanted = rf"mine\.toml: store\.keep_days: found {days}, expected 0 \(for ever\) or at least 400: estimates"
    with pytest.raises(InvalidConfig, match=wanted):
        load_settings(path)


def test_where_the_databases_are(tmp_path: Path) -> None:
    mine = load_settings(written(tmp_path, '[data]\ndirectory = "/var/x"\nsite_url = "postgresql://db/site"\n'))
    assert (mine.journal_url, mine.site_url) == ("sqlite:////var/x/journal.db", "postgresql://db/site")


@pytest.mark.parametrize("url", ["influxdb:8086", "http://influxdb:8086/path", "http://me:mine@influxdb:8086"])
def test_influxdb_is_a_server_and_nothing_secret(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidConfig, match=r"mine\.toml: influx\.url: found"):
        load_settings(written(tmp_path, f'[influx]\nurl = "{url}"\n'))


def test_names_are_looked_for_beside_the_file_first(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    assert beside(path, "site.rules", "vee.toml") == shipped("vee.toml")
    (tmp_path / "vee.toml").write_text(RULES)
    assert beside(path, "site.rules", "vee.toml") == tmp_path / "vee.toml"
    assert beside(None, "site.rules", "vee.toml") == shipped("vee.toml")
    with pytest.raises(InvalidConfig, match=r"site\.rules: found 'none\.toml', expected the name of a file"):
        beside(path, "site.rules", "none.toml")


def test_wrong_variable_is_named_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADEND_WEB__PORT", "xx")
    with pytest.raises(InvalidConfig, match=r"^HEADEND_WEB__PORT: found 'xx', expected a whole number"):
        load_settings(written(tmp_path, "[web]\nport = 8080\n"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[mqtt]\nport = 70000", "mqtt.port: found 70000, expected less than or equal to 65535"),
        ('[mqtt]\nport = "x"', "mqtt.port: found 'x', expected a whole number"),
        ('[mqtt]\nprotocol = "5"', "mqtt.protocol: found '5', expected 3.1.1 with the embedded broker"),
        ('[mqtt]\nprotocol = "4"', "mqtt.protocol: found '4', expected '3.1.1' or '5'"),
        ('[mqtt]\nhsot = "x"', "mqtt.hsot: found 'x', expected a key that the shipped file has"),
        ("[mtqq]\nport = 1", "mtqq: found {'port': 1}, expected a key that the shipped file has"),
        ("mqtt = 5", "mqtt: found 5, expected "),
        (
            '[site]\ntimezone = "Berlin"',
            "site.timezone: found 'Berlin', expected an IANA time zone such as Europe/Berlin",
        ),
        ("[jobs]\nbill_on_day = 31", "jobs.bill_on_day: found 31, expected less than or equal to 28"),
        ("[collect]\nqueue = 0", "collect.queue: found 0, expected greater than 0"),
        ("[mqtt\n", "found "),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InvalidConfig) as refused:
        load_settings(path)
    assert str(refused.value).startswith(f"{path}: {complaint}"), str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("section", ["MQTT", "SITE"])
def test_a_section_in_the_environment_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, section: str) -> None:
    monkeypatch.setenv(f"HEADEND_{section}", "?")
    with pytest.raises(InvalidConfig, match=r"^environment: found .*, expected HEADEND_SECTION__KEY=value$"):
        load_settings()


def test_classes_take_what_they_do_not_name_from_the_default() -> None:
    rules = load_rule_set(shipped("vee.toml"))
    assert (rules.of("commercial").spike.floor, rules.of("commercial").spike.then) == (1_000, "fail")
    assert rules.of("commercial").spike.percent == rules.of("residential").spike.percent == 180
    assert rules.of("commercial").estimation.look_back_days == rules.of("residential").estimation.look_back_days
    assert rules.of("residential") == rules.of("nobody named this") == rules.rules


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('version = "2026-2"', "", "version: found nothing, expected a value"),
        ('holidays = "DE"', 'holidays = "XX"', "holidays: found 'XX', expected an ISO 3166 country"),
        ('holidays = "DE"', 'holidays = "DE-XX"', "holidays: found 'DE-XX', expected an ISO 3166 country"),
        ("settle_after_hours = 6", "settle_after_hours = -1", "settle_after_hours: found -1, expected "),
        ("settle_after_hours = 6", "settle_after_hours = nan", "settle_after_hours: found nan, expected "),
        ("\nfactor = 1.2", "\nfactor = 0.5", "rules.V6.factor: found 0.5, expected "),
        ("like_days = 8", "like_days = 0", "rules.estimation.like_days: found 0, expected "),
        ("like_days = 8", "like_day = 8", "rules.estimation.like_days: found nothing, expected a value"),
        ("\nfloor = 1000", "\nflor = 1000", "classes.commercial.V9.flor: found 1000, expected a key that "),
        ("[rules.V6] ", "[rules.V60] ", "rules.V6: found nothing, expected a value"),
        (
            "[classes.commercial.V9]",
            "[classes]\ntraffic = 5\n[classes.commercial.V9]",
            "classes.traffic: found 5, expected ",
        ),
        ('then = "quarantine"', 'then = "warn"', "rules.V1.then: found 'warn', expected "),
        ("fail_s = 180", "fail_s = 30", "rules.V2: "),
        ('"other" = 0', '"other" = 12', "editing.reasons.other: found 12, expected "),
        ('channels = ["1-0:1.8.0"]', 'channels = ["kWh"]', "rules.V9.channels.channel: found 'kWh', expected an OBIS"),
    ],
)
def test_a_rule_set_that_is_wrong(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in RULES
    path = written(tmp_path, RULES.replace(old, new, 1))
    with pytest.raises(InvalidConfig) as refused:
        load_rule_set(path)
    assert str(refused.value).startswith(f"{path}: {complaint}"), str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_class_needs_no_more_than_what_differs(tmp_path: Path) -> None:
    only = RULES[: RULES.index("[classes.commercial.V9]")] + RULES[RULES.index("[anomalies]") :]
    rules = load_rule_set(written(tmp_path, only))
    assert rules.of("commercial") == rules.of("residential") == rules.rules
