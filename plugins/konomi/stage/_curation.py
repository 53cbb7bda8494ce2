"""The passes of a curation: judge every shard, find duplicates among what is left, choose what is held out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.dedup import Corpus, Cuts, Dedup, Duplicates, Shard
from konomi.engine import Engine
from konomi.failures import blaming
from konomi.faults import KonomiError, did_you_mean
from konomi.job import Job
from konomi.stage._cutting import Cutting, cut
from konomi.stage._ingest import BYTES, HASH, INTERNAL, ROW, Piece
from konomi.stage._judging import Judging, Step, judge
from konomi.stage._tally import Tally, thinning
from konomi.store.shelf import Shelf

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from konomi.stage._shelves import Shelves

HASHES = 2**64
FOUND = "duplicates.npz"


@dataclass(frozen=True)
class Pairs:
    """Documents that were dropped for another, by their numbers; arrays of shape (n,)."""

    by: str
    """The step that dropped them."""
    dropped: NDArray[np.int64]
    kept: NDArray[np.int64]
    """-1 where the other one is of an earlier corpus."""
    similarity: NDArray[np.float32]
    earlier: list[str | None]


@dataclass
class Documents:
    """All rows of a source in shards, and which of them are left; a row's number runs over all shards."""

    shards: list[Shard]
    pieces: list[Piece]
    column: str
    tally: Tally
    pairs: list[Pairs] = field(default_factory=list)

    @classmethod
    def of(cls, shelf: Shelf, pieces: list[Piece], column: str, tally: Tally) -> Documents:
        """Return all rows that were read."""
        return cls([Shard(shelf.path(name)) for piece in pieces for name in piece.shards], pieces, column, tally)

    @cached_property
    def firsts(self) -> list[int]:
        """Numbers of the shards' first rows, and of the row after the last."""
        return list(accumulate((count for piece in self.pieces for count in piece.counts), initial=0))

    @cached_property
    def stand_for(self) -> NDArray[np.int32]:
        """How many documents each row stands for: itself, and those that were dropped for it."""
        import numpy as np

        return np.ones(self.firsts[-1], np.int32)

    def masks(self) -> list[NDArray[np.bool_]]:
        """Return which rows of each shard are left."""
        import numpy as np

        counts = [after - before for before, after in zip(self.firsts, self.firsts[1:], strict=False)]
        return [
            np.ones(count, np.bool_) if shard.rows is None else shard.rows
            for shard, count in zip(self.shards, counts, strict=True)
        ]

    def left(self) -> NDArray[np.int64]:
        """Return the numbers of the rows that are left."""
        import numpy as np

        own = [first + np.flatnonzero(mask) for first, mask in zip(self.firsts, self.masks(), strict=False)]
        return np.concatenate([np.empty(0, np.int64), *own])

    def corpus(self, scratch: Path | None = None) -> Corpus:
        """Return what is left."""
        return Corpus(tuple(self.shards), self.column, scratch)

    def keep(self, numbers: NDArray[np.int64]) -> None:
        """Leave only the rows of these numbers, all of which were left before."""
        import numpy as np

        chosen = np.zeros(self.firsts[-1], np.bool_)
        chosen[numbers] = True
        self.shards = [
            replace(shard, rows=chosen[first:after])
            for shard, first, after in zip(self.shards, self.firsts, self.firsts[1:], strict=False)
        ]

    def facts(self, column: str) -> NDArray[Any]:
        """Return one of this stage's own columns for all rows."""
        import numpy as np
        import pyarrow.parquet as pq

        own = [np.asarray(pq.read_table(shard.path, columns=[column]).column(0)) for shard in self.shards]
        return np.concatenate([np.empty(0, np.int64), *own]) if own else np.empty(0, np.int64)

    def source_rows(self) -> NDArray[np.int64]:
        """Return the number in the source of every row."""
        import numpy as np

        starts = accumulate((piece.rows for piece in self.pieces), initial=0)
        of_piece = [[start] * sum(piece.counts) for start, piece in zip(starts, self.pieces, strict=False)]
        offsets = np.concatenate([np.empty(0, np.int64), *map(np.array, of_piece)]).astype(np.int64)
        return offsets + self.facts(ROW).astype(np.int64)

    def columns(self) -> list[str]:
        """Return the columns of the source, of whatever shard."""
        import pyarrow.parquet as pq

        names: Mapping[str, None] = {name: None for shard in self.shards for name in pq.read_schema(shard.path).names}
        return [name for name in names if name not in INTERNAL]

    def digest(self) -> str:
        """Return a hash of which rows are left."""
        import numpy as np
        from xxhash import xxh3_128

        found = xxh3_128()
        for mask in self.masks():
            found.update(np.packbits(mask).tobytes())
        return str(found.hexdigest())


