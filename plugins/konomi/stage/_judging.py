"""Filters applied to a shard: what each finds is kept beside the text, what is dropped follows from that.

On the shelf of a filter, <shard> has the rows and row groups of the shard itself: SEEN tells which rows the filter has
looked at, `text` what it made of them where it rewrites, and then come its scores. A row that another filter dropped
before has not been looked at; it is, when another limit lets it through.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.dedup import Shard
from konomi.failures import blaming
from konomi.faults import KonomiError
from konomi.filter import Annotation, Filter
from konomi.stage._ingest import BYTES, HASH
from konomi.stage._tally import DIFFERENT_WORDS, Scores, Tally
from konomi.store.shelf import Shelf, reading

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

SEEN, REASON, TEXT = "__seen__", "__reason__", "text"
BATCH_BYTES = 8 << 20
"""Text that a filter is given at once, about."""


@dataclass(frozen=True)
class Step:
    """A filter, and where what it finds is kept."""

    name: str
    filter: Filter
    shelf: Shelf

    def column(self, score: str) -> str:
        """Return what a score's column is called."""
        return f"{self.name}_{score}"


@dataclass(frozen=True)
class Judging:
    """The task of judging one shard."""

    shard: Shard
    """The documents, and layers of those that earlier steps rewrote."""
    column: str
    first: int
    """Number of the shard's first row over all shards."""
    steps: tuple[Step, ...]
    thinning: int
    """Every how many rows a score is kept for the histogram."""
    columns: tuple[str, ...] = ()
    """Columns of the source; a shard may lack some, whose rows have null there."""


@dataclass(frozen=True)
class Judged:
    """What came of a shard: the documents that are left, with the layers and scores that were found."""

    shard: Shard
    tally: Tally = field(default_factory=Tally)


def judge(task: Judging) -> Judged:
    """Apply the filters in order; each sees what the ones before it kept."""
    import numpy as np
    import pyarrow.parquet as pq

    with reading(task.shard.path):
        facts = pq.read_table(task.shard.path, columns=[BYTES, HASH])
    sizes, hashes = np.asarray(facts.column(BYTES)), np.asarray(facts.column(HASH))
    alive = np.ones(len(sizes), np.bool_) if task.shard.rows is None else task.shard.rows.copy()
    texts = _Texts(task.shard, task.column, task.columns)
    tally = Tally()
    beside: list[Path] = []
    for step in task.steps:
        begin = time.perf_counter()
        found = _found(step, task.shard.path, texts, alive, tally)
        rows = np.flatnonzero(alive)
        _note_scores(tally, step, found, rows, task)
        for row, reason in zip(rows.tolist(), _reasons(step, found, rows), strict=True):
            if reason is not None:
                alive[row] = False
                tally.drop(step.name, reason, task.first + row, int(hashes[row]), int(sizes[row]))
        if TEXT in found.column_names:
            texts.lay(step.shelf.path(task.shard.path.name), found.column(TEXT))
            tally.rewritten[step.name] += len(rows) - int(_chosen(found.column(TEXT), rows).null_count)
        beside.append(step.shelf.path(task.shard.path.name))
        tally.take({step.name: time.perf_counter() - begin})
    return Judged(Shard(task.shard.path, alive, texts.layers, (*task.shard.beside, *beside)), tally)


