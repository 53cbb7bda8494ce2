"""Apply C4's rules to lines and measure what its rules on pages look at, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import compiled, decode
from konomi.filter._languages import CLOSER, END, INSIDE, SPACE, SPACED_END, TERMINAL, UNSPACED
from konomi.filter._languages_kernel import (
    NEWLINE,
    NONE,
    SPACED,
    UNSEGMENTED,
    ends_with,
    flag_of,
    last_of,
    line_end,
    of_language,
    string_at,
    trimmed,
    word_goes_on,
)

Array = NDArray[Any]

DOT, OPENING, CLOSING, BRACE = 46, 91, 93, 123

COLUMNS = (SENTENCES, LOREM_IPSUM, BRACES, LONG_WORD, NOT_TERMINAL, FEW_WORDS, JAVASCRIPT, POLICY) = range(8)
"""Columns of what is measured; the last five count the lines that a rule drops, each line for the first that does."""

PHRASE_JAVASCRIPT, PHRASE_LOREM_IPSUM = 0, 1
"""Places of phrases that stand before those of the language."""


@compiled
def copied(data: Array, start: int, end: int, citations: bool, marks: Any, out: Array, at: int) -> Any:
    """Copy the line `data[start:end]` to `out` from `at`; return where it ends there. With `citations` without those.

    What is left after a mark is gone may be a mark itself, so it is what was written that is looked at.
    """
    line = at
    for position in range(start, end):
        out[at] = data[position]
        at += 1
        if citations and data[position] == CLOSING:
            digit = at - 2
            while digit >= line and 48 <= out[digit] <= 57:
                digit -= 1
            if digit >= line and out[digit] == OPENING and digit < at - 2:
                at = digit
            elif ends_with(out, line, at, marks):
                while out[at - 1] != OPENING:
                    at -= 1
                at -= 1
    return at


@compiled
def sentences_of_line(line: Array, flags: Array) -> Any:
    """Return the sentences of a line that ends with a character; what stands after the last end counts as one.

    A full stop before a space and a lower-case letter ends none.
    """
    count = 0
    begun = waiting = spaced = False
    mark = 0
    position = 0
    while position < len(line):
        code, width = decode(line, position, len(line))
        position += width
        flag = flag_of(flags, code)
        if flag & SPACE:
            spaced = waiting
        elif flag & END:
            count += begun
            begun = waiting = False
        elif flag & SPACED_END and not spaced:
            waiting, mark = begun, code
        elif not flag & CLOSER or spaced:
            if spaced and not (mark == DOT and 97 <= code <= 122):
                count += 1
                begun = False
            waiting = spaced = False
            begun |= flag & INSIDE != 0
    return count + begun


@compiled
def words_of_line(line: Array, flags: Array, per_word: int) -> Any:
    """Return the words of a line, and the characters of the longest that stands between spaces."""
    words = longest = length = 0
    kind = NONE
    held = 0
    position = 0
    while position < len(line):
        code, width = decode(line, position, len(line))
        position += width
        flag = flag_of(flags, code)
        if kind != NONE and not word_goes_on(kind, held, per_word, flag):
            kind, held = NONE, 0
        if flag & SPACE:
            continue
        if kind == NONE:
            words += 1
            length = 0
        if flag & UNSPACED:
            kind = UNSEGMENTED
            held += 1
        else:
            kind = SPACED
            length += 1
            longest = max(longest, length)
    return words, longest


@compiled
def phrases_of_line(line: Array, phrases: Any, has: Array) -> None:
    """Set `has[i]` for every phrase that a line holds."""
    for position in range(len(line)):
        string = string_at(line, position, len(line), phrases)
        if string >= 0:
            has[string] = True


@compiled
def dropped_for(line: Array, flags: Array, per_word: int, ellipses: Any, has: Array, options: Any) -> Any:
    """Return the column of the rule that drops a line, or -1; `options` as in `c4`."""
    terminal, fewest_words, longest_word, javascript, policy, _ = options
    end = len(line)
    words, longest = words_of_line(line, flags, per_word)
    if 0 <= longest_word < longest:
        return LONG_WORD
    if terminal:
        if end == 0 or not flag_of(flags, decode(line, last_of(line, 0, end), end)[0]) & TERMINAL:
            return NOT_TERMINAL
        if ends_with(line, 0, end, ellipses):
            return NOT_TERMINAL
    if words < fewest_words:
        return FEW_WORDS
    if javascript and has[PHRASE_JAVASCRIPT]:
        return JAVASCRIPT
    return POLICY if policy and has[PHRASE_LOREM_IPSUM + 1 :].any() else -1


@compiled
def c4_of_text(
    data: Array, start: int, end: int, flags: Array, per_word: int, ellipses: Any, phrases: Any, citations: Any,
    options: Any, out: Array, at: int, found: Array,
) -> Any:  # fmt: skip
    """Write the lines of one text that stay to `out` from `at`; fill `found`; return where they end."""
    first = at
    has = np.zeros(phrases[3] - phrases[2], np.bool_)
    while start < end:
        stop = line_end(data, start, end)
        low, high = trimmed(data, start, stop, flags)
        start = stop + 1
        if low == high:
            continue
        line = at + (at > first)
        high = copied(data, low, high, options[5], citations, out, line)
        low, high = trimmed(out, line, high, flags)
        cleaned = out[low:high]
        has[:] = False
        phrases_of_line(cleaned, phrases, has)
        found[LOREM_IPSUM] += has[PHRASE_LOREM_IPSUM]
        dropped = dropped_for(cleaned, flags, per_word, ellipses, has, options)
        if dropped >= 0:
            found[dropped] += 1
            continue
        found[SENTENCES] += sentences_of_line(cleaned, flags)
        for offset in range(len(cleaned)):
            out[line + offset] = cleaned[offset]
        if at > first:
            out[at] = NEWLINE
        at = line + len(cleaned)
    return at


@compiled
def c4(
    data: Array, offsets: Array, languages: Array, flags: Array, per_word: Array, ellipses: Any, phrases: Any,
    citations: Any, options: Any, out: Array, ends: Array, changed: Array, found: Array,
) -> None:  # fmt: skip
    """Write what stays of the texts to `out`, one after another, up to `ends[i]`; only of those that are `changed`.

    `options`: whether terminal punctuation is asked for, the fewest words of a line, the most characters of a word (-1:
    any), whether lines with "javascript" and with phrases of notices go, and whether citations do.
    """
    at = 0
    for text in range(len(languages)):
        own = languages[text]
        start, end = offsets[text], offsets[text + 1]
        for position in range(start, end):
            found[text, BRACES] += data[position] == BRACE
        stop = c4_of_text(
            data, start, end, flags[own], per_word[own], of_language(ellipses, own), of_language(phrases, own),
            of_language(citations, 0), options, out, at, found[text],
        )  # fmt: skip
        changed[text] = stop - at != end - start
        for offset in range(0 if changed[text] else end - start):
            changed[text] |= out[at + offset] != data[start + offset]
        at = stop if changed[text] else at
        ends[text] = at
