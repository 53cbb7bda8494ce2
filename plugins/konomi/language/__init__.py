"""Languages: what a word, a sentence, a letter and a stop word are, so that a rule means the same in each.

language.any · language.en · language.ja
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

from konomi.units import CHARACTERS_PER_WORD

Ranges = tuple[tuple[int, int], ...]
"""Ranges of code points, both ends in."""


class Language(Protocol):
    """What rules must know of a language, as data that compiled loops can take.

    A language names its scripts; all else has a default that suits a language written with spaces and Latin
    punctuation. `language=auto` of a filter takes for each document the language whose letters it holds most.
    """

    scripts: ClassVar[Mapping[str, Ranges]]
    """Letters by script, marks that stand inside words included."""
    distinctive: ClassVar[tuple[str, ...]] = ()
    """Scripts, of `scripts`, that tell the language from others with the same letters: `auto` takes it only where at
    least a hundredth of a text's letters are of these."""
    unspaced: ClassVar[Ranges | None] = None
    """Code points written without spaces between words; None: those that `konomi.units.Unit.auto` knows."""
    characters_per_word: ClassVar[int] = CHARACTERS_PER_WORD
    """Characters that count as one word where none are spaced."""
    stop_words: ClassVar[tuple[str, ...]] = ()
    """Words that ordinary text cannot do without, in lower case; empty: rules on stop words do not hold."""
    stop_words_inside: ClassVar[bool] = False
    """Whether stop words are found inside of what stands between spaces."""
    sentence_ends: ClassVar[str] = "。！？｡"
    """Characters that end a sentence wherever they stand."""
    spaced_sentence_ends: ClassVar[str] = ".!?"
    """Characters that end a sentence where white space, a closer or the end of the line follows."""
    closers: ClassVar[str] = "\"'”’»)]"
    """Quotes and brackets that still belong to the sentence whose end they follow."""
    terminal_punctuation: ClassVar[str] = ".!?\"'”’"
    """Last characters of a line that is prose."""
    ellipses: ClassVar[tuple[str, ...]] = ("...", "…")
    """Ways to write one ellipsis; of two that begin at one place, the longer counts."""
    bullets: ClassVar[tuple[str, ...]] = ("•", "‣", "●", "○", "■", "□", "▪", "▫", "◦", "-", "*", "–")
    """What an item of a list begins with."""
    policy_phrases: ClassVar[tuple[str, ...]] = ()
    """Phrases of two characters or more, in lower case, of notices on cookies and terms: no text of the page."""
