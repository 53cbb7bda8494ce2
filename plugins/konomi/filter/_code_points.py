"""Texts as code points, for rules that look at characters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

BASIC_PLANE = 0x10000


@dataclass(frozen=True, eq=False)
class CodePoints:
    """The code points of n texts, one text after another."""

    codes: NDArray[np.int32]
    """All code points, of shape (m,)."""
    ends: NDArray[np.int64]
    """Where those of each text end, of shape (n,)."""

    def starts(self) -> NDArray[np.int64]:
        """Return where the code points of each text start, of shape (n,)."""
        import numpy as np

        return np.concatenate([np.zeros(1, np.int64), self.ends])[: len(self.ends)]

    def lengths(self) -> NDArray[np.int64]:
        """Return the characters of each text, of shape (n,)."""
        import numpy as np

        return np.diff(self.ends, prepend=0)


def code_points(texts: pa.Array) -> CodePoints:
    """Return the code points of an Arrow array of strings; half a surrogate pair is one."""
    import numpy as np

    from konomi.filter._code_points_kernel import decode_all
    from konomi.units import alike, text_buffers

    data, offsets = alike(*text_buffers(texts))
    codes, ends = np.empty(int(offsets[-1] - offsets[0]), np.int32), np.empty(len(offsets) - 1, np.int64)
    count = decode_all(data, offsets, codes, ends)
    return CodePoints(codes[:count], ends)


def table(*classes: tuple[int, Iterable[int | str]]) -> NDArray[np.uint8]:
    """Return the class of each code point of the basic plane; 0 is no class, a later class wins.

    >>> table((1, "ab"), (2, "b"))[97:100].tolist()
    [1, 2, 0]
    """
    import numpy as np

    found = np.zeros(BASIC_PLANE, np.uint8)
    for value, members in classes:
        codes = [member if isinstance(member, int) else ord(member) for member in members]
        found[[code for code in codes if code < BASIC_PLANE]] = value
    return found
