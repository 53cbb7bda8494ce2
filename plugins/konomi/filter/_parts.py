"""Lines and paragraphs that a text says again, for the filters that have rules on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def part_shares(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], *, lines_only: bool = False
) -> dict[str, NDArray[np.float64]]:
    """Return the shares of lines and paragraphs, and of their characters, that occurred before; each of shape (n,).

    White space around a part does not count, nor does a part that is nothing else. With `lines_only` no paragraph is
    looked at.
    """
    import numpy as np

    from konomi.filter._parts_kernel import parts

    lines, paragraphs = np.zeros((2, len(offsets) - 1, 4), np.int64)
    parts(data, offsets, lines, paragraphs, lines_only)
    shares = {
        "duplicate_lines": lines[:, 1] / np.maximum(lines[:, 0], 1),
        "duplicate_line_characters": lines[:, 3] / np.maximum(lines[:, 2], 1),
    }
    if lines_only:
        return shares
    return shares | {
        "duplicate_paragraphs": paragraphs[:, 1] / np.maximum(paragraphs[:, 0], 1),
        "duplicate_paragraph_characters": paragraphs[:, 3] / np.maximum(paragraphs[:, 2], 1),
    }
