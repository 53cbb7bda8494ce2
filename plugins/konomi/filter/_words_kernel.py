"""A trie of words over code points, compiled: its edges stand in one table with open addressing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import compiled

Array = NDArray[Any]

HASH_BASE = np.uint64(0x9E3779B97F4A7C15)
"""Odd, with bits spread evenly (2^64 divided by the golden ratio; Knuth, TAOCP 6.4)."""


@compiled
def folded(code: Any) -> Any:
    """Return a code point, an ASCII letter without its case."""
    return np.int64(code) + 32 if 65 <= code <= 90 else np.int64(code)


@compiled
def edge_slot(keys: Array, bits: int, node: int, code: Any) -> Any:
    """Return the slot of the edge from `node` by `code`, or the empty slot (0) where it belongs."""
    key = (np.uint64(node) << np.uint64(21) | np.uint64(code)) + np.uint64(1)
    slot = np.int64((key * HASH_BASE) >> np.uint64(64 - bits))
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & ((1 << bits) - 1)
    return slot


@compiled
def grow(codes: Array, ends: Array, bits: int, keys: Array, children: Array, terminal: Array) -> None:
    """Enter words into the trie: word i is `codes[ends[i - 1]:ends[i]]`; node 0 is the root."""
    nodes = 1
    start = 0
    for word in range(len(ends)):
        node = 0
        for position in range(start, ends[word]):
            code = folded(codes[position])
            slot = edge_slot(keys, bits, node, code)
            if keys[slot] == 0:
                keys[slot] = (np.uint64(node) << np.uint64(21) | np.uint64(code)) + np.uint64(1)
                children[slot] = nodes
                nodes += 1
            node = children[slot]
        terminal[node] = True
        start = ends[word]


@compiled
def parted(codes: Array, position: int, scripts: Array) -> Any:
    """Tell whether a word may begin or end before `position`: not between two characters of one spaced script."""
    before, after = codes[position - 1], codes[position]
    if before >= 0x10000 or after >= 0x10000:
        return True
    return scripts[before] == 0 or scripts[before] != scripts[after]


@compiled
def longest_word(
    codes: Array, position: int, end: int, scripts: Array, bits: int, keys: Array, children: Array, terminal: Array
) -> Any:
    """Return the characters of the longest word that stands at `position`; 0 where none does."""
    node = 0
    longest = 0
    for reached in range(position, end):
        code = folded(codes[reached])
        slot = edge_slot(keys, bits, node, code)
        if keys[slot] == 0:
            break
        node = children[slot]
        if terminal[node] and (reached + 1 == end or parted(codes, reached + 1, scripts)):
            longest = reached + 1 - position
    return longest


@compiled
def count_words(
    codes: Array,
    starts: Array,
    ends: Array,
    scripts: Array,
    first: Array,
    bits: int,
    keys: Array,
    children: Array,
    terminal: Array,
    hits: Array,
    characters: Array,
) -> None:
    """Fill `hits` and `characters` with the words in each span `codes[starts[i]:ends[i]]`.

    From left to right, the longest word at each place, none inside another. `first` marks the lower 16 bits of what
    words begin with.
    """
    for span in range(len(starts)):
        position = starts[span]
        while position < ends[span]:
            length = 0
            if first[codes[position] & 0xFFFF] and (position == starts[span] or parted(codes, position, scripts)):
                length = longest_word(codes, position, ends[span], scripts, bits, keys, children, terminal)
            if length:
                hits[span] += 1
                characters[span] += length
            position += max(length, 1)
