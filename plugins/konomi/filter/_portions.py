"""Portions of a batch that stay in a processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PORTION_BYTES = 1 << 20


def portions(offsets: NDArray[np.int64]) -> Iterator[slice]:
    """Yield the texts of each portion, of about a megabyte or one text, by the n + 1 offsets into their bytes."""
    from itertools import pairwise

    import numpy as np

    cuts = np.unique(np.searchsorted(offsets, np.arange(offsets[0], offsets[-1], PORTION_BYTES)))
    for start, stop in pairwise(sorted({0, *cuts.tolist(), len(offsets) - 1})):
        yield slice(start, stop)
