"""What rules on Japanese text know of its characters, as a table for compiled loops; taken from `language/ja`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from konomi.language import Language

HIRAGANA, KATAKANA, KANJI, PUNCTUATION, END, SPACED_END, CLOSER, SPACE = (1 << bit for bit in range(8))
"""Flags of code points: the three scripts; Japanese punctuation; ends of sentences wherever they stand; ends where
white space follows; closers after an end; white space."""

COMMAS = "、，､"
"""Marks inside a sentence that count as Japanese characters, as its ends do (Swallow's 句点 and 読点)."""


def japanese() -> Language:
    """Return the language plugin `ja`."""
    from konomi import registry

    policy: Language = registry.get("language", "ja")()
    return policy


@functools.cache
def character_flags() -> NDArray[np.uint8]:
    """Return the flags of every code point of the planes that hold characters; shape (CODES,)."""
    import numpy as np

    from konomi._units_kernel import SPACES
    from konomi.filter._languages import CODES, among

    policy = japanese()
    found = np.zeros(CODES, np.uint8)
    for script, flag in (("hiragana", HIRAGANA), ("katakana", KATAKANA), ("kanji", KANJI)):
        found |= among(policy.scripts[script]) * np.uint8(flag)
    wide_ends = [mark for mark in policy.sentence_ends if not mark.isascii()]
    for marks, flag in (
        ([*wide_ends, *COMMAS], PUNCTUATION),
        (policy.sentence_ends, END),
        (policy.spaced_sentence_ends, SPACED_END),
        (policy.closers, CLOSER),
        (map(chr, SPACES), SPACE),
    ):
        found[[ord(mark) for mark in marks]] |= np.uint8(flag)
    return found


@functools.cache
def ellipses() -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the code points of the ways to write an ellipsis, one after another, and where each ends."""
    import numpy as np

    ways = japanese().ellipses
    codes = np.array([ord(character) for way in ways for character in way], np.int32)
    return codes, np.cumsum([len(way) for way in ways], dtype=np.int64)
