"""From the rows of a source to shards that the rest of a curation works on, and that later ones find again.

<piece>-<shard>-<hash>.parquet holds the source's columns, and three of this stage's own: ROW, the row's number in its
piece; BYTES of its text; and HASH, by which samples are drawn and rows held out. <piece>.json is written last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from konomi.engine import Engine
from konomi.faults import KonomiError
from konomi.job import Job
from konomi.source import FORMATS, Source
from konomi.stage import _answers
from konomi.stage._tables import ShardWriter, tables
from konomi.stage._tally import ANSWERS, UNREADABLE, Tally
from konomi.store.shelf import Shelf

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

TEXT = "text"
JUDGED = "__judged__"
"""Column of the joined text of rows that are no plain text; never published."""
ROW, BYTES, HASH = "__row__", "__bytes__", "__hash__"
INTERNAL = (JUDGED, ROW, BYTES, HASH)

SMOKE_TABLES = 3
"""Batches of rows that a smoke run takes, of the first piece that has a row."""
SHARD_BYTES = 32 << 20
SHARD_ROWS = 100_000
"""Most text and most rows of a shard: what a worker holds at once."""


def column_of(format_: str) -> str:
    """Return the column that is judged."""
    return TEXT if format_ == TEXT else JUDGED


@dataclass
class Piece:
    """What was read of one piece of a source."""

    name: str = ""
    """The file it came from, where the source says."""
    rows: int = 0
    """Rows that the source gave."""
    shards: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    """Rows of each shard."""
    characters: int = 0
    bytes: int = 0
    unreadable: int = 0
    useless: dict[str, int] = field(default_factory=dict)
    """Rows whose answers teach nothing, by reason."""
    samples: list[dict[str, Any]] = field(default_factory=list)
    """Some of those: `row`, `reason`, `text`."""
    unread: dict[str, int] = field(default_factory=dict)
    """Rows that the source itself left out, by reason."""


@dataclass(frozen=True)
class Reading:
    """The task of reading one piece of a source."""

    rows: Any
    number: int
    shelf: Shelf
    format: str
    drop_unreadable: bool
    smoke: bool
    stage: str = "curate"
    """Name of the stage, to say what to type."""

    @property
    def record(self) -> str:
        return f"{self.number:05}.json"

    def piece(self) -> Piece:
        """Return what was read, under the name that the source has for it now: the same rows may have moved."""
        held = json.loads(self.shelf.path(self.record).read_text(encoding="utf-8"))
        return Piece(**{**held, "name": getattr(self.rows, "name", "")})


SAMPLED = 20
SHOWN_CHARACTERS = 2_000
"""Most sampled rows of a piece whose answers are useless, and most characters of one."""


def ingest(job: Job, source: Source, shelf: Shelf, drop_unreadable: bool, engine: Engine) -> list[Piece]:
    """Read what is not on the shelf yet, and return what there is of each piece, in order.

    A source that gives its rows in pieces (`parts`) is read by many processes, and goes on after a kill from the last
    whole piece. Raises `KonomiError` where there is not one row.
    """
    loaded: Sequence[Any] = source.parts() if hasattr(source, "parts") else [source.load()]
    tasks = [
        Reading(rows, number, shelf, source.format(), drop_unreadable, job.smoke, job.name)
        for number, rows in enumerate(loaded)
    ]
    tasks = _tried(tasks) if job.smoke else tasks
    missing = [task for task in tasks if not _has_all(shelf, task.record)]
    many = hasattr(source, "parts") and len(missing) > 1
    made = engine.map(read_piece, missing) if many else map(read_piece, missing)
    for _ in job.progress(made, total=len(missing), unit="piece"):
        pass
    pieces = [task.piece() for task in tasks]
    if not sum(piece.rows for piece in pieces):
        unread = sum(sum(piece.unread.values()) for piece in pieces)
        left_out = f" (it left out {unread} that it could not read)" if unread else ""
        raise KonomiError(f"{job.name}: the source {source} gave no rows{left_out}")
    return pieces


def _tried(tasks: list[Reading]) -> list[Reading]:
    """Read pieces up to the first that has a row, and return these: a smoke run needs no more."""
    for number, task in enumerate(tasks, 1):
        read_piece(task)
        if task.piece().rows:
            return tasks[:number]
    return tasks


def _has_all(shelf: Shelf, record: str) -> bool:
    """Tell whether a piece is on the shelf with all its shards; damaged files are deleted, to be read anew."""
    if not shelf.whole(record):
        return False
    shards = json.loads(shelf.path(record).read_text(encoding="utf-8"))["shards"]
    damaged = [name for name in shards if not shelf.whole(name)]
    return not damaged


def read_piece(task: Reading) -> None:
    """Write the shards of a piece, and its record."""
    piece = Piece(name=getattr(task.rows, "name", ""))
    batches = islice(tables(task.rows), SMOKE_TABLES if task.smoke else None)
    writer = _Shards(task, piece)
    for batch in batches:
        writer.add(_prepared(batch, task, piece))
        piece.rows += batch.num_rows
    writer.finish()
    piece.unread = dict(getattr(task.rows, "dropped", {}))
    with task.shelf.put(task.record) as path:
        path.write_text(json.dumps(asdict(piece), ensure_ascii=False), encoding="utf-8")


def _prepared(table: pa.Table, task: Reading, piece: Piece) -> pa.Table:
    """Return the rows that can be judged, with the columns of this stage; counts the others."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if taken := sorted({ROW, BYTES, HASH, JUDGED} & set(table.column_names)):
        raise KonomiError(
            f"the source has a column {taken[0]}, a name that curate uses itself; rename it, or leave it out"
        )
    texts = _answers.text_array(table, task.format)
    faults = _answers.useless(table, task.format)
    readable = np.asarray(texts.is_valid())
    if not readable.all():
        _unreadable(task, piece, piece.rows + int(np.flatnonzero(~readable)[0]))
        piece.unreadable += int((~readable).sum())
    piece.bytes += pc.sum(pc.binary_length(texts)).as_py() or 0
    piece.characters += pc.sum(pc.utf8_length(texts)).as_py() or 0
    for index, reason in enumerate(faults or ()):
        if reason is not None and readable[index]:
            readable[index] = False
            piece.useless[reason] = piece.useless.get(reason, 0) + 1
            if len(piece.samples) < SAMPLED:
                text = texts[index].as_py()[:SHOWN_CHARACTERS]
                piece.samples.append({"row": piece.rows + index, "reason": reason, TEXT: text})
    sides = _answers.prompts(table, task.format)
    hashes = hashes_of(texts if sides is None else pc.if_else(pc.equal(pa.array(sides), ""), texts, pa.array(sides)))
    columns = {
        column_of(task.format): texts,
        ROW: pa.array(np.arange(piece.rows, piece.rows + table.num_rows)),
        BYTES: pc.binary_length(texts).cast(pa.int64()),
        HASH: pa.array(hashes),
    }
    for name, values in columns.items():
        at = table.column_names.index(name) if name in table.column_names else table.num_columns
        table = table.remove_column(at) if at < table.num_columns else table
        table = table.add_column(at, name, values)
    return table if readable.all() else table.filter(pa.array(readable))


