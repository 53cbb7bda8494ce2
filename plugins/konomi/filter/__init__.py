"""Filters: judge texts by the batch, give each dropped one a reason, keep the scores.

filter.c4 · filter.classifier · filter.compression · filter.decontaminate · filter.fineweb · filter.gopher_quality
filter.harmful_words · filter.japanese_footer · filter.japanese_quality · filter.japanese_spam · filter.language_id
filter.length · filter.normalize · filter.perplexity · filter.pii · filter.quality_classifier · filter.repetition
filter.url_blocklist
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Verdicts:
    """What a filter says about a batch of n texts."""

    texts: list[str]
    """The n texts, rewritten where the filter rewrites."""
    reasons: list[str | None]
    """Why each is dropped, a few words with the figure and the limit (`duplicate lines 0.412 > 0.3`); None keeps it."""
    scores: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Figures or words of shape (n,), kept as columns of the data."""


class Filter(Protocol):
    """Judges texts; the same text always gets the same verdict, whatever else is in the batch.

    A filter may define `thresholds() -> Mapping[str, float]`, the limit that decides on each score, for the report. One
    that judges more than the text names the columns in `reads: tuple[str, ...]`; it is then called with a second
    argument, these columns by name (`Mapping[str, pa.Array]`), and so is its `annotate`.
    """

    rewrites: ClassVar[bool]
    """Whether texts are changed. One that only judges also serves conversations and preference pairs."""

    def __call__(self, texts: list[str]) -> Verdicts: ...


@dataclass(frozen=True)
class Annotation:
    """What a filter finds in n texts, before anything is decided."""

    scores: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Figures of shape (n,): float64, integers or booleans, not rounded, because limits are compared with them; or
    words (NumPy's `str`), such as the language that was found."""
    texts: pa.Array | None = None
    """Where the filter rewrites: the n texts after it, as large strings; null where a text stays as it is."""


class Annotator(Filter, Protocol):
    """A filter that finds first and decides second.

    `curate` keeps what was found beside the text, shard by shard, so that a changed limit (a field declared with
    `konomi.fields.decides`) reads the scores again and computes none. Third parties need only be a `Filter`.
    """

    def annotate(self, texts: pa.Array) -> Annotation:
        """Return what is found in n texts, given as large strings without nulls; no `decides` field is looked at."""
        ...

    def decide(self, scores: Mapping[str, NDArray[Any]]) -> list[str | None]:
        """Return why each of n documents is dropped, by the scores that `annotate` found; None keeps it."""
        ...
