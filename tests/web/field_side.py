"""The field side of the tests' site: sequences with holes, a clock that is wrong, events, commands, firmware."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection

from headend.collect.wire import ResultMessage
from headend.reads.days import moment
from headend.registry.firmware import add_image
from headend.store import tables as t
from headend.store.commands import mark_sent, queue_command, take_result
from headend.store.sequence import Note

HOUR = 3600

#: GW-1 has sent everything; of GW-2's 1 to 12, the five from 4 to 6 and 8 to 9 never came.
SEQUENCES = [
    *(Note("GW-1", seq, "a") for seq in range(1, 6)),
    *(Note("GW-2", seq) for seq in (1, 2, 3, 7, 10, 11, 12)),
]

#: When [s before now], who told it, of which meter, what.
EVENTS = (
    (1 * HOUR, "GW-1", "E-1", "tamper", "cover <opened>"),
    (3 * HOUR, "GW-1", "E-2", "battery_low", "3.1 V"),
    (20 * HOUR, "", "E-3", "unreachable", "timeout, no answer within 3 s"),
    (23 * HOUR, "GW-1", None, "door_open", ""),
    (30 * HOUR, "", "E-3", "reachable", ""),
    (50 * HOUR, "GW-1", "E-1", "outage", "2 min"),
    (51 * HOUR, "GW-1", None, "restart", "power"),
)


def tell_field_side(tx: Connection, now_s: int) -> None:
    """What gateways said of themselves, what happened, what they were asked for."""
    gateway = t.gateway.c.name
    for name, said in (
        ("GW-1", {"native": True, "firmware": "2.0"}),
        ("GW-2", {"native": True, "online": False, "last_seen_s": now_s - 26 * HOUR, "clock_offset_s": -200}),
        ("GW-3", {"revoked_s": now_s - 100 * HOUR}),
    ):
        tx.execute(t.gateway.update().where(gateway == name).values(said))
    tx.execute(
        t.event.insert(),
        [
            {"offset": 1, "place": place, "at_s": now_s - ago, "gateway": gateway, "meter": meter}
            | {"kind": kind, "detail": detail}
            for place, (ago, gateway, meter, kind, detail) in enumerate(EVENTS)
        ],
    )
    now = moment(now_s)
    add_image(tx, "2.1", b"image" * 5000, b"s" * 64, by="olga", now=now)
    for hours, kind, args, said in (
        (30, "read", {"meters": ["E-1"]}, ("done", "")),
        (29, "set_interval", {"report_every_s": 900}, ("failed", "args: <too often>")),
        (1, "set_clock", {}, ("acknowledged", "")),
    ):
        asked = now - timedelta(hours=hours)
        number = queue_command(tx, "GW-1", kind, args, by="olga", now=asked, expires=asked + timedelta(days=1))
        mark_sent(tx, number, asked)
        result = ResultMessage(id=number, state=said[0], sent_at=asked, detail=said[1])
        take_result(tx, "GW-1", result, asked + timedelta(seconds=2))
