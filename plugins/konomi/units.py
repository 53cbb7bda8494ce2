"""What a text is counted in: characters, words, or each where it belongs.

Languages without spaces have no words that a machine can count without a dictionary, so a rule that counts words takes
a whole Japanese paragraph for one. `Unit.auto` counts a character of such a script, and a word elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


CHARACTERS_PER_WORD = 2
"""Characters that stand for one word of Japanese, so that thresholds that were set for words hold.

A short-unit word of Japanese has about two characters. Where Gopher's rules on repetition count single characters,
every second work of literature is over the thresholds: grammar alone repeats runs of five.
"""


class Unit(Enum):
    """What n-grams and shingles are made of."""

    auto = 0
    """A character of a script written without spaces (Japanese, Chinese, Thai, Khmer …), else a word."""
    word = 1
    """What stands between white space."""
    character = 2
    """A character that is not white space."""


@dataclass(frozen=True)
class Units:
    """The units of n texts, one text after another."""

    hashes: NDArray[np.uint64]
    """A hash of each unit."""
    lengths: NDArray[np.int32]
    """Characters of each unit."""
    ends: NDArray[np.int64]
    """Where the units of each text end; shape (n,)."""
    unsegmented: NDArray[np.int64]
    """Characters of each text that belong to a script written without spaces; shape (n,)."""

    def ngrams(self, size: int | NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return a hash of each run of `size` units within a text, and where those of each text end.

        `size` is one number, or one for each text.
        """
        import numpy as np

        from konomi._units_kernel import roll_all

        hashes, ends = np.empty_like(self.hashes), np.empty_like(self.ends)
        count = roll_all(self.hashes, self.ends, np.full(ends.shape, size, np.int64), hashes, ends)
        return hashes[:count], ends

    def characters(self) -> NDArray[np.int64]:
        """Return the characters in the units of each text; shape (n,)."""
        import numpy as np

        reached = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])[self.ends]
        return np.diff(reached, prepend=0)


def cores() -> int:
    """Return how many cores this process may use."""
    import os

    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def arrow_texts(texts: Iterable[str]) -> pa.Array:
    """Return texts as an Arrow array of large strings; half a surrogate pair stays the three bytes it is written in."""
    import pyarrow as pa

    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return pa.array(encoded, pa.large_binary()).view(pa.large_string())


def text_buffers(texts: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the UTF-8 bytes of an Arrow array of strings and the n + 1 offsets into them, without copying the text.

    A null counts as an empty text.
    """
    import numpy as np
    import pyarrow as pa

    texts = texts.cast(pa.large_string()) if texts.type != pa.large_string() else texts
    if texts.null_count:
        texts = texts.fill_null("")
    _, offsets, data = texts.buffers()
    if len(texts) == 0 or data is None:
        return np.empty(0, np.uint8), np.zeros(len(texts) + 1, np.int64)
    window = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data, np.uint8), window


def cut(data: NDArray[np.uint8], offsets: NDArray[np.int64], unit: Unit, *, fold: bool) -> Units:
    """Cut the UTF-8 texts `data[offsets[i]:offsets[i + 1]]` into units.

    With `fold`, ASCII letters lose their case, and punctuation is no unit and separates words.
    """
    import numpy as np

    from konomi._units_kernel import cut_all

    data, offsets = alike(data, offsets)
    size = int(offsets[-1] - offsets[0])
    hashes, lengths = np.empty(size, np.uint64), np.empty(size, np.int32)
    ends, unsegmented = np.empty(len(offsets) - 1, np.int64), np.empty(len(offsets) - 1, np.int64)
    count = cut_all(data, offsets, unit.value, fold, hashes, lengths, ends, unsegmented)
    return Units(hashes[:count], lengths[:count], ends, unsegmented)


def whole_hashes(data: NDArray[np.uint8], offsets: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Return a hash of each `chosen` text, but for the case of ASCII letters and the width of white space (else 0)."""
    import numpy as np

    from konomi import _units_kernel

    hashes = np.zeros(len(offsets) - 1, np.uint64)
    _units_kernel.whole_hashes(*alike(data, offsets), chosen, hashes)
    return hashes


def alike(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return text that is read-only and offsets that are not: numba compiles anew for each type that it meets."""
    text = data.view()
    text.flags.writeable = False
    return text, offsets.copy()
