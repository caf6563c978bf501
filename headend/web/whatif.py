"""What if, for the clerk: choose a tariff and a month, watch it being rated, and see what would change.

Rating a segment takes its time, so it runs in a thread while the page says how far it is. Results are kept by this
process alone, the last few of them: nothing of them is billed, and asking again costs nothing but time.
"""

from __future__ import annotations

import asyncio
import csv
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final

import structlog
from aiohttp import web

from headend.billing.whatif import COLUMNS, Question, WhatIf, rows, what_if
from headend.errors import HeadendError, InvalidInput, NotFound
from headend.office import office_of
from headend.reads.days import Period, previous_month
from headend.site import Site
from headend.tariffs import Finding, Tariff
from headend.tariffs.check import examine_text
from headend.web.access import CLERK, SITE, Page, known_user
from headend.web.render import number_in, render

_log = structlog.get_logger(__name__)

_KEPT = 12
_AT_ONCE = 2
_LARGEST_FILE = 512 * 1024
_OUR_FAULT = "Something went wrong on our side. It has been written to the log."


class _Stopped(Exception):
    """The application ends."""


@dataclass(slots=True)
class Asked:
    """One question and how far it is; `result` or `problem` once it is done."""

    number: int
    question: Question
    by: str
    done: int = 0
    of: int = 0
    result: WhatIf | None = None
    problem: str = ""

    @property
    def running(self) -> bool:
        """Whether it is being worked on."""
        return self.result is None and not self.problem

    @property
    def share(self) -> float:
        """How much of it is done."""
        return self.done / self.of if self.of else 0.0


@dataclass(slots=True)
class Questions:
    """What was asked since the application began, the last few; and the tasks under way."""

    asked: OrderedDict[int, Asked] = field(default_factory=OrderedDict)
    numbers: count[int] = field(default_factory=lambda: count(1))
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)


_QUESTIONS: Final = web.AppKey("what_if", Questions)


def prepare(app: web.Application) -> None:
    """What the pages share while the application runs."""
    app[_QUESTIONS] = Questions()
    app.on_cleanup.append(_finish)


async def _finish(app: web.Application) -> None:
    app[_QUESTIONS].stop.set()
    await asyncio.gather(*app[_QUESTIONS].tasks)


async def form(request: web.Request) -> web.Response:
    """Choose a tariff, a month and whom."""
    return await _form(request, {}, [])


async def _form(request: web.Request, filled: dict[str, str], findings: list[Finding]) -> web.Response:
    site = request.app[SITE]
    due = previous_month(site.clock().astimezone(site.settings.site.zone).date())
    return await render(
        request,
        "clerk/whatif.html",
        status=422 if findings else 200,
        tariffs=[its for name in site.tariffs.ids for its in site.tariffs.versions(name)],
        ids=site.tariffs.ids,
        filled={"version": "", "period": due, "from_tariff": "", "class": "", **filled},
        findings=findings,
        asked=list(reversed(request.app[_QUESTIONS].asked.values())),
    )


async def ask(request: web.Request) -> web.Response:
    """Begin to rate; what is wrong with the form or the tariff is said beside the form."""
    site, questions = request.app[SITE], request.app[_QUESTIONS]
    data = await request.post()
    filled = {name: str(data.get(name, "")).strip() for name in ("version", "period", "from_tariff", "class")}
    upload = data.get("file")
    name, content = "", b""
    if isinstance(upload, web.FileField) and upload.filename:
        name, content = upload.filename, upload.file.read(_LARGEST_FILE + 1)
    question, findings = await asyncio.to_thread(_question, site, filled, name, content)
    if sum(each.running for each in questions.asked.values()) >= _AT_ONCE:
        findings = [Finding("what if", f"{_AT_ONCE} being worked on", "to wait until one of them is done")]
    if findings or question is None:
        return await _form(request, filled, findings)
    asked = Asked(next(questions.numbers), question, known_user(request).login)
    questions.asked[asked.number] = asked
    for old in [number for number, its in questions.asked.items() if not its.running][: len(questions.asked) - _KEPT]:
        del questions.asked[old]
    task = asyncio.create_task(asyncio.to_thread(_work, site, asked, questions.stop))
    questions.tasks.add(task)
    task.add_done_callback(questions.tasks.discard)
    # What is quick is done when the next page comes.
    await asyncio.wait({task}, timeout=1.0)
    raise web.HTTPSeeOther(f"/clerk/what-if/{asked.number}")


