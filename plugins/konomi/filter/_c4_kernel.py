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
    is_ascii,
    is_plain,
    last_of,
    line_end,
    lowered,
    of_language,
    string_at,
    trimmed,
    word_goes_on,
    words_of_ascii,
)

Array = NDArray[Any]

DOT, OPENING, CLOSING, BRACE = 46, 91, 93, 123

COLUMNS = (SENTENCES, LOREM_IPSUM, BRACES, LONG_WORD, NOT_TERMINAL, FEW_WORDS, JAVASCRIPT, POLICY) = range(8)
"""Columns of what is measured; the last five count the lines that a rule drops, each line for the first that does."""

PHRASE_JAVASCRIPT, PHRASE_LOREM_IPSUM = 0, 1
"""Places of phrases that stand before those of the language."""


@compiled
def count_of(data: Array, start: int, end: int, sought: int) -> Any:
    """Return how often a byte stands in `data[start:end]`."""
    count = 0
    for byte in data[start:end]:
        count += byte == sought
    return count


@compiled
def copied(data: Array, start: int, end: int, citations: bool, marks: Any, out: Array, at: int) -> Any:
    """Copy the line `data[start:end]` to `out` from `at`; return where it ends there. With `citations` without those.

    What is left after a mark is gone may be a mark itself, so it is what was written that is looked at.
    """
    line = at
    if not citations or count_of(data, start, end, CLOSING) == 0:
        out[at : at + end - start] = data[start:end]
        return at + end - start
    for position in range(start, end):
        out[at] = data[position]
        at += 1
        if data[position] == CLOSING:
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
def words_of_line(line: Array, flags: Array, per_word: int, plain: bool, long: int) -> Any:
    """Return the words of a line, and the characters of the longest that stands between spaces, where one is `long`."""
    if plain and 0 < len(line) <= long and is_ascii(line, 0, len(line)):
        return words_of_ascii(line, 0, len(line)), 0
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
def phrases_of_line(line: Array, phrases: Any, pairs: Array, has: Array) -> None:
    """Set `has[i]` for every phrase that a line holds; `pairs`: whether two bytes begin one."""
    pair = np.int64(0)
    for position in range(-1, len(line) - 1):
        pair = ((pair & 0xFF) << 8) | np.int64(lowered(line[np.uint64(position + 1)]))
        if position < 0 or not pairs[np.uint64(pair)]:
            continue
        string = string_at(line, position, len(line), phrases)
        if string >= 0:
            has[string] = True


@compiled
def dropped_for(line: Array, flags: Array, per_word: int, plain: bool, ellipses: Any, has: Array, options: Any) -> Any:
    """Return the column of the rule that drops a line, or -1; `options` as in `c4`."""
    terminal, fewest_words, longest_word, javascript, policy, _ = options
    end = len(line)
    words, longest = words_of_line(line, flags, per_word, plain, longest_word if longest_word >= 0 else end)
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
    data: Array, start: int, end: int, flags: Array, per_word: int, ellipses: Any, phrases: Any, pairs: Array,
    citations: Any, options: Any, out: Array, at: int, found: Array,
) -> Any:  # fmt: skip
    """Write the lines of one text that stay to `out` from `at`; fill `found`; return where they end."""
    first = at
    plain = is_plain(flags)
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
        phrases_of_line(cleaned, phrases, pairs, has)
        found[LOREM_IPSUM] += has[PHRASE_LOREM_IPSUM]
        dropped = dropped_for(cleaned, flags, per_word, plain, ellipses, has, options)
        if dropped >= 0:
            found[dropped] += 1
            continue
        found[SENTENCES] += sentences_of_line(cleaned, flags)
        for offset in range(len(cleaned) if low > line else 0):
            out[line + offset] = cleaned[offset]
        if at > first:
            out[at] = NEWLINE
        at = line + len(cleaned)
    return at


@compiled
def c4(
    data: Array, offsets: Array, languages: Array, flags: Array, per_word: Array, ellipses: Any, phrases: Any,
    pairs: Array, citations: Any, options: Any, out: Array, ends: Array, changed: Array, found: Array,
) -> None:  # fmt: skip
    """Write what stays of the texts to `out`, one after another, up to `ends[i]`; only of those that are `changed`.

    `options`: whether terminal punctuation is asked for, the fewest words of a line, the most characters of a word (-1:
    any), whether lines with "javascript" and with phrases of notices go, and whether citations do.
    """
    at = 0
    for text in range(len(languages)):
        own = languages[text]
        start, end = offsets[text], offsets[text + 1]
        found[text, BRACES] = count_of(data, start, end, BRACE)
        stop = c4_of_text(
            data, start, end, flags[own], per_word[own], of_language(ellipses, own), of_language(phrases, own),
            pairs[own], of_language(citations, 0), options, out, at, found[text],
        )  # fmt: skip
        changed[text] = stop - at != end - start
        for offset in range(0 if changed[text] else end - start):
            changed[text] |= out[at + offset] != data[start + offset]
        at = stop if changed[text] else at
        ends[text] = at
