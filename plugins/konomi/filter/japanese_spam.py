"""Bulletin boards, shops, advertisements and other Japanese web text that is no prose."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault
from konomi.fields import NOT_IN_KEY, decides
from konomi.filter import Annotation
from konomi.filter._limits import ByLimits, Limit
from konomi.filter._nouns import EXTRAS, Analyser, is_missing
from konomi.registry import register

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

DATE = r"[0-9]{4}[年./-] ?[0-9]{1,2}[月./-] ?[0-9]{1,2}"
"""The date of an entry of a bulletin board."""


@register("filter", "japanese_spam")
@dataclass(frozen=True)
class JapaneseSpam(ByLimits):
    """Drop Japanese bulletin boards, shops, advertisements and lists of words (HojiChar; llm-jp corpus v1).

    The rules are HojiChar's, with word lists of our own; llm-jp's limits are the presets `llm_jp_spam` and
    `llm_jp_spam_strict`. Special characters are those that Unicode counts as no letter, mark or number. The repetition
    is BigScience's: of n-grams of five characters, the share of the √k most frequent among k different ones, without
    those that occur once. Lines of nothing but white space are none. The share of nouns is estimated from the scripts
    (on 304 texts r = .95 with UniDic, mean error .05) unless `analyser` names a morphological analyser.

    >>> JapaneseSpam()(["リンゴ・オレンジ・バナナ・セール中", "リンゴがセール中です。"]).reasons
    ['nouns 1.000 > 0.8', None]
    """

    max_board_words: int = decides(14)
    """Most words of bulletin boards, and dates."""
    max_advertisement_words: int = decides(14)
    """Most words of advertisements; llm-jp takes 10."""
    max_nouns: float = decides(0.80)
    """Largest share of nouns among the words."""
    max_mean_sentence: float = decides(100)
    """Most characters for each 。, of which one is taken to be there; llm-jp takes 250, and 80 where it is strict."""
    max_repetition: float = decides(0.33)
    """Largest share of the most frequent 5-grams of characters."""
    max_special_characters: float = decides(0.4)
    """Largest share of special characters."""
    max_run: int = decides(199)
    """Longest run of one character."""
    max_ellipsis_lines: float = decides(0.7)
    """Largest share of lines that end in an ellipsis."""
    max_short_lines: float = decides(0.5)
    """Largest share of short lines."""
    short_line: int = 10
    """Most characters of a short line."""
    ngram: int = 5
    """Characters of an n-gram."""
    analyser: Analyser = Analyser.none
    """What counts nouns: `fugashi`, `sudachipy`, or `none`, which estimates."""
    board_words: list[str] = field(default_factory=list, metadata=NOT_IN_KEY)
    """Files of words of bulletin boards, one a line; none takes the list that ships."""
    advertisement_words: list[str] = field(default_factory=list, metadata=NOT_IN_KEY)
    """Files of words of advertisements, one a line; none takes the list that ships."""

    def check(self) -> Iterable[Fault]:
        from konomi.filter._words import faults_of

        for name in ("max_nouns", "max_repetition", "max_special_characters", "max_ellipsis_lines", "max_short_lines"):
            if not 0 <= (limit := getattr(self, name)) <= 1:
                yield Fault(name, f"{limit} is no share", "give a number from 0 to 1 (off)")
        if self.ngram < 1:
            yield Fault("ngram", f"{self.ngram} is no number of characters", "ngram=5")
        if is_missing(self.analyser):
            what = f"{self.analyser.value} is not installed"
            yield Fault("analyser", what, f"pip install 'konomi[{EXTRAS[self.analyser]}]', or analyser=none")
        yield from faults_of("board_words", self._boards())
        yield from faults_of("advertisement_words", self._advertisements())

    def depends(self) -> Mapping[str, Any]:
        from konomi.filter._japanese import japanese
        from konomi.filter._words import hashes_of

        words = {"boards": hashes_of(self._boards()), "advertisements": hashes_of(self._advertisements())}
        return {**words, "language": japanese(), "unicode": unicodedata.unidata_version, **self._analyser_version()}

    def _analyser_version(self) -> Mapping[str, str]:
        from importlib.metadata import version

        installed = self.analyser is not Analyser.none and not is_missing(self.analyser)
        return {self.analyser.value: version(self.analyser.value)} if installed else {}

    def limits(self) -> list[Limit]:
        return [
            Limit("board_words", most=self.max_board_words),
            Limit("advertisement_words", most=self.max_advertisement_words),
            Limit("nouns", most=self.max_nouns),
            Limit("mean_sentence", most=self.max_mean_sentence),
            Limit("repetition", most=self.max_repetition),
            Limit("special_characters", most=self.max_special_characters),
            Limit("longest_run", most=self.max_run),
            Limit("ellipsis_lines", most=self.max_ellipsis_lines),
            Limit("short_lines", most=self.max_short_lines),
        ]

    def annotate(self, texts: pa.Array) -> Annotation:
        import numpy as np
        import pyarrow.compute as pc

        from konomi.filter._code_points import code_points
        from konomi.filter._words import words_of

        points = code_points(texts)
        dates = np.asarray(pc.count_substring_regex(texts, DATE), np.int64)
        found, repetition = self._measured(points.codes, points.ends)
        lines = np.maximum(found["lines"], 1)
        return Annotation(
            {
                "board_words": words_of(self._boards()).count(points)[0] + dates,
                "advertisement_words": words_of(self._advertisements()).count(points)[0],
                "nouns": self._nouns(texts, found),
                "mean_sentence": found["characters"] / np.maximum(found["full_stops"], 1),
                "repetition": repetition,
                "special_characters": found["special"] / np.maximum(found["characters"], 1),
                "longest_run": found["longest_run"],
                "ellipsis_lines": found["ellipsis_lines"] / lines,
                "short_lines": found["short_lines"] / lines,
            }
        )

    def _nouns(self, texts: pa.Array, found: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float64]:
        import numpy as np

        from konomi.filter._nouns import counted, estimated
        from konomi.filter._rewriting import strings_at

        if self.analyser is Analyser.none:
            return estimated(found)
        return counted(strings_at(texts, np.arange(len(texts))), self.analyser)

    def _measured(
        self, codes: NDArray[np.int32], ends: NDArray[np.int64]
    ) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.float64]]:
        """Return the counts of each text by column of the kernel, and the share of its most frequent n-grams."""
        import numpy as np

        from konomi.filter._japanese import ellipses
        from konomi.filter._japanese_spam_kernel import COLUMNS, measure_all

        counts, shares = np.zeros((len(ends), len(COLUMNS)), np.int64), np.zeros(len(ends))
        measure_all(codes, ends, character_flags(), *ellipses(), self.short_line, self.ngram, counts, shares)
        return dict(zip(COLUMNS, np.ascontiguousarray(counts.T), strict=True)), shares

    def _boards(self) -> Sequence[Path]:
        from konomi.filter._words import files_of

        return files_of(self.board_words, "boards_ja.txt")

    def _advertisements(self) -> Sequence[Path]:
        from konomi.filter._words import files_of

        return files_of(self.advertisement_words, "advertisements_ja.txt")


@functools.cache
def character_flags() -> NDArray[np.uint8]:
    """Return the kernel's flags of every code point of the planes that hold characters; shape (CODES,)."""
    import numpy as np

    from konomi.filter import _japanese
    from konomi.filter import _japanese_spam_kernel as kernel
    from konomi.filter._languages import inside

    known = _japanese.character_flags()
    spelled = inside()
    found = np.where(spelled, np.uint8(kernel.SPELLED), np.uint8(kernel.SPECIAL))
    for script in ("HIRAGANA", "KATAKANA", "KANJI"):
        found[known & getattr(_japanese, script) != 0] = getattr(kernel, script)
    found[known & _japanese.SPACE != 0] |= np.uint8(kernel.SPACE)
    return found
