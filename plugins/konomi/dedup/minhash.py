"""Near-duplicates by MinHash and locality-sensitive hashing, verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from konomi.dedup import Corpus, Duplicates
from konomi.dedup._options import Keep
from konomi.faults import Fault, Faults
from konomi.fields import NOT_IN_KEY
from konomi.registry import register
from konomi.units import Unit

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from konomi.dedup._disk import OnDisk
    from konomi.dedup._index import Index
    from konomi.units import Units

MOST_COMPARED = 200
"""Kept documents that one document is compared with, those of its smallest buckets first, so that a million pages of
one template, all a little less alike than the threshold, do not cost the square of a million.

Tried on 8,000 pages of which 80 % is template, with 300 planted near-duplicates: 50 comparisons found all of them, too.
"""

HELD_BYTES = 32 << 20
STAR_DOCUMENTS = 1 << 14
"""Signatures, and documents on the walk, after which what lies on disk is let go of by this process' memory."""

ID = "dedup/minhash"

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

    documents: int
    """Those of the corpus itself; after them come those of earlier corpora."""
    signatures: OnDisk
    """Shape (n, num_bands · rows_per_band), uint32."""
    keys: OnDisk
    """Hashes of the bands, of shape (num_bands, n), uint64."""
    short: NDArray[np.bool_]
    """Which documents have not one shingle."""
    wholes: NDArray[np.uint64]
    """A hash of the whole text of each short document."""
    groups: NDArray[np.uint64] | None
    """A hash of the value within which each document is compared."""


