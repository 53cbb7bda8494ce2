"""Speed of the filters for Japanese on one core, and the verdicts of the rules on spam beside HojiChar's.

    python tests/benchmarks/japanese_filter_speed.py CORPUS.jsonl.gz … [--peers PYTHON] [--documents 200]

`--peers` names the interpreter of an environment that has HojiChar with all its extras. Nothing is asserted: the
figures belong to the machine.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from filter_speed import MEGABYTE, annotate, ask, read, seconds

from konomi import registry
from konomi.filter._words import SHIPPED, lines_of
from konomi.units import arrow_texts

ALL = (
    "normalize", "pii", "japanese_quality", "japanese_spam", "japanese_footer", "harmful_words", "compression",
)  # fmt: skip
PEER = Path(__file__).with_name("hojichar_rules.py")
WORDS = {"board_words": "boards_ja.txt", "advertisement_words": "advertisements_ja.txt"}
HOW_TO = """no HojiChar to compare with; make it an environment of its own and name its interpreter:
    python -m venv hojichar-peer && hojichar-peer/bin/pip install 'hojichar[all]'
    python tests/benchmarks/japanese_filter_speed.py CORPUS --peers hojichar-peer/bin/python"""


def verdicts(column: pa.Array) -> dict[str, list[bool]]:
    """Return which texts each rule of `japanese_spam` keeps, by its score."""
    judge = registry.get("filter", "japanese_spam")()
    scores = judge.annotate(column).scores
    return {limit.score: (scores[limit.score] <= limit.most).tolist() for limit in judge.limits()}


def differences(texts: list[str], ours: Mapping[str, list[bool]], peer: Any, python: str) -> None:
    """Print how many verdicts are the peer's, and for the others what the difference turns on."""
    places = {
        name: [at for at, both in enumerate(zip(ours[name], peer[name]["kept"], strict=True)) if both[0] != both[1]]
        for name in ours
    }
    request = {
        "texts": {name: [texts[at] for at in differing] for name, differing in places.items()},
        "kept": {name: [ours[name][at] for at in differing] for name, differing in places.items()},
        "words": {name: lines_of(SHIPPED / file) for name, file in WORDS.items()},
    }
    answer = ask(python, request, PEER)
    for name, differing in places.items():
        kept = sum(peer[name]["kept"])
        print(f"  {name}: {1 - len(differing) / len(texts):.1%} of the verdicts are HojiChar's, which keeps {kept}")
        for why, count in Counter(answer[name]).most_common():
            nouns = f"nouns are estimated; HojiChar's shares: {[round(one, 2) for one in answer['noun_shares']]}"
            print(f"    {count:4d} {why or (nouns if name == 'nouns' else 'UNEXPLAINED')}")


def compare(name: str, texts: list[str], python: str) -> None:
    """Print the speeds on one corpus and, beside a peer, the differences."""
    column = arrow_texts(texts)
    size = sum(len(text.encode()) for text in texts) / MEGABYTE
    print(f"{name}: {len(texts)} documents, {size:.1f} MB")
    speeds = {}
    for plugin in ALL:
        judge = registry.get("filter", plugin)()
        speeds[plugin] = size / seconds(lambda judge=judge: annotate(judge, column))  # type: ignore[misc]
        print(f"  {plugin:18} {speeds[plugin]:6.1f} MB/s on one core", flush=True)
    if python:
        peer = ask(python, {"texts": texts}, PEER)
        for rules, without in (("all", ()), ("all but nouns", ("nouns",))):
            speed = size / sum(peer[rule]["seconds"] for rule in peer if rule not in without)
            times = speeds["japanese_spam"] / speed
            print(f"  HojiChar, {rules} of the rules of japanese_spam: {speed:.2f} MB/s; konomi is {times:.0f} × that")
        for rule, found in peer.items():
            print(f"    {rule:20} {size / max(found['seconds'], 1e-9):7.2f} MB/s")
        differences(texts, verdicts(column), peer, python)


def main() -> None:
    """Read the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", type=Path)
    parser.add_argument("--peers", metavar="PYTHON", default="", help="interpreter of an environment with HojiChar")
    parser.add_argument("--documents", type=int, default=None, help="most documents of a corpus")
    options = parser.parse_args()
    if not options.peers:
        print(HOW_TO)
    for path in options.corpora:
        compare(path.name, list(itertools.islice(read(path).values(), options.documents)), options.peers)


if __name__ == "__main__":
    main()
