"""The queue of exceptions, the page of one, and what operators do on it."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest
from sqlalchemy import select

from headend.reads.channels import IMPORT, WATER
from headend.reads.days import DAY_S, moment
from headend.reads.quality import Flag, Quality
from headend.registry.users import add_user
from headend.site import Site
from headend.store import tables as t
from headend.store.edits import edits_of
from headend.store.exceptions import Choice, close, exception_of, exceptions
from headend.web import make_app
from tests.web.conftest import token, visitor
from tests.web.questions import GAP, HOUR, LEAK, SPIKE, WINDOW, ZEROS, ask, at
from tests.web.sites import NOW, PASSWORD, bill_october

QUEUE = "/operator/exceptions"


@pytest.fixture
def asked(site: Site) -> dict[str, int]:
    """Exceptions of every kind, and a second operator."""
    with site.database.write() as tx:
        add_user(tx, "otto", "operator", PASSWORD)
    return ask(site)


async def text(client, path: str, status: int = 200) -> str:
    answer = await client.get(path)
    body = await answer.text()
    assert answer.status == status, body
    return body


async def send(client, path: str, form: dict | list, page: str):
    """Send a form of a page, with its token and the mark of what was seen."""
    shown = await text(client, page)
    seen = re.search(r'name="seen" value="([^"]+)"', shown)
    given = list(form.items()) if isinstance(form, dict) else form
    sent = [("csrf", await token(client, page)), *([("seen", seen[1])] if seen else []), *given]
    return await client.post(path, data=sent)


async def foresee(client, number: int, form: dict | list):
    """The preview of a decision."""
    return await send(client, f"{QUEUE}/{number}/preview", form, f"{QUEUE}/{number}")


async def do(client, preview: str):
    """Send the form of a preview page, as its button does."""
    form, action = preview_form(preview)
    return await client.post(action, data=form)


def preview_form(page: str) -> tuple[list[tuple[str, str]], str]:
    """The hidden fields and the target of a preview page's form."""
    (form,) = re.findall(r'<form class="row decide".*?</form>', page, re.DOTALL)
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form)
    return [(name, unescape(value)) for name, value in fields], re.search(r'action="([^"]+)"', form)[1]


