"""Decode UTF-8 into code points, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import compiled

Array = NDArray[Any]


@compiled
def decode_all(data: Array, offsets: Array, codes: Array, ends: Array) -> Any:
    """Fill `codes` with the code points of the texts `data[offsets[i]:offsets[i + 1]]`; return how many there are.

    Those of text i end at `ends[i]`.
    """
    count = 0
    for text in range(len(offsets) - 1):
        position = offsets[text]
        end = offsets[text + 1]
        while position < end:
            first = np.int64(data[position])
            if first < 0x80:
                codes[count] = first
                position += 1
            elif 0xE0 <= first < 0xF0 and position + 2 < end:
                second, third = np.int64(data[position + 1]), np.int64(data[position + 2])
                codes[count] = (first & 0x0F) << 12 | (second & 0x3F) << 6 | (third & 0x3F)
                position += 3
            else:
                width = min(2 if first < 0xE0 else 3 if first < 0xF0 else 4, end - position)
                code = first & (0x7F >> width)
                for offset in range(1, width):
                    code = code << 6 | (np.int64(data[position + offset]) & 0x3F)
                codes[count] = code
                position += width
            count += 1
        ends[text] = count
    return count
