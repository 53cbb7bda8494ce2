"""HojiChar's verdicts and speeds, in HojiChar's own environment; `japanese_filter_speed.py` starts this.

    PYTHON tests/benchmarks/hojichar_rules.py REQUEST.json ANSWER.json

Each filter runs as it comes, timed; on the documents that are named it runs again by konomi's definition, so that what
a verdict turns on is known.
"""

from __future__ import annotations

import json
import re
import sys
import time
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hojichar import Document
from hojichar.filters import document_filters as hojichar

FILTERS = {
    "board_words": hojichar.DiscardBBSComments,
    "advertisement_words": hojichar.DiscardAds,
    "nouns": hojichar.DiscardTooManyNouns,
    "mean_sentence": hojichar.DiscardRareKuten,
    "repetition": hojichar.CharRepetitionRatioFilter,
    "special_characters": hojichar.DiscardTooManySpecialToken,
    "longest_run": hojichar.SingleCharacterRepetitionFilter,
    "ellipsis_lines": hojichar.DiscardTooManyEndingEllipsis,
    "short_lines": hojichar.DiscardTooShortLines,
}
"""HojiChar's filters by the score of `japanese_spam`."""

DATE = r"[0-9]{4}[年./-] ?[0-9]{1,2}[月./-] ?[0-9]{1,2}"
ELLIPSES = ("…", "‥", "...", "。。。", "．．．", "・・・")


def kept(judge: Any, text: str) -> bool:
    return not judge.apply(Document(text)).is_rejected


def hits(text: str, words: list[str]) -> int:
    """Return how often words occur, the longest first; one of katakana or Latin letters stands by itself."""
    alternatives = []
    for word in sorted(words, key=len, reverse=True):
        edge = "[ァ-ヺー]" if re.match("[ァ-ヺー]", word) else "[A-Za-z]" if word[0].isascii() else None
        last = "[ァ-ヺー]" if re.match("[ァ-ヺー]", word[-1]) else "[A-Za-z]" if word[-1].isascii() else None
        before, after = f"(?<!{edge})" if edge else "", f"(?!{last})" if last else ""
        alternatives.append(before + re.escape(word) + after)
    return len(re.findall("|".join(alternatives), text, re.IGNORECASE))


def special(text: str) -> float:
    return sum(unicodedata.category(character)[0] in "PSZC" for character in text) / max(len(text), 1)


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def share(found: list[bool]) -> float:
    return sum(found) / max(len(found), 1)


def altered(words: Mapping[str, list[str]]) -> dict[str, tuple[str, Callable[[str], bool]]]:
    """Return konomi's definition of each rule that is not HojiChar's: what it does otherwise, and whether it keeps."""
    boards, advertisements = words["board_words"], words["advertisement_words"]
    return {
        "board_words": ("other words, and no hyphens", lambda t: hits(t, boards) + len(re.findall(DATE, t)) <= 14),
        "advertisement_words": ("other words", lambda text: hits(text, advertisements) <= 14),
        "mean_sentence": ("one 。 is taken to be there", lambda text: len(text) / max(text.count("。"), 1) <= 100),
        "special_characters": ("what Unicode counts as no letter or number", lambda text: special(text) <= 0.4),
        "ellipsis_lines": (
            "blank lines are no lines, and every way to write an ellipsis counts",
            lambda text: share([line.endswith(ELLIPSES) for line in lines_of(text)]) <= 0.7,
        ),
        "short_lines": (
            "blank lines are no lines, and white space around lines does not count",
            lambda text: share([len(line) <= 10 for line in lines_of(text)]) <= 0.5,
        ),
    }


def noun_share(judge: Any, text: str) -> float:
    """Return HojiChar's share of nouns."""
    parts = [word.feature.pos1 for chunk in judge._chunk_text(text) for word in judge.tagger(chunk)]
    words = [part for part in parts if part != "補助記号"]
    return words.count("名詞") / max(len(words), 1)


def timed(name: str, texts: list[str]) -> dict[str, Any]:
    """Return a filter's verdicts as it comes, and the processor time they took."""
    judge = FILTERS[name]()
    kept(judge, "雨が降った。")
    start = time.process_time()
    verdicts = [kept(judge, text) for text in texts]
    return {"seconds": time.process_time() - start, "kept": verdicts}


def explained(name: str, texts: list[str], ours: list[bool], words: Mapping[str, list[str]]) -> list[str | None]:
    """Return what makes each text's verdict ours; None where nothing known does."""
    definitions = altered(words)
    if name not in definitions:
        return [None] * len(texts)
    label, keeps = definitions[name]
    return [label if keeps(text) == mine else None for text, mine in zip(texts, ours, strict=True)]


def main() -> None:
    """Answer one request: texts to judge as it comes, or those that differ to explain."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if "kept" in request:
        answer: dict[str, Any] = {
            name: explained(name, request["texts"][name], ours, request["words"])
            for name, ours in request["kept"].items()
        }
        judge = hojichar.DiscardTooManyNouns()
        answer["noun_shares"] = [noun_share(judge, text) for text in request["texts"]["nouns"]]
    else:
        answer = {name: timed(name, request["texts"]) for name in FILTERS}
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