def _question(site: Site, filled: dict[str, str], name: str, content: bytes) -> tuple[Question | None, list[Finding]]:
    tariff, findings = _tariff(site, filled["version"], name, content)
    try:
        Period.month(filled["period"], site.settings.site.zone)
        if filled["from_tariff"]:
            site.tariffs.versions(filled["from_tariff"])
    except InvalidInput as error:
        findings = [*findings, Finding(error.where, error.found, error.expected)]
    except NotFound as error:
        findings = [*findings, Finding("current tariff", str(error), "one of the list")]
    if tariff is None or findings:
        return None, findings
    return Question(tariff, filled["period"], filled["from_tariff"] or None, filled["class"] or None), []


def _tariff(site: Site, version: str, name: str, content: bytes) -> tuple[Tariff | None, list[Finding]]:
    """A file that was sent goes before a version that was chosen."""
    if not name:
        known = [its for each in site.tariffs.ids for its in site.tariffs.versions(each) if its.version == version]
        return (known[0], []) if known else (None, [Finding("tariff", "none", "a file, or a version of the list")])
    if len(content) > _LARGEST_FILE:
        return None, [Finding(name, "a larger file", f"at most {_LARGEST_FILE // 1024} KiB")]
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None, [Finding(name, "bytes that are not UTF-8", "UTF-8 text")]
    return examine_text(text, name, is_json=name.lower().endswith(".json"))


def _work(site: Site, asked: Asked, stop: threading.Event) -> None:
    """Rate; runs in a thread of its own."""

    def progress(done: int, of: int) -> None:
        asked.done, asked.of = done, of
        if stop.is_set():
            raise _Stopped

    try:
        asked.result = what_if(office_of(site), asked.question, progress)
    except _Stopped:
        asked.problem = "The application ended before it was done."
    except HeadendError as error:
        asked.problem = str(error)
    except Exception:
        _log.exception("what-if failed", tariff=asked.question.tariff.id, period=asked.question.period)
        asked.problem = _OUR_FAULT


def _asked(request: web.Request) -> Asked:
    asked = request.app[_QUESTIONS].asked.get(number_in(request.match_info["number"]))
    if asked is None:
        raise NotFound("this result is not kept any more: ask again")
    return asked


async def result(request: web.Request) -> web.Response:
    """How far it is, or what came out."""
    asked = _asked(request)
    shown: dict[str, Any] = {}
    if (found := asked.result) is not None:
        shown = await asyncio.to_thread(partial(_shown, found))
    return await render(request, "clerk/whatif_result.html", asked=asked, **shown)


def _shown(found: WhatIf) -> dict[str, Any]:
    bins = found.histogram
    return {
        "found": found,
        "bins": bins,
        "highest": max((each.accounts for each in bins), default=1),
        "changes": found.changes,
        "percents": found.percents,
    }


async def as_csv(request: web.Request) -> web.Response:
    """The list of accounts."""
    asked = _asked(request)
    if (found := asked.result) is None:
        raise NotFound("this is not done yet")

    def write() -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows(found)])
        return text.getvalue()

    headers = {"Content-Disposition": f'attachment; filename="what-if-{asked.number}.csv"'}
    return web.Response(text=await asyncio.to_thread(write), content_type="text/csv", headers=headers)


PAGES = (
    Page("GET", "/clerk/what-if", form, CLERK),
    Page("POST", "/clerk/what-if", ask, CLERK),
    Page("GET", "/clerk/what-if/{number}.csv", as_csv, CLERK),
    Page("GET", "/clerk/what-if/{number}", result, CLERK),
)
