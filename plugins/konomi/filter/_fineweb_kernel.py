"""Measure what FineWeb's rules look at, compiled: one pass over the bytes of each text."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from konomi._units_kernel import compiled, decode
from konomi.filter._languages import SPACE, TERMINAL, UNSPACED
from konomi.filter._languages_kernel import (
    NONE,
    SPACED,
    UNSEGMENTED,
    flag_of,
    is_ascii,
    is_plain,
    last_of,
    line_end,
    trimmed,
    word_goes_on,
    words_of_ascii,
)

Array = NDArray[Any]

COLUMNS = (LINES, TERMINAL_LINES, SHORT_LINES, WORDS, NEWLINES) = range(5)
"""Columns of what is measured."""


@compiled
def words_and_characters(data: Array, start: int, end: int, flags: Array, per_word: int) -> Any:
    """Return a line's words, its characters, and those of scripts without spaces."""
    words = characters = unspaced = held = 0
    kind = NONE
    position = start
    while position < end:
        code, width = decode(data, position, end)
        flag = flag_of(flags, code)
        position += width
        if kind != NONE and not word_goes_on(kind, held, per_word, flag):
            kind, held = NONE, 0
        characters += 1
        if flag & SPACE:
            continue
        words += kind == NONE
        if flag & UNSPACED:
            kind = UNSEGMENTED
            held += 1
            unspaced += 1
        else:
            kind = SPACED
    return words, characters, unspaced


@compiled
def fineweb_of_text(
    data: Array, start: int, end: int, flags: Array, per_word: int, letters: float, short: float, found: Array
) -> None:
    """Fill `found` for one text; a character of a script without spaces is as long as `letters`."""
    plain = is_plain(flags)
    while start < end:
        stop = line_end(data, start, end)
        low, high = trimmed(data, start, stop, flags)
        found[NEWLINES] += stop < end
        start = stop + 1
        if low == high:
            continue
        if plain and is_ascii(data, low, high):
            words, characters, unspaced = words_of_ascii(data, low, high), high - low, 0
        else:
            words, characters, unspaced = words_and_characters(data, low, high, flags, per_word)
        last, _ = decode(data, last_of(data, low, high), high)
        found[LINES] += 1
        found[TERMINAL_LINES] += flag_of(flags, last) & TERMINAL != 0
        found[SHORT_LINES] += characters + (letters - 1) * unspaced <= short
        found[WORDS] += words


@compiled
def fineweb(
    data: Array, offsets: Array, languages: Array, flags: Array, per_word: Array, letters: Array, short: float,
    found: Array,
) -> None:  # fmt: skip
    """Fill `found[i]` for each text i, of `languages[i]`."""
    for text in range(len(offsets) - 1):
        own = languages[text]
        fineweb_of_text(
            data, offsets[text], offsets[text + 1], flags[own], per_word[own], letters[own], short, found[text]
        )
