"""Substrings that occur more than once, compiled: anchors chosen by winnowing, and what repeats around them.

Any run of `length` bytes holds the least hash of its shorter windows, and holds it wherever it stands; so two equal
runs share an anchor, and only runs around anchors that occur twice need be looked at (Schleimer+ 2003, section 3).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import compiled

# Only the decorator is another module's: numba does not compile a cached function again when that module changes.

Array = NDArray[Any]

BASE = np.uint64(0x9E3779B97F4A7C15)
INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 2**64))
FEW = 8
"""Up to so many places are compared pair by pair; more are sorted."""


@compiled
def anchors(data: Array, offsets: Array, width: int, span: int, hashes: Array, places: Array) -> Any:
    """Fill in the least hash among each `span` windows of `width` bytes of a text, and its place; return how many.

    The texts are `data[offsets[i]:offsets[i + 1]]`, and places count from `offsets[0]`.
    """
    leaving = np.uint64(1)
    for _ in range(width):
        leaving *= BASE
    ring = np.empty(span, np.uint64)
    count = 0
    for text in range(len(offsets) - 1):
        start, end = offsets[text], offsets[text + 1]
        rolling = np.uint64(0)
        least, at, told = np.uint64(0), -1, -1
        for index in range(end - start - width + 1 if end - start >= width + span - 1 else 0):
            if index == 0:
                for position in range(start, start + width):
                    rolling = rolling * BASE + np.uint64(data[position])
            else:
                rolling = rolling * BASE + np.uint64(data[start + index + width - 1])
                rolling -= leaving * np.uint64(data[start + index - 1])
            mixed = (rolling ^ (rolling >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
            mixed ^= mixed >> np.uint64(32)
            ring[index % span] = mixed
            if at < 0 or mixed < least:
                least, at = mixed, index
            elif at <= index - span:
                at = index - span + 1
                least = ring[at % span]
                for other in range(at + 1, index + 1):
                    if ring[other % span] < least:
                        least, at = ring[other % span], other
            if index >= span - 1 and at != told:
                hashes[count], places[count] = least, start - offsets[0] + at
                count += 1
                told = at
    return count


@compiled
def byte(text: Array, position: int, low: int, high: int) -> Any:
    """Return the byte at a position of a document from `low` to `high`, 0 outside it."""
    return np.uint64(text[position]) if low <= position < high else np.uint64(0)


@compiled
def firsts(hashes: Array, valid: Array, first: Array) -> None:
    """Fill in, for each place, the first place of an equal hash; -1 where the place is not valid."""
    count = len(hashes)
    if count <= FEW:
        for one in range(count):
            first[one] = -1
            for other in range(one + 1 if valid[one] else 0):
                if valid[other] and hashes[other] == hashes[one]:
                    first[one] = other
                    break
        return
    order = np.argsort(hashes)
    start = 0
    for index in range(1, count + 1):
        if index < count and hashes[order[index]] == hashes[order[start]]:
            continue
        least = count
        for item in range(start, index):
            if valid[order[item]]:
                least = min(least, order[item])
        for item in range(start, index):
            first[order[item]] = least if valid[order[item]] else -1
        start = index


@compiled
def same(text: Array, one: int, other: int, length: int) -> Any:
    """Tell whether two runs of bytes are equal."""
    for index in range(length):  # noqa: SIM110  # numba compiles no generator
        if text[one + index] != text[other + index]:
            return False
    return True


@compiled
def repeats(
    text: Array, places: Array, low: Array, high: Array, length: int, span: int, all_: bool, start: Array, end: Array
) -> None:
    """Fill in the union of the repeated runs of `length` bytes around each place of one anchor; empty where none is.

    `places` ascend; `low` and `high` bound their documents. The first of equal runs counts only with `all_`; a run
    that overlaps the first is no repetition of it, or a ruled line would be cut down to one character.
    """
    count = len(places)
    hashes, first = np.zeros(count, np.uint64), np.empty(count, np.int64)
    valid, partner = np.empty(count, np.bool_), np.full(count, -1, np.int64)
    top = np.uint64(1)
    for _ in range(length - 1):
        top *= BASE
    start[:], end[:] = places, places
    for back in range(span):
        for one in range(count):
            begin = places[one] - back
            if back == 0:
                for position in range(begin, begin + length):
                    hashes[one] = hashes[one] * BASE + byte(text, position, low[one], high[one])
            else:
                last = byte(text, begin + length, low[one], high[one])
                hashes[one] = (hashes[one] - last) * INVERSE + byte(text, begin, low[one], high[one]) * top
            valid[one] = low[one] <= begin and begin + length <= high[one]
        firsts(hashes, valid, first)
        for one in range(count):
            other = first[one]
            if other < 0 or other == one:
                partner[one] = -1
                continue
            begin, earlier = places[one] - back, places[other] - back
            if not same(text, begin, earlier, 1 if partner[one] == other else length):
                partner[one] = -1
                continue
            partner[one] = other
            if begin < earlier + length:
                continue
            start[one] = begin
            end[one] = max(end[one], begin + length)
            if all_:
                start[other] = earlier
                end[other] = max(end[other], earlier + length)


@compiled
def all_repeats(
    text: Array,
    hashes: Array,
    places: Array,
    low: Array,
    high: Array,
    length: int,
    span: int,
    all_: bool,
    start: Array,
    end: Array,
) -> None:
    """Do what `repeats` does for each anchor; `hashes` are sorted, and `places` within equal ones."""
    start[:], end[:] = places, places
    first = 0
    for index in range(1, len(hashes) + 1):
        if index < len(hashes) and hashes[index] == hashes[first]:
            continue
        if index - first > 1:
            own = slice(first, index)
            repeats(text, places[own], low[own], high[own], length, span, all_, start[own], end[own])
        first = index


@compiled
def at_characters(text: Array, start: Array, end: Array) -> None:
    """Move the ends of runs of UTF-8 inwards, to where characters begin."""
    for run in range(len(start)):
        while start[run] < end[run] and text[start[run]] & 0xC0 == 0x80:
            start[run] += 1
        while end[run] > start[run] and end[run] < len(text) and text[end[run]] & 0xC0 == 0x80:
            end[run] -= 1
