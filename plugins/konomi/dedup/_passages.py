"""Passages that stand in several documents: what `lines` and `paragraphs` have in common."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from konomi.dedup import Corpus, Cuts, Duplicates
from konomi.dedup._options import Occurrence
from konomi.faults import Fault
from konomi.fields import NOT_IN_KEY

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

PARTS_BITS = 6
"""Hashes are counted in 64 files, one after another; each is in memory as a whole."""


@dataclass(frozen=True)
class Passages:
    """Cut passages out that stand in several documents; made for `lines` and `paragraphs`."""

    cuts: ClassVar[bool] = True

    blank_line: ClassVar[bool]
    """Whether a passage ends at a blank line, and not at every line break."""

    least_count: int = 2
    """Documents that a passage must stand in to be cut; what repeats within one document alone is left."""
    least_characters: int = 20
    """Least characters of a passage, white space and punctuation not counted; shorter ones stay."""
    keep: Occurrence = Occurrence.first
    """Which occurrence is left: those in the `first` document, or `none`."""
    threads: int = field(default=0, metadata=NOT_IN_KEY)
    """Cores to use; 0 takes all."""

    def check(self) -> Iterable[Fault]:
        if self.least_count < 2:
            yield Fault("least_count", f"{self.least_count}; expected at least 2", "least_count=2")
        if self.least_characters < 1:
            yield Fault("least_characters", f"{self.least_characters}; expected at least 1", "least_characters=20")
        if self.threads < 0:
            yield Fault("threads", f"{self.threads} is no number of cores", "threads=0 takes all")

    def find(self, corpus: Corpus) -> Duplicates:
        import tempfile

        import numpy as np

        documents = corpus.count()
        with tempfile.TemporaryDirectory(prefix="konomi-passages-", dir=corpus.scratch) as folder:
            common, first = self._common(corpus, Path(folder))
            cuts = self._cuts(corpus, common, first)
        everyone = np.arange(documents)
        return Duplicates(everyone, np.ones(documents, np.bool_), np.ones(documents, np.float32), cuts=cuts)

    def _cut(self, texts: pa.Array) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
        """Return hash, text and place of the passages that are long enough; places are of shape (m, 2)."""
        import numpy as np

        from konomi.dedup._passages_kernel import passages
        from konomi.units import Unit, cut, text_buffers

        data, offsets = text_buffers(texts)
        size = int(offsets[-1] - offsets[0])
        bounds, documents = np.empty(size + 1, np.int64), np.empty(size, np.int64)
        view = data.view()
        view.flags.writeable = False
        count = passages(view, offsets.copy(), self.blank_line, bounds, documents)
        bounds, documents = bounds[: count + 1], documents[:count]
        if count == 0:
            return np.empty(0, np.uint64), documents, np.empty((0, 2), np.int64)
        units = cut(data, bounds, Unit.auto, fold=True)
        hashes = _whole(units.hashes, units.ends)
        long = units.characters() >= self.least_characters
        places = np.column_stack([bounds[:-1], bounds[1:]]) - offsets[documents][:, None]
        return hashes[long], documents[long], places[long]

    def _common(self, corpus: Corpus, folder: Path) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the hashes of passages that stand in enough documents, sorted, and the first of those documents."""
        import numpy as np

        from konomi.dedup import _texts

        def hashed(part: tuple[int, pa.Array]) -> NDArray[np.uint64]:
            hashes, documents, _ = self._cut(part[1])
            return np.column_stack([hashes, (documents + part[0]).astype(np.uint64)])

        paths = [folder / f"passages-{number:02}" for number in range(1 << PARTS_BITS)]
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in paths]
            for rows in _texts.on_cores(hashed, _texts.read(corpus), self.threads):
                part = (rows[:, 0] >> np.uint64(64 - PARTS_BITS)).astype(np.int64)
                order = np.argsort(part, kind="stable")
                parts = np.split(rows[order], np.searchsorted(part[order], range(1, len(files))))
                for file, own in zip(files, parts, strict=True):
                    file.write(np.ascontiguousarray(own).data)
        found = list(_texts.on_cores(self._counted, paths, self.threads))
        return np.concatenate([item[0] for item in found]), np.concatenate([item[1] for item in found])

    def _counted(self, path: Path) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return what `_common` does for the hashes in one file."""
        import numpy as np

        rows = np.fromfile(path, np.uint64).reshape(-1, 2)
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        new = np.ones(len(rows), np.bool_)  # one row for a passage that a document repeats
        new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
        rows = rows[new]
        hashes, starts, counts = np.unique(rows[:, 0], return_index=True, return_counts=True)
        enough = counts >= self.least_count
        return hashes[enough], rows[starts[enough], 1].astype(np.int64)

    def _cuts(self, corpus: Corpus, common: NDArray[np.uint64], first: NDArray[np.int64]) -> Cuts:
        """Return the passages to cut, from a second look at the texts."""
        import numpy as np

        from konomi.dedup import _cuts, _texts

        def found(part: tuple[int, pa.Array]) -> NDArray[np.int64]:
            hashes, documents, places = self._cut(part[1])
            documents = documents + part[0]
            at = np.minimum(np.searchsorted(common, hashes), max(len(common) - 1, 0))
            cut = common[at] == hashes if len(common) else np.zeros(len(hashes), np.bool_)
            if self.keep is Occurrence.first and len(common):
                cut &= first[at] != documents
            return np.column_stack([documents[cut], places[cut]])

        parts = list(_texts.on_cores(found, _texts.read(corpus), self.threads))
        rows = np.concatenate([np.empty((0, 3), np.int64), *parts])
        return _cuts.union(rows[:, 0], rows[:, 1], rows[:, 2])


def _whole(units: NDArray[np.uint64], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return one hash of all units of each passage; 0 for a passage without any."""
    import numpy as np

    from konomi._units_kernel import roll_all

    sizes = np.diff(ends, prepend=0)
    hashes, hash_ends = np.empty_like(units), np.empty_like(ends)
    count = roll_all(units, ends, np.maximum(sizes, 1), hashes, hash_ends)
    whole = np.zeros(len(ends), np.uint64)
    whole[sizes > 0] = hashes[:count]
    return whole
