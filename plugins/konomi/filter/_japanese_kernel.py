"""What the compiled rules on Japanese text share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import compiled

Array = NDArray[Any]


@compiled
def flag_of(flags: Array, code: int) -> Any:
    """Return a code point's flags; none above the planes that hold characters."""
    return flags[code] if code < len(flags) else np.uint8(0)


@compiled
def ends_in(codes: Array, start: int, end: int, ways: Array, way_ends: Array) -> Any:
    """Tell whether `codes[start:end]` ends in one of the strings `ways[way_ends[i - 1]:way_ends[i]]`."""
    way_start = 0
    for way in range(len(way_ends)):
        size = way_ends[way] - way_start
        same = size <= end - start
        for offset in range(size):
            same = same and codes[end - size + offset] == ways[way_start + offset]
        if same:
            return True
        way_start = way_ends[way]
    return False
