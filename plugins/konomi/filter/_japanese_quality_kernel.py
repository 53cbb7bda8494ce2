"""Measure the characters and sentences of Japanese texts, compiled: one pass over the code points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import FNV_OFFSET, FNV_PRIME, compiled
from konomi.filter._japanese import CLOSER, END, HIRAGANA, KANJI, KATAKANA, PUNCTUATION, SPACE, SPACED_END
from konomi.filter._japanese_kernel import ends_in, flag_of

Array = NDArray[Any]

NEWLINE = 10

COLUMNS = (
    "characters", "hiragana", "katakana", "kanji", "punctuation",
    "sentences", "sentence_characters", "repeated_sentences", "repeated_sentence_characters",
    "longest_sentence", "ellipsis_sentences",
)  # fmt: skip
"""What is measured of a text, in this order."""

SENTENCES, LONGEST, ELLIPSES = 5, 9, 10

HASH_BASE = np.uint64(0x9E3779B97F4A7C15)
"""Odd, with bits spread evenly (2^64 divided by the golden ratio; Knuth, TAOCP 6.4)."""


@compiled
def is_repeat(table: Array, bits: int, hash_: Any) -> Any:
    """Tell whether a hash was handed in before; the table holds those that were, 0 is an empty slot."""
    key = max(hash_, np.uint64(1))
    slot = np.int64((key * HASH_BASE) >> np.uint64(64 - bits))
    while table[slot] != 0:
        if table[slot] == key:
            return True
        slot = (slot + 1) & ((1 << bits) - 1)
    table[slot] = key
    return False


@compiled
def count_sentence(counts: Array, column: int, hash_: Any, length: int, table: Array, bits: int) -> None:
    """Count a sentence in the four columns from `column`."""
    counts[column] += 1
    counts[column + 1] += length
    if is_repeat(table, bits, hash_):
        counts[column + 2] += 1
        counts[column + 3] += length


@compiled
def most_sentences(codes: Array, flags: Array) -> Any:
    """Return how many sentences there can be at most, as the bits of a slot in a table twice as large."""
    marks = 1
    for code in codes:
        marks += code == NEWLINE or flag_of(flags, code) & (END | SPACED_END) != 0
    bits = 4
    while (1 << bits) < 2 * marks:
        bits += 1
    return bits


@compiled
def measure_text(codes: Array, flags: Array, ways: Array, way_ends: Array, counts: Array) -> None:
    """Fill one text's columns.

    A sentence begins with what is no white space, and ends with the line or with a run of ends and closers. Two are the
    same whatever white space they hold.
    """
    bits = most_sentences(codes, flags)
    sentences = np.zeros(1 << bits, np.uint64)
    sentence_start = last = -1
    sentence_hash = FNV_OFFSET
    ended = False
    for position in range(len(codes) + 1):
        code = codes[position] if position < len(codes) else NEWLINE
        flag = flag_of(flags, code)
        starts_next = ended and not flag & (SPACE | END | SPACED_END | CLOSER)
        if sentence_start >= 0 and (code == NEWLINE or starts_next):
            length = last + 1 - sentence_start
            count_sentence(counts, SENTENCES, sentence_hash, length, sentences, bits)
            counts[LONGEST] = max(counts[LONGEST], length)
            counts[ELLIPSES] += ends_in(codes, sentence_start, last + 1, ways, way_ends)
            sentence_start, sentence_hash, ended = -1, FNV_OFFSET, False
        if code == NEWLINE:
            continue
        counts[1] += flag & HIRAGANA != 0
        counts[2] += flag & KATAKANA != 0
        counts[3] += flag & KANJI != 0
        counts[4] += flag & PUNCTUATION != 0
        if flag & SPACE:
            ended = ended or spaced_end(codes, position, last, sentence_start, flags)
            continue
        sentence_start = position if sentence_start < 0 else sentence_start
        sentence_hash = (sentence_hash ^ np.uint64(code)) * FNV_PRIME
        last = position
        ended = flag & END != 0 or (ended and flag & (SPACED_END | CLOSER) != 0)


@compiled
def spaced_end(codes: Array, position: int, last: int, start: int, flags: Array) -> Any:
    """Tell whether white space at `position` follows an end that needs white space, with or without closers between."""
    if start < 0 or last != position - 1:
        return False
    while last > start and flag_of(flags, codes[last]) & CLOSER:
        last -= 1
    return flag_of(flags, codes[last]) & SPACED_END != 0


@compiled
def measure_all(codes: Array, ends: Array, flags: Array, ways: Array, way_ends: Array, counts: Array) -> None:
    """Fill `counts[i]` with the columns of text i, which is `codes[ends[i - 1]:ends[i]]`."""
    start = 0
    for text in range(len(ends)):
        counts[text, 0] = ends[text] - start
        measure_text(codes[start : ends[text]], flags, ways, way_ends, counts[text])
        start = ends[text]
