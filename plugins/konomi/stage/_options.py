"""Values that options of stages take, apart, so that listing plugins imports no more than them."""

from __future__ import annotations

from enum import Enum

OnError = Enum("OnError", {"raise": "raise", "drop": "drop"}, module=__name__)
"""What a row that cannot be used does."""


class Packing(Enum):
    """How documents share rows."""

    bfd = "bfd"
    wrapped = "wrapped"
    none = "none"


class TooLong(Enum):
    """What becomes of a document that is longer than a row."""

    split = "split"
    cut = "cut"
    drop = "drop"
