"""What filters share that find scores and hold them against limits."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.filter import Annotation, Verdicts

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Limit:
    """A bound on a score: a document is dropped below `least` or above `most`."""

    score: str
    least: float | None = None
    most: float | None = None
    label: str = ""
    """What the score is called in a reason; by default its name: `duplicate_5_grams` is `duplicate 5-grams`."""

    def bound(self) -> float | None:
        """Return the figure that is drawn into a histogram; of two, the lower."""
        return self.most if self.least is None else self.least

    def name(self) -> str:
        """Return what the score is called in a reason."""
        return self.label or re.sub(r"(\d) ", r"\1-", self.score.replace("_", " "))


class ByLimits(ABC):
    """Base of a filter that defines `annotate(texts)` and, as a rule, `limits()`; decisions and `__call__` follow."""

    rewrites: ClassVar[bool] = False

    @abstractmethod
    def annotate(self, texts: pa.Array) -> Annotation:
        """Return what is found in n texts: see `konomi.filter.Annotator`."""

    def limits(self) -> Sequence[Limit]:
        """Return the limits in order: the first that is broken names the reason; none where it decides otherwise."""
        return ()

    def thresholds(self) -> dict[str, float]:
        """Return the limit of each score that has one."""
        found: dict[str, float] = {}
        for limit in self.limits():
            if (bound := limit.bound()) is not None:
                found.setdefault(limit.score, bound)
        return found

    def decide(self, scores: Mapping[str, NDArray[Any]]) -> list[str | None]:
        """Return why each of n documents is dropped, by their scores; None keeps it."""
        import numpy as np

        reasons: list[str | None] = [None] * len(next(iter(scores.values()), ()))
        for limit in reversed(self.limits()):
            values = scores[limit.score]
            for bound, sign, broken in (
                (limit.most, ">", values > limit.most if limit.most is not None else ()),
                (limit.least, "<", values < limit.least if limit.least is not None else ()),
            ):
                for index in np.flatnonzero(broken).tolist():
                    reasons[index] = f"{limit.name()} {shown(values[index])} {sign} {bound:g}"
        return reasons

    def __call__(self, texts: list[str]) -> Verdicts:
        from konomi.units import arrow_texts

        found = self.annotate(arrow_texts(texts))
        rewritten = texts if found.texts is None else merged(texts, found.texts)
        return Verdicts(rewritten, self.decide(found.scores), dict(found.scores))


def shown(value: Any) -> str:
    """Return a figure as a reason tells it: counts whole, shares to three places."""
    import numpy as np

    return f"{value:.3f}" if isinstance(value, (float, np.floating)) else str(value)


def merged(texts: list[str], rewritten: pa.Array) -> list[str]:
    """Return texts as they are after a filter, from those that it gives anew and null for all others."""
    return [old if new is None else new for old, new in zip(texts, rewritten.to_pylist(), strict=True)]
