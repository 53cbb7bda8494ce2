"""Streams of rows merged in shares.

A row of a stream with weight w has a time: what its stream gave before it, over w. Rows go out in the order of their
times, which is stride scheduling (Waldspurger & Weihl 1995): at every place each stream has given its share, to within
its longest row. Times are known table by table, so that the merge is a sort and holds one table of each stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.faults import KonomiError
from konomi.source._columns import holds_conversations

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

BATCH_ROWS = 1000


Count = Callable[["pa.Array"], "pa.Array"]
"""From texts to a number for each; null where a text is."""


def characters(texts: pa.Array) -> pa.Array:
    """Return the characters of each text."""
    import pyarrow.compute as pc

    return pc.utf8_length(texts)


def tokens(tokenizer: Path) -> Count:
    """Return what counts the tokens of texts by a `tokenizer.json`, without special tokens."""
    import pyarrow as pa
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(tokenizer))
    loaded.no_truncation()

    def count(texts: pa.Array) -> pa.Array:
        encoded = loaded.encode_batch_fast([text or "" for text in texts.to_pylist()], add_special_tokens=False)
        return pa.array([len(one) for one in encoded], pa.int64())

    return count


def tokenizer_file(name: str) -> Path:
    """Return the `tokenizer.json` of a folder or of a repository of the hub; raises `KonomiError` without one."""
    local = Path(name).expanduser()
    found = local / "tokenizer.json" if local.is_dir() else local
    if found.is_file():
        return found
    if local.exists() or name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise KonomiError(f"there is no tokenizer.json in {name}")
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, "tokenizer.json"))
    except Exception as error:  # the client's transport has changed with its releases, and so have its errors
        raise KonomiError(f"{name} gives no tokenizer.json: {type(error).__name__}: {error}") from error


def lengths(table: pa.Table, columns: Sequence[str], count: Count = characters) -> NDArray[np.int64]:
    """Return what is counted of the text in each row, shape (n,): in the format's columns, in all where it has none."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as is_

    total = np.zeros(table.num_rows, np.int64)
    for name in columns or table.column_names:
        column = table.column(name).combine_chunks()
        if is_.is_string(column.type) or is_.is_large_string(column.type):
            total += pc.fill_null(count(column), 0).to_numpy(zero_copy_only=False)
        elif holds_conversations(column.type):
            sizes = pc.fill_null(count(pc.struct_field(pc.list_flatten(column), "content")), 0)
            of_row = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
            np.add.at(total, of_row, pa.array(sizes).to_numpy(zero_copy_only=False))
    return total


def arrow_tables(rows: Any) -> Iterator[pa.Table]:
    """Yield what a source loaded as tables: a data set of `datasets`, or tables already."""
    import pyarrow as pa

    if hasattr(rows, "with_format"):
        rows = rows.with_format("arrow").iter(BATCH_ROWS)
    for item in rows:
        yield pa.Table.from_batches([item]) if isinstance(item, pa.RecordBatch) else item


