"""How far a text can be compressed: too far is repetition, too little is noise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault
from konomi.fields import decides
from konomi.filter import Annotation
from konomi.filter._limits import ByLimits, Limit
from konomi.registry import register

if TYPE_CHECKING:
    import pyarrow as pa

RAW = -15
"""zlib's `wbits` for bare deflate with the largest window: no header, whose bytes would count in short texts."""


@register("filter", "compression")
@dataclass(frozen=True)
class Compression(ByLimits):
    """Drop a text that deflate shrinks to too small or too large a share of its bytes (llm-jp corpus v1).

    The bytes are UTF-8's, each document by itself (deflate: RFC 1951, by zlib). Text that says one thing over and over
    shrinks to a few percent, random letters hardly at all. A short text shrinks little, whatever it says: below about
    200 bytes of Japanese the upper limit drops most, so a corpus of short texts wants `max_ratio=1.1`.

    >>> Compression()(["同じことを言う。" * 50]).reasons
    ['compression ratio 0.033 < 0.3']
    """

    min_ratio: float = decides(0.30)
    """Smallest share that the compressed bytes are of all; 0 turns it off."""
    max_ratio: float = decides(0.70)
    """Largest share; noise can exceed 1."""
    level: int = 6
    """Effort of deflate, 1 (fast) to 9; the limits were set for 6, zlib's own default."""

    def check(self) -> Iterable[Fault]:
        if not 1 <= self.level <= 9:
            yield Fault("level", f"{self.level} is no level of deflate", "give 1 (fast) to 9 (small)")
        if not 0 <= self.min_ratio <= self.max_ratio:
            what = f"{self.min_ratio:g} is not between 0 and max_ratio {self.max_ratio:g}: every text would be dropped"
            yield Fault("min_ratio", what, "min_ratio=0 turns it off")

    def depends(self) -> Mapping[str, Any]:
        import zlib

        return {"zlib": zlib.ZLIB_RUNTIME_VERSION}

    def annotate(self, texts: pa.Array) -> Annotation:
        import zlib

        import numpy as np

        from konomi.units import text_buffers

        data, offsets = text_buffers(texts)
        sizes = np.diff(offsets)
        small = np.zeros(len(sizes), np.int64)
        for index in np.flatnonzero(sizes).tolist():
            small[index] = len(zlib.compress(data.data[offsets[index] : offsets[index + 1]], self.level, RAW))
        return Annotation({"ratio": np.where(sizes > 0, small / np.maximum(sizes, 1), 1.0)})

    def limits(self) -> list[Limit]:
        return [Limit("ratio", self.min_ratio, self.max_ratio, label="compression ratio")]
