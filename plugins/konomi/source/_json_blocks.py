"""JSON lines a block at a time, through Arrow's parser.

Whatever is odd about a block (a bad row, a value of another type, a key twice, a blank line) sends that block through
`_records`, line by line: rows, reasons and places are those of the careful path, and only its speed differs. (One thing
is let through that the careful path refuses: a column that is not kept may be nested however deeply.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from konomi.source._bytes import Bad, Broken, Reading
from konomi.source._columns import Layout
from konomi.source._paths import File
from konomi.source._records import encoding_of, json_line_records, line_blocks
from konomi.source._tables import Problems, tables

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

NEWLINE, OPENING, CLOSING = b"\n{}"


def suits(layout: Layout) -> bool:
    """Tell whether Arrow's parser keeps all that the columns may hold: plain values, nothing nested."""
    import pyarrow as pa

    return set(layout.types.values()) <= {pa.string(), pa.bool_(), pa.int64(), pa.float64()}


def json_tables(file: File, layout: Layout, problems: Problems, reading: Reading) -> Iterator[pa.Table]:
    """Yield a file's rows by the layout."""
    first = 1
    block: bytes | Bad = b""
    try:
        for first, block in line_blocks(file, reading):
            if isinstance(block, Bad):
                problems.meet(f"{file.path}, line {first}", block)
                continue
            table = _parsed(block, layout, reading)
            if table is None:
                records = json_line_records(block, reading)
                rows = ((f"{file.path}, line {first + row - 1}", value) for row, value in records)
                yield from tables(rows, layout, problems)
            else:
                yield table
    except Broken as broken:
        line = first + (1 if isinstance(block, Bad) else block.count(b"\n"))
        problems.meet(f"{file.path}, line {line}", broken.bad)


def _parsed(block: bytes, layout: Layout, reading: Reading) -> pa.Table | None:
    """Return the rows of whole lines; None where a line is not plainly one good row."""
    import pyarrow as pa
    import pyarrow.json

    text = _utf8_text(block, reading)
    if text is None or not _has_an_object_a_line(text, reading.max_record_bytes):
        return None
    schema = pa.schema({theirs: layout.types[ours] for ours, theirs in layout.theirs.items()})
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(text),
            pyarrow.json.ReadOptions(use_threads=False, block_size=len(text) + 1),
            pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
    except pa.ArrowException:
        return None
    if table.num_rows != text.count(b"\n") + 1:
        return None
    columns = [table.column(theirs) for theirs in layout.theirs.values()]
    if any(column.null_count for column in columns[: len(layout.needed)]) or not all(map(_is_valid, columns)):
        return None
    return pa.table([column.combine_chunks() for column in columns], schema=pa.schema(layout.types))


def _utf8_text(block: bytes, reading: Reading) -> bytes | None:
    """Return a block as UTF-8 with plain line ends and none at the last; None where it is not in its encoding."""
    import pyarrow as pa

    encoding = encoding_of(reading)
    if encoding != "utf-8":
        try:
            block = block.decode(encoding).encode()
        except UnicodeError:
            return None
    if b"\r\n" in block:
        block = block.replace(b"\r\n", b"\n")
    text = block.removesuffix(b"\n")
    whole = pa.LargeStringArray.from_buffers(1, pa.array([0, len(text)], pa.int64()).buffers()[1], pa.py_buffer(text))
    return text if _is_valid(whole) else None


def _is_valid(column: pa.Array | pa.ChunkedArray) -> bool:
    import pyarrow as pa

    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _has_an_object_a_line(text: bytes, max_record_bytes: int) -> bool:
    """Tell whether all lines begin with { and end with }, none too long.

    Of JSON that a parser accepts no line break is then inside a value: what follows } there is one of , ] }.
    """
    import numpy as np

    data = np.frombuffer(text, np.uint8)
    ends: NDArray[np.int64] = np.flatnonzero(data == NEWLINE)
    if not len(data) or data[0] != OPENING or data[-1] != CLOSING:
        return False
    if (data[ends - 1] != CLOSING).any() or (data[ends + 1] != OPENING).any():
        return False
    return bool(np.diff(ends, prepend=-1, append=len(data)).max() - 1 <= max_record_bytes)
