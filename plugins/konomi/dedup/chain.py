"""Several deduplicators, one after another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from konomi.dedup import Corpus, Cuts, Dedup, Duplicates, Indexed
from konomi.faults import Fault
from konomi.fields import choices
from konomi.registry import register

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@register("dedup", "chain")
@dataclass(frozen=True)
class Chain:
    """Apply several deduplicators in order, each to what the ones before it kept, cut as they cut it.

    So exact copies need not be signed, and near-duplicates can be looked for crawl by crawl before they are looked for
    over all. A document whose stand-in is dropped by a later step goes where that one goes; its similarity is then the
    least that the triangle inequality of the Jaccard distance allows, 1 - ((1 - a) + (1 - b)).

    >>> import pathlib, tempfile, pyarrow as pa, pyarrow.parquet as pq
    >>> from konomi.dedup.exact import Exact
    >>> from konomi.dedup.minhash import MinHash
    >>> texts = ["吾輩は猫である。名前はまだ無い", "吾輩は猫である。名前は、まだ無い。", "吾輩は犬である。"] * 2
    >>> shard = pathlib.Path(tempfile.mkdtemp()) / "texts.parquet"
    >>> pq.write_table(pa.table({"text": texts}), shard)
    >>> Chain({"exact": Exact(), "minhash": MinHash()}).find(Corpus((shard,))).cluster.tolist()
    [0, 0, 2, 0, 0, 2]
    """

    steps: dict[str, Dedup] = choices("dedup", "exact", "minhash")
    """What finds duplicates, in order; choose with `dedup.steps=[exact,by_crawl,minhash]`."""

    def check(self) -> Iterable[Fault]:
        if not self.steps:
            yield Fault("steps", "there is none", "dedup=none keeps everything")

    def find(self, corpus: Corpus) -> Duplicates:
        import tempfile

        import numpy as np

        with tempfile.TemporaryDirectory(prefix="konomi-chain-", dir=corpus.scratch) as folder:
            found = _Found(corpus, corpus.count())
            for name, step in self.steps.items():
                found.apply(step, Path(folder) / name)
        return found.duplicates(np.arange(found.documents))

    def index(self, corpus: Corpus, kept: NDArray[np.bool_], names: pa.Array | pa.ChunkedArray, folder: Path) -> None:
        """Write an index for each step that has one, in a folder of the step's name."""
        for name, step in self.steps.items():
            if isinstance(step, Indexed):
                step.index(corpus, kept, names, folder / name)


class _Found:
    """What the steps so far have found among n documents."""

    def __init__(self, corpus: Corpus, documents: int) -> None:
        import numpy as np

        self.corpus, self.documents = corpus, documents
        self.cluster = np.arange(documents)
        self.similarity = np.ones(documents, np.float32)
        self.alive = np.ones(documents, np.bool_)
        self.earlier: dict[int, str] = {}
        """Names of documents of an earlier corpus, by the documents of this one that a step dropped for them."""
        self.cuts: Cuts | None = None

    def apply(self, step: Dedup, scratch: Path) -> None:
        """Let one more step look at what is left."""
        import numpy as np

        from konomi.dedup._cuts import after, laid_over, narrowed

        scratch.mkdir(parents=True)
        seen = self.corpus if self.cuts is None else laid_over(self.corpus, self.cuts, scratch)
        ids = np.flatnonzero(self.alive)
        found = step.find(dataclasses.replace(narrowed(seen, ids), scratch=scratch))
        stands_in, nearness = np.arange(self.documents), np.ones(self.documents, np.float32)
        stands_in[ids], nearness[ids] = ids[found.cluster], found.similarity
        # by float32 throughout, so that what one step found alone stays what it was
        further = np.maximum(self.similarity + nearness[self.cluster] - np.float32(1), np.float32(0))
        self.similarity = np.where(nearness[self.cluster] == 1, self.similarity, further)
        self.cluster = stands_in[self.cluster]
        self.alive[ids] = found.keep
        self.earlier |= {int(ids[at]): name for at, name in enumerate(found.earlier or ()) if name is not None}
        if found.cuts is not None:
            moved = Cuts(ids[found.cuts.document], found.cuts.start, found.cuts.end)
            self.cuts = after(self.cuts, moved)

    def duplicates(self, everyone: NDArray[np.int64]) -> Duplicates:
        """Return what was found in all."""
        import numpy as np

        if not self.earlier:
            return Duplicates(self.cluster, self.alive, self.similarity, cuts=self._of_the_kept())
        names = [self.earlier.get(int(head)) for head in self.cluster]
        own = np.array([name is not None for name in names], np.bool_)
        cluster = np.where(own, everyone, self.cluster)
        return Duplicates(cluster, self.alive, self.similarity, names, self._of_the_kept())

    def _of_the_kept(self) -> Cuts | None:
        """Return the cuts of documents that no later step has dropped."""
        if self.cuts is None:
            return None
        kept = self.alive[self.cuts.document]
        return Cuts(self.cuts.document[kept], self.cuts.start[kept], self.cuts.end[kept])
