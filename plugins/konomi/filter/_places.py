"""Where the units of a text stand in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from konomi.units import Units

    Cut = Callable[[Any], Units]
    """From texts (Arrow strings) to their units."""


def start_of(text: str, unit: int, cut: Cut) -> int:
    """Return the place of the character that a unit begins with.

    Units carry no places, which few texts are asked for: the line is found by counting the units of all lines, and the
    place in it by halving. No unit goes over the end of a line.
    """
    from bisect import bisect_left, bisect_right

    from konomi.units import arrow_texts

    lines = text.split("\n")
    ends = cut(arrow_texts(lines)).ends.tolist()
    row = bisect_right(ends, unit)
    line, inside = lines[row], unit - (ends[row - 1] if row else 0)
    beginnings = range(len(line) + 1)
    reached = bisect_left(beginnings, inside + 1, key=lambda end: len(cut(arrow_texts([line[:end]])).hashes))
    return sum(len(one) + 1 for one in lines[:row]) + reached - 1
