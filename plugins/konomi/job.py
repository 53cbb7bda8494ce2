"""What a stage is handed when it runs: where to write, what to say, when to stop."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from konomi.faults import Stopped
from konomi.report import Block, to_json
from konomi.store.artifact import Artifact
from konomi.store.shelf import Shelf, shelf_name

T = TypeVar("T")

SHOWN = "report.json"
SMOKE_STEPS = 3
"""Optimizer steps of a training stage under `konomi plan --smoke`."""


@dataclass
class Stop:
    """Whether the work was asked to stop, and by what (`SIGTERM`, `deadline`)."""

    reason: str | None = None
    seals: bool = False
    """Whether what runs now is a training, which can seal a checkpoint before it leaves."""


@dataclass
class Job:
    """One carrying-out of one stage.

    `out` becomes the artifact when the stage returns; whatever the stage raises, nothing is published.
    """

    name: str
    """Name of the stage in the recipe."""
    recipe: str
    key: str
    out: Path
    """Folder to fill."""
    work: Path
    """Folder of this attempt alone, for checkpoints; it outlives a kill."""
    resume: Path | None = None
    """Newest sealed checkpoint of an earlier attempt, where there is one."""
    curves: Path | None = None
    """Folder for an experiment tracker's files, the same over all attempts and kept when they go."""
    shelves: Path | None = None
    """Folder for what other stages can use, too, such as the scores of a shard; by default one within `work`."""
    lock: str = "file"
    """How processes that use a shelf at once keep out of each other's way (`konomi.store.locks.LOCKS`)."""
    smoke: bool = False
    """Do three real steps at real shapes; the result will be thrown away."""
    quiet: bool = False
    stop: Stop = field(default_factory=Stop)
    model_card: dict[str, Any] = field(default_factory=dict)
    """What a model card should say: `base_model`, `datasets`, `recipe`, `tags` (from the lineage)."""
    results: dict[str, Any] = field(default_factory=dict)
    shown: list[Block] = field(default_factory=list)

    def shelf(self, name: str, parts: Mapping[str, Any] | None) -> Shelf:
        """Return the shelf of what `parts` (JSON values) shape; one for this attempt alone where that is None."""
        if parts is None or self.shelves is None:
            return Shelf(self.work / "shelves" / shelf_name(name, parts or {}))
        shelf = Shelf(self.shelves / shelf_name(name, parts), self.lock)
        shelf.refer(self.key)
        return shelf

    def shelves_of(self, artifact: Artifact) -> Path:
        """Return the folder of the shelves of the store that an artifact lies in, also where it is linked from."""
        return artifact.path.resolve().parents[1] / "shelves"

    def figures(self, **figures: Any) -> None:
        """Record results (JSON values) in the manifest."""
        self.results.update(figures)

    def show(self, *blocks: Block) -> None:
        """Show something in the report."""
        self.shown.extend(blocks)
        text = json.dumps([to_json(block) for block in self.shown], ensure_ascii=False)
        (self.out / SHOWN).write_text(text, encoding="utf-8")

    def check_stop(self) -> None:
        """Leave the stage, unpublished, where a stop was asked for; call it between shards and between items."""
        if self.stop.reason:
            raise Stopped(f"{self.name} was stopped by {self.stop.reason}; the same command goes on from here")

    def progress(self, items: Iterable[T], *, total: int | None = None, unit: str = "it") -> Iterator[T]:
        """Iterate with a progress bar, leaving where a stop was asked for; then what makes the items ends, too."""
        from tqdm import tqdm

        bar = tqdm(items, total=total, unit=unit, desc=self.name, leave=False, disable=True if self.quiet else None)
        try:
            for item in bar:
                self.check_stop()
                yield item
        finally:
            if isinstance(items, Generator):
                items.close()  # an engine's workers end now, and not when somebody lets go of the error
