"""Rows out of Parquet files, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
PORTION_BYTES = 64 << 20
"""Size of what one process reads of a large file, uncompressed: enough work to be worth a task."""


def parquet_schema(file: File) -> pa.Schema:
    """Return the schema of a Parquet file; raises `KonomiError` where it is none."""
    return _open(file).schema_arrow


@dataclass(frozen=True)
class Groups:
    """Some row groups of a file, one after another."""

    first: int
    """Number of their first row in the file."""
    numbers: tuple[int, ...]


def portions(file: File) -> list[Groups]:
    """Return a file's row groups in portions of `PORTION_BYTES` or more, so that several processes can read it.

    There is one portion for a small file, and for one that cannot be opened: reading it says why.
    """
    try:
        metadata = _open(file).metadata
    except OSError:
        return [Groups(0, ())]
    found, held, size, first, before = [], [], 0, 0, 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        held.append(number)
        size, before = size + int(group.total_byte_size), before + int(group.num_rows)
        if size >= PORTION_BYTES or number + 1 == metadata.num_row_groups:
            found.append(Groups(first, tuple(held)))
            held, size, first = [], 0, before
    return found or [Groups(0, ())]


def parquet_tables(
    file: File, layout: Layout, problems: Problems, reading: Reading, chosen: Groups | None = None
) -> Iterator[pa.Table]:
    """Yield a file's rows, or those of some row groups, by the layout.

    Strings are read as dictionaries and measured before they are written out, because a dictionary of one large
    string and a million rows is a small file.
    """
    import pyarrow as pa
    import pyarrow.types as is_

    first, expanded = chosen.first if chosen else 0, 0
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
        groups_ = list(chosen.numbers) if chosen else None
        for batch in opened.iter_batches(batch_size=_batch_rows(opened), row_groups=groups_, columns=wanted):
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
