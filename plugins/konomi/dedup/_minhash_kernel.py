"""MinHash signatures, bands and star clusters, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import compiled

# Of another module only the decorator is used: numba does not compile a cached function again when what it calls in
# another file has changed.

Array = NDArray[Any]

SEED = 0x6B6F6E6F6D69
"""Fixed, so that signatures made at different times can be compared."""

STRIDE = 32
"""Hashes that are compared between two looks at whether going on is of use."""

LARGEST = np.uint32(0xFFFFFFFF)


def coefficients(count: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return odd factors and masks of `count` permutations x → a·(x ⊕ b) of the 32-bit numbers (by SplitMix64)."""
    state, values = SEED, []
    for _ in range(2 * count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        value = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
        values.append((value ^ (value >> 31)) >> 32)
    drawn = np.array(values, dtype=np.uint32)
    return drawn[:count] | np.uint32(1), drawn[count:]


@compiled
def minima(shingles: Array, ends: Array, factors: Array, masks: Array, signatures: Array) -> None:
    """Fill `signatures` (n, k): the least value of each permutation over the shingles of each document.

    The shingles' hashes are random 32-bit numbers, so that under any permutation each is the least with equal chance.
    Permutations a·x + b would hang together: of pairs of 40 shingles with a Jaccard similarity of 0.7 they found 2 %
    more than the curve says.
    """
    start = 0
    for document in range(len(ends)):
        row = signatures[document]
        row[:] = LARGEST
        for index in range(start, ends[document]):
            shingle = np.uint32(shingles[index] >> np.uint64(32))
            for hash_ in range(len(factors)):
                row[hash_] = min(row[hash_], np.uint32((shingle ^ masks[hash_]) * factors[hash_]))
        start = ends[document]


@compiled
def band_keys(signatures: Array, rows_per_band: int, keys: Array) -> None:
    """Fill `keys` (bands, n) with a 64-bit hash of each band of each signature."""
    for document in range(len(signatures)):
        for band in range(len(keys)):
            key = np.uint64(band)
            for row in range(rows_per_band):
                key = (key ^ np.uint64(signatures[document, band * rows_per_band + row])) * np.uint64(
                    0x9E3779B97F4A7C15
                )
                key ^= key >> np.uint64(32)
            keys[band, document] = key


@compiled
def buckets(keys: Array, by_key: Array, places: Array) -> None:
    """Fill `places` for one band: where the bucket of each document begins; -1 where it has none.

    `by_key` lists documents sorted by their keys; one that it leaves out keeps its -1. A bucket holds documents of one
    key, two or more, and takes one place more than it has documents; buckets lie one after another.
    """
    start = 0
    used = 0
    for index in range(1, len(by_key) + 1):
        if index < len(by_key) and keys[by_key[index]] == keys[by_key[start]]:
            continue
        if index - start > 1:
            for member in range(start, index):
                places[by_key[member]] = used
            used += index - start + 1
        start = index


@compiled
def estimated(signatures: Array, one: int, other: int, least: float) -> Any:
    """Return the share of permutations under which two documents have the same least shingle.

    Returns 0 as soon as the share cannot reach `least` any more.
    """
    width = signatures.shape[1]
    equal = 0
    for start in range(0, width, STRIDE):
        end = min(start + STRIDE, width)
        for hash_ in range(start, end):
            equal += signatures[one, hash_] == signatures[other, hash_]
        if (equal + width - end) / width < least:
            return 0.0
    return equal / width


@compiled
def jaccard(shingles: Array, ends: Array, one: int, other: int) -> Any:
    """Return the Jaccard similarity of two sorted sets of shingles."""
    left = ends[one - 1] if one else 0
    right = ends[other - 1] if other else 0
    size = ends[one] - left + ends[other] - right
    shared = 0
    while left < ends[one] and right < ends[other]:
        difference = np.int64(shingles[left] > shingles[right]) - np.int64(shingles[left] < shingles[right])
        shared += difference == 0
        left += difference <= 0
        right += difference >= 0
    return shared / max(size - shared, 1)


@compiled
def most_similar(
    document: int,
    places: Array,
    kept: Array,
    signatures: Array,
    shingles: Array,
    shingle_ends: Array,
    exact: bool,
    threshold: float,
    most: int,
    compared: Array,
) -> Any:
    """Return the kept document that is most similar to this one, -1 for none, and the similarity.

    Looks into the smallest buckets first: they are the ones that a document shares with its likes alone, and not with
    every page made from the same template.
    """
    sizes = np.zeros(len(places), np.int64)
    for band in range(len(places)):
        place = places[band, document]
        sizes[band] = kept[band, place] if place >= 0 else 0
    best: Any = -1
    highest = 0.0
    left = most
    for band in np.argsort(sizes):
        for place in range(places[band, document] + 1, places[band, document] + 1 + sizes[band]):
            other = kept[band, place]
            if compared[other] == document:
                continue
            if left == 0:
                return best, highest
            compared[other] = document
            left -= 1
            if exact:
                found = jaccard(shingles, shingle_ends, document, other)
            else:
                found = estimated(signatures, document, other, max(threshold, highest))
            if found >= threshold and (found > highest or best < 0 or (found == highest and other < best)):
                best, highest = other, found
    return best, highest


@compiled
def enter(document: int, places: Array, kept: Array) -> None:
    """Write a document down as kept, in each of its buckets."""
    for band in range(len(places)):
        place = places[band, document]
        if place >= 0:
            kept[band, place] += 1
            kept[band, place + kept[band, place]] = document


@compiled
def settle(first: int, places: Array, kept: Array) -> None:
    """Keep all documents from `first` on, unseen: they are an earlier corpus'."""
    for document in range(first, places.shape[1]):
        enter(document, places, kept)


@compiled
def star(
    order: Array,
    places: Array,
    kept: Array,
    signatures: Array,
    shingles: Array,
    shingle_ends: Array,
    exact: bool,
    threshold: float,
    most: int,
    compared: Array,
    cluster: Array,
    similarity: Array,
) -> None:
    """Walk through the documents, the preferred ones first, and give each to the most similar one kept so far.

    A document is compared with at most `most` kept documents, all of which share a bucket (`places`, (bands, n)) with
    it, and is kept itself where none is as similar as `threshold`. `kept` (bands, places), filled with 0, has at the
    place of a bucket how many of its documents are kept, and then those; `compared`, filled with -1, is scratch.
    """
    for document in order:
        best, highest = most_similar(
            document, places, kept, signatures, shingles, shingle_ends, exact, threshold, most, compared
        )
        if best >= 0:
            cluster[document], similarity[document] = best, highest
            continue
        enter(document, places, kept)
