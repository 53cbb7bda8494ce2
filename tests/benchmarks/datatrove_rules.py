"""datatrove's verdicts and speeds, in datatrove's own environment; `filter_speed.py` starts this.

    PYTHON tests/benchmarks/datatrove_rules.py TEXTS.json VERDICTS.json

Each filter runs as it comes, timed, and then on altered terms, one more at a time, on the documents that are named:
what the verdict turns on is the reason why it differed.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

FILTERS = {
    "gopher_quality": GopherQualityFilter,
    "gopher_repetition": GopherRepetitionFilter,
    "c4": C4QualityFilter,
    "fineweb": FineWebQualityFilter,
}
QUOTES = ('"', "'", "”", "’")


class Sized(str):
    """A text as long as what is not white space in it: what shares of characters are taken of."""

    def __len__(self) -> int:
        return sum(map(str.__len__, self.split()))


class FoldedStopWords:
    """Stop words, found in lower case and between any two characters that are no letters."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = set(words)

    def intersection(self, words: Iterable[str]) -> set[str]:
        """Return the stop words in some words."""
        return self.words & set(re.findall(r"\w+", " ".join(words).lower()))


def set_in(name: str, **values: Any) -> Callable[[Any], None]:
    """Return an alteration of a module of datatrove's filters."""

    def alter(judge: Any) -> None:
        module = importlib.import_module(f"datatrove.pipeline.filters.{name}")
        for key, value in values.items():
            setattr(module, key, value)

    return alter


def by_spaces(text: str, language: str) -> list[str]:
    return text.split()


def ends_of_sentences(text: str, language: str) -> list[str]:
    """Cut behind . ! ? and closers before a space, but not before a lower-case letter after a full stop."""
    return [part for part in re.split(r"""(?<=[.!?])["'”’)\]]*\s+(?![a-z])""", text) if re.search(r"\w", part)]


def page_first(judge: Any) -> None:
    """Have C4 look for brackets and "lorem ipsum" in the whole page."""
    inner = judge.filter

    def whole(document: Document) -> Any:
        if "{" in document.text or "lorem ipsum" in document.text.lower():
            return False, "page"
        return inner(document)

    judge.filter = whole


def top_of(grams: Sequence[str]) -> int:
    """Return the characters of the most frequent n-gram's occurrences, where there are two."""
    gram, count = Counter(grams).most_common(1)[0]
    return sum(map(len, gram.split())) * count if count > 1 else 0


def repeated_of(words: Sequence[str], size: int) -> int:
    """Return the characters inside n-grams that occurred before, each once."""
    seen: set[tuple[str, ...]] = set()
    inside: set[int] = set()
    for start in range(len(words) - size + 1):
        gram = tuple(words[start : start + size])
        if gram in seen:
            inside.update(range(start, start + size))
        seen.add(gram)
    return sum(len(words[place]) for place in inside)


def stripped(text: str) -> str:
    """Return a text without white space around its lines; a paragraph ends with one blank line."""
    lines = "\n".join(line.strip() for line in text.split("\n"))
    return re.sub(r"\n{2,}", "\n\n", lines).strip("\n")


def without_blanks(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if line.strip())


Step = tuple[str, Callable[[Any], None], Callable[[str], str]]


def nothing(judge: Any) -> None:
    """Alter nothing but the text."""


def steps(name: str) -> list[Step]:
    """Return what to alter, one after another: its name, the alteration of the filter and of the text."""
    if name == "gopher_quality":
        module = "gopher_quality_filter"
        return [
            ("words stand between spaces", set_in(module, split_into_words=by_spaces), str),
            ("a word may be all punctuation", set_in(module, PUNCTUATION_SET=frozenset()), str),
            ("stop words whatever their case", lambda f: setattr(f, "stop_words", FoldedStopWords(f.stop_words)), str),
            ("blank lines are no lines", nothing, without_blanks),
        ]
    if name == "gopher_repetition":
        module = "gopher_repetition_filter"
        counted = set_in(module, find_top_duplicate=top_of, find_all_duplicate=repeated_of)
        return [
            ("words stand between spaces", set_in(module, split_into_words=by_spaces), str),
            ("white space around lines does not count", nothing, stripped),
            ("overlaps count once, white space not at all", counted, lambda text: Sized(stripped(text))),
        ]
    if name == "c4":
        return [
            ("a bracket anywhere in the page", page_first, str),
            ("sentences end before a space", set_in("c4_filters", split_into_sentences=ends_of_sentences), str),
        ]
    return [
        ("quotes end a line too", lambda f: setattr(f, "stop_chars", (*f.stop_chars, *QUOTES)), str),
        ("white space around lines does not count", nothing, lambda text: "\n".join(map(str.strip, text.split("\n")))),
        ("words stand between spaces", set_in("fineweb_quality_filter", split_into_words=by_spaces), str),
    ]


def verdict(judge: Any, text: str) -> str | None:
    """Return why datatrove drops a text, or None."""
    said = judge.filter(Document(text=text, id="0"))
    return str(said[1]) if isinstance(said, tuple) else None


def timed(name: str, texts: list[str]) -> dict[str, Any]:
    """Return a filter's verdicts as it comes, and the processor time they took."""
    judge = FILTERS[name]()
    verdict(judge, "It rained. It rained again.")
    start = time.process_time()
    reasons = [verdict(judge, text) for text in texts]
    return {"seconds": time.process_time() - start, "reasons": reasons}


def explained(name: str, texts: list[str], ours: list[bool]) -> list[str | None]:
    """Return the alteration with which each text's verdict is ours; None where none makes it so."""
    found: list[str | None] = [None] * len(texts)
    judge = FILTERS[name]()
    change: Callable[[str], str] = str
    for label, alter, text_change in steps(name):
        alter(judge)
        change = text_change if text_change is not str else change
        for index, text in enumerate(texts):
            if found[index] is None and (verdict(judge, change(text)) is None) == ours[index]:
                found[index] = label
    return found


def main() -> None:
    """Answer one request: texts to judge as it comes, or those that differ to explain."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if "kept" in request:
        answer: Any = {name: explained(name, request["texts"][name], request["kept"][name]) for name in request["kept"]}
    else:
        answer = {name: timed(name, request["texts"]) for name in FILTERS}
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