def _unreadable(task: Reading, piece: Piece, row: int) -> None:
    names = " or ".join(FORMATS[task.format])
    if not task.drop_unreadable:
        row += getattr(task.rows, "first", 0)
        of = f"{piece.name}, row {row}" if piece.name else f"row {row} of the source"
        raise KonomiError(
            f"{of} (counted from 0) has no text: null, or not UTF-8, in {names};"
            f" {task.stage}.on_error=drop leaves such rows out and counts them"
        )


def hashes_of(texts: pa.Array) -> NDArray[np.uint64]:
    """Return 64 bits for each text that depend on it alone (XXH3)."""
    from itertools import pairwise

    import numpy as np
    from xxhash import xxh3_64_intdigest

    from konomi.units import text_buffers

    data, offsets = text_buffers(texts)
    view = memoryview(data)  # type: ignore[arg-type]  # numpy's arrays have the buffer protocol
    return np.array([xxh3_64_intdigest(view[start:end]) for start, end in pairwise(offsets.tolist())], np.uint64)


class _Shards:
    """Puts the rows of a piece on the shelf, a shard at a time; what is there already is not written again."""

    def __init__(self, task: Reading, piece: Piece) -> None:
        self.task, self.piece = task, piece
        self._held: list[pa.Table] = []
        self._bytes = self._rows = 0

    def add(self, table: pa.Table) -> None:
        """Append rows; a shard ends where it would grow too large, or where the columns change."""
        import numpy as np

        if self._held and table.schema != self._held[0].schema:
            self.finish()
        start = 0
        sizes = np.asarray(table.column(BYTES))
        while start < table.num_rows:
            reached = self._bytes + np.cumsum(sizes[start : start + SHARD_ROWS - self._rows])
            take = int(np.searchsorted(reached, SHARD_BYTES, side="right"))
            if take == 0 and not self._held:
                take = 1  # a document larger than a shard is a shard of its own
            if take:
                self._held.append(table.slice(start, take))
                self._bytes, self._rows, start = int(reached[take - 1]), self._rows + take, start + take
            if start < table.num_rows:
                self.finish()

    def finish(self) -> None:
        """Write what is held."""
        if not self._held:
            return
        import numpy as np

        name = f"{self.task.number:05}-{len(self.piece.shards):05}-{self._digest()}.parquet"
        if not self.task.shelf.whole(name):
            with self.task.shelf.put(name) as path:
                writer = ShardWriter(path.parent, lambda _: path.name, SHARD_ROWS, "lz4")
                with writer:
                    for table in self._held:
                        writer.add(table, np.asarray(table.column(BYTES)))
        self.piece.shards.append(name)
        self.piece.counts.append(self._rows)
        self._held, self._bytes, self._rows = [], 0, 0

    def _digest(self) -> str:
        """Return a hash of which rows the shard holds and what they say.

        It stands in the shard's name, because a source need not give the same rows twice: a page may be beyond its
        time in one reading and within it in the next. So scores belong to rows, and a record to its own shards.
        """
        import numpy as np
        from xxhash import xxh3_64

        found = xxh3_64()
        for name in (ROW, HASH):
            for table in self._held:
                found.update(np.asarray(table.column(name)).tobytes())
        for table in self._held if self.task.format != TEXT else ():  # there, HASH is of the prompt
            found.update(hashes_of(table.column(JUDGED).combine_chunks()).tobytes())
        return str(found.hexdigest())


def unread(pieces: Iterable[Piece]) -> dict[str, int]:
    """Return how many rows the source left out, by reason."""
    found: dict[str, int] = {}
    for piece in pieces:
        for reason, count in piece.unread.items():
            found[reason] = found.get(reason, 0) + count
    return found


def tally_of(pieces: Iterable[Piece]) -> Tally:
    """Return what was read and what could not be judged."""
    tally = Tally()
    for piece in pieces:
        useless = sum(piece.useless.values())
        kept = Tally(sum(piece.counts) + piece.unreadable + useless, piece.characters, piece.bytes)
        if piece.unreadable:
            kept.dropped[UNREADABLE] = piece.unreadable
            kept.reasons[UNREADABLE, "no text"] = piece.unreadable
        if useless:
            kept.dropped[ANSWERS] = useless
            kept.reasons.update({(ANSWERS, reason): count for reason, count in piece.useless.items()})
        tally.add(kept)
    return tally
