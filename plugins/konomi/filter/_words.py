"""Lists of words: read from files, and counted in texts."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from konomi.faults import Fault, KonomiError
from konomi.filter._code_points import BASIC_PLANE, CodePoints

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHIPPED = Path(__file__).parent / "_word_lists"
"""Small lists that come with konomi: text files with a word a line."""

KATAKANA = (*range(0x30A1, 0x30FB), 0x30FC, 0x30FD, 0x30FE, *range(0x31F0, 0x3200), *range(0xFF66, 0xFFA0))


@dataclass(frozen=True, eq=False)
class Words:
    """Words as a trie, to be counted in texts.

    An ASCII letter stands for both its cases. A word that begins or ends with a letter of a script with spaces, or
    with katakana, is no part of a longer word of the same script: `ass` is not in `class`, nor `エロ` in `テロエロス`.
    """

    first: NDArray[np.bool_]
    bits: int
    keys: NDArray[np.uint64]
    children: NDArray[np.int32]
    terminal: NDArray[np.bool_]

    def count(
        self, points: CodePoints, starts: NDArray[np.int64] | None = None, ends: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how many words stand in each text, or in each span `[starts, ends)`, and their characters.

        Of overlapping words the one that begins first counts, of those the longest.
        """
        import numpy as np

        from konomi.filter._words_kernel import count_words

        starts = points.starts() if starts is None else starts
        ends = points.ends if ends is None else ends
        hits, characters = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
        trie = self.first, self.bits, self.keys, self.children, self.terminal
        count_words(points.codes, starts, ends, _scripts(), *trie, hits, characters)
        return hits, characters


def trie(words: Iterable[str]) -> Words:
    """Return words ready to be counted; an empty word is none.

    >>> from konomi.filter._code_points import code_points
    >>> from konomi.units import arrow_texts
    >>> hits, characters = trie(["お得", "お得な情報", "sale"]).count(code_points(arrow_texts(["お得な情報、SALE！"])))
    >>> hits.tolist(), characters.tolist()
    ([2], [9])
    """
    import numpy as np

    from konomi.filter._code_points import code_points
    from konomi.filter._words_kernel import grow
    from konomi.units import arrow_texts

    entered = sorted({word for word in words if word})
    points = code_points(arrow_texts(entered))
    bits = max(int(2 * len(points.codes)).bit_length(), 4)  # at least half of the slots stay empty
    keys, children = np.zeros(1 << bits, np.uint64), np.zeros(1 << bits, np.int32)
    terminal = np.zeros(len(points.codes) + 1, np.bool_)
    grow(points.codes, points.ends, bits, keys, children, terminal)
    first = np.zeros(BASIC_PLANE, np.bool_)
    first[[ord(word[0]) & 0xFFFF for entry in entered for word in (entry, _swapped(entry))]] = True
    return Words(first, bits, keys, children, terminal)


def _swapped(word: str) -> str:
    """Return a word with the other case of its first letter, where that is of ASCII."""
    return word[0].swapcase() + word[1:] if word[0].isascii() else word


@functools.cache
def _scripts() -> NDArray[np.uint8]:
    """Return the scripts in whose words no other word is looked for: 1 letters and digits, 2 katakana, 0 the rest."""
    import numpy as np

    from konomi._units_kernel import UNSEGMENTED_RANGES

    scripts = np.zeros(BASIC_PLANE, np.uint8)
    scripts[[code for code in range(BASIC_PLANE) if unicodedata.category(chr(code))[0] in "LN"]] = 1
    for low, high in UNSEGMENTED_RANGES:
        scripts[low : high + 1] = 0
    scripts[list(KATAKANA)] = 2
    return scripts


def files_of(given: Sequence[str], *shipped: str) -> list[Path]:
    """Return the files of a list of words: those given or, where none are, those that ship."""
    return [Path(path) for path in given] or [SHIPPED / name for name in shipped]


def words_of(files: Iterable[Path]) -> Words:
    """Return the words of some files as a trie, which is kept until a file changes."""
    return _kept(states_of(files))


@functools.lru_cache(maxsize=32)
def _kept(files: tuple[tuple[Path, int, int], ...]) -> Words:
    return trie(word for file, *_ in files for word in lines_of(file))


def states_of(files: Iterable[Path]) -> tuple[tuple[Path, int, int], ...]:
    """Return files with what changes when they do: the time of the last writing, and the size."""
    found = []
    for file in files:
        try:
            state = file.expanduser().stat()
        except OSError as error:
            raise KonomiError(f"{file}: cannot be read: {error.strerror}") from error
        found.append((file, state.st_mtime_ns, state.st_size))
    return tuple(found)


def lines_of(file: Path) -> list[str]:
    """Return the entries of a file in UTF-8, one a line; what follows a `#` at the start of a line is a comment.

    Raises `KonomiError` where it cannot be read.
    """
    try:
        lines = file.expanduser().read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise KonomiError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KonomiError(
            f"{file}: not UTF-8 at byte {error.start}; a list of words is a text file in UTF-8"
        ) from error
    return [entry for line in lines if (entry := line.strip()) and not entry.startswith("#")]


def faults_of(where: str, files: Iterable[Path]) -> Iterator[Fault]:
    """Yield what is wrong with the files of an option."""
    for file in files:
        try:
            empty = not lines_of(file)
        except KonomiError as error:
            yield Fault(where, str(error), f"{where}=[FILE]: a text file in UTF-8 with an entry a line")
            continue
        if empty:
            yield Fault(where, f"{file} holds no entry", "write one a line; lines that start with # are comments")


def hashes_of(files: Iterable[Path]) -> list[str]:
    """Return the hashes of what some files hold, for `depends()`."""
    from konomi.store.content import file_hash

    return [file_hash(file.expanduser()) for file in files]
