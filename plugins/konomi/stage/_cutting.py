"""Passages taken out of the documents of a shard, as a layer over its texts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from konomi.dedup import Shard
from konomi.stage._judging import TEXT, layered, write_like
from konomi.store.shelf import Shelf

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Cutting:
    """The task of cutting one shard; the arrays, of shape (m,), tell the passages in order."""

    shard: Shard
    column: str
    row: NDArray[np.int64]
    """Row of the shard."""
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    """First byte of the passage in the text's UTF-8, and the one after its last."""
    shelf: Shelf


@dataclass(frozen=True)
class Cut:
    """What came of it."""

    shard: Shard
    rewritten: int
    emptied: list[int]
    """Rows that were dropped because nothing but white space is left of them."""


def cut(task: Cutting) -> Cut:
    """Write the layer; a document that another step has dropped is not cut."""
    import numpy as np
    import pyarrow as pa

    if not len(task.row):
        return Cut(task.shard, 0, [])
    texts = layered(task.shard.path, task.shard.layers, task.column)
    rows = np.ones(len(texts), np.bool_) if task.shard.rows is None else task.shard.rows.copy()
    changed: dict[int, str] = {}
    bounds = np.flatnonzero(np.diff(task.row, prepend=-1, append=-1))
    for begin, stop in pairwise(bounds.tolist()):
        row = int(task.row[begin])
        if rows[row]:
            passages = zip(task.start[begin:stop].tolist(), task.end[begin:stop].tolist(), strict=True)
            changed[row] = _without(texts[row].as_py().encode(), list(passages))
    emptied = [row for row, text in changed.items() if not text.strip()]
    rows[emptied] = False
    layer = pa.table({TEXT: pa.array([changed.get(row) for row in range(len(texts))], pa.large_string())})
    with task.shelf.put(task.shard.path.name) as path:
        write_like(task.shard.path, layer, path)
    layers = (*task.shard.layers, task.shelf.path(task.shard.path.name))
    return Cut(replace(task.shard, rows=rows, layers=layers), len(changed) - len(emptied), emptied)


def _without(text: bytes, passages: list[tuple[int, int]]) -> str:
    """Return what is left of a text.

    >>> _without("一二三".encode(), [(0, 3), (6, 9)])
    '二'
    """
    kept, reached = [], 0
    for start, end in passages:
        kept.append(text[reached:start])
        reached = max(reached, end)
    return b"".join([*kept, text[reached:]]).decode()
