"""Documents of any length into rows of one: cut, packed, written."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from konomi.stage._options import Packing, TooLong

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

IGNORED = -100
"""Label of a token that is not trained (PyTorch's `ignore_index`)."""
PACKED_TOGETHER = 10_000
"""Documents that best fit chooses among at once; the rest of the corpus need not be in memory."""
SHARD_TOKENS = 1 << 24
"""Tokens of a Parquet file, about 100 MB before compression."""
GROUP_TOKENS = 1 << 20
"""Tokens of a row group, which is what is held in memory while writing."""


@dataclass(frozen=True)
class Piece:
    """Some of a document's tokens, from `start` to before `stop` in the file that holds them all."""

    source: int
    """Index of the file of tokens."""
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


Row = Sequence[Piece]


class TokenFile:
    """Tokenised documents one after the other on the disk: token ids, and whether each is trained."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._paths = path.with_suffix(".ids"), path.with_suffix(".trained")
        self._streams = [path.open("wb") for path in self._paths]
        self._ends = [0]

    def add(self, ids: Sequence[int], trained: Sequence[int] | None = None) -> None:
        """Add a document; without `trained` all of its tokens are."""
        import numpy as np

        self._streams[0].write(np.asarray(ids, dtype=np.int32).tobytes())
        marks = np.ones(len(ids), dtype=np.uint8) if trained is None else np.asarray(trained, dtype=np.uint8)
        self._streams[1].write(marks.tobytes())
        self._ends.append(self._ends[-1] + len(ids))

    def documents(self) -> list[tuple[int, int]]:
        """Return where each document starts and stops."""
        return list(zip(self._ends, self._ends[1:], strict=False))

    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Return all ids and marks, mapped from the disk."""
        import numpy as np

        for stream in self._streams:
            stream.flush()
        if not self._ends[-1]:
            return np.zeros(0, np.int32), np.zeros(0, np.uint8)
        ids, trained = self._paths
        return np.memmap(ids, np.int32, "r"), np.memmap(trained, np.uint8, "r")

    def close(self) -> None:
        """Close the files and remove them."""
        for stream, path in zip(self._streams, self._paths, strict=True):
            stream.close()
            path.unlink()


def cut(documents: Iterable[Piece], length: int, too_long: TooLong) -> Iterator[Piece]:
    """Bring documents down to a row's length; a tail of one token, which nothing could learn, is left out.

    >>> list(map(len, cut([Piece(0, 0, 9)], 4, TooLong.split)))
    [4, 4]
    """
    for piece in documents:
        if len(piece) <= length:
            yield piece
        elif too_long is TooLong.cut:
            yield Piece(piece.source, piece.start, piece.start + length)
        elif too_long is TooLong.split:
            for start in range(piece.start, piece.stop, length):
                part = Piece(piece.source, start, min(start + length, piece.stop))
                if len(part) > 1:
                    yield part


def pack(pieces: Iterable[Piece], length: int, packing: Packing) -> Iterator[Row]:
    """Put pieces into rows of at most `length` tokens."""
    if packing is Packing.none:
        yield from ([piece] for piece in pieces)
    elif packing is Packing.wrapped:
        yield from _wrapped(pieces, length)
    else:
        block: list[Piece] = []
        for piece in pieces:
            block.append(piece)
            if len(block) == PACKED_TOGETHER:
                yield from _best_fit(block, length)
                block = []
        yield from _best_fit(block, length)


def best_fit_decreasing(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Return which lengths share a bin: the longest first, where each leaves least room (Ding+ 2024, arXiv 2404.10830).

    >>> best_fit_decreasing([2, 5, 3, 4, 1], capacity=6)
    [[1, 4], [3, 0], [2]]
    """
    bins: list[list[int]] = []
    room: list[tuple[int, int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        at = bisect.bisect_left(room, (lengths[index], -1))
        space, number = room.pop(at) if at < len(room) else (capacity, len(bins))
        if number == len(bins):
            bins.append([])
        bins[number].append(index)
        if space > lengths[index]:
            bisect.insort(room, (space - lengths[index], number))
    return bins


def _best_fit(block: Sequence[Piece], length: int) -> Iterator[Row]:
    for row in best_fit_decreasing([len(piece) for piece in block], length):
        yield [block[index] for index in row]


def _wrapped(pieces: Iterable[Piece], length: int) -> Iterator[Row]:
    """Fill rows to the last token, cutting documents where a row ends."""
    row: list[Piece] = []
    space = length
    for piece in pieces:
        start = piece.start
        while start < piece.stop:
            part = Piece(piece.source, start, min(start + space, piece.stop))
            row.append(part)
            start, space = part.stop, space - len(part)
            if not space:
                yield row
                row, space = [], length
    if row:
        yield row


@dataclass
class Written:
    """What was written of a split."""

    rows: int = 0
    tokens: int = 0
    trained: int = 0


def write_rows(folder: Path, split: str, rows: Iterable[Row], files: Sequence[TokenFile]) -> Written:
    """Write rows as `SPLIT-00000-of-0000N.parquet`; a split without rows leaves no file.

    Labels are the tokens themselves, -100 where they are not trained and at the start of every piece.
    """
    import numpy as np

    arrays = [file.arrays() for file in files]
    shards = Shards(folder, split)
    written = Written()
    group: list[Row] = []
    tokens = 0

    def flush() -> None:
        nonlocal group, tokens
        if not group:
            return
        pieces = [piece for row in group for piece in row]
        ids = np.concatenate([arrays[piece.source][0][piece.start : piece.stop] for piece in pieces])
        trained = np.concatenate([arrays[piece.source][1][piece.start : piece.stop] for piece in pieces]).astype(bool)
        lengths = np.array([len(piece) for piece in pieces], dtype=np.int32)
        trained[np.cumsum(lengths) - lengths] = False
        shards.write(_table(group, ids, np.where(trained, ids, IGNORED), lengths), tokens)
        written.rows += len(group)
        written.tokens += tokens
        written.trained += int(trained.sum())
        group, tokens = [], 0

    for row in rows:
        group.append(row)
        tokens += sum(map(len, row))
        if tokens >= GROUP_TOKENS:
            flush()
    flush()
    shards.close()
    return written


def _table(
    rows: Sequence[Row], ids: NDArray[np.int32], labels: NDArray[np.int32], lengths: NDArray[np.int32]
) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    by_token = np.cumsum([0] + [sum(map(len, row)) for row in rows], dtype=np.int32)
    by_piece = np.cumsum([0] + [len(row) for row in rows], dtype=np.int32)

    def lists(offsets: NDArray[np.int32], values: NDArray[np.int32]) -> pa.Array:
        return pa.ListArray.from_arrays(offsets, pa.array(values, pa.int32()))

    columns = [lists(by_token, ids), lists(by_token, labels), lists(by_piece, lengths)]
    return pa.Table.from_arrays(columns, names=["input_ids", "labels", "seq_lengths"])


class Shards:
    """Parquet files of a split, named once their number is known."""

    def __init__(self, folder: Path, split: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.split = folder, split
        self._writer: pa.parquet.ParquetWriter | None = None
        self._paths: list[Path] = []
        self._tokens = 0

    def write(self, table: pa.Table, tokens: int) -> None:
        """Add a row group; a file that is full is closed."""
        import pyarrow.parquet as pq

        if self._writer is None:
            self._paths.append(self.folder / f".{self.split}-{len(self._paths)}")
            self._writer = pq.ParquetWriter(self._paths[-1], table.schema, compression="zstd")
        self._writer.write_table(table)
        self._tokens += tokens
        if self._tokens >= SHARD_TOKENS:
            self._end()

    def close(self) -> None:
        """Close the last file and name them all."""
        self._end()
        for index, path in enumerate(self._paths):
            path.rename(self.folder / f"{self.split}-{index:05d}-of-{len(self._paths):05d}.parquet")

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._tokens = None, 0
