"""Rows made into Arrow tables of one layout; what does not fit it raises, or is left out and counted."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from konomi.faults import KonomiError
from konomi.source._bytes import Bad
from konomi.source._columns import INT64, Layout, holds_conversations, is_conversation
from konomi.source._options import OnError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 1000
BATCH_CHARACTERS = 4 << 20
MOST_FLOAT = int(sys.float_info.max)


@dataclass
class Problems:
    """Bad rows: the first one raises, or all are counted."""

    on_error: OnError
    dropped: dict[str, int] = field(default_factory=dict)

    def meet(self, where: str, bad: Bad, rows: int = 1) -> None:
        """Count a bad row, or raise `KonomiError` with the place and what to type."""
        if self.on_error.name == "raise":
            raise KonomiError(f"{where} {bad.what}\n    source.on_error=drop leaves such rows out and counts them")
        self.leave_out(bad.reason, rows)

    def leave_out(self, reason: str, rows: int = 1) -> None:
        """Count rows that are left out whatever `on_error` says."""
        self.dropped[reason] = self.dropped.get(reason, 0) + rows


def tables(
    rows: Iterable[tuple[str, Mapping[str, Any] | Bad]], layout: Layout, problems: Problems
) -> Iterator[pa.Table]:
    """Yield tables of rows that come as dicts, each with its place; batches are cut by rows and by size."""
    held: list[tuple[str, list[Any]]] = []
    size = 0
    for where, row in rows:
        values = row if isinstance(row, Bad) else _values(row, layout)
        if isinstance(values, Bad):
            problems.meet(where, values)
            continue
        held.append((where, values))
        size += sum(len(value) if isinstance(value, str) else 100 for value in values)
        if len(held) >= BATCH_ROWS or size >= BATCH_CHARACTERS:
            yield _table(held, layout, problems)
            held, size = [], 0
    if held:
        yield _table(held, layout, problems)


def _values(row: Mapping[str, Any], layout: Layout) -> list[Any] | Bad:
    values = []
    for ours, theirs in layout.theirs.items():
        value = row.get(theirs)
        if ours in layout.needed:
            bad = _unfit(row, theirs, conversation=holds_conversations(layout.types[ours]))
        else:
            value, bad = _plain(value, theirs, layout.types[ours])
        if bad:
            return bad
        values.append(value)
    return values


def _unfit(row: Mapping[str, Any], name: str, *, conversation: bool) -> Bad | None:
    """Say what is wrong with a value that the format needs."""
    if name not in row:
        return Bad("column missing", f"has no column {name} (it has {', '.join(map(str, row)) or 'none'})")
    value = row[name]
    if value is None:
        return Bad("column null", f"has null in the column {name}")
    if conversation and not is_conversation(value):
        return Bad("not messages", f"has {_short(value)} in {name}; expected messages of a role and a content")
    if not conversation and not isinstance(value, str):
        return Bad("not text", f"has {_short(value)} in {name}; expected a string")
    return None


def _plain(value: Any, name: str, type_: pa.DataType) -> tuple[Any, Bad | None]:
    """Return a further column's value as its type holds it."""
    import pyarrow.types as is_

    if value is None:
        return None, None
    if is_.is_string(type_):
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), None
    number = isinstance(value, int) and not isinstance(value, bool)
    if is_.is_floating(type_) and number and -MOST_FLOAT < value < MOST_FLOAT:
        return float(value), None
    fits = (
        (is_.is_boolean(type_) and isinstance(value, bool))
        or (is_.is_integer(type_) and number and value in INT64)
        or (is_.is_floating(type_) and isinstance(value, float))
        or (holds_conversations(type_) and is_conversation(value))
    )
    what = f"has {_short(value)} in {name}, where the first rows have {type_}; keep=[…] names the columns to keep"
    return value, None if fits else Bad("other type", what)


def _short(value: Any) -> str:
    text = f"{type(value).__name__} {value!r}"
    return text if len(text) <= 60 else text[:59] + "…"


def _table(rows: list[tuple[str, list[Any]]], layout: Layout, problems: Problems) -> pa.Table:
    import pyarrow as pa

    schema = pa.schema(list(layout.types.items()))
    try:
        return _columns(rows, schema)
    except UnicodeEncodeError:  # JSON can write half of a surrogate pair, which is no character
        whole = []
        for where, values in rows:
            if _encodes(values):
                whole.append((where, values))
            else:
                problems.meet(where, Bad("half a character", "holds half of a surrogate pair, which is no character"))
        return _columns(whole, schema)


def _columns(rows: list[tuple[str, list[Any]]], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    arrays = [pa.array([values[i] for _, values in rows], type_) for i, type_ in enumerate(schema.types)]
    return pa.table(arrays, schema=schema)


def _encodes(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def limited(parts: Iterable[pa.Table], limit: int) -> Iterator[pa.Table]:
    """Yield the first `limit` rows; all of them where it is 0."""
    left = limit
    for part in parts:
        yield part.slice(0, left) if limit else part
        left -= part.num_rows
        if limit and left <= 0:
            return


def conform(
    table: pa.Table, layout: Layout, problems: Problems, place: Callable[[int], str], max_record_bytes: int
) -> pa.Table:
    """Return a table's columns by the layout, without the rows that do not fit it; `place` says where row i is."""
    import pyarrow as pa

    arrays: list[pa.Array] = []
    left_out: set[int] = set()
    for ours, theirs in layout.theirs.items():
        type_ = layout.types[ours]
        if theirs not in table.column_names:
            if ours in layout.needed and table.num_rows:
                what = f"has no column {theirs} (it has {', '.join(table.column_names)})"
                problems.meet(place(0), Bad("column missing", what), table.num_rows)
                return pa.schema(list(layout.types.items())).empty_table()
            arrays.append(pa.nulls(table.num_rows, type_))
            continue
        try:
            column = table.column(theirs).cast(type_).combine_chunks()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            found = table.schema.field(theirs).type
            what = f"has {found} in {theirs}, where the first rows have {type_}: {error}"
            problems.meet(place(0), Bad("other type", what), table.num_rows)
            return pa.schema(list(layout.types.items())).empty_table()
        for index, bad in _bad_cells(column, theirs, ours in layout.needed, max_record_bytes):
            if index not in left_out:
                problems.meet(place(index), bad)
            left_out.add(index)
        arrays.append(column)
    whole = pa.table(arrays, schema=pa.schema(list(layout.types.items())))
    if not left_out:
        return whole
    return whole.filter(pa.array([index not in left_out for index in range(table.num_rows)]))


def _bad_cells(column: pa.Array, name: str, needed: bool, max_record_bytes: int) -> Iterator[tuple[int, Bad]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as is_

    if needed and column.null_count:
        for index in pc.indices_nonzero(column.is_null()).to_pylist():
            yield index, Bad("column null", f"has null in the column {name}")
    if holds_conversations(column.type) and needed:
        for index in pc.indices_nonzero(pc.equal(pc.list_value_length(column), 0)).to_pylist():
            yield index, Bad("not messages", f"has no message in {name}")
    if not is_.is_string(column.type):
        return
    for index in pc.indices_nonzero(pc.greater(pc.binary_length(column), max_record_bytes)).to_pylist():
        yield index, Bad("record too large", f"has more than max_record_bytes={max_record_bytes} in {name}")
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        for index, value in enumerate(column.view(pa.binary()).to_pylist()):
            if value is not None and not _is_utf8(value):
                yield index, Bad("not utf-8", f"has bytes in {name} that are not UTF-8")


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
