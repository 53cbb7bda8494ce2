"""Passages taken out of the documents of a shard, as a layer over its texts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from konomi.dedup import Cuts, Shard
from konomi.stage._judging import TEXT, layered, write_like
from konomi.store.shelf import Shelf


@dataclass(frozen=True)
class Cutting:
    """The task of cutting one shard."""

    shard: Shard
    column: str
    cuts: Cuts
    """Passages of the shard's rows."""
    shelf: Shelf


@dataclass(frozen=True)
class Cut:
    """What came of it."""

    shard: Shard
    rewritten: int
    emptied: list[int]
    """Rows that were dropped because nothing but white space is left of them."""


def cut(task: Cutting) -> Cut:
    """Write the layer, where it is not there yet; a document that another step has dropped stays dropped."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from konomi.dedup._cuts import without

    if not len(task.cuts.document):
        return Cut(task.shard, 0, [])
    name = task.shard.path.name
    if not task.shelf.whole(name):
        texts = layered(task.shard.path, task.shard.layers, task.column)
        layer = pa.table({TEXT: without(texts, task.cuts).cast(pa.large_string())})
        with task.shelf.put(name) as path:
            write_like(task.shard.path, layer, path)
    left = pq.read_table(task.shelf.path(name)).column(TEXT)
    rows = np.ones(len(left), np.bool_) if task.shard.rows is None else task.shard.rows.copy()
    empty = np.asarray(pc.fill_null(pc.equal(pc.utf8_trim_whitespace(left), ""), False))
    emptied = np.flatnonzero(rows & empty)
    cut_out = int((rows & np.asarray(left.is_valid())).sum())
    rows[emptied] = False
    layers = (*task.shard.layers, task.shelf.path(name))
    return Cut(replace(task.shard, rows=rows, layers=layers), cut_out - len(emptied), emptied.tolist())