class _Texts:
    """The texts of a shard as they stand, read when somebody wants them."""

    def __init__(self, shard: Shard, column: str, known: tuple[str, ...]) -> None:
        self.shard, self.column, self.known, self.layers = shard, column, known, shard.layers
        self._texts: pa.Array | None = None

    def lay(self, path: Path, over: pa.ChunkedArray) -> None:
        """Put a layer over the texts."""
        import pyarrow.compute as pc

        self.layers = (*self.layers, path)
        if self._texts is not None:
            self._texts = _one(pc.coalesce(_one(over), self._texts))

    def take(self, rows: NDArray[np.int64]) -> pa.Array:
        """Return the texts of some rows."""
        import pyarrow as pa

        if self._texts is None:
            self._texts = layered(self.shard.path, self.layers, self.column)
        return self._texts.take(pa.array(rows))

    def columns(self, names: Sequence[str], rows: NDArray[np.int64]) -> dict[str, pa.Array]:
        """Return further columns of some rows, those that the source has; null where the shard has them not."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        held = set(pq.read_schema(self.shard.path).names) if names else set()
        table = pq.read_table(self.shard.path, columns=[name for name in names if name in held])
        found = {name: pa.nulls(len(rows)) for name in names if name in self.known}
        return found | {name: _one(table.column(name).take(pa.array(rows))) for name in table.column_names}


def layered(path: Path, layers: tuple[Path, ...], column: str) -> pa.Array:
    """Return all texts of a shard, as the layers over it have them."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    own = [(path, column), *((layer, TEXT) for layer in layers)]
    found = []
    for at, name in own:
        with reading(at):
            found.append(_one(pq.read_table(at, columns=[name]).column(0).cast(pa.large_string())))
    return found[0] if len(found) == 1 else pc.coalesce(*reversed(found))


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    import pyarrow as pa

    if isinstance(column, pa.Array):
        return column
    whole = column.combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)


def _chosen(column: pa.ChunkedArray, rows: NDArray[np.int64]) -> Any:
    import pyarrow as pa

    return column.take(pa.array(rows))


def _found(step: Step, path: Path, texts: _Texts, alive: NDArray[np.bool_], tally: Tally) -> pa.Table:
    """Return what a filter finds in a shard, from its shelf where it has looked at every row that is left."""
    import numpy as np
    import pyarrow as pa

    held = _held(step, path.name, len(alive))
    new = np.flatnonzero(alive if held is None else alive & ~np.asarray(held.column(SEEN)))
    if held is not None and not len(new):
        return held
    more = texts.columns(getattr(step.filter, "reads", ()), new)
    parts, start = [], 0
    with blaming(f"filter {step.name}"):
        for chunk in _batches(texts.take(new)):
            further = {name: column.slice(start, len(chunk)) for name, column in more.items()}
            parts.append(_looked_at(step, chunk, further))
            start += len(chunk)
    fresh = pa.concat_tables(parts, promote_options="permissive")
    tally.computed[step.name] += len(new)
    with step.shelf.adding(path.name):  # another run may have added rows of its own meanwhile, and reads them later
        table = _merged(_held(step, path.name, len(alive)), fresh, new, len(alive))
        with step.shelf.put(path.name) as at:
            write_like(path, table, at)
    return table


def _held(step: Step, name: str, count: int) -> pa.Table | None:
    """Return what is on a filter's shelf; None where nothing is, or where it is damaged."""
    import pyarrow.parquet as pq

    if not step.shelf.has(name):
        return None
    try:
        table = pq.read_table(step.shelf.path(name))
        wrong = "" if table.num_rows == count else f"{table.num_rows} rows, not {count}"
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None):
            raise
        wrong = str(error)
    if wrong:
        step.shelf.drop(name, wrong)
    return None if wrong else table


def _batches(texts: pa.Array) -> Iterator[pa.Array]:
    """Yield texts in batches of about `BATCH_BYTES`; one empty batch where there are none."""
    import numpy as np
    import pyarrow.compute as pc

    reached = np.cumsum(np.asarray(pc.binary_length(texts), np.int64))
    start = 0
    while start < len(texts) or start == 0:
        base = reached[start - 1] if start else 0
        stop = max(int(np.searchsorted(reached, base + BATCH_BYTES, side="right")), start + 1)
        yield texts.slice(start, stop - start)
        start = stop


def _looked_at(step: Step, texts: pa.Array, more: Mapping[str, pa.Array]) -> pa.Table:
    """Return what a filter finds in texts: scores, what it rewrites, and the reasons of one that decides at once."""
    import pyarrow as pa

    judge_, columns = step.filter, {}
    further = (more,) if getattr(judge_, "reads", ()) else ()
    if hasattr(judge_, "annotate"):
        found = judge_.annotate(texts, *further)
    else:
        verdicts = judge_(texts.to_pylist(), *further)
        _check(step.name, {"texts": verdicts.texts, "reasons": verdicts.reasons, **verdicts.scores}, len(texts))
        rewritten = _changed(texts, verdicts.texts) if getattr(judge_, "rewrites", True) else None
        found = Annotation(verdicts.scores, rewritten)
        columns[REASON] = pa.array(verdicts.reasons, pa.string())
    _check(step.name, {**found.scores, **({"texts": found.texts} if found.texts is not None else {})}, len(texts))
    columns |= {step.column(score): pa.array(values) for score, values in found.scores.items()}
    if getattr(judge_, "rewrites", True):
        columns[TEXT] = pa.nulls(len(texts), pa.large_string()) if found.texts is None else found.texts
    return pa.table(columns) if columns else pa.table({SEEN: pa.nulls(len(texts), pa.bool_())}).drop_columns([SEEN])


