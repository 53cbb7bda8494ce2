"""Reading a corpus in Arrow buffers, on all cores, and the order in which its documents are preferred."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from konomi.dedup import Corpus
from konomi.dedup._options import Keep
from konomi.faults import KonomiError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

T = TypeVar("T")
R = TypeVar("R")

BATCH_BYTES = 4 << 20
"""Text that one core takes at a time, about; a larger document is a batch of its own."""


def count(corpus: Corpus) -> int:
    """Return how many documents there are, from the shards' footers."""
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(shard).num_rows for shard in corpus.shards)


def read(corpus: Corpus) -> Iterator[tuple[int, pa.Array]]:
    """Yield the texts in batches, each with the number of its first document."""
    import pyarrow.parquet as pq

    first = 0
    for shard in corpus.shards:
        with pq.ParquetFile(shard) as file:
            column = _column(file, corpus.column)
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(_batch_rows(file, group, column), [group], columns=[corpus.column]):
                    yield first, batch.column(0)
                    first += batch.num_rows


def _column(file: pq.ParquetFile, name: str) -> int:
    names = file.schema_arrow.names
    if name not in names:
        raise KonomiError(f"the corpus has no column {name}; {did_you_mean(name, names)}")
    paths = [file.metadata.schema.column(index).path for index in range(file.metadata.num_columns)]
    return paths.index(name)


def _batch_rows(file: pq.ParquetFile, group: int, column: int) -> int:
    found = file.metadata.row_group(group)
    size: int = found.column(column).total_uncompressed_size
    return max(1, BATCH_BYTES * int(found.num_rows) // max(size, 1))


def on_cores(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Yield `function(item)` in order, computed on `threads` cores (0: all), few items ahead of what is taken."""
    from concurrent.futures import Future, ThreadPoolExecutor
    from os import cpu_count

    threads = threads or cpu_count() or 1
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def preferred(corpus: Corpus, keep_by: str, keep: Keep) -> NDArray[np.int64]:
    """Return the documents' numbers, the one to keep before those to drop; nulls last, equals in their order."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not keep_by:
        return np.arange(count(corpus))
    parts = []
    for shard in corpus.shards:
        names = pq.read_schema(shard).names
        if keep_by not in names:
            raise KonomiError(f"keep_by: the corpus has no column {keep_by}; {did_you_mean(keep_by, names)}")
        parts.append(pq.read_table(shard, columns=[keep_by]))
    try:
        values = pa.concat_tables(parts, promote_options="permissive").column(0)
        rows = pa.table({"value": values, "row": pa.array(np.arange(len(values)))})
        direction = "descending" if keep is Keep.largest else "ascending"
        order = pc.sort_indices(rows, sort_keys=[("value", direction), ("row", "ascending")])
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise KonomiError(
            f"keep_by: the column {keep_by} has no order: {error}; take one of numbers or texts"
        ) from error
    return np.asarray(order, np.int64)


def groups_of_equals(keys: NDArray[np.uint64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, for each row of `keys` (n, w), the row equal to it that comes first in `order`."""
    import numpy as np

    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    by_key = np.lexsort((rank, *keys.T))
    own = keys[by_key]
    starts = np.ones(len(own), np.bool_)
    starts[1:] = (own[1:] != own[:-1]).any(axis=1)
    heads = by_key[np.flatnonzero(starts)][np.cumsum(starts) - 1]
    found = np.empty(len(order), np.int64)
    found[by_key] = heads
    return found
