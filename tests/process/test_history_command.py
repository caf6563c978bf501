"""How one interval came to be what it is: its versions out of the tables, its messages out of the journal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest

from headend.collect.files.message import FileMessage
from headend.collect.sparkplug_payload import Payload
from headend.config import shipped
from headend.process.told import Became, Told, became_of, told_of
from headend.process.versions import Version, versions_of
from headend.reads.blocks import supersede
from headend.reads.days import seconds
from headend.reads.quality import Quality
from headend.store import history
from headend.vee import load_rule_set
from tests.commands import headend

from .field import DAY, HOUR, MONDAY, Field, meter, registry, run

FIVE = MONDAY + 5 * HOUR
TOPIC = "headend/v1/GW/reads"
RULE_SET = load_rule_set(shipped("vee.toml")).version
RULES = f"rules {RULE_SET}"


@pytest.fixture
def story(tmp_path: Path):
    """Of five o'clock nothing came: it is estimated, then it comes late, then corrected, then all sorts of it again."""
    field = Field(tmp_path, registry(meter("E-1", gateway="GW"), meter("E-2")))
    at(field, MONDAY + DAY, lambda: send(field, run(MONDAY, [100] * 5)))
    at(field, MONDAY + DAY, lambda: send(field, run(MONDAY + 6 * HOUR, [300] * 18)))
    at(field, MONDAY + DAY + 7 * HOUR, field.settle)
    at(field, MONDAY + 2 * DAY, lambda: send(field, run(MONDAY, [70] * 24, meter="E-2"), run(FIVE, [240])))
    at(field, MONDAY + 2 * DAY + HOUR, field.settle)
    at(field, MONDAY + 3 * DAY, lambda: send(field, run(MONDAY + 4 * HOUR, [100, 260, 300])))
    at(field, MONDAY + 4 * DAY, lambda: send(field, run(FIVE, [240])))
    at(field, MONDAY + 4 * DAY + HOUR, lambda: send(field, run(FIVE, [260]), gateway="GW-9"))
    at(field, MONDAY + 4 * DAY + 2 * HOUR, lambda: field.journal(run(FIVE, [None])))
    field.clock.now = MONDAY + 5 * DAY
    yield field
    field.close()


def at(field: Field, moment: datetime, do: Callable[[], object]) -> None:
    field.clock.now = moment
    do()


def send(field: Field, *blocks: dict[str, Any], **more: Any) -> None:
    field.journal(*blocks, **more)
    while field.intake.step():
        pass


def versions(field: Field, start: datetime = FIVE) -> Sequence[Version]:
    with field.site.database.read() as tx:
        return versions_of(tx, field.site.store, field.channel(), seconds(start)).versions


def told(field: Field, start: datetime = FIVE) -> list[tuple[Told, Became]]:
    words = list(told_of(field.site, field.channel(), seconds(start)))
    with field.site.database.read() as tx:
        return list(zip(words, became_of(tx, versions(field, start), words), strict=True))


def test_every_version_of_an_interval_with_what_made_it(story: Field) -> None:
    line = "was missing, estimated 200: between its two good ends, as like days go"
    assert versions(story) == [
        Version(
            1, 200, Quality.ESTIMATED_LINEAR,
            since=MONDAY + DAY + 7 * HOUR, by=RULES, until=MONDAY + 2 * DAY, rule="E2", detail=line,
        ),
        Version(2, 240, Quality.VALIDATED, since=MONDAY + 2 * DAY, by="journal 3–3", until=MONDAY + 3 * DAY),
        Version(3, 260, Quality.RAW, since=MONDAY + 3 * DAY, by="journal 4–4"),
    ]  # fmt: skip


def test_findings_of_the_interval_alone(story: Field) -> None:
    with story.site.database.read() as tx:
        found = versions_of(tx, story.site.store, story.channel(), seconds(FIVE)).findings
    assert [(one.rule, one.severity, one.rule_set, one.found) for one in found] == [
        ("E2", "info", RULE_SET, MONDAY + DAY + 7 * HOUR),
        ("V4", "warning", RULE_SET, MONDAY + DAY + 7 * HOUR),
        ("V3", "warning", RULE_SET, MONDAY + 3 * DAY),
    ]
    assert found[-1].detail == "was 240, now 260"


