"""What if, as a clerk asks it."""

from __future__ import annotations

import csv
import re

from aiohttp import FormData

from headend.config import shipped
from tests.web.conftest import token

PAGE = "/clerk/what-if"


async def ask(client, file: str | None = None, name: str = "new.toml", **fields: str):
    """Fill in the form, with a file if one is given, and send it."""
    form = FormData()
    for key, value in {"csrf": await token(client, PAGE), "period": "2025-10", **fields}.items():
        form.add_field(key, value)
    if file is not None:
        form.add_field("file", file.encode(), filename=name, content_type="application/octet-stream")
    return await client.post(PAGE, data=form, allow_redirects=False)


def home_flat(old: str = "", new: str = "") -> str:
    return shipped("tariffs/home-flat.toml").read_text(encoding="utf-8").replace(old, new)


async def done(client, answer) -> str:
    """The result's page, once it is there."""
    assert answer.status == 303, await answer.text()
    while "looks again by itself" in (text := await (await client.get(answer.headers["Location"])).text()):
        pass
    return text


async def test_empty_form(visit):
    clara = await visit("clara")
    text = await (await clara.get(PAGE)).text()
    assert "Nothing has been asked since" in text
    assert 'value="2025-10"' in text
    assert f'href="{PAGE}"' in await (await clara.get("/clerk")).text()


async def test_file_is_rated_and_listed(visit):
    clara = await visit("clara")
    price = re.search(r"price = (0\.\d+)", home_flat())[1]
    answer = await ask(clara, home_flat(price, "0.9999"), from_tariff="home-flat")
    text = await done(clara, answer)
    assert "How bills would change" in text
    assert "A-3" in text[text.index("Not rated") :]
    listed = await clara.get(answer.headers["Location"] + ".csv")
    rows = list(csv.DictReader((await listed.text()).splitlines()))
    assert [row["account"] for row in rows] == ["A-1", "A-3"]
    assert float(rows[0]["change"]) > 0
    assert ">done<" in await (await clara.get(PAGE)).text()


async def test_version_there_is(site, visit):
    clara = await visit("clara")
    (version,) = [its.version for its in site.tariffs.versions("home-tou")]
    text = await done(clara, await ask(clara, version=version))
    assert "Pay less" in text


async def test_bad_tariff_is_refused_with_its_findings(visit):
    clara = await visit("clara")
    for file, name, said in (
        (home_flat('currency = "EUR"', 'currency = "XXQ"'), "new.toml", "new.toml: currency"),
        ("id = ", "new.toml", "expected TOML"),
        ("[]", "new.json", "new.json"),
        ("x" * 600_000, "new.toml", "at most 512 KiB"),
    ):
        answer = await ask(clara, file, name)
        assert (answer.status, said in await answer.text()) == (422, True), (name, await answer.text())
    for fields, said in (
        ({}, "a file, or a version of the list"),
        ({"period": "2025-13"}, "2025-13"),
        ({"from_tariff": "none"}, "no tariff is called"),
    ):
        answer = await ask(clara, None, **fields)
        assert (answer.status, said in await answer.text()) == (422, True), fields


async def test_a_month_that_runs_and_results_that_are_gone(visit):
    clara = await visit("clara")
    assert "a month that is over" in await done(clara, await ask(clara, home_flat(), period="2025-11"))
    for number in ("99", "x", "9" * 30):
        assert (await clara.get(f"{PAGE}/{number}")).status == 404
        assert (await clara.get(f"{PAGE}/{number}.csv")).status == 404
    assert (await (await visit("anna")).get(PAGE)).status == 403
