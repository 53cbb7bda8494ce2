"""Find the lines and paragraphs of a text that occurred in it before, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import FNV_OFFSET, FNV_PRIME, compiled, decode, mix
from konomi.filter._languages_kernel import EACH_BYTE, eight_bytes, last_of, line_end, rest_bytes

Array = NDArray[Any]

LAST_SPACE = 0x3000
SPACES = np.array([chr(code).isspace() for code in range(LAST_SPACE + 1)])
"""White space as Python's `str.strip` has it."""

COLUMNS = (PARTS, REPEATS, CHARACTERS, REPEATED_CHARACTERS) = range(4)
"""Columns of what is counted, of lines and of paragraphs."""

SLOTS = 256
"""Slots of a table at first."""


@compiled
def stripped(data: Array, start: int, end: int) -> Any:
    """Return the bounds of `data[start:end]` without the white space around it."""
    while start < end and not 0x20 < data[np.uint64(start)] < 0x7F:
        code, width = decode(data, start, end)
        if code > LAST_SPACE or not SPACES[np.uint64(code)]:
            break
        start += width
    while start < end and not 0x20 < data[np.uint64(end - 1)] < 0x7F:
        last = last_of(data, start, end)
        code, _ = decode(data, last, end)
        if code > LAST_SPACE or not SPACES[np.uint64(code)]:
            break
        end = last
    return start, end


@compiled
def continuations(word: Any) -> Any:
    """Return how many of eight bytes go on with a character that an earlier one began (10xxxxxx)."""
    marks = (word >> np.uint64(7)) & ~(word >> np.uint64(6)) & EACH_BYTE
    return np.int64((marks * EACH_BYTE) >> np.uint64(56))


@compiled
def hash_and_characters(data: Array, start: int, end: int) -> Any:
    """Return a hash of `data[start:end]`, never 0, and how many characters it has: FNV-1a, eight bytes at a time."""
    size = end - start
    hashed = mix(FNV_OFFSET ^ np.uint64(size))
    characters = size
    for position in range(start, end - 7, 8):
        word = eight_bytes(data, position)
        characters -= continuations(word)
        hashed = (hashed ^ word) * FNV_PRIME
        hashed ^= hashed >> np.uint64(32)  # else the upper bytes would never reach the lower bits
    word = rest_bytes(data, start, end)
    return max(mix(hashed ^ word), np.uint64(1)), characters - continuations(word)


@compiled
def seen_before(table: Array, hashed: Any) -> bool:
    """Tell whether a hash is in the table, whose length is a power of two; put it there."""
    slot = np.int64(hashed & np.uint64(len(table) - 1))
    while table[slot] != 0:
        if table[slot] == hashed:
            return True
        slot = (slot + 1) & (len(table) - 1)
    table[slot] = hashed
    return False


@compiled
def is_full(table: Array, counts: Array) -> Any:
    """Tell whether one hash more would leave a table less than half empty."""
    return 2 * (counts[PARTS] - counts[REPEATS] + 1) > len(table)


@compiled
def enlarged(table: Array) -> Any:
    """Return a table of twice the size with the same hashes."""
    larger = np.zeros(2 * len(table), np.uint64)
    for hashed in table:
        if hashed != 0:
            seen_before(larger, hashed)
    return larger


@compiled
def count_part(data: Array, start: int, end: int, table: Array, counts: Array) -> None:
    """Add one part to the counts."""
    hashed, characters = hash_and_characters(data, start, end)
    repeats = seen_before(table, hashed)
    counts[PARTS] += 1
    counts[REPEATS] += repeats
    counts[CHARACTERS] += characters
    counts[REPEATED_CHARACTERS] += characters if repeats else 0


@compiled
def parts_of_text(data: Array, start: int, end: int, lines: Array, paragraphs: Array, lines_only: bool) -> None:
    """Count the lines of one text, and its paragraphs, which stand between lines of white space."""
    line_table = np.zeros(SLOTS, np.uint64)
    paragraph_table = np.zeros(SLOTS, np.uint64)
    begin = closed = -1
    while start <= end:
        stop = line_end(data, start, end)
        low, high = stripped(data, start, stop)
        if low < high:
            if is_full(line_table, lines):
                line_table = enlarged(line_table)
            count_part(data, low, high, line_table, lines)
            begin = low if begin < 0 and not lines_only else begin
            closed = high
        if begin >= 0 and (low == high or stop == end):
            if is_full(paragraph_table, paragraphs):
                paragraph_table = enlarged(paragraph_table)
            count_part(data, begin, closed, paragraph_table, paragraphs)
            begin = -1
        start = stop + 1


@compiled
def parts(data: Array, offsets: Array, lines: Array, paragraphs: Array, lines_only: bool) -> None:
    """Fill `lines` and `paragraphs`, of shape (n, columns)."""
    for text in range(len(offsets) - 1):
        parts_of_text(data, offsets[text], offsets[text + 1], lines[text], paragraphs[text], lines_only)