def test_every_message_that_told_of_an_interval_and_what_became_of_it(story: Field) -> None:
    def arrived(moment: datetime) -> int:
        return seconds(moment) * 1_000_000

    stranger = "blocks.0.meter: found E-1 from gateway GW-9, expected it from GW"
    assert told(story) == [
        (Told(3, arrived(MONDAY + 2 * DAY), "GW", TOPIC, "blocks.1", 240), Became("version", 2)),
        (Told(4, arrived(MONDAY + 3 * DAY), "GW", TOPIC, "blocks.0", 260), Became("version", 3)),
        (Told(5, arrived(MONDAY + 4 * DAY), "GW", TOPIC, "blocks.0", 240), Became("nothing new")),
        (
            Told(6, arrived(MONDAY + 4 * DAY + HOUR), "GW-9", "headend/v1/GW-9/reads", "blocks.0", 260),
            Became("quarantine", reason=stranger),
        ),
        (Told(7, arrived(MONDAY + 4 * DAY + 2 * HOUR), "GW", TOPIC, "blocks.0", None), Became("waiting")),
    ]


def test_interval_that_came_once_has_its_first_message_from_the_journal_alone(story: Field) -> None:
    assert versions(story, MONDAY) == [Version(1, 100, Quality.VALIDATED)]
    ((word, became),) = told(story, MONDAY)
    assert (word.offset, word.value, became) == (1, 100, Became("version", 1))


def test_interval_of_which_nothing_came_has_no_version(story: Field) -> None:
    assert versions(story, MONDAY + 2 * DAY) == []
    assert told(story, MONDAY + 2 * DAY) == []


