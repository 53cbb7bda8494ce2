"""English."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from konomi.language import Language, Ranges
from konomi.registry import register


@register("language", "en")
@dataclass(frozen=True)
class English(Language):
    """Know English: words between spaces, Gopher's stop words, C4's phrases.

    Sources: the stop words are those of Gopher (Rae+ 2021, A.1.1); terminal punctuation and the phrases of notices
    are those of C4 (Raffel+ 2020, section 2.2, and its published code).

    >>> "the" in English.stop_words
    True
    """

    scripts: ClassVar[Mapping[str, Ranges]] = {
        "latin": ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x17F)),
    }
    stop_words: ClassVar[tuple[str, ...]] = ("the", "be", "to", "of", "and", "that", "have", "with")
    policy_phrases: ClassVar[tuple[str, ...]] = (
        "terms of use",
        "privacy policy",
        "cookie policy",
        "uses cookies",
        "use of cookies",
        "use cookies",
    )
