"""Documents that mean the same, by the vectors of an encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi import registry
from konomi.dedup import Corpus, Duplicates
from konomi.dedup._options import Keep
from konomi.faults import Fault, KonomiError
from konomi.fields import NOT_IN_KEY
from konomi.registry import register

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POINTS_A_CLUSTER = 39
"""Documents that k-means wants for each cluster (faiss, Clustering.h); a smaller corpus gets fewer clusters."""
ROWS = 65_536
"""Vectors that are worked on at once."""
BLOCK = 1_024
DIGITS = 4
"""Of a similarity that are kept: further ones depend on how texts were batched."""


class Prefer(Enum):
    """Which of several documents of one meaning is kept."""

    farthest = "farthest"
    """The one least like its cluster's centroid (Abbas+ 2023)."""
    nearest = "nearest"
    """The one most like it."""


@register("dedup", "semdedup")
@dataclass(frozen=True)
class SemDedup:
    """Drop documents that mean what a kept one means: SemDeDup (Abbas+ 2023, section 3.2) over any encoder's vectors.

    A text's vector is the mean of the encoder's last hidden states. Spherical k-means (faiss) puts like documents
    together; within a cluster, the preferred ones first, a document is dropped whose cosine to a kept one is above
    1 - epsilon. The vectors lie on disk. Needs `pip install 'konomi[semdedup]'`; an accelerator is used where there is
    one.

    >>> [fault.where for fault in SemDedup(encoder="./no/such/encoder").check()]
    ['encoder']
    """

    encoder: str = field(default="intfloat/multilingual-e5-small", metadata=NOT_IN_KEY)
    """`OWNER/NAME` of a model of transformers on the hub, or a folder; what it holds is in the key."""
    revision: str | None = field(default=None, metadata=NOT_IN_KEY)
    """Branch, tag or commit on the hub; unset is the main branch. The commit that it stands for is in the key."""
    epsilon: float = 0.05
    """A document goes where its cosine to a kept one is above 1 - epsilon; what removes how much is the encoder's."""
    num_clusters: int = 11_000
    """Clusters (the paper's for C4); a corpus with fewer than 39 documents for each gets fewer."""
    iterations: int = 100
    """Steps of k-means."""
    sample: int = 1_000_000
    """Documents that the clusters are fitted on, chosen at random; 0 takes all."""
    prefer: Prefer = Prefer.farthest
    """Which document is kept: the one `farthest` from the cluster's centroid (the paper's), or `nearest`."""
    keep_by: str = ""
    """Column that decides which document is kept, instead of `prefer`."""
    keep: Keep = Keep.largest
    """With `keep_by`: keep the document with the `largest` or the `smallest` value."""
    max_tokens: int = 512
    """Tokens of a text that the encoder reads, the first ones."""
    batch_tokens: int = field(default=16_384, metadata=NOT_IN_KEY)
    """Tokens that the encoder reads at once."""
    seed: int = 0
    """Seed of the sample and of the first centroids."""

    def check(self) -> Iterable[Fault]:
        from importlib.util import find_spec

        for name in ("num_clusters", "iterations", "max_tokens", "batch_tokens"):
            if getattr(self, name) < 1:
                yield Fault(name, f"{getattr(self, name)}; expected at least 1")
        if self.sample < 0:
            yield Fault("sample", f"{self.sample} is no number of documents", "sample=0 takes all")
        if not 0 <= self.epsilon < 1:
            yield Fault("epsilon", f"{self.epsilon}; expected from 0 to less than 1", "epsilon=0.05")
        if find_spec("faiss") is None:
            yield Fault("", "semdedup needs faiss, which is not installed", "pip install 'konomi[semdedup]'")
        for fault in self._hub().check():
            if "causal" not in fault.what:  # an encoder need not generate
                yield Fault({"name_or_path": "encoder"}.get(fault.where, fault.where), fault.what)

    def depends(self) -> Mapping[str, Any]:
        return dict(self._hub().depends())

    def _hub(self) -> Any:
        return registry.get("model", "hub")(name_or_path=self.encoder, revision=self.revision)

    def find(self, corpus: Corpus) -> Duplicates:
        import tempfile

        import numpy as np

        from konomi.dedup import _texts

        documents = corpus.count()
        head, similarity = np.arange(documents), np.ones(documents, np.float32)
        if documents:
            order = _texts.preferred(corpus, self.keep_by, self.keep) if self.keep_by else None
            with tempfile.TemporaryDirectory(prefix="konomi-semdedup-", dir=corpus.scratch) as folder:
                self._walk(corpus, documents, order, Path(folder), head, similarity)
        return Duplicates(head, head == np.arange(documents), similarity)

    def _walk(
        self,
        corpus: Corpus,
        documents: int,
        order: NDArray[np.int64] | None,
        folder: Path,
        head: NDArray[np.int64],
        similarity: NDArray[np.float32],
    ) -> None:
        """Fill in the kept document of each document, cluster by cluster."""
        import numpy as np

        vectors = self._vectors(corpus, documents, folder)
        told = np.flatnonzero(np.concatenate([item.any(axis=1) for item in _pieces(vectors)]))
        if not len(told):
            return
        cluster, nearness = self._clusters(vectors, told)
        if order is not None:
            rank = np.empty(documents, np.int64)
            rank[order] = np.arange(documents)
            preference: Any = rank[told]
        else:
            preference = nearness if self.prefer is Prefer.farthest else -nearness
        by_cluster = np.lexsort((told, preference, cluster))
        for own in np.split(by_cluster, np.flatnonzero(np.diff(cluster[by_cluster])) + 1):
            members = told[own]
            heads, found = _kept(vectors, members, 1 - self.epsilon)
            head[members], similarity[members] = members[heads], found

    def _vectors(self, corpus: Corpus, documents: int, folder: Path) -> NDArray[np.float32]:
        """Return the documents' unit vectors, on disk; zeros for one without a token."""
        import numpy as np

        from konomi.dedup._disk import OnDisk
        from konomi.dedup._encoder import Encoder, is_folder

        hub = self._hub().depends()
        name = str(Path(self.encoder).expanduser()) if is_folder(self.encoder) else str(hub["repository"])
        encoder = Encoder(name, hub.get("commit"), self.max_tokens, self.batch_tokens)
        held = OnDisk(folder / "vectors", np.float32, (documents, encoder.width))
        for first, texts in corpus.texts():
            read = [data.decode("utf-8", "replace") for data in texts.fill_null("").cast("large_binary").to_pylist()]
            held.array[first : first + len(read)] = encoder.encode(read)
            held.let_go()
        return held.array

    def _clusters(
        self, vectors: NDArray[np.float32], told: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the cluster of each of the documents `told`, and its cosine to the centroid."""
        import numpy as np

        try:
            import faiss
        except ImportError as error:
            raise KonomiError("semdedup needs faiss; type: pip install 'konomi[semdedup]'") from error
        chosen = told
        if self.sample and len(told) > self.sample:
            chosen = np.sort(np.random.default_rng(self.seed).choice(told, self.sample, replace=False))
        count = max(1, min(self.num_clusters, len(chosen) // POINTS_A_CLUSTER))
        means = faiss.Kmeans(
            vectors.shape[1],
            count,
            niter=self.iterations,
            spherical=True,
            seed=self.seed,
            min_points_per_centroid=1,
            max_points_per_centroid=len(chosen),
        )
        means.train(np.ascontiguousarray(vectors[chosen]))
        found = [means.index.search(vectors[told[at : at + ROWS]], 1) for at in range(0, len(told), ROWS)]
        nearness = np.concatenate([item[0][:, 0] for item in found]).astype(np.float64)
        return np.concatenate([item[1][:, 0] for item in found]), np.round(nearness, DIGITS)


def _pieces(vectors: NDArray[np.float32]) -> Iterable[NDArray[np.float32]]:
    return (vectors[start : start + ROWS] for start in range(0, len(vectors), ROWS))


def _kept(
    vectors: NDArray[np.float32], members: NDArray[np.int64], least: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return, for each member of a cluster in the order of preference, the kept one that it goes to, and the cosine."""
    import numpy as np

    from konomi.dedup._semdedup_kernel import walk

    own = vectors[members]
    head, nearness = np.arange(len(members)), np.ones(len(members), np.float32)
    for start in range(0, len(members), BLOCK):
        block = own[start : start + BLOCK] @ own[: start + BLOCK].T
        walk(np.minimum(np.round(block, DIGITS), 1), start, least, head, nearness)
    return head, nearness
