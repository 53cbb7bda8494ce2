"""Texts cut at their line breaks or blank lines, compiled."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from konomi._units_kernel import compiled

Array = NDArray[Any]

NEWLINE = 10


@compiled
def is_blank(byte: int) -> Any:
    """Tell whether a byte is white space within a line."""
    return byte in (9, 11, 12, 13, 32)


@compiled
def passages(data: Array, offsets: Array, blank_line: bool, bounds: Array, documents: Array) -> Any:
    """Fill in where the passages of each text begin, its end of all of them, and their texts; return how many.

    A passage ends after a line break, or with `blank_line` after the last break of two or more with no more than white
    space between them. It begins at `bounds[i]` and ends at `bounds[i + 1]`; the texts lie one after another.
    """
    count = 0
    for text in range(len(offsets) - 1):
        position, end = offsets[text], offsets[text + 1]
        while position < end:
            bounds[count], documents[count] = position, text
            count += 1
            while position < end:
                while position < end and data[position] != NEWLINE:
                    position += 1
                position = min(position + 1, end)
                breaks = 1
                ahead = position
                while ahead < end and (data[ahead] == NEWLINE or is_blank(data[ahead])):
                    if data[ahead] == NEWLINE:
                        breaks += 1
                        position = ahead + 1 if blank_line else position
                    ahead += 1
                if not blank_line or breaks > 1:
                    break
    bounds[count] = offsets[len(offsets) - 1]
    return count
