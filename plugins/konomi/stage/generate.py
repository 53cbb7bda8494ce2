"""Seeds into training rows."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.faults import Fault, KonomiError, did_you_mean
from konomi.fields import choice
from konomi.generator import ITEM
from konomi.job import Job
from konomi.registry import register
from konomi.report import Block, Samples, Table
from konomi.source import FORMATS
from konomi.stage import Cost

if TYPE_CHECKING:
    import pyarrow as pa

    from konomi.generator import Generator
    from konomi.source import Source

BATCH_ROWS = 1000
SHOWN_ROWS = 6
FEW_VALUES = 12
"""Values of a column up to which the report counts each."""


@register("stage", "generate")
@dataclass(frozen=True)
class Generate:
    """Make training rows out of seeds: instructions out of labelled data, preferences out of two ways to answer.

    Whether a seed is held out depends on the seed alone. So two stages over the same seeds (tuning data here,
    preferences there) never train on what the other one tests on. Seeds are taken in an order that is random and the
    same every time, and are held in memory.
    """

    source: Source = choice("source", "python_docs")
    """Where the seeds come from; their columns are what the generator reads."""
    generator: Generator = choice("generator", "templates")
    """What makes rows out of them."""
    rows: int = 0
    """Rows to make for training; 0 makes all."""
    test_rows: int = 200
    """Rows to make for the held-out split, where there are seeds for as many; 0 holds nothing out."""
    test_share: float = 0.05
    """Share of the seeds that are held out: no training row is ever made of them."""
    split_by: list[str] = field(default_factory=list)
    """Columns of a seed that decide whether it is held out, so that seeds that share them stay together; all by
    default."""
    seed: int = 0
    """Seed of the order, and of the generator. Which seeds are held out does not depend on it."""

    SMOKE_ROWS: ClassVar[int] = 64

    @property
    def makes(self) -> str:
        return str(self.generator.makes)

    def check(self) -> Iterable[Fault]:
        for name in ("rows", "test_rows"):
            if getattr(self, name) < 0:
                yield Fault(name, f"{getattr(self, name)} is below 0")
        if not 0 <= self.test_share < 1 or (self.test_rows and not self.test_share):
            what = f"{self.test_share} is no share to hold out; expected a number between 0 and 1"
            yield Fault("test_share", what, "test_share=0.05, or test_rows=0 to hold nothing out")
        columns = self.source.columns_known() if hasattr(self.source, "columns_known") else None
        if columns is None:
            return
        for where, names in (("generator", self.generator.needs), ("split_by", self.split_by)):
            missing = [name for name in names if name not in columns]
            if missing:
                what = f"takes {', '.join(missing)}, and the source has the columns {', '.join(columns)}"
                yield Fault(where, what, did_you_mean(missing[0], columns))

    def cost(self) -> Cost:
        return Cost(documents=self.rows + self.test_rows if self.rows else None)

    def run(self, job: Job) -> None:
        from konomi.stage._tables import tables

        source = self.source.load()
        seeds = _Seeds.read(job, tables(source), self.split_by, self.seed, self.test_share if self.test_rows else 0.0)
        splits = {"train": (seeds.train, self.rows), "test": (seeds.test, self.test_rows)}
        passed_over: Counter[str] = Counter()
        written: dict[str, _Written] = {}
        for split, (order, limit) in splits.items():
            if job.smoke:
                limit = min(limit, self.SMOKE_ROWS) or (self.SMOKE_ROWS if split == "train" else 0)
            made = self.generator.generate(seeds.rows(order), seed=self.seed)
            taken = itertools.islice(made, limit) if limit or split == "test" else iter(made)
            written[split] = _write(job, split, self.makes, job.progress(taken, total=limit or None, unit="row"))
            passed_over.update(made.passed_over)
        if not written["train"].count:
            reasons = ", ".join(f"{count} × {reason}" for reason, count in passed_over.most_common()) or "none"
            raise KonomiError(
                f"{job.name}: not one row came of {len(seeds.train)} seeds; what was passed over: {reasons}"
            )
        unread = dict(sorted(getattr(source, "dropped", {}).items()))
        job.figures(
            synthetic=True,
            format=self.makes,
            seeds=len(seeds.train) + len(seeds.test),
            held_out_seeds=len(seeds.test),
            duplicate_seeds=seeds.duplicates,
            rows=written["train"].count,
            test_rows=written["test"].count,
            passed_over=dict(sorted(passed_over.items())),
            **({"unread": unread} if unread else {}),
        )
        job.show(*self._blocks(seeds, written, {**passed_over, **unread}))

    def _blocks(self, seeds: _Seeds, written: Mapping[str, _Written], lost: Mapping[str, int]) -> Iterator[Block]:
        counts = [
            ["train", len(seeds.train), written["train"].count],
            ["held out", len(seeds.test), written["test"].count],
        ]
        note = "Seeds that were held out give no training row."
        if seeds.duplicates:
            note += f" {seeds.duplicates} seeds that were there already are left out."
        if 0 < written["test"].count < self.test_rows:
            note += f" They gave {written['test'].count} of {self.test_rows} held-out rows: raise test_share for more."
        yield Table("Rows made", ["split", "seeds", "rows"], counts, note)
        if lost:
            rows = sorted(lost.items(), key=lambda pair: (-pair[1], pair[0]))
            yield Table("Seeds that gave no row", ["reason", "seeds"], rows)
        for name, values in written["train"].values.items():
            if len(values) > 1:
                yield Table(f"Rows by {name}", [name, "rows"], sorted(values.items()))
        yield Samples("Rows to read", written["train"].samples)


@dataclass
class _Seeds:
    """Seeds with their ids, and in which order they are taken for each split."""

    table: pa.Table
    train: list[int]
    test: list[int]
    duplicates: int

    @classmethod
    def read(cls, job: Job, seeds: Iterable[pa.Table], split_by: Sequence[str], seed: int, test_share: float) -> _Seeds:
        import hashlib

        import pyarrow as pa

        held: list[pa.Table] = []
        order: dict[str, tuple[bytes, int, bool]] = {}
        row = duplicates = 0
        for table in job.progress(seeds, unit="batch of seeds"):
            items = []
            for value in table.to_pylist():
                item = _digest(value)[:16]
                decides = {name: value.get(name) for name in split_by} if split_by else value
                held_out = int(_digest(decides), 16) < test_share * 2**256
                if item in order:
                    duplicates += 1
                else:
                    order[item] = hashlib.sha256(f"{seed} {item}".encode()).digest(), row, held_out
                items.append(item)
                row += 1
            kept = [name for name in table.column_names if name != ITEM]
            held.append(table.select(kept).append_column(ITEM, pa.array(items, pa.string())))
        if not held:
            raise KonomiError(f"{job.name}: the source has not one seed")
        shuffled = sorted(order.values())
        train, test = ([at for _, at, held_out in shuffled if held_out is wanted] for wanted in (False, True))
        return cls(pa.concat_tables(held, promote_options="default"), train, test, duplicates)

    def rows(self, order: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield seeds, some at a time, in an order."""
        for start in range(0, len(order), BATCH_ROWS):
            yield from self.table.take(order[start : start + BATCH_ROWS]).to_pylist()


