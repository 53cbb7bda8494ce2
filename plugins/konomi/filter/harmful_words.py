"""Words that a corpus should not hold many of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault
from konomi.fields import NOT_IN_KEY, decides
from konomi.filter import Annotation
from konomi.filter._limits import ByLimits, Limit
from konomi.registry import register

if TYPE_CHECKING:
    import pyarrow as pa


@register("filter", "harmful_words")
@dataclass(frozen=True)
class HarmfulWords(ByLimits):
    """Drop a text that holds more than some words of a list: pornography, threats, slurs (llm-jp corpus v1).

    Every occurrence counts, of overlapping words the one that begins first, of those the longest. An ASCII letter
    stands for both its cases; a word of a script with spaces, or of katakana, must stand by itself: `ass` is not in
    `class` nor `エロ` in `テロエロス`. The lists that ship are small, Japanese and English, and no more than a start.

    >>> HarmfulWords()(["ポルノ、アダルト動画、ポルノ、エロ動画", "アダルトな服"]).reasons
    ['harmful words 4 > 3', None]
    """

    words: list[str] = field(default_factory=list, metadata=NOT_IN_KEY)
    """Files of words, one a line, spelled as texts are after `normalize`; none takes the lists that ship."""
    max_hits: int = decides(3)
    """Most occurrences that a text may hold; llm-jp's strict level is 2."""

    def check(self) -> Iterable[Fault]:
        from konomi.filter._words import faults_of

        if self.max_hits < 0:
            yield Fault("max_hits", f"{self.max_hits} is no number of words", "max_hits=0 drops what holds one")
        yield from faults_of("words", self._files())

    def depends(self) -> Mapping[str, Any]:
        from konomi.filter._words import hashes_of

        return {"words": hashes_of(self._files())}

    def annotate(self, texts: pa.Array) -> Annotation:
        from konomi.filter._code_points import code_points
        from konomi.filter._words import words_of

        return Annotation({"hits": words_of(self._files()).count(code_points(texts))[0]})

    def limits(self) -> list[Limit]:
        return [Limit("hits", most=self.max_hits, label="harmful words")]

    def _files(self) -> list[Path]:
        from konomi.filter._words import files_of

        return files_of(self.words, "harmful_ja.txt", "harmful_en.txt")
