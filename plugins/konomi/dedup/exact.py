"""Equal documents, by a hash of what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.dedup import Corpus, Duplicates, _index
from konomi.dedup._options import Keep
from konomi.faults import Fault
from konomi.fields import NOT_IN_KEY
from konomi.registry import register

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

ID = "dedup/exact"

WHITE_SPACE = r"[\s\p{Z}]+"
NOT_CONTENT = r"[^\p{L}\p{N}\p{M}]+"
"""Everything but letters, digits and the marks that Indic vowels are written with (RE2's Unicode classes)."""


class Equal(Enum):
    """When two documents count as equal."""

    bytes = "bytes"
    """Every byte is the same."""
    spaces = "spaces"
    """The same in NFKC, whatever white space stands between the words."""
    letters = "letters"
    """The same letters and digits in NFKC, without regard to case, white space, punctuation and signs."""


@register("dedup", "exact")
@dataclass(frozen=True)
class Exact:
    """Drop documents that say exactly what another one says, by a 128-bit hash of the normalised text (XXH3).

    >>> import pathlib, tempfile, pyarrow as pa, pyarrow.parquet as pq
    >>> shard = pathlib.Path(tempfile.mkdtemp()) / "texts.parquet"
    >>> pq.write_table(pa.table({"text": ["一つ 二つ", "三つ", "一つ　二つ"]}), shard)
    >>> Exact().find(Corpus((shard,))).cluster.tolist()
    [0, 1, 0]
    """

    equal: Equal = Equal.spaces
    """What counts as equal: `bytes`, `spaces` (NFKC, any white space), `letters` (letters and digits alone)."""
    keep_by: str = ""
    """Column that decides which copy is kept; empty keeps the first."""
    keep: Keep = Keep.largest
    """With `keep_by`: keep the copy with the `largest` or the `smallest` value."""
    within: str = ""
    """Column of which only equal values are compared (`crawl`); empty compares all."""
    against: tuple[str, ...] = field(default=(), metadata=NOT_IN_KEY)
    """Folders of indexes of earlier corpora (`index/` of a curated artifact); what they hold is dropped here."""
    threads: int = field(default=0, metadata=NOT_IN_KEY)
    """Cores to use; 0 takes all."""

    def check(self) -> Iterable[Fault]:
        if self.threads < 0:
            yield Fault("threads", f"{self.threads} is no number of cores", "threads=0 takes all")
        yield from _index.faults(self.against, ID, self._shaping())

    def depends(self) -> Mapping[str, Any]:
        from importlib.metadata import version

        read = {"against": _index.contents(self.against, ID)} if self.against else {}
        return read if self.equal is Equal.bytes else {"pyarrow": version("pyarrow"), **read}

    def find(self, corpus: Corpus) -> Duplicates:
        import numpy as np

        from konomi.dedup import _texts

        indexes = self._earlier()
        hashes = np.concatenate([self._signed(corpus), *(index.array("hashes") for index in indexes)])
        order = _texts.preferred(corpus, self.keep_by, self.keep)
        documents = len(order)
        everyone = np.concatenate([np.arange(documents, len(hashes)), order])
        cluster, earlier = _index.told(indexes, _texts.groups_of_equals(hashes, everyone)[:documents])
        keep = cluster == np.arange(documents)
        if earlier is not None:
            keep &= np.array([name is None for name in earlier], np.bool_)
        return Duplicates(cluster, keep, np.ones(documents, np.float32), earlier)

    def index(self, corpus: Corpus, kept: NDArray[np.bool_], names: pa.Array | pa.ChunkedArray, folder: Path) -> None:
        """Write the hashes of the documents that are `kept`, with their names, for `against` of a later corpus."""
        import numpy as np
        import pyarrow as pa

        from konomi.dedup._cuts import narrowed

        hashes = self._signed(narrowed(corpus, np.flatnonzero(kept)))
        _index.write(folder, ID, self._shaping(), {"hashes": hashes}, names.filter(pa.array(kept)))

    def _shaping(self) -> dict[str, Any]:
        return _index.options_of(self, ("equal", "within"))

    def _earlier(self) -> list[_index.Index]:
        return _index.opened(self.against, ID, self._shaping())

    def _signed(self, corpus: Corpus) -> NDArray[np.uint64]:
        """Return the hashes of n documents, of shape (n, 2), or (n, 3) with that of the value that they keep within."""
        import numpy as np

        from konomi.dedup import _texts

        parts = list(_texts.on_cores(lambda part: self._hashes(part[1]), _texts.read(corpus), self.threads))
        hashes = np.concatenate([np.empty((0, 2), np.uint64), *parts])
        groups = _texts.group_hashes(corpus, self.within) if self.within else None
        return hashes if groups is None else np.column_stack([hashes, groups])

    def _hashes(self, texts: pa.Array) -> NDArray[np.uint64]:
        """Return the hashes of n texts, of shape (n, 2)."""
        from itertools import pairwise

        import numpy as np
        from xxhash import xxh3_128_digest

        from konomi.units import text_buffers

        data, offsets = text_buffers(self._normalised(texts))
        view = memoryview(data)  # type: ignore[arg-type]  # numpy's arrays have the buffer protocol
        bounds = offsets.tolist()
        digests = b"".join(xxh3_128_digest(view[start:end]) for start, end in pairwise(bounds))
        return np.frombuffer(digests, np.uint64).reshape(-1, 2)

    def _normalised(self, texts: pa.Array) -> pa.Array:
        import pyarrow.compute as pc

        if self.equal is Equal.bytes:
            return texts
        plain = pc.utf8_normalize(texts, form="NFKC")
        spaced = pc.utf8_trim_whitespace(pc.replace_substring_regex(plain, WHITE_SPACE, " "))
        if self.equal is Equal.spaces:
            return spaced
        letters = pc.replace_substring_regex(pc.utf8_lower(plain), NOT_CONTENT, "")
        return pc.if_else(pc.equal(letters, ""), spaced, letters)  # else all texts of mere signs would be equal
