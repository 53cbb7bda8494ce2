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


def written(data: NDArray[np.uint8], ends: NDArray[np.int64], chosen: NDArray[np.bool_]) -> pa.Array:
    """Return large strings out of bytes that stand one text after another; null where a text is not `chosen`."""
    import numpy as np
    import pyarrow as pa

    valid = np.packbits(chosen, bitorder="little")
    offsets = np.concatenate([np.zeros(1, np.int64), ends])
    buffers = [pa.py_buffer(part) for part in (valid, offsets, data[: offsets[-1]])]
    return pa.Array.from_buffers(pa.large_string(), len(ends), buffers)


def only_changed(count: int, changed: Mapping[int, str]) -> pa.Array:
    """Return `count` texts as large strings: the changed ones by their row, null for all others."""
    import pyarrow as pa

    made: list[bytes | None] = [None] * count
    for row, text in changed.items():
        made[row] = text.encode("utf-8", "surrogatepass")
    return pa.array(made, pa.large_binary()).view(pa.large_string())
