"""Measure what gives Japanese spam away, compiled: one pass over the code points, and one over their 5-grams."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import compiled
from konomi.filter._japanese_kernel import ends_in, flag_of

Array = NDArray[Any]

SPECIAL, SPACE, HIRAGANA, KATAKANA, KANJI, SPELLED = (1 << bit for bit in range(6))
"""Flags of code points: what is no letter, digit or mark; white space; the scripts; other letters, and digits."""
WORD = HIRAGANA | KATAKANA | KANJI | SPELLED

NEWLINE, FULL_STOP = 10, 0x3002

COLUMNS = (
    "characters", "special", "full_stops", "longest_run", "lines", "short_lines", "ellipsis_lines",
    "hiragana", "noun_runs", "kanji_words", "single_kanji",
)  # fmt: skip
"""What is measured of a text, in this order."""

(CHARACTERS, SPECIALS, FULL_STOPS, LONGEST_RUN, LINES, SHORT_LINES, ELLIPSIS_LINES, HIRAGANA_COUNT, NOUN_RUNS,
 KANJI_WORDS, SINGLE_KANJI) = range(11)  # fmt: skip

HASH_BASE = np.uint64(0x9E3779B97F4A7C15)
"""Odd, with bits spread evenly (2^64 divided by the golden ratio; Knuth, TAOCP 6.4)."""


@compiled
def count_lines(codes: Array, flags: Array, ways: Array, way_ends: Array, short: int, counts: Array) -> None:
    """Count the lines that hold more than white space, by what they are without the white space around them."""
    first = last = -1
    for position in range(len(codes) + 1):
        if position < len(codes) and codes[position] != NEWLINE:
            if not flag_of(flags, codes[position]) & SPACE:
                first = position if first < 0 else first
                last = position
            continue
        if first >= 0:
            counts[LINES] += 1
            counts[SHORT_LINES] += last + 1 - first <= short
            counts[ELLIPSIS_LINES] += ends_in(codes, first, last + 1, ways, way_ends)
        first = -1


@compiled
def count_characters(codes: Array, flags: Array, counts: Array) -> None:
    """Count single characters, and runs of one character and of one script."""
    run = 0
    script_run: Any = 0
    before = -1
    script = np.uint8(0)
    counts[CHARACTERS] = len(codes)
    for position in range(len(codes) + 1):
        code = codes[position] if position < len(codes) else NEWLINE
        flag = flag_of(flags, code)
        kind = flag & np.uint8(WORD)
        if kind == script:
            script_run += 1
        else:
            if script == KANJI:
                counts[KANJI_WORDS] += (script_run + 1) // 2
                counts[SINGLE_KANJI] += script_run == 1 and kind == HIRAGANA
            elif script & (KATAKANA | SPELLED):
                counts[NOUN_RUNS] += 1
            script, script_run = kind, 1
        if position == len(codes):
            break
        counts[SPECIALS] += flag & SPECIAL != 0
        counts[HIRAGANA_COUNT] += kind == HIRAGANA
        counts[FULL_STOPS] += code == FULL_STOP
        run = run + 1 if code == before else 1
        counts[LONGEST_RUN] = max(counts[LONGEST_RUN], run)
        before = code


@compiled
def repeated_share(codes: Array, size: int) -> Any:
    """Return the share that the most frequent n-grams of `size` characters have of all.

    As many count as the square root of the number of different ones, and none that occurs once.
    """
    total = len(codes) - size + 1
    if total < 1:
        return 0.0
    bits = 4
    while (1 << bits) < 2 * total:
        bits += 1
    table, counts = np.zeros(1 << bits, np.uint64), np.zeros(1 << bits, np.int32)
    leaving = np.uint64(1)
    for _ in range(size):
        leaving *= HASH_BASE
    rolling = np.uint64(0)
    different = repeated = 0
    for position in range(len(codes)):
        rolling = rolling * HASH_BASE + np.uint64(codes[position]) + np.uint64(1)
        if position >= size:
            rolling -= leaving * (np.uint64(codes[position - size]) + np.uint64(1))
        if position < size - 1:
            continue
        key = max(rolling, np.uint64(1))
        slot = np.int64((key * HASH_BASE) >> np.uint64(64 - bits))
        while table[slot] != 0 and table[slot] != key:
            slot = (slot + 1) & ((1 << bits) - 1)
        table[slot] = key
        counts[slot] += 1
        different += counts[slot] == 1
        repeated += counts[slot] == 2
    frequent = np.empty(repeated, np.int32)
    place = 0
    for count in counts:
        if count > 1:
            frequent[place] = count
            place += 1
    frequent.sort()
    taken = min(int(np.sqrt(different)), repeated)
    return frequent[repeated - taken :].sum() / total


@compiled
def measure_all(
    codes: Array,
    ends: Array,
    flags: Array,
    ways: Array,
    way_ends: Array,
    short: int,
    size: int,
    counts: Array,
    shares: Array,
) -> None:
    """Fill `counts[i]` and `shares[i]` for text i, which is `codes[ends[i - 1]:ends[i]]`."""
    start = 0
    for text in range(len(ends)):
        own = codes[start : ends[text]]
        count_lines(own, flags, ways, way_ends, short, counts[text])
        count_characters(own, flags, counts[text])
        shares[text] = repeated_share(own, size)
        start = ends[text]
