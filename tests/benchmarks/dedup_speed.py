"""Speed of MinHash, Parquet to kept Parquet, beside other tools, on a corpus of any size from real texts.

    python tests/benchmarks/dedup_speed.py --texts FILE.jsonl.gz … [--documents 2000] [--scales 1,10,100]
        [--peer datatrove=PYTHON] [--peer text-dedup=PYTHON] [--peer datasketch=PYTHON] [--peer rensa=PYTHON]

Documents are put together from the lines of the texts; every fifth is a copy of an earlier one with one word in a
hundred changed. All tools take 14 bands of 8 hashes over shingles of 5 words. konomi runs twice: `konomi run curate`
without filters, and MinHash.find alone. A peer runs in its own environment (the Python that is named), up to
`--peer-documents`. Nothing is asserted: the figures belong to the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from dedup_corpus import lines_of, texts_of, write

from konomi.dedup.minhash import MinHash
from konomi.units import Unit

BANDS, ROWS, SHINGLE = 14, 8, 5
REPEATS = 5
BATCH = 500
FIND = """
import json, sys, time
from pathlib import Path
from konomi.dedup import Corpus
from konomi.dedup.minhash import MinHash
from konomi.units import Unit
plugin = MinHash(num_bands=14, unit=Unit.word, threshold=float(sys.argv[3]), threads=int(sys.argv[4]))
corpus = Corpus((Path(sys.argv[1]),), scratch=Path(sys.argv[2]).parent)
start = time.perf_counter()
found = plugin.find(corpus)
seconds = time.perf_counter() - start
kept = [name for name, keep in zip(corpus.values("id").to_pylist(), found.keep.tolist()) if keep]
Path(sys.argv[2]).write_text(json.dumps({"kept": kept, "seconds": seconds}))
"""
LAUNCH = """
import json, os, subprocess, sys, tempfile, time
start = time.perf_counter()
with tempfile.TemporaryFile() as said:
    process = subprocess.Popen(sys.argv[1:], stdout=said, stderr=said)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    said.seek(0)
    if process.returncode:
        sys.exit(said.read().decode(errors="replace")[-2000:])
    print(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""
"""Starts a command from a small process: the system counts what the starting one held as the command's memory."""


@dataclass(frozen=True)
class Measured:
    """What one run of one tool took."""

    tool: str
    seconds: float
    """Of the work, without starting Python; for `curate`, of the whole command."""
    processor: float
    """Seconds of processors, of the process and its children."""
    megabytes: float
    """Largest resident memory of one process."""
    kept: frozenset[str]


def run(tool: str, command: Sequence[str], answer: Path | None) -> Measured:
    """Run a command and measure it; `answer` is where it writes what it kept, and its own seconds."""
    done = subprocess.run([sys.executable, "-S", "-c", LAUNCH, *command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{tool} failed: {done.stderr}")
    seconds, processor, peak = json.loads(done.stdout)
    told = json.loads(answer.read_text()) if answer else {"kept": [], "seconds": seconds}
    memory = peak / (1e6 if sys.platform == "darwin" else 1e3)
    return Measured(tool, told["seconds"], processor, memory, frozenset(told["kept"]))


def curated(corpus: Path, folder: Path, options: argparse.Namespace) -> Measured:
    """Measure `konomi run curate` without filters."""
    given = {
        "source": "files",
        "source.path": corpus,
        "filter": "[]",
        "dedup.unit": "word",
        "dedup.num_bands": BANDS,
        "dedup.threshold": options.threshold,
        "dedup.threads": options.threads,
        "store": folder / "store",
    }
    words = [f"{name}={value}" for name, value in given.items()]
    measured = run(
        "konomi run curate", [sys.executable, "-m", "konomi", "run", "curate", *words, "refresh=curate"], None
    )
    tables = [pq.read_table(path, columns=["id"]) for path in (folder / "store").rglob("data/*.parquet")]
    kept = frozenset(pa.concat_tables(tables).column("id").to_pylist())
    return Measured(measured.tool, measured.seconds, measured.processor, measured.megabytes, kept)


def found(corpus: Path, folder: Path, options: argparse.Namespace) -> Measured:
    """Measure MinHash.find alone."""
    answer = folder / "find.json"
    words = [str(corpus), str(answer), str(options.threshold), str(options.threads)]
    return run("konomi MinHash.find", [sys.executable, "-c", FIND, *words], answer)


def peer(name: str, python: str, corpus: Path, folder: Path, options: argparse.Namespace) -> Measured:
    """Measure another tool in its own environment."""
    answer = folder / f"{name}.json"
    script = str(Path(__file__).with_name("dedup_peers.py"))
    settings = ["--bands", BANDS, "--rows", ROWS, "--shingle", SHINGLE, "--threshold", options.threshold]
    words = [*map(str, settings), "--processes", str(options.threads or os.cpu_count() or 1)]
    return run(name, [python, script, name, str(corpus), str(answer), *words], answer)


def show(results: Sequence[Measured], size: float, corpus: Path) -> None:
    """Print a line for each tool: speed, konomi's advantage, memory, and how far its answer agrees."""
    table = pq.read_table(corpus, columns=["id", "planted"])
    planted = set(table.filter(table.column("planted")).column("id").to_pylist())
    ours = results[0]
    for one in results:
        agreeing = 1 - len(ours.kept ^ one.kept) / table.num_rows
        print(
            f"  {one.tool:20} {one.seconds:8.2f} s {one.processor:8.2f} s cpu {size / one.seconds:8.2f} MB/s"
            f" {one.seconds / ours.seconds:7.1f} × as long,"
            f" {one.processor / ours.processor:7.1f} × the cpu, {one.megabytes:7.0f} MB peak"
            f" {len(one.kept):8} kept, {len(planted - one.kept) / len(planted):6.1%} of the planted dropped,"
            f" agrees on {agreeing:.2%}",
            flush=True,
        )


def signatures(texts: Sequence[str]) -> None:
    """Print the speed of signatures on one core."""
    column = pa.array(texts, pa.large_string())
    size = sum(len(text.encode()) for text in texts) / 1e6
    for unit, bands in ((Unit.word, 14), (Unit.auto, 32), (Unit.character, 32)):
        plugin = MinHash(num_bands=bands, unit=unit)
        times = []
        for _ in range(REPEATS):
            start = time.process_time()
            for first in range(0, len(column), BATCH):
                plugin.signatures(column.slice(first, BATCH))
            times.append(time.process_time() - start)
        print(f"signatures, {unit.name}, {8 * bands} hashes: {size / min(times):.0f} MB/s on one core", flush=True)


def main() -> None:
    """Read the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", nargs="+", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=2_000)
    parser.add_argument("--lines", type=int, default=12, help="lines of a document")
    parser.add_argument("--scales", default="1,10,100")
    parser.add_argument("--threshold", type=float, default=0.75)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--peer", action="append", default=[], metavar="TOOL=PYTHON")
    parser.add_argument("--peer-documents", type=int, default=20_000, help="largest corpus that peers are given")
    parser.add_argument("--no-curate", action="store_true", help="MinHash.find and peers alone")
    options = parser.parse_args()
    peers = dict(word.split("=", 1) for word in options.peer)
    for name in ("datatrove", "text-dedup", "datasketch", "rensa"):
        if name not in peers:
            print(f"{name} is not measured: name the Python that has it, --peer {name}=PYTHON")
    for path in options.texts:
        print(path.name, end=": ")
        signatures(list(texts_of(path)))
    lines = lines_of(options.texts)
    with tempfile.TemporaryDirectory(prefix="konomi-speed-") as name:  # compiles what is not compiled yet
        write(Path(name) / "corpus.parquet", lines, 100, options.lines)
        found(Path(name) / "corpus.parquet", Path(name), options)
    points = []
    for scale in map(int, options.scales.split(",")):
        count = options.documents * scale
        with tempfile.TemporaryDirectory(prefix="konomi-speed-") as name:
            folder = Path(name)
            corpus = folder / "corpus.parquet"
            size = write(corpus, lines, count, options.lines)
            print(f"{count} documents, {size:.1f} MB of text", flush=True)
            results = [] if options.no_curate else [curated(corpus, folder, options)]
            results.append(found(corpus, folder, options))
            if count <= options.peer_documents:
                results += [peer(tool, python, corpus, folder, options) for tool, python in peers.items()]
            show(results, size, corpus)
            points.append((count, size, results))
    print("documents        MB   seconds, processor seconds and peak MB a million documents")
    for count, size, results in points:
        for one in results[: 2 - options.no_curate]:
            millions = count / 1e6
            print(
                f"{count:9} {size:9.1f}   {one.tool:20} {one.seconds / millions:9.1f} s"
                f" {one.processor / millions:9.1f} s {one.megabytes:9.0f} MB"
            )


if __name__ == "__main__":
    main()
