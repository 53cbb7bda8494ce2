"""Speed of the rules of Gopher, C4 and FineWeb on one core, and their verdicts beside datatrove's on the same texts.

    python tests/benchmarks/filter_speed.py [CORPUS.jsonl.gz …] [--peers PYTHON] [--ids]

Times are of the processor: the best of five runs for konomi, one for datatrove, which takes minutes for some megabytes.
Without a corpus, texts are drawn at random. `--peers` names the interpreter of an environment that has datatrove; its
rules are English, so corpora in other languages are timed without it. Nothing is asserted: the figures belong to the
machine.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from konomi import registry
from konomi.filter._languages import documents
from konomi.units import Unit, arrow_texts

RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "gopher_quality": ("gopher_quality", {}),
    "gopher_repetition": ("repetition", {"unit": Unit.word, "threads": 1}),
    "c4": ("c4", {}),
    "fineweb": ("fineweb", {}),
}
REPEATS = 5
BATCH = 500
MEGABYTE = 1e6
PEER = Path(__file__).with_name("datatrove_rules.py")
HOW_TO = """no datatrove to compare with; make it an environment of its own and name its interpreter:
    python -m venv datatrove-peer && datatrove-peer/bin/pip install datatrove nltk spacy
    python tests/benchmarks/filter_speed.py CORPUS --peers datatrove-peer/bin/python"""


def drawn(count: int, seed: int = 0) -> dict[str, str]:
    """Return random documents of some paragraphs, a fifth of whose lines say again what was said."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(20_000)]
    made = {}
    for number in range(count):
        lines = [" ".join(["the", "and", *draw.choices(words, k=draw.randint(3, 20))]) + "." for _ in range(40)]
        made[str(number)] = "\n".join(draw.choices(lines, k=48))
    return made


def read(path: Path) -> dict[str, str]:
    """Return the texts of gzipped JSON lines by their ids, or by their rows where they have none."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return {str(row.get("id", number)): row["text"] for number, row in enumerate(rows)}


def seconds(work: Callable[[], object]) -> float:
    """Return the least processor time of some repeats, after one that compiles."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def annotate(judge: Any, column: pa.Array) -> None:
    """Find all scores, some documents at a time."""
    for start in range(0, len(column), BATCH):
        judge.annotate(column.slice(start, BATCH))


def ask(python: str, request: Mapping[str, Any], peer: Path = PEER) -> Any:
    """Have the peer answer in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        given.write_text(json.dumps(request), encoding="utf-8")
        subprocess.run([python, str(peer), str(given), str(answer)], check=True)
        return json.loads(answer.read_text(encoding="utf-8"))


def differences(texts: Mapping[str, str], ours: Mapping[str, list[str | None]], peer: Any, options: Any) -> None:
    """Print how many verdicts are the peer's, and for the others what the difference turns on."""
    ids, bodies = list(texts), list(texts.values())
    differing = {
        name: [i for i in range(len(ids)) if (ours[name][i] is None) != (peer[name]["reasons"][i] is None)]
        for name in RULES
    }
    request = {
        "texts": {name: [bodies[i] for i in places] for name, places in differing.items()},
        "kept": {name: [ours[name][i] is None for i in places] for name, places in differing.items()},
    }
    explained = ask(options.peers, request)
    for name, places in differing.items():
        print(f"  {name}: {1 - len(places) / len(ids):.1%} of the verdicts are datatrove's")
        for why, count in Counter(explained[name]).most_common():
            print(f"    {count:4d} as datatrove's once {why}" if why else f"    {count:4d} UNEXPLAINED")
        for place, why in zip(places, explained[name], strict=True):
            if options.ids or why is None:
                said = f"konomi: {ours[name][place] or 'kept'}; datatrove: {peer[name]['reasons'][place] or 'kept'}"
                print(f"      {ids[place]}: {said} ({why or 'unexplained'})")


def compare(name: str, texts: dict[str, str], options: Any) -> None:
    """Print the speeds on one corpus and, beside a peer, the differences."""
    column = arrow_texts(texts.values())
    size = sum(len(text.encode()) for text in texts.values()) / MEGABYTE
    print(f"{name}: {len(texts)} documents, {size:.1f} MB")
    found = documents(column, "auto")
    english = (found.places == [type(one).__name__ for one in found.languages].index("English")).mean() > 0.5
    peer = ask(options.peers, {"texts": list(texts.values())}) if options.peers and english else None
    ours = {}
    for rule, (plugin, fields) in RULES.items():
        judge = registry.get("filter", plugin)(**fields)
        speed = size / seconds(lambda judge=judge: annotate(judge, column))  # type: ignore[misc]
        ours[rule] = judge.decide(judge.annotate(column).scores)
        line = f"  {rule:18} {speed:6.1f} MB/s on one core"
        if peer:
            theirs = size / peer[rule]["seconds"]
            line += f"; datatrove {theirs:.2f} MB/s; {speed / theirs:.0f} ×"
        print(line, flush=True)
    if peer:
        differences(texts, ours, peer, options)


def main() -> None:
    """Read the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="*", type=Path)
    parser.add_argument("--peers", metavar="PYTHON", default="", help="interpreter of an environment with datatrove")
    parser.add_argument("--ids", action="store_true", help="name every document whose verdict differs")
    parser.add_argument("--documents", type=int, default=2_000, help="texts to draw where no corpus is named")
    options = parser.parse_args()
    if not options.peers:
        print(HOW_TO)
    for path in options.corpora:
        compare(path.name, read(path), options)
    if not options.corpora:
        compare("drawn at random", drawn(options.documents), options)


if __name__ == "__main__":
    main()
