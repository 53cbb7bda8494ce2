"""Bounds on the length of a text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from konomi.faults import Fault
from konomi.filter import Annotation
from konomi.filter._limits import ByLimits, Limit
from konomi.registry import register

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

UNITS = ("characters", "words", "bytes")


@register("filter", "length")
@dataclass(frozen=True)
class Length(ByLimits):
    """Drop a text that is too short or too long, in characters, words or bytes of UTF-8.

    A word is what stands between white space: of no use for Japanese, Chinese or Thai. Gopher (Rae+ 2021, table A1)
    takes 50 to 100,000 words.

    >>> Length(min_characters=3)(["はい", "いいえ"]).reasons
    ['characters 2 < 3', None]
    """

    min_characters: int = 1
    """Fewest characters; 1 drops only what is empty."""
    max_characters: int | None = None
    """Most characters; no limit where null."""
    min_words: int = 0
    """Fewest words."""
    max_words: int | None = None
    """Most words; no limit where null."""
    min_bytes: int = 0
    """Fewest bytes."""
    max_bytes: int | None = None
    """Most bytes; no limit where null."""

    def check(self) -> Iterable[Fault]:
        for unit in UNITS:
            low, high = self._bounds(unit)
            if low < 0:
                yield Fault(f"min_{unit}", f"{low} is no length", f"min_{unit}=0 turns it off")
            if high is not None and high < low:
                yield Fault(f"max_{unit}", f"{high} is below min_{unit} {low}: every text would be dropped")

    def thresholds(self) -> dict[str, float]:
        """Return the bound of each score that is set; of two, the lower."""
        bounds = {unit: self._bounds(unit) for unit in self._units()}
        chosen = {unit: low if low > 1 or high is None else high for unit, (low, high) in bounds.items()}
        return {unit: bound for unit, bound in chosen.items() if bound > 0}

    def annotate(self, texts: pa.Array) -> Annotation:
        return Annotation({unit: _measure(texts, unit) for unit in self._units()})

    def limits(self) -> list[Limit]:
        return [Limit(unit, *self._bounds(unit)) for unit in self._units()]

    def _bounds(self, unit: str) -> tuple[int, int | None]:
        return getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")

    def _units(self) -> list[str]:
        """Return what is measured: characters always, the others where they are bounded."""
        return [unit for unit in UNITS if unit == "characters" or self._bounds(unit) != (0, None)]


def _measure(texts: pa.Array, unit: str) -> NDArray[np.int64]:
    import numpy as np
    import pyarrow.compute as pc

    match unit:
        case "characters":
            lengths = pc.utf8_length(texts)
        case "words":
            lengths = [len(text.split()) for text in texts.to_pylist()]
        case _:
            lengths = pc.binary_length(texts)
    return np.asarray(lengths, dtype=np.int64)
