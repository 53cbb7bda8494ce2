"""Quality of MinHash against the exact Jaccard similarity of all pairs, beside other tools on the same shingles.

    python tests/benchmarks/dedup_quality.py FILE.jsonl.gz … [--sample 400] [--peer datasketch=PYTHON] [--peer …]

Two texts are duplicates where the exact Jaccard similarity of their shingles is at least the threshold. Of what a tool
keeps and drops, precision is the share of dropped texts that have a duplicate among the kept ones, and recall the share
of duplicate pairs of which not both are kept. So tools that join clusters and tools that verify are measured alike.
Every tool gets the same shingles: the units that konomi cuts, one word for each. Long texts are cut into pieces.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from dedup_corpus import texts_of
from dedup_speed import peer

from konomi.dedup import Corpus
from konomi.dedup.minhash import MinHash, Verify
from konomi.testing.dedup import similarities

PEERS = ("text-dedup", "datasketch", "rensa", "datatrove")
PIECE = 3_000
"""Characters of a piece of a long text."""


def pieces(paths: Sequence[Path], sample: int, noise: float) -> Iterator[tuple[str, list[str]]]:
    """Yield each file's texts; of long ones pieces, and copies of some pieces with characters changed."""
    for path in paths:
        texts = list(texts_of(path))
        if len(texts) and np.mean([len(text) for text in texts]) <= PIECE * 4:
            yield path.name, texts
            continue
        draw = random.Random(0)
        cut = [text[start : start + PIECE] for text in texts for start in range(0, len(text) - PIECE, PIECE)]
        chosen = draw.sample(cut, min(sample, len(cut)))
        copies = []
        for text in chosen:
            characters = list(text)
            for place in draw.sample(range(len(text)), int(draw.random() * noise * len(text))):
                characters[place] = draw.choice(text)
            copies.append("".join(characters))
        yield f"{path.name}, {len(chosen)} pieces and their changed copies", [*chosen, *copies]


def as_words(texts: Sequence[str], plugin: MinHash) -> list[str]:
    """Return texts in which each of konomi's units is a word of its own, so that all tools cut the same shingles."""
    units = plugin._units(pa.array(texts))
    parts = np.split(units.hashes, units.ends[:-1])
    return [" ".join(f"u{unit:x}" for unit in part.tolist()) for part in parts]


def measured(keep: Any, truth: Any, threshold: float) -> tuple[float, float, float]:
    """Return precision, recall and F1 of what is kept."""
    same = truth >= threshold
    np.fill_diagonal(same, False)
    dropped = np.flatnonzero(~keep)
    precision = same[np.ix_(dropped, np.flatnonzero(keep))].any(axis=1).mean() if len(dropped) else 1.0
    pairs = np.triu(same, 1)
    recall = 1 - pairs[np.ix_(keep, keep)].sum() / max(pairs.sum(), 1)
    return float(precision), float(recall), float(2 * precision * recall / (precision + recall))


def main() -> None:
    """Read the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--sample", type=int, default=400, help="pieces of long texts")
    parser.add_argument("--noise", type=float, default=0.08, help="largest share of a copy's characters changed")
    parser.add_argument("--threshold", type=float, default=0.8)
    parser.add_argument("--peer", action="append", default=[], metavar="TOOL=PYTHON")
    options = parser.parse_args()
    options.threads = 0
    peers = dict(word.split("=", 1) for word in options.peer)
    for name in PEERS:
        if name not in peers:
            print(f"{name} is not measured: name the Python that has it, --peer {name}=PYTHON")
    for name, texts in pieces(options.files, options.sample, options.noise):
        with tempfile.TemporaryDirectory(prefix="konomi-quality-") as folder:
            compare(name, texts, peers, Path(folder), options)


def compare(name: str, texts: list[str], peers: dict[str, str], folder: Path, options: argparse.Namespace) -> None:
    """Print a line for each tool."""
    plugin = MinHash(threshold=options.threshold, num_bands=14, rows_per_band=8)
    truth = similarities(texts, plugin)
    ids = [str(row) for row in range(len(texts))]
    corpus = folder / "corpus.parquet"
    pq.write_table(pa.table({"id": ids, "text": as_words(texts, plugin)}), corpus)
    pq.write_table(pa.table({"text": texts}), folder / "own.parquet")
    pairs = int(np.triu(truth >= options.threshold, 1).sum())
    print(f"{name}: {len(texts)} texts, {pairs} pairs of at least {options.threshold}")
    kept: dict[str, Any] = {}
    for bands in (14, 32):
        for verify in Verify:
            own = MinHash(threshold=options.threshold, num_bands=bands, verify=verify)
            found = own.find(Corpus((folder / "own.parquet",)))
            kept[f"konomi {bands} × 8, {verify.name}"] = found.keep
    for tool, python in peers.items():
        names = peer(tool, python, corpus, folder, options).kept
        kept[f"{tool} 14 × 8"] = np.array([row in names for row in ids])
    for tool, keep in kept.items():
        precision, recall, f1 = measured(keep, truth, options.threshold)
        print(f"  {tool:26} precision {precision:.4f}  recall {recall:.4f}  F1 {f1:.4f}  kept {keep.sum()}", flush=True)


if __name__ == "__main__":
    main()
