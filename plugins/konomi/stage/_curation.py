"""The three passes of a curation: sift the rows, find duplicates among what is left, write what is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.dedup import Corpus, Dedup, Duplicates
from konomi.faults import KonomiError, did_you_mean
from konomi.job import Job
from konomi.source import Source
from konomi.stage import _answers
from konomi.stage._curate_report import MOST_SAMPLES, Cluster, Written
from konomi.stage._sieve import DEDUP, JUDGED, TEXT, Lowest, Sieve, hash_of
from konomi.stage._tables import ShardWriter, conformed, split_name, tables, unified

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

SOURCE_ROW = "source_row"
CLUSTER_SIZE = "cluster_size"
LANGUAGE = "language"

SMOKE_TABLES = 3
"""Batches of rows that a smoke run takes."""
SIFTED_ROWS = 1_000_000
"""Rows of a file between the passes."""
HASHES = 2**64
SHOWN_CLUSTERS = 5


@dataclass(frozen=True)
class Sifted:
    """The n rows that the filters kept, in files between the passes."""

    corpus: Corpus
    schema: pa.Schema
    """Columns of all files together."""
    source_rows: NDArray[np.int64]
    """Number of each row in the source; shape (n,)."""
    hashes: NDArray[np.uint64]
    """What decides on which side a row is held; shape (n,)."""
    sieve: Sieve


def sift(job: Job, source: Source, sieve: Sieve, test_by: str, folder: Path) -> tuple[Sifted, dict[str, int]]:
    """Filter the source's rows into `folder`; return them, and what the source itself left out, by reason.

    Raises `KonomiError` where nothing was read or nothing is left.
    """
    import numpy as np

    column = TEXT if sieve.format == TEXT else JUDGED
    source_rows: list[NDArray[np.int64]] = []
    hashes: list[NDArray[np.uint64]] = []
    rows = source.load()
    batches = islice(tables(rows), SMOKE_TABLES if job.smoke else None)
    with ShardWriter(folder, lambda number: f"sifted-{number:05}.parquet", SIFTED_ROWS, "lz4") as writer:
        for batch in job.progress(batches, unit="batch"):
            table, texts, numbers = sieve.sift(batch)
            hashes.append(np.array(_sides(table, texts, sieve.format, test_by), dtype=np.uint64))
            source_rows.append(numbers)
            writer.add(table, _byte_lengths(table.column(column)))
    unread: dict[str, int] = dict(getattr(rows, "dropped", {}))
    if sieve.documents == 0:
        left_out = f" (it left out {sum(unread.values())} that it could not read)" if unread else ""
        raise KonomiError(f"{job.name}: the source {source} gave no rows{left_out}")
    if not writer.paths:
        fell = ", ".join(f"{step} {count}" for step, count in sieve.dropped.most_common())
        raise KonomiError(
            f"{job.name}: none of {sieve.documents} documents is left; dropped by {fell};"
            f" most often for: {sieve.reasons.most_common(1)[0][0][1]}; loosen that filter or leave it out"
        )
    corpus = Corpus(tuple(writer.paths), column, scratch=folder)
    schema = unified(writer.schemas)
    return Sifted(corpus, schema, np.concatenate(source_rows), np.concatenate(hashes), sieve), unread


def _sides(table: pa.Table, texts: Sequence[str], format_: str, test_by: str) -> list[int]:
    """Return the hash of what decides on which side each row is held."""
    if test_by:
        if test_by not in table.column_names:
            hint = did_you_mean(test_by, table.column_names)
            raise KonomiError(f"test_by: the rows have no column {test_by}; {hint}")
        return [hash_of(repr(value)) for value in table.column(test_by).to_pylist()]
    prompts = _answers.prompts(table, format_) or texts
    return [hash_of(prompt or text) for prompt, text in zip(prompts, texts, strict=True)]


def duplicates_in(sifted: Sifted, dedup: Dedup) -> Duplicates:
    """Return the duplicates among the rows, after a look at whether they make sense."""
    import numpy as np

    found = dedup.find(sifted.corpus)
    rows = len(sifted.source_rows)
    for name in ("cluster", "keep", "similarity"):
        values = getattr(found, name)
        if values.shape != (rows,):
            raise KonomiError(f"dedup {type(dedup).__name__} was given {rows} documents, its {name} has {values.shape}")
    if (found.keep != (found.cluster == np.arange(rows))).any() or not found.keep[found.cluster].all():
        raise KonomiError(f"dedup {type(dedup).__name__} did not keep exactly one document of each cluster")
    return found


def held_out(hashes: NDArray[np.uint64], keep: NDArray[np.bool_], share: float, rows: int) -> NDArray[np.bool_]:
    """Return which of the kept rows are held out: those with the lowest hashes, equal hashes together."""
    import numpy as np

    none = np.zeros(len(hashes), np.bool_)
    if not (share or rows):
        return none
    ordered = np.sort(hashes[keep])
    # a share goes by the hash alone, so that a row stays on its side when others come; but one row at the least
    least = max(np.uint64(int(share * HASHES)), ordered[0])
    limit = ordered[min(rows, len(ordered)) - 1] if rows else least
    found: NDArray[np.bool_] = keep & (hashes <= limit)
    if (found == keep).all():
        raise KonomiError(
            f"all of {len(ordered)} rows would be held out and none be trained on: too few rows, or all have the same"
            " prompt or value of test_by; hold out fewer, or give test_by a column that differs"
        )
    return found


def write(
    job: Job, sifted: Sifted, duplicates: Duplicates, test: NDArray[np.bool_], language: str, shard_rows: int
) -> Written:
    """Write the kept rows by split, the sample of the dropped ones, and the list of duplicates."""
    import numpy as np
    import pyarrow as pa

    sizes = np.bincount(duplicates.cluster, minlength=len(duplicates.keep)).astype(np.int32)
    members = {"train": duplicates.keep & ~test, "test": test}
    counts = {split: int(chosen.sum()) for split, chosen in members.items() if chosen.any()}
    reading = _Reading(sifted, duplicates, sizes)
    added = {LANGUAGE: pa.string()} if language else {}
    schema = _published(sifted, {**added, SOURCE_ROW: pa.int64(), CLUSTER_SIZE: pa.int32()})
    writers = {
        split: ShardWriter(job.out / "data", split_name(split, rows, shard_rows), shard_rows)
        for split, rows in counts.items()
    }
    for start, table in job.progress(_stored(sifted), unit="batch"):
        own = slice(start, start + table.num_rows)
        texts = table.column(sifted.corpus.column)
        reading.look(texts, own)
        extra = {SOURCE_ROW: sifted.source_rows[own], CLUSTER_SIZE: sizes[own]}
        if language:
            extra[LANGUAGE] = pa.repeat(pa.scalar(language), table.num_rows)
        whole = _completed(table, extra, schema)
        lengths = _byte_lengths(texts)
        for split, writer in writers.items():
            chosen = members[split][own]
            writer.add(whole.filter(pa.array(chosen)), lengths[chosen])
    for writer in writers.values():
        writer.finish()
    _write_duplicates(job.out, sifted, duplicates)
    _write_dropped(job.out, sifted.sieve)
    size = sum(path.stat().st_size for writer in writers.values() for path in writer.paths)
    return Written(counts, reading.clusters(), reading.kept(), size)


def _published(sifted: Sifted, added: Mapping[str, pa.DataType]) -> pa.Schema:
    """Return the columns of the artifact: the source's, the scores, and this stage's own."""
    import pyarrow as pa

    own = [field for field in sifted.schema if field.name not in (JUDGED, *added)]
    sifted.sieve.replaced |= {name for name in sifted.schema.names if name in added}
    return pa.schema([*own, *(pa.field(name, type_) for name, type_ in added.items())])


def _completed(table: pa.Table, extra: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    table = table.drop_columns([name for name in extra if name in table.column_names])
    for name, values in extra.items():
        table = table.append_column(name, values if isinstance(values, pa.Array) else pa.array(values))
    return conformed(table, schema)


def _stored(sifted: Sifted) -> Iterator[tuple[int, pa.Table]]:
    """Yield the rows between the passes, a row group at a time, each with the number of its first."""
    import pyarrow.parquet as pq

    start = 0
    for shard in sifted.corpus.shards:
        with pq.ParquetFile(shard) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                yield start, table
                start += table.num_rows


def _byte_lengths(texts: pa.ChunkedArray) -> NDArray[np.int64]:
    import numpy as np
    import pyarrow.compute as pc

    return np.asarray(pc.binary_length(texts), dtype=np.int64)


class _Reading:
    """Texts to show, picked up while the rows go by."""

    def __init__(self, sifted: Sifted, duplicates: Duplicates, sizes: NDArray[np.int32]) -> None:
        import numpy as np

        self.sifted, self.duplicates, self.sizes = sifted, duplicates, sizes
        heads = np.flatnonzero(sizes > 1)
        self.heads = heads[np.argsort(-sizes[heads], kind="stable")][:SHOWN_CLUSTERS].tolist()
        self.least = {head: self._least_similar(head) for head in self.heads}
        self.wanted = np.array(sorted({*self.heads, *self.least.values()}), dtype=np.int64)
        self.texts: dict[int, str] = {}
        self.sample = Lowest(MOST_SAMPLES)

    def _least_similar(self, head: int) -> int:
        import numpy as np

        members = np.flatnonzero(self.duplicates.cluster == head)
        return int(members[np.argmin(self.duplicates.similarity[members])])

    def look(self, texts: pa.ChunkedArray, own: slice) -> None:
        """Pick up what is wanted of a batch, and write down what was dropped as a duplicate."""
        for row in self.wanted[(self.wanted >= own.start) & (self.wanted < own.stop)].tolist():
            self.texts[row] = texts[row - own.start].as_py()
        hashes, keep = self.sifted.hashes[own].tolist(), self.duplicates.keep[own].tolist()
        for offset, (hash_, kept) in enumerate(zip(hashes, keep, strict=True)):
            row = own.start + offset
            number = int(self.sifted.source_rows[row])
            if kept:  # by the highest hashes, because the lowest are held out
                self.sample.offer(HASHES - 1 - hash_, number, {TEXT: texts[offset]})
            else:
                head, similarity = self.duplicates.cluster[row], self.duplicates.similarity[row]
                reason = f"similarity {similarity:.2f} to row {self.sifted.source_rows[head]}"
                kind = "same as another" if similarity == 1 else "similar to another"
                self.sifted.sieve.drop(DEDUP, reason, number, texts[offset].as_py(), counted_as=kind)

    def clusters(self) -> list[Cluster]:
        """Return the largest clusters."""
        return [
            Cluster(
                int(self.sizes[head]), self.texts[head], self.texts[other], float(self.duplicates.similarity[other])
            )
            for head, other in self.least.items()
        ]

    def kept(self) -> list[str]:
        """Return some of the texts that are kept."""
        return [entry[TEXT].as_py() for entry in self.sample.entries()]


def _write_duplicates(out: Path, sifted: Sifted, duplicates: Duplicates) -> None:
    """Write which row each duplicate was dropped for."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    dropped = np.flatnonzero(~duplicates.keep)
    columns = {
        SOURCE_ROW: sifted.source_rows[dropped],
        "kept_row": sifted.source_rows[duplicates.cluster[dropped]],
        "similarity": duplicates.similarity[dropped],
    }
    pq.write_table(pa.table(columns), out / "duplicates.parquet", compression="zstd")


def _write_dropped(out: Path, sieve: Sieve) -> None:
    """Write the sample of dropped texts, with their reasons."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    entries = [entry for sample in sieve.samples.values() for entry in sample.entries()]
    schema = pa.schema({SOURCE_ROW: pa.int64(), "by": pa.string(), "reason": pa.string(), TEXT: pa.string()})
    pq.write_table(pa.Table.from_pylist(entries, schema=schema), out / "dropped.parquet", compression="zstd")
