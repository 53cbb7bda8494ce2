"""Where a text comes from, held against lists of domains and of words in addresses."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, KonomiError
from konomi.fields import NOT_IN_KEY, decides
from konomi.filter import Annotation, Verdicts
from konomi.filter._limits import ByLimits, Limit
from konomi.registry import register

if TYPE_CHECKING:
    import pyarrow as pa

PIECES = re.compile(r"[\W_]+")
"""What parts the words of an address."""

LONGEST_URL = 4096
DEEPEST_ENTRY = 8
"""Characters of an address that are looked at, and parts of a path that an entry may have: an address is input."""


@register("filter", "url_blocklist")
@dataclass(frozen=True)
class UrlBlocklist(ByLimits):
    """Drop a text whose address is on a list of domains, or holds words of a list (RefinedWeb: Penedo+ 2023, G.1).

    A domain stands for its sub-domains too; an entry with a path (`example.com/shop`) for what lies below it. `allow`
    goes before: Swallow keeps Wikipedia whatever the lists say. The list of Toulouse University (UT1), from which
    RefinedWeb, FineWeb and Swallow take theirs, is files of this form. No domains ship, a few words do. A row without
    an address is kept.

    >>> import pyarrow as pa
    >>> urls = pa.array(["https://www.example.com/free-porn/1", "https://example.org/history", None])
    >>> UrlBlocklist()(["a", "b", "c"], {"url": urls}).reasons
    ['blocked words in the URL 1 > 0', None, None]
    """

    column: str = "url"
    """Column of the address."""
    domains: list[str] = field(default_factory=list, metadata=NOT_IN_KEY)
    """Files of domains, one a line."""
    words: list[str] = field(default_factory=list, metadata=NOT_IN_KEY)
    """Files of words, one a line; a word is letters and digits between other signs. None takes the list that ships."""
    allow: list[str] = field(default_factory=list)
    """Domains whose texts are kept: `[wikipedia.org]`."""
    max_words: int = decides(0)
    """Most words of the list that an address may hold."""

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.column,)

    def check(self) -> Iterable[Fault]:
        from konomi.filter._words import faults_of

        if not self.column:
            yield Fault("column", "no column is named", "column=url")
        if self.max_words < 0:
            yield Fault("max_words", f"{self.max_words} is no number of words", "max_words=0 drops what holds one")
        yield from faults_of("domains", map(Path, self.domains))
        yield from faults_of("words", self._word_files())

    def depends(self) -> Mapping[str, Any]:
        from konomi.filter._words import hashes_of

        return {"domains": hashes_of(map(Path, self.domains)), "words": hashes_of(self._word_files())}

    def annotate(self, texts: pa.Array, columns: Mapping[str, pa.Array] | None = None) -> Annotation:
        import numpy as np

        if columns is None or self.column not in columns:
            raise KonomiError(
                f"filter url_blocklist judges the column {self.column}, which these rows do not have; name theirs:"
                " filter.url_blocklist.column=…"
            )
        urls = columns[self.column].to_pylist()
        if odd := next((url for url in urls if url is not None and not isinstance(url, str)), None):
            raise KonomiError(
                f"filter url_blocklist: the column {self.column} holds {odd!r}; expected addresses, as text"
            )
        domains, words = entries_of(tuple(self.domains)), entries_of(tuple(map(str, self._word_files())))
        allowed = frozenset(map(plain_entry, self.allow))
        found = np.zeros((2, len(urls)), np.int64)
        for index, url in enumerate(urls):
            url = (url or "")[:LONGEST_URL]
            if url and not (places := Places.of(url)).on(allowed):
                found[:, index] = places.on(domains), sum(piece in words for piece in PIECES.split(url.lower()))
        return Annotation({"listed": found[0], "words": found[1]})

    def limits(self) -> list[Limit]:
        return [
            Limit("listed", most=0, label="blocked domain"),
            Limit("words", most=self.max_words, label="blocked words in the URL"),
        ]

    def __call__(self, texts: list[str], columns: Mapping[str, pa.Array] | None = None) -> Verdicts:
        from konomi.units import arrow_texts

        scores = self.annotate(arrow_texts(texts), columns).scores
        return Verdicts(texts, self.decide(scores), dict(scores))

    def _word_files(self) -> list[Path]:
        from konomi.filter._words import files_of

        return files_of(self.words, "url_words.txt")


@dataclass(frozen=True)
class Places:
    """The host of an address, and the parts of its path."""

    host: str
    path: Sequence[str]

    @classmethod
    def of(cls, url: str) -> Places:
        """Take an address apart, with or without a scheme; what cannot be taken apart has an odd host, and no error."""
        url = url.strip()
        rest = url.partition("://")[2] or url.removeprefix("//")
        place, *path = re.split(r"[?#]", rest, maxsplit=1)[0].split("/")
        host = place.rpartition("@")[2].lower()
        if not host.startswith("["):  # an IPv6 address holds colons itself
            host = host.partition(":")[0]
        return cls(ascii_host(host.strip(".")), [part for part in path if part][:DEEPEST_ENTRY])

    def on(self, entries: frozenset[str]) -> bool:
        """Tell whether the host, a domain above it or a place on the way to the page is listed."""
        return bool(entries) and any(name in entries for name in self._names())

    def _names(self) -> Iterator[str]:
        labels = self.host.split(".")
        for cut in range(len(labels)):
            name = ".".join(labels[cut:])
            yield name
            for depth in range(len(self.path)):
                yield "/".join([name, *self.path[: depth + 1]])


def ascii_host(host: str) -> str:
    """Return a host name as it goes over the wire: `日本.jp` as `xn--wgv71a.jp` (IDNA).

    >>> ascii_host("日本.jp")
    'xn--wgv71a.jp'
    """
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def plain_entry(entry: str) -> str:
    """Return an entry of a list as addresses are looked up: no scheme, no slash at its end, the host in ASCII."""
    places = Places.of(entry)
    return "/".join([places.host, *places.path])


def entries_of(files: Sequence[str]) -> frozenset[str]:
    """Return the entries of some files, which are kept until a file changes."""
    from konomi.filter._words import states_of

    return _kept(states_of(map(Path, files)))


@functools.lru_cache(maxsize=8)
def _kept(files: tuple[tuple[Path, int, int], ...]) -> frozenset[str]:
    from konomi.filter._words import lines_of

    return frozenset(plain_entry(entry) for file, *_ in files for entry in lines_of(file))
