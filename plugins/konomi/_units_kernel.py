"""Cut UTF-8 bytes into units and hash them, compiled: the inner loop of filters and deduplicators.

Nothing here makes a Python string; all functions release the GIL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

AUTO, WORD, CHARACTER = 0, 1, 2
"""Values of `konomi.units.Unit`."""

SPACE, LETTER, UNSEGMENTED, MARK = 0, 1, 2, 3
"""Classes of code points: white space, what words are made of, scripts without spaces, punctuation."""

FNV_OFFSET = np.uint64(0xCBF29CE484222325)
FNV_PRIME = np.uint64(0x100000001B3)
"""FNV-1a of 64 bits (Fowler, Noll, Vo; RFC 9923)."""

ROLL_BASE = np.uint64(0x9E3779B97F4A7C15)
"""Odd, with bits spread evenly (2^64 divided by the golden ratio; Knuth, TAOCP 6.4)."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile without the GIL, and keep the machine code on disk where there is a place that can be written."""
    try:
        dispatcher: Callable[..., Any] = njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba finds no folder to cache in: a read-only installation without a home
        dispatcher = njit(nogil=True)(function)
    return dispatcher


UNSEGMENTED_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # radicals
    (0x3001, 0x312F),  # Japanese punctuation, 々, kana with ー, bopomofo
    (0x3190, 0x9FFF),  # kana extensions, squared words, Han
    (0xA000, 0xA4CF),  # Yi
    (0xF900, 0xFAFF),  # Han, compatibility
    (0xFF01, 0xFF0F),  # full-width punctuation
    (0xFF1A, 0xFF20),
    (0xFF3B, 0xFF40),
    (0xFF5B, 0xFF9F),  # half-width kana
)
"""Scripts written without spaces between words (Unicode 16 blocks)."""

MARK_RANGES = (
    (0x00A1, 0x00A9),
    (0x00AB, 0x00B4),
    (0x00B6, 0x00B9),
    (0x00BB, 0x00BF),
    (0x00D7, 0x00D7),
    (0x00F7, 0x00F7),
    (0x2010, 0x2027),
    (0x2030, 0x205E),
    (0x2190, 0x21FF),  # arrows
    (0x2500, 0x25FF),  # boxes and shapes
    (0x3001, 0x3004),  # 、。
    (0x3008, 0x3020),  # brackets
    (0x3030, 0x3030),
    (0x303D, 0x303D),
    (0x30FB, 0x30FB),  # ・
    (0xFF01, 0xFF0F),
    (0xFF1A, 0xFF20),
    (0xFF3B, 0xFF40),
    (0xFF5B, 0xFF65),
)
"""Punctuation and signs outside ASCII that carry no content of their own."""

SPACES = (*range(33), 0x7F, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200C), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF)
"""White space, and what is as invisible: control characters, the zero-width space, the byte order mark."""

BASIC_PLANE = 0x10000


def _classes(*, fold: bool) -> NDArray[np.uint8]:
    """Return the class of every code point of the basic plane."""
    classes = np.full(BASIC_PLANE, LETTER, dtype=np.uint8)
    for low, high in UNSEGMENTED_RANGES:
        classes[low : high + 1] = UNSEGMENTED
    if fold:
        classes[[code for code in range(128) if not chr(code).isalnum()]] = MARK
        for low, high in MARK_RANGES:
            classes[low : high + 1] = MARK
    classes[list(SPACES)] = SPACE
    return classes


CLASSES = np.stack([_classes(fold=False), _classes(fold=True)])


def _word_bytes(*, fold: bool) -> NDArray[np.uint8]:
    """Return for each byte the code of the ASCII letter that it adds to a word, 0 where it adds none."""
    added = np.zeros(256, dtype=np.uint8)
    for code in range(128):
        if CLASSES[int(fold), code] == LETTER:
            added[code] = ord(chr(code).lower()) if fold else code
    return added


WORD_BYTES = np.stack([_word_bytes(fold=False), _word_bytes(fold=True)])


@compiled
def mix(value: Any) -> Any:
    """Spread a 64-bit value over all its bits (the finaliser of MurmurHash3)."""
    value = np.uint64(value)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@compiled
def classify(code: int, fold: bool) -> Any:
    """Return the class of a code point; without `fold`, punctuation is part of the word or script it stands in."""
    if code < BASIC_PLANE:
        return CLASSES[1 if fold else 0, code]
    return UNSEGMENTED if 0x16FE0 <= code <= 0x18DFF or 0x1AFF0 <= code <= 0x1B16F or code >= 0x20000 else LETTER