def stored(site: Site, meter: str, span: tuple[int, int]) -> tuple[list[int], list[Quality], list[int]]:
    """Values, qualities and versions of the import channel."""
    with site.database.read() as tx:
        key = tx.execute(select(t.meter.c.id).where(t.meter.c.name == meter)).scalar_one()
        days = range(span[0] // DAY_S, -(-span[1] // DAY_S))
        blocks = site.store.load(tx, [(day, key, IMPORT.code) for day in days], HOUR)
    inside = (blocks.start_s >= span[0]) & (blocks.start_s < span[1])
    qualities = [Quality(code) for code in blocks.quality[inside].tolist()]
    return blocks.values[inside].tolist(), qualities, blocks.version[inside].tolist()


def plain(page: str) -> str:
    """A page's words, without its marks."""
    return " ".join(unescape(re.sub("<[^>]+>", " ", page)).split())


async def test_queue_has_the_most_urgent_first_and_counts_by_rule(asked, visit):
    page = await text(await visit("olga"), QUEUE)
    order = [int(number) for number in re.findall(r'<th scope="row"[^>]*><a href="/operator/exceptions/(\d+)"', page)]
    assert order[:3] == [asked["leak"], asked["V11"], asked["V8"]]
    assert set(order) == set(asked.values())
    assert "6 exceptions, the most urgent first" in page
    assert "Zero or constant run 1" in plain(page)
    assert "holds a bill" in page


@pytest.mark.parametrize(
    ("query", "there"),
    [
        ("rule=V9", {"V9"}),
        ("meter=E-1", {"V8", "V10"}),
        ("meter=E-1&rule=V8", {"V8"}),
        ("bill=held", {"V11"}),
        ("show=waiting", set()),
        ("show=decided", set()),
        ("show=%3Cscript%3E&page=99&rule=", {"V4", "V8", "V9", "V10", "V11", "leak"}),
        ("meter=%3Cscript%3E", set()),
    ],
)
async def test_queue_is_narrowed(asked, visit, query, there):
    page = await text(await visit("olga"), f"{QUEUE}?{query}")
    shown = {int(number) for number in re.findall(r'<th scope="row"[^>]*><a href="/operator/exceptions/(\d+)"', page)}
    assert shown == {asked[rule] for rule in there}
    assert "<script>" not in page
    assert there or "No exception matches." in page


async def test_queue_is_paged(site, asked, visit):
    with site.database.write() as tx:
        (row,) = tx.execute(select(t.exception).where(t.exception.c.id == asked["V9"])).mappings()
        many = [{**row, "id": 1_000 + number, "detail": f"number {number}"} for number in range(60)]
        tx.execute(t.exception.insert(), many)
    client = await visit("olga")
    first, second = await text(client, QUEUE), await text(client, f"{QUEUE}?page=2")
    assert "Page 1 of 2" in first
    assert (first.count('scope="row"'), second.count('scope="row"')) == (50, 16)


async def test_number_of_undecided_is_in_the_navigation_and_on_the_fleet_page(site, asked, visit):
    client = await visit("olga")
    assert "Exceptions 6 undecided" in plain(await text(client, "/operator/events"))
    assert "Exceptions 6 to decide" in plain(await text(client, "/operator"))
    with site.database.write() as tx:
        for number in asked.values():
            close(tx, number, "cleared", by="rules 2", now=NOW)
    assert "undecided</span>" not in await text(client, "/operator/events")
    empty = await text(client, QUEUE)
    assert "Nothing to decide." in empty
    assert "no question yet" not in empty
    assert "cleared" in await text(client, f"{QUEUE}?show=decided")


async def test_where_validation_never_asked_the_queue_says_so(visit):
    assert "Validation has had no question yet." in await text(await visit("olga"), QUEUE)


async def test_page_says_what_why_and_what_the_register_says(asked, visit):
    client = await visit("olga")
    page = plain(await text(client, f"{QUEUE}/{asked['V8']}"))
    assert "Sum check 2025-11-01 01:00 – 2025-11-02 01:00" in page
    assert "Intervals add up to 25390, the register advanced by 21390." in page
    # 24 hours of the tests' curve are 21.101 kWh; the register was put 4 kWh below.
    said = "the register advanced by 17.101 kWh; the 24 intervals add up to 21.101 kWh: 4.000 kWh too much."
    assert f"From 2025-11-01 01:00 to 2025-11-02 01:00 {said}" in page
    spike = await text(client, f"{QUEUE}/{asked['V9']}")
    assert "nothing vouches for their sum" in spike
    assert "/operator/meters/E-2/interval?channel=1-0:1.8.0&amp;at=2025-11-05T18:00:00Z" in spike


@pytest.mark.parametrize("number", ["999", "x", "-1", "1" * 30, "%3Cb%3E"])
async def test_what_there_is_not_is_not_found(asked, visit, number):
    client = await visit("olga")
    page = await text(client, f"{QUEUE}/{number}", 404)
    assert "<b>" not in page
    assert (await client.get(f"{QUEUE}/{number}/chart", headers={"Accept": "application/json"})).status == 404


async def test_chart_shades_the_span_and_has_what_like_days_say(asked, visit):
    spec = await (await (await visit("olga")).get(f"{QUEUE}/{asked['V9']}/chart")).json()
    bars = spec["data"]["values"]
    assert (bars[0]["start"], bars[-1]["end"]) == (SPIKE[0] - 3 * DAY_S, SPIKE[1] + 3 * DAY_S)
    assert {bar["kind"] for bar in bars} == {"Measured", "Estimated", "No read"}
    shade, *_, line = [layer["data"]["values"] for layer in spec["layer"] if "data" in layer]
    assert [(one["start"], one["end"]) for one in shade] == [SPIKE]
    (spike,) = (bar["use"] for bar in bars if bar["start"] == SPIKE[0])
    usual = next(point["use"] for point in line if point["start"] == SPIKE[0])
    assert spike > 20
    assert 1 < usual < 3.5


async def test_chart_of_a_long_stretch_is_by_the_hour(site, asked, visit):
    with site.database.write() as tx:
        longer = {"start_s": LEAK[0] - 20 * DAY_S}
        tx.execute(t.exception.update().where(t.exception.c.id == asked["leak"]).values(longer))
    client = await visit("olga")
    assert "m³ per 60 min" in plain(await text(client, f"{QUEUE}/{asked['leak']}"))
    bars = (await (await client.get(f"{QUEUE}/{asked['leak']}/chart")).json())["data"]["values"]
    assert {bar["end"] - bar["start"] for bar in bars if bar["kind"] == "Measured"} == {HOUR}


async def test_clerk_may_look_but_not_decide(asked, visit):
    clara = await visit("clara")
    assert "6 exceptions" in await text(clara, QUEUE)
    page = await text(clara, f"{QUEUE}/{asked['V9']}")
    assert "An operator decides this." in page
    assert "/preview" not in page
    assert "/operator/meters/" not in page  # which a clerk may not open
    assert (await clara.get(f"{QUEUE}/{asked['V9']}/chart")).status == 200
    for verb in ("preview", "decide", "confirm", "refuse"):
        form = {"csrf": await token(clara, QUEUE), "action": "accept", "reason": "other", "edit": "1"}
        assert (await clara.post(f"{QUEUE}/{asked['V9']}/{verb}", data=form)).status == 403


async def test_customers_and_strangers_see_nothing(asked, visit):
    anna, nobody = await visit("anna"), await visit(None)
    for path in (QUEUE, f"{QUEUE}/{asked['V8']}", f"{QUEUE}/{asked['V8']}/chart"):
        assert (await anna.get(path)).status == 403
        assert (await nobody.get(path, allow_redirects=False)).status == 303


async def test_forms_need_the_token(site, asked, visit):
    client = await visit("olga")
    form = {"action": "accept", "reason": "usage confirmed"}
    assert (await client.post(f"{QUEUE}/{asked['V10']}/decide", data=form)).status == 403
    assert (await client.post("/operator/meters/E-1/look", data={})).status == 403
    assert stored(site, "E-1", ZEROS)[1] == [Quality.VALIDATED] * 30


async def test_zeros_are_accepted_after_a_look_at_what_that_does(site, asked, visit):
    client, number = await visit("olga"), asked["V10"]
    form = {"action": "accept", "reason": "usage confirmed", "note": "holiday <b>home</b>"}
    preview = await (await foresee(client, number, form)).text()
    assert "what would happen" in preview
    assert "holiday &lt;b&gt;home&lt;/b&gt;" in preview
    assert stored(site, "E-1", ZEROS)[1] == [Quality.VALIDATED] * 30  # nothing has happened yet
    page = await (await do(client, preview)).text()
    assert "Accepted: the energy changed by 0.000 kWh." in page
    assert "<b>home" not in page
    values, qualities, versions = stored(site, "E-1", ZEROS)
    assert (values, qualities, versions) == ([0] * 30, [Quality.VERIFIED] * 30, [1] * 30)
    with site.database.read() as tx:
        one = exception_of(tx, number)
        (edit,) = edits_of(tx, number)
    assert (one.state, one.outcome, one.changed_by) == ("closed", "accepted", "olga")
    assert (edit.made_by, edit.reason, edit.note) == ("olga", "usage confirmed", "holiday <b>home</b>")


async def test_spike_is_edited_and_every_page_tells_of_it(site, asked, visit):
    client, number = await visit("olga"), asked["V9"]
    before = stored(site, "E-2", SPIKE)[0][0]
    form = {"action": "edit", "reason": "failed to validate", "note": "x10", "value": f"{before / 10_000:.3f}"}
    preview = await (await foresee(client, number, form)).text()
    after = round(before / 10)
    words = plain(preview)
    assert f"{before / 1000:,.3f} {after / 1000:,.3f} validated edited by hand" in words
    assert f"Change −{(before - after) / 1000:,.3f} kWh" in words
    assert "A-2 Ben <Water> November 2025 so far" in words
    page = await (await do(client, preview)).text()
    assert f"Edited: the energy changed by −{(before - after) / 1000:,.3f} kWh." in page
    assert stored(site, "E-2", SPIKE) == ([after], [Quality.EDITED], [2])
    interval = plain(
        await text(client, f"/operator/meters/E-2/interval?channel=1-0:1.8.0&at={moment(SPIKE[0]):%Y-%m-%dT%H:%M:%SZ}")
    )
    assert "olga Edit failed to validate x10" in interval
    # EDITED is ESPI 7, IEC 61968-9 3.7.0, NEM12 F18; the reason is NEM12's 45. The one before was validated.
    assert "1 17 3.0.1 A" in interval
    assert "2 7 3.7.0 F18 45" in interval


async def test_gap_is_estimated_by_the_method_that_is_chosen(site, asked, visit):
    client, number = await visit("olga"), asked["V4"]
    form = {"action": "estimate", "method": "average", "reason": "communications fault"}
    page = await (await do(client, await (await foresee(client, number, form)).text())).text()
    assert "Estimated: the energy changed by" in page
    values, qualities, versions = stored(site, "E-2", GAP)
    assert max(values) - min(values) <= 1  # the same everywhere, but for rounding
    assert set(qualities) == {Quality.ESTIMATED_BY_HAND}
    assert set(versions) == {2}


async def test_day_its_register_contradicts_is_rejected_and_estimated_from_the_register(site, asked, visit):
    client, number = await visit("olga"), asked["V8"]
    form = {"action": "reject", "reason": "failed to validate"}
    preview = await (await foresee(client, number, form)).text()
    await do(client, preview)
    values, qualities, _ = stored(site, "E-1", WINDOW)
    assert sum(values) == 17_101  # the register's advance
    assert set(qualities) == {Quality.ESTIMATED_FROM_REGISTER}
    with site.database.read() as tx:
        assert exception_of(tx, number).outcome == "rejected"


async def test_longer_stretches_are_edited_as_a_list(site, asked, visit):
    client, number = await visit("olga"), asked["leak"]
    page = await text(client, f"{QUEUE}/{number}")
    assert "576 values, one a line" in page
    assert page.count("<textarea") == 1
    lines = ["0.001"] * 576
    short = await foresee(client, number, {"action": "edit", "reason": "other", "values": "\n".join(lines[:-1])})
    assert short.status == 422
    assert "Values: found 575, expected 576" in plain(await short.text())
    form = {"action": "edit", "reason": "other", "values": "\n".join(lines) + "\n"}
    await do(client, await (await foresee(client, number, form)).text())
    with site.database.read() as tx:
        meter = tx.execute(select(t.meter.c.id).where(t.meter.c.name == "W-2")).scalar_one()
        block = site.store.load(tx, [(LEAK[0] // DAY_S, meter, WATER.code)], 900)
    assert block.values.tolist() == [[1] * 96]


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"action": "edit", "value": "2,0", "reason": "other"}, "Value 1: found '2,0', expected kWh with a point"),
        ({"action": "edit", "value": "1.2345", "reason": "other"}, "found '1.2345'"),
        ({"action": "edit", "value": "NaN", "reason": "other"}, "found 'NaN'"),
        ({"action": "edit", "value": "1e999999", "reason": "other"}, "found '1e999999'"),
        ({"action": "edit", "value": "-1", "reason": "other"}, "-1000 at 2025-11-05T18:00:00Z"),
        ({"action": "edit", "value": "99", "reason": "other"}, "99000 at 2025-11-05T18:00:00Z"),
        ({"action": "edit", "value": "<b>", "reason": "other"}, "found '<b>'"),
        ({"action": "edit", "reason": "other"}, "found 0, expected 1"),
        ({"action": "accept", "reason": "I say so"}, "Reason: found 'I say so', expected one of"),
        ({"action": "accept", "reason": ""}, "Reason: found ''"),
        ({"action": "estimate", "method": "guess", "reason": "other"}, "Method: found 'guess'"),
        ({"action": "estimate", "method": "register", "reason": "other"}, "there are not two register reads"),
        ({"action": "burn", "reason": "other"}, "Action: found 'burn', expected one of accept"),
        ({"action": "accept", "reason": "other", "note": "n" * 2_001}, "Note: found 2001 characters"),
    ],
)
async def test_what_cannot_be_done_is_said_beside_the_form(site, asked, visit, form, says):
    client, before = await visit("olga"), stored(site, "E-2", SPIKE)
    for verb in ("preview", "decide"):
        answer = await send(client, f"{QUEUE}/{asked['V9']}/{verb}", form, f"{QUEUE}/{asked['V9']}")
        page = await answer.text()
        assert (answer.status, says in plain(page)) == (422, True), plain(page)
        assert "<b>" not in page
    assert stored(site, "E-2", SPIKE) == before


