"""Rows out of a data set of the Hugging Face hub, or of a local folder laid out like one."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, Faults, KonomiError
from konomi.fields import NOT_IN_KEY
from konomi.registry import register
from konomi.source import FORMATS, Rows
from konomi.source._options import FileType, Gives, OnError

if TYPE_CHECKING:
    import pyarrow as pa

    from konomi.source._columns import Layout
    from konomi.source._hub import Place
    from konomi.source._tables import Problems


@register("source", "hub")
@dataclass(frozen=True)
class Hub:
    """Read rows with `datasets.load_dataset`: a hub repository at a pinned commit, or a local folder.

    The revision is resolved when the recipe is planned, and the commit is what the key holds. `datasets`' own cache
    of prepared tables is not used, because it does not notice every change of a file.

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "train.jsonl").write_text('{"question": "1+1", "answer": "2"}')
    >>> rows = Hub(path=str(folder), columns={"prompt": "question", "completion": "answer"})
    >>> rows.format(), [table.to_pylist() for table in rows.load()]
    ('prompt_completion', [[{'prompt': '1+1', 'completion': '2'}]])
    """

    path: str = field(default="", metadata=NOT_IN_KEY)
    """`ORG/NAME`, `hf://datasets/ORG/NAME@REVISION/FILE`, or a local folder or file (which goes first)."""
    name: str | None = None
    """Configuration (subset) of the data set."""
    split: str = "train"
    """Split, also a part of one: `train[:1%]`."""
    revision: str | None = field(default=None, metadata=NOT_IN_KEY)
    """Branch, tag or commit; unset is the main branch. The commit that it stands for is in the key."""
    data_files: list[str] = field(default_factory=list)
    """Files within the repository or folder, also globs; empty leaves the choice to `datasets`."""
    streaming: bool = False
    """Read as it comes instead of fetching all first; types are then those of the first rows."""
    columns: dict[str, str] = field(default_factory=dict)
    """Our name for a column, and theirs: `columns.text=body`."""
    gives: Gives = Gives.auto
    """Format of the rows; `auto` goes by the columns, `rows` takes any (the seeds of a generator)."""
    keep: list[str] | None = None
    """Columns kept beside the format's (our names); unset keeps all that hold plain values."""
    on_error: OnError = OnError["raise"]
    """What to do with a row that lacks what the format needs: `raise`, or `drop` and count it."""
    limit: int = 0
    """Rows to read; 0 reads all."""
    max_record_bytes: int = 16 << 20
    """Largest size of one row's text."""

    def check(self) -> Iterable[Fault]:
        if not self.path:
            yield Fault("path", "names no data set", "type path=ORG/NAME or path=FOLDER")
            return
        if self.limit < 0:
            yield Fault("limit", f"{self.limit} is below 0")
        if self.max_record_bytes < 1:
            yield Fault("max_record_bytes", f"{self.max_record_bytes} leaves nothing to read; expected at least 1")
        if not self.split.strip():
            yield Fault("split", "is empty", "type split=train")
        try:
            place = self._place()
        except KonomiError as error:
            yield Fault("path", str(error))
            return
        if place.inside and place.folder and place.commit is None and not _data_files(place, self.split):
            yield Fault("data_files", f"nothing in {place.folder} matches {', '.join(place.inside)}")
        elif place.folder and not any(place.folder.iterdir()):
            yield Fault("path", f"the folder {place.folder} is empty")
        else:
            yield from self._peek(place)[1]

    def format(self) -> str:
        if self.gives is not Gives.auto:
            return self.gives.name
        try:
            layout = self._peek(self._place())[0]
        except KonomiError:
            layout = None
        return layout.format if layout else "text"

    def columns_known(self) -> Sequence[str] | None:
        try:
            layout = self._peek(self._place())[0]
        except KonomiError:
            return None
        return list(layout.theirs) if layout else None

    def depends(self) -> Mapping[str, Any]:
        place = self._place()
        if place.commit:
            return {"repository": place.repo, "commit": place.commit, "files": list(place.inside)}
        return {"folder": _content(place)}

    def load(self) -> Rows:
        self._refuse_faults()
        return Rows(self._read)

    def parts(self) -> Sequence[Rows]:
        """Return a part for each Parquet file; all in one where `datasets` must read them (`limit`, a slice, JSON)."""
        from konomi.source._paths import relative_names

        self._refuse_faults()
        files = [] if self.limit or "[" in self.split else self._split_files()
        if len(files) < 2 or not all(file.suffix == ".parquet" for file in files):
            return [Rows(self._read)]
        layout = self._parquet_layout(files[0])
        names = relative_names(files)
        return [
            Rows(partial(self._read_file, file, layout), name=name) for file, name in zip(files, names, strict=True)
        ]

    def _refuse_faults(self) -> None:
        if faults := list(self.check()):
            raise Faults(Fault(f"source.{fault.where}", fault.what, fault.hint) for fault in faults)

    def _split_files(self) -> list[Path]:
        """Return the files on this machine that `datasets` takes for the split; none where they are still to fetch."""
        import datasets

        if self._place().folder is None:
            return []
        with tempfile.TemporaryDirectory(prefix="konomi-hub-") as cache, self._named_errors():
            builder = datasets.load_dataset_builder(**self._request(cache))
        return [Path(file) for file in (builder.config.data_files or {}).get(self.split, [])]

    def _parquet_layout(self, path: Path) -> Layout:
        from konomi.source._columns import lay_out, schema_types
        from konomi.source._parquet import parquet_schema
        from konomi.source._paths import File

        types = schema_types(parquet_schema(File(path, FileType.parquet)))
        layout, faults = lay_out(types, self.columns, self.keep, self.gives)
        if layout is None:
            raise Faults(faults)
        return layout

    def _read_file(self, path: Path, layout: Layout, dropped: dict[str, int]) -> Iterator[pa.Table]:
        from konomi.source._bytes import Reading
        from konomi.source._parquet import parquet_tables
        from konomi.source._paths import File
        from konomi.source._tables import Problems

        # `load` does not bound what the files of a repository expand to, and neither does a part of it
        reading = Reading(max_record_bytes=self.max_record_bytes, max_ratio=sys.maxsize)
        yield from parquet_tables(File(path, FileType.parquet), layout, Problems(self.on_error, dropped), reading)

    def _place(self) -> Place:
        from konomi.source._hub import locate

        return locate(self.path, self.revision, self.name, tuple(self.data_files))

    def _peek(self, place: Place) -> tuple[Layout | None, list[Fault]]:
        """Return the layout as far as it can be known without `datasets`, and what is wrong with the columns."""
        from konomi.source._columns import lay_out
        from konomi.source.files import Files

        if files := _data_files(place, self.split):
            first = Files(
                path=files[:1], columns=self.columns, keep=self.keep, gives=self.gives, on_error=OnError["drop"]
            )
            return first.peek()
        if place.types:
            return lay_out(dict(place.types), self.columns, self.keep, self.gives)
        if self.gives is Gives.auto:
            what = f"the columns of {self.path} cannot be told before it is read, because its card does not list them"
            return None, [Fault("gives", what, f"say the format: gives={'|'.join(FORMATS)}")]
        return None, []

    def _read(self, dropped: dict[str, int]) -> Iterator[pa.Table]:
        from konomi.source._tables import Problems, limited

        with tempfile.TemporaryDirectory(prefix="konomi-hub-") as cache:
            yield from limited(self._tables(Problems(self.on_error, dropped), cache), self.limit)

    def _tables(self, problems: Problems, cache: str) -> Iterator[pa.Table]:
        from konomi.source._columns import lay_out, schema_types
        from konomi.source._tables import conform

        layout: Layout | None = None
        row = 0
        for table in self._batches(cache):
            if layout is None:
                layout, faults = lay_out(schema_types(table.schema), self.columns, self.keep, self.gives)
                if layout is None:
                    raise Faults(faults)
            yield conform(table, layout, problems, self._where(row), self.max_record_bytes)
            row += table.num_rows

    def _where(self, first: int) -> Callable[[int], str]:
        return lambda index: f"{self.path}, row {first + index + 1}"

    def _batches(self, cache: str) -> Iterator[pa.Table]:
        import datasets

        from konomi.source._tables import BATCH_ROWS

        datasets.disable_caching()
        with self._named_errors():
            rows = datasets.load_dataset(
                **self._request(cache),
                split=self.split,
                streaming=self.streaming,
                # A snapshot in the cache may hold some of the splits that its card counts.
                verification_mode="no_checks" if self._is_local() else "basic_checks",
            )
            yield from rows.with_format("arrow").iter(BATCH_ROWS)

    def _is_local(self) -> bool:
        from konomi.source._hub import is_offline

        return self._place().commit is None or is_offline()

    def _request(self, cache: str) -> dict[str, Any]:
        """Return what `datasets` is asked for."""
        place, local = self._place(), self._is_local()
        return {
            "path": str(place.folder) if local else str(place.repo),
            "name": self.name,
            "data_files": list(place.inside) or None,
            "revision": None if local else place.commit,
            "cache_dir": cache,
        }

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Say of an error of `datasets` what was read."""
        import datasets

        try:
            yield
        except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:
            cause = f" ({error.__cause__})" if error.__cause__ else ""
            raise KonomiError(f"{self.path}, split {self.split}: datasets cannot read it: {error}{cause}") from error


def _data_files(place: Place, split: str) -> list[str]:
    """Return the files of a folder that hold rows, those that bear the split's name first."""
    from konomi.source._paths import find

    if place.folder is None:
        return []
    patterns = [str(place.folder / inside) for inside in place.inside] or [str(place.folder)]
    files = [str(file.path) for file in find(patterns)[0]]
    name = split.partition("[")[0]
    return sorted(files, key=lambda path: name not in path.removeprefix(str(place.folder)))


def _content(place: Place) -> list[Sequence[str]]:
    """Return name and content of each file of a local folder: `datasets` goes by the names, too."""
    from konomi.source._paths import composed, expand
    from konomi.store.content import file_hash

    assert place.folder is not None
    found = [path for inside in place.inside for path in expand(str(place.folder / inside))] or place.folder.rglob("*")
    named = {composed(path.relative_to(place.folder).as_posix()): path for path in found if path.is_file()}
    visible = {name: path for name, path in named.items() if not any(part.startswith(".") for part in name.split("/"))}
    return [[name, file_hash(path)] for name, path in sorted(visible.items())]
