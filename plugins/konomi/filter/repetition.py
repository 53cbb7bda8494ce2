"""Gopher's repetition rules, counted in words or, where a script has none to count, in characters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from konomi.faults import Fault
from konomi.fields import NOT_IN_KEY, decides
from konomi.filter import Annotation
from konomi.filter._limits import ByLimits, Limit
from konomi.filter._parts import part_shares
from konomi.registry import register
from konomi.units import CHARACTERS_PER_WORD, Unit

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

TASK_BYTES = 1 << 20
"""Text that one thread takes at a time."""


@register("filter", "repetition")
@dataclass(frozen=True)
class Repetition(ByLimits):
    """Drop a text that repeats itself: lines, paragraphs or n-grams (Gopher: Rae+ 2021, table A1).

    A repeat is an occurrence after the first, white space left aside; characters of overlapping repeats count once.
    The most frequent n-gram counts with all its occurrences, where there are at least two.

    >>> Repetition()(["おはよう。" * 40, "むかしむかし、あるところに。"]).reasons
    ['top 2-grams 0.800 > 0.2', None]
    """

    duplicate_lines: float = decides(0.30)
    """Largest share of lines that repeat an earlier line."""
    duplicate_paragraphs: float = decides(0.30)
    """Largest share of paragraphs (between blank lines) that repeat an earlier one."""
    duplicate_line_characters: float = decides(0.20)
    """Largest share of characters that stand in repeated lines."""
    duplicate_paragraph_characters: float = decides(0.20)
    """Largest share of characters that stand in repeated paragraphs."""
    top_2_grams: float = decides(0.20)
    """Largest share of characters in the most frequent 2-gram."""
    top_3_grams: float = decides(0.18)
    """Largest share of characters in the most frequent 3-gram."""
    top_4_grams: float = decides(0.16)
    """Largest share of characters in the most frequent 4-gram."""
    duplicate_5_grams: float = decides(0.15)
    """Largest share of characters in repeated 5-grams."""
    duplicate_6_grams: float = decides(0.14)
    """Largest share of characters in repeated 6-grams."""
    duplicate_7_grams: float = decides(0.13)
    """Largest share of characters in repeated 7-grams."""
    duplicate_8_grams: float = decides(0.12)
    """Largest share of characters in repeated 8-grams."""
    duplicate_9_grams: float = decides(0.11)
    """Largest share of characters in repeated 9-grams."""
    duplicate_10_grams: float = decides(0.10)
    """Largest share of characters in repeated 10-grams."""
    unit: Unit = Unit.auto
    """What an n-gram has n of: `word`; `character`; `auto`: words, or pairs of characters in scripts without spaces."""
    threads: int = field(default=0, metadata=NOT_IN_KEY)
    """Cores to use; 0 takes all."""

    def check(self) -> Iterable[Fault]:
        for name, limit in self.thresholds().items():
            if not 0 <= limit <= 1:
                yield Fault(name, f"{limit} is no share", "give a number from 0 (nothing may repeat) to 1 (off)")
        if self.threads < 0:
            yield Fault("threads", f"{self.threads} is no number of cores", "threads=0 takes all")

    def limits(self) -> list[Limit]:
        return [Limit(name, most=getattr(self, name)) for name in self._names()]

    def _names(self) -> list[str]:
        return [item.name for item in fields(self) if item.name not in ("unit", "threads")]

    def annotate(self, texts: pa.Array) -> Annotation:
        """Return the share of repeats by rule, of shape (n,)."""
        from concurrent.futures import ThreadPoolExecutor
        from itertools import pairwise
        from os import cpu_count

        import numpy as np

        from konomi.units import alike, text_buffers

        data, offsets = alike(*text_buffers(texts))
        tasks = np.unique(np.searchsorted(offsets, np.arange(offsets[0], offsets[-1], TASK_BYTES)))
        bounds = pairwise(sorted({0, *tasks.tolist(), len(texts)}))
        with ThreadPoolExecutor(self.threads or cpu_count()) as pool:
            parts = list(pool.map(lambda bound: self._shares_of(data, offsets[bound[0] : bound[1] + 1]), bounds))
        return Annotation(
            {name: np.concatenate([part[name] for part in parts] or [np.zeros(0)]) for name in self._names()}
        )

    def _shares_of(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        return {**part_shares(data, offsets), **self._ngram_shares(data, offsets)}

    def _ngram_shares(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        import numpy as np

        from konomi.filter._repetition_kernel import repeated_characters
        from konomi.units import cut

        units = cut(data, offsets, self.unit, fold=False)
        total = units.characters()
        per_word = np.ones(len(total), np.int64)
        if self.unit is Unit.auto:
            per_word[2 * units.unsegmented > total] = CHARACTERS_PER_WORD
        names = [name for name in self._names() if name.endswith("_grams")]
        words = np.array([int(name.split("_")[1]) for name in names])
        tops = np.array([name.startswith("top_") for name in names])
        repeated = np.zeros((len(total), len(names)), np.int64)
        repeated_characters(units.hashes, units.lengths, units.ends, per_word, words, tops, repeated)
        return dict(zip(names, (repeated / np.maximum(total, 1)[:, None]).T, strict=True))
