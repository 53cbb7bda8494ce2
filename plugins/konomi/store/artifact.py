"""An artifact: what a stage left behind, as a later stage sees it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from konomi.faults import KonomiError

MANIFEST = "manifest.json"


class DamagedManifest(KonomiError, ValueError):
    """A manifest that is no JSON object."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what an artifact's folder says of itself; raises `DamagedManifest` where that is no JSON object."""
    file = folder / MANIFEST
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedManifest(_damaged(file, str(error))) from error
    if not isinstance(value, dict):
        raise DamagedManifest(_damaged(file, "no JSON object"))
    return value


def _damaged(file: Path, why: str) -> str:
    return f"{file} cannot be read ({why}); delete its folder to make it anew (konomi store verify looks at all)"


@dataclass(frozen=True)
class Artifact:
    """An immutable folder in the store, or the place where one will be.

    Data is under `data/` as `train-*.parquet` and `test-*.parquet`, or in folders `train/` and `test/`, so that
    `datasets.load_dataset(artifact.path)` reads it; a model is what `save_pretrained` wrote, at the top of the folder.
    """

    stage: str
    """Name of the stage in its recipe."""
    makes: str
    """Format: a data format (`text`, `messages`, `prompt_completion`, `preference`, `tokens`, `token_pairs`,
    `logps`), `model`, `quality_classifier`, or `evaluation`."""
    key: str
    path: Path

    def shards(self, split: str = "train") -> list[Path]:
        """Return the Parquet files of a split, in order; empty where there is none."""
        data = self.path / "data"
        inside = (path for path in (data / split).rglob("*.parquet") if path.is_file())
        return [*sorted(data.glob(f"{split}-*.parquet")), *sorted(inside)]

    def manifest(self) -> dict[str, Any]:
        """Return the manifest: configuration, versions, times, lineage, results."""
        return read_manifest(self.path)

    def results(self) -> dict[str, Any]:
        """Return the figures that the stage recorded with `Job.figures`."""
        value: dict[str, Any] = self.manifest().get("results", {})
        return value
