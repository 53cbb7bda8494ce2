"""What every engine must keep; its author subclasses the suite.

from konomi.testing.engine import EngineSuite

class TestMyEngine(EngineSuite):
    plugin = MyEngine
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from konomi.engine import Engine
from konomi.faults import Fault, Faults, KonomiError, Stopped

PATIENCE = 30.0
"""Seconds within which workers must be gone."""


def square(number: int) -> int:
    """Return a result, the later the smaller the number."""
    time.sleep(max(0.0, 0.05 - 0.01 * number))
    return number * number


class Awkward(Exception):
    """An exception that is not made from its arguments alone, as some libraries have them."""

    def __init__(self, *, status: int) -> None:
        super().__init__(f"status {status}")


def fail(error: str) -> None:
    """Raise one of the exceptions that a task may raise."""
    raise {
        "konomi": KonomiError("the row 3 of 日本語.jsonl has no text"),
        "faults": Faults([Fault("filter.a", "is wrong", "type b"), Fault("filter.c", "is wrong, too")]),
        "stopped": Stopped("asked to stop"),
        "disk": OSError(28, "No space left on device", "/somewhere"),
        "awkward": Awkward(status=503),
    }[error]


@dataclasses.dataclass(frozen=True)
class Mortal:
    """A task whose process is killed where `deadly`: the first time, or every time."""

    number: int
    mark: Path
    deadly: bool = False
    always: bool = False


def live(task: Mortal) -> int:
    """Return the task's number, or die."""
    if task.deadly and (task.always or not task.mark.exists()):
        task.mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task.number


def wait_as(folder: Path) -> None:
    """Leave a file with this process' number, and wait for longer than anybody does."""
    (folder / str(os.getpid())).touch()
    time.sleep(600)


def sign(folder: Path) -> None:
    """Leave a file with this process' number."""
    (folder / str(os.getpid())).touch()
    time.sleep(0.05)


class Handed(Sequence[int]):
    """Tasks that count how many were taken."""

    def __init__(self, count: int) -> None:
        self.tasks, self.taken = count, 0

    def __len__(self) -> int:
        return self.tasks

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self.tasks:
            raise IndexError(index)
        self.taken = max(self.taken, index + 1)
        return index


def gone(folder: Path) -> bool:
    """Tell whether all processes that signed are gone, within some time; a zombie is not gone."""
    import psutil

    signed = [int(path.name) for path in folder.iterdir()]
    assert signed, "no task was begun"
    until = time.monotonic() + PATIENCE
    while any(psutil.pid_exists(process) for process in signed):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


