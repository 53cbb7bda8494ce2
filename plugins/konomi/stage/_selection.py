"""Which rows a curation chose, in which order and split, with all that it takes to write them out."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.dedup import Shard
from konomi.faults import KonomiError
from konomi.stage._curation import Documents
from konomi.stage._ingest import INTERNAL
from konomi.stage._judging import REASON, SEEN, TEXT
from konomi.stage._tables import unified

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

SOURCE_ROW = "source_row"
CLUSTER_SIZE = "cluster_size"
LANGUAGE = "language"

ROWS, RECORD = "rows.parquet", "selection.json"
"""The two files of a stored selection."""


@dataclass(frozen=True)
class Part:
    """Chosen rows of one shard."""

    shard: Shard
    source_rows: NDArray[np.int64]
    """Their numbers in the source, in order."""
    stand_for: NDArray[np.int32]
    """How many documents each stands for."""


@dataclass(frozen=True)
class Selection:
    """Rows chosen out of shards; a row's number runs over all shards."""

    shards: tuple[Shard, ...]
    counts: tuple[int, ...]
    """Rows of each shard."""
    files: tuple[str, ...]
    """The file of the source that each shard came from, where it is known."""
    column: str
    """Column that was judged."""
    language: str
    schema: pa.Schema
    """Columns that are published."""
    numbers: NDArray[np.int64]
    """Of the chosen rows, in order; shape (n,), as the next three."""
    source_rows: NDArray[np.int64]
    stand_for: NDArray[np.int32]
    test: NDArray[np.bool_]
    """Which of them are held out."""

    def splits(self) -> dict[str, NDArray[np.int64]]:
        """Return the places of the rows of each split; none for a split without rows."""
        import numpy as np

        places = {"train": np.flatnonzero(~self.test), "test": np.flatnonzero(self.test)}
        return {split: rows for split, rows in places.items() if len(rows)}

    def parts(self, places: NDArray[np.int64]) -> Iterator[Part]:
        """Yield the rows at some places, in order, by shard."""
        import numpy as np

        if not len(places):
            return
        numbers = self.numbers[places]
        firsts = np.cumsum([0, *self.counts])
        reached = slice(np.searchsorted(firsts, numbers[0], side="right") - 1, np.searchsorted(firsts, numbers[-1] + 1))
        for shard, first, after in zip(self.shards[reached], firsts[reached], firsts[1:][reached], strict=False):
            own = slice(np.searchsorted(numbers, first), np.searchsorted(numbers, after))
            if own.stop > own.start:
                rows = np.zeros(after - first, np.bool_)
                rows[numbers[own] - first] = True
                chosen = places[own]
                yield Part(replace(shard, rows=rows), self.source_rows[chosen], self.stand_for[chosen])


def select(documents: Documents, test: NDArray[np.bool_], language: str) -> tuple[Selection, list[str]]:
    """Choose the rows that are left; returns the columns of the source whose place one of the stage's took, too."""
    left = documents.left()
    schema, replaced = _schema(documents, language)
    counts = [after - before for before, after in zip(documents.firsts, documents.firsts[1:], strict=False)]
    files = tuple(piece.name for piece in documents.pieces for _ in piece.shards)
    chosen = documents.source_rows()[left], documents.stand_for[left]
    own = (documents.column, language, schema, left, *chosen, test)
    return Selection(tuple(documents.shards), tuple(counts), files, *own), replaced


def _schema(documents: Documents, language: str) -> tuple[pa.Schema, list[str]]:
    """Return the columns of the artifact (the source's, the scores, this stage's own), and whose place was taken."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = unified(pq.read_schema(shard.path).remove_metadata() for shard in documents.shards)
    shards = [shard for shard in documents.shards if shard.rows is None or shard.rows.any()]
    scores = [
        pa.field(item.name, pa.float32() if item.type == pa.float64() else item.type)
        for path in (shards[0].beside if shards else ())
        for item in pq.read_schema(path)
        if item.name not in (SEEN, REASON, TEXT)
    ]
    own = [pa.field(SOURCE_ROW, pa.int64()), pa.field(CLUSTER_SIZE, pa.int32())]
    own += [pa.field(LANGUAGE, pa.string())] if language else []
    added = {item.name for item in (*scores, *own)}
    kept = [_plain(item) for item in source if item.name not in INTERNAL]
    replaced = sorted({item.name for item in kept} & added)
    scores = [item for item in scores if item.name not in {item.name for item in own}]
    return pa.schema([*(item for item in kept if item.name not in added), *scores, *own]), replaced


def _plain(item: pa.Field) -> pa.Field:
    """Return a column as it is published: text is a plain string, which every reader knows."""
    import pyarrow as pa

    return item.with_type(pa.string()) if item.type == pa.large_string() else item


def save(selection: Selection, folder: Path, shelves: Path) -> int:
    """Write a selection without a text; it speaks of shards on the `shelves`. Returns its bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    names = ("numbers", "source_rows", "stand_for", "test")
    rows = pa.table({name: getattr(selection, name) for name in names})
    pq.write_table(rows, folder / ROWS, compression="zstd")
    record = {
        "shards": [_told(shard, shelves) for shard in selection.shards],
        "counts": selection.counts,
        "files": selection.files,
        "column": selection.column,
        "language": selection.language,
        "schema": base64.b64encode(selection.schema.serialize().to_pybytes()).decode(),
    }
    (folder / RECORD).write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    return sum(file.stat().st_size for file in folder.iterdir())


def _told(shard: Shard, shelves: Path) -> dict[str, Any]:
    def told(path: Path) -> str:
        return os.path.relpath(path, shelves)

    return {
        "path": told(shard.path),
        "layers": [told(path) for path in shard.layers],
        "beside": [told(path) for path in shard.beside],
    }


def load(folder: Path, shelves: Path) -> Selection:
    """Return a stored selection; raises `KonomiError` where a shelf that it speaks of is gone."""
    import pyarrow as pa
    import pyarrow.ipc
    import pyarrow.parquet as pq

    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    rows = {name: column.to_numpy() for name, column in zip(*_columns(pq.read_table(folder / ROWS)), strict=True)}
    shards = tuple(_shard(item, shelves) for item in record["shards"])
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(record["schema"])))
    own = (record["column"], record["language"], schema)
    found = (rows["numbers"], rows["source_rows"], rows["stand_for"], rows["test"])
    return Selection(shards, tuple(record["counts"]), tuple(record["files"]), *own, *found)


def _columns(table: pa.Table) -> tuple[list[str], list[Any]]:
    return table.column_names, table.columns


def _shard(told: Mapping[str, Any], shelves: Path) -> Shard:
    paths = [shelves / told["path"], *(shelves / name for name in told["layers"] + told["beside"])]
    for path in paths:
        if not path.exists():
            raise KonomiError(f"{path} is gone, where selected texts lie; refresh=STAGE selects them again")
    layers = 1 + len(told["layers"])
    return Shard(paths[0], None, tuple(paths[1:layers]), tuple(paths[layers:]))
