"""Values that options of dedups take, apart, so that listing plugins imports no more than them."""

from __future__ import annotations

from enum import Enum


class Keep(Enum):
    """Which of several duplicates is kept, by the value of a column."""

    largest = "largest"
    smallest = "smallest"


class Occurrence(Enum):
    """Which occurrence of a repeated passage is left."""

    first = "first"
    """The first one in the corpus' order."""
    none = "none"
    """None: what stands in many documents says nothing of any."""
