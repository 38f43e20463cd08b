"""Names for arrays in signatures.  Shapes and units stand in the docstrings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
"""float64 unless a docstring says otherwise; complex128 on I/Q ports."""

Arrays = Mapping[str, Array]
"""Arrays by parameter, knob, port or channel name."""