def test_value_that_validation_took_away_is_a_version_without_value(tmp_path: Path) -> None:
    field = Field(tmp_path)
    at(field, MONDAY + DAY, lambda: send(field, run(MONDAY, [100] * 24)))
    with field.site.database.write() as tx:
        (channel,) = (field.channel(),)
        key = (seconds(MONDAY) // 86_400, channel.meter, channel.channel.code)
        stood = field.site.store.load(tx, [key], 3600)
        values, quality = stood.values.copy(), stood.quality.copy()
        values[0, 5], quality[0, 5] = 0, Quality.MISSING
        _replace(tx, field, stood, values, quality, MONDAY + 2 * DAY)
    taken_away = Version(2, None, Quality.MISSING, since=MONDAY + 2 * DAY, by="olga")
    first = Version(1, 100, Quality.RAW, until=MONDAY + 2 * DAY)
    assert versions(field) == [first, taken_away]
    at(field, MONDAY + 3 * DAY, lambda: send(field, run(FIVE, [90])))
    assert versions(field) == [first, taken_away, Version(3, 90, Quality.RAW)]
    assert [(word.value, became) for word, became in told(field)] == [
        (100, Became("version", 1)),
        (90, Became("version", 3)),
    ]
    field.close()


def _replace(tx: Any, field: Field, stood: Any, values: Any, quality: Any, now: datetime) -> None:
    merged = supersede(stood, values, quality)
    history.keep(tx, stood, merged.replaced, by="olga", now=now)
    field.site.store.save(tx, merged.blocks, merged.replaced, settled=False)


# ---- whatever the decoder ----------------------------------------------------------------------------------------


def sparkplug(*metrics: dict[str, Any], sent: datetime) -> bytes:
    message = Payload(timestamp=seconds(sent) * 1_000, seq=0)
    for metric in metrics:
        message.metrics.add(**metric)
    return bytes(message.SerializeToString())


def test_messages_in_every_form_are_read(tmp_path: Path) -> None:
    field = Field(tmp_path)
    field.clock.now = MONDAY - DAY
    node = "spBv1.0/plant/{}/press"
    born = {"name": "1-0:1.8.0", "alias": 1, "datatype": 4, "long_value": 7}
    begun = {"name": "bdSeq", "datatype": 4, "long_value": 3}
    field.journal_raw(sparkplug(begun, sent=MONDAY - DAY), node.format("NBIRTH"), "plant.press")
    field.journal_raw(sparkplug(born, sent=MONDAY - DAY), node.format("DBIRTH") + "/E-1", "plant.press")
    field.clock.now = MONDAY + DAY
    envelope = {"seq": 1, "sent_at": "2026-02-03T00:00:00Z", "blocks": []}
    told_at_six = {"meter": "E-1", "channel": "1-0:1.8.0", "at": "2026-02-02T06:00:30Z", "value": 4_711}
    told_at_seven = told_at_six | {"at": "2026-02-02T07:00:00Z"}
    file = FileMessage.model_validate_json(
        json.dumps(
            envelope | {"blocks": [run(FIVE, [222])], "source": {"name": "a.csv", "sha256": "0", "format": "csv"}}
        )
    )
    field.journal_raw(cbor2.dumps(envelope | {"blocks": [run(FIVE, [111])]}), TOPIC)
    field.journal_raw(file.payload(), "file/a.csv", "")
    field.journal_raw(json.dumps(envelope | {"registers": [told_at_six, told_at_seven]}).encode(), "modbus/poller", "")
    at_six = {"alias": 1, "long_value": 4_712}
    field.journal_raw(sparkplug(at_six, sent=MONDAY + 6 * HOUR), node.format("DDATA") + "/E-1", "plant.press")
    field.journal_raw(b"{", TOPIC)
    six = seconds(MONDAY + 6 * HOUR)
    assert [(word.offset, word.path, word.value, word.register_at_s) for word, _ in told(field)] == [
        (3, "blocks.0", 111, None),
        (4, "blocks.0", 222, None),
        (5, "registers.0", 4_711, six + 30),
        (6, "registers.0", 4_712, six),
    ]
    field.close()


HISTORY = ("reads", "history")

# ---- the command ---------------------------------------------------------------------------------------------------


def test_command_tells_the_story_to_people_and_to_machines(story: Field) -> None:
    asked = ("--meter", "E-1", "--channel", "1-0:1.8.0", "--at", "2026-02-02T06:10:00+01:00")
    shown = headend(story.folder, *HISTORY, *asked)
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = [" ".join(line.replace("│", " ").split()) for line in shown.stdout.splitlines()]
    assert lines[0] == "E-1 1-0:1.8.0 (Import), 2026-02-02T05:00:00Z to 2026-02-02T06:00:00Z, in Wh"
    assert "2 240 validated 2026-02-04 00:00:00 journal 3–3 2026-02-05 00:00:00" in lines
    assert f"1 200 estimated: linear 2026-02-03 07:00:00 rules {RULE_SET}, E2 2026-02-04 00:00:00" in lines
    assert f"4 2026-02-05 00:00:00 GW {TOPIC} blocks.0 260 version 3" in lines
    told = json.loads(headend(story.folder, *HISTORY, *asked, "--json").stdout)
    assert (told["meter"], told["unit"], told["start"]) == ("E-1", "Wh", "2026-02-02T05:00:00Z")
    assert [(one["version"], one["value"], one["by"], one["rule"]) for one in told["versions"]] == [
        (1, 200, RULES, "E2"),
        (2, 240, "journal 3–3", None),
        (3, 260, "journal 4–4", None),
    ]
    assert [(one["offset"], one["outcome"], one["version"]) for one in told["messages"]] == [
        (3, "version", 2),
        (4, "version", 3),
        (5, "nothing new", None),
        (6, "quarantine", None),
        (7, "waiting", None),
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"--meter": "E-7"}, "headend: no meter is called 'E-7'"),
        ({"--channel": "1-0:2.8.0"}, "headend: channel: found '1-0:2.8.0', expected one of 1-0:1.8.0"),
        ({"--at": "2026-02-02T05:00:00"}, "headend: --at: found '2026-02-02T05:00:00', expected a time with Z or an"),
        ({"--at": "soon"}, "headend: --at: found 'soon', expected a time with Z or an offset"),
        ({"--at": "2926-02-02T05:00:00Z"}, "headend: at: found 2926-02-02T05:00:00+00:00, expected an interval that"),
    ],
)
def test_what_there_is_not_ends_in_one_line(tmp_path: Path, changes: dict[str, str], line: str) -> None:
    Field(tmp_path).close()
    asked = {"--meter": "E-1", "--channel": "1-0:1.8.0", "--at": "2026-02-02T05:00:00Z"} | changes
    ended = headend(tmp_path, *HISTORY, *(part for pair in asked.items() for part in pair))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(line)
    assert ended.stderr.count("\n") == 1


def test_moments_outside_the_meters_service_are_refused(tmp_path: Path) -> None:
    Field(tmp_path, registry(meter("E-1", installed=(MONDAY + timedelta(minutes=30)).isoformat()))).close()
    asked = ("--meter", "E-1", "--channel", "1-0:1.8.0", "--at")
    assert headend(tmp_path, *HISTORY, *asked, "2026-02-02T00:00:00Z").returncode == 0
    before = headend(tmp_path, *HISTORY, *asked, "2026-02-01T23:59:59Z")
    expected = "headend: at: found 2026-02-01T23:59:59+00:00, expected a time from 2026-02-02T00:30:00+00:00 on"
    assert (before.returncode, before.stderr.startswith(expected)) == (2, True)
