"""What filters with a field `language` share: policies by name, chosen document by document, as tables for kernels."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from konomi import registry
from konomi.faults import Fault, did_you_mean
from konomi.units import CHARACTERS_PER_WORD

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from konomi.language import Language, Ranges

AUTO = "auto"
"""Value of a field `language`: each document by its letters."""

FALLBACK = "any"
"""The language of documents in none of the others."""

SPACED_CHARACTERS_PER_WORD = 6
"""Characters of an English word of running text, with its space.

So a character of a script without spaces, of which two are a word, weighs as much as three letters.
"""

CODES = 0x40000
"""Code points that tables hold: the planes in which there are characters; what is above has no flag."""

PACKED = 32
"""Properties of code points that are numbered together: with as many bits before them they fit 64."""

LEAST_SHARE = 0.5
"""Share of a text's letters that `auto` asks for."""

LEAST_DISTINCTIVE_SHARE = 0.01
"""Share of a text's letters that `auto` asks to be distinctive, where a language names such."""


def faults(language: str) -> Iterator[Fault]:
    """Yield a fault where no language has this name."""
    if language != AUTO and language not in registry.names("language"):
        hint = did_you_mean(language, [AUTO, *registry.names("language")])
        yield Fault("language", f"there is no language called {language}", hint)


def depends(language: str) -> Mapping[str, Any]:
    """Return what the tables of a language follow: for `auto`, those of every language that is installed."""
    import unicodedata

    known = {name: policy for name, policy in policies(language).items() if language in (AUTO, name)}
    return {"unicode": unicodedata.unidata_version, "languages": known}


def policies(language: str) -> dict[str, Language]:
    """Return the languages that documents may get: the fallback first, then konomi's own, then others, by name."""
    if language != AUTO:
        return {name: registry.get("language", name)() for name in dict.fromkeys((FALLBACK, language))}
    entries = registry.entries("language")
    order = sorted(entries, key=lambda entry: (entry.name != FALLBACK, entry.owner != "konomi", entry.name))
    return {entry.name: entry.cls() for entry in order}


@dataclass(frozen=True)
class Documents:
    """n texts, each with its language, as kernels take them."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    languages: tuple[Language, ...]
    places: NDArray[np.int64]
    """Which of `languages` each text is in; shape (n,)."""

    def flags(self) -> NDArray[np.uint8]:
        """Return the flags of every code point in each language; shape (languages, CODES)."""
        return flags(tuple(type(language) for language in self.languages))

    def per_word(self) -> NDArray[np.int64]:
        """Return the characters that are a word where none are spaced, by language."""
        import numpy as np

        return np.array([language.characters_per_word for language in self.languages], np.int64)


def documents(texts: pa.Array, language: str) -> Documents:
    """Return texts with their languages, by the value of a field `language`."""
    from konomi.units import alike, text_buffers

    data, offsets = alike(*text_buffers(texts))
    known, places = chosen(language, data, offsets)
    return Documents(data, offsets, tuple(known.values()), places)


@dataclass(frozen=True)
class Grouping:
    """Code points in groups that all languages treat alike, to count a text's letters by."""

    groups: NDArray[np.uint16]
    """Group of each code point."""
    own: NDArray[np.float64]
    """Weight of a group's letters for each language, 0 where they are not its; shape (languages, groups)."""
    distinctive: NDArray[np.float64]
    """The same for distinctive letters."""
    weights: NDArray[np.float64]
    """Weight of each group's letters."""


@functools.lru_cache(maxsize=4)
def grouping(languages: tuple[type[Language], ...]) -> Grouping:
    """Return the groups of code points by whose letters they are."""
    import numpy as np

    columns = [alphabetic(), among(None)]
    for language in languages:
        own = np.zeros(CODES, np.bool_)
        for ranges in language.scripts.values():
            own |= among(ranges)
        marked = [among(language.scripts[name]) for name in language.distinctive]
        columns += [own, np.logical_or.reduce(marked) if marked else np.zeros(CODES, np.bool_)]
        columns[0] = columns[0] | own
    groups = np.zeros(CODES, np.int64)
    for start in range(0, len(columns), PACKED):
        for column in columns[start : start + PACKED]:
            groups = 2 * groups + column
        groups = np.unique(groups, return_inverse=True)[1]
    firsts = np.unique(groups, return_index=True)[1]
    letters, unspaced, *rest = (column[firsts] for column in columns)
    weight = np.where(unspaced, SPACED_CHARACTERS_PER_WORD / CHARACTERS_PER_WORD, 1.0) * letters
    return Grouping(groups.astype(np.uint16), np.array(rest[::2]) * weight, np.array(rest[1::2]) * weight, weight)


