"""The books of a curation: what came, what fell at which step and why; one of each shard, added up."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNREADABLE, ANSWERS, BEFORE, DEDUP = "unreadable", "answers", "before", "dedup"
"""Steps of the funnel that are no filter: rows without text, answers that teach nothing, duplicates."""

SAMPLED_SCORES = 100_000
SAMPLED_TEXTS = 200
DIFFERENT_WORDS = 500
"""Caps of what is kept for looking at: values of a score, dropped texts of one step, words of a shard."""

FIGURES = re.compile(r" \S+ [<>≤≥] .*$", re.DOTALL)


def label(reason: str) -> str:
    """Return a reason without its figures, to count by.

    >>> label("duplicate lines 0.412 > 0.3")
    'duplicate lines'
    """
    return FIGURES.sub("", reason)


@dataclass
class Lowest:
    """The `size` entries of the lowest hashes: a random sample that does not depend on the order of the corpus."""

    size: int
    _heap: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)

    def offer(self, hash_: int, row: int, entry: dict[str, Any]) -> None:
        """Take the entry in, where it is among the lowest so far."""
        item = (-hash_, -row, entry)
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, item)
        elif item[:2] > self._heap[0][:2]:
            heapq.heapreplace(self._heap, item)

    def add(self, other: Lowest) -> None:
        """Take in what another sample of the same size kept."""
        for hash_, row, entry in other._heap:
            self.offer(-hash_, -row, entry)

    def entries(self) -> list[dict[str, Any]]:
        """Return what was kept, by row."""
        return [entry for _, _, entry in sorted(self._heap, key=lambda item: -item[1])]


@dataclass
class Scores:
    """Values of one score, of every row or, where they are many, of every 2nd, 4th, 8th … row."""

    threshold: float | None = None
    step: int = 1
    values: list[float] = field(default_factory=list)

    def add(self, rows: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Take in the values of some rows, given by their numbers; what is no finite number cannot be drawn."""
        import numpy as np

        chosen = values[rows % self.step == 0]
        self.values += chosen[np.isfinite(chosen.astype(np.float64))].tolist()


def thinning(rows: int) -> int:
    """Return the least power of two such that every so many of `rows` values are `SAMPLED_SCORES` at the most."""
    step = 1
    while rows > step * SAMPLED_SCORES:
        step *= 2
    return step


@dataclass
class Tally:
    """What happened to the documents of a shard, or of all."""

    documents: int = 0
    characters: int = 0
    bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """By step."""
    dropped_bytes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By step and reason."""
    rewritten: Counter[str] = field(default_factory=Counter)
    """Texts that each filter changed."""
    seconds: dict[str, float] = field(default_factory=dict)
    """What each step took, over all workers."""
    computed: Counter[str] = field(default_factory=Counter)
    """Documents that each filter looked at, where others' scores were there already."""
    scores: dict[str, Scores] = field(default_factory=dict)
    """By column: the filter's name, `_`, the score's name."""
    words: dict[str, Counter[str]] = field(default_factory=dict)
    """How often each word was found, of the scores that are words (languages), by column."""
    samples: dict[str, Lowest] = field(default_factory=dict)
    """Some of the dropped documents by step: `row`, `reason`."""

    def drop(self, step: str, reason: str, row: int, hash_: int, size: int, *, counted_as: str = "") -> None:
        """Write down that a document was dropped; by default it is counted by the reason without its figures."""
        self.dropped[step] += 1
        self.dropped_bytes[step] += size
        self.reasons[step, counted_as or label(reason)] += 1
        self.samples.setdefault(step, Lowest(SAMPLED_TEXTS)).offer(hash_, row, {"row": row, "reason": reason})

    def take(self, seconds: Mapping[str, float]) -> None:
        """Add the times of steps."""
        for step, spent in seconds.items():
            self.seconds[step] = self.seconds.get(step, 0.0) + spent

    def add(self, other: Tally) -> None:
        """Add what another one counted."""
        self.documents += other.documents
        self.characters += other.characters
        self.bytes += other.bytes
        for name in ("dropped", "dropped_bytes", "reasons", "rewritten", "computed"):
            getattr(self, name).update(getattr(other, name))
        self.take(other.seconds)
        for column, scores in other.scores.items():
            self.scores.setdefault(column, Scores(scores.threshold, scores.step)).values += scores.values
        for column, words in other.words.items():
            self.words.setdefault(column, Counter()).update(words)
        for step, sample in other.samples.items():
            self.samples.setdefault(step, Lowest(sample.size)).add(sample)


def steps(tally: Tally, filters: Sequence[str], *, answers: bool, before: bool) -> list[str]:
    """Return the steps of the funnel, in order."""
    first = [UNREADABLE] if tally.dropped[UNREADABLE] else []
    return [*first, *([ANSWERS] if answers else []), *([BEFORE] if before else []), *filters, DEDUP]
