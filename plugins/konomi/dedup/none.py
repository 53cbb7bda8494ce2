"""No deduplication."""

from __future__ import annotations

from dataclasses import dataclass

from konomi.dedup import Corpus, Duplicates
from konomi.registry import register


@register("dedup", "none")
@dataclass(frozen=True)
class NoDedup:
    """Keep every document, duplicates too."""

    def find(self, corpus: Corpus) -> Duplicates:
        import numpy as np

        from konomi.dedup import _texts

        documents = _texts.count(corpus)
        return Duplicates(np.arange(documents), np.ones(documents, np.bool_), np.ones(documents, np.float32))
