"""One way of writing each character, line and space."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.faults import Fault
from konomi.filter import Annotation, Verdicts
from konomi.registry import register

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from konomi.filter._normalize_tables import Tables

CONTROLS = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
"""What shows nothing and says nothing: controls, soft hyphens, zero-width spaces, byte order marks, half surrogates.

Line ends of any kind stay, and so do the joiners U+200C and U+200D: Persian and emoji are spelled with them.
"""
SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
INNER_SPACES = re.compile(r"(?<=\S)[ \t]{2,}")

MAYBE_MOJIBAKE = re.compile(
    "[\x80-\u04ff\u2000-\u2012\u2016\u2017\u201a\u201b\u201e-\u2025\u2027-\u203a\u203c-\u214f\u2200-\u23ff\u2500-\u25ff\uf8ff"
    "\ufb01\ufb02\ufffd]"
)
"""What UTF-8 read as another encoding cannot do without; looking for it first saves ftfy's slower search.

The characters that the upper bytes of ftfy's encodings stand for, less the common quotes and dashes, which never stand
for both the first and a further byte of a character in one encoding.
"""

KANA = re.compile("[\u3041-\u309f\u30a1-\u30ff]")
BEFORE_MARK = (
    "[）」』］〕】〉》々〇〻\u3041-\u309f\u30a1-\u30ff\uff66-\uff9f\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]"
)
"""What a Japanese comma or full stop follows: kana, kanji and closing brackets."""
JAPANESE_MARKS = {"，": "、", "．": "。"}
"""Comma and full stop of horizontal Japanese typesetting, with their commoner twins."""

WIDTHS = re.compile("[\uff01-\uff9f\uffe0-\uffe6]+")
"""Full-width ASCII and signs, half-width katakana (the block Halfwidth and Fullwidth Forms, without Hangul)."""


class Form(Enum):
    """Unicode normalisation forms (Unicode Standard Annex 15)."""

    none = "none"
    NFC = "NFC"
    NFKC = "NFKC"


@register("filter", "normalize", version=2)
@dataclass(frozen=True)
class Normalize:
    """Rewrite a text in one spelling: mojibake mended, NFKC, one kind of line end and space; drops nothing.

    Sources: ftfy (Speer 2019) for mojibake, Unicode Standard Annex 15 for the forms, the Swallow corpus (Okazaki+ 2024)
    for the unification of Japanese punctuation by the majority in the document.

    >>> Normalize()(["Ｐｙｔｈｏｎ　は\\r\\n楽しい，とても楽しい．", "schÃ¶n"]).texts
    ['Python は\\n楽しい、とても楽しい。', 'schön']
    """

    rewrites: ClassVar[bool] = True

    form: Form = Form.NFKC
    """Unicode form: `NFKC` makes full-width letters and ligatures plain, `NFC` joins accents, `none` leaves all."""
    width: bool = False
    """Make full-width ASCII plain and half-width katakana full, where `form` does not do so (NFKC does)."""
    mojibake: bool = True
    """Mend text that was decoded with the wrong encoding, where that is beyond doubt."""
    controls: bool = True
    """Take out control characters, zero-width spaces, soft hyphens and byte order marks."""
    punctuation: bool = True
    """Write ， as 、 and ． as 。 where more of the former follow Japanese text (NFKC would make them ASCII)."""
    whitespace: bool = True
    """Make every line end a newline and every space a plain one; strip the ends of lines and of the text."""
    blank_lines: int = 1
    """With `whitespace`: most blank lines in a row that are kept."""
    inner_spaces: bool = False
    """With `whitespace`: make runs of spaces inside a line one space (spoils tables and aligned code)."""

    def check(self) -> Iterable[Fault]:
        if self.blank_lines < 0:
            yield Fault(
                "blank_lines", f"{self.blank_lines} is no number of lines", "blank_lines=0 takes all of them out"
            )
        if not self.whitespace and self.inner_spaces:
            yield Fault("inner_spaces", "has no effect while whitespace is false", "whitespace=true")

    def depends(self) -> Mapping[str, Any]:
        from importlib.metadata import version

        versions = {"unicode": unicodedata.unidata_version}
        return {**versions, "ftfy": version("ftfy")} if self.mojibake else versions

    def __call__(self, texts: list[str]) -> Verdicts:
        from konomi.filter._limits import merged
        from konomi.units import arrow_texts

        return Verdicts(merged(texts, self.annotate(arrow_texts(texts)).texts), [None] * len(texts))

    def decide(self, scores: Mapping[str, Any]) -> list[str | None]:
        """Return no reason: nothing is dropped, and there is no score to tell how many texts there are."""
        return []

    def annotate(self, texts: pa.Array) -> Annotation:
        """Rewrite by the character what can be, compiled; accents apart from their letters and mojibake as strings."""
        import numpy as np
        import pyarrow.compute as pc

        from konomi.filter import _normalize_kernel as kernel
        from konomi.filter._rewriting import only_changed, written
        from konomi.units import alike, text_buffers

        data, offsets = alike(*text_buffers(texts))
        tables = _tables(self.form, self.width, self.mojibake, self.controls, self.whitespace)
        blank_lines = self.blank_lines if self.whitespace else -1
        found, counts = np.zeros(len(texts), np.uint8), np.zeros((len(texts), kernel.GROWTH + 1), np.int64)
        kernel.survey(data, offsets, tables.flags, tables.places, tables.plain, blank_lines, found, counts)
        by_hand, changed = self._by_hand(texts, found)
        unified = (found & kernel.KANA != 0) & self.punctuation
        commas = unified & (counts[:, kernel.WIDE_COMMAS] > counts[:, kernel.COMMAS])
        stops = unified & (counts[:, kernel.WIDE_STOPS] > counts[:, kernel.STOPS])
        chosen = ~by_hand & ((found & kernel.MAPPED != 0) | commas | stops)
        target = np.empty(((np.diff(offsets) + counts[:, kernel.GROWTH]) * chosen).sum(), np.uint8)
        ends = np.empty(len(texts), np.int64)
        how = tables.flags, tables.places, tables.strings, tables.plain, blank_lines, commas, stops
        kernel.write(data, offsets, *how, chosen, target, ends)
        rewritten = written(target, ends, chosen)
        return Annotation(texts=pc.coalesce(rewritten, only_changed(len(texts), changed)) if changed else rewritten)

    def _by_hand(self, texts: pa.Array, found: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], dict[int, str]]:
        """Return which texts are rewritten as Python strings, by what they hold, and those that change."""
        import numpy as np

        from konomi.filter import _normalize_kernel as kernel
        from konomi.filter._rewriting import strings_at

        in_context = (found & kernel.CONTEXT != 0) | self.inner_spaces
        by_hand = in_context.copy()
        changed: dict[int, str] = {}
        rows = np.flatnonzero(in_context | (found & kernel.SUSPECT != 0))
        for row, text in zip(rows.tolist(), strings_at(texts, rows), strict=True):
            mended = mend_mojibake(text) if self.mojibake and MAYBE_MOJIBAKE.search(text) else text
            by_hand[row] |= mended != text
            if by_hand[row] and (new := self._rewrite(mended)) != text:
                changed[row] = new
        return by_hand, changed

    def _rewrite(self, text: str) -> str:
        """Return a mended text in its one spelling; doing it again changes nothing."""
        if self.controls:  # before the form: what they kept apart may compose
            text = CONTROLS.sub("", text)
        if self.punctuation:
            text = unify_marks(text)
        if self.width:
            text = WIDTHS.sub(lambda wide: unicodedata.normalize("NFKC", wide[0]), text)
        if self.form is not Form.none:
            text = unicodedata.normalize(self.form.value, text)
        return self._one_white_space(text) if self.whitespace else text

    def _one_white_space(self, text: str) -> str:
        text = SPACES.sub(" ", "\n".join(map(str.rstrip, text.splitlines())))
        if self.inner_spaces:
            text = INNER_SPACES.sub(" ", text)
        text = re.sub(rf"\n{{{self.blank_lines + 2},}}", "\n" * (self.blank_lines + 1), text)
        return text.strip("\n")


def mend_mojibake(text: str) -> str:
    """Mend each line by itself: one that is sound must not keep another from being mended."""
    import ftfy

    return "\n".join(ftfy.fix_encoding(line) if MAYBE_MOJIBAKE.search(line) else line for line in text.split("\n"))


def unify_marks(text: str) -> str:
    """Write ， and ． as 、 and 。 in a text with kana that has more of the former.

    >>> unify_marks("短い文，長い文，終わり。")
    '短い文、長い文、終わり。'
    """
    for mark, twin in JAPANESE_MARKS.items():
        if mark in text and _after_japanese(text, mark) > _after_japanese(text, twin) and KANA.search(text):
            text = re.sub(rf"(?<![0-9０-９]){mark}|{mark}(?![0-9０-９])", twin, text)
    return text


def _after_japanese(text: str, mark: str) -> int:
    """Return how often a mark follows Japanese text: not between the digits of a number."""
    return len(re.findall(f"{BEFORE_MARK}{mark}", text))


@functools.lru_cache(maxsize=8)
def _tables(form: Form, width: bool, mojibake: bool, controls: bool, whitespace: bool) -> Tables:
    """Return what becomes of each character by itself."""
    from konomi.filter._normalize_tables import tables

    alone = Normalize(form, width=width, controls=controls, punctuation=False, whitespace=False)

    def becomes(character: str) -> str:
        new = alone._rewrite(character)
        return SPACES.sub(" ", new) if whitespace else new

    return tables(becomes, MAYBE_MOJIBAKE if mojibake else None, re.compile(BEFORE_MARK), KANA)
