"""What operators see of gateways and events, and what they can ask of a gateway."""

from __future__ import annotations

import re

from headend.collect.wire import ResultMessage
from headend.reads.channels import IMPORT
from headend.reads.days import seconds
from headend.store import tables as t
from headend.store.commands import commands_of, take_result
from headend.store.journal import Arrival
from headend.store.sequence import Note
from headend.web.words import clock_offset, event_kind
from tests.web.conftest import token
from tests.web.sites import NOW

GW1 = "/operator/gateways/GW-1"


async def text(client, path: str) -> str:
    answer = await client.get(path)
    assert answer.status == 200, await answer.text()
    return await answer.text()


async def ask(client, kind: str, gateway: str = "GW-1", **args: str):
    form = {"csrf": await token(client, "/operator"), "kind": kind, **args}
    return await client.post(f"/operator/gateways/{gateway}/commands", data=form)


def newest(site, gateway: str = "GW-1"):
    with site.database.read() as tx:
        return commands_of(tx, gateway, limit=1)[0]


def row_of(page: str, gateway: str) -> str:
    """The row of one gateway, as text."""
    (row,) = (row for row in page.split("<tr>") if f'/gateways/{gateway}"' in row)
    return " ".join(re.sub(r"<[^>]+>", " ", row).split())


# ---- the table -----------------------------------------------------------------------------------------------------


async def test_table_tells_clock_holes_firmware_and_commands(visit):
    page = await text(await visit("olga"), "/operator/gateways")
    assert row_of(page, "GW-1") == "GW-1 online 2025-11-12 11:59 fast by 2 s 5 0 2.0 1 open 2 0 99.7 %"
    # Sequence numbers 4 to 6 and 8 to 9 never came.
    assert row_of(page, "GW-2").startswith("GW-2 offline 2025-11-11 10:00 slow by 3 min 0 5 – –")
    assert row_of(page, "GW-3").startswith("GW-3 revoked never –")


async def test_table_can_be_narrowed_to_what_is_wrong(visit):
    client = await visit("olga")
    for show, names in (
        ("offline", {"GW-2"}),
        ("clock", {"GW-2"}),
        ("missing", {"GW-2"}),
        ("commands", {"GW-1"}),
        ("revoked", {"GW-3"}),
        ("rubbish", {"GW-1", "GW-2", "GW-3"}),
    ):
        page = await text(client, f"/operator/gateways?show={show}&order=seen")
        assert set(re.findall(r"/operator/gateways/(GW-\d)", page)) == names, show
    assert "No gateway matches." in await text(client, "/operator/gateways?q=GW-7")


async def test_table_of_many_gateways_comes_in_pages_of_100(site, visit):
    with site.database.write() as tx:
        tx.execute(t.gateway.insert(), [{"name": f"N-{n:03}", "messages": 0} for n in range(247)])
    client = await visit("olga")
    first, last = await text(client, "/operator/gateways"), await text(client, "/operator/gateways?page=99")
    assert first.count("/operator/gateways/") == 100
    assert "Page 3 of 3" in last
    assert last.count("/operator/gateways/") == 50


# ---- one gateway ---------------------------------------------------------------------------------------------------


async def test_holes_are_named_newest_first(visit):
    page = await text(await visit("olga"), "/operator/gateways/GW-2")
    assert "Messages 1 to 12" in page
    assert "5 never came" in page
    assert page.index("8 – 9") < page.index("4 – 6")


async def test_of_many_holes_the_newest_hundred_are_named(site, visit):
    site.journal.append([Arrival(1, "t", "GW-1", b"", 0)], [Note("GW-1", seq, "a") for seq in range(7, 247, 2)])
    page = await text(await visit("olga"), GW1)
    assert "120 never came" in page
    assert "and 20 older holes" in page


async def test_page_shows_events_meters_and_what_became_of_commands(visit):
    page = await text(await visit("olga"), GW1)
    for said in ("cover &lt;opened&gt;", "Door open", "/operator/meters/E-2", "args: &lt;too often&gt;", "every 900 s"):
        assert said in page
    assert page.count(">Cancel</button>") == 1


