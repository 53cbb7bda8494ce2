"""Engines: what carries out many tasks of one kind, such as one for each shard of a corpus.

engine.local
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """Carries tasks out, wherever that is; what they leave lies in files that this process sees, too."""

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """Yield `function(task)` in the order of the tasks; the workers end with the generator.

        Both the function and the tasks can be pickled, and doing a task twice does no harm. Tasks are given out a few
        ahead of the results that were taken. What the function raises is raised here; a task whose process dies is
        tried again, or raises `KonomiError`.
        """
        ...
