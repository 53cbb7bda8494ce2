"""Look up n-grams in a table of an evaluation set's, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import compiled

# Of another module only the decorator is used: numba does not compile a cached function again when what it calls in
# another file has changed.

Array = NDArray[Any]

NOWHERE = np.int16(-1)
MARKS_PER_SLOT_BITS = 3
"""A bit array of eight bits a slot stands before the table: nearly every n-gram of a corpus is in no set, and the bits
fit a nearer cache than the table."""


@compiled
def put(hashes: Array, owner: int, keys: Array, owners: Array, marks: Array, bits: int) -> Any:
    """Put n-grams into the table of 2^bits slots; the first owner keeps one that comes again. Returns how many are new.

    The hashes are mixed already, so that their upper bits say the slot.
    """
    new = 0
    for hash_ in hashes:
        key = max(hash_, np.uint64(1))
        mark = key >> np.uint64(64 - bits - MARKS_PER_SLOT_BITS)
        marks[mark >> np.uint64(3)] |= np.uint8(1 << (mark & np.uint64(7)))
        slot = np.int64(key >> np.uint64(64 - bits))
        while keys[slot] != 0 and keys[slot] != key:
            slot = (slot + 1) & ((1 << bits) - 1)
        if keys[slot] == 0:
            keys[slot], owners[slot] = key, owner
            new += 1
    return new


@compiled
def look_up(hashes: Array, keys: Array, owners: Array, marks: Array, bits: int, found: Array) -> Any:
    """Fill `found` with the owner of each n-gram, -1 where it is in no set; return how many are in one."""
    hits = 0
    for index in range(len(hashes)):
        key = max(hashes[index], np.uint64(1))
        found[index] = NOWHERE
        mark = key >> np.uint64(64 - bits - MARKS_PER_SLOT_BITS)
        if not (marks[mark >> np.uint64(3)] >> (mark & np.uint64(7))) & 1:
            continue
        slot = np.int64(key >> np.uint64(64 - bits))
        while keys[slot] != 0 and keys[slot] != key:
            slot = (slot + 1) & ((1 << bits) - 1)
        if keys[slot] == key:
            found[index] = owners[slot]
            hits += 1
    return hits


@compiled
def tally(
    words: Array, word_ends: Array, characters: Array, character_ends: Array, sizes: Array, sets: int,
    ngrams: Array, covered: Array, owner: Array, first: Array,
) -> None:  # fmt: skip
    """Sum up the owners of the n-grams of two sizes, text by text.

    Fills the number of n-grams that are in a set, the units that stand in one, the set with most of them (the earlier
    one of equals), and the first unit of its first; -1 where nothing is found.
    """
    hits, firsts = np.zeros(sets, np.int64), np.zeros(sets, np.int64)
    word_start = character_start = 0
    for text in range(len(word_ends)):
        hits[:] = 0
        reached = 0
        counts = word_ends[text] - word_start, character_ends[text] - character_start
        for unit in range(max(counts)):
            for kind in range(2):
                if unit >= counts[kind]:
                    continue
                own = words[word_start + unit] if kind == 0 else characters[character_start + unit]
                if own < 0:
                    continue
                if hits[own] == 0:
                    firsts[own] = unit
                hits[own] += 1
                end = unit + sizes[kind]
                covered[text] += max(0, end - max(unit, reached))
                reached = max(reached, end)
        ngrams[text] = hits.sum()
        best = int(np.argmax(hits))
        owner[text], first[text] = (best, firsts[best]) if hits[best] else (-1, -1)
        word_start, character_start = word_ends[text], character_ends[text]
