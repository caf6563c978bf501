"""A bundle: a statement and everything it takes to rate it again, as one ZIP file that its owner can keep."""

from headend.billing.bundle.checking import Checked, Differs, check_bundle
from headend.billing.bundle.making import make_bundle

__all__ = ["Checked", "Differs", "check_bundle", "make_bundle"]
