"""The cores of this machine."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from konomi.engine._worker import Outcome, Setting, begin, carry_out, died, packed
from konomi.faults import Fault
from konomi.fields import NOT_IN_KEY
from konomi.registry import register

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""Tasks given out for each worker before the first result is taken: enough to keep it busy."""


@register("engine", "local")
@dataclass(frozen=True)
class LocalEngine:
    """Carry tasks out in as many processes as there are cores, or in this one where there is but one task.

    >>> list(LocalEngine(workers=1).map(len, ["a", "bc"]))
    [1, 2]
    """

    workers: int = field(default=0, metadata=NOT_IN_KEY)
    """Processes; 0 takes one a core, 1 stays in this process."""

    def check(self) -> Iterable[Fault]:
        if self.workers < 0:
            yield Fault("workers", f"{self.workers} is no number of processes", "workers=0 takes one a core")

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        from konomi.units import cores

        workers = min(self.workers or cores(), len(tasks))
        if workers < 2:
            yield from map(function, tasks)
        else:
            yield from _in_processes(function, tasks, workers)


def _in_processes(function: Callable[[T], R], tasks: Sequence[T], workers: int) -> Iterator[R]:
    """Yield the results in order, a few tasks ahead of what is taken.

    Loky's processes are started anew, not forked: a library's threads stay whole, and a script needs no guard.
    """
    from concurrent.futures import Future
    from concurrent.futures.process import BrokenProcessPool

    from loky import ProcessPoolExecutor

    pool = ProcessPoolExecutor(workers, timeout=None, initializer=begin, initargs=(Setting.here(), os.getpid()))
    waiting: deque[Future[Outcome[R]]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(carry_out, packed(function, task)))
            if len(waiting) >= AHEAD * workers:
                yield waiting.popleft().result().get()
        while waiting:
            yield waiting.popleft().result().get()
    except BrokenProcessPool as error:
        raise died(error, f"engine.workers={max(1, workers // 2)} needs less") from error
    finally:
        pool.shutdown(wait=True, kill_workers=True)
