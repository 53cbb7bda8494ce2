"""The rows that a curation keeps, written as the Parquet shards of its artifact, each by a task of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.dedup import Shard
from konomi.engine import Engine
from konomi.job import Job
from konomi.stage._curate_report import Written
from konomi.stage._curation import Documents
from konomi.stage._ingest import INTERNAL, JUDGED
from konomi.stage._judging import REASON, SEEN, TEXT
from konomi.stage._tables import ShardWriter, conformed, split_name, unified

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

SOURCE_ROW = "source_row"
CLUSTER_SIZE = "cluster_size"
LANGUAGE = "language"


@dataclass(frozen=True)
class Part:
    """Rows of one shard that go into a file."""

    shard: Shard
    source_rows: NDArray[np.int64]
    """Of the chosen rows, in order."""
    stand_for: NDArray[np.int32]


@dataclass(frozen=True)
class Export:
    """The task of writing one file."""

    path: Path
    parts: tuple[Part, ...]
    schema: pa.Schema
    column: str
    language: str


def export(
    job: Job, documents: Documents, test: NDArray[np.bool_], language: str, shard_rows: int, engine: Engine
) -> Written:
    """Write the rows that are left, by split."""
    left = documents.left()
    schema, replaced = _schema(documents, language)
    splits = {"train": left[~test], "test": left[test]}
    source_rows = documents.source_rows()
    tasks = []
    for split, numbers in splits.items():
        name = split_name(split, len(numbers), shard_rows)
        for index, start in enumerate(range(0, len(numbers), shard_rows)):
            parts = tuple(_parts(documents, numbers[start : start + shard_rows], source_rows))
            tasks.append(Export(job.out / "data" / name(index), parts, schema, documents.column, language))
    (job.out / "data").mkdir(parents=True, exist_ok=True)
    written = sum(job.progress(engine.map(write, tasks), total=len(tasks), unit="file"))
    counts = {split: len(numbers) for split, numbers in splits.items() if len(numbers)}
    return Written(counts, replaced, written)


def _parts(documents: Documents, numbers: NDArray[np.int64], source_rows: NDArray[np.int64]) -> Iterator[Part]:
    """Yield the rows of these numbers by shard."""
    import numpy as np

    for shard, first, after in zip(documents.shards, documents.firsts, documents.firsts[1:], strict=False):
        own = numbers[np.searchsorted(numbers, first) : np.searchsorted(numbers, after)]
        if len(own):
            rows = np.zeros(after - first, np.bool_)
            rows[own - first] = True
            yield Part(replace(shard, rows=rows), source_rows[own], documents.stand_for[own])


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


def write(task: Export) -> int:
    """Write one file; returns its bytes."""
    import numpy as np
    import pyarrow.compute as pc

    rows = sum(len(part.source_rows) for part in task.parts)
    with ShardWriter(task.path.parent, lambda _: task.path.name, rows) as file:
        for part in task.parts:
            for table in _tables(part, task):
                sizes = np.asarray(pc.binary_length(table.column(_measured(table, task.column))), np.int64)
                file.add(conformed(table, task.schema), sizes)
    return task.path.stat().st_size


def _measured(table: pa.Table, column: str) -> str:
    return column if column in table.column_names else JUDGED


def _tables(part: Part, task: Export) -> Iterator[pa.Table]:
    """Yield the chosen rows of a shard, a row group at a time, with their scores and this stage's own columns."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    shard, before, done = part.shard, 0, 0
    files = [pq.ParquetFile(path) for path in (shard.path, *shard.layers, *shard.beside)]
    layers, beside = files[1 : 1 + len(shard.layers)], files[1 + len(shard.layers) :]
    for group in range(files[0].num_row_groups):
        count = files[0].metadata.row_group(group).num_rows
        chosen = pa.array(shard.rows[before : before + count])  # type: ignore[index]
        before += count
        table = files[0].read_row_group(group).filter(chosen)
        if not table.num_rows:
            continue
        if layers:
            over = [layer.read_row_group(group, columns=[TEXT]).column(0).filter(chosen) for layer in reversed(layers)]
            own = table.column_names.index(task.column)
            base = table.column(own).cast(pa.large_string())
            table = table.set_column(own, task.column, pc.coalesce(*over, base))
        extra: dict[str, Any] = {}
        for file in beside:
            names = [name for name in file.schema_arrow.names if name not in (SEEN, REASON, TEXT)]
            found = file.read_row_group(group, columns=names)
            extra |= {name: found.column(name).filter(chosen) for name in names}
        own_rows = slice(done, done + table.num_rows)
        done += table.num_rows
        extra |= {SOURCE_ROW: pa.array(part.source_rows[own_rows]), CLUSTER_SIZE: pa.array(part.stand_for[own_rows])}
        if task.language:
            extra[LANGUAGE] = pa.repeat(pa.scalar(task.language), table.num_rows)
        yield _with(table, extra)
    for file in files:
        file.close()


def _with(table: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    table = table.drop_columns([name for name in columns if name in table.column_names])
    for name, values in columns.items():
        table = table.append_column(name, values)
    return table
