"""What stands at the foot of Japanese web pages, cut off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.faults import Fault
from konomi.fields import NOT_IN_KEY
from konomi.filter import Annotation
from konomi.filter._limits import ByLimits, Limit
from konomi.registry import register

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from konomi.filter._code_points import CodePoints

NEWLINE = 10


@register("filter", "japanese_footer")
@dataclass(frozen=True)
class JapaneseFooter(ByLimits):
    """Rewrite a Japanese page without its foot: links, rights, buttons to share (Swallow corpus v1); drops nothing.

    Okazaki+ 2024: of the last 10 lines, the first of which more than .3 of the characters are in footer words ends the
    page, with all that follows. Done again until none of the last lines is one, so that a long foot goes whole. The
    list of words that ships is small. How many lines went is kept as a score.

    >>> JapaneseFooter()(["犬が好きです。\\n猫も好きです。\\nトップページ | お問い合わせ\\n© 2024"]).texts
    ['犬が好きです。\\n猫も好きです。']
    """

    rewrites: ClassVar[bool] = True

    max_ratio: float = 0.3
    """Largest share of a line's characters that may be in footer words."""
    lines: int = 10
    """Lines at the end of a text that are looked at."""
    words: list[str] = field(default_factory=list, metadata=NOT_IN_KEY)
    """Files of words, one a line; none takes the list that ships."""

    def check(self) -> Iterable[Fault]:
        from konomi.filter._words import faults_of

        if not 0 <= self.max_ratio <= 1:
            yield Fault("max_ratio", f"{self.max_ratio} is no share", "give a number from 0 to 1")
        if self.lines < 1:
            yield Fault("lines", f"{self.lines} is no number of lines", "lines=10")
        yield from faults_of("words", self._files())

    def depends(self) -> Mapping[str, Any]:
        from konomi.filter._words import hashes_of

        return {"words": hashes_of(self._files())}

    def annotate(self, texts: pa.Array) -> Annotation:
        import numpy as np

        from konomi.filter._code_points import code_points
        from konomi.filter._rewriting import only_changed, strings_at

        points = code_points(texts)
        newlines = np.flatnonzero(points.codes == NEWLINE)
        ends = points.ends.copy()
        rows = np.arange(len(ends))
        while len(rows):
            cuts = self._cuts(points, newlines, points.starts()[rows], ends[rows])
            rows, cuts = rows[cuts >= 0], cuts[cuts >= 0]
            ends[rows] = cuts
        rows = np.flatnonzero(ends < points.ends)
        kept = dict(zip(rows.tolist(), (ends - points.starts())[rows].tolist(), strict=True))
        changed = {row: text[: kept[row]] for row, text in zip(kept, strings_at(texts, rows), strict=True)}
        gone = np.searchsorted(newlines, points.ends) - np.searchsorted(newlines, ends)
        whole = (ends == points.starts()) & (ends < points.ends)  # the first line has no newline before it
        return Annotation({"lines": gone + whole}, only_changed(len(texts), changed))

    def limits(self) -> list[Limit]:
        return []

    def _cuts(
        self,
        points: CodePoints,
        newlines: NDArray[np.int64],
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Return where each text ends without its foot; -1 where none of its last lines is one."""
        import numpy as np

        from konomi.filter._words import words_of

        first = np.searchsorted(newlines, starts)
        places = np.searchsorted(newlines, ends)[:, None] + np.arange(-self.lines, 0)  # of the newline before a line
        there = (places >= first[:, None] - 1) & (ends > starts)[:, None]
        padded = np.concatenate([newlines, [len(points.codes)]])
        line_starts = np.where(places >= first[:, None], padded[np.maximum(places, 0)] + 1, starts[:, None])
        line_ends = np.concatenate([line_starts[:, 1:] - 1, ends[:, None]], axis=1)
        line_ends = np.where(there, line_ends, line_starts)
        _, characters = words_of(self._files()).count(points, line_starts[there], line_ends[there])
        footer = np.zeros(there.shape, np.bool_)
        lengths = line_ends[there] - line_starts[there]
        footer[there] = characters > self.max_ratio * lengths
        at = np.argmax(footer, axis=1)[:, None]
        cut = np.take_along_axis(line_starts, at, axis=1)[:, 0]
        return np.where(footer.any(axis=1), np.maximum(cut - 1, starts), -1)

    def _files(self) -> list[Path]:
        from konomi.filter._words import files_of

        return files_of(self.words, "footers_ja.txt")
