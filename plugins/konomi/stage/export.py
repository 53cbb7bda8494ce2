"""The texts of a selection, written out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from konomi.engine import Engine
from konomi.faults import Fault
from konomi.fields import artifact, choice
from konomi.job import Job
from konomi.registry import register
from konomi.stage._options import Layout
from konomi.store import Artifact

SELECTED = "selected_"
"""Begins the format of an artifact that says which rows of a format were chosen."""


@register("stage", "export")
@dataclass(frozen=True)
class ExportRows:
    """Write out the rows that a curation with `write=selection` chose: the only time that their texts are moved.

    What it leaves is what the curation would have left itself: Parquet (zstd) that every reader of texts takes.
    """

    data: Artifact = artifact(
        *(f"{SELECTED}{name}" for name in ("text", "messages", "prompt_completion", "preference"))
    )
    """What was selected: `${artifact:curate}`, or the name of a stored artifact."""
    layout: Layout = Layout.splits
    """How the files are laid out: `splits` (by number), or `source` (in the folders and files they came from)."""
    shard_rows: int = 100_000
    """Most rows of a file."""
    engine: Engine = choice("engine", "local", in_key=False)
    """What carries out the writing."""

    @property
    def makes(self) -> str:
        return self.data.makes.removeprefix(SELECTED)

    def check(self) -> Iterable[Fault]:
        if self.shard_rows < 1:
            yield Fault("shard_rows", f"{self.shard_rows}; expected at least 1", "shard_rows=100000")

    def run(self, job: Job) -> None:
        from konomi.report import Table
        from konomi.report.figures import size
        from konomi.stage._export import export
        from konomi.stage._selection import load

        selection = load(self.data.path / "selection", job.shelves_of(self.data))
        written = export(job, selection, self.shard_rows, self.layout, self.engine)
        splits = {split: len(places) for split, places in selection.splits().items()}
        job.show(Table("Written", ["split", "rows"], [[split, rows] for split, rows in splits.items()], size(written)))
        job.figures(**splits, bytes_written=written)