@compiled
def decode(data: Array, position: int, end: int) -> Any:
    """Return the code point at a byte position of UTF-8, and how many bytes it takes."""
    first = np.int64(data[np.uint64(position)])  # an unsigned index is never looked at for being negative
    if first < 0x80:
        return first, 1
    width = min(2 if first < 0xE0 else 3 if first < 0xF0 else 4, end - position)
    code = first & (0x7F >> width)
    for offset in range(1, width):
        code = (code << 6) | (np.int64(data[np.uint64(position + offset)]) & 0x3F)
    return code, width


@compiled
def cut(data: Array, start: int, end: int, unit: int, fold: bool, units: Array, lengths: Array) -> Any:
    """Cut the UTF-8 bytes `data[start:end]` into units; return how many, and how many characters need no spaces.

    Fills `units` (a hash each) and `lengths` (characters each), which must hold `end - start` values. With `fold`,
    ASCII letters lose their case, and punctuation is no unit and separates words.
    """
    count = 0
    unsegmented = 0
    word = FNV_OFFSET
    word_length = 0
    position = start
    word_bytes = WORD_BYTES[1 if fold else 0]
    while position < end:
        while unit != CHARACTER and position < end and word_bytes[data[position]]:
            word = (word ^ np.uint64(word_bytes[data[position]])) * FNV_PRIME
            word_length += 1
            position += 1
        if position == end:
            break
        code, width = decode(data, position, end)
        position += width
        found = classify(code, fold)
        unsegmented += found == UNSEGMENTED
        if fold and 65 <= code <= 90:
            code += 32
        if (found == LETTER and unit != CHARACTER) or (found == UNSEGMENTED and unit == WORD):
            word = (word ^ np.uint64(code)) * FNV_PRIME
            word_length += 1
            continue
        if word_length:
            units[count], lengths[count] = mix(word), word_length
            count, word, word_length = count + 1, FNV_OFFSET, 0
        if found in (LETTER, UNSEGMENTED):
            units[count], lengths[count] = mix(np.uint64(code) ^ FNV_OFFSET), 1
            count += 1
    if word_length:
        units[count], lengths[count] = mix(word), word_length
        count += 1
    return count, unsegmented


@compiled
def whole_hash(data: Array, start: int, end: int) -> Any:
    """Hash the text `data[start:end]` without regard to the case of ASCII letters and the width of white space."""
    whole = FNV_OFFSET
    gap = False
    position = start
    while position < end:
        code, width = decode(data, position, end)
        position += width
        if classify(code, False) == SPACE:
            gap = whole != FNV_OFFSET
            continue
        if gap:
            whole = (whole ^ np.uint64(32)) * FNV_PRIME
            gap = False
        whole = (whole ^ np.uint64(code + 32 if 65 <= code <= 90 else code)) * FNV_PRIME
    return mix(whole)


@compiled
def cut_all(
    data: Array, offsets: Array, unit: int, fold: bool, units: Array, lengths: Array, ends: Array, unsegmented: Array
) -> Any:
    """Cut the texts `data[offsets[i]:offsets[i + 1]]` one after another; `ends[i]` is where the units of text i end."""
    count = 0
    for text in range(len(offsets) - 1):
        added, unsegmented[text] = cut(
            data, offsets[text], offsets[text + 1], unit, fold, units[count:], lengths[count:]
        )
        count += added
        ends[text] = count
    return count


@compiled
def whole_hashes(data: Array, offsets: Array, chosen: Array, hashes: Array) -> None:
    """Fill `hashes` with the hash of each whole text that is `chosen`."""
    for text in range(len(offsets) - 1):
        if chosen[text]:
            hashes[text] = whole_hash(data, offsets[text], offsets[text + 1])


@compiled
def roll_all(units: Array, ends: Array, sizes: Array, hashes: Array, hash_ends: Array) -> Any:
    """Fill `hashes` with one hash for each run of `sizes[i]` units within text i; `hash_ends[i]` is where they end.

    A polynomial in an odd base modulo 2^64 (Karp and Rabin 1987), rolled along and mixed.
    """
    start = 0
    count = 0
    for text in range(len(ends)):
        size = sizes[text]
        leaving = np.uint64(1)
        for _ in range(size):
            leaving *= ROLL_BASE
        rolling = np.uint64(0)
        for index in range(start, ends[text]):
            rolling = rolling * ROLL_BASE + units[index]
            if index - start >= size:
                rolling -= leaving * units[index - size]
            if index - start >= size - 1:
                hashes[count] = mix(rolling)
                count += 1
        start = ends[text]
        hash_ends[text] = count
    return count
