"""Rows out of a crawl's archives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, Faults
from konomi.fields import NOT_IN_KEY
from konomi.registry import register
from konomi.source import Rows
from konomi.source._options import OnError

if TYPE_CHECKING:
    import pyarrow as pa

    from konomi.source._bytes import Bad, Reading
    from konomi.source._columns import Layout
    from konomi.source._paths import File
    from konomi.source._tables import Problems

COLUMNS = ("text", "url", "date", "language", "record_id")
EXTRA = "type: pip install 'konomi[web]'"


class Extractor(Enum):
    """What makes text of HTML: `trafilatura` (Barbaresi 2021), or `resiliparse` (Bevendorff+ 2018), which is faster."""

    trafilatura = "trafilatura"
    resiliparse = "resiliparse"


@register("source", "warc")
@dataclass(frozen=True)
class Warc:
    """Read pages from WARC files (ISO 28500), HTML made into text, and texts from WET files, as Common Crawl has them.

    A row has the page's `text`, `url`, `date` (when it was fetched), `language` (of WET, where Common Crawl detected
    it; `jpn,eng`) and `record_id`. Taken are responses of status 200 that are HTML or plain text; what else there was
    is counted by reason. Each page is decoded and extracted in a process that may die of it.

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> head = "WARC/1.0\\r\\nWARC-Type: conversion\\r\\nWARC-Record-ID: <urn:uuid:1>\\r\\n"
    >>> rest = "WARC-Target-URI: https://a.example/\\r\\nContent-Length: 5\\r\\n\\r\\nhello\\r\\n\\r\\n"
    >>> _ = (folder / "a.warc.wet").write_bytes((head + rest).encode())
    >>> [(row["text"], row["url"]) for table in Warc(path=str(folder)).load() for row in table.to_pylist()]
    [('hello', 'https://a.example/')]
    """

    path: Any = field(default="", metadata=NOT_IN_KEY)
    """A file, a folder, a glob (`CC-MAIN-2024-10/**/*.warc.gz`), or a list of these: `.warc` and `.wet`, also as .gz
    and .zst. What the files hold is in the key, not where they are."""
    extractor: Extractor = Extractor.trafilatura
    """What makes text of HTML: `trafilatura` or `resiliparse`."""
    favor_precision: bool = True
    """Let trafilatura leave out what may be no main text, as FineWeb has it; false takes more."""
    timeout: float = 10.0
    """Seconds of computing that a page may take."""
    max_page_bytes: int = 10_000_000
    """Largest size of a page, unpacked."""
    on_error: OnError = OnError["raise"]
    """What to do with a damaged file: `raise`, or `drop` what comes after the damage and count it."""
    limit: int = 0
    """Rows to read; 0 reads all."""
    max_ratio: int = field(default=200, metadata=NOT_IN_KEY)
    """Largest expansion of a compressed file, against files made to fill the disk."""
    workers: int = field(default=1, metadata=NOT_IN_KEY)
    """Processes that extract, for each file that is read at a time."""

    def check(self) -> Iterable[Fault]:
        from konomi.source._paths import patterns_of

        yield from self._wrong_options()
        if not patterns_of(self.path):
            yield Fault("path", f"says nothing to read ({self.path!r})", "type path=crawl/*.warc.gz")
        else:
            yield from self._found()[1]

    def _found(self) -> tuple[list[File], list[Fault]]:
        from konomi.source._paths import ARCHIVES, find, patterns_of

        return find(patterns_of(self.path), suffixes=ARCHIVES)

    def _wrong_options(self) -> Iterator[Fault]:
        from importlib.util import find_spec

        for option, library in (("path", "fastwarc"), ("extractor", "resiliparse"), ("extractor", self.extractor.name)):
            if find_spec(library) is None:
                yield Fault(option, f"{library} is not installed", EXTRA)
        for name in ("max_page_bytes", "max_ratio", "workers"):
            if getattr(self, name) < 1:
                yield Fault(name, f"{getattr(self, name)}; expected at least 1")
        if self.timeout <= 0:
            yield Fault("timeout", f"{self.timeout} leaves no time for a page", "type timeout=10")
        if self.limit < 0:
            yield Fault("limit", f"{self.limit} is below 0")

    def format(self) -> str:
        return "text"

    def columns_known(self) -> Sequence[str]:
        return COLUMNS

    def depends(self) -> Mapping[str, Any]:
        from importlib.metadata import version

        from konomi.store.content import file_hash

        files = [[file.compression, file_hash(file.path)] for file in self._files()]
        return {"files": files, "extractor": version(self.extractor.name)}

    def load(self) -> Rows:
        files = self._files()
        return Rows(partial(self._read, files), name=files[0].path.name if len(files) == 1 else "")

    def names(self) -> Sequence[str]:
        """Return the names that `parts()` gives its files; no file is opened."""
        from konomi.source._paths import relative_names

        files = [] if self.limit else self._found()[0]
        return relative_names([file.path for file in files]) if files else []

    def parts(self) -> Sequence[Rows]:
        """Return a part for each file; all in one where `limit` counts over the files."""
        from konomi.source._paths import relative_names

        files = self._files()
        if self.limit:
            return [self.load()]
        names = relative_names([file.path for file in files])
        return [Rows(partial(self._read, [file]), name=name) for file, name in zip(files, names, strict=True)]

    def _files(self) -> list[File]:
        if faults := list(self.check()):
            raise Faults(Fault(f"source.{fault.where}", fault.what, fault.hint) for fault in faults)
        return self._found()[0]

    def _read(self, files: Sequence[File], dropped: dict[str, int]) -> Iterator[pa.Table]:
        from konomi.source._tables import Problems, limited, tables

        problems = Problems(self.on_error, dropped)
        yield from limited(tables(self._rows(files, problems), _layout(), problems), self.limit)

    def _rows(self, files: Sequence[File], problems: Problems) -> Iterator[tuple[str, dict[str, Any] | Bad]]:
        from konomi.source._pages import Extraction, Lost, extracted

        how = Extraction(self.extractor.name, self.favor_precision, self.timeout, self.max_page_bytes)
        for row, text in extracted(self._pages(files, problems), how, self.workers):
            if isinstance(text, Lost):
                problems.leave_out(text.reason)
            else:
                yield str(row["url"]), {**row, "text": text}

    def _pages(self, files: Sequence[File], problems: Problems) -> Iterator[tuple[dict[str, Any], Any]]:
        """Yield pages, and count what is none; a damaged file is met here."""
        from konomi.source._bytes import Bad
        from konomi.source._warc import Skipped, pages

        for file in files:
            for number, row, page in pages(file, self._reading()):
                if isinstance(page, Skipped):
                    problems.leave_out(page.reason)
                elif isinstance(page, Bad):
                    problems.meet(f"{file.path}, record {number}", page)
                else:
                    yield row, page

    def _reading(self) -> Reading:
        from konomi.source._bytes import Reading

        return Reading(max_record_bytes=self.max_page_bytes, max_ratio=self.max_ratio)


def _layout() -> Layout:
    import pyarrow as pa

    from konomi.source._columns import Layout

    return Layout("text", {name: name for name in COLUMNS}, dict.fromkeys(COLUMNS, pa.string()))
