"""The quality rules of the Swallow corpus for Japanese web text."""

from __future__ import annotations

import math
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
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

SHARES = (
    "duplicate_lines", "duplicate_sentences", "duplicate_line_characters", "duplicate_sentence_characters",
    "top_2_grams", "top_3_grams", "top_4_grams", "duplicate_5_grams", "duplicate_6_grams", "duplicate_7_grams",
    "duplicate_8_grams", "duplicate_9_grams", "duplicate_10_grams",
)  # fmt: skip
"""Fields that are the largest share that the score of their name may have, in the order of Swallow's rules."""


@register("filter", "japanese_quality")
@dataclass(frozen=True)
class JapaneseQuality(ByLimits):
    """Drop Japanese web text that is short, hardly Japanese, no prose, repetitive or abusive (Swallow corpus v1).

    Okazaki+ 2024, "Building a Large Japanese Web Corpus for Large Language Models". Japanese characters are hiragana,
    katakana with ー, kanji of every plane, and Japanese commas and full stops. A sentence ends with its line or with
    。．！？!? and the brackets that follow. N-grams are of characters; of repeats every occurrence after the first
    counts, and all of the most frequent n-gram, by the characters that they cover (Rae+ 2021), where Swallow's own
    program counts distinct n-grams. The limits are for pages: a book repeats 5-grams of characters by grammar alone,
    so books want the preset `japanese_quality_long`.

    >>> JapaneseQuality()(["吾輩は猫である。名前はまだ無い。"]).reasons
    ['characters 16 < 400']
    >>> JapaneseQuality(min_characters=9)(["開店 10:00 - 21:00, TEL 03-1234"]).reasons
    ['top 3-grams 0.250 > 0.18']
    """

    min_characters: int = decides(400)
    """Fewest characters of any kind."""
    min_japanese_characters: int = decides(400)
    """Fewest Japanese characters."""
    min_hiragana: float = decides(0.2)
    """Smallest share of hiragana among the Japanese characters."""
    max_katakana: float = decides(0.5)
    """Largest share of katakana among the Japanese characters."""
    min_japanese: float = decides(0.5)
    """Smallest share of Japanese characters among all."""
    min_mean_sentence: float = decides(20)
    """Fewest characters of a sentence, on average."""
    max_mean_sentence: float = decides(90)
    """Most characters of a sentence, on average."""
    max_sentence: int = decides(200)
    """Most characters of the longest sentence."""
    max_ellipsis_sentences: float = decides(0.2)
    """Largest share of sentences that end in an ellipsis."""
    max_ng_characters: float = decides(0.05)
    """Characters in NG words, divided by the Japanese characters, must stay below this."""
    duplicate_lines: float = decides(0.30)
    """Largest share of lines that repeat an earlier line."""
    duplicate_sentences: float = decides(0.30)
    """Largest share of sentences that repeat an earlier sentence."""
    duplicate_line_characters: float = decides(0.20)
    """Largest share of characters that stand in repeated lines."""
    duplicate_sentence_characters: float = decides(0.20)
    """Largest share of characters that stand in repeated sentences."""
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
    ng_words: list[str] = field(default_factory=list, metadata=NOT_IN_KEY)
    """Files of NG words, one a line; none takes the lists of `harmful_words` that ship."""
    threads: int = field(default=1, metadata=NOT_IN_KEY)
    """Cores to count n-grams on; 0 takes all."""

    def check(self) -> Iterable[Fault]:
        from konomi.filter._words import faults_of

        shares = [*SHARES, "min_hiragana", "max_katakana", "min_japanese", "max_ellipsis_sentences"]
        for name in shares:
            if not 0 <= (limit := getattr(self, name)) <= 1:
                yield Fault(name, f"{limit} is no share", "give a number from 0 to 1")
        if self.max_mean_sentence < self.min_mean_sentence:
            what = f"{self.max_mean_sentence:g} is below min_mean_sentence {self.min_mean_sentence:g}"
            yield Fault("max_mean_sentence", f"{what}: every text would be dropped")
        if self.threads < 0:
            yield Fault("threads", f"{self.threads} is no number of cores", "threads=0 takes all")
        yield from faults_of("ng_words", self._ng_files())

    def depends(self) -> Mapping[str, Any]:
        from konomi.filter._japanese import japanese
        from konomi.filter._words import hashes_of

        return {"ng_words": hashes_of(self._ng_files()), "language": japanese()}

    def limits(self) -> list[Limit]:
        below = math.nextafter(self.max_ng_characters, -math.inf)  # the rule is "less than", not "at most"
        return [
            Limit("characters", self.min_characters),
            *(Limit(name, most=getattr(self, name)) for name in SHARES),
            Limit("hiragana", self.min_hiragana),
            Limit("katakana", most=self.max_katakana),
            Limit("japanese", self.min_japanese, label="Japanese"),
            Limit("japanese_characters", self.min_japanese_characters, label="Japanese characters"),
            Limit("mean_sentence", self.min_mean_sentence, self.max_mean_sentence),
            Limit("longest_sentence", most=self.max_sentence),
            Limit("ellipsis_sentences", most=self.max_ellipsis_sentences),
            Limit("ng_characters", most=below, label="NG characters"),
        ]

    def annotate(self, texts: pa.Array) -> Annotation:
        from konomi.filter._code_points import code_points
        from konomi.filter._words import words_of
        from konomi.filter.repetition import Repetition
        from konomi.units import Unit

        points = code_points(texts)
        found = measured(points.codes, points.ends)
        ng_characters = words_of(self._ng_files()).count(points)[1]
        japanese = found["hiragana"] + found["katakana"] + found["kanji"] + found["punctuation"]
        repeats = Repetition(unit=Unit.character, threads=self.threads).annotate(texts).scores
        return Annotation(
            {
                "characters": found["characters"],
                "japanese_characters": japanese,
                "japanese": share(japanese, found["characters"]),
                "hiragana": share(found["hiragana"], japanese),
                "katakana": share(found["katakana"], japanese),
                "mean_sentence": share(found["sentence_characters"], found["sentences"]),
                "longest_sentence": found["longest_sentence"],
                "ellipsis_sentences": share(found["ellipsis_sentences"], found["sentences"]),
                "duplicate_sentences": share(found["repeated_sentences"], found["sentences"]),
                "duplicate_sentence_characters": share(
                    found["repeated_sentence_characters"], found["sentence_characters"]
                ),
                **{name: repeats[name] for name in SHARES if name in repeats},
                "ng_characters": share(ng_characters, japanese),
            }
        )

    def _ng_files(self) -> list[Path]:
        from konomi.filter._words import files_of

        return files_of(self.ng_words, "harmful_ja.txt", "harmful_en.txt")


def measured(codes: NDArray[np.int32], ends: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return the counts of each text by column of `_japanese_quality_kernel.COLUMNS`, each of shape (n,)."""
    import numpy as np

    from konomi.filter._japanese import character_flags, ellipses
    from konomi.filter._japanese_quality_kernel import COLUMNS, measure_all

    counts = np.zeros((len(ends), len(COLUMNS)), np.int64)
    measure_all(codes, ends, character_flags(), *ellipses(), counts)
    return dict(zip(COLUMNS, np.ascontiguousarray(counts.T), strict=True))


def share(parts: NDArray[np.int64], wholes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return parts divided by wholes; 0 of nothing."""
    import numpy as np

    return np.where(wholes > 0, parts / np.maximum(wholes, 1), 0.0)