@dataclass
class _Written:
    """What was written of a split."""

    count: int
    values: dict[str, Counter[str]]
    """How often each value occurs, of the columns beside the format's that hold few."""
    samples: list[dict[str, str]]


def _write(job: Job, split: str, format_: str, rows: Iterator[Mapping[str, Any]]) -> _Written:
    """Write rows as Parquet; each gets an `item`, an id that stays the same from run to run."""
    import pyarrow as pa

    from konomi.stage._packing import Shards

    needed = FORMATS[format_]
    shards = Shards(job.out / "data", split)
    written = _Written(0, {}, [])
    schema = None
    while batch := [dict(row) for row in itertools.islice(rows, BATCH_ROWS)]:
        for row in batch:
            row["item"] = str(row.get("item") or _digest(row)[:16])
            for name in row.keys() - {*needed, "item"}:
                written.values.setdefault(name, Counter())[str(row[name])] += 1
        extras = sorted({name for row in batch for name in row} - {*needed, "item"})
        table = pa.Table.from_pylist([{name: row.get(name) for name in (*needed, "item", *extras)} for row in batch])
        schema = schema or table.schema
        shards.write(table.select(schema.names).cast(schema), table.nbytes // 4)
        written.count += len(batch)
        fresh = batch[: SHOWN_ROWS - len(written.samples)]
        written.samples += [{name: _readable(row[name]) for name in needed} for row in fresh]
    shards.close()
    written.values = {name: found for name, found in sorted(written.values.items()) if len(found) <= FEW_VALUES}
    return written


def _digest(value: Any) -> str:
    import hashlib

    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _readable(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(f"{message['role']}: {message['content']}" for message in value)
    return str(value)
