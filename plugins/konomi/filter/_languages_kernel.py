"""Read UTF-8 by the tables of `konomi.filter._languages`, compiled: flags of code points and lists of strings.

numba does not compile a cached function again when what it calls in another file has changed: after a change here,
remove the `__pycache__` of this folder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import classify, compiled, decode
from konomi.filter._languages import CODES, SPACE, UNSPACED

Array = NDArray[Any]

NEWLINE = 10
EACH_BYTE, UPPER_BITS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
NEWLINES = np.uint64(NEWLINE) * EACH_BYTE
ABOVE_SPACE = np.uint64(0x80 - 0x21) * EACH_BYTE
"""Added to bytes of ASCII, sets the upper bits of those above the space."""
NONE, SPACED, UNSEGMENTED = 0, 1, 2
"""What a word is made of: nothing yet, characters between spaces, characters of a script without spaces."""


@compiled
def flag_of(flags: Array, code: int) -> Any:
    """Return a code point's flags; none above the planes that hold characters."""
    return flags[np.uint64(code)] if code < CODES else np.uint8(0)


@compiled
def eight_bytes(data: Array, position: int) -> Any:
    """Return eight bytes as one number, which the compiler loads at once."""
    word = np.uint64(0)
    for offset in range(8):
        word |= np.uint64(data[np.uint64(position + offset)]) << np.uint64(8 * offset)
    return word


@compiled
def line_end(data: Array, position: int, end: int) -> Any:
    """Return where the line that `position` stands in ends."""
    while position + 8 <= end:  # eight bytes at once: a byte of 0 in `others` borrows from its upper bit
        others = eight_bytes(data, position) ^ NEWLINES
        if (others - EACH_BYTE) & ~others & UPPER_BITS:
            break
        position += 8
    while position < end and data[np.uint64(position)] != NEWLINE:
        position += 1
    return position


@compiled
def trimmed(data: Array, start: int, end: int, flags: Array) -> Any:
    """Return a line's bounds without the white space around it."""
    while start < end and not 0x20 < data[np.uint64(start)] < 0x7F:
        code, width = decode(data, start, end)
        if not flag_of(flags, code) & SPACE:
            break
        start += width
    while start < end and not 0x20 < data[np.uint64(end - 1)] < 0x7F:
        last = last_of(data, start, end)
        if not flag_of(flags, decode(data, last, end)[0]) & SPACE:
            break
        end = last
    return start, end


@compiled
def last_of(data: Array, start: int, end: int) -> Any:
    """Return where the last character before `end` starts."""
    last = end - 1
    while last > start and data[np.uint64(last)] & 0xC0 == 0x80:
        last -= 1
    return last


@compiled
def of_language(strings: Any, language: int) -> Any:
    """Return one language's strings of `Strings.tables`: (data, starts, first string, end, first bytes)."""
    data, starts, ends, first = strings
    return data, starts, ends[language], ends[language + 1], first[language]


@compiled
def lowered(byte: Any) -> Any:
    """Return a byte of UTF-8, an ASCII letter without its case."""
    return byte | 32 if 65 <= byte <= 90 else byte


@compiled
def string_at(data: Array, position: int, end: int, strings: Any) -> Any:
    """Return which string stands at `position`, but for the case of ASCII letters: its place in the list, or -1."""
    words, starts, low, high, first = strings
    if not first[data[np.uint64(position)]]:
        return -1
    for string in range(low, high):
        size = starts[string + 1] - starts[string]
        offset = size if position + size > end else 0
        while (
            offset < size and lowered(data[np.uint64(position + offset)]) == words[np.uint64(starts[string] + offset)]
        ):
            offset += 1
        if offset == size and position + size <= end:
            return string - low
    return -1


@compiled
def length_of(strings: Any, string: int) -> Any:
    """Return the bytes of a string, by its place in the list."""
    _, starts, low, _, _ = strings
    return starts[low + string + 1] - starts[low + string]