def _changed(texts: pa.Array, rewritten: list[str]) -> pa.Array:
    """Return what was rewritten, null where that is the same as before."""
    import pyarrow as pa
    import pyarrow.compute as pc

    after = pa.array(rewritten, pa.large_string())
    return pc.if_else(pc.equal(texts, after), pa.scalar(None, pa.large_string()), after)


def _check(name: str, found: Mapping[str, Any], texts: int) -> None:
    for what, values in found.items():
        if len(values) != texts:
            raise KonomiError(f"filter {name} was given {texts} texts and returned {len(values)} {what}")


def _scattered(fresh: pa.Table, rows: NDArray[np.int64], count: int) -> pa.Table:
    """Return a table of `count` rows with those of `fresh` at their places, null elsewhere."""
    import numpy as np
    import pyarrow as pa

    places = np.full(count, -1, np.int64)
    places[rows] = np.arange(len(rows))
    if not fresh.num_columns:
        return pa.table({SEEN: pa.nulls(count, pa.bool_())}).drop_columns([SEEN])
    return fresh.take(pa.array(places, mask=places < 0))


def _merged(held: pa.Table | None, fresh: pa.Table, rows: NDArray[np.int64], count: int) -> pa.Table:
    """Return what was held of `count` rows and what is new of some as one."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    spread = _scattered(fresh, rows, count)
    seen = np.zeros(count, np.bool_) if held is None else np.array(held.column(SEEN))
    seen[rows] = True
    if held is not None:
        for name in spread.column_names:
            old = _one(held.column(name)).cast(spread.schema.field(name).type)
            at = spread.column_names.index(name)
            spread = spread.set_column(at, name, pc.coalesce(_one(spread.column(name)), old))
    return spread.append_column(SEEN, pa.array(seen))


def write_like(path: Path, table: pa.Table, at: Path) -> None:
    """Write a table in the row groups of the shard that it belongs to."""
    import pyarrow.parquet as pq

    shard = pq.read_metadata(path)
    with pq.ParquetWriter(at, table.schema, compression="zstd") as writer:
        start = 0
        for group in range(shard.num_row_groups):
            rows = shard.row_group(group).num_rows
            writer.write_table(table.slice(start, rows), row_group_size=rows)
            start += rows


def _scores(step: Step, found: pa.Table, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return the scores of some rows by their own names."""
    own = [name for name in found.column_names if name not in (SEEN, REASON, TEXT)]
    return {name.removeprefix(f"{step.name}_"): _chosen(found.column(name), rows).to_numpy() for name in own}


def _reasons(step: Step, found: pa.Table, rows: NDArray[np.int64]) -> list[str | None]:
    if REASON in found.column_names:
        reasons: list[str | None] = _chosen(found.column(REASON), rows).to_pylist()
        return reasons
    scores = _scores(step, found, rows)
    with blaming(f"filter {step.name}"):
        decided: list[str | None] = step.filter.decide(scores) if scores else [None] * len(rows)  # type: ignore[attr-defined]
    _check(step.name, {"reasons": decided}, len(rows))
    return decided


def _note_scores(tally: Tally, step: Step, found: pa.Table, rows: NDArray[np.int64], task: Judging) -> None:
    thresholds = step.filter.thresholds() if hasattr(step.filter, "thresholds") else {}
    for score, values in _scores(step, found, rows).items():
        if values.dtype.kind not in "biuf":
            words = Counter(map(str, values.tolist())).most_common(DIFFERENT_WORDS)
            tally.words[step.column(score)] = Counter(dict(words))
            continue
        own = tally.scores.setdefault(step.column(score), Scores(thresholds.get(score), task.thinning))
        own.add(task.first + rows, values)