def sift(job: Job, documents: Documents, steps: Sequence[Step], engine: Engine) -> None:
    """Apply the filters to every shard. Raises `KonomiError` where nothing is left."""
    every = thinning(documents.firsts[-1])
    columns = tuple(documents.columns())
    tasks = [
        Judging(shard, documents.column, first, tuple(steps), every, columns)
        for shard, first in zip(documents.shards, documents.firsts, strict=False)
    ]
    known = all(step.shelf.has(shard.path.name) for step in steps for shard in documents.shards)
    judged = map(judge, tasks) if known else engine.map(judge, tasks)  # limits alone are not worth a process
    documents.shards = []
    for found in job.progress(judged, total=len(tasks), unit="shard"):
        documents.shards.append(found.shard)
        documents.tally.add(found.tally)
    _check_left(job, documents)


def _check_left(job: Job, documents: Documents) -> None:
    if not any(mask.any() for mask in documents.masks()):
        tally = documents.tally
        fell = ", ".join(f"{step} {count}" for step, count in tally.dropped.most_common() if count)
        raise KonomiError(
            f"{job.name}: none of {sum(piece.rows for piece in documents.pieces)} documents is left; dropped by {fell};"
            f" most often for: {tally.reasons.most_common(1)[0][0][1]}; loosen that step or leave it out"
        )


def deduplicate(job: Job, documents: Documents, by: str, dedup: Dedup, shelves: Shelves, engine: Engine) -> None:
    """Drop the duplicates among what is left, and cut out passages that the deduplicator found elsewhere."""
    import numpy as np

    begin = time.perf_counter()
    left, shelf = documents.left(), shelves.duplicates(documents, by, dedup)
    found = _found(job, documents, dedup, shelf, len(left))
    dropped = np.flatnonzero(~found.keep)
    names: Sequence[str | None] = found.earlier if found.earlier is not None else [None] * len(left)
    earlier = [names[row] for row in dropped.tolist()]
    heads = left[found.cluster[dropped]]
    heads[[item is not None for item in earlier]] = -1
    pairs = Pairs(by, left[dropped], heads, found.similarity[dropped], earlier)
    documents.pairs.append(pairs)
    inside = pairs.kept >= 0
    np.add.at(documents.stand_for, pairs.kept[inside], documents.stand_for[pairs.dropped[inside]])
    documents.keep(left[found.keep])
    _count(documents, pairs)
    if found.cuts is not None and len(found.cuts.document):
        shelves.cut(documents, dedup)
        _cut(job, documents, by, found.cuts, left, shelf, engine)
    _check_left(job, documents)
    documents.tally.take({by: time.perf_counter() - begin})


def _found(job: Job, documents: Documents, dedup: Dedup, shelf: Shelf, count: int) -> Duplicates:
    """Return the duplicates, from the shelf where they were found before; raises where they make no sense."""
    if shelf.whole(FOUND):
        return _load(shelf.path(FOUND))
    scratch = job.work / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with blaming(f"dedup {type(dedup).__name__}"):
        found = dedup.find(documents.corpus(scratch))
    _check(found, count, type(dedup).__name__)
    with shelf.put(FOUND) as path:
        _save(found, path)
    return found


def _check(found: Duplicates, rows: int, name: str) -> None:
    import numpy as np

    for what in ("cluster", "keep", "similarity"):
        values = getattr(found, what)
        if values.shape != (rows,):
            raise KonomiError(f"dedup {name} was given {rows} documents, its {what} has {values.shape}")
    known = np.zeros(rows, np.bool_)
    if found.earlier is not None:
        known = np.array([item is not None for item in found.earlier], np.bool_)
    own = found.cluster == np.arange(rows)
    if (found.keep != (own & ~known)).any() or (known & ~own).any() or not found.keep[found.cluster[~known]].all():
        raise KonomiError(f"dedup {name} did not keep exactly one document of each cluster")


def _save(found: Duplicates, path: Path) -> None:
    import numpy as np

    arrays: dict[str, Any] = {"cluster": found.cluster, "keep": found.keep, "similarity": found.similarity}
    if found.earlier is not None:
        rows = [row for row, item in enumerate(found.earlier) if item is not None]
        names = [str(found.earlier[row]).encode() for row in rows]
        ends = np.cumsum([0, *map(len, names)])
        arrays |= {"earlier_row": np.array(rows, np.int64), "earlier_end": ends}
        arrays["earlier"] = np.frombuffer(b"".join(names), np.uint8)
    if found.cuts is not None:
        arrays |= {f"cuts_{name}": values for name, values in vars(found.cuts).items()}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _load(path: Path) -> Duplicates:
    import numpy as np

    with np.load(path) as held:
        arrays = {name: held[name] for name in held.files}
    earlier: list[str | None] | None = None
    if "earlier" in arrays:
        earlier = [None] * len(arrays["keep"])
        names, ends = arrays["earlier"].tobytes(), arrays["earlier_end"].tolist()
        for row, (start, end) in zip(arrays["earlier_row"].tolist(), pairwise(ends), strict=True):
            earlier[row] = names[start:end].decode()
    columns = ("document", "start", "end")
    cuts = Cuts(*(arrays[f"cuts_{name}"] for name in columns)) if "cuts_document" in arrays else None
    return Duplicates(arrays["cluster"], arrays["keep"], arrays["similarity"], earlier, cuts)