@dataclass
class Stream:
    """The rows of one source, read some epochs long."""

    name: str
    rows: Iterable[pa.Table]
    epochs: float
    count: Count | None
    """What a text counts; None where each row counts as one."""
    needed: Sequence[str]
    """Columns of the format."""
    seed: int

    def tables(self, *, endless: bool = False) -> Iterator[pa.Table | None]:
        """Yield the tables of all epochs, then None; from there on again where it is endless.

        Raises `KonomiError` where there is not one row.
        """
        while True:
            found = 0
            for epoch in range(-int(-self.epochs // 1)):
                row = 0
                for table in arrow_tables(self.rows):
                    part = self._of_epoch(table, epoch, row)
                    row += table.num_rows
                    found += part.num_rows
                    if part.num_rows:
                        yield part.replace_schema_metadata(None)
            if not found:
                raise KonomiError(f"the source {self.name} gave no rows to mix; leave it out")
            yield None
            if not endless:
                return

    def _of_epoch(self, table: pa.Table, epoch: int, first: int) -> pa.Table:
        """Return the rows of a table that belong to an epoch: all, or of the last a share by their numbers' hash."""
        import pyarrow as pa

        share = self.epochs - epoch
        if share >= 1:
            return table
        return table.filter(pa.array([self._uniform(first + index) < share for index in range(table.num_rows)]))

    def _uniform(self, row: int) -> float:
        import xxhash

        return float(xxhash.xxh3_64_intdigest(f"{self.name}\0{row}".encode(), seed=self.seed) / 2**64)

    def units(self, table: pa.Table) -> NDArray[np.int64]:
        """Return what each row counts; at least one, so that a stream of empty texts ends."""
        import numpy as np

        if self.count is None:
            return np.ones(table.num_rows, np.int64)
        return np.maximum(lengths(table, self.needed, self.count), 1)


def with_weights(streams: Sequence[Stream]) -> list[tuple[Stream, float]]:
    """Return each stream with what all its epochs come to, so that all end together."""
    return [
        (stream, float(sum(int(stream.units(table).sum()) for table in stream.tables() if table is not None)))
        for stream in streams
    ]


class _Head:
    """The table of a stream whose rows go out next, and their times."""

    def __init__(self, stream: Stream, weight: float, *, endless: bool) -> None:
        self.stream, self.weight = stream, weight
        self.exhausted = False
        """Whether the stream was read to its end, once at least."""
        self.table: pa.Table | None = None
        self._times: Any = None
        self._given = 0
        self._tables = stream.tables(endless=endless)
        self.refill()

    @property
    def due(self) -> float:
        """Time of the first row that is not in the table."""
        return self._given / self.weight

    def refill(self) -> None:
        """Take the next table, where all of this one has gone out; there is none any more where the stream ended."""
        import numpy as np

        while self.table is None or not self.table.num_rows:
            try:
                table = next(self._tables)
            except StopIteration:
                self.table = None
                return
            if table is None:
                self.exhausted = True
                continue
            units = self.stream.units(table)
            self._times = (self._given + np.concatenate([[0], np.cumsum(units)[:-1]])) / self.weight
            self.table = table
            self._given += int(units.sum())

    def until(self, time: float) -> tuple[pa.Table, NDArray[np.float64]]:
        """Take the rows before a time; returns them and their times."""
        import numpy as np

        assert self.table is not None
        count = int(np.searchsorted(self._times, time))
        rows, times = self.table.slice(0, count), self._times[:count]
        self.table, self._times = self.table.slice(count), self._times[count:]
        return rows, times


def merged(weighted: Sequence[tuple[Stream, float]], stopping: str, column: str) -> Iterator[pa.Table]:
    """Yield the rows of all streams in the order of their times; `column` says which each is from.

    The mix ends when a row of an exhausted stream is due: of the first one, or of the last.
    """
    heads = [_Head(stream, weight, endless=stopping == "all_exhausted") for stream, weight in weighted]
    schema = _schema(heads, column)
    while live := [head for head in heads if head.table is not None]:
        time = min(head.due for head in live)
        yield _ordered([(head.stream.name, *head.until(time)) for head in live], schema, column)
        for head in live:
            head.refill()
        ended = [head.exhausted for head in heads]
        if (stopping == "first_exhausted" and any(ended)) or (stopping == "all_exhausted" and all(ended)):
            return


def _schema(heads: Sequence[_Head], column: str) -> pa.Schema:
    """Return the columns of all streams; raises `KonomiError` where two types of one cannot meet."""
    import pyarrow as pa

    schemas = [head.table.schema for head in heads if head.table is not None]
    try:
        found = pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        names = ", ".join(head.stream.name for head in heads)
        raise KonomiError(
            f"a column has one type in one of {names} and another in another: {error};"
            " keep=[…] of a source names the columns that it keeps"
        ) from error
    if column and column in found.names:
        raise KonomiError(f"a source has a column {column} of its own; type column=… for another name")
    return found.append(pa.field(column, pa.string())) if column else found


def _ordered(parts: Sequence[tuple[str, pa.Table, NDArray[np.float64]]], schema: pa.Schema, column: str) -> pa.Table:
    """Return the rows of some streams in the order of their times, those of a stream before those of a later one."""
    import numpy as np
    import pyarrow as pa

    tables = [
        table.append_column(column, pa.repeat(pa.scalar(name), table.num_rows)) if column else table
        for name, table, _ in parts
    ]
    whole = pa.concat_tables([schema.empty_table(), *tables], promote_options="permissive").select(schema.names)
    order = np.argsort(np.concatenate([times for _, _, times in parts]), kind="stable")
    return whole.combine_chunks().take(pa.array(order))


def limited(tables: Iterable[pa.Table], needed: Sequence[str], rows: int, most: int) -> Iterator[pa.Table]:
    """Yield tables up to so many rows, and up to the row that reaches `most` characters; 0 sets no limit."""
    import numpy as np

    left_rows, left_characters = rows, most
    for table in tables:
        if rows:
            table = table.slice(0, left_rows)
        if most:
            reached = np.cumsum(lengths(table, needed))
            table = table.slice(0, int(np.searchsorted(reached, left_characters)) + 1)
            left_characters -= int(reached[table.num_rows - 1]) if table.num_rows else 0
        yield table
        left_rows -= table.num_rows
        if (rows and left_rows <= 0) or (most and left_characters <= 0):
            return
