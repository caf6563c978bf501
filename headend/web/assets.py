"""Stylesheet, chart loader, and Vega-Lite out of its Python package: served by content hash, cached for good."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files

import vl_convert
from aiohttp import web

from headend.web.access import ANYBODY, Page

_TYPES = {
    "style.css": "text/css",
    "charts.js": "text/javascript",
    "clerk.js": "text/javascript",
    "vega-lite.js": "text/javascript",
}
_FOR_GOOD = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _Asset:
    plain: bytes
    packed: bytes


@cache
def _asset(name: str) -> _Asset:
    plain = (
        vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode() if name == "vega-lite.js" else _own(name)
    )
    return _Asset(plain, gzip.compress(plain, mtime=0))


def _own(name: str) -> bytes:
    return (files("headend.web") / "static" / name).read_bytes()


@cache
def asset_url(name: str) -> str:
    """Where an asset is served; another address whenever its content is another."""
    # Making the bundle takes a second: its package's version says as much as its hash.
    tag = version("vl-convert-python") if name == "vega-lite.js" else hashlib.sha256(_own(name)).hexdigest()[:12]
    return f"/static/{name}?v={tag}"


async def serve(request: web.Request) -> web.Response:
    """One asset, packed where the browser can unpack it."""
    name = request.match_info["name"]
    if name not in _TYPES:
        raise web.HTTPNotFound
    asset = await asyncio.to_thread(_asset, name)
    headers = {"Cache-Control": _FOR_GOOD, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
    body = asset.packed if "Content-Encoding" in headers else asset.plain
    return web.Response(body=body, content_type=_TYPES[name], charset="utf-8", headers=headers)


PAGES = (Page("GET", "/static/{name}", serve, ANYBODY),)