def _count(documents: Documents, pairs: Pairs) -> None:
    """Enter dropped duplicates into the books."""
    import numpy as np

    tally, count = documents.tally, len(pairs.dropped)
    if not count:
        return
    inside = pairs.kept >= 0
    same = int((pairs.similarity[inside] == 1).sum())
    kinds = {"same as another": same, "similar to another": int(inside.sum()) - same}
    kinds["known from an earlier corpus"] = count - int(inside.sum())
    tally.dropped[pairs.by] += count
    tally.dropped_bytes[pairs.by] += int(documents.facts(BYTES)[pairs.dropped].sum())
    tally.reasons.update({(pairs.by, kind): found for kind, found in kinds.items() if found})
    hashes = documents.facts(HASH)[pairs.dropped]
    source_rows = documents.source_rows()
    from konomi.stage._tally import SAMPLED_TEXTS, Lowest

    sample = tally.samples.setdefault(pairs.by, Lowest(SAMPLED_TEXTS))
    for index in np.argsort(hashes, kind="stable")[:SAMPLED_TEXTS].tolist():
        earlier = pairs.earlier[index]
        other = f"row {source_rows[pairs.kept[index]]}" if earlier is None else f"{earlier} of an earlier corpus"
        reason = f"similarity {pairs.similarity[index]:.2f} to {other}"
        row = int(pairs.dropped[index])
        sample.offer(int(hashes[index]), row, {"row": row, "reason": reason})


def _cut(
    job: Job, documents: Documents, by: str, cuts: Cuts, left: NDArray[np.int64], shelf: Shelf, engine: Engine
) -> None:
    """Put a layer without the cut passages over the shards, and drop the documents of which nothing is left."""
    import numpy as np

    rows, bounds = left[cuts.document], documents.firsts
    tasks = []
    for shard, first, after in zip(documents.shards, bounds, bounds[1:], strict=False):
        own = slice(*np.searchsorted(rows, [first, after]))
        passages = Cuts(rows[own] - first, cuts.start[own], cuts.end[own])
        tasks.append(Cutting(shard, documents.column, passages, shelf))
    sizes, hashes = documents.facts(BYTES), documents.facts(HASH)
    documents.shards = []
    for first, done in zip(bounds, job.progress(engine.map(cut, tasks), total=len(tasks), unit="shard"), strict=False):
        documents.shards.append(done.shard)
        documents.tally.rewritten[by] += done.rewritten
        for row in (first + row for row in done.emptied):
            documents.tally.drop(by, "nothing is left after cutting", row, int(hashes[row]), int(sizes[row]))


def held_out(hashes: NDArray[np.uint64], share: float, rows: int) -> NDArray[np.bool_]:
    """Return which of the rows are held out: those with the lowest hashes, equal hashes together."""
    import numpy as np

    if not (share or rows):
        return np.zeros(len(hashes), np.bool_)
    ordered = np.sort(hashes)
    # a share goes by the hash alone, so that a row stays on its side when others come; but one row at the least
    least = max(np.uint64(int(share * HASHES)), ordered[0])
    limit = ordered[min(rows, len(ordered)) - 1] if rows else least
    found: NDArray[np.bool_] = hashes <= limit
    if found.all():
        raise KonomiError(
            f"all of {len(ordered)} rows would be held out and none be trained on: too few rows, or all have the same"
            " prompt or value of test_by; hold out fewer, or give test_by a column that differs"
        )
    return found


def sides(documents: Documents, test_by: str) -> NDArray[np.uint64]:
    """Return the hash of what decides on which side each of the rows that are left is held."""
    import numpy as np

    from konomi.stage._ingest import hashes_of

    if not test_by:
        return np.asarray(documents.facts(HASH)[documents.left()], np.uint64)
    try:
        values = documents.corpus().values(test_by)
    except KonomiError as error:
        names = documents.columns()
        raise KonomiError(f"test_by: the rows have no column {test_by}; {did_you_mean(test_by, names)}") from error
    import pyarrow as pa

    return hashes_of(pa.array(map(repr, values.to_pylist()), pa.large_string()))


def write_index(job: Job, documents: Documents, dedup: Dedup, column: str) -> None:
    """Keep what a later corpus is compared with.

    Documents are named by this artifact's key, and a column of theirs or else their rows in the source.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    corpus = documents.corpus(job.work / "scratch")
    rows = documents.source_rows()[documents.left()].tolist()
    names = pa.array([f"row {row}" for row in rows], pa.large_string())
    if name := column or ("id" if "id" in documents.columns() else ""):
        names = pc.coalesce(corpus.values(name).cast(pa.large_string()), names)
    names = pc.binary_join_element_wise(pa.scalar(job.key, pa.large_string()), names, pa.scalar(" ", pa.large_string()))
    folder = job.out / "index"
    folder.mkdir()
    dedup.index(corpus, np.ones(len(names), np.bool_), names, folder)  # type: ignore[attr-defined]
