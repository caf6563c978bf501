"""What goes wrong, told in the asker's form: problem+json (RFC 9457) under /api and to scripts, a page for people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from multidict import CIMultiDict
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from headend.errors import (
    BillingConflict,
    CannotRate,
    EditConflict,
    HeadendError,
    InvalidInput,
    NotFound,
    StoreAway,
    StoreBroken,
)
from headend.reads.days import day_number, day_of
from headend.web.access import SITE, is_api
from headend.web.render import render

_log = structlog.get_logger(__name__)

_STATUS_OF: tuple[tuple[type[HeadendError], int], ...] = (
    (NotFound, 404),
    (InvalidInput, 422),
    (BillingConflict, 409),
    (EditConflict, 409),
    (CannotRate, 409),
)
_OUR_FAULT = "Something went wrong on our side. It has been written to the log."
_NOT_WHAT_WENT_THERE = (
    "The interval store has lost or changed reads that are asked for here, so they cannot be looked at."
    " It has been written to the log."
)
_NO_DATABASE = "The database does not answer, so nothing can be looked at for now. What gateways send is not lost."
#: What was away is asked for again after so long [s].
_RETRY = {"Retry-After": "30"}
# An answer's own headers that still belong to it in another form.
_KEPT_HEADERS = ("WWW-Authenticate", "Retry-After", "Allow")


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> web.Response:
    """A problem document.

    Parameters
    ----------
    more
        further members, such as `errors`.
    """
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return web.json_response(body, status=status, headers=headers, content_type="application/problem+json")


async def invalid_request(error: ValidationError, context: str) -> web.StreamResponse:
    """What pydantic refused in a path, query, header or body, as a problem with one entry a field."""
    errors = [
        {"in": context, "name": ".".join(map(str, one["loc"])), "detail": one["msg"]}
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first = errors[0]
    return problem(422, f"{first['name']}: {first['detail']}", errors=errors)


@web.middleware
async def present_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn every error into an answer; what nobody foresaw is logged and told without its insides."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kept = {name: error.headers[name] for name in _KEPT_HEADERS if name in error.headers}
        # A library's own errors have no words for people: a number, or JSON.
        theirs = error.content_type == "application/json" or (error.text or "").startswith(f"{error.status}: ")
        said = "" if theirs else error.text
        return await _answer(request, error.status, said or _IN_WORDS.get(error.status, error.reason), kept)
    except Exception as error:
        return await _answer(request, *_told(request, error))


def _told(request: web.Request, error: Exception) -> tuple[int, str, dict[str, str]]:
    """Status, detail and headers of an error that is being handled."""
    match error:
        case StoreAway():
            _log.warning("the interval store does not answer", path=request.path, because=str(error))
            return 503, _what_can_be_seen(request), _RETRY
        case StoreBroken():
            _log.error("the interval store has not what went there", path=request.path, because=str(error))
            return 500, _NOT_WHAT_WENT_THERE, {}
        case OperationalError() if error.statement is None or error.connection_invalidated:
            # There was no connection, or there is none any more. What a server says of a statement is another matter.
            _log.warning("the database does not answer", path=request.path, because=" ".join(str(error.orig).split()))
            return 503, _NO_DATABASE, _RETRY
        case UnicodeDecodeError():
            return 400, _IN_WORDS[400], {}
        case HeadendError():
            for kind, status in _STATUS_OF:
                if isinstance(error, kind):
                    return status, str(error), {}
    _log.exception("request failed", method=request.method, path=request.path)
    return 500, _OUR_FAULT, {}


async def _answer(request: web.Request, status: int, detail: str, headers: dict[str, str]) -> web.StreamResponse:
    if is_api(request) or request.headers.get("Accept") == "application/json":
        return problem(status, detail, headers)
    page = await render(request, "error.html", status=status, detail=detail, title=HTTPStatus(status).phrase)
    page.headers.update(CIMultiDict(headers))
    return page


def _what_can_be_seen(request: web.Request) -> str:
    site = request.app[SITE]
    here = day_of(day_number(site.clock().date()) - site.settings.store.recent_days)
    return (
        "The interval store does not answer, so older reads cannot be looked at for now. Nothing is lost:"
        f" days after {here} can be seen, and older ones again when it answers."
    )


_IN_WORDS = {
    400: "The body is not the JSON object that is expected here.",
    404: "There is nothing here by that name.",
    405: "This cannot be done here.",
    413: "That is too large.",
}
