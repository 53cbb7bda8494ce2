"""Long passages that stand in the corpus more than once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from konomi.dedup import Corpus, Cuts, Duplicates
from konomi.dedup._options import Occurrence
from konomi.faults import Fault
from konomi.fields import NOT_IN_KEY
from konomi.registry import register

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

PARTS = 64
"""Files that anchors are sorted in, one after another; each is in memory as a whole."""
LEAST = 16
"""Shorter passages are chance: there are more of them than anybody has memory for."""


@register("dedup", "exact_substring")
@dataclass(frozen=True)
class ExactSubstring:
    """Cut out passages that stand elsewhere in the corpus, byte by byte (ExactSubstr; Lee+ 2022, 4.1).

    Every run of `length` bytes that occurs a second time is cut, whatever it begins and ends with, and so is every
    longer one; cuts begin and end between characters. In place of a suffix array, windows are chosen by winnowing
    (Schleimer+ 2003), which any two equal runs share, sorted on disk, and compared with the text, which is
    written there once uncompressed. All documents are kept; one that is a copy as a whole is left without text.

    >>> import pathlib, tempfile, pyarrow as pa, pyarrow.parquet as pq
    >>> shard = pathlib.Path(tempfile.mkdtemp()) / "texts.parquet"
    >>> passage = "このページの無断転載を禁じます。ご利用の前に必ず規約をお読みください。"
    >>> pq.write_table(pa.table({"text": ["一つ。" + passage, "二つ！" + passage]}), shard)
    >>> cuts = ExactSubstring().find(Corpus((shard,))).cuts
    >>> cuts.document.tolist(), cuts.start.tolist(), cuts.end.tolist()
    ([1], [9], [114])
    """

    cuts: ClassVar[bool] = True

    length: int = 100
    """Least bytes of a passage; 100 are about 50 tokens (Lee+ 2022), or 33 Japanese characters."""
    keep: Occurrence = Occurrence.first
    """Which occurrence is left: the `first`, or `none`."""
    threads: int = field(default=0, metadata=NOT_IN_KEY)
    """Cores to use; 0 takes all."""

    def check(self) -> Iterable[Fault]:
        if self.length < LEAST:
            yield Fault("length", f"{self.length} bytes; expected at least {LEAST}", "length=100")
        if self.threads < 0:
            yield Fault("threads", f"{self.threads} is no number of cores", "threads=0 takes all")

    @property
    def width(self) -> int:
        """Return the bytes of a window that anchors are chosen among."""
        return self.length // 2

    @property
    def span(self) -> int:
        """Return how many windows stand in a passage of the least length."""
        return self.length - self.width + 1

    def find(self, corpus: Corpus) -> Duplicates:
        import tempfile

        import numpy as np

        with tempfile.TemporaryDirectory(prefix="konomi-substring-", dir=corpus.scratch) as folder:
            offsets = self._write(corpus, Path(folder))
            cuts = self._cuts(offsets, Path(folder))
        documents = len(offsets) - 1
        return Duplicates(np.arange(documents), np.ones(documents, np.bool_), np.ones(documents, np.float32), cuts=cuts)

    def _write(self, corpus: Corpus, folder: Path) -> NDArray[np.int64]:
        """Write the texts, one after another, and their anchors; return where each text begins, and where all end."""
        import numpy as np

        from konomi.dedup import _texts

        def chosen(part: tuple[int, pa.Array]) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[NDArray[np.uint64]]]:
            from konomi.units import text_buffers

            data, offsets = text_buffers(part[1])
            return data[offsets[0] : offsets[-1]], np.diff(offsets), self._anchors(data, offsets)

        lengths = [np.zeros(1, np.int64)]
        reached = 0
        with ExitStack() as stack:
            text = stack.enter_context((folder / "text").open("wb"))
            files = [stack.enter_context((folder / f"anchors-{part:02}").open("wb")) for part in range(PARTS)]
            for data, sizes, found in _texts.on_cores(chosen, _texts.read(corpus), self.threads):
                text.write(data.data)
                lengths.append(sizes)
                _append(files, found, reached)
                reached += len(data)
        return np.cumsum(np.concatenate(lengths))

    def _anchors(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> list[NDArray[np.uint64]]:
        """Return the hashes and places of anchors, of shape (m, 2), by part."""
        import numpy as np

        from konomi.dedup._substring_kernel import anchors

        size = int(offsets[-1] - offsets[0])
        hashes, places = np.empty(size, np.uint64), np.empty(size, np.int64)
        view = data.view()
        view.flags.writeable = False
        count = anchors(view, offsets.copy(), self.width, self.span, hashes, places)
        rows = np.column_stack([hashes[:count], places[:count].view(np.uint64)])
        part = (rows[:, 0] >> np.uint64(64 - 6)).astype(np.int64)
        order = np.argsort(part, kind="stable")
        return np.split(rows[order], np.searchsorted(part[order], np.arange(1, PARTS)))

    def _cuts(self, offsets: NDArray[np.int64], folder: Path) -> Cuts:
        """Return the passages that repeat."""
        import numpy as np

        from konomi.dedup import _cuts, _texts
        from konomi.dedup._substring_kernel import at_characters

        size = int(offsets[-1])
        text = np.memmap(folder / "text", np.uint8, "r", shape=(size,)) if size else np.empty(0, np.uint8)
        parts = [folder / f"anchors-{part:02}" for part in range(PARTS)]
        found = list(_texts.on_cores(lambda part: self._repeated(part, text, offsets), parts, self.threads))
        start, end = (np.concatenate([item[column] for item in found]) for column in (0, 1))
        document = np.searchsorted(offsets, start, side="right") - 1
        joined = _cuts.union(document, start, end)
        at_characters(text, joined.start, joined.end)
        left = joined.start < joined.end
        first = offsets[joined.document[left]]
        return Cuts(joined.document[left], joined.start[left] - first, joined.end[left] - first)

    def _repeated(
        self, part: Path, text: NDArray[np.uint8], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where in the whole text passages that stand elsewhere begin and end."""
        import numpy as np

        from konomi.dedup._substring_kernel import all_repeats

        rows = np.fromfile(part, np.uint64).reshape(-1, 2)
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        twice = np.zeros(len(rows), np.bool_)
        equal = rows[1:, 0] == rows[:-1, 0]
        twice[1:] |= equal
        twice[:-1] |= equal
        hashes, places = np.ascontiguousarray(rows[twice, 0]), rows[twice, 1].astype(np.int64)
        document = np.searchsorted(offsets, places, side="right") - 1
        low, high = offsets[document], offsets[document + 1]
        start, end = np.empty_like(places), np.empty_like(places)
        view = np.asarray(text).view()
        view.flags.writeable = False
        every = self.keep is Occurrence.none
        all_repeats(view, hashes, places, low, high, self.length, self.span, every, start, end)
        cut = start < end
        return start[cut], end[cut]


def _append(files: Sequence[BinaryIO], parts: list[NDArray[np.uint64]], reached: int) -> None:
    """Write anchors into the files of their parts, with places counted from the corpus' first byte."""
    import numpy as np

    for file, rows in zip(files, parts, strict=True):
        rows[:, 1] += np.uint64(reached)
        file.write(np.ascontiguousarray(rows).data)
