"""The way in and the way out."""

from __future__ import annotations

from aiohttp import web

from headend.registry.users import Role
from headend.web.access import ANYBODY, GATE, Page, begin_session, safe_target, session_of, user_of
from headend.web.render import render

_HOME: dict[Role, str] = {"operator": "/operator", "admin": "/operator", "clerk": "/clerk", "customer": "/customer"}


async def home(request: web.Request) -> web.Response:
    """Everybody's own start page."""
    user = user_of(request)
    raise web.HTTPSeeOther(_HOME[user.role] if user else "/login")


async def form(request: web.Request) -> web.Response:
    """The login page."""
    target = safe_target(request.query.get("next", "/"))
    if user_of(request):
        raise web.HTTPSeeOther(target)
    return await render(request, "login.html", target=target, login="", problem=None)


async def log_in(request: web.Request) -> web.Response:
    """Check login and password; begin a session."""
    sent = await request.post()
    login, password = str(sent.get("login", "")).strip(), str(sent.get("password", ""))
    target = safe_target(str(sent.get("next", "/")))
    try:
        user = await request.app[GATE].log_in(login, password, request.remote or "")
    except web.HTTPTooManyRequests as error:
        minutes = -(-int(error.headers["Retry-After"]) // 60)
        problem = f"Too many wrong passwords. Try again in {minutes} minutes."
        page = await render(request, "login.html", status=429, target=target, login=login, problem=problem)
        page.headers["Retry-After"] = error.headers["Retry-After"]
        return page
    if user is None:
        problem = "Login and password do not belong together."
        return await render(request, "login.html", status=401, target=target, login=login, problem=problem)
    await begin_session(request, user)
    raise web.HTTPSeeOther(target)


async def log_out(request: web.Request) -> web.Response:
    """End the session."""
    (await session_of(request)).invalidate()
    raise web.HTTPSeeOther("/login")


PAGES = (
    Page("GET", "/", home, ANYBODY),
    Page("GET", "/login", form, ANYBODY),
    Page("POST", "/login", log_in, ANYBODY),
    Page("POST", "/logout", log_out, ANYBODY),
)