class EngineSuite:
    """Promises of every engine."""

    plugin: ClassVar[type[Any]]
    tries_again: ClassVar[bool] = False
    """Whether a task whose process died is done by another one; else that is an error."""
    ends_workers: ClassVar[bool] = True
    """Whether the processes are the engine's own, which end with the work, and not those of a cluster."""

    def make(self) -> Engine:
        """Return an engine with at least two workers."""
        engine: Engine = self.plugin()
        return engine

    def test_its_defaults_can_be_instantiated(self) -> None:
        assert dataclasses.is_dataclass(self.plugin())

    def test_finds_no_fault_in_itself_when_it_is_well_made(self) -> None:
        engine: Any = self.make()
        assert list(engine.check() if hasattr(engine, "check") else ()) == []

    def test_nothing_about_it_is_in_a_key(self) -> None:
        from konomi.fields import in_key

        assert [field.name for field in dataclasses.fields(self.plugin) if in_key(field)] == []

    def test_yields_results_in_the_order_of_the_tasks(self) -> None:
        assert list(self.make().map(square, range(9))) == [number * number for number in range(9)]

    def test_serves_one_task_and_none(self) -> None:
        assert list(self.make().map(square, [3])) == [9]
        assert list(self.make().map(square, [])) == []

    def test_carries_out_a_function_that_stands_in_no_module(self) -> None:
        factor = 3
        assert list(self.make().map(lambda number: factor * number, range(4))) == [0, 3, 6, 9]

    def test_gives_tasks_out_only_a_few_ahead(self) -> None:
        tasks = Handed(1000)
        with contextlib.closing(self.results(square, tasks)) as results:
            assert next(results) == 0
            assert tasks.taken < 100

    def test_raises_what_a_task_raises(self) -> None:
        with pytest.raises(KonomiError, match=r"^the row 3 of 日本語\.jsonl has no text$") as konomi:
            self.exhaust(fail, ["konomi"] * 4)
        assert type(konomi.value) is KonomiError
        with pytest.raises(Stopped, match=r"^asked to stop$"):
            self.exhaust(fail, ["stopped"] * 4)
        with pytest.raises(OSError, match=r"No space left") as disk:
            self.exhaust(fail, ["disk"] * 4)
        assert (disk.value.errno, disk.value.filename) == (28, "/somewhere")

    def test_raises_all_faults_whole(self) -> None:
        with pytest.raises(Faults) as faults:
            self.exhaust(fail, ["faults"] * 4)
        assert [fault.where for fault in faults.value.faults] == ["filter.a", "filter.c"]
        assert faults.value.faults[0].hint == "type b"

    def test_raises_the_words_of_an_exception_that_cannot_be_pickled(self) -> None:
        with pytest.raises(Exception, match=r"status 503$") as awkward:
            self.exhaust(fail, ["awkward"] * 4)
        assert not isinstance(awkward.value, KonomiError)

    def test_a_worker_that_dies_loses_nothing_or_is_told(self, tmp_path: Path) -> None:
        tasks = [Mortal(number, tmp_path / "died", deadly=number == 2) for number in range(6)]
        if self.tries_again:
            assert list(self.make().map(live, tasks)) == [*range(6)]
            assert (tmp_path / "died").exists()
        else:
            with pytest.raises(KonomiError, match="a worker process died") as error:
                self.exhaust(live, tasks)
            assert "\n" not in str(error.value)

    def test_a_task_that_kills_its_process_every_time_is_an_error_of_one_line(self, tmp_path: Path) -> None:
        tasks = [Mortal(number, tmp_path / "died", deadly=number == 2, always=True) for number in range(6)]
        with pytest.raises(KonomiError, match=r"a worker process died.*engine\.") as error:
            self.exhaust(live, tasks)
        assert "\n" not in str(error.value)

    def test_leaves_no_process_behind(self, tmp_path: Path) -> None:
        if not self.ends_workers:
            pytest.skip("the processes are the cluster's")
        self.exhaust(sign, [tmp_path] * 8)
        assert str(os.getpid()) not in {path.name for path in tmp_path.iterdir()}
        assert gone(tmp_path)

    def test_whoever_stops_taking_results_ends_the_work(self, tmp_path: Path) -> None:
        with pytest.raises(Stopped), contextlib.closing(self.results(_one_then_wait, [None, *[tmp_path] * 8])) as found:
            for _ in found:
                self.until_begun(tmp_path)
                raise Stopped("asked to stop")
        assert gone(tmp_path)

    def test_an_interrupt_ends_the_work(self, tmp_path: Path) -> None:
        def interrupt() -> None:
            self.until_begun(tmp_path)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        held = signal.signal(signal.SIGINT, signal.default_int_handler)
        begin = time.monotonic()
        try:
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                self.exhaust(wait_as, [tmp_path] * 8)
        finally:
            signal.signal(signal.SIGINT, held)
            thread.join()
        assert time.monotonic() - begin < 2 * PATIENCE
        assert gone(tmp_path)

    def results(self, function: Any, tasks: Sequence[Any]) -> Any:
        """Return the generator of the results."""
        return self.make().map(function, tasks)

    def exhaust(self, function: Any, tasks: Sequence[Any]) -> None:
        """Take all results."""
        found: Iterator[Any] = self.make().map(function, tasks)
        for _ in found:
            pass

    def until_begun(self, folder: Path) -> None:
        """Wait until a task has left its file."""
        until = time.monotonic() + 2 * PATIENCE
        while not any(folder.iterdir()) and time.monotonic() < until:
            time.sleep(0.05)


def _one_then_wait(folder: Path | None) -> None:
    if folder is not None:
        wait_as(folder)
