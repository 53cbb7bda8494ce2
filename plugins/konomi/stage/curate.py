"""From rows of any source to clean, distinct rows with a held-out part."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from konomi.dedup import Dedup
from konomi.engine import Engine
from konomi.faults import Fault, Faults, did_you_mean
from konomi.fields import UNKNOWN, choice, choices
from konomi.filter import Filter
from konomi.job import Job
from konomi.registry import register
from konomi.source import FORMATS, Source
from konomi.stage._options import Layout, OnError, Write

if TYPE_CHECKING:
    from konomi.stage._selection import Selection

LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
"""A language tag: `ja`, `en`, `zh-Hant` (BCP 47)."""


@register("stage", "curate", version=2)
@dataclass(frozen=True)
class Curate:
    """Read rows, filter and deduplicate them, and hold some out.

    Every filter sees what the ones before it kept; its scores become columns (`repetition_duplicate_lines`). Rows and
    scores are kept shard by shard beside the artifacts, so that another limit reads them again, and a run that was
    killed goes on from the last file that was read and the last shard that was judged. Rows that are
    no plain text (conversations, pairs) are judged by their texts joined, and are never rewritten. The held-out
    rows are chosen by a hash after deduplication, so that near-duplicates do not stand on both sides.

    `data/` holds the user's columns, the scores, `source_row` (the row's number in the source) and `cluster_size` (how
    many documents it stands for); `duplicates.parquet` says which row each duplicate was dropped for and how similar it
    is; `dropped.parquet` is a sample of what was dropped, with the reasons.
    """

    source: Source = choice("source", "files")
    """Where the rows come from."""
    filter: dict[str, Filter] = choices("filter", "normalize", "repetition", "length")
    """What rewrites and judges texts, in order."""
    dedup: Dedup = choice("dedup", "minhash")
    """What finds duplicates among the rows that the filters kept."""
    before: Dedup = choice("dedup", "none")
    """What finds duplicates before the filters judge: `before=exact` spares them equal documents."""
    engine: Engine = choice("engine", "local", in_key=False)
    """What carries out the work on the shards: the cores of this machine, or a cluster."""
    language: str = ""
    """Language tag (`ja`, `en`) to write into a column `language`; empty writes none."""
    test_share: float = 0.0
    """Share of the rows to hold out, about; at least one row where it is above 0."""
    test_rows: int = 0
    """Number of rows to hold out, instead of a share; rows with the same hash stay together."""
    test_by: str = ""
    """Column whose equal values stay on one side (`author`); empty takes the prompt, or else the text."""
    shard_rows: int = 100_000
    """Most rows of a Parquet file."""
    index: bool = False
    """Keep an index of what is kept, so that a later crawl can drop what is here: its `dedup.against=FOLDER`."""
    index_names: str = ""
    """With `index`: column that names the documents; empty takes `id` where there is one, else the row's number."""
    on_error: OnError = OnError["raise"]
    """What to do with a row without a text: `raise`, or `drop` and count it."""
    write: Write = Write.rows
    """What is left behind: the `rows`, or only a `selection` of them, whose texts a stage `export` writes out later."""
    layout: Layout = Layout.splits
    """How the files are laid out: `splits` (by number), or `source` (in the folders and files they came from)."""

    @property
    def makes(self) -> str:
        format_ = self.source.format()
        return format_ if self.write is Write.rows or format_ == UNKNOWN else f"selected_{format_}"

    def check(self) -> Iterable[Fault]:
        if self.language and not LANGUAGE.fullmatch(self.language):
            yield Fault("language", f"{self.language} is no language tag", "language=ja, language=en, language=zh-Hant")
        if not 0 <= self.test_share < 1:
            yield Fault("test_share", f"{self.test_share}; expected at least 0 and less than 1", "test_share=0.01")
        if self.test_rows < 0:
            yield Fault("test_rows", f"{self.test_rows} is no number of rows", "test_rows=1000")
        if self.test_share and self.test_rows:
            yield Fault("test_rows", "test_share is given as well", "give one of the two")
        if self.index and not any(hasattr(part, "index") for _, part in _parts(self.dedup, "dedup")):
            yield Fault("index", "this deduplicator keeps no index", "dedup=minhash and dedup=exact keep one")
        if self.index_names and not self.index:
            yield Fault("index_names", "no index is kept", "index=true keeps one")
        if self.test_by and not (self.test_share or self.test_rows):
            yield Fault("test_by", "nothing is held out", "test_share=0.01 holds out a hundredth")
        if self.layout is Layout.source and self.write is Write.selection:
            yield Fault("layout", "nothing is written but a selection", "give layout=source to the stage that exports")
        if self.shard_rows < 1:
            yield Fault("shard_rows", f"{self.shard_rows}; expected at least 1", "shard_rows=100000")
        yield from self._check_format()
        yield from self._check_columns()

    def _check_format(self) -> Iterator[Fault]:
        from konomi.stage._ingest import TEXT

        format_ = self.source.format()
        if format_ == UNKNOWN:
            return
        if not FORMATS.get(format_):
            known = ", ".join(name for name, columns in FORMATS.items() if columns)
            yield Fault("source", f"gives rows of the format {format_}, which have no text to curate (known: {known})")
        elif format_ != TEXT:
            judges = [name for name, filter_ in self.filter.items() if not getattr(filter_, "rewrites", True)]
            for name in self.filter:
                if name not in judges:
                    what = f"rewrites texts, and rows of the format {format_} are only judged, never rewritten"
                    yield Fault(f"filter.{name}", what, f"leave it out: 'filter=[{','.join(judges)}]'")
            for where, part in [*_parts(self.before, "before"), *_parts(self.dedup, "dedup")]:
                if getattr(part, "cuts", False):
                    what = f"cuts texts, and rows of the format {format_} are only judged, never rewritten"
                    yield Fault(where, what, "dedup=minhash and dedup=exact drop whole rows")

    def _check_columns(self) -> Iterator[Fault]:
        """Look up the columns that options name, where the source knows its own beforehand."""
        known = self.source.columns_known() if hasattr(self.source, "columns_known") else None
        if known is None:
            return
        for option in ("test_by", "index_names"):
            if (column := getattr(self, option)) and column not in known:
                yield Fault(option, f"the source has no column {column}", did_you_mean(column, known))
        for name, filter_ in self.filter.items():
            for column in getattr(filter_, "reads", ()):
                if column not in known:
                    hint = did_you_mean(column, known)
                    yield Fault(f"filter.{name}", f"judges the column {column}, which the source does not have", hint)
        for where, part in _parts(self.before, "before"):
            for option, column in _named(part):
                if column not in known:
                    what = f"the source has no column {column}; scores are there after the filters"
                    yield Fault(f"{where}.{option}", what, did_you_mean(column, known))
        for where, part in _parts(self.dedup, "dedup"):
            for option, column in _named(part):
                if column not in known and not any(column.startswith(f"{name}_") for name in self.filter):
                    what = f"neither the source nor a filter has a column {column}"
                    yield Fault(f"{where}.{option}", what, did_you_mean(column, known))

    def advice(self) -> Iterable[str]:
        """Tell of columns that will be replaced."""
        known = self.source.columns_known() if hasattr(self.source, "columns_known") else None
        own = ["source_row", "cluster_size", *(["language"] if self.language else [])]
        if taken := [name for name in own if name in (known or ())]:
            names = ", ".join(taken)
            yield f"this stage's {names} will replace the source's; keep one as source.columns.NEW_NAME={taken[0]}"

    def depends(self) -> Mapping[str, Any]:
        """Return the names of the source's files, where they are kept and its own key has only what they hold."""
        kept = self.layout is Layout.source or self.write is Write.selection
        return {"names": list(self.source.names())} if kept and hasattr(self.source, "names") else {}

    def run(self, job: Job) -> None:
        from konomi.stage import _curate_report, _looking
        from konomi.stage._curate_report import Written
        from konomi.stage._curation import Documents, deduplicate, held_out, sides, sift, write_index
        from konomi.stage._ingest import TEXT, column_of, ingest, tally_of, unread
        from konomi.stage._selection import select
        from konomi.stage._shelves import Shelves
        from konomi.stage._tally import BEFORE, DEDUP, steps

        # the source may say its format only now
        Faults.check(replace(fault, where=f"{job.name}.{fault.where}") for fault in self._check_format())
        for scratch in job.work.parent.glob("*/scratch"):  # of attempts that were killed
            shutil.rmtree(scratch, ignore_errors=True)
        job.out.mkdir(parents=True, exist_ok=True)
        drop = self.on_error is OnError["drop"]
        shelves = Shelves(job, self.source, drop_unreadable=drop)
        clock = [time.perf_counter()]
        rows = shelves.rows()
        pieces = ingest(job, self.source, rows, drop, self.engine)
        documents = Documents.of(rows, pieces, column_of(self.source.format()), tally_of(pieces))
        clock.append(time.perf_counter())
        if self._looks_before():
            deduplicate(job, documents, BEFORE, self.before, shelves, self.engine)
        sift(job, documents, shelves.steps(self.filter), self.engine)
        clock.append(time.perf_counter())
        deduplicate(job, documents, DEDUP, self.dedup, shelves, self.engine)
        clock.append(time.perf_counter())
        test = held_out(sides(documents, self.test_by), self.test_share, self.test_rows)
        selection, replaced = select(documents, test, self.language)
        written = Written(
            {split: len(places) for split, places in selection.splits().items()}, replaced, self._write(job, selection)
        )
        if self.index:
            write_index(job, documents, self.dedup, self.index_names)
        seen = _looking.look(job.out, documents)
        clock.append(time.perf_counter())
        names = steps(
            documents.tally, [*self.filter], answers=self.source.format() != TEXT, before=self._looks_before()
        )
        job.show(*_curate_report.blocks(documents.tally, names, written, seen, unread(pieces)))
        seconds = [round(later - earlier, 2) for earlier, later in pairwise(clock)]
        job.figures(
            **_curate_report.figures(documents.tally, names, written, unread(pieces)),
            summary=_curate_report.summary(documents.tally, written, unread(pieces)),
            seconds=dict(zip(("read", "filter", "dedup", "write"), seconds, strict=True)),
        )
        for left_over in ("scratch", "shelves"):
            shutil.rmtree(job.work / left_over, ignore_errors=True)

    def _write(self, job: Job, selection: Selection) -> int:
        """Write the rows, or which they are; returns the bytes."""
        from konomi.stage._export import export
        from konomi.stage._selection import save

        if self.write is Write.rows:
            return export(job, selection, self.shard_rows, self.layout, self.engine)
        return save(selection, job.out / "selection", job.shelves or job.work / "shelves")

    def _looks_before(self) -> bool:
        from konomi.dedup.none import NoDedup

        return not isinstance(self.before, NoDedup)


def _parts(dedup: Dedup, where: str) -> list[tuple[str, Dedup]]:
    """Return a deduplicator, or the steps of a chain, each with its place."""
    steps = getattr(dedup, "steps", None)
    if not steps:
        return [(where, dedup)]
    return [part for name, step in steps.items() for part in _parts(step, f"{where}.steps.{name}")]


def _named(dedup: Dedup) -> list[tuple[str, str]]:
    """Return the options of a deduplicator that name a column, with the column."""
    return [(option, column) for option in ("keep_by", "within") if (column := getattr(dedup, option, ""))]
