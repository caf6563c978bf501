"""Checking a bundle: is it whole, and does its statement come out of it, line by line and to the cent?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from headend.billing.bundle.manifest import MANIFEST, STATEMENT, manifest_bytes
from headend.billing.bundle.opening import Opened, opened
from headend.billing.recount import Evidence, LineCompared, channels_of, figures_that_differ, lines_compared, rated_anew
from headend.billing.statement import Segment, Statement, canonical_json, sha256
from headend.errors import CannotRate


@dataclass(frozen=True, slots=True)
class Differs:
    """Something that is not as it should be: where, what is stated, and what is found or comes out."""

    where: str
    stated: str
    found: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check.

    Parameters
    ----------
    sha256
        of the statement in the bundle.
    lines
        of each segment; nothing where it could not be rated.
    differs
        all that does: files, digests, lines, figures, totals.
    """

    statement: Statement
    sha256: str
    lines: Sequence[Sequence[LineCompared]]
    differs: Sequence[Differs]

    @property
    def identical(self) -> bool:
        """Whether nothing differs."""
        return not self.differs


def check_bundle(data: bytes, known_sha256: str | None = None) -> Checked:
    """Compare a bundle's files with its manifest and its statement, and rate it.

    Parameters
    ----------
    known_sha256
        hash of the statement, from elsewhere.

    Raises
    ------
    InvalidInput
        it is no bundle.
    """
    its = opened(data)
    found = list(_files(its, known_sha256))
    lines: list[Sequence[LineCompared]] = []
    computed: list[Segment] = []
    for number, (segment, evidence) in enumerate(zip(its.statement.segments, its.evidence, strict=True), 1):
        where = f"segment {number}"
        found += _digests(where, segment, evidence)
        try:
            anew = _rated(its.statement, segment, evidence)
        except CannotRate as error:
            found.append(Differs(where, "can be rated", str(error)))
            lines.append(())
            continue
        computed.append(anew)
        lines.append(lines_compared(segment.lines, anew.lines))
        found += [_line(where, each) for each in lines[-1] if not each.same]
        found += [
            Differs(f"{where}, {each.what}", each.stated, each.computed) for each in figures_that_differ(segment, anew)
        ]
    if len(computed) == len(its.statement.segments):
        found += _totals(its.statement, computed)
    return Checked(its.statement, sha256(its.document), lines, found)


def _files(its: Opened, known_sha256: str | None) -> Iterator[Differs]:
    manifest, document = its.manifest, its.document
    if known_sha256 is not None and sha256(document) != known_sha256.lower():
        yield Differs("statement", f"hash {known_sha256}", sha256(document))
    if manifest_bytes(manifest) != its.files[MANIFEST]:
        yield Differs(MANIFEST, "written as a bundle's is", "written otherwise")
    for name, content in its.files.items():
        stated = manifest.files.get(name)
        if name != MANIFEST and stated != sha256(content):
            yield Differs(name, f"hash {stated}" if stated else "no such file", sha256(content))
    named = manifest.statement
    for what, stated, found in (
        ("id", named.id, its.statement.id),
        ("sha256", named.sha256, sha256(document)),
        ("previous_sha256", named.previous_sha256, its.statement.previous_sha256),
    ):
        if stated != found:
            yield Differs(f"{MANIFEST}, {what}", str(stated), str(found))
    if canonical_json(its.statement) != document:
        yield Differs(STATEMENT, "in its canonical form", "written otherwise")


def _digests(where: str, segment: Segment, its: Evidence) -> Iterator[Differs]:
    if (digest := its.reads_sha256) != segment.reads_sha256:
        yield Differs(f"{where}, reads", f"digest {segment.reads_sha256}", digest)
    if its.tariff.digest != segment.tariff.sha256:
        yield Differs(f"{where}, tariff", f"hash {segment.tariff.sha256}", its.tariff.digest)
    named = [(meter.meter_name, meter.channel.obis) for meter in its.meters]
    if sorted(named) != sorted(channels_of(segment)):
        yield Differs(f"{where}, meters", _channels(channels_of(segment)), _channels(named))


def _channels(named: Sequence[tuple[str, str]]) -> str:
    return ", ".join(" ".join(each) for each in named) or "none"


def _rated(statement: Statement, segment: Segment, evidence: Evidence) -> Segment:
    try:
        return rated_anew(statement, segment, evidence)
    except (ArithmeticError, ValueError) as error:
        # What is forged can be any number: one that no bill is made of ends the rating somewhere in it.
        raise CannotRate(f"{type(error).__name__}: {error}") from None


def _line(where: str, its: LineCompared) -> Differs:
    one = its.stated or its.computed
    label = one.label if one else ""
    return Differs(f"{where}, line {label!r}", told(its, stated=True), told(its, stated=False))


def told(its: LineCompared, *, stated: bool) -> str:
    """One side of a line: quantity, price, amount, and whatever else the other side says otherwise."""
    line, other = (its.stated, its.computed) if stated else (its.computed, its.stated)
    if line is None:
        return "no such line"
    text = f"{line.quantity:f} {line.unit} × {line.price:f} = {line.amount:f}"
    if other is not None and replace(line, quantity=other.quantity, price=other.price, amount=other.amount) != other:
        rest = (line.unit, line.period, line.tier, line.estimated, line.included, line.mean)
        text += f" ({', '.join(str(each) for each in rest)})"
    return text


def _totals(statement: Statement, computed: Sequence[Segment]) -> Iterator[Differs]:
    totals = statement.totals
    if currencies := {each.currency for each in computed} - {totals.currency}:
        yield Differs("totals, currency", totals.currency, ", ".join(sorted(currencies)))
    net, tax = (sum((getattr(each, name) for each in computed), Decimal(0)) for name in ("net", "tax"))
    for name, stated, found in (("net", totals.net, net), ("tax", totals.tax, tax), ("gross", totals.gross, net + tax)):
        if stated != found:
            yield Differs(f"totals, {name}", f"{stated:f}", f"{found:f}")
    if statement.budget and (both := statement.budget.does_not_add_up(totals.gross)):
        yield Differs("budget", *both)
