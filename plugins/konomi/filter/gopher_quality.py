"""Gopher's rules on quality, with words and stop words of the document's language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault
from konomi.fields import decides
from konomi.filter import Annotation, _languages
from konomi.filter._limits import ByLimits, Limit
from konomi.registry import register

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from konomi.filter._languages import Documents

UNMEASURED = -1
"""Score of what a text has nothing of that could be measured; no limit holds for it."""


@register("filter", "gopher_quality")
@dataclass(frozen=True)
class GopherQuality(ByLimits):
    """Drop a text that is not prose: too short, too many symbols, lists, no stop words (Gopher: Rae+ 2021, A.1.1).

    A word is what stands between white space or, in a script without spaces, a few characters of the language. Lines of
    white space are no lines. Stop words are counted once each and without regard to case. Two rules hold only where
    there is something to measure, and else score -1: the length of words in texts that are mostly written with spaces,
    stop words in languages that name some.

    >>> prose = "The house stood on the hill, and nobody had lived in it since the war. " * 4
    >>> GopherQuality()([prose, "# " * 60, prose[:70]]).reasons
    [None, 'mean word length 1.000 < 3', 'words 15 < 50']
    """

    min_doc_words: int = decides(50)
    """Fewest words."""
    max_doc_words: int = decides(100_000)
    """Most words."""
    min_avg_word_length: float = decides(3)
    """Least mean length of words, in characters."""
    max_avg_word_length: float = decides(10)
    """Greatest mean length of words, in characters."""
    max_symbol_word_ratio: float = decides(0.1)
    """Most hash signs, and most ellipses, for a word."""
    max_bullet_lines_ratio: float = decides(0.9)
    """Largest share of lines that begin with a bullet."""
    max_ellipsis_lines_ratio: float = decides(0.3)
    """Largest share of lines that end with an ellipsis."""
    min_alpha_words_ratio: float = decides(0.8)
    """Least share of words that hold a letter."""
    min_stop_words: int = decides(2)
    """Fewest different stop words."""
    language: str = "auto"
    """A language by name, or `auto`: each text's by its letters."""

    def check(self) -> Iterable[Fault]:
        yield from _languages.faults(self.language)
        for low, high in (("min_doc_words", "max_doc_words"), ("min_avg_word_length", "max_avg_word_length")):
            if getattr(self, high) < getattr(self, low):
                yield Fault(high, f"{getattr(self, high)} is below {low} {getattr(self, low)}: every text would go")
        for name in ("max_bullet_lines_ratio", "max_ellipsis_lines_ratio", "min_alpha_words_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                yield Fault(name, f"{getattr(self, name)} is no share", "give a number from 0 to 1")

    def depends(self) -> Mapping[str, Any]:
        return _languages.depends(self.language)

    def limits(self) -> list[Limit]:
        return [
            Limit("words", self.min_doc_words, self.max_doc_words),
            Limit("mean_word_length", self.min_avg_word_length, self.max_avg_word_length),
            Limit("hashes_per_word", most=self.max_symbol_word_ratio),
            Limit("ellipses_per_word", most=self.max_symbol_word_ratio),
            Limit("bullet_lines", most=self.max_bullet_lines_ratio),
            Limit("ellipsis_lines", most=self.max_ellipsis_lines_ratio),
            Limit("words_with_letters", least=self.min_alpha_words_ratio),
            Limit("stop_words", least=self.min_stop_words),
        ]

    def annotate(self, texts: pa.Array) -> Annotation:
        import numpy as np

        from konomi.filter import _gopher_quality_kernel as kernel

        documents = _languages.documents(texts, self.language)
        found = _measured(documents)
        words, lines = np.maximum(found[:, kernel.WORDS], 1), np.maximum(found[:, kernel.LINES], 1)
        spaced, characters = found[:, kernel.SPACED_WORDS], found[:, kernel.SPACED_CHARACTERS]
        mean = np.where(found[:, kernel.UNSPACED_CHARACTERS] > characters, 0, characters) / np.maximum(spaced, 1)
        named = np.array([bool(language.stop_words) for language in documents.languages])[documents.places]
        return Annotation(
            {
                "words": found[:, kernel.WORDS],
                "mean_word_length": np.where(mean > 0, mean, UNMEASURED),
                "hashes_per_word": found[:, kernel.HASHES] / words,
                "ellipses_per_word": found[:, kernel.ELLIPSES] / words,
                "bullet_lines": found[:, kernel.BULLET_LINES] / lines,
                "ellipsis_lines": found[:, kernel.ELLIPSIS_LINES] / lines,
                "words_with_letters": found[:, kernel.LETTER_WORDS] / words,
                "stop_words": np.where(named, found[:, kernel.STOP_WORDS], UNMEASURED),
            }
        )

    def decide(self, scores: Mapping[str, NDArray[Any]]) -> list[str | None]:
        import numpy as np

        harmless = {"mean_word_length": self.min_avg_word_length, "stop_words": self.min_stop_words}
        held = {name: np.where(scores[name] == UNMEASURED, limit, scores[name]) for name, limit in harmless.items()}
        return super().decide({**scores, **held})


def _measured(documents: Documents) -> NDArray[Any]:
    """Return what the kernel counts, of shape (n, columns)."""
    import numpy as np

    from konomi.filter._gopher_quality_kernel import COLUMNS, gopher
    from konomi.filter._languages import longest_first, strings

    languages = documents.languages
    found = np.zeros((len(documents.places), len(COLUMNS)), np.int64)
    gopher(
        documents.data,
        documents.offsets,
        documents.places,
        documents.flags(),
        documents.per_word(),
        _languages.lower_case(),
        _languages.word_table([one.stop_words if not one.stop_words_inside else () for one in languages]),
        strings([one.stop_words if one.stop_words_inside else () for one in languages]),
        strings([longest_first(one.ellipses) for one in languages]),
        strings([longest_first(one.bullets) for one in languages]),
        found,
    )
    return found
