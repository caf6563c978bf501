"""Validation, estimation and editing of interval reads. No I/O.

Rules are functions of blocks and limits that answer with findings. They run in two moments: cheap checks of single
values when reads arrive (`arrival`), and checks that need a whole day, its registers and its neighbours when the day is
due (`settle`), which also estimates what is missing.
"""

from headend.vee.arrival import check_arrival
from headend.vee.findings import Findings
from headend.vee.ruleset import Limits, RuleSet, load_rule_set
from headend.vee.settle import Settled, settle

__all__ = ["Findings", "Limits", "RuleSet", "Settled", "check_arrival", "load_rule_set", "settle"]
