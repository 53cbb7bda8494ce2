"""The size that a fastText model must have, by its own counts.

fastText believes what a file says: one that is cut makes its loader wait for ever, break off the process, or guess. The
format is that of fastText 0.9.2 (version 12): arguments, dictionary, input matrix, output matrix.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

ARGUMENTS = struct.Struct("<ii12id")
"""Magic, version, and what the model was trained with; the tenth number is the kind of model."""
DICTIONARY = struct.Struct("<iiiqq")
"""Entries, words, labels, tokens, and pairs of the pruned index."""
AFTER_WORD = 10
"""A byte of 0, the count (8 bytes) and the type."""
PAIR = 8
CENTROIDS = 256
"""Of a product quantiser."""


def missing_bytes(path: Path) -> int:
    """Return how many bytes a supervised model lacks; raises `ValueError` where its counts make no sense."""
    if path.stat().st_size < ARGUMENTS.size + DICTIONARY.size:
        return ARGUMENTS.size + DICTIONARY.size - path.stat().st_size
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            end = _end(data)
        except struct.error:  # a count stands behind the end
            return 1
        return max(0, end - len(data))


def _end(data: mmap.mmap) -> int:
    entries, _, _, _, pairs = DICTIONARY.unpack_from(data, ARGUMENTS.size)
    at = ARGUMENTS.size + DICTIONARY.size
    for _ in range(entries):
        word = data.find(b"\0", at)
        if word < 0:
            return len(data) + 1
        at = word + AFTER_WORD
    at += PAIR * max(pairs, 0)
    quantised = _flag(data, at)
    at = _quantised_end(data, at + 1) if quantised else _dense_end(data, at + 1)
    return _quantised_end(data, at + 1) if quantised and _flag(data, at) else _dense_end(data, at + 1)


def _flag(data: mmap.mmap, at: int) -> bool:
    value: int = struct.unpack_from("<B", data, at)[0]
    if value > 1:
        raise ValueError(f"found {value} at byte {at}, where 0 or 1 belongs")
    return value == 1


def _dense_end(data: mmap.mmap, at: int) -> int:
    rows, columns = _counts(data, at, "<qq")
    return at + 16 + 4 * rows * columns


def _quantised_end(data: mmap.mmap, at: int) -> int:
    with_norms = _flag(data, at)
    rows, _, codes = _counts(data, at + 1, "<qqi")
    at = _quantiser_end(data, at + 21 + codes)
    return _quantiser_end(data, at + rows) if with_norms else at


def _quantiser_end(data: mmap.mmap, at: int) -> int:
    return at + 16 + 4 * CENTROIDS * _counts(data, at, "<i")[0]


def _counts(data: mmap.mmap, at: int, format_: str) -> tuple[int, ...]:
    found: tuple[int, ...] = struct.unpack_from(format_, data, at)
    if min(found) < 0:
        raise ValueError(f"found {min(found)} at byte {at}, where a count belongs")
    return found
