"""Measure what Gopher's rules on quality look at, compiled: one pass over the bytes of each text."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import FNV_OFFSET, FNV_PRIME, compiled, decode
from konomi.filter._languages import INSIDE, LETTER, SPACE, UNSPACED
from konomi.filter._languages_kernel import (
    NEWLINE,
    NONE,
    SPACED,
    UNSEGMENTED,
    ends_with,
    flag_of,
    length_of,
    of_language,
    string_at,
    word_goes_on,
)

Array = NDArray[Any]

HASH, WIDE_HASH = 0x23, 0xFF03

COLUMNS = (WORDS, SPACED_WORDS, SPACED_CHARACTERS, LETTER_WORDS, HASHES, ELLIPSES, LINES, BULLET_LINES, ELLIPSIS_LINES,
           STOP_WORDS, UNSPACED_CHARACTERS) = range(11)  # fmt: skip
"""Columns of what is measured."""


@compiled
def stop_word(hashed: Any, table: Array) -> Any:
    """Return the slot of a word's hash in a table of stop words, or -1."""
    slot = np.int64(hashed >> np.uint64(32)) & (len(table) - 1)
    while table[slot] != 0:
        if table[slot] == hashed:
            return slot
        slot = (slot + 1) & (len(table) - 1)
    return -1


@compiled
def gopher_of_text(
    data: Array, start: int, end: int, flags: Array, per_word: int, lower: Array, stops: Array, inner: Any,
    ellipses: Any, bullets: Any, found: Array,
) -> None:  # fmt: skip
    """Fill `found` for one text."""
    seen = np.zeros(len(stops), np.bool_)
    seen_inner = np.zeros(inner[3] - inner[2], np.bool_)
    kind = NONE
    held = 0
    lettered = line = False
    hashed = FNV_OFFSET
    line_start = last = ellipsis_until = position = start
    while position <= end:
        code, width = decode(data, position, end) if position < end else (NEWLINE, 1)
        flag = flag_of(flags, code)
        if hashed != FNV_OFFSET and not flag & INSIDE:
            slot = stop_word(hashed, stops)
            if slot >= 0 and not seen[slot]:
                seen[slot] = True
                found[STOP_WORDS] += 1
            hashed = FNV_OFFSET
        if kind != NONE and not word_goes_on(kind, held, per_word, flag):
            found[WORDS] += 1
            found[LETTER_WORDS] += lettered
            found[SPACED_WORDS] += kind == SPACED
            kind, held, lettered = NONE, 0, False
        if flag & SPACE:
            if code == NEWLINE and line:
                found[ELLIPSIS_LINES] += ends_with(data, line_start, last, ellipses)
                line = False
            position += width
            continue
        if not line:
            line, line_start = True, position
            found[LINES] += 1
            found[BULLET_LINES] += string_at(data, position, end, bullets) >= 0
        if flag & UNSPACED:
            kind = UNSEGMENTED
            held += 1
            found[UNSPACED_CHARACTERS] += 1
        else:
            kind = SPACED
            found[SPACED_CHARACTERS] += 1
        lettered |= flag & LETTER != 0
        if flag & INSIDE:
            hashed = (hashed ^ np.uint64(lower[code])) * FNV_PRIME
        else:
            found[HASHES] += code in (HASH, WIDE_HASH)
            if position >= ellipsis_until:
                string = string_at(data, position, end, ellipses)
                if string >= 0:
                    found[ELLIPSES] += 1
                    ellipsis_until = position + length_of(ellipses, string)
        if len(seen_inner):
            string = string_at(data, position, end, inner)
            if string >= 0 and not seen_inner[string]:
                seen_inner[string] = True
                found[STOP_WORDS] += 1
        position += width
        last = position


@compiled
def gopher(
    data: Array, offsets: Array, languages: Array, flags: Array, per_word: Array, lower: Array, stops: Array,
    inner: Any, ellipses: Any, bullets: Any, found: Array,
) -> None:  # fmt: skip
    """Fill `found[i]` for each text i, of `languages[i]`."""
    for text in range(len(offsets) - 1):
        own = languages[text]
        gopher_of_text(
            data, offsets[text], offsets[text + 1], flags[own], per_word[own], lower, stops[own],
            of_language(inner, own), of_language(ellipses, own), of_language(bullets, own), found[text],
        )  # fmt: skip
