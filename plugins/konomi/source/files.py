"""Rows out of files on this machine."""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, Faults, KonomiError
from konomi.fields import NOT_IN_KEY
from konomi.registry import register
from konomi.source import Rows
from konomi.source._options import FileType, Gives, OnError, TextUnit

if TYPE_CHECKING:
    import pyarrow as pa

    from konomi.source._bytes import Reading
    from konomi.source._columns import Layout
    from konomi.source._parquet import Groups
    from konomi.source._paths import File
    from konomi.source._tables import Problems

LARGE_TEXT_BYTES = 4 << 20
"""Size above which a text is hardly one document: the longest novels have as many."""


@register("source", "files")
@dataclass(frozen=True)
class Files:
    """Read rows from files: JSON lines, JSON, Parquet, CSV, TSV and plain text, also as .gz and .zst.

    Files are read as streams, so that neither their size nor their number matters. The rows keep the columns of their
    format, and every further column that holds plain values in the first 100 rows.

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "本文.jsonl").write_text('{"body": "おはよう", "year": 1906}', encoding="utf-8")
    >>> rows = Files(path=str(folder / "*.jsonl"), columns={"text": "body"})
    >>> rows.format(), [table.to_pylist() for table in rows.load()]
    ('text', [[{'text': 'おはよう', 'year': 1906}]])
    """

    path: Any = field(default="", metadata=NOT_IN_KEY)
    """A file, a folder, a glob (`texts/**/*.jsonl.zst`), or a list of these. What the files hold is in the key, not
    where they are."""
    type: FileType = FileType.auto
    """What the files are; `auto` goes by the suffix."""
    columns: dict[str, str] = field(default_factory=dict)
    """Our name for a column, and theirs: `columns.text=body`."""
    gives: Gives = Gives.auto
    """Format of the rows; `auto` goes by the columns, `rows` takes any (the seeds of a generator)."""
    keep: list[str] | None = None
    """Columns kept beside the format's (our names); unset keeps all that hold plain values."""
    text_unit: TextUnit = TextUnit.file
    """What one document of a plain text file is; paragraphs are parted by a blank line."""
    encoding: str = "utf-8"
    """Encoding of what is not Parquet: `cp932`, `euc_jp`, `utf-16` …"""
    on_error: OnError = OnError["raise"]
    """What to do with a row that cannot be read: `raise`, or `drop` and count it."""
    limit: int = 0
    """Rows to read; 0 reads all."""
    max_record_bytes: int = 16 << 20
    """Largest size of one row."""
    max_ratio: int = field(default=200, metadata=NOT_IN_KEY)
    """Largest expansion of a compressed file, against files made to fill the disk."""

    def check(self) -> Iterable[Fault]:
        from konomi.source._paths import find

        faults = list(self._wrong_options())
        files: list[File] = []
        if self._patterns():
            files, missing = find(self._patterns(), self.type)
            faults += missing
        yield from faults
        if files and not faults:
            yield from self.peek(files)[1]

    def format(self) -> str:
        layout = self.peek()[0]
        return layout.format if layout else "text" if self.gives is Gives.auto else self.gives.name

    def columns_known(self) -> Sequence[str] | None:
        layout = self.peek()[0]
        return list(layout.types) if layout else None

    def advice(self) -> Iterable[str]:
        """Tell of a large text that is read as one document."""
        if self.text_unit is not TextUnit.file:
            return
        for file in self._files():
            size = file.path.stat().st_size
            if file.type is FileType.text and size > LARGE_TEXT_BYTES:
                yield (
                    f"{file.path} ({size / 1e6:.0f} MB) is read as one document;"
                    " source.text_unit=line takes each line as one, paragraph what stands between blank lines"
                )
                return

    def depends(self) -> Mapping[str, Any]:
        from konomi.store.content import file_hash

        return {"files": [[file.type.name, file.compression, file_hash(file.path)] for file in self._files()]}

    def load(self) -> Rows:
        files, layout = self._opened()
        return self._rows(files, layout)

    def names(self) -> Sequence[str]:
        """Return the names that `parts()` gives its files; no file is opened."""
        from konomi.source._paths import relative_names

        files = [] if self.limit else self._files()
        return relative_names([file.path for file in files]) if files else []

    def parts(self) -> Sequence[Rows]:
        """Return a part for each file, several for a large Parquet file; all in one where `limit` counts over them."""
        from konomi.source._paths import relative_names

        files, layout = self._opened()
        if self.limit:
            return [self._rows(files, layout)]
        names = relative_names([file.path for file in files])
        return [part for file, name in zip(files, names, strict=True) for part in self._parts(file, layout, name)]

    def _parts(self, file: File, layout: Layout, name: str) -> Iterator[Rows]:
        """Yield the parts of one file."""
        from konomi.source._parquet import portions

        groups = portions(file) if file.type is FileType.parquet else []
        if len(groups) < 2:
            yield Rows(partial(self._read, [file], layout), name=name)
            return
        for chosen in groups:
            yield Rows(partial(self._read_groups, file, layout, chosen), name=name, first=chosen.first)

    def _read_groups(self, file: File, layout: Layout, chosen: Groups, dropped: dict[str, int]) -> Iterator[pa.Table]:
        from konomi.source._parquet import parquet_tables
        from konomi.source._tables import Problems

        return parquet_tables(file, layout, Problems(self.on_error, dropped), self._reading(), chosen)

    def _rows(self, files: Sequence[File], layout: Layout) -> Rows:
        """Return the rows of all files, in one."""
        return Rows(partial(self._read, files, layout), name=files[0].path.name if len(files) == 1 else "")

    def _opened(self) -> tuple[list[File], Layout]:
        """Return what is to be read, and as what; raises `Faults`."""
        faults = list(self.check())
        files = [] if faults else self._files()
        layout, found = self.peek(files) if files else (None, [])
        if layout is None:
            raise Faults(Fault(f"source.{fault.where}", fault.what, fault.hint) for fault in faults or found)
        return files, layout

    def _read(self, files: Sequence[File], layout: Layout, dropped: dict[str, int]) -> Iterator[pa.Table]:
        from konomi.source._tables import Problems, limited

        problems = Problems(self.on_error, dropped)
        yield from limited((table for file in files for table in self._tables(file, layout, problems)), self.limit)

    def _tables(self, file: File, layout: Layout, problems: Problems) -> Iterator[pa.Table]:
        from konomi.source._json_blocks import json_tables, suits
        from konomi.source._parquet import parquet_tables
        from konomi.source._records import records
        from konomi.source._tables import tables

        if file.type is FileType.parquet:
            return parquet_tables(file, layout, problems, self._reading())
        if file.type is FileType.jsonl and suits(layout):
            return json_tables(file, layout, problems, self._reading())
        unit = self._unit(file)
        rows = ((f"{file.path}, {unit} {row}", value) for row, value in records(file, self._reading()))
        return tables(rows, layout, problems)

    def peek(self, files: Iterable[File] | None = None) -> tuple[Layout | None, list[Fault]]:
        """Decide the layout by the first file that has rows; None where there are faults."""
        from konomi.source._columns import lay_out

        if any(self._wrong_options()):
            return None, []  # `check` tells them
        for file in self._files() if files is None else files:
            try:
                found = self._types(file)
            except KonomiError as error:
                return None, [Fault("path", str(error))]
            except OSError as error:
                if self.on_error is OnError["raise"]:
                    return None, [Fault("path", f"{file.path} cannot be read: {error}")]
                continue
            if found:
                return lay_out(found, self.columns, self.keep, self.gives)
        return None, [Fault("path", f"there is not one row in {self.path}")]

    def _types(self, file: File) -> dict[str, pa.DataType | None]:
        """Return the types of a file's columns; none where it has no row. Raises at a bad row among the first."""
        from konomi.source._bytes import Bad
        from konomi.source._columns import PEEK_ROWS, sampled_types, schema_types
        from konomi.source._parquet import parquet_schema
        from konomi.source._records import records
        from konomi.source._tables import Problems

        if file.type is FileType.parquet:
            return schema_types(parquet_schema(file))
        problems, rows = Problems(self.on_error), []
        for row, value in itertools.islice(records(file, self._reading()), PEEK_ROWS):
            if isinstance(value, Bad):
                problems.meet(f"{file.path}, {self._unit(file)} {row}", value)
            else:
                rows.append(value)
        return sampled_types(rows)

    @staticmethod
    def _unit(file: File) -> str:
        return "row" if file.type is FileType.json else "line"

    def _wrong_options(self) -> Iterator[Fault]:
        if not self._patterns():
            yield Fault("path", f"says nothing to read ({self.path!r})", "type path=texts/*.jsonl.zst")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            yield Fault("encoding", f"there is no encoding called {self.encoding}", "known: utf-8, cp932, euc_jp …")
        for name in ("max_record_bytes", "max_ratio"):
            if getattr(self, name) < 1:
                yield Fault(name, f"{getattr(self, name)} leaves nothing to read; expected at least 1")
        if self.limit < 0:
            yield Fault("limit", f"{self.limit} is below 0")

    def _patterns(self) -> list[str]:
        from konomi.source._paths import patterns_of

        return patterns_of(self.path)

    def _files(self) -> list[File]:
        from konomi.source._paths import find

        return find(self._patterns(), self.type)[0]

    def _reading(self) -> Reading:
        from konomi.source._bytes import Reading

        return Reading(self.encoding, self.text_unit, self.max_record_bytes, self.max_ratio)
