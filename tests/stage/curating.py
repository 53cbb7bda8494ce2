"""What the tests of a curation share: rows at hand, and a job that carries a stage out over shelves of its own."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from konomi import registry
from konomi.dedup.none import NoDedup
from konomi.engine.local import LocalEngine
from konomi.job import Job
from konomi.source.files import Files
from konomi.stage.curate import Curate
from konomi.store import Artifact


def documents(count, seed=0, **columns):
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        words = ["".join(draw.choices("abcdefghijklmnop", k=draw.randint(3, 8))) for _ in range(40)]
        rows.append({"id": f"d{number}", "text": " ".join(words), **columns})
    return rows


@dataclass
class Desk:
    """A folder with files to curate, and a store's shelves."""

    folder: Path

    def file(self, name, rows):
        path = self.folder / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path

    def curate(self, **options):
        options.setdefault("dedup", NoDedup())
        options.setdefault("before", NoDedup())
        options.setdefault("engine", LocalEngine(workers=1))
        options.setdefault("source", Files(path=str(self.folder / "texts")))
        registry.load()
        return Curate(**options)

    def run(self, stage, name="one", **options):
        objects = self.folder / "store" / "objects" / name
        job = Job(name, "test", name, objects, self.folder / "work" / name, quiet=True, **options)
        job.shelves = self.folder / "store" / "shelves"
        job.out.mkdir(parents=True)
        stage.run(job)
        return Made(job, Artifact("curate", stage.makes, name, job.out))


@dataclass
class Made:
    """What a stage left."""

    job: Job
    artifact: Artifact

    def rows(self, split="train"):
        return [row for shard in self.artifact.shards(split) for row in pq.read_table(shard).to_pylist()]

    def ids(self, split="train"):
        return [row["id"] for row in self.rows(split)]

    def bytes(self):
        return {
            path.relative_to(self.job.out).as_posix(): path.read_bytes() for path in self.job.out.rglob("*.parquet")
        }
