"""From the journal to the interval store: what arrived becomes what stands."""

from headend.process.intake import Intake
from headend.process.settlement import settle_due_days

__all__ = ["Intake", "settle_due_days"]
