"""How figures and codes are said to people: units, shares, times, rules, events, commands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel.numbers import format_currency, format_decimal

from headend.monitor.events import ALARMS
from headend.reads.channels import Channel
from headend.reads.days import moment
from headend.reads.quality import IS_ESTIMATED, Quality
from headend.store.commands import Command
from headend.vee.ruleset import NAMES

_LOCALE = "en_GB"


@dataclass(frozen=True, slots=True)
class Unit:
    """What a channel counts in, and what people are shown.

    Parameters
    ----------
    base
        unit of the stored whole numbers.
    shown
        the larger unit: 1,000 base units.
    """

    base: str
    shown: str


def unit_of(channel: Channel) -> Unit:
    """The units of a channel, by its OBIS medium and quantity."""
    base = {"kWh": "Wh", "kvarh": "var·h", "m³": "litre" if channel.commodity == "water" else "dm³"}
    return Unit(base[channel.unit], channel.unit)


#: What each rule and each kind of anomaly says, for people; a finding's own detail has the numbers.
RULES = {
    **{rule: name[:1].upper() + name[1:] for rule, name in NAMES.items()},
    "leak": "Leak",
    "reverse": "Reverse energy",
    "inactive": "Use on an inactive service",
    "tamper": "Tampering and a drop",
    "stuck": "Stuck meter",
    "peers": "Unlike its neighbours",
    "hand": "Somebody asked to look",
}

#: What can be done about an exception.
ACTIONS = {"accept": "Accept", "edit": "Edit", "estimate": "Estimate", "reject": "Reject"}

#: How an estimate can be made when a person asks for it.
METHODS = {
    "register": "from the register",
    "linear": "along a straight line",
    "like_days": "from like days",
    "class_profile": "from the class profile",
    "average": "from average use",
}


def rule_code(rule: str) -> str:
    """A rule's id as a tag: V9, and nothing for what has only a name."""
    return rule if rule[:1] in "VE" and rule[1:].isdecimal() else ""


def rule_name(rule: str) -> str:
    """A rule, or a kind of anomaly, in words; one that has no name is taken at its word."""
    return RULES.get(rule) or rule.replace("_", " ").capitalize()


def outcome_tag(outcome: str) -> str:
    """Style of how an exception ended."""
    return {"accepted": "good", "cleared": "good", "rejected": "bad"}.get(outcome, "info")


def sentence(text: str) -> str:
    """With a capital at its beginning and a full stop at its end."""
    text = text.strip()
    return text and text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "…")) else ".")


@dataclass(frozen=True, slots=True)
class Gauge:
    """A quantity of telemetry as people read it; `places` after the decimal point."""

    name: str
    unit: str
    places: int


#: What telemetry tells, for people.
QUANTITIES = {
    "voltage_v": Gauge("Voltage", "V", 1),
    "signal_dbm": Gauge("Signal", "dBm", 0),
    "battery_v": Gauge("Battery", "V", 2),
    "temperature_c": Gauge("Temperature", "°C", 1),
    "clock_offset_s": Gauge("Clock against ours", "s", 0),
}

#: What each kind of event says, for people.
EVENTS = {
    "tamper": "Tampering",
    "outage": "Power outage",
    "last_gasp": "Power lost: last gasp",
    "restored": "Power restored",
    "battery_low": "Battery low",
    "unreachable": "Does not answer",
    "bad_answer": "Answers wrongly",
    "reachable": "Answers again",
    "restart": "Restarted",
    "clock_set": "Clock set",
}

#: What each kind of command asks for, for people.
COMMANDS = {
    "read": "Read registers",
    "backfill": "Backfill",
    "set_clock": "Set the clock",
    "set_interval": "Set the reporting interval",
    "restart": "Restart",
    "firmware": "Firmware",
    "rebirth": "Tell names anew",
}


def event_kind(kind: str) -> str:
    """A kind of event; one that has no name is taken at its word."""
    return EVENTS.get(kind) or kind.replace("_", " ").capitalize()


def event_tag(kind: str) -> str:
    """Style of a kind of event."""
    if kind == "tamper":
        return "bad"
    if kind in ALARMS:
        return "warn"
    return "good" if kind in {"restored", "reachable"} else ""


