"""Charts as Vega-Lite specifications: the data is in them, drawing is the browser's.

Time runs as seconds of UTC so that a day of 25 hours is 25 hours wide; the axis is labelled with local days and hours,
which are worked out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from headend.reads.channels import Channel
from headend.reads.days import Period, midnight, moment, seconds
from headend.reads.quality import Quality
from headend.store.telemetry import Series
from headend.web.readings import DailyUse, Readings
from headend.web.words import QUANTITIES, unit_of

Spec = dict[str, Any]
Int64s = NDArray[np.int64]

_COLOURS = {
    "Measured": "#1f6f8b",
    "Estimated": "#e39a2d",
    "Edited": "#7a5ca8",
    "Questionable": "#b3402f",
    "No read": "#f3d3cd",
    "In question": "#f7dc7a",
    "Like days": "#2b353d",
    "So far": "#1f6f8b",
    "Expected": "#a9c9d6",
}
_KIND = {Quality.MISSING: "No read", Quality.QUESTIONABLE: "Questionable", Quality.EDITED: "Edited"}
#: Always explained beside a chart; the others where they occur.
_EXPLAINED = frozenset({"Measured", "Estimated", "No read"})
#: A line of telemetry has at most twice as many points, and none where nothing was told for so many of its usual steps.
_SLOTS = 400
_GAP_STEPS = 4
_LEGEND = {"title": None, "orient": "top", "direction": "horizontal", "symbolType": "square"}
_DAYS = {
    "field": "day",
    "type": "ordinal",
    "scale": {"paddingInner": 0.2, "paddingOuter": 0.1},
    "axis": {
        "title": None,
        "labelAngle": 0,
        "labelExpr": "toString(toNumber(slice(datum.label, 8)))",
        "labelOverlap": "parity",
    },
}
_CONFIG = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {"labelColor": "#48535c", "titleColor": "#48535c", "gridColor": "#e6eaed", "domainColor": "#b9c2c9"},
    "legend": {"labelColor": "#48535c", "symbolStrokeWidth": 0},
}


def load_chart(reads: Readings, zone: ZoneInfo) -> Spec:
    """Bars by interval, coloured by quality; bands where nothing came.

    Parameters
    ----------
    zone
        of the labels.
    """
    points = _points(reads, zone)
    time = _time("start", reads.start_s, reads.end_s, zone)
    return _chart(unit_of(reads.channel).shown, points, _loads(points, time, _colour(points), reads.channel))


def exception_chart(reads: Readings, usual: Int64s | None, start_s: int, end_s: int, zone: ZoneInfo) -> Spec:
    """The load around an exception: its span shaded, and a thin line of what like days say.

    Parameters
    ----------
    usual
        what like days say [base units], -1 where they say nothing (n,); None: they could not be looked at.
    start_s, end_s
        the span, UTC [s since 1970].
    zone
        of the labels.
    """
    points = _points(reads, zone)
    unit = unit_of(reads.channel).shown
    if not points:
        return _chart(unit, points, [])
    span = {"start": max(start_s, reads.start_s), "end": min(end_s, reads.end_s), "kind": "In question"}
    line = [] if usual is None else _usual_points(reads, usual)
    colour = _colour([*points, span, *line])
    time = _time("start", reads.start_s, reads.end_s, zone)
    shade = {
        "data": {"values": [span]},
        "mark": {"type": "rect", "fillOpacity": 0.5, "stroke": _COLOURS["In question"], "strokeWidth": 1.5},
        "encoding": {"x": time, "x2": {"field": "end"}, "color": colour},
    }
    habit = {
        "data": {"values": line},
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.25, "clip": True, "tooltip": False},
        "encoding": {
            "x": time,
            "y": {"field": "use", "type": "quantitative", "title": unit},
            "detail": {"field": "run"},
            "color": colour,
        },
    }
    loads = _loads(points, time, colour, reads.channel)
    return _chart(unit, points, [shade, *loads, *([habit] if line else [])], height=260)


def _loads(points: list[Spec], time: Spec, colour: Spec, channel: Channel) -> list[Spec]:
    """Bands where nothing came, and bars: hollow where estimated, with a mark on top where questionable."""
    figure = {"field": "use", "type": "quantitative", "title": unit_of(channel).shown}
    what = [
        {"field": "at", "type": "nominal", "title": "Interval"},
        {"field": "quality", "type": "nominal", "title": "Quality"},
    ]
    told = [*what, {**figure, "format": ",.3f"}]
    height = {**figure, "scale": {"zero": True}, "axis": {"tickCount": 4}}
    is_none, is_estimate, is_doubted = (f"datum.kind === '{kind}'" for kind in ("No read", "Estimated", "Questionable"))
    bar = {"x": time, "x2": {"field": "end"}, "y": height, "y2": {"datum": 0}, "color": colour, "tooltip": told}
    layers: list[Spec] = [
        {
            "transform": [{"filter": is_none}],
            "mark": {"type": "rect"},
            "encoding": {"x": time, "x2": {"field": "end"}, "color": colour, "tooltip": what},
        },
        {"transform": [{"filter": f"!({is_none}) && !({is_estimate})"}], "mark": {"type": "rect"}, "encoding": bar},
        {
            "transform": [{"filter": is_estimate}],
            "mark": {"type": "rect", "fillOpacity": 0.5, "stroke": _COLOURS["Estimated"], "strokeWidth": 0.75},
            "encoding": bar,
        },
    ]
    if any(point["kind"] == "Questionable" for point in points):
        middle = {"calculate": "(datum.start + datum.end) / 2", "as": "middle"}
        layers.append(
            {
                "transform": [{"filter": is_doubted}, middle],
                "mark": {"type": "point", "shape": "triangle-down", "filled": True, "size": 45, "yOffset": -5},
                "encoding": {"x": {**time, "field": "middle"}, "y": height, "color": colour, "tooltip": told},
            }
        )
    return layers


def _usual_points(reads: Readings, usual: Int64s) -> list[Spec]:
    """A step an interval; the line ends where like days say nothing, and begins anew behind it."""
    points: list[Spec] = []
    run, length = 0, reads.interval_s
    for start, value in zip(reads.starts_s.tolist(), usual.tolist(), strict=True):
        if value < 0:
            run += 1
            continue
        point = {"use": value / 1000, "kind": "Like days", "run": run}
        if points and points[-1]["start"] == start:
            points.pop()
        points += [{"start": start, **point}, {"start": start + length, **point}]
    return points


def daily_chart(use: DailyUse, unit: str) -> Spec:
    """A bar a local day, estimated use on top of measured; days with holes marked."""
    values: list[Spec] = []
    if not use.present.any():
        return _chart(unit, values, [])
    for day, measured, estimated, missing in zip(
        use.days, use.measured.tolist(), use.estimated.tolist(), use.missing.tolist(), strict=True
    ):
        at = {"day": day.isoformat(), "at": f"{day:%A, %-d %B %Y}"}
        values.append({**at, "kind": "Measured", "use": measured / 1000, "order": 0})
        if estimated:
            values.append({**at, "kind": "Estimated", "use": estimated / 1000, "order": 1})
        if missing:
            values.append({**at, "kind": "No read", "missing": missing})
    colour = _colour(values)
    figure = {"field": "use", "type": "quantitative", "title": unit}
    which = {"field": "at", "type": "nominal", "title": "Day"}
    return _chart(
        unit,
        values,
        [
            {
                "transform": [{"filter": "datum.kind === 'No read'"}],
                "mark": {"type": "rect"},
                "encoding": {
                    "x": _DAYS,
                    "color": colour,
                    "tooltip": [
                        which,
                        {"field": "missing", "type": "quantitative", "title": "Intervals without a read"},
                    ],
                },
            },
            {
                "transform": [{"filter": "datum.kind !== 'No read'"}],
                "mark": {"type": "bar"},
                "encoding": {
                    "x": _DAYS,
                    "y": {**figure, "axis": {"tickCount": 4}},
                    "order": {"field": "order"},
                    "color": colour,
                    "tooltip": [which, {"field": "kind", "title": "Reads"}, {**figure, "format": ",.3f"}],
                },
            },
        ],
    )


def expected_chart(first: date, so_far: Sequence[int], expected: Sequence[int], unit: str) -> Spec:
    """A bar a local day from `first` on: use so far, and on top of it what is expected of the day [base units]."""
    values: list[Spec] = []
    read = [*so_far, *[0] * (len(expected) - len(so_far))]
    for place, (use, whole) in enumerate(zip(read, expected, strict=True)):
        day = first + timedelta(days=place)
        at = {"day": day.isoformat(), "at": f"{day:%A, %-d %B %Y}"}
        values.append({**at, "kind": "So far", "use": use / 1000, "order": 0})
        if whole > use:
            values.append({**at, "kind": "Expected", "use": (whole - use) / 1000, "order": 1})
    kinds = ["So far", "Expected"]
    figure = {"field": "use", "type": "quantitative", "title": unit}
    bars = {
        "mark": {"type": "bar"},
        "encoding": {
            "x": _DAYS,
            "y": {**figure, "axis": {"tickCount": 4}},
            "order": {"field": "order"},
            "color": {
                "field": "kind",
                "type": "nominal",
                "scale": {"domain": kinds, "range": [_COLOURS[kind] for kind in kinds]},
                "legend": _LEGEND,
            },
            "tooltip": [
                {"field": "at", "type": "nominal", "title": "Day"},
                {"field": "kind", "title": "Use"},
                {**figure, "format": ",.3f"},
            ],
        },
    }
    return _chart(unit, values, [bars] if values else [])


def telemetry_chart(series: Series, start_s: int, end_s: int, zone: ZoneInfo) -> Spec:
    """A line, broken where nothing was told, over [start_s, end_s) [s since 1970]."""
    gauge = QUANTITIES[series.quantity]
    figure = {"field": "value", "type": "quantitative", "title": gauge.unit}
    encoding = {
        "x": _time("told", start_s, end_s, zone),
        "y": {**figure, "scale": {"zero": False}, "axis": {"tickCount": 3}},
        "detail": {"field": "run", "type": "nominal"},
        "tooltip": [
            {"field": "at", "type": "nominal", "title": "When"},
            {**figure, "title": f"{gauge.name} [{gauge.unit}]", "format": f",.{gauge.places}f"},
        ],
    }
    line = {"type": "line", "color": _COLOURS["Measured"], "strokeWidth": 1.5, "point": {"size": 12}}
    points = _line(_thinned(series), zone)
    return _chart(gauge.unit, points, [{"mark": line, "encoding": encoding}], height=110)


def _thinned(series: Series) -> list[tuple[int, float]]:
    """Of many values the lowest and the highest of each stretch, so that no peak is lost."""
    told = list(zip(series.at_s, series.values, strict=True))
    a_slot = -(-len(told) // _SLOTS)
    if a_slot <= 2:
        return told
    slots = [told[first : first + a_slot] for first in range(0, len(told), a_slot)]
    return [one for slot in slots for one in sorted({min(slot, key=_value), max(slot, key=_value)})]


def _value(told: tuple[int, float]) -> float:
    return told[1]


def _line(told: list[tuple[int, float]], zone: ZoneInfo) -> list[Spec]:
    steps = sorted(later - earlier for (earlier, _), (later, _) in pairwise(told))
    longest = _GAP_STEPS * steps[len(steps) // 2] if steps else 0
    points: list[Spec] = []
    run, before = 0, told[0][0] if told else 0
    for at_s, value in told:
        run += at_s - before > longest
        before = at_s
        at = f"{moment(at_s).astimezone(zone):%a %-d %b %Y %H:%M %Z}"
        points.append({"told": at_s, "at": at, "value": value, "run": run})
    return points


def _time(field: str, start_s: int, end_s: int, zone: ZoneInfo) -> Spec:
    """Seconds of UTC from left to right, labelled with local days and hours."""
    ticks = _ticks(start_s, end_s, zone)
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"domain": [start_s, end_s], "nice": False, "zero": False},
        "axis": {
            "title": None,
            "values": list(ticks),
            "labelExpr": f"{list(ticks.values())}[indexof({list(ticks)}, datum.value)]",
            "labelOverlap": "parity",
            "grid": False,
        },
    }


def _chart(title: str, values: list[Spec], layers: list[Spec], *, height: int = 220) -> Spec:
    return {
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "usermeta": {"unit": title},
        "data": {"values": values},
        "layer": layers,
        "config": _CONFIG,
    }


def _colour(values: list[Spec]) -> Spec:
    """Colour by kind, with a legend of the kinds that matter here."""
    occurring = _EXPLAINED | {value["kind"] for value in values}
    kinds = [kind for kind in _COLOURS if kind in occurring]
    scale = {"domain": kinds, "range": [_COLOURS[kind] for kind in kinds]}
    # More than fit beside each other on a phone stand in rows.
    legend = {**_LEGEND, "columns": 3} if len(kinds) > 4 else _LEGEND
    return {"field": "kind", "type": "nominal", "scale": scale, "legend": legend}


def _points(reads: Readings, zone: ZoneInfo) -> list[Spec]:
    """One row an interval, missing ones that follow each other are one; none at all where nothing came."""
    points: list[Spec] = []
    if (reads.quality == Quality.MISSING).all():
        return points
    length = reads.interval_s
    for start, value, code in zip(reads.starts_s.tolist(), reads.values.tolist(), reads.quality.tolist(), strict=True):
        quality = Quality(code)
        kind = _KIND.get(quality, "Estimated" if quality > Quality.EDITED else "Measured")
        end = start + length
        if kind == "No read" and points and points[-1]["kind"] == kind and points[-1]["end"] == start:
            points[-1]["end"] = end
            continue
        at = moment(start).astimezone(zone)
        point = {"start": start, "end": end, "kind": kind, "quality": quality.label}
        point["at"] = f"{at:%a %-d %b %Y %H:%M %Z}"
        if kind != "No read":
            point["use"] = value / 1000
        points.append(point)
    return points


def _ticks(start_s: int, end_s: int, zone: ZoneInfo) -> dict[int, str]:
    """Where the axis has a mark, and what it says: hours for up to two days, else local midnights."""
    first = moment(start_s).astimezone(zone)
    ticks: dict[int, str] = {}
    if end_s - start_s <= 2 * 86_400:
        at = -(-start_s // 3_600) * 3_600
        while at <= end_s:
            local = moment(at).astimezone(zone)
            if local.hour % 3 == 0 and local.minute == 0:
                ticks[at] = f"{local:%-d %b}" if local.hour == 0 else f"{local:%H:%M}"
            at += 3_600
        return ticks
    day = first.date()
    wording = "%a %-d %b" if end_s - start_s <= 14 * 86_400 else "%-d %b"
    while (at := seconds(midnight(day, zone))) <= end_s:
        if at >= start_s:
            ticks[at] = datetime.combine(day, datetime.min.time(), zone).strftime(wording)
        day += timedelta(days=1)
    return ticks


def elapsed(period: Period, now_s: int) -> tuple[int, int]:
    """The part of a period that is over [s since 1970]."""
    start, end = period.start_s, period.end_s
    return start, max(start, min(end, now_s))
