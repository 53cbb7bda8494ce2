"""Find the lines and paragraphs of a text that occurred in it before, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import FNV_OFFSET, FNV_PRIME, compiled, decode, mix

Array = NDArray[Any]

NEWLINE = 10
LAST_SPACE = 0x3000
SPACES = np.array([chr(code).isspace() for code in range(LAST_SPACE + 1)])
"""White space as Python's `str.strip` has it."""

SLOTS = 64
"""Slots of a table at first."""


@compiled
def stripped(data: Array, start: int, end: int) -> Any:
    """Return the bounds of `data[start:end]` without the white space around it."""
    while start < end:
        code, width = decode(data, start, end)
        if code > LAST_SPACE or not SPACES[code]:
            break
        start += width
    while start < end:
        last = end - 1
        while last > start and data[last] & 0xC0 == 0x80:
            last -= 1
        code, _ = decode(data, last, end)
        if code > LAST_SPACE or not SPACES[code]:
            break
        end = last
    return start, end


@compiled
def hash_and_characters(data: Array, start: int, end: int) -> Any:
    """Return a hash of `data[start:end]`, never 0, and how many characters it has."""
    hashed = FNV_OFFSET
    characters = 0
    position = start
    while position + 8 <= end:
        word = np.uint64(0)
        for offset in range(8):
            byte = data[position + offset]
            word |= np.uint64(byte) << np.uint64(8 * offset)
            characters += byte & 0xC0 != 0x80
        hashed = (hashed ^ word) * FNV_PRIME
        hashed ^= hashed >> np.uint64(29)
        position += 8
    while position < end:
        hashed = (hashed ^ np.uint64(data[position])) * FNV_PRIME
        characters += data[position] & 0xC0 != 0x80
        position += 1
    return max(mix(hashed ^ np.uint64(end - start)), np.uint64(1)), characters


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
def with_room(table: Array, counts: Array) -> Any:
    """Return a table that one hash more leaves at least half empty."""
    if 2 * (counts[0] - counts[1] + 1) <= len(table):
        return table
    larger = np.zeros(2 * len(table), np.uint64)
    for hashed in table:
        if hashed != 0:
            seen_before(larger, hashed)
    return larger


@compiled
def count_part(data: Array, start: int, end: int, table: Array, counts: Array) -> Any:
    """Add one part to (parts, parts that repeat, characters, characters of parts that repeat); return the table."""
    table = with_room(table, counts)
    hashed, characters = hash_and_characters(data, start, end)
    repeats = seen_before(table, hashed)
    counts[0] += 1
    counts[1] += repeats
    counts[2] += characters
    counts[3] += characters if repeats else 0
    return table


@compiled
def parts_of_text(data: Array, start: int, end: int, lines: Array, paragraphs: Array) -> None:
    """Count the lines of one text, and its paragraphs, which stand between lines of white space."""
    line_table = np.zeros(SLOTS, np.uint64)
    paragraph_table = np.zeros(SLOTS, np.uint64)
    begin = stop = -1
    while start <= end:
        line_end = start
        while line_end < end and data[line_end] != NEWLINE:
            line_end += 1
        low, high = stripped(data, start, line_end)
        if low < high:
            line_table = count_part(data, low, high, line_table, lines)
            begin = low if begin < 0 else begin
            stop = high
        if begin >= 0 and (low == high or line_end == end):
            paragraph_table = count_part(data, begin, stop, paragraph_table, paragraphs)
            begin = -1
        start = line_end + 1


@compiled
def parts(data: Array, offsets: Array, lines: Array, paragraphs: Array) -> None:
    """Fill, for each text, (parts, parts that repeat, characters, characters of parts that repeat), shape (n, 4)."""
    for text in range(len(offsets) - 1):
        parts_of_text(data, offsets[text], offsets[text + 1], lines[text], paragraphs[text])