@compiled
def ends_with(data: Array, start: int, end: int, strings: Any) -> Any:
    """Tell whether the line `data[start:end]` ends with one of the strings."""
    _, _, low, high, _ = strings
    for string in range(high - low):
        at = end - length_of(strings, string)
        if at >= start:
            found = string_at(data, at, end, strings)
            if found >= 0 and at + length_of(strings, found) == end:
                return True
    return False


@compiled
def word_goes_on(kind: int, held: int, per_word: int, flag: int) -> Any:
    """Tell whether a character belongs to the word before it, of which `held` are in a script without spaces."""
    if flag & SPACE:
        return False
    return (kind == SPACED and not flag & UNSPACED) or (kind == UNSEGMENTED and flag & UNSPACED and held < per_word)


@compiled
def is_plain(flags: Array) -> Any:
    """Tell whether of ASCII what is white space is a range that the compiler can compare many bytes with at once."""
    for code in range(0x80):
        if (flags[code] & SPACE != 0) != (code <= 0x20 or code == 0x7F) or flags[code] & UNSPACED:
            return False
    return True


@compiled
def rest_bytes(data: Array, start: int, end: int) -> Any:
    """Return the bytes of `data[start:end]` that are left after its eights, as one number; zeros stand above them."""
    rest = (end - start) & 7
    if rest and end - start >= 8:
        return eight_bytes(data, end - 8) >> np.uint64(64 - 8 * rest)
    word = np.uint64(0)
    for offset in range(rest):
        word |= np.uint64(data[np.uint64(start + offset)]) << np.uint64(8 * offset)
    return word


@compiled
def is_ascii(data: Array, start: int, end: int) -> Any:
    """Tell whether a line is ASCII alone."""
    high = rest_bytes(data, start, end)
    for position in range(start, end - 7, 8):
        high |= eight_bytes(data, position)
    return high & UPPER_BITS == 0


@compiled
def no_spaces(word: Any) -> Any:
    """Return eight bytes of ASCII with the upper bit of each set that is above the space and not 0x7F, alone."""
    return (word + ABOVE_SPACE) & ~(word + EACH_BYTE) & UPPER_BITS


@compiled
def words_of_ascii(data: Array, start: int, end: int) -> Any:
    """Return the words of a line of ASCII: the bytes that are no space and stand behind one."""
    words = 0
    before = np.uint64(0)
    for position in range(start, end - 7, 8):
        inside = no_spaces(eight_bytes(data, position))
        words += bits_of_bytes(inside & ~(inside << np.uint64(8) | before))
        before = inside >> np.uint64(56)
    inside = no_spaces(rest_bytes(data, start, end))
    return words + bits_of_bytes(inside & ~(inside << np.uint64(8) | before))


@compiled
def bits_of_bytes(upper: Any) -> Any:
    """Return how many of eight bytes have their upper bit set, where no other is."""
    return np.int64(((upper >> np.uint64(7)) * EACH_BYTE) >> np.uint64(56))


@compiled
def fill_classes(classes: Array) -> None:
    """Fill `classes[code]` with the class that `konomi.units` gives a code point."""
    for code in range(len(classes)):
        classes[code] = classify(code, False)


@compiled
def count_groups(data: Array, offsets: Array, groups: Array, counts: Array) -> None:
    """Add to `counts[i, g]` the characters of text i that are in group g; `groups[code]` is a character's."""
    letters = groups[97]
    plain = True
    for code in range(26):
        plain = plain and groups[65 + code] == letters and groups[97 + code] == letters
    for text in range(len(offsets) - 1):
        position = offsets[text]
        end = offsets[text + 1]
        while position < end:
            while plain and position + 32 <= end:
                found = 0
                high = 0
                for byte in data[position : position + 32]:
                    high |= byte
                    found += ((byte | 32) - 97) & 0xFF < 26
                if high >= 128:
                    break
                counts[text, letters] += found
                position += 32
            stop = min(position + 32, end)
            while position < stop:
                code, width = decode(data, position, end)
                position += width
                if code < len(groups):
                    counts[text, groups[code]] += 1
