"""Cuts put together, and texts and corpora without them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from konomi.dedup import Corpus, Cuts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def union(document: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64]) -> Cuts:
    """Return cuts in any order, overlapping ones too, as sorted ones that do not touch."""
    import numpy as np

    from konomi.dedup._cuts_kernel import merged

    order = np.lexsort((end, start, document))
    columns = [np.ascontiguousarray(values[order], np.int64) for values in (document, start, end)]
    count = merged(*columns)
    return Cuts(*(values[:count] for values in columns))


def after(first: Cuts | None, then: Cuts) -> Cuts:
    """Return both, `then` being cuts of texts without `first`, as cuts of the uncut texts."""
    import numpy as np

    from konomi.dedup._cuts_kernel import moved_back

    if first is None:
        return then
    start, end = then.start.copy(), then.end.copy()
    moved_back(then.document, start, end, first.document, first.start, first.end)
    return union(
        np.concatenate([first.document, then.document]),
        np.concatenate([first.start, start]),
        np.concatenate([first.end, end]),
    )


def without(texts: pa.Array, cuts: Cuts, first: int = 0) -> pa.Array:
    """Return texts without the cuts of their documents, which are numbered from `first` on; null where none is cut."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from konomi.dedup._cuts_kernel import take_out
    from konomi.units import text_buffers

    own = slice(*np.searchsorted(cuts.document, [first, first + len(texts)]))
    data, offsets = text_buffers(texts)
    left, ends = np.empty(int(offsets[-1] - offsets[0]), np.uint8), np.zeros(len(texts) + 1, np.int64)
    document = cuts.document[own] - first
    count = take_out(data, offsets, document, cuts.start[own], cuts.end[own], left, ends[1:])
    found = pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(left[:count]))
    changed = np.zeros(len(texts), np.bool_)
    changed[document] = True
    return pc.if_else(pa.array(changed), found, pa.scalar(None, pa.large_string()))


def narrowed(corpus: Corpus, ids: NDArray[np.int64]) -> Corpus:
    """Return the documents of a corpus with these numbers, which ascend."""
    import numpy as np
    import pyarrow.parquet as pq

    shards, first = [], 0
    for part in corpus.parts():
        rows = np.ones(pq.read_metadata(part.path).num_rows, np.bool_) if part.rows is None else part.rows.copy()
        documents = np.flatnonzero(rows)
        chosen = ids[slice(*np.searchsorted(ids, [first, first + len(documents)]))] - first
        rows[:] = False
        rows[documents[chosen]] = True
        shards.append(dataclasses.replace(part, rows=rows))
        first += len(documents)
    return dataclasses.replace(corpus, shards=tuple(shards))


def laid_over(corpus: Corpus, cuts: Cuts, folder: Path) -> Corpus:
    """Return a corpus whose documents lack the cuts; layers with what is left of them are written into `folder`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    shards, first = [], 0
    for number, part in enumerate(corpus.parts()):
        one = dataclasses.replace(corpus, shards=(part,))
        count = one.count()
        layer = folder / f"layer-{number:05}.parquet"
        left = (without(texts, cuts, first + at) for at, texts in one.texts())
        groups = pq.read_metadata(part.path)
        sizes = [groups.row_group(group).num_rows for group in range(groups.num_row_groups)]
        with pq.ParquetWriter(layer, pa.schema({corpus.column: pa.large_string()}), compression="lz4") as writer:
            for rows in _in_rows(left, part.rows, sizes):
                writer.write_table(pa.table({corpus.column: rows}), row_group_size=max(len(rows), 1))
        shards.append(dataclasses.replace(part, layers=(*part.layers, layer)))
        first += count
    return dataclasses.replace(corpus, shards=tuple(shards))


def _in_rows(texts: Iterator[pa.Array], chosen: NDArray[np.bool_] | None, sizes: Sequence[int]) -> Iterator[pa.Array]:
    """Yield, for each row group of so many rows, the texts of the documents and null for the other rows."""
    import numpy as np
    import pyarrow as pa

    held: pa.ChunkedArray = pa.chunked_array([], pa.large_string())
    before = 0
    for size in sizes:
        rows = np.ones(size, np.bool_) if chosen is None else chosen[before : before + size]
        wanted = int(rows.sum())
        while len(held) < wanted:
            held = pa.chunked_array([*held.chunks, next(texts)])
        places = np.full(size, -1)
        places[rows] = np.arange(wanted)
        taken = held.slice(0, wanted).combine_chunks()
        yield taken.take(pa.array(places, mask=places < 0))
        held = held.slice(wanted)
        before += size
