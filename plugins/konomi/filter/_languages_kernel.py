"""Count a text's letters by group, compiled."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from konomi._units_kernel import compiled, decode

Array = NDArray[Any]


@compiled
def count_groups(data: Array, offsets: Array, groups: Array, counts: Array) -> None:
    """Add to `counts[i, g]` the characters of text i that are in group g; `groups[code]` is a character's."""
    letters = groups[97]
    plain = True
    for code in range(26):
        plain = plain and groups[65 + code] == letters and groups[97 + code] == letters
    for text in range(len(offsets) - 1):
        position = offsets[text]
        end = offsets[text + 1]
        while position < end:
            while plain and position + 32 <= end:
                found = 0
                high = 0
                for byte in data[position : position + 32]:
                    high |= byte
                    found += ((byte | 32) - 97) & 0xFF < 26
                if high >= 128:
                    break
                counts[text, letters] += found
                position += 32
            stop = min(position + 32, end)
            while position < stop:
                code, width = decode(data, position, end)
                position += width
                if code < len(groups):
                    counts[text, groups[code]] += 1