async def test_what_was_filled_in_is_kept_where_something_is_wrong(asked, visit):
    form = {"action": "edit", "value": "2,0", "reason": "power outage", "note": '"quoted"'}
    page = await (await foresee(await visit("olga"), asked["V9"], form)).text()
    assert 'name="value" inputmode="decimal" autocomplete="off" value="2,0"' in page
    assert '<option value="power outage" selected>' in page
    assert 'value="&#34;quoted&#34;"' in page
    assert page.count('<details name="deciding" open>') == 1


async def test_who_looked_before_the_reads_changed_is_told(site, asked, visit):
    client, number = await visit("olga"), asked["V10"]
    preview = await (await foresee(client, number, {"action": "accept", "reason": "other"})).text()
    with site.database.write() as tx:
        meter = tx.execute(select(t.meter.c.id).where(t.meter.c.name == "E-1")).scalar_one()
        blocks = site.store.load(tx, [(ZEROS[0] // DAY_S, meter, IMPORT.code)], HOUR)
        blocks.values[0, 12], blocks.version[0, 12] = 7, 2
        site.store.save(tx, blocks, blocks.version == 2, settled=True)
    page = plain(await (await do(client, preview)).text())
    assert f"exception {number} or its reads have changed since you looked: look again" in page
    assert "0.007" in page  # the new state
    with site.database.read() as tx:
        assert exception_of(tx, number).state == "open"


async def test_what_somebody_else_decided_meanwhile_is_not_decided_again(site, asked, visit):
    olga, otto, number = await visit("olga"), await visit("otto"), asked["V10"]
    form = {"action": "accept", "reason": "usage confirmed"}
    late = await (await foresee(otto, number, form)).text()
    await do(olga, await (await foresee(olga, number, form)).text())
    page = plain(await (await do(otto, late)).text())
    assert f"exception {number} is accepted already, by olga" in page
    assert "Nothing changes before you have seen" not in page
    with site.database.read() as tx:
        assert [edit.made_by for edit in edits_of(tx, number)] == ["olga"]


@pytest.fixture
def strict(site: Site) -> Site:
    """Nobody may change more than 1 kWh alone."""
    editing = site.rules.editing.model_copy(update={"second_person_above": 1_000})
    return replace(site, rules=site.rules.model_copy(update={"editing": editing}))


@pytest.fixture
async def waits(strict, writer, asked, aiohttp_server):
    """Olga wants to edit the spike, which takes a second person; visitors by login."""
    server = await aiohttp_server(make_app(strict, writer))
    clients = {login: await visitor(server, login) for login in ("olga", "otto", "clara")}
    form = {"action": "edit", "reason": "failed to validate", "note": "<i>x10</i>", "value": "2.056"}
    preview = await (await foresee(clients["olga"], asked["V9"], form)).text()
    assert "A change of more than 1.000 kWh needs a second person" in preview
    assert "Ask a second person" in preview
    page = await (await do(clients["olga"], preview)).text()
    assert "Asked for: another person has to confirm a change of −18.504 kWh." in page
    yield clients
    for client in clients.values():
        await client.session.close()


async def test_second_person_confirms_and_the_first_cannot(site, asked, waits):
    page, before = f"{QUEUE}/{asked['V9']}", stored(site, "E-2", SPIKE)
    own = await text(waits["olga"], page)
    assert "You asked for it yourself" in own
    assert "/confirm" not in own
    assert "Decide</h2>" not in own
    with site.database.read() as tx:
        (edit,) = edits_of(tx, asked["V9"])
    form = {"edit": edit.id}
    refused = plain(await (await send(waits["olga"], f"{page}/confirm", form, page)).text())
    assert "another person has to confirm it" in refused
    assert stored(site, "E-2", SPIKE) == before
    assert asked["V9"] in numbers(await text(waits["otto"], f"{QUEUE}?show=waiting"))
    theirs = await text(waits["otto"], page)
    assert "olga wants to edit" in theirs
    assert "&lt;i&gt;x10&lt;/i&gt;" in theirs
    assert "20.560 2.056 validated edited by hand" in plain(theirs)
    done = plain(await (await send(waits["otto"], f"{page}/confirm", form, page)).text())
    assert "Confirmed: the energy changed by −18.504 kWh." in done
    assert "done confirmed by otto" in done
    assert stored(site, "E-2", SPIKE) == ([2056], [Quality.EDITED], [2])
    again = plain(await (await send(waits["otto"], f"{page}/confirm", form, page)).text())
    assert f"edit {edit.id} is done already by otto" in again


async def test_second_person_refuses_and_it_is_open_again(site, asked, waits):
    page, before = f"{QUEUE}/{asked['V9']}", stored(site, "E-2", SPIKE)
    with site.database.read() as tx:
        (edit,) = edits_of(tx, asked["V9"])
    for wrong in ("999", "x", "", str(10**30)):
        assert (await send(waits["otto"], f"{page}/refuse", {"edit": wrong}, page)).status == 404
    other = f"{QUEUE}/{asked['V8']}"
    assert (await send(waits["otto"], f"{other}/confirm", {"edit": edit.id}, other)).status == 404
    assert (await send(waits["clara"], f"{page}/confirm", {"edit": edit.id}, page)).status == 403
    said = plain(await (await send(waits["otto"], f"{page}/refuse", {"edit": edit.id}, page)).text())
    assert "Refused: it is to be decided anew." in said
    assert "Decide Accept… Edit… Estimate… Reject…" not in plain(await text(waits["clara"], page))
    assert "Nothing changes before you have seen what would." in said
    assert stored(site, "E-2", SPIKE) == before
    with site.database.read() as tx:
        assert exception_of(tx, asked["V9"]).state == "open"
        assert [(one.state, one.second_by) for one in edits_of(tx, asked["V9"])] == [("refused", "otto")]


def numbers(page: str) -> list[int]:
    """Exceptions that are listed."""
    return [int(number) for number in re.findall(r'<th scope="row"[^>]*><a href="/operator/exceptions/(\d+)"', page)]


async def test_preview_names_the_issued_statement_that_would_be_flagged(site, asked, visit):
    with site.database.write() as tx:
        close(tx, asked["V11"], "accepted", by="olga", now=NOW)
    bill_october(site, until="issued")
    client = await visit("olga")
    form = {"action": "estimate", "method": "average", "reason": "communications fault"}
    preview = plain(await (await foresee(client, asked["V4"], form)).text())
    with site.database.read() as tx:
        statements = tx.execute(select(t.statement.c.id).where(t.statement.c.account_id == "A-2")).scalars().all()
        assert tx.execute(select(t.rebill_flag)).all() == []
    (issued,) = statements
    assert f"{issued} is issued: it would be flagged for rebill" in preview


async def test_operator_asks_to_look_into_intervals_of_a_meter(site, asked, visit):
    client = await visit("olga")
    page = "/operator/meters/E-1"
    assert numbers(await text(client, page)) == [asked["V8"], asked["V10"]]
    form = {"channel": IMPORT.obis, "from": "2025-11-09T10:00", "to": "2025-11-09T12:00", "note": "odd <script>"}
    answer = await send(client, f"{page}/look", form, page)
    shown = await answer.text()
    assert "<script>." not in shown
    assert "Odd &lt;script&gt;." in shown
    with site.database.read() as tx:
        (one,) = [each for each in exceptions(tx, Choice()) if each.rule == "hand"]
    # Berlin is an hour ahead in November.
    assert (one.start_s, one.end_s, one.changed_by) == (at(9, 9), at(9, 11), "olga")
    assert answer.url.path == f"{QUEUE}/{one.id}"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"from": "soon"}, "from: found 'soon', expected a local time"),
        ({"from": "2025-11-09T10:00Z"}, "expected a local time"),
        ({"from": "2025-11-09T10:20"}, "the end of an interval of 3600 s"),
        ({"to": "2025-11-09T09:00"}, "a time before"),
        ({"to": "2025-11-13T00:00"}, "intervals that are over"),
        ({"channel": "1-0:9.8.0"}, "one that E-1 has"),
        ({"channel": "<b>"}, "channel"),
    ],
)
async def test_what_cannot_be_looked_into_is_said_on_the_meters_page(site, asked, visit, changed, says):
    client, page = await visit("olga"), "/operator/meters/E-1"
    form = {"channel": IMPORT.obis, "from": "2025-11-09T10:00", "to": "2025-11-09T12:00", "note": "odd"} | changed
    answer = await send(client, f"{page}/look", form, page)
    shown = await answer.text()
    assert (answer.url.path, says in plain(shown)) == (page, True), plain(shown)[:600]
    assert "<b>" not in shown
    with site.database.read() as tx:
        assert all(one.rule != "hand" for one in exceptions(tx, Choice()))
    assert (await send(client, "/operator/meters/X-9/look", form, page)).status == 404


async def test_flags_of_the_device_are_in_standards_codes(site, asked, visit):
    with site.database.write() as tx:
        meter = tx.execute(select(t.meter.c.id).where(t.meter.c.name == "E-1")).scalar_one()
        blocks = site.store.load(tx, [(ZEROS[0] // DAY_S, meter, IMPORT.code)], HOUR)
        blocks.flags[0, 5] = Flag.POWER_OUTAGE
        site.store.save(tx, blocks, blocks.flags != 0, settled=True)
    path = "/operator/meters/E-1/interval?channel=1-0:1.8.0&at=2025-11-06T05:00:00Z"
    # Validated with a power outage: IEC 61968-9 has two codes for that, NEM12 the alarm's reason 79 beside A.
    assert "1 17 3.0.1, 1.2.32 A 79" in plain(await text(await visit("olga"), path))