def clock_offset(offset_s: int) -> str:
    """How far off a clock is: fast by 3 min."""
    off = abs(offset_s)
    if not off:
        return "exact"
    size, name = next((unit for unit in _CLOCK_UNITS if off >= 2 * unit[0]), (1, "s"))
    return f"{'fast' if offset_s > 0 else 'slow'} by {count(round(off / size))} {name}"


_CLOCK_UNITS = ((86_400, "days"), (3_600, "h"), (60, "min"))


def command_args(command: Command) -> str:
    """What a command says beside its kind."""
    args = command.args
    match command.kind:
        case "backfill":
            return f"{len(args['gaps'])} gap{'s' if len(args['gaps']) > 1 else ''}"
        case "read":
            return ", ".join(args.get("meters", ())) or "all meters"
        case "set_interval":
            return f"every {args['report_every_s']} s"
        case "set_clock":
            return str(args.get("time", "to the moment of sending"))
        case "firmware":
            return str(args["version"])
    return ""


def command_tag(state: str) -> str:
    """Style of a command's state."""
    styles = {"sent": "info", "acknowledged": "info", "done": "good", "failed": "bad", "expired": "warn"}
    return styles.get(state, "")


def percent(share: float | None) -> str:
    """A share as per cent; never 100 % while something is missing."""
    if share is None:
        return "–"
    return f"{int(share * 1000) / 10:.1f} %" if share < 1 else "100 %"


def count(number: float) -> str:
    """A number with thousands separators."""
    return _written(format_decimal(number, locale=_LOCALE))


def quantity(base_units: int) -> str:
    """Base units as thousands, all three decimals."""
    return _written(format_decimal(Decimal(base_units) / 1000, format="#,##0.000", locale=_LOCALE))


def plain_quantity(base_units: int) -> str:
    """Base units as thousands, as a form takes them: 1240.5 without separators."""
    return str(Decimal(base_units) / 1000)


def signed_quantity(base_units: int) -> str:
    """A difference: +1.200, −0.350, 0.000."""
    return f"{'+' if base_units > 0 else ''}{quantity(base_units)}"


def telemetry(value: float, quantity: str) -> str:
    """A value of telemetry with its unit: 231.4 V."""
    gauge = QUANTITIES[quantity]
    return f"{_written(f'{value:,.{gauge.places}f}')} {gauge.unit}"


def money(amount: Decimal | str, currency: str) -> str:
    """An amount with its currency."""
    return _written(format_currency(Decimal(amount), currency, locale=_LOCALE))


def signed_money(amount: Decimal, currency: str) -> str:
    """A difference: +€1.20, −€0.35, €0.00."""
    return f"{'+' if amount > 0 else ''}{money(amount, currency)}"


def signed_percent(percent: Decimal) -> str:
    """A difference in percent: +1.5 %, −0.3 %, 0.0 %."""
    return f"{'+' if percent > 0 else ''}{_written(str(percent))} %"


def _written(number: str) -> str:
    # Pages have one minus sign, which is not the hyphen.
    return number.replace("-", "−")


def local_time(epoch_s: int | None, zone: ZoneInfo) -> str:
    """A moment as local wall clock, to the minute; a dash for none."""
    return "–" if epoch_s is None else moment(epoch_s).astimezone(zone).strftime("%Y-%m-%d %H:%M")


def ago(epoch_s: int | None, now: datetime) -> str:
    """How long ago, in the largest unit that fits."""
    if epoch_s is None:
        return "never"
    passed = int(now.timestamp()) - epoch_s
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if passed >= size:
            number = passed // size
            return f"{number} {name}{'s' if number > 1 else ''} ago"
    return "now"


def month(period: str) -> str:
    """`2026-10` as October 2026."""
    return datetime.strptime(period, "%Y-%m").strftime("%B %Y")  # noqa: DTZ007 -- a month has no zone


def quality_tag(quality: Quality) -> str:
    """Style of a quality code's label."""
    if quality in {Quality.MISSING, Quality.QUESTIONABLE}:
        return "bad"
    if IS_ESTIMATED[quality]:
        return "warn"
    return "info" if quality == Quality.EDITED else ""


def bar(share: float | None) -> int:
    """Length of a completeness bar, 0 to 100."""
    return 0 if share is None else int(max(0.0, min(1.0, share)) * 100)
