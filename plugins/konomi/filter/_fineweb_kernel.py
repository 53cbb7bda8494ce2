"""Measure what FineWeb's rules look at, compiled: one pass over the bytes of each text."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from konomi._units_kernel import compiled, decode
from konomi.filter._languages import SPACE, TERMINAL, UNSPACED
from konomi.filter._languages_kernel import NEWLINE, NONE, SPACED, UNSEGMENTED, flag_of, word_goes_on

Array = NDArray[Any]

COLUMNS = (LINES, TERMINAL_LINES, SHORT_LINES, WORDS, NEWLINES) = range(5)
"""Columns of what is measured."""


@compiled
def fineweb_of_text(
    data: Array, start: int, end: int, flags: Array, per_word: int, letters: float, short: float, found: Array
) -> None:
    """Fill `found` for one text; a character of a script without spaces is as long as `letters`."""
    kind = NONE
    held = spaced = unspaced = inner = 0
    last = 0
    position = start
    while position <= end:
        code, width = decode(data, position, end) if position < end else (NEWLINE, 1)
        flag = flag_of(flags, code)
        position += width
        if kind != NONE and not word_goes_on(kind, held, per_word, flag):
            kind, held = NONE, 0
        if flag & SPACE:
            if code == NEWLINE:
                if last >= 0 and spaced + unspaced:
                    found[LINES] += 1
                    found[TERMINAL_LINES] += flag_of(flags, last) & TERMINAL != 0
                    found[SHORT_LINES] += spaced + letters * unspaced <= short
                found[NEWLINES] += position <= end
                spaced = unspaced = inner = 0
            else:
                inner += spaced + unspaced > 0
            continue
        found[WORDS] += kind == NONE
        last = code
        spaced += inner
        inner = 0
        if flag & UNSPACED:
            kind = UNSEGMENTED
            held += 1
            unspaced += 1
        else:
            kind = SPACED
            spaced += 1


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
