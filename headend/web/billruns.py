"""The steps of cycles that this process is working on, one a cycle: who began it, and how the last that failed did.

A step runs in a thread while pages say so. Rating that is stopped with the application leaves what it has committed,
and is gone on with later. What is no cycle's goes by a name of its own in the place of a cycle's id, without a stroke.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog
from aiohttp import web

from headend.errors import BillingConflict, HeadendError
from headend.web import words
from headend.web.access import SITE

_log = structlog.get_logger(__name__)

_OUR_FAULT = "Something went wrong on our side. It has been written to the log."
#: What is quick is done when the next page comes [s].
_PATIENCE_S: Final = 1.0


class Stopped(Exception):
    """The application ends."""


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A step of a cycle that is being worked on; `doing`: what, as in “clara rates it”."""

    doing: str
    by: str
    since: datetime


@dataclass(slots=True)
class _Runs:
    running: dict[str, tuple[UnderWay, asyncio.Task[None]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)


_RUNS: Final = web.AppKey("bill_runs", _Runs)


def prepare(app: web.Application) -> None:
    """What the pages share while the application runs."""
    app[_RUNS] = _Runs()
    app.on_cleanup.append(_finish)


async def _finish(app: web.Application) -> None:
    app[_RUNS].stop.set()
    await asyncio.gather(*(task for _, task in app[_RUNS].running.values()))


def under_way(app: web.Application, cycle_id: str) -> UnderWay | None:
    """What this process is doing with a cycle, or by a name of its own."""
    found = app[_RUNS].running.get(cycle_id)
    return found and found[0]


def all_under_way(app: web.Application) -> dict[str, UnderWay]:
    """What this process is doing, by cycle."""
    # A copy: a step that comes to a cycle adds it from its thread.
    return {key: one for key, (one, _) in app[_RUNS].running.copy().items() if "/" in key}


def failures(app: web.Application) -> dict[str, str]:
    """By cycle, why its last step did not come to its end."""
    return {key: problem for key, problem in app[_RUNS].failed.items() if "/" in key}


def failure_of(app: web.Application, name: str) -> str | None:
    """Why the last step of this name did not come to its end; None: it did, or there was none."""
    return app[_RUNS].failed.get(name)


def comes_to(app: web.Application, name: str, cycle_id: str) -> None:
    """A step of a name of its own works on a cycle from now on as well."""
    runs = app[_RUNS]
    runs.running[cycle_id] = runs.running[name]


def go_on(app: web.Application) -> Callable[[int, int], None]:
    """To be called in between: raises `Stopped` once the application ends."""
    stop = app[_RUNS].stop

    def look(_done: int, _of: int) -> None:
        if stop.is_set():
            raise Stopped

    return look


async def work_on(
    app: web.Application, cycle_id: str, doing: str, by: str, step: Callable[[], object], what: str = ""
) -> bool:
    """Begin a step, and wait a moment for it; whether it is done.

    Parameters
    ----------
    step
        runs in a thread.
    what
        what is worked on, where `cycle_id` is a name of its own.

    Raises
    ------
    BillingConflict
        the cycle is being worked on, by whom is said.
    HeadendError
        the step was refused in that moment; what comes later is told by `failures`.
    """
    runs = app[_RUNS]
    if (before := under_way(app, cycle_id)) is not None:
        what = what or f"The cycle {words.month(cycle_id[:7])}"
        raise BillingConflict(f"{what} is being worked on: {before.by} {before.doing} it already.")
    runs.failed.pop(cycle_id, None)
    refused: list[HeadendError] = []
    task = asyncio.create_task(_run(app, cycle_id, step, refused))
    runs.running[cycle_id] = UnderWay(doing, by, app[SITE].clock()), task
    await asyncio.wait({task}, timeout=_PATIENCE_S)
    if refused:
        runs.failed.pop(cycle_id, None)
        raise refused[0]
    return task.done() and cycle_id not in runs.failed


async def _run(app: web.Application, cycle_id: str, step: Callable[[], object], refused: list[HeadendError]) -> None:
    runs = app[_RUNS]
    try:
        await asyncio.to_thread(step)
    except Stopped:
        _log.info("billing step stopped with the application", cycle=cycle_id)
    except HeadendError as error:
        refused.append(error)
        runs.failed[cycle_id] = str(error)
    except Exception:
        _log.exception("billing step failed", cycle=cycle_id)
        runs.failed[cycle_id] = _OUR_FAULT
    finally:
        mine = runs.running[cycle_id]
        for each in [key for key, its in runs.running.items() if its is mine]:
            del runs.running[each]
