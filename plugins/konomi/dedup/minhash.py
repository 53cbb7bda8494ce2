"""Near-duplicates by MinHash and locality-sensitive hashing, verified."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from konomi.dedup import Corpus, Duplicates
from konomi.dedup._options import Keep
from konomi.faults import Fault
from konomi.fields import NOT_IN_KEY
from konomi.registry import register
from konomi.units import Unit

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from konomi.units import Units

MOST_COMPARED = 200
"""Kept documents that one document is compared with, those of its smallest buckets first, so that a million pages of
one template, all a little less alike than the threshold, do not cost the square of a million.

Tried on 8,000 pages of which 80 % is template, with 300 planted near-duplicates: 50 comparisons found all of them, too.
"""

LEAST_FOUND = 0.1
"""Below this chance of finding a pair at the threshold, bands and threshold do not belong together."""


class Verify(Enum):
    """How the similarity of a candidate to the kept document is measured."""

    estimate = "estimate"
    """From the signatures; its standard error is below 0.5 / √(num_bands · rows_per_band)."""
    exact = "exact"
    """Jaccard similarity of the sets of shingles; reads the candidates' texts a second time."""


@dataclass(frozen=True)
class _Signed:
    """What is known of n documents after one pass over their texts."""

    signatures: NDArray[np.uint32]
    """Shape (n, num_bands · rows_per_band), on disk."""
    keys: NDArray[np.uint64]
    """Hashes of the bands, of shape (num_bands, n), on disk."""
    short: NDArray[np.bool_]
    """Which documents have not one shingle."""
    wholes: NDArray[np.uint64]
    """A hash of the whole text of each short document."""


