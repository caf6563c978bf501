"""What is wrong with a tariff file: findings with file, key, what stands there and what was expected.

Findings are values, so that `check_tariff` can show them all; loading raises the first. The format itself is checked
by the models of `schema` (`files`); the rules that span several keys stand in a module for each part of a tariff.
"""

from headend.tariffs.check.faults import faults
from headend.tariffs.check.files import check_tariff, examine, examine_new, examine_text
from headend.tariffs.check.finding import Finding, Note
from headend.tariffs.check.notes import notes, prices_beyond
from headend.tariffs.check.told_apart import told_apart_faults

__all__ = [
    "Finding",
    "Note",
    "check_tariff",
    "examine",
    "examine_new",
    "examine_text",
    "faults",
    "notes",
    "prices_beyond",
    "told_apart_faults",
]
