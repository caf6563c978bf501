"""The arrays that tariffs are rated in: whole numbers of base units, marks, and indices of TOU periods."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]
#: Index of a TOU period of a schedule; a byte, so that a year of minutes is small.
Codes = NDArray[np.uint8]
