"""Rows that an earlier stage of the recipe left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from konomi.faults import Fault, KonomiError
from konomi.fields import artifact
from konomi.registry import register
from konomi.source import Rows
from konomi.store.artifact import Artifact

if TYPE_CHECKING:
    import pyarrow as pa


@register("source", "artifact")
@dataclass(frozen=True)
class ArtifactRows:
    """Read the rows that an earlier stage left, so that a stage that takes a source can stand behind any other.

    `curate.source.data=${artifact:instructions}` cleans what the stage `instructions` generated.

    >>> import pathlib, tempfile, pyarrow as pa, pyarrow.parquet as pq
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> (folder / "data").mkdir()
    >>> pq.write_table(pa.table({"text": ["a", "b"]}), folder / "data" / "train-00000-of-00001.parquet")
    >>> rows = ArtifactRows(data=Artifact("english", "text", "key", folder))
    >>> rows.format(), [table.to_pylist() for table in rows.load()]
    ('text', [[{'text': 'a'}, {'text': 'b'}]])
    """

    data: Artifact = artifact("text", "messages", "prompt_completion", "preference")
    """What to read: `${artifact:STAGE}`."""
    split: str = "train"
    """`train`, or `test` for the held-out rows."""
    limit: int = 0
    """Rows to read; 0 reads all."""

    def check(self) -> Iterable[Fault]:
        if self.split not in ("train", "test"):
            yield Fault("split", f"there is no split {self.split}", "known: train, test")
        if self.limit < 0:
            yield Fault("limit", f"{self.limit} is below 0")

    def format(self) -> str:
        return self.data.makes

    def columns_known(self) -> Sequence[str] | None:
        """Return the columns where the artifact is there already."""
        shards = self.data.shards(self.split)
        if not shards:
            return None  # and nothing heavy is imported for a plan
        import pyarrow.parquet as pq

        return list(pq.read_schema(shards[0]).names)

    def load(self) -> Rows:
        return Rows(partial(self._read, self._shards()))

    def parts(self) -> Sequence[Rows]:
        """Return a part for each shard; all in one where `limit` counts over the shards."""
        shards = self._shards()
        if self.limit:
            return [Rows(partial(self._read, shards))]
        return [Rows(partial(self._read, [shard]), name=shard.name) for shard in shards]

    def _shards(self) -> list[Path]:
        shards = self.data.shards(self.split)
        if not shards:
            raise KonomiError(f"the stage {self.data.stage} left no {self.split} rows in {self.data.path / 'data'}")
        return shards

    def _read(self, shards: Sequence[Path], dropped: dict[str, int]) -> Iterator[pa.Table]:
        from konomi.source._tables import limited

        yield from limited((table for shard in shards for table in _tables(shard)), self.limit)


def _tables(shard: Path) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from konomi.source._tables import BATCH_ROWS

    with pq.ParquetFile(shard) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            yield pa.Table.from_batches([batch])
