"""Reading a corpus in Arrow buffers, on all cores, and the order in which its documents are preferred."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from konomi.dedup import Corpus, Shard
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

    def documents(part: Shard) -> int:
        return pq.read_metadata(part.path).num_rows if part.rows is None else int(part.rows.sum())

    return sum(map(documents, corpus.parts()))


def read(corpus: Corpus) -> Iterator[tuple[int, pa.Array]]:
    """Yield the texts in batches, each with the number of its first document."""
    first = 0
    for part in corpus.parts():
        for texts in _texts_of(part, corpus.column):
            yield first, texts
            first += len(texts)


def _texts_of(part: Shard, column: str) -> Iterator[pa.Array]:
    """Yield a shard's texts in batches of `BATCH_BYTES`, about."""
    from contextlib import ExitStack

    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with ExitStack() as stack:
        files = [stack.enter_context(pq.ParquetFile(path)) for path in (part.path, *part.layers)]
        for file in files:
            _check_column(file.schema_arrow.names, column)
        before = 0
        for group in range(files[0].num_row_groups):
            sizes = _batch_rows(files[0], group, column)
            streams = [file.iter_batches(sizes, [group], columns=[column]) for file in files]
            for batches in zip(*streams, strict=True):
                own, *over = [batch.column(0) for batch in batches]
                if over:
                    own = pc.coalesce(*(item.cast(pa.large_string()) for item in (*reversed(over), own)))
                if part.rows is not None:
                    own = own.filter(pa.array(part.rows[before : before + len(own)]))
                before += batches[0].num_rows
                if len(own):
                    yield own


def _check_column(names: Sequence[str], column: str) -> None:
    if column not in names:
        raise KonomiError(f"the corpus has no column {column}; {did_you_mean(column, names)}")


def _batch_rows(file: pq.ParquetFile, group: int, column: str) -> int:
    paths = [file.metadata.schema.column(index).path for index in range(file.metadata.num_columns)]
    found = file.metadata.row_group(group)
    size: int = found.column(paths.index(column)).total_uncompressed_size
    return max(1, BATCH_BYTES * int(found.num_rows) // max(size, 1))


def values(corpus: Corpus, column: str) -> pa.ChunkedArray:
    """Return a further column over all documents; null in shards without it, where others have it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {name: None for part in corpus.parts() for path in (part.path, *part.beside) for name in _names(path)}
    _check_column(list(names), column)
    found = []
    for part in corpus.parts():
        at = next((path for path in (*part.beside, part.path) if column in _names(path)), None)
        rows = pq.read_metadata(part.path).num_rows
        table = pa.table({column: pa.nulls(rows)}) if at is None else pq.read_table(at, columns=[column])
        found.append(table if part.rows is None else table.filter(pa.array(part.rows)))
    return pa.concat_tables(found, promote_options="permissive").column(0)


def _names(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    return list(pq.read_schema(path).names)


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

    if not keep_by:
        return np.arange(count(corpus))
    try:
        wanted = values(corpus, keep_by)
    except KonomiError as error:
        raise KonomiError(f"keep_by: {error}") from error
    try:
        rows = pa.table({"value": wanted, "row": pa.array(np.arange(len(wanted)))})
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


def group_hashes(corpus: Corpus, within: str) -> NDArray[np.uint64]:
    """Return a hash of each document's value of the column `within`; null is a value, too.

    Raises `KonomiError` where there is no such column.
    """
    import numpy as np
    from xxhash import xxh3_64_intdigest

    try:
        found = values(corpus, within).combine_chunks().dictionary_encode()
    except KonomiError as error:
        raise KonomiError(f"within: {error}") from error
    known = [repr(value) for value in [*found.dictionary.to_pylist(), None]]
    hashes = np.array([xxh3_64_intdigest(value.encode("utf-8", "surrogatepass")) for value in known], np.uint64)
    codes = np.asarray(found.indices.fill_null(len(known) - 1), np.int64)
    return hashes[codes]
