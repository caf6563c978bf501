"""Validation, estimation and editing of interval reads. No I/O.

Rules are functions of blocks and thresholds that answer with findings. They run in three moments: cheap checks of
single values when reads arrive (`arrival`); checks that need a whole day, its registers and its neighbours when the day
is due (`settle`), which also estimates what is missing; and checks of a bill's whole use when it is to be rated
(`highlow`). Rules that compare with the past ask the daily use staged for each channel (`dailyuse`), not its reads.
"""

from headend.vee.arrival import check_arrival
from headend.vee.findings import Finding
from headend.vee.ruleset import Rules, RuleSet, load_rule_set
from headend.vee.settle import Settled, settle
from headend.vee.worksheet import Due

__all__ = ["Due", "Finding", "RuleSet", "Rules", "Settled", "check_arrival", "load_rule_set", "settle"]
