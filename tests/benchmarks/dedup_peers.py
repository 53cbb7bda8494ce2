"""Other deduplicators on a Parquet file, run by the Python of their own environment.

    PYTHON dedup_peers.py TOOL IN.parquet OUT.json --bands 14 --rows 8 --shingle 5 --threshold 0.8 --processes 2

TOOL is datasketch, rensa, text-dedup or datatrove. IN has the columns `id` (strings) and `text`, which is cut into
words at single spaces; the kept rows are written as Parquet, too. OUT.json gets the ids that are kept and the seconds
that the work took, without the imports.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Options = argparse.Namespace


def shingles(text: str, size: int) -> list[str]:
    """Return the runs of so many words."""
    words = text.split(" ")
    return [" ".join(words[start : start + size]) for start in range(len(words) - size + 1)]


def write_kept(table: Any, kept: list[str], folder: Path) -> None:
    """Write the kept rows."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    chosen = pc.is_in(table.column("id"), pa.array(kept, table.schema.field("id").type))
    pq.write_table(table.filter(chosen), folder / "kept.parquet", compression="zstd")


def datasketch(options: Options, folder: Path) -> list[str]:
    """Keep a document where no kept one that meets it is estimated to be as similar as the threshold."""
    import pyarrow.parquet as pq
    from datasketch import MinHash, MinHashLSH

    table = pq.read_table(options.input, columns=["id", "text"])
    index = MinHashLSH(num_perm=options.bands * options.rows, params=(options.bands, options.rows))
    held: dict[str, Any] = {}
    for name, text in zip(table.column("id").to_pylist(), table.column("text").to_pylist(), strict=True):
        signature = MinHash(num_perm=options.bands * options.rows)
        signature.update_batch([shingle.encode() for shingle in shingles(text, options.shingle)])
        if all(signature.jaccard(held[other]) < options.threshold for other in index.query(signature)):
            held[name] = signature
            index.insert(name, signature)
    write_kept(table, list(held), folder)
    return list(held)


def rensa(options: Options, folder: Path) -> list[str]:
    """Keep what rensa's own deduplicator takes in."""
    import pyarrow.parquet as pq
    from rensa import RMinHash, RMinHashDeduplicator

    table = pq.read_table(options.input, columns=["id", "text"])
    width = options.bands * options.rows
    found = RMinHashDeduplicator(options.threshold, width, True, options.bands)
    kept = []
    for name, text in zip(table.column("id").to_pylist(), table.column("text").to_pylist(), strict=True):
        signature = RMinHash(num_perm=width, seed=42)
        signature.update(shingles(text, options.shingle))
        if found.add(name, signature):
            kept.append(name)
    write_kept(table, kept, folder)
    return kept


def text_dedup(options: Options, folder: Path) -> list[str]:
    """Run text-dedup's command."""
    settings = {
        "path": "parquet",
        "data_files": options.input.resolve(),
        "split": "train",
        "cache_dir": folder / "cache",
        "output": folder / "kept",
        "column": "text",
        "ngram": options.shingle,
        "num_perm": options.bands * options.rows,
        "b": options.bands,
        "r": options.rows,
        "min_length": 0,
        "threshold": options.threshold,
        "num_proc": options.processes,
        "hash_func": "xxh3",
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    environment = {**os.environ, "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "text_dedup.minhash", *words], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"text-dedup: {done.stderr[-2000:]}")
    from datasets import load_from_disk

    return [str(name) for name in load_from_disk(str(folder / "kept"))["id"]]


def datatrove(options: Options, folder: Path) -> list[str]:
    """Run datatrove's four steps on this machine."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    config = MinhashConfig(n_grams=options.shingle, num_buckets=options.bands, hashes_per_bucket=options.rows)
    table, tasks = pq.read_table(options.input), options.processes
    parts = folder / "parts"  # as many files as tasks: a task reads whole files
    parts.mkdir()
    rows = -(-table.num_rows // tasks)
    for task in range(tasks):
        pq.write_table(table.slice(task * rows, rows), parts / f"{task:05}.parquet", compression="zstd")
    steps: list[tuple[list[Any], int]] = [
        (
            [ParquetReader(str(parts)), MinhashDedupSignature(str(folder / "signatures"), config=config)],
            tasks,
        ),
        ([MinhashDedupBuckets(str(folder / "signatures"), str(folder / "buckets"), config=config)], options.bands),
        ([MinhashDedupCluster(str(folder / "buckets"), str(folder / "removed"), config=config)], 1),
        (
            [
                ParquetReader(str(parts)),
                MinhashDedupFilter(str(folder / "removed")),
                ParquetWriter(str(folder / "kept"), compression="zstd"),
            ],
            tasks,
        ),
    ]
    for number, (pipeline, count) in enumerate(steps):
        LocalPipelineExecutor(
            pipeline, tasks=count, workers=min(count, options.processes), logging_dir=str(folder / f"log{number}")
        ).run()
    kept = [pq.read_table(path, columns=["id"]) for path in sorted((folder / "kept").glob("*.parquet"))]
    return [str(name) for name in pa.concat_tables(kept).column("id").to_pylist()]


TOOLS: dict[str, Callable[[Options, Path], list[str]]] = {
    "datasketch": datasketch,
    "rensa": rensa,
    "text-dedup": text_dedup,
    "datatrove": datatrove,
}
MODULES = {
    "datasketch": "datasketch",
    "rensa": "rensa",
    "text-dedup": "text_dedup.utils",
    "datatrove": "datatrove.pipeline.dedup",
}


def main() -> None:
    """Run one tool."""
    import importlib

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    for name, default in (("bands", 14), ("rows", 8), ("shingle", 5), ("processes", os.cpu_count() or 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threshold", type=float, default=0.8)
    options = parser.parse_args()
    importlib.import_module(MODULES[options.tool])
    with tempfile.TemporaryDirectory(prefix="konomi-peer-", dir=options.output.parent) as folder:
        start = time.perf_counter()
        kept = TOOLS[options.tool](options, Path(folder))
        seconds = time.perf_counter() - start
    options.output.write_text(json.dumps({"kept": kept, "seconds": seconds}), encoding="utf-8")


if __name__ == "__main__":
    main()
