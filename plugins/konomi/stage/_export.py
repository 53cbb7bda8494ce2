"""Selected rows written as the Parquet files of an artifact, each by a task of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from konomi.engine import Engine
from konomi.job import Job
from konomi.stage._judging import REASON, SEEN, TEXT
from konomi.stage._options import Layout
from konomi.stage._selection import CLUSTER_SIZE, LANGUAGE, SOURCE_ROW, Part, Selection
from konomi.stage._tables import ShardWriter, conformed, split_name

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Export:
    """The task of writing one file."""

    path: Path
    parts: tuple[Part, ...]
    schema: pa.Schema
    column: str
    language: str


def export(job: Job, selection: Selection, shard_rows: int, layout: Layout, engine: Engine) -> int:
    """Write the selected rows; returns the bytes written."""
    tasks = []
    for split, places in selection.splits().items():
        for name, own in _files(selection, split, places, shard_rows, layout):
            path = job.out / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            parts = tuple(selection.parts(own))
            tasks.append(Export(path, parts, selection.schema, selection.column, selection.language))
    return sum(job.progress(engine.map(write, tasks), total=len(tasks), unit="file"))


def _files(
    selection: Selection, split: str, places: NDArray[np.int64], shard_rows: int, layout: Layout
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the files of a split, each with the places of its rows."""
    for folder, own in [("", places)] if layout is Layout.splits else _by_file(selection, places):
        name = split_name("part" if folder else split, len(own), shard_rows)
        for index, start in enumerate(range(0, len(own), shard_rows)):
            yield f"{split}/{folder}/{name(index)}" if folder else name(index), own[start : start + shard_rows]


def _by_file(selection: Selection, places: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the files that rows came from, as folders within a split, each with the places of its rows."""
    import numpy as np

    numbers = {name: number for number, name in enumerate(dict.fromkeys(selection.files))}
    of_shard = np.array([numbers[name] for name in selection.files], np.int64)
    shard = np.searchsorted(np.cumsum(selection.counts), selection.numbers[places], side="right")
    file = of_shard[shard]
    order = np.argsort(file, kind="stable")
    starts = np.searchsorted(file[order], np.arange(len(numbers) + 1))
    for name, number in numbers.items():
        rows = places[order[starts[number] : starts[number + 1]]]
        if len(rows):
            inside = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
            yield "/".join(inside) or f"{number:05}", rows


def write(task: Export) -> int:
    """Write one file; returns its bytes."""
    import numpy as np
    import pyarrow.compute as pc

    rows = sum(len(part.source_rows) for part in task.parts)
    with ShardWriter(task.path.parent, lambda _: task.path.name, rows) as file:
        for part in task.parts:
            for table in _tables(part, task):
                sizes = np.asarray(pc.binary_length(table.column(task.column)), np.int64)
                file.add(conformed(table, task.schema), sizes)
    return task.path.stat().st_size


def _tables(part: Part, task: Export) -> Iterator[pa.Table]:
    """Yield the chosen rows of a shard, a row group at a time, with their scores and this stage's own columns."""
    from contextlib import ExitStack

    import pyarrow as pa
    import pyarrow.parquet as pq

    shard, before, done = part.shard, 0, 0
    with ExitStack() as stack:
        paths = (shard.path, *shard.layers, *shard.beside)
        files = [stack.enter_context(pq.ParquetFile(path)) for path in paths]
        layers, beside = files[1 : 1 + len(shard.layers)], files[1 + len(shard.layers) :]
        for group in range(files[0].num_row_groups):
            count = files[0].metadata.row_group(group).num_rows
            chosen = pa.array(shard.rows[before : before + count])  # type: ignore[index]
            before += count
            if not chosen.true_count:
                continue
            table = _rewritten(files[0], layers, group, chosen, task.column)
            own = slice(done, done + table.num_rows)
            done += table.num_rows
            extra = _beside(beside, group, chosen)
            extra |= {SOURCE_ROW: pa.array(part.source_rows[own]), CLUSTER_SIZE: pa.array(part.stand_for[own])}
            if task.language:
                extra[LANGUAGE] = pa.repeat(pa.scalar(task.language), table.num_rows)
            yield _with(table, extra)


def _rewritten(file: Any, layers: list[Any], group: int, chosen: pa.Array, column: str) -> pa.Table:
    """Return the chosen rows of a row group, their text as the layers have it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = file.read_row_group(group).filter(chosen)
    if not layers:
        return table
    over = [layer.read_row_group(group, columns=[TEXT]).column(0).filter(chosen) for layer in reversed(layers)]
    own = table.column_names.index(column)
    return table.set_column(own, column, pc.coalesce(*over, table.column(own).cast(pa.large_string())))


def _beside(files: list[Any], group: int, chosen: pa.Array) -> dict[str, Any]:
    """Return the scores of the chosen rows of a row group."""
    found: dict[str, Any] = {}
    for file in files:
        names = [name for name in file.schema_arrow.names if name not in (SEEN, REASON, TEXT)]
        table = file.read_row_group(group, columns=names)
        found |= {name: table.column(name).filter(chosen) for name in names}
    return found


def _with(table: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    table = table.drop_columns([name for name in columns if name in table.column_names])
    for name, values in columns.items():
        table = table.append_column(name, values)
    return table
