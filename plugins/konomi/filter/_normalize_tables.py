"""What each character becomes when a text is normalised, as tables for compiled loops."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
"""What `str.splitlines` splits at."""

JAMO = (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))
"""Vowels and final consonants of Hangul, which join the letter before them (Unicode 16, section 3.12)."""

IDEOGRAPHS = range(0x20000, 0x2F800)
"""Kanji outside the basic plane, all of which stay as they are: what follows are compatibility forms."""


@dataclass(frozen=True, eq=False)
class Tables:
    """What becomes of each code point of the planes that hold characters."""

    flags: NDArray[np.uint8]
    """Flags of `_normalize_kernel`; shape (CODES,)."""
    places: NDArray[np.int64]
    """Where the string that a code point becomes starts and ends; shape (CODES, 2)."""
    strings: NDArray[np.uint8]
    """The strings in UTF-8, one after another."""
    plain: NDArray[np.bool_]
    """Which bytes are characters that stay as they are, whatever stands around them; shape (256,)."""


def tables(
    becomes: Callable[[str], str], suspect: re.Pattern[str] | None, japanese: re.Pattern[str], kana: re.Pattern[str]
) -> Tables:
    """Return the tables for a rewriting of single characters.

    What Unicode joins to its neighbours (marks that combine, jamo), and what becomes white space and something else,
    has the flag of context, and no string. `japanese` is what a Japanese comma follows.
    """
    import numpy as np

    from konomi.filter import _normalize_kernel as kernel
    from konomi.filter._languages import CODES

    flags, places = np.zeros(CODES, np.uint8), np.zeros((CODES, 2), np.int64)
    strings, size = [], 0
    joining = _joining()
    flags[IDEOGRAPHS.start : IDEOGRAPHS.stop] = kernel.BEFORE_MARK
    for code in sorted(set(range(CODES)).difference(IDEOGRAPHS)):
        character = chr(code)
        new = becomes(character)
        if character in joining or not joining.isdisjoint(new) or (len(new) > 1 and new != new.strip()):
            flags[code] |= kernel.CONTEXT
        elif new != character:
            encoded = new.encode("utf-8", "surrogatepass")
            flags[code] |= kernel.MAPPED
            places[code] = size, size + len(encoded)
            strings.append(encoded)
            size += len(encoded)
        if character in LINE_ENDS:
            flags[code] |= kernel.LINE_END
        elif character.isspace():
            flags[code] |= kernel.SPACE
        for pattern, flag in ((suspect, kernel.SUSPECT), (kana, kernel.KANA), (japanese, kernel.BEFORE_MARK)):
            if pattern and pattern.match(character):
                flags[code] |= flag
    flags[[kernel.WIDE_COMMA, kernel.WIDE_STOP, kernel.COMMA, kernel.STOP]] |= np.uint8(kernel.MARK)
    plain = np.concatenate([flags[:128] == 0, np.zeros(128, np.bool_)])
    return Tables(flags, places, np.frombuffer(b"".join(strings) or b"\0", np.uint8), plain)


@functools.cache
def _joining() -> frozenset[str]:
    """Return the characters that may join or swap places with what stands before them."""
    from konomi.filter._languages import CODES

    found = {chr(code) for code in JAMO}
    for code in range(CODES):
        character = chr(code)
        if unicodedata.combining(character):
            found.add(character)
        parts = unicodedata.decomposition(character).split()
        if len(parts) == 2 and parts[0][0] != "<" and unicodedata.normalize("NFC", character) == character:
            found.add(chr(int(parts[1], 16)))
    return frozenset(found)
