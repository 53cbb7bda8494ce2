"""Finding duplicates in a corpus that lies in Parquet shards.

dedup.none · dedup.exact · dedup.minhash · dedup.semdedup · dedup.lines · dedup.paragraphs · dedup.exact_substring
dedup.chain: several of them in order
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Shard:
    """Documents in one Parquet file, and in files of the same rows and row groups beside it."""

    path: Path
    rows: NDArray[np.bool_] | None = None
    """Which rows of the file are documents of the corpus; None takes all."""
    layers: tuple[Path, ...] = ()
    """Files whose text column, where it is not null, takes the place of what the file and earlier layers say."""
    beside: tuple[Path, ...] = ()
    """Files with further columns, such as scores."""


@dataclass(frozen=True)
class Corpus:
    """Documents in Parquet shards; a document's id is its number over all shards, in order."""

    shards: tuple[Path | Shard, ...]
    column: str = "text"
    scratch: Path | None = None
    """Folder for what does not fit into memory, such as signatures; None takes the system's temporary folder."""

    def parts(self) -> tuple[Shard, ...]:
        """Return the shards, those that are mere paths too."""
        return tuple(shard if isinstance(shard, Shard) else Shard(shard) for shard in self.shards)

    def count(self) -> int:
        """Return how many documents there are; no text is read."""
        from konomi.dedup import _texts

        return _texts.count(self)

    def texts(self) -> Iterator[tuple[int, pa.Array]]:
        """Yield the texts in batches of some megabytes, each with the number of its first document; null is no text."""
        from konomi.dedup import _texts

        return _texts.read(self)

    def values(self, column: str) -> pa.ChunkedArray:
        """Return a further column, one value a document; raises `KonomiError` with the nearest name."""
        from konomi.dedup import _texts

        return _texts.values(self, column)


@dataclass(frozen=True)
class Cuts:
    """Passages to be taken out of documents that stay, of shape (m,) each, sorted, none overlapping another."""

    document: NDArray[np.int64]
    start: NDArray[np.int64]
    """Byte of the document's UTF-8 text, at a character's boundary."""
    end: NDArray[np.int64]
    """Byte after the passage's last one."""


@dataclass(frozen=True)
class Duplicates:
    """What was found among n documents; all arrays have shape (n,)."""

    cluster: NDArray[np.int64]
    """Id of the document that stands for the cluster (the kept one); a document without duplicates is its own."""
    keep: NDArray[np.bool_]
    """True for exactly one document of each cluster; False for all that duplicate a document of an earlier corpus."""
    similarity: NDArray[np.float32]
    """Similarity to the kept document of the cluster, 1 for the kept one itself."""
    earlier: Sequence[str | None] | None = None
    """Of each document that duplicates one of an earlier corpus, which one that is; it is its own cluster, not kept."""
    cuts: Cuts | None = None
    """Passages to take out of the documents that are kept."""


class Dedup(Protocol):
    """Finds duplicates; the text stays in Arrow buffers.

    One that cuts passages out of texts says so in `cuts: ClassVar[bool] = True`; it serves plain texts alone.
    """

    def find(self, corpus: Corpus) -> Duplicates: ...


@runtime_checkable
class Indexed(Protocol):
    """A deduplicator that can look for duplicates of what earlier corpora kept, in its option `against`."""

    def index(self, corpus: Corpus, kept: NDArray[np.bool_], names: pa.Array | pa.ChunkedArray, folder: Path) -> None:
        """Write into `folder` what a later corpus is compared with, for the documents that are `kept`, shape (n,).

        `names` are the n documents' names, by which `Duplicates.earlier` will call them; `corpus` has the texts as they
        are published. The folder holds `index.json` with all options that matter; others are refused by `against`.
        """