@register("dedup", "minhash", version=2)
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
    against: tuple[str, ...] = field(default=(), metadata=NOT_IN_KEY)
    """Folders of indexes of earlier corpora (`index/` of a curated artifact); what they hold is dropped here."""
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
        yield from self._index_faults()
        if not faults and self.threshold > 0 and self.found_share(self.threshold) < LEAST_FOUND:
            share = f"{100 * self.found_share(self.threshold):.2g} %"
            what = f"{self.num_bands} bands of {self.rows_per_band} rows find {share} of the pairs at {self.threshold}"
            yield Fault("threshold", what, "take more bands, fewer rows_per_band, or a higher threshold")

    def _index_faults(self) -> Iterator[Fault]:
        from konomi.dedup._index import faults

        if self.against and self.verify is Verify.exact:
            what = "an index holds signatures, and verify=exact asks for the texts of earlier corpora"
            yield Fault("verify", what, "verify=estimate, or no against")
        yield from faults(self.against, ID, self._shaping())

    def found_share(self, similarity: float) -> float:
        """Return the chance that a pair of this Jaccard similarity meets in a band.

        >>> round(MinHash(num_bands=40, rows_per_band=20).found_share(0.9), 3)
        0.994
        """
        return float(1 - (1 - similarity**self.rows_per_band) ** self.num_bands)

    def depends(self) -> Mapping[str, Any]:
        from konomi.dedup._index import contents

        return {"against": contents(self.against, ID)} if self.against else {}

    def find(self, corpus: Corpus) -> Duplicates:
        import tempfile

        import numpy as np

        from konomi.dedup import _index, _texts

        documents = _texts.count(corpus)
        if documents == 0:
            return Duplicates(np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, np.float32))
        indexes = self._earlier()
        order = _texts.preferred(corpus, self.keep_by, self.keep)
        with tempfile.TemporaryDirectory(prefix="konomi-minhash-", dir=corpus.scratch) as folder:
            signed = self._sign(corpus, documents, indexes, Path(folder))
            cluster, similarity = self._cluster(corpus, signed, order, Path(folder))
        cluster, earlier = _index.told(indexes, cluster[:documents])
        keep = cluster == np.arange(documents)
        if earlier is not None:
            keep &= np.array([name is None for name in earlier], np.bool_)
        return Duplicates(cluster, keep, similarity[:documents], earlier)

    def index(self, corpus: Corpus, kept: NDArray[np.bool_], names: pa.Array | pa.ChunkedArray, folder: Path) -> None:
        """Write the signatures of the documents that are `kept`, with their names, for `against` of a later corpus."""
        import tempfile

        import numpy as np
        import pyarrow as pa

        from konomi.dedup import _cuts, _index

        ids = np.flatnonzero(kept)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="konomi-minhash-", dir=corpus.scratch) as scratch:
            signed = self._sign(_cuts.narrowed(corpus, ids), len(ids), [], Path(scratch))
            arrays = {"signatures": signed.signatures.array, "short": signed.short, "wholes": signed.wholes}
            if signed.groups is not None:
                arrays["groups"] = signed.groups
            _index.write(folder, ID, self._shaping(), arrays, names.filter(pa.array(kept)))

    def _shaping(self) -> dict[str, Any]:
        """Return the options that shape signatures: two sets of them can be compared where these agree."""
        from konomi.dedup._index import options_of

        return options_of(self, ("num_bands", "rows_per_band", "unit", "shingle_size", "within"))

    def _earlier(self) -> list[Index]:
        from konomi.dedup import _index

        Faults.check(self._index_faults())
        return _index.opened(self.against, ID, self._shaping())

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
        factors, masks = coefficients(self.num_bands * self.rows_per_band)
        signatures = np.empty((len(ends), len(factors)), np.uint32)
        minima(shingles, ends, factors, masks, signatures)
        return signatures, np.diff(ends, prepend=0) == 0

    def _sign(self, corpus: Corpus, documents: int, indexes: Sequence[Index], folder: Path) -> _Signed:
        """Sign the documents, and those of earlier corpora after them."""
        import numpy as np

        from konomi.dedup import _texts
        from konomi.dedup._disk import OnDisk
        from konomi.dedup._minhash_kernel import band_keys
        from konomi.units import text_buffers, whole_hashes

        width, total = self.num_bands * self.rows_per_band, documents + sum(index.documents for index in indexes)
        signatures = OnDisk(folder / "signatures", np.uint32, (total, width))
        keys = OnDisk(folder / "keys", np.uint64, (self.num_bands, total))
        short, wholes = np.empty(total, np.bool_), np.empty(total, np.uint64)
        groups = np.zeros(total, np.uint64) if self.within else None
        if groups is not None:
            groups[:documents] = _texts.group_hashes(corpus, self.within)

        def band(own: slice) -> None:
            band_keys(signatures.array[own], self.rows_per_band, keys.array[:, own])
            if groups is not None:
                keys.array[:, own] ^= groups[own]
                wholes[own] ^= groups[own]

        def sign(part: tuple[int, pa.Array]) -> int:
            own = slice(part[0], part[0] + len(part[1]))
            signatures.array[own], short[own] = self._signatures(self._units(part[1]))
            wholes[own] = whole_hashes(*text_buffers(part[1]), short[own])
            band(own)
            return len(part[1]) * width * 4

        written = 0
        for size in _texts.on_cores(sign, _texts.read(corpus), self.threads):
            if (written := written + size) > HELD_BYTES:
                written = 0
                signatures.let_go()
                keys.let_go()
        first = documents
        for index in indexes:
            for own, rows in _pieces(first, index.documents, width):
                signatures.array[own], short[own] = index.array("signatures")[rows], index.array("short")[rows]
                wholes[own] = index.array("wholes")[rows]
                if groups is not None:  # of the wholes an index keeps what they are with their group
                    groups[own] = index.array("groups")[rows]
                    wholes[own] ^= groups[own]
                band(own)
                signatures.let_go()
                keys.let_go()
            first += index.documents
        return _Signed(documents, signatures, keys, short, wholes, groups)

    def _cluster(
        self, corpus: Corpus, signed: _Signed, order: NDArray[np.int64], folder: Path
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the kept document of each document, and its similarity to it; those of earlier corpora are kept."""
        import numpy as np

        from konomi.dedup import _texts
        from konomi.dedup._disk import OnDisk
        from konomi.dedup._minhash_kernel import settle, star

        total = len(signed.short)
        places, met = self._places(signed)
        kept = OnDisk(folder / "kept", np.int64, (self.num_bands, total + total // 2 + 1))
        cluster, similarity = np.arange(total), np.ones(total, np.float32)
        if self.verify is Verify.exact:
            shingles, ends = self._shingle_sets(corpus, met, folder)
        else:
            shingles, ends = np.empty(0, np.uint64), np.empty(0, np.int64)
        settle(signed.documents, places, kept.array)
        compared = np.full(total, -1, np.int64)
        long = order[met[order]]
        for start in range(0, len(long), STAR_DOCUMENTS):
            star(
                long[start : start + STAR_DOCUMENTS],
                places,
                kept.array,
                signed.signatures.array,
                shingles,
                ends,
                self.verify is Verify.exact,
                float(self.threshold),
                MOST_COMPARED,
                compared,
                cluster,
                similarity,
            )
            for item in (signed.signatures, signed.keys, kept):
                item.let_go()
        everyone = np.concatenate([np.arange(signed.documents, total), order])
        short = everyone[signed.short[everyone]]
        heads = _texts.groups_of_equals(signed.wholes[short][:, None], np.arange(len(short)))
        cluster[short] = short[heads]
        return cluster, similarity

    def _places(self, signed: _Signed) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return where the bucket of each document begins in each band, and which documents have a bucket in one.

        The places, of shape (num_bands, n), take those of the bands' keys on disk.
        """
        import numpy as np

        from konomi.dedup import _texts
        from konomi.dedup._minhash_kernel import buckets

        places = signed.keys.array.view(np.int64)
        long = np.flatnonzero(~signed.short)
        met = np.zeros(len(signed.short), np.bool_)

        def sort_band(band: int) -> NDArray[np.bool_]:
            keys = np.array(signed.keys.array[band])
            places[band] = -1
            buckets(keys, long[np.argsort(keys[long])], places[band])
            return np.asarray(places[band] >= 0)

        for found in _texts.on_cores(sort_band, range(self.num_bands), self.threads):
            met |= found
            signed.keys.let_go()
        return places, met

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


def _pieces(first: int, documents: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices of an index's rows that are read at once, where they go and where they come from."""
    step = max(1, HELD_BYTES // (4 * width))
    for start in range(0, documents, step):
        end = min(start + step, documents)
        yield slice(first + start, first + end), slice(start, end)


def _append(file: BinaryIO, arrays: list[NDArray[np.uint64]]) -> None:
    for array in arrays:
        file.write(array.tobytes())
