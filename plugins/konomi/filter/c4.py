"""C4's rules: lines that are no prose go, and pages that are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.faults import Fault
from konomi.fields import decides
from konomi.filter import Annotation, _languages
from konomi.filter._limits import ByLimits, Limit
from konomi.registry import register

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

CITATIONS = ("[edit]", "[citation needed]")
"""Marks of Wikipedia that are taken out, beside numbers in brackets."""

PAGE_PHRASES = ("javascript", "lorem ipsum")
"""What lines must not hold, and what pages must not; in the kernel's order."""


@register("filter", "c4")
@dataclass(frozen=True)
class C4(ByLimits):
    """Take out lines that are no sentences, and drop pages with too little left or with code (C4: Raffel+ 2020, 2.2).

    A line stays where it ends with terminal punctuation and no ellipsis, has enough words, none of which is too long,
    and speaks neither of JavaScript nor of cookies and terms. A page is dropped for a curly bracket or "lorem ipsum"
    anywhere in it, and for too few sentences in what is left. White space around a line goes, lines of nothing else
    too. `filter_no_terminal_punct=false` is what FineWeb does.

    >>> page = "Home | About\\nIt rained.\\nThe river stood high, so the road was closed.[1]\\nWe use cookies here."
    >>> C4(min_num_sentences=1)([page]).texts
    ['The river stood high, so the road was closed.']
    >>> C4()([page, "if (rain) { stay(); }"]).reasons
    ['sentences 1 < 5', 'curly brackets 1 > 0']
    """

    rewrites: ClassVar[bool] = True

    remove_citations: bool = True
    """Take out marks such as [1] and [citation needed]."""
    filter_no_terminal_punct: bool = True
    """Take out lines that do not end with terminal punctuation, or end with an ellipsis."""
    min_num_sentences: int = decides(5)
    """Fewest sentences in what is left; 0 turns it off."""
    min_words_per_line: int = 3
    """Fewest words of a line that stays."""
    max_word_length: int = 1000
    """Most characters of a word in a line that stays; -1 for any."""
    filter_lorem_ipsum: bool = decides(True)
    """Drop pages with "lorem ipsum"."""
    filter_javascript: bool = True
    """Take out lines with "javascript"."""
    filter_curly_bracket: bool = decides(True)
    """Drop pages with "{"."""
    filter_policy: bool = True
    """Take out lines with phrases of notices on cookies and terms of use, in the language of the text."""
    language: str = "auto"
    """A language by name, or `auto`: each text's by its letters."""

    def check(self) -> Iterable[Fault]:
        yield from _languages.faults(self.language)
        if self.max_word_length < -1:
            yield Fault("max_word_length", f"{self.max_word_length} is no length", "max_word_length=-1 takes any")

    def depends(self) -> Mapping[str, Any]:
        return _languages.depends(self.language)

    def limits(self) -> list[Limit]:
        limits = [
            (self.filter_lorem_ipsum, Limit("lorem_ipsum", most=0)),
            (self.filter_curly_bracket, Limit("curly_brackets", most=0)),
            (True, Limit("sentences", least=self.min_num_sentences)),
        ]
        return [limit for holds, limit in limits if holds]

    def annotate(self, texts: pa.Array) -> Annotation:
        import numpy as np

        from konomi.filter import _c4_kernel as kernel

        documents = _languages.documents(texts, self.language)
        found = np.zeros((len(texts), len(kernel.COLUMNS)), np.int64)
        rewritten = self._rewritten(documents, found)
        dropped = {
            "long_word": kernel.LONG_WORD,
            "no_terminal_punctuation": kernel.NOT_TERMINAL,
            "few_words": kernel.FEW_WORDS,
            "javascript": kernel.JAVASCRIPT,
            "policy": kernel.POLICY,
        }
        scores = {
            "sentences": found[:, kernel.SENTENCES],
            "lorem_ipsum": found[:, kernel.LOREM_IPSUM],
            "curly_brackets": found[:, kernel.BRACES],
            **{f"lines_{name}": found[:, column] for name, column in dropped.items()},
        }
        return Annotation(scores, rewritten)

    def _rewritten(self, documents: _languages.Documents, found: NDArray[Any]) -> pa.Array:
        """Return what is left of each text, null where that is all; fill what was found."""
        import numpy as np
        import pyarrow as pa

        from konomi.filter._c4_kernel import c4
        from konomi.filter._languages import first_pairs, longest_first, strings

        languages, offsets = documents.languages, documents.offsets
        phrases = [(*PAGE_PHRASES, *one.policy_phrases) for one in languages]
        out = np.empty(int(offsets[-1] - offsets[0]) + 1, np.uint8)
        ends, changed = np.zeros(len(found), np.int64), np.zeros(len(found), np.bool_)
        c4(
            documents.data,
            offsets,
            documents.places,
            documents.flags(),
            documents.per_word(),
            strings([longest_first(one.ellipses) for one in languages]),
            strings(phrases),
            first_pairs(phrases),
            strings([CITATIONS]),
            (
                self.filter_no_terminal_punct,
                self.min_words_per_line,
                self.max_word_length,
                self.filter_javascript,
                self.filter_policy,
                self.remove_citations,
            ),
            out,
            ends,
            changed,
            found,
        )
        size = int(ends[-1]) if len(ends) else 0
        starts = np.concatenate([[0], ends]).astype(np.int64)
        valid = pa.array(changed).buffers()[1] if len(changed) else None
        buffers = [valid, pa.py_buffer(starts), pa.py_buffer(out[:size].copy())]
        return pa.Array.from_buffers(pa.large_string(), len(found), buffers)
