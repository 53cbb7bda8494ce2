"""The share of nouns among the words of Japanese text: by a morphological analyser, or estimated from the scripts."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SINGLE_KANJI_VERBS = 0.5
"""Share of single kanji before hiragana that are the stems of verbs and adjectives, about."""
WORDS_PER_HIRAGANA = 0.6
"""Words that a character of hiragana stands for, about: particles have one character, endings two."""

NO_WORDS = ("補助記号", "空白")
"""Parts of speech of UniDic and Sudachi that are no words: punctuation and white space."""
NOUN = "名詞"


class Analyser(Enum):
    """What counts nouns."""

    none = "none"
    """Nothing but the scripts: an estimate."""
    fugashi = "fugashi"
    """MeCab with UniDic (`pip install 'konomi[japanese]'`)."""
    sudachipy = "sudachipy"
    """Sudachi (`pip install 'konomi[sudachi]'`)."""


EXTRAS = {Analyser.fugashi: "japanese", Analyser.sudachipy: "sudachi"}


def is_missing(analyser: Analyser) -> bool:
    """Tell whether the analyser's package is not installed."""
    return analyser is not Analyser.none and importlib.util.find_spec(analyser.value) is None


def estimated(found: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return the estimated share of nouns in each text, by its counts of runs of one script.

    Two kanji are a noun, a run of katakana or of other letters and digits is one; a single kanji before hiragana is the
    stem of a verb half of the time, and hiragana is particles and endings.
    """
    import numpy as np

    verbs = SINGLE_KANJI_VERBS * found["single_kanji"]
    nouns = found["kanji_words"] + found["noun_runs"] - verbs
    words = nouns + verbs + WORDS_PER_HIRAGANA * found["hiragana"]
    return np.where(words > 0, nouns / np.maximum(words, 1e-9), 0.0)


def counted(texts: Iterable[str], analyser: Analyser) -> NDArray[np.float64]:
    """Return the share of nouns among the words of each text, as an analyser parts it line by line."""
    import numpy as np

    parts_of_speech = _analysers()[analyser]()
    shares = []
    for text in texts:
        found = [part for line in text.splitlines() for part in parts_of_speech(line) if part not in NO_WORDS]
        shares.append(found.count(NOUN) / max(len(found), 1))
    return np.array(shares, np.float64)


def _analysers() -> dict[Analyser, Callable[[], Callable[[str], list[str]]]]:
    return {Analyser.fugashi: _fugashi, Analyser.sudachipy: _sudachipy}


@functools.cache
def _fugashi() -> Callable[[str], list[str]]:
    import fugashi

    tagger: Any = fugashi.Tagger()
    return lambda line: [word.feature.pos1 for word in tagger(line)]


@functools.cache
def _sudachipy() -> Callable[[str], list[str]]:
    from sudachipy import Dictionary, SplitMode

    tokenizer: Any = Dictionary().create(SplitMode.A)
    return lambda line: [word.part_of_speech()[0] for word in tokenizer.tokenize(line)]
