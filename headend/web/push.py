"""HTTP push: a gateway's reads by POST, the same bytes as over MQTT, answered once they are durable."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from headend.collect.wire import Topic, read_envelope
from headend.collect.writer import JournalWriter
from headend.errors import InvalidInput
from headend.store.sequence import SequenceWindow
from headend.web.access import GATEWAY, Page, gateway_of

WRITER: Final = web.AppKey("writer", JournalWriter)

#: A journal that takes longer than this has a problem that the gateway need not wait for: what it sends again is known.
_PATIENCE_S = 30
_TRY_AGAIN = {"Retry-After": "10"}


async def push(request: web.Request) -> web.Response:
    """Take a reads message, JSON or CBOR; the answer is the wire's `ack`: what the gateway may forget."""
    gateway, payload = gateway_of(request), await request.read()
    if read_envelope(payload) is None:
        found = repr(payload[:40].decode("utf-8", "replace"))
        raise InvalidInput("message", found, "a reads message: JSON or CBOR with a seq")
    durable: asyncio.Future[SequenceWindow | None] = asyncio.get_running_loop().create_future()
    topic = Topic(gateway, "reads").text
    taken = request.app[WRITER].put(topic, gateway, payload, _teller(durable), numbered=True, wait=False)
    if not taken:
        raise web.HTTPServiceUnavailable(headers=_TRY_AGAIN, text="The journal is busy. Send it again.")
    try:
        window = await asyncio.wait_for(durable, _PATIENCE_S)
    except TimeoutError:
        raise web.HTTPServiceUnavailable(
            headers=_TRY_AGAIN, text="The journal does not take it now. Send it again."
        ) from None
    return web.json_response(window.acknowledgement() if window else None)


def _teller(durable: asyncio.Future[SequenceWindow | None]) -> Any:
    """Tells the request, on its own loop, from the writer's thread."""
    loop = durable.get_loop()

    def answer(window: SequenceWindow | None) -> None:
        if not durable.done():
            durable.set_result(window)

    def tell(window: SequenceWindow | None) -> None:
        loop.call_soon_threadsafe(answer, window)

    return tell


PAGES = (Page("POST", "/api/v1/reads", push, GATEWAY),)
