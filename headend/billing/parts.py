"""What is rated together: the days of an agreement under one tariff version, with the meters that measured them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from operator import attrgetter

from headend.billing.agreements import Agreement, in_force
from headend.billing.cycle import ExceptionCode
from headend.billing.ports import MeterChannel
from headend.errors import NotFound
from headend.reads.channels import EXPORT, GAS, HEAT, IMPORT, REACTIVE, WATER, Channel
from headend.reads.days import Period, zone_named
from headend.tariffs import Tariff, TariffBook
from headend.tariffs.format.components import Component, Dynamic, Energy, PowerFactor, Reactive

#: What a commodity is billed by.
USE_CHANNEL = {"electricity": IMPORT, "gas": GAS, "water": WATER, "heat": HEAT}


@dataclass(frozen=True, slots=True)
class Part:
    """Days of one agreement under one tariff version, and the meters that measured them.

    Parameters
    ----------
    fed_in, reactive
        None where the tariff does not ask for it.
    """

    agreement: Agreement
    tariff: Tariff
    first: date
    end: date
    used: tuple[MeterChannel, ...]
    fed_in: tuple[MeterChannel, ...] | None = None
    reactive: tuple[MeterChannel, ...] | None = None

    @property
    def meters(self) -> tuple[MeterChannel, ...]:
        """All of them."""
        return (*self.used, *(self.fed_in or ()), *(self.reactive or ()))

    @property
    def interval_s(self) -> int:
        """Length of an interval [s], the same for all meters of the part."""
        return self.used[0].interval_s

    @property
    def kind(self) -> tuple[str, date, date, str, int, str]:
        """Parts of one kind are rated together."""
        customer_class = self.agreement.account.customer_class if _exempts(self.tariff) else ""
        return self.tariff.version, self.first, self.end, self.agreement.timezone, self.interval_s, customer_class

    @property
    def components(self) -> Mapping[int, Component]:
        """What applies of the tariff, by its place there."""
        return _applying(self.tariff, self.agreement.account.customer_class, self.first, self.end)

    @property
    def time_s(self) -> tuple[int, int]:
        """Begin of the first day and end of the last, UTC [s since 1970]."""
        days = Period(self.first, self.end, zone_named(self.agreement.timezone))
        return days.start_s, days.end_s

    def measured_by(self, meter: MeterChannel) -> tuple[int, int]:
        """The part of that time during which one of its meters hung."""
        begin_s, end_s = self.time_s
        return max(begin_s, meter.installed_s), end_s if meter.removed_s is None else min(end_s, meter.removed_s)


#: By usage point and channel code.
Hung = Mapping[tuple[str, int], Sequence[MeterChannel]]


def by_usage_point(channels: Iterable[MeterChannel]) -> Hung:
    """Meters where they hang."""
    found: dict[tuple[str, int], list[MeterChannel]] = defaultdict(list)
    for channel in channels:
        found[channel.usage_point, channel.channel.code].append(channel)
    return found


def parts_of(
    agreement: Agreement,
    tariffs: TariffBook,
    meters: Hung,
    period: str,
    refuse: Callable[[Agreement, ExceptionCode, str], None],
) -> Iterator[Part]:
    """The parts of one agreement in month `period`; none after the first that cannot be billed, which is refused."""
    days = in_force(agreement, period)
    if days is None:
        return
    try:
        versions = tariffs.versions_between(agreement.tariff_id, days.first, days.end)
    except NotFound as error:
        refuse(agreement, ExceptionCode.NO_TARIFF, str(error))
        return
    for first, end, tariff in versions:
        its = Period(first, end, days.zone)
        used = hung_at(meters, agreement.usage_point, USE_CHANNEL[agreement.commodity], its)
        if not used:
            found = f"no {agreement.commodity} meter at {agreement.usage_point}"
            refuse(agreement, ExceptionCode.NO_METER, found)
            return
        fed_in = reactive = None
        asks_export, asks_reactive = _asks(tariff, agreement.account.customer_class, first, end)
        if asks_export:
            fed_in = hung_at(meters, agreement.usage_point, EXPORT, its)
        if asks_reactive:
            reactive = hung_at(meters, agreement.usage_point, REACTIVE, its)
        part = Part(agreement, tariff, first, end, used, fed_in, reactive)
        problem = _problem(part, its)
        if problem is not None:
            refuse(agreement, ExceptionCode.CANNOT_RATE, problem)
            return
        yield part


def hung_at(meters: Hung, usage_point: str, channel: Channel, days: Period) -> tuple[MeterChannel, ...]:
    """Meters that measured a channel at a usage point during some of these days, as they were installed."""
    return hung_during(meters.get((usage_point, channel.code), ()), days)


def hung_during(meters: Sequence[MeterChannel], days: Period) -> tuple[MeterChannel, ...]:
    """Those of the meters that hung during some of these days, as they were installed."""
    begin_s, end_s = days.start_s, days.end_s
    hung = [
        each for each in meters if each.installed_s < end_s and (each.removed_s is None or each.removed_s > begin_s)
    ]
    return tuple(hung) if len(hung) == 1 else tuple(sorted(hung, key=attrgetter("installed_s")))


def _problem(part: Part, days: Period) -> str | None:  # noqa: PLR0911 - one for each there is
    agreement, tariff = part.agreement, part.tariff
    if tariff.commodity != agreement.commodity:
        return f"tariff {tariff.id} is for {tariff.commodity}, the agreement for {agreement.commodity}"
    if agreement.account.customer_class not in tariff.customer_classes:
        classes = ", ".join(tariff.customer_classes)
        return f"tariff {tariff.id} is for {classes}, the account is {agreement.account.customer_class}"
    if part.fed_in == ():
        return f"{tariff.id} credits export, but no meter measures it"
    if part.reactive == ():
        return f"{tariff.id} charges reactive energy, but no meter measures it"
    if len({meter.interval_s for meter in part.meters}) > 1:
        return "its meters have intervals of different lengths"
    if days.start_s % part.interval_s:
        return f"its local day begins within an interval of {part.interval_s} s"
    return None


def needs_export(tariff: Tariff, components: Iterable[Component]) -> bool:
    """Whether what is fed in makes a difference to the bill."""
    priced = any(isinstance(each, Energy | Dynamic) and each.measures == "export" for each in components)
    return priced or tariff.netting != "none"


# The agreements on one tariff ask the same by the thousand.


@lru_cache(maxsize=1024)
def _asks(tariff: Tariff, customer_class: str, first: date, end: date) -> tuple[bool, bool]:
    """Whether what is fed in makes a difference to the bill, and whether reactive energy does."""
    components = _applying(tariff, customer_class, first, end).values()
    reactive = any(isinstance(component, Reactive | PowerFactor) for component in components)
    return needs_export(tariff, components), reactive


@lru_cache(maxsize=1024)
def _applying(tariff: Tariff, customer_class: str, first: date, end: date) -> Mapping[int, Component]:
    return {
        place: component
        for place, component in enumerate(tariff.components)
        if customer_class not in component.not_for
        and (component.valid_from or first) < end
        and (component.valid_until or end) > first
    }


@lru_cache(maxsize=1024)
def _exempts(tariff: Tariff) -> bool:
    return any(component.not_for for component in tariff.components)