async def test_gateway_that_cannot_be_asked_shows_no_buttons(site, visit):
    with site.database.write() as tx:
        tx.execute(t.gateway.insert(), {"name": "shelly", "messages": 1, "native": False})
        birth = {"node": "plant/edge", "device": "", "born_us": 0, "metrics": "[]"}
        tx.execute(t.sparkplug_birth.insert(), birth)
        tx.execute(t.gateway.insert(), {"name": "plant.edge", "messages": 1, "native": False})
    client = await visit("olga")
    assert "hears no commands" in await text(client, "/operator/gateways/shelly")
    assert "nothing is taken from it" in await text(client, "/operator/gateways/GW-3")
    page = await text(client, "/operator/gateways/plant.edge")
    assert re.findall(r'name="kind" value="(\w+)"', page) == ["rebirth"]
    assert (await client.get("/operator/gateways/GW-7")).status == 404


async def test_page_says_when_processing_is_behind(site, visit):
    client = await visit("olga")
    paths = ("/operator", "/operator/gateways", GW1, "/operator/events")
    for path in paths:
        assert "still to be processed" not in await text(client, path)
    with site.database.write() as tx:
        tx.execute(t.checkpoint.update().values(offset=site.journal.newest_offset()))
    site.journal.append([Arrival((seconds(NOW) - 61) * 1_000_000, "t", "GW-1", b"", 0)] * 2)
    for path in paths:
        assert "2 messages that came since 2025-11-12 11:58 are still to be processed" in await text(client, path)


# ---- asking --------------------------------------------------------------------------------------------------------


async def test_each_button_queues_its_command_under_the_operators_name(site, visit):
    client = await visit("olga")
    for kind, args, kept in (
        ("read", {}, {}),
        ("set_clock", {}, {}),
        ("restart", {}, {}),
        ("set_interval", {"report_every_s": "300"}, {"report_every_s": 300}),
    ):
        answer = await ask(client, kind, **args)
        command = newest(site)
        assert answer.url.path == GW1
        assert f"Queued as command {command.id}:" in await answer.text()
        assert (command.kind, command.args, command.state, command.created_by) == (kind, kept, "queued", "olga")


