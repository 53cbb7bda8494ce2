"""Rows out of Parquet files, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from konomi.faults import KonomiError
from konomi.source._bytes import RATIO_FREE_BYTES, Bad, Reading
from konomi.source._columns import Layout
from konomi.source._paths import File
from konomi.source._tables import Problems, conform

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

BATCH_BYTES = 64 << 20
"""Largest size of a batch once its strings are written out, unless a single row is larger."""
BUFFER_BYTES = 1 << 20
READ_BYTES = 4 << 20
"""Size of a batch, about, as the file has it: enough that its handling costs nothing, and still in a cache."""
MOST_ROWS = 1 << 15


def parquet_schema(file: File) -> pa.Schema:
    """Return the schema of a Parquet file; raises `KonomiError` where it is none."""
    return _open(file).schema_arrow


def parquet_tables(file: File, layout: Layout, problems: Problems, reading: Reading) -> Iterator[pa.Table]:
    """Yield a file's rows by the layout.

    Strings are read as dictionaries and measured before they are written out, because a dictionary of one large
    string and a million rows is a small file.
    """
    import pyarrow as pa
    import pyarrow.types as is_

    first = expanded = 0
    try:
        opened = _open(file)
        groups = (opened.metadata.row_group(i) for i in range(opened.metadata.num_row_groups))
        _refuse_bomb(file, sum(group.total_byte_size for group in groups), reading)
        names = opened.schema_arrow.names
        missing = [layout.theirs[name] for name in layout.needed if layout.theirs[name] not in names]
        if missing and opened.metadata.num_rows:
            bad = Bad("column missing", f"has no column {missing[0]} (it has {', '.join(names)})")
            problems.meet(f"{file.path}, row 1", bad, opened.metadata.num_rows)
            return
        texts = [layout.theirs[name] for name in layout.needed if is_.is_string(layout.types[name])]
        opened = _open(file, read_dictionary=texts)
        wanted = [name for name in names if name in layout.theirs.values()]
        for batch in opened.iter_batches(batch_size=_batch_rows(opened), columns=wanted):
            sizes = _sizes(batch)
            expanded += int(sizes.sum())
            _refuse_bomb(file, expanded, reading)
            for part in _slices(pa.Table.from_batches([batch]), sizes):
                yield conform(part, layout, problems, _place(file, first), reading.max_record_bytes)
                first += part.num_rows
    except (OSError, pa.ArrowInvalid) as error:
        problems.meet(f"{file.path}, row {first + 1}", Bad("damaged file", f"cannot be read: {error}"))


def _batch_rows(opened: pq.ParquetFile) -> int:
    """Return how many rows to read at once, by the mean size of a row."""
    groups = (opened.metadata.row_group(i) for i in range(opened.metadata.num_row_groups))
    size = sum(int(group.total_byte_size) for group in groups)
    return max(1, min(MOST_ROWS, READ_BYTES * int(opened.metadata.num_rows) // max(size, 1)))


def _place(file: File, first: int) -> Callable[[int], str]:
    return lambda index: f"{file.path}, row {first + index + 1}"


def _open(file: File, read_dictionary: list[str] | None = None) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file.path, read_dictionary=read_dictionary, buffer_size=BUFFER_BYTES)
    except pa.ArrowInvalid as error:
        raise OSError(f"it is no whole Parquet file ({error})") from error


def _refuse_bomb(file: File, expanded: int, reading: Reading) -> None:
    size = file.path.stat().st_size
    if expanded > max(RATIO_FREE_BYTES, reading.max_ratio * size):
        raise KonomiError(
            f"{file.path}: {size} bytes expand to {expanded} or more, over {reading.max_ratio} times their size;"
            " if this is meant, raise max_ratio"
        )


def _slices(table: pa.Table, sizes: NDArray[np.int64]) -> Iterator[pa.Table]:
    """Yield the rows of a table in parts that stay small when their strings are written out."""
    import numpy as np

    reached = np.cumsum(sizes)
    start = 0
    while start < table.num_rows:
        before = reached[start - 1] if start else 0
        end = max(int(np.searchsorted(reached, before + BATCH_BYTES, side="right")), start + 1)
        yield table.slice(start, end - start)
        start = end


def _sizes(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """Return the bytes that each row's dictionary-encoded strings will take."""
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.types as is_

    total = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        if is_.is_dictionary(column.type) and batch.num_rows:
            lengths = pc.binary_length(column.dictionary).take(column.indices)
            total += pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False)
    return total
