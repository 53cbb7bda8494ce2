"""Japanese."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from konomi.language import Language, Ranges
from konomi.registry import register


@register("language", "ja")
@dataclass(frozen=True)
class Japanese(Language):
    """Know Japanese: two characters for a word, particles for stop words, 。！？ for the ends of sentences.

    Sources: the blocks of Unicode 16 for the scripts; 々〆〇 and ー count as letters (Unicode's Script_Extensions), and
    so do the kanji outside the basic plane. The particles are the commonest of written Japanese: a sentence without one
    of them is a heading or a list. Two characters for a word as in `konomi.units.CHARACTERS_PER_WORD`.

    >>> any(low <= ord("𠮷") <= high for low, high in Japanese.scripts["kanji"])
    True
    """

    scripts: ClassVar[Mapping[str, Ranges]] = {
        "hiragana": ((0x3041, 0x3096), (0x309D, 0x309F), (0x1B001, 0x1B11F), (0x1B150, 0x1B152)),
        "katakana": (
            (0x30A1, 0x30FA),
            (0x30FC, 0x30FF),  # ー, iteration marks
            (0x31F0, 0x31FF),
            (0xFF66, 0xFF9F),  # half width, with its marks of voice
            (0x1AFF0, 0x1AFFE),
            (0x1B000, 0x1B000),
            (0x1B120, 0x1B122),
            (0x1B155, 0x1B155),
            (0x1B164, 0x1B167),
        ),
        "kanji": (
            (0x3005, 0x3007),  # 々〆〇
            (0x303B, 0x303B),
            (0x3400, 0x4DBF),
            (0x4E00, 0x9FFF),
            (0xF900, 0xFAFF),
            (0x20000, 0x323AF),
        ),
    }
    distinctive: ClassVar[tuple[str, ...]] = ("hiragana", "katakana")
    stop_words: ClassVar[tuple[str, ...]] = ("の", "に", "は", "を", "が", "と", "で", "も")
    stop_words_inside: ClassVar[bool] = True
    sentence_ends: ClassVar[str] = "。｡．！？!?"
    spaced_sentence_ends: ClassVar[str] = "."
    closers: ClassVar[str] = "」』）】》〉］｝〕｣”’\"')]"
    terminal_punctuation: ClassVar[str] = "。｡．！？.!?」』）｣”’\"'"
    ellipses: ClassVar[tuple[str, ...]] = ("……", "…", "‥‥", "‥", "...", "。。。", "．．．", "・・・")
    bullets: ClassVar[tuple[str, ...]] = (
        *Language.bullets,
        *("・", "･", "◎", "◆", "◇", "★", "☆", "▼", "▽", "▲", "△", "▶", "▷", "►", "※", "＊", "－", "→"),
    )
    policy_phrases: ClassVar[tuple[str, ...]] = (
        "利用規約",
        "プライバシーポリシー",
        "個人情報保護方針",
        "クッキーを使用",
        "cookieを使用",
        "クッキーの使用",
        "cookieの使用",
        "クッキーポリシー",
        "cookieポリシー",
    )