async def test_what_is_missing_is_asked_for_up_to_now_and_once_at_a_time(site, visit):
    with site.database.write() as tx:  # both meters' last two hours are gone
        for meter in (1, 2):
            blocks = site.store.load(tx, [(seconds(NOW) // 86_400, meter, IMPORT.code)], 3600)
            blocks.quality[0, 9:11] = 0
            site.store.save(tx, blocks, blocks.present, settled=True)
    client = await visit("olga")
    answer = await ask(client, "backfill")
    command = newest(site)
    assert "backfill" in await answer.text()
    gap = {"channel": "1-0:1.8.0", "from": "2025-11-12T09:00:00Z", "to": "2025-11-12T11:00:00Z"}
    assert command.args["gaps"] == [{"meter": "E-1", **gap}, {"meter": "E-2", **gap}]
    assert f"not finished its backfill yet: command {command.id}" in await (await ask(client, "backfill")).text()
    assert newest(site).id == command.id


async def test_nothing_is_asked_for_where_nothing_is_missing(site, visit):
    before = newest(site).id
    answer = await ask(await visit("olga"), "backfill")
    assert "owe nothing of the last 3 days" in await answer.text()
    assert newest(site).id == before


async def test_firmware_is_rolled_out_once(site, visit):
    client = await visit("olga")
    await ask(client, "firmware", version="2.1")
    command = newest(site)
    assert (command.kind, command.args["version"], command.args["size"]) == ("firmware", "2.1", 25_000)
    assert "at another update" in await (await ask(client, "firmware", version="2.1")).text()
    assert (await ask(client, "firmware", version="9.9")).status == 404


async def test_wrong_command_is_refused_with_its_reason(site, visit):
    client, before = await visit("olga"), newest(site).id
    for kind, gateway, args, status, says in (
        ("burn", "GW-1", {}, 422, "one of read"),
        ("set_interval", "GW-1", {"report_every_s": "often"}, 422, "a whole number"),
        ("set_interval", "GW-1", {"report_every_s": "0"}, 422, "greater than 0"),
        ("restart", "GW-1", {"now": "1"}, 422, "no such argument"),
        ("rebirth", "GW-1", {}, 422, "no Sparkplug node"),
        ("firmware", "GW-1", {}, 422, "version"),
        ("restart", "GW-3", {}, 422, "revoked"),
        ("restart", "GW-7", {}, 404, "GW-7"),
        ("backfill", "GW-7", {}, 404, "GW-7"),
    ):
        answer = await ask(client, kind, gateway, **args)
        assert (answer.status, says in await answer.text()) == (status, True), (kind, args)
    assert newest(site).id == before


async def test_open_command_is_cancelled_and_a_finished_one_is_not(site, visit):
    client = await visit("olga")
    form = {"csrf": await token(client, GW1)}
    assert "Command 3 is cancelled." in await (await client.post(f"{GW1}/commands/3/cancel", data=form)).text()
    command = newest(site)
    assert (command.id, command.state, command.detail) == (3, "cancelled", "cancelled by olga")
    assert "too late" in await (await client.post(f"{GW1}/commands/3/cancel", data=form)).text()
    for path in (f"{GW1}/commands/99/cancel", f"{GW1}/commands/x/cancel", "/operator/gateways/GW-2/commands/1/cancel"):
        assert (await client.post(path, data=form)).status == 404, path


async def test_customer_and_stranger_cannot_ask(site, visit):
    anna, olga = await visit("anna"), await visit("olga")
    form = {"csrf": await token(anna, "/customer"), "kind": "restart"}
    assert (await anna.post(f"{GW1}/commands", data=form)).status == 403
    assert (await olga.post(f"{GW1}/commands", data={"kind": "restart"})).status == 403
    assert newest(site).kind == "set_clock"


async def test_what_the_gateway_answers_stands_on_its_page(site, visit):
    client = await visit("olga")
    with site.database.write() as tx:
        take_result(tx, "GW-1", ResultMessage(id=3, state="done", sent_at=NOW, detail="moved by 2 s"), NOW)
    assert "moved by 2 s" in await text(client, GW1)


# ---- events --------------------------------------------------------------------------------------------------------


async def test_events_are_told_in_words_newest_first(visit):
    page = await text(await visit("olga"), "/operator/events")
    said = ["Tampering", "Battery low", "Does not answer", "Door open", "Answers again", "Power outage", "Restarted"]
    assert re.findall(r'<td><span class="tag \w*">([^<]+)', page) == said
    assert "Modbus poller" in page


async def test_events_by_kind_gateway_meter_and_time(visit):
    client = await visit("olga")
    for query, said in (
        ("kind=tamper", ["Tampering"]),
        ("kind=tamper,outage", ["Tampering", "Power outage"]),
        ("kind=door_open", ["Door open"]),
        ("meter=E-3", ["Does not answer", "Answers again"]),
        ("gateway=GW-1&days=1", ["Tampering", "Battery low", "Door open"]),
        ("days=soon&meter=E-2", ["Battery low"]),
    ):
        page = await text(client, f"/operator/events?{query}")
        assert re.findall(r'<td><span class="tag \w*">([^<]+)', page) == said, query


async def test_many_events_come_in_pages(site, visit):
    with site.database.write() as tx:
        row = {"offset": 2, "gateway": "GW-1", "meter": None, "kind": "restart", "detail": ""}
        tx.execute(t.event.insert(), [row | {"place": n, "at_s": n} for n in range(300)])
    client = await visit("olga")
    page = await text(client, "/operator/events?gateway=GW-1&page=2")
    assert page.count("<tr>") == 101
    assert "Page 2 of 4" in page
    assert "gateway=GW-1&amp;page=3" in page
    assert "No event matches." in await text(client, "/operator/events?kind=nothing")


async def test_fleet_counts_the_last_days_alarms(visit):
    page = await text(await visit("olga"), "/operator")
    for said in ("Tampering 1", "Battery low 1", "Does not answer 1"):
        assert said in page
    assert "Power outage" not in page
    assert "/operator/events?kind=tamper&amp;days=1" in page


async def test_meter_page_has_its_device_constants_and_events(visit):
    client = await visit("olga")
    page = await text(client, "/operator/meters/E-3")
    for said in (
        "eastron-sdm630, unit 3",
        "tcp://192.0.2.7:502",
        "timeout, no answer within 3 s",
        "CT 200/5 × PT 20000/100",
    ):
        assert said in page
    assert "8,000" in page
    assert "Modbus" not in await text(client, "/operator/meters/E-1")
    assert "Nothing has happened to this meter." in await text(client, "/operator/meters/W-2")


def test_clock_is_told_in_the_unit_that_fits():
    said = [clock_offset(offset) for offset in (0, -1, 119, 150, -180, 7_200)]
    assert said == ["exact", "slow by 1 s", "fast by 119 s", "fast by 2 min", "slow by 3 min", "fast by 2 h"]
    assert clock_offset(86_400 * 365) == "fast by 365 days"


def test_kind_without_a_name_is_taken_at_its_word():
    assert event_kind("door_open") == "Door open"
