"""How a Modbus device is, as the page of its meter tells it."""

from __future__ import annotations

import re

from headend.reads.days import seconds
from headend.store import tables as t
from tests.web.sites import NOW


async def test_how_a_device_is_only_the_poller_says(visit, site):
    told = {"offset": 99, "place": 0, "at_s": seconds(NOW) - 60, "gateway": "GW-1", "meter": "E-3"}
    with site.database.write() as tx:
        tx.execute(t.event.insert(), [told | {"kind": "reachable", "detail": "says a gateway"}])
    page = await (await (await visit("olga")).get("/operator/meters/E-3")).text()
    (word,) = re.findall(r"Poller’s last word</dt><dd>(.*?)</dd>", page)
    assert "timeout, no answer within 3 s" in word
    assert "says a gateway" not in word
    # What happened is told all the same.
    assert "says a gateway" in page