@register("dedup", "minhash")
@dataclass(frozen=True)
class MinHash:
    """Drop documents that are nearly the same as a kept one: MinHash (Broder 1997) in bands, each match verified.

    Two documents meet where all hashes of a band agree; a pair of Jaccard similarity J does so with probability
    1 - (1 - J^rows_per_band)^num_bands (Leskovec+ 2020, section 3.4). A document is dropped only where it is as similar
    as `threshold` to the document that is kept in its stead, so that chains of likenesses do not melt into one cluster.
    What is shorter than a shingle is compared whole. The default bands are data-juicer 2.0's (Chen+ 2024).

    >>> import pathlib, tempfile, pyarrow as pa, pyarrow.parquet as pq
    >>> texts = ["吾輩は猫である。名前はまだ無い。", "吾輩は猫である。名前は、まだ無い", "吾輩は犬である。"]
    >>> shard = pathlib.Path(tempfile.mkdtemp()) / "texts.parquet"
    >>> pq.write_table(pa.table({"text": texts}), shard)
    >>> MinHash().find(Corpus((shard,))).cluster.tolist()
    [0, 0, 2]
    """

    threshold: float = 0.8
    """Least similarity to the kept document; 0 takes every pair that meets in a band."""
    num_bands: int = 32
    """Bands of a signature; more find more."""
    rows_per_band: int = 8
    """Hashes of a band; more demand more similarity."""
    unit: Unit = Unit.auto
    """What a shingle is made of: `word`, `character`, or `auto`, characters only in scripts without spaces."""
    shingle_size: int = 5
    """Words (FineWeb) or characters (Swallow) of a shingle; case, punctuation and white space do not count."""
    verify: Verify = Verify.estimate
    """How a match is verified: by the signatures (`estimate`) or by the texts (`exact`)."""
    keep_by: str = ""
    """Column that decides which document of a cluster is kept; empty keeps the first."""
    keep: Keep = Keep.largest
    """With `keep_by`: keep the document with the `largest` or the `smallest` value."""
    within: str = ""
    """Column of which only equal values are compared (`crawl`); empty compares all."""
    threads: int = field(default=0, metadata=NOT_IN_KEY)
    """Cores to use; 0 takes all."""

    def check(self) -> Iterable[Fault]:
        faults = [
            Fault(name, f"{getattr(self, name)}; expected at least 1", f"{name}={default}")
            for name, default in (("num_bands", 32), ("rows_per_band", 8), ("shingle_size", 5))
            if getattr(self, name) < 1
        ]
        if not 0 <= self.threshold <= 1:
            faults.append(Fault("threshold", f"{self.threshold} is no similarity", "give a number from 0 to 1"))
        if self.threads < 0:
            faults.append(Fault("threads", f"{self.threads} is no number of cores", "threads=0 takes all"))
        yield from faults
        if not faults and self.threshold > 0 and self.found_share(self.threshold) < LEAST_FOUND:
            share = f"{100 * self.found_share(self.threshold):.2g} %"
            what = f"{self.num_bands} bands of {self.rows_per_band} rows find {share} of the pairs at {self.threshold}"
            yield Fault("threshold", what, "take more bands, fewer rows_per_band, or a higher threshold")

    def found_share(self, similarity: float) -> float:
        """Return the chance that a pair of this Jaccard similarity meets in a band.

        >>> round(MinHash(num_bands=40, rows_per_band=20).found_share(0.9), 3)
        0.994
        """
        return float(1 - (1 - similarity**self.rows_per_band) ** self.num_bands)

    def find(self, corpus: Corpus) -> Duplicates:
        import tempfile

        import numpy as np

        from konomi.dedup import _texts

        documents = _texts.count(corpus)
        if documents == 0:
            return Duplicates(np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, np.float32))
        order = _texts.preferred(corpus, self.keep_by, self.keep)
        with tempfile.TemporaryDirectory(prefix="konomi-minhash-", dir=corpus.scratch) as folder:
            signed = self._sign(corpus, documents, Path(folder))
            cluster, similarity = self._cluster(corpus, signed, order, Path(folder))
        return Duplicates(cluster, cluster == np.arange(documents), similarity)

    def signatures(self, texts: pa.Array) -> NDArray[np.uint32]:
        """Return the signatures of n texts, of shape (n, num_bands · rows_per_band)."""
        return self._signatures(self._units(texts))[0]

    def _units(self, texts: pa.Array) -> Units:
        from konomi.units import cut, text_buffers

        return cut(*text_buffers(texts), self.unit, fold=True)

    def _signatures(self, units: Units) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """Return the signatures of n texts, and which of them have no shingle."""
        import numpy as np

        from konomi.dedup._minhash_kernel import coefficients, minima

        shingles, ends = units.ngrams(self.shingle_size)
        factors, summands = coefficients(self.num_bands * self.rows_per_band)
        signatures = np.empty((len(ends), len(factors)), np.uint32)
        minima(shingles, ends, factors, summands, signatures)
        return signatures, np.diff(ends, prepend=0) == 0

    def _sign(self, corpus: Corpus, documents: int, folder: Path) -> _Signed:
        import numpy as np

        from konomi.dedup import _texts
        from konomi.dedup._minhash_kernel import band_keys
        from konomi.units import text_buffers, whole_hashes

        width = self.num_bands * self.rows_per_band
        signatures = _on_disk(folder / "signatures", np.uint32, (documents, width))
        keys = _on_disk(folder / "keys", np.uint64, (self.num_bands, documents))
        short, wholes = np.empty(documents, np.bool_), np.empty(documents, np.uint64)
        groups = _texts.group_hashes(corpus, self.within)

        def sign(part: tuple[int, pa.Array]) -> None:
            own = slice(part[0], part[0] + len(part[1]))
            signatures[own], short[own] = self._signatures(self._units(part[1]))
            band_keys(signatures[own], self.rows_per_band, keys[:, own])
            wholes[own] = whole_hashes(*text_buffers(part[1]), short[own])
            if groups is not None:
                keys[:, own] ^= groups[own]
                wholes[own] ^= groups[own]

        for _ in _texts.on_cores(sign, _texts.read(corpus), self.threads):
            pass
        return _Signed(signatures, keys, short, wholes)

    def _cluster(
        self, corpus: Corpus, signed: _Signed, order: NDArray[np.int64], folder: Path
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the kept document of each document, and its similarity to it."""
        import numpy as np

        from konomi.dedup import _texts
        from konomi.dedup._minhash_kernel import buckets, star

        shape = signed.keys.shape
        places = _on_disk(folder / "places", np.int64, shape)
        kept = _on_disk(folder / "kept", np.int64, (shape[0], shape[1] + shape[1] // 2 + 1))
        long = np.flatnonzero(~signed.short)

        def sort_band(band: int) -> None:
            places[band] = -1
            keys = np.array(signed.keys[band])
            buckets(keys, long[np.argsort(keys[long], kind="stable")], places[band])

        for _ in _texts.on_cores(sort_band, range(self.num_bands), self.threads):
            pass
        cluster, similarity = np.arange(shape[1]), np.ones(shape[1], np.float32)
        if self.verify is Verify.exact:
            shingles, ends = self._shingle_sets(corpus, np.asarray((places >= 0).any(axis=0)), folder)
        else:
            shingles, ends = np.empty(0, np.uint64), np.empty(0, np.int64)
        star(
            order[~signed.short[order]],
            places,
            kept,
            signed.signatures,
            shingles,
            ends,
            self.verify is Verify.exact,
            float(self.threshold),
            MOST_COMPARED,
            cluster,
            similarity,
        )
        short = order[signed.short[order]]
        heads = _texts.groups_of_equals(signed.wholes[short][:, None], np.arange(len(short)))
        cluster[short] = short[heads]
        return cluster, similarity

    def _shingle_sets(
        self, corpus: Corpus, chosen: NDArray[np.bool_], folder: Path
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the sorted shingles of the chosen documents on disk, and where those of each document end."""
        import numpy as np

        from konomi.dedup import _texts

        def sets(part: tuple[int, pa.Array]) -> list[NDArray[np.uint64]]:
            shingles, ends = self._units(part[1]).ngrams(self.shingle_size)
            own = np.split(shingles, ends[:-1])
            return [np.unique(item) if chosen[part[0] + row] else item[:0] for row, item in enumerate(own)]

        sizes: list[int] = []
        with (folder / "shingles").open("wb") as file:
            for found in _texts.on_cores(sets, _texts.read(corpus), self.threads):
                sizes += map(len, found)
                _append(file, found)
        total = sum(sizes)
        shingles = np.memmap(folder / "shingles", np.uint64, "r+", shape=(total,)) if total else np.empty(0, np.uint64)
        return shingles, np.cumsum(sizes, dtype=np.int64)


def _on_disk(path: Path, dtype: Any, shape: tuple[int, ...]) -> Any:
    """Return an array in a file that has its room: else writing to it on a full disk would end the process (SIGBUS)."""
    import numpy as np

    array = np.memmap(path, dtype, "w+", shape=shape)
    if array.nbytes and hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, array.nbytes)
    return array


def _append(file: BinaryIO, arrays: list[NDArray[np.uint64]]) -> None:
    for array in arrays:
        file.write(array.tobytes())
