"""What stands around a task in a worker process, whichever engine started it."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, Generic, TypeVar

from konomi import project
from konomi.faults import KonomiError

T = TypeVar("T")
R = TypeVar("R")

NOT_FOR_WORKERS = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")
"""Signals that a terminal or a scheduler sends to all processes, and that the first one answers for the others."""
WATCH_SECONDS = 1.0


class WorkerTraceback(Exception):
    """The traceback of an error in another process, as its cause here, so that a log has it."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """What came of a task in another process."""

    result: R | None = None
    error: BaseException | None = None
    traceback: str = ""

    def get(self) -> R:
        """Return the result, or raise what the task raised."""
        if self.error is not None:
            raise self.error from WorkerTraceback(self.traceback)
        return self.result  # type: ignore[return-value]


def packed(function: Callable[[T], Any], task: T) -> bytes:
    """Return a task to be carried out elsewhere; a function or class of a script travels as code."""
    import cloudpickle

    return bytes(cloudpickle.dumps((function, task)))


def carry_out(pack: bytes) -> Outcome[Any]:
    """Do a task; what it raises is handed over in a form that survives the way to another process."""
    try:
        function, task = pickle.loads(pack)
        return Outcome(function(task))
    except BaseException as error:
        return Outcome(error=_portable(error), traceback=traceback.format_exc())


def _portable(error: BaseException) -> BaseException:
    """Return an exception, or its words where its class cannot be pickled or is not made from its arguments alone."""
    try:
        same = pickle.loads(pickle.dumps(error))
        if type(same) is type(error) and str(same) == str(error):
            return error
    except Exception:
        pass
    words = RuntimeError(f"{type(error).__name__}: {error}")
    for note in getattr(error, "__notes__", ()):
        words.add_note(note)
    return words


@dataclass(frozen=True)
class Setting:
    """What a worker must know of the process that it works for: where its project's plugins are."""

    plugins: tuple[str, ...] = ()

    @classmethod
    def here(cls) -> Setting:
        """Return that of this process."""
        return cls(tuple(project.folders()))

    def enter(self) -> None:
        """Take it over in a worker, before it unpickles a task."""
        if self.plugins:
            project.load(self.plugins)


def begin(setting: Setting, parent: int) -> None:
    """Prepare a worker of this machine: it leaves signals to the first process, and ends when that one has gone."""
    for name in NOT_FOR_WORKERS:
        if number := getattr(signal, name, None):
            signal.signal(number, _Deaf(os.getpid()))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    setting.enter()


@dataclass(frozen=True)
class _Deaf:
    """Does nothing about a signal in one process; one that was forked from it takes the signal as anybody does."""

    process: int

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def _end_with(parent: int) -> None:
    """Leave at once when the process that gives out the tasks was killed."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


def died(error: BaseException, remedy: str) -> KonomiError:
    """Return what to say where a worker process is gone; `remedy` says what to type."""
    words = " ".join(str(error).split())
    how = next((f" ({name.name})" for name in signal.Signals if f"{name.name}(" in words), "")
    return KonomiError(
        f"a worker process died{how}, most often for want of memory; what was finished is kept, and the same command"
        f" goes on from there; {remedy}"
    )
