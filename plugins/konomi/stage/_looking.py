"""What is picked out of a curation to be looked at: dropped and kept texts, clusters of duplicates."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from konomi.stage._curate_report import MOST_SAMPLES, Cluster, Dropped, Seen
from konomi.stage._curation import Documents, Pairs
from konomi.stage._ingest import HASH
from konomi.stage._judging import TEXT
from konomi.stage._selection import SOURCE_ROW
from konomi.stage._tally import ANSWERS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHOWN_CLUSTERS = 5
SHOWN_CHARACTERS = 2_000


def texts_of(documents: Documents, numbers: Iterable[int]) -> dict[int, str]:
    """Return the texts of some rows, dropped ones too, by their numbers; only their row groups are read."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = np.array(sorted(set(numbers)), np.int64)
    found: dict[int, str] = {}
    for shard, first, after in zip(documents.shards, documents.firsts, documents.firsts[1:], strict=False):
        own = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, after)] - first
        if not len(own):
            continue
        columns = [(path, TEXT) for path in reversed(shard.layers)] + [(shard.path, documents.column)]
        files = [(pq.ParquetFile(path), column) for path, column in columns]
        start = 0
        for group in range(files[0][0].num_row_groups):
            count = files[0][0].metadata.row_group(group).num_rows
            rows = own[(own >= start) & (own < start + count)] - start
            if len(rows):
                read = [
                    file.read_row_group(group, columns=[column]).column(0).take(pa.array(rows)).cast(pa.large_string())
                    for file, column in files
                ]
                texts = pc.coalesce(*read).to_pylist()
                found |= {first + start + int(row): text for row, text in zip(rows, texts, strict=True)}
            start += count
    return found


def look(out: Path, documents: Documents) -> Seen:
    """Write the sample of dropped texts and the list of duplicates, and return what a report shows."""
    dropped = _dropped(documents)
    _write_dropped(out, dropped)
    _write_duplicates(out, documents)
    return Seen(dropped, _clusters(documents), _kept(documents))


def _dropped(documents: Documents) -> dict[str, list[Dropped]]:
    """Return a sample of what each step dropped."""
    samples = documents.tally.samples
    texts = texts_of(documents, (entry["row"] for sample in samples.values() for entry in sample.entries()))
    rows = documents.source_rows()
    found: dict[str, list[Dropped]] = {}
    first = 0
    for piece in documents.pieces:
        for entry in piece.samples:
            found.setdefault(ANSWERS, []).append(Dropped(first + entry["row"], entry["reason"], entry[TEXT]))
        first += piece.rows
    for step, sample in samples.items():
        for entry in sample.entries():
            text = texts[entry["row"]][:SHOWN_CHARACTERS]
            found.setdefault(step, []).append(Dropped(int(rows[entry["row"]]), entry["reason"], text))
    return found


def _write_dropped(out: Path, samples: dict[str, list[Dropped]]) -> None:
    """Write the sample of dropped texts, with their reasons."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {SOURCE_ROW: item.row, "by": step, "reason": item.reason, TEXT: item.text}
        for step, items in samples.items()
        for item in items
    ]
    schema = pa.schema({SOURCE_ROW: pa.int64(), "by": pa.string(), "reason": pa.string(), TEXT: pa.string()})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out / "dropped.parquet", compression="zstd")


def _write_duplicates(out: Path, documents: Documents) -> None:
    """Write which row each duplicate was dropped for, and how similar the two are."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = documents.source_rows()

    def columns(pairs: Pairs) -> pa.Table:
        kept = pa.array(rows[np.maximum(pairs.kept, 0)], mask=pairs.kept < 0)
        return pa.table(
            {
                SOURCE_ROW: pa.array(rows[pairs.dropped], pa.int64()),
                "kept_row": kept,
                "similarity": pairs.similarity,
                "by": pa.repeat(pa.scalar(pairs.by), len(pairs.dropped)),
                "earlier": pa.array(pairs.earlier, pa.string()),
            }
        )

    pq.write_table(pa.concat_tables(map(columns, documents.pairs)), out / "duplicates.parquet", compression="zstd")


def _kept(documents: Documents) -> list[str]:
    """Return some of the texts that are kept: those of the highest hashes, because the lowest are held out."""
    import numpy as np

    left = documents.left()
    order = np.argsort(documents.facts(HASH)[left], kind="stable")[::-1][:MOST_SAMPLES]
    texts = texts_of(documents, left[order].tolist())
    return [texts[number] for number in sorted(texts)]


def _clusters(documents: Documents) -> list[Cluster]:
    """Return the largest clusters, each with the least similar of its documents."""
    found = [
        (int(documents.stand_for[head]), head, other, similarity)
        for pairs in documents.pairs
        for head, other, similarity in _largest(pairs)
    ]
    once = {item[1]: item for item in sorted(found, key=lambda item: item[3], reverse=True)}  # the least similar pair
    largest = sorted(once.values(), key=lambda item: (-item[0], item[1]))[:SHOWN_CLUSTERS]
    texts = texts_of(documents, (number for _, head, other, _ in largest for number in (head, other)))
    return [Cluster(size, texts[head], texts[other], similarity) for size, head, other, similarity in largest]


def _largest(pairs: Pairs) -> list[tuple[int, int, float]]:
    import numpy as np

    heads, counts = np.unique(pairs.kept[pairs.kept >= 0], return_counts=True)
    found = []
    for head in heads[np.argsort(-counts, kind="stable")][:SHOWN_CLUSTERS].tolist():
        members = np.flatnonzero(pairs.kept == head)
        least = _least(pairs.similarity, members)
        found.append((head, int(pairs.dropped[least]), float(pairs.similarity[least])))
    return found


def _least(similarity: NDArray[np.float32], members: NDArray[np.int64]) -> int:
    import numpy as np

    return int(members[np.argmin(similarity[members])])
