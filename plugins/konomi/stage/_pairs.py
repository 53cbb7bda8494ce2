"""Preferences as tokens on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from konomi.faults import KonomiError
from konomi.job import Job
from konomi.report import Samples, Table
from konomi.stage._documents import Counts, Reader
from konomi.stage._options import TooLong
from konomi.stage._packing import Shards

if TYPE_CHECKING:
    import pyarrow as pa

    from konomi.store import Artifact
    from konomi.trainer._render import Pair

GROUP_ROWS = 4096
"""Pairs of a row group."""


def write_pairs(job: Job, reader: Reader, data: Mapping[str, Artifact], max_length: int, too_long: TooLong) -> None:
    """Write the pairs of all parts, one after the other, and the figures and examples of them."""
    figures: dict[str, Any] = {}
    shown: list[dict[str, str]] = []
    counted: dict[str, dict[str, Counts]] = {}
    for split in ("train", "test"):
        counts = counted[split] = {name: Counts() for name in data}
        shards = Shards(job.out / "data", split)
        rows, tokens = 0, 0
        group: list[dict[str, Any]] = []
        for row in _rows(job, reader, data, split, counts, max_length, too_long):
            group.append(row)
            rows += 1
            tokens += sum(len(row[name]) for name in ("prompt_ids", "chosen_ids", "rejected_ids"))
            if len(shown) < 2:
                shown.append(_decoded(reader, row))
            if len(group) == GROUP_ROWS:
                shards.write(_table(group), _tokens(group))
                group = []
        if group:
            shards.write(_table(group), _tokens(group))
        shards.close()
        prefix = "" if split == "train" else "test_"
        figures |= {f"{prefix}rows": rows, f"{prefix}tokens": tokens}
    parts = counted["train"]
    if not figures["rows"]:
        raise KonomiError(
            f"{job.name}: no pair is left to train on; dropped: {[dict(part.dropped) for part in parts.values()]}"
        )
    figures["documents"] = sum(part.documents for part in parts.values())
    figures["characters"] = sum(part.characters for part in parts.values())
    figures["truncated"] = sum(part.dropped["cut"] + part.dropped["too long"] for part in parts.values())
    figures["parts"] = {name: part.figures() for name, part in parts.items()}
    job.figures(**figures)
    job.show(_summary(counted), Samples("What is preferred", shown))


def _rows(
    job: Job,
    reader: Reader,
    data: Mapping[str, Artifact],
    split: str,
    counts: Mapping[str, Counts],
    max_length: int,
    too_long: TooLong,
) -> Iterator[dict[str, Any]]:
    for name, part in data.items():
        total = reader.count(part, split)
        found = job.progress(reader.pairs(part, split, counts[name]), total=total, unit=f" pairs of {name}")
        for number, (_, row, pair) in enumerate(found):
            made = _fitted(pair, max_length, too_long, counts[name])
            if made is not None:
                item = row.get("item")
                made["item"] = str(item) if item is not None else f"{name}/{split}/{number}"
                made["weight"] = float(row["weight"]) if row.get("weight") is not None else 1.0
                yield made


def _fitted(pair: Pair, max_length: int, too_long: TooLong, counts: Counts) -> dict[str, Any] | None:
    """Return a pair whose longer answer fits with its prompt, None where it is dropped."""
    room = max_length - len(pair.prompt)
    if max(len(pair.chosen), len(pair.rejected)) > room:
        if too_long is TooLong.drop or room < 1:
            counts.dropped["too long"] += 1
            return None
        counts.dropped["cut"] += 1
    return {"prompt_ids": pair.prompt, "chosen_ids": pair.chosen[:room], "rejected_ids": pair.rejected[:room]}


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    ids = pa.list_(pa.int32())
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    schema = pa.schema([*((name, ids) for name in names), ("item", pa.string()), ("weight", pa.float32())])
    return pa.Table.from_pylist(rows, schema=schema)


def _tokens(rows: list[dict[str, Any]]) -> int:
    return sum(len(row[name]) for row in rows for name in ("prompt_ids", "chosen_ids", "rejected_ids"))


def _decoded(reader: Reader, row: Mapping[str, Any]) -> dict[str, str]:
    names = {"prompt": "prompt_ids", "chosen": "chosen_ids", "rejected": "rejected_ids"}
    return {label: reader.tokenizer.decode(row[name]) for label, name in names.items()}


def _summary(counted: Mapping[str, Mapping[str, Counts]]) -> Table:
    columns = ["part", "pairs", "characters", "tokens", "held-out pairs", "dropped or cut"]
    rows = []
    for name, part in counted["train"].items():
        dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(part.dropped.items())) or "none"
        held_out = counted["test"][name].documents
        rows.append([name, part.documents, part.characters, part.tokens, held_out, dropped])
    return Table("Pairs", columns, rows)
