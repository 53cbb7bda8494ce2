"""Rewrite UTF-8 character by character, compiled: what needs no look at its neighbours beyond white space.

A first pass over a text finds what it holds; a second writes it anew where something in it changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import compiled

Array = NDArray[Any]

MAPPED, LINE_END, SPACE, CONTEXT, SUSPECT, KANA, BEFORE_MARK, MARK = (1 << bit for bit in range(8))
"""Flags of code points: becomes another string; ends a line; white space inside a line; what it becomes hangs on its
neighbours; may be mojibake; kana; what a Japanese comma or full stop follows; such a comma or full stop. A text has the
flags of its characters, `MAPPED` where anything changes."""

NEWLINE, RETURN = 10, 13
WIDE_COMMA, WIDE_STOP, COMMA, STOP = 0xFF0C, 0xFF0E, 0x3001, 0x3002
WIDE_COMMAS, WIDE_STOPS, COMMAS, STOPS, GROWTH = range(5)
"""Columns of counts: marks that follow Japanese text, and bytes by which a text grows at most."""


@compiled
def decode(data: Array, position: int, end: int) -> Any:
    """Return the code point at a byte position of UTF-8, and how many bytes it takes."""
    first = np.int64(data[position])
    if first < 0x80:
        return first, 1
    if 0xE0 <= first < 0xF0 and position + 2 < end:
        second, third = np.int64(data[position + 1]) & 0x3F, np.int64(data[position + 2]) & 0x3F
        return (first & 0x0F) << 12 | second << 6 | third, 3
    width = min(2 if first < 0xE0 else 3 if first < 0xF0 else 4, end - position)
    code = first & (0x7F >> width)
    for offset in range(1, width):
        code = (code << 6) | (np.int64(data[position + offset]) & 0x3F)
    return code, width


@compiled
def is_dropped(code: int, flag: int, places: Array) -> Any:
    """Tell whether a code point becomes nothing."""
    return flag & MAPPED and places[code, 0] == places[code, 1]


@compiled
def survey_text(
    data: Array, start: int, end: int, flags: Array, places: Array, plain: Array, blank_lines: int, counts: Array
) -> Any:
    """Return the flags of a text, and fill its counts. `blank_lines` is -1 where white space is left alone."""
    found = np.uint8(0)
    before = np.uint8(0)
    newlines = blank_lines + 2 if blank_lines >= 0 else 0  # a newline at the start of a text is one too many
    position = start
    while position < end:
        if plain[data[position]]:
            before, newlines = np.uint8(0), 0
            position += 1
            continue
        code, width = decode(data, position, end)
        position += width
        flag = flags[code] if code < len(flags) else np.uint8(CONTEXT)
        found |= flag
        if flag & MAPPED:
            counts[GROWTH] += max(0, places[code, 1] - places[code, 0] - width)
            if is_dropped(code, flag, places):
                continue
        if flag & MARK and before & BEFORE_MARK:
            counts[WIDE_COMMAS] += code == WIDE_COMMA
            counts[WIDE_STOPS] += code == WIDE_STOP
            counts[COMMAS] += code == COMMA
            counts[STOPS] += code == STOP
        if blank_lines >= 0:
            if flag & LINE_END:
                newlines += 1
                if code != NEWLINE or before & SPACE or newlines > blank_lines + 1:
                    found |= np.uint8(MAPPED)
            else:
                newlines = 0
        before = flag
    if blank_lines >= 0 and before & (LINE_END | SPACE):
        found |= np.uint8(MAPPED)
    return found


@compiled
def survey(
    data: Array,
    offsets: Array,
    flags: Array,
    places: Array,
    plain: Array,
    blank_lines: int,
    found: Array,
    counts: Array,
) -> None:
    """Fill the flags of the texts `data[offsets[i]:offsets[i + 1]]`, and their counts."""
    for text in range(len(found)):
        start, end = offsets[text], offsets[text + 1]
        found[text] = survey_text(data, start, end, flags, places, plain, blank_lines, counts[text])


@compiled
def is_digit(code: int) -> Any:
    """Tell whether a code point is a digit, plain or full-width."""
    return 0x30 <= code <= 0x39 or 0xFF10 <= code <= 0xFF19


@compiled
def before_digit(data: Array, position: int, end: int, flags: Array, places: Array) -> Any:
    """Tell whether the next character that stays is a digit."""
    while position < end:
        code, width = decode(data, position, end)
        flag = flags[code] if code < len(flags) else np.uint8(0)
        if not is_dropped(code, flag, places):
            return is_digit(code)
        position += width
    return False


@compiled
def put(target: Array, size: int, source: Array, start: int, end: int) -> Any:
    """Copy `source[start:end]` to `target` from `size` on; return the new size."""
    for place in range(start, end):
        target[size] = source[place]
        size += 1
    return size


@compiled
def write_text(
    data: Array,
    start: int,
    end: int,
    flags: Array,
    places: Array,
    strings: Array,
    plain: Array,
    blank_lines: int,
    commas: bool,
    stops: bool,
    target: Array,
) -> Any:
    """Write one text anew into `target`, and return its bytes.

    A code point with the flag `MAPPED` becomes `strings[places[code, 0]:places[code, 1]]`. With `blank_lines` from 0,
    every line ends in one newline and in no space, and no more than so many lines stand empty.
    """
    size = kept = 0  # bytes written, and those up to the last character that is no white space
    newlines = 0
    fresh = True
    before = 0
    position = start
    while position < end:
        while position < end and plain[data[position]] and not fresh:
            target[size] = before = data[position]
            size += 1
            kept, newlines = size, 0
            position += 1
        if position == end:
            break
        code, width = decode(data, position, end)
        begin = position
        position += width
        flag = flags[code] if code < len(flags) else np.uint8(0)
        if blank_lines >= 0 and flag & LINE_END:
            newlines += 0 if code == NEWLINE and before == RETURN else 1
            size, fresh, before = kept, True, code
            continue
        if is_dropped(code, flag, places):
            continue
        if fresh and kept and blank_lines >= 0:
            for _ in range(min(newlines, blank_lines + 1)):
                target[size] = NEWLINE
                size += 1
        fresh = False
        unified = (commas and code == WIDE_COMMA) or (stops and code == WIDE_STOP)
        if unified and not (is_digit(before) and before_digit(data, position, end, flags, places)):
            twin = COMMA if code == WIDE_COMMA else STOP
            target[size], target[size + 1], target[size + 2] = 0xE3, 0x80, 0x80 | (twin & 0x3F)
            size += 3
        elif flag & MAPPED:
            size = put(target, size, strings, places[code, 0], places[code, 1])
        elif width == 3:
            target[size], target[size + 1], target[size + 2] = data[begin], data[begin + 1], data[begin + 2]
            size += 3
        else:
            size = put(target, size, data, begin, position)
        if not flag & SPACE:
            kept, newlines = size, 0
        before = code
    return kept if blank_lines >= 0 else size


@compiled
def write(
    data: Array,
    offsets: Array,
    flags: Array,
    places: Array,
    strings: Array,
    plain: Array,
    blank_lines: int,
    commas: Array,
    stops: Array,
    chosen: Array,
    target: Array,
    ends: Array,
) -> None:
    """Write the `chosen` texts anew into `target`, one after another; fill `ends` with where each ends.

    A text that stays as it was is taken out of the chosen.
    """
    size = 0
    for text in range(len(chosen)):
        if chosen[text]:
            start, end = offsets[text], offsets[text + 1]
            rest = target[size:]
            written = write_text(
                data, start, end, flags, places, strings, plain, blank_lines, commas[text], stops[text], rest
            )
            chosen[text] = written != end - start or not same(rest, data[start:end])
            size += written if chosen[text] else 0
        ends[text] = size


@compiled
def same(written: Array, text: Array) -> Any:
    """Tell whether the first bytes of `written` are the text."""
    place = 0
    while place < len(text) and written[place] == text[place]:
        place += 1
    return place == len(text)