def choose(known: Mapping[str, Language], data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each of n texts the place among `known` of the language whose letters it holds most; shape (n,).

    Letters weigh by the words that they make. A language must have half of them; 0 where none has.
    """
    import numpy as np

    from konomi.filter._languages_kernel import count_groups

    languages = tuple(type(language) for language in known.values())
    tables = grouping(languages)
    counts = np.zeros((len(offsets) - 1, len(tables.weights)), np.int64)
    count_groups(data, offsets, tables.groups, counts)
    total = np.maximum(counts @ tables.weights, 1)[:, None]
    shares = counts @ tables.own.T / total
    marked = np.array([bool(language.distinctive) for language in languages])
    fits = (shares >= LEAST_SHARE) & (~marked | (counts @ tables.distinctive.T / total >= LEAST_DISTINCTIVE_SHARE))
    # of languages with the same letters, the one whose distinctive letters are there
    return np.asarray(np.argmax(np.where(fits, shares + 1e-9 * marked, 0), axis=1), np.int64)


def chosen(
    language: str, data: NDArray[np.uint8], offsets: NDArray[np.int64]
) -> tuple[dict[str, Language], NDArray[np.int64]]:
    """Return the languages for a field's value, and the place among them of each document's."""
    import numpy as np

    known = policies(language)
    if language == AUTO:
        return known, choose(known, data, offsets)
    return known, np.full(len(offsets) - 1, list(known).index(language), np.int64)


SPACE, LETTER, UNSPACED, END, SPACED_END, CLOSER, TERMINAL, INSIDE = (1 << bit for bit in range(8))
"""Flags of code points: white space; letters of any script; scripts without spaces; ends of sentences wherever they
stand; ends where white space follows; closers after an end; ends of a line; what runs of letters are made of."""


@functools.lru_cache(maxsize=4)
def flags(languages: tuple[type[Language], ...]) -> NDArray[np.uint8]:
    """Return the flags of every code point in each language; shape (languages, CODES)."""
    import numpy as np

    from konomi._units_kernel import SPACES

    common = alphabetic() * np.uint8(LETTER) | inside() * np.uint8(INSIDE)
    common[list(SPACES)] = SPACE
    made = np.tile(common, (len(languages), 1))
    for row, language in zip(made, languages, strict=True):
        row |= among(language.unspaced) * np.uint8(UNSPACED)
        for marks, flag in (
            (language.sentence_ends, END),
            (language.spaced_sentence_ends, SPACED_END),
            (language.closers, CLOSER),
            (language.terminal_punctuation, TERMINAL),
        ):
            row[[ord(mark) for mark in marks]] |= np.uint8(flag)
    return made


def among(ranges: Ranges | None) -> NDArray[np.bool_]:
    """Return which code points are in the ranges; None: in the scripts without spaces that `konomi.units` knows."""
    import numpy as np

    from konomi._units_kernel import UNSEGMENTED

    if ranges is None:
        return np.equal(_units_classes(), UNSEGMENTED)
    held = np.zeros(CODES, np.bool_)
    for low, high in ranges:
        held[low : high + 1] = True
    return held


@functools.cache
def _units_classes() -> NDArray[np.uint8]:
    import numpy as np

    from konomi.filter._languages_kernel import fill_classes

    classes = np.empty(CODES, np.uint8)
    fill_classes(classes)
    return classes


@functools.cache
def alphabetic() -> NDArray[np.bool_]:
    """Return which code points are letters (Unicode's categories L)."""
    import numpy as np

    return np.array([chr(code).isalpha() for code in range(CODES)])


@functools.cache
def inside() -> NDArray[np.bool_]:
    """Return which code points make up words: letters, digits, and marks that combine with them."""
    import unicodedata

    import numpy as np

    return np.array([unicodedata.category(chr(code))[0] in "LMN" for code in range(CODES)])


def strings(lists: Sequence[Sequence[str]]) -> tuple[NDArray[Any], ...]:
    """Return lists of strings as kernels take them: bytes, where each string starts, where each list ends, first bytes.

    Of strings that stand at one place, the first of the list is found. ASCII letters must be in lower case.
    """
    import numpy as np

    encoded = [[word.encode() for word in words] for words in lists]
    flat = [word for words in encoded for word in words]
    first = np.zeros((len(lists), 256), np.bool_)
    for row, words in zip(first, encoded, strict=True):
        row[[byte for word in words for byte in (word[:1] + word[:1].upper())]] = True
    starts = np.cumsum([0, *map(len, flat)], dtype=np.int64)
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return np.frombuffer(b"".join(flat) or b"\0", np.uint8), starts, ends, first


def first_pairs(lists: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
    """Return whether a string of a language begins with two bytes, in lower case; shape (languages, 65536)."""
    import numpy as np

    made = np.zeros((len(lists), 1 << 16), np.bool_)
    for row, words in zip(made, lists, strict=True):
        row[[int.from_bytes(word.encode()[:2], "big") for word in words]] = True
    return made


def longest_first(words: Sequence[str]) -> list[str]:
    """Return strings such that the longer of two that begin alike comes first."""
    return sorted(words, key=len, reverse=True)


@functools.cache
def lower_case() -> NDArray[np.uint32]:
    """Return the small letter of every code point that has one, else itself."""
    import numpy as np

    made = np.arange(CODES, dtype=np.uint32)
    for code in range(CODES):
        small = chr(code).lower()
        if len(small) == 1:
            made[code] = ord(small)
    return made


def word_table(lists: Sequence[Sequence[str]]) -> NDArray[np.uint64]:
    """Return tables of open addressing with the hashes of words in lower case, by language; 0 where a slot is empty."""
    import numpy as np

    from konomi._units_kernel import FNV_OFFSET, FNV_PRIME

    slots = 1 << max(2 * max(map(len, lists), default=1), 8).bit_length()
    tables = np.zeros((len(lists), slots), np.uint64)
    for table, words in zip(tables, lists, strict=True):
        for word in words:
            hashed = int(FNV_OFFSET)
            for character in word:
                hashed = (hashed ^ ord(character)) * int(FNV_PRIME) % 2**64
            slot = (hashed >> 32) & (slots - 1)
            while table[slot]:
                slot = (slot + 1) & (slots - 1)
            table[slot] = hashed
    return tables
