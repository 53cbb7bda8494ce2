"""Texts of evaluation sets within a corpus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault
from konomi.fields import NOT_IN_KEY, decides
from konomi.filter import Annotation
from konomi.filter._limits import ByLimits
from konomi.registry import register

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from konomi.filter._decontaminate_index import Index

MOST_SETS = 1 << 15
SHOWN_CHARACTERS = 80
"""Of a passage, in a reason."""


@register("filter", "decontaminate")
@dataclass(frozen=True)
class Decontaminate(ByLimits):
    """Drop a text that holds a passage of an evaluation set: 13 words, or 25 characters of a script without spaces.

    The length in words is GPT-3's (Brown+ 2020, appendix C). Case, punctuation and white space do not count. An item is
    looked for in words or in characters, whichever it is mostly made of; one that is shorter is not looked for, and the
    log says how many are. The scores are `ngrams`, how many of the text's n-grams are in a set; `share`, the share of
    its words and characters that stand in one; `set`, the set with most of them, and `passage`, where the first begins.

    >>> import pathlib, tempfile
    >>> sums = pathlib.Path(tempfile.mkdtemp()) / "sums.jsonl"
    >>> item = "Ann has three boxes of pens and gives half of one to each of her five friends."
    >>> _ = sums.write_text('{"question": "%s"}' % item)
    >>> Decontaminate(sets={"sums": str(sums)})([f"Homework: {item.lower()}", "Ann has three boxes."]).reasons
    ['sums n-grams 5 > 0: ann has three boxes of pens and gives half of one to each of her five friends.', None]
    """

    sets: dict[str, Any] = field(default_factory=dict, metadata=NOT_IN_KEY)
    """Evaluation sets: a name of your own, and a path, glob or list of them (`sets.gsm8k=eval/gsm8k.jsonl.gz`): JSON
    lines, Parquet, CSV or plain text, whose items are its paragraphs. Their names and content are in the key."""
    columns: dict[str, list[str]] = field(default_factory=dict)
    """Columns of a set to look for, by its name (`columns.gsm8k=[question]`); of others, all that hold plain text."""
    words: int = 13
    """Words of an n-gram."""
    characters: int = 25
    """Characters of an n-gram in a script without spaces (Japanese, Chinese, Thai …)."""
    most_ngrams: int = decides(0)
    """Most n-grams of a set that a text may hold."""
    drop: bool = decides(True)
    """Whether a text with more is dropped; false only marks it, in the columns of the scores."""

    def check(self) -> Iterable[Fault]:
        from konomi.faults import did_you_mean
        from konomi.filter import _decontaminate_index as index

        for name in ("words", "characters"):
            if getattr(self, name) < 1:
                yield Fault(name, f"{getattr(self, name)} is no length; expected at least 1")
        if self.most_ngrams < 0:
            yield Fault("most_ngrams", f"{self.most_ngrams} is below 0", "most_ngrams=0 drops at the first")
        if not 0 < len(self.sets) < MOST_SETS:
            yield Fault("sets", f"names {len(self.sets)} evaluation sets", "type sets.NAME=PATH")
        for name in self.columns:
            if name not in self.sets:
                yield Fault(f"columns.{name}", f"there is no set {name}", did_you_mean(name, self.sets))
        for name, path in self.sets.items():
            yield from index.faults(name, path, self.columns.get(name))

    def depends(self) -> Mapping[str, Any]:
        from konomi.filter._decontaminate_index import reader

        return {"sets": [[name, reader(path, None).depends()] for name, path in self.sets.items()]}

    def thresholds(self) -> dict[str, float]:
        return {"ngrams": self.most_ngrams} if self.drop else {}

    def annotate(self, texts: pa.Array) -> Annotation:
        import numpy as np

        from konomi.filter._portions import portions
        from konomi.units import text_buffers

        index = self._index()
        found = _Found(*(np.zeros(len(texts), np.int64) for _ in range(5)))
        for own in portions(text_buffers(texts)[1]):
            _tally(texts[own], index, found.part(own))
        passages = np.zeros(len(texts), f"U{SHOWN_CHARACTERS}")
        for row in np.flatnonzero(found.first >= 0).tolist():
            passages[row] = _passage(texts[row].as_buffer().to_pybytes(), int(found.first[row]))
        return Annotation(
            {
                "ngrams": found.ngrams,
                "share": found.covered / np.maximum(found.units, 1),
                "set": np.array([*index.names, ""], dtype=np.str_)[found.owner],
                "passage": passages,
            }
        )

    def decide(self, scores: Mapping[str, NDArray[Any]]) -> list[str | None]:
        import numpy as np

        reasons: list[str | None] = [None] * len(scores["ngrams"])
        for row in np.flatnonzero(scores["ngrams"] > self.most_ngrams).tolist() if self.drop else ():
            count, name, passage = (scores[score][row] for score in ("ngrams", "set", "passage"))
            reasons[row] = f"{name} n-grams {count} > {self.most_ngrams}: {passage}"
        return reasons

    def _index(self) -> Index:
        import json

        from konomi.filter._decontaminate_index import load

        sizes = {"words": self.words, "characters": self.characters}
        said = {"sets": self.sets, "columns": self.columns, **sizes, "content": self.depends()}
        return load(json.dumps(said, default=list))


@dataclass(frozen=True)
class _Found:
    """What is found in n texts; each of shape (n,)."""

    ngrams: NDArray[np.int64]
    covered: NDArray[np.int64]
    """Units that stand in an n-gram of a set."""
    units: NDArray[np.int64]
    owner: NDArray[np.int64]
    """Number of the set with most n-grams, -1 for none."""
    first: NDArray[np.int64]
    """The first unit of its first n-gram, -1 for none."""

    def part(self, own: slice) -> _Found:
        return _Found(self.ngrams[own], self.covered[own], self.units[own], self.owner[own], self.first[own])


def _tally(texts: pa.Array, index: Index, found: _Found) -> None:
    """Fill `found` for some texts."""
    import numpy as np

    from konomi.filter._decontaminate_index import cut_texts
    from konomi.filter._decontaminate_kernel import tally

    units = cut_texts(texts)
    found.units[:] = np.diff(units.ends, prepend=0)
    words, word_ends, some = index.words.find(units)
    characters, character_ends, others = index.characters.find(units)
    found.owner[:] = found.first[:] = -1
    if some or others:
        sizes = np.array([index.words.size, index.characters.size])
        tally(
            words, word_ends, characters, character_ends, sizes, len(index.names),
            found.ngrams, found.covered, found.owner, found.first,
        )  # fmt: skip


def _passage(data: bytes, unit: int) -> str:
    """Return the beginning of a passage from the given unit of a text."""
    from konomi.filter._decontaminate_index import cut_texts
    from konomi.filter._places import start_of

    text = data.decode("utf-8", "ignore")
    start = start_of(text, unit, cut_texts)
    return " ".join(text[start : start + 2 * SHOWN_CHARACTERS].split())[:SHOWN_CHARACTERS].rstrip()
