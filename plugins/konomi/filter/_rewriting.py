"""What filters share that rewrite some of many texts: only these become Python strings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def strings_at(texts: pa.Array, rows: NDArray[np.int64]) -> list[str]:
    """Return some of the texts as Python strings; half a surrogate pair stays one."""
    import pyarrow as pa

    return [
        text.decode("utf-8", "surrogatepass") for text in texts.take(pa.array(rows)).view(pa.large_binary()).to_pylist()
    ]


def only_changed(count: int, changed: Mapping[int, str]) -> pa.Array:
    """Return `count` texts as large strings: the changed ones by their row, null for all others."""
    import pyarrow as pa

    made: list[bytes | None] = [None] * count
    for row, text in changed.items():
        made[row] = text.encode("utf-8", "surrogatepass")
    return pa.array(made, pa.large_binary()).view(pa.large_string())
