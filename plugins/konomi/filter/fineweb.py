"""FineWeb's own rules on quality: on the lines of a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault
from konomi.fields import decides
from konomi.filter import Annotation, _languages
from konomi.filter._limits import ByLimits, Limit
from konomi.filter._parts import part_shares
from konomi.registry import register

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


@register("filter", "fineweb")
@dataclass(frozen=True)
class FineWeb(ByLimits):
    """Drop a page whose lines are no prose: unfinished, short, said twice, too many (FineWeb: Penedo+ 2024, 3.6).

    White space around a line does not count, and lines of white space are no lines. A character of a script without
    spaces is as long as three others, so that a short line is as many words in Japanese as in English.

    >>> prose = "It had rained for a week, and the river stood high.\\n"
    >>> FineWeb()([prose, prose * 2, "Home\\nAbout us\\nContact"]).reasons
    [None, 'duplicate line characters 0.500 > 0.01', 'terminal lines 0.000 < 0.12']
    """

    line_punct_thr: float = decides(0.12)
    """Least share of lines that end with terminal punctuation."""
    line_punct_exclude_zero: bool = decides(False)
    """Keep a page where no line does."""
    short_line_thr: float = decides(0.67)
    """Largest share of short lines."""
    short_line_length: int = 30
    """Most characters of a short line."""
    char_duplicates_ratio: float = decides(0.01)
    """Largest share of characters that stand in lines which repeat an earlier one."""
    new_line_ratio: float = decides(0.3)
    """Most ends of lines for a word."""
    language: str = "auto"
    """A language by name, or `auto`: each text's by its letters."""

    def check(self) -> Iterable[Fault]:
        yield from _languages.faults(self.language)
        for name in ("line_punct_thr", "short_line_thr", "char_duplicates_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                yield Fault(name, f"{getattr(self, name)} is no share", "give a number from 0 to 1")
        if self.short_line_length < 0:
            yield Fault("short_line_length", f"{self.short_line_length} is no length", "short_line_length=30")

    def depends(self) -> Mapping[str, Any]:
        return _languages.depends(self.language)

    def limits(self) -> list[Limit]:
        return [
            Limit("lines", least=1),
            Limit("terminal_lines", least=self.line_punct_thr),
            Limit("short_lines", most=self.short_line_thr),
            Limit("duplicate_line_characters", most=self.char_duplicates_ratio),
            Limit("newlines_per_word", most=self.new_line_ratio),
        ]

    def annotate(self, texts: pa.Array) -> Annotation:
        import numpy as np

        from konomi.filter import _fineweb_kernel as kernel

        documents = _languages.documents(texts, self.language)
        repeats = part_shares(documents.data, documents.offsets, lines_only=True)
        per_word = documents.per_word()
        found = np.zeros((len(texts), len(kernel.COLUMNS)), np.int64)
        kernel.fineweb(
            documents.data,
            documents.offsets,
            documents.places,
            documents.flags(),
            per_word,
            _languages.SPACED_CHARACTERS_PER_WORD / per_word,
            float(self.short_line_length),
            found,
        )
        lines = np.maximum(found[:, kernel.LINES], 1)
        return Annotation(
            {
                "lines": found[:, kernel.LINES],
                "terminal_lines": found[:, kernel.TERMINAL_LINES] / lines,
                "short_lines": found[:, kernel.SHORT_LINES] / lines,
                "duplicate_line_characters": repeats["duplicate_line_characters"],
                "newlines_per_word": found[:, kernel.NEWLINES] / np.maximum(found[:, kernel.WORDS], 1),
            }
        )

    def decide(self, scores: Mapping[str, NDArray[Any]]) -> list[str | None]:
        import numpy as np

        if self.line_punct_exclude_zero:
            ends = scores["terminal_lines"]
            scores = {**scores, "terminal_lines": np.where(ends == 0, np.nan, ends)}
        return super().decide(scores)
