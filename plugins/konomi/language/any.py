"""The language of a text that is in none of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from konomi.language import Language, Ranges
from konomi.registry import register


@register("language", "any")
@dataclass(frozen=True)
class AnyLanguage(Language):
    """Know scripts only: words between spaces or, where a script has none, of two characters; no stop words.

    `auto` takes it where no other language has half of a text's letters. Sentence ends are those of Unicode's property
    Sentence_Terminal (Standard Annex 29) in the scripts most written.

    >>> "।" in AnyLanguage.sentence_ends
    True
    """

    scripts: ClassVar[Mapping[str, Ranges]] = {}
    sentence_ends: ClassVar[str] = "。！？｡．؟۔।॥።፧။។៕"
    closers: ClassVar[str] = "\"'”’»›)]」』）】》〉］｣"
    terminal_punctuation: ClassVar[str] = ".!?\"'”’»" + "。！？｡．؟۔।॥።፧။។៕」』）"
    ellipses: ClassVar[tuple[str, ...]] = ("...", "……", "…", "。。。", "・・・")
