"""A Ray cluster."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from konomi.engine._worker import Outcome, Setting, carry_out, died, packed
from konomi.faults import Fault, KonomiError
from konomi.fields import NOT_IN_KEY
from konomi.registry import register

T = TypeVar("T")
R = TypeVar("R")

log = logging.getLogger(__name__)

AHEAD = 2
"""Tasks given out for each that the cluster can carry out at once, before the first result is taken."""
ADDRESS = "RAY_ADDRESS"
KNOCK_SECONDS = 20.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@register("engine", "ray")
@dataclass(frozen=True)
class RayEngine:
    """Carry tasks out on a Ray cluster (Moritz+ 2018, *Ray: A Distributed Framework for Emerging AI Applications*).

    Ray is the scheduler alone: what tasks read and leave lies in the store, which every node sees under the same path.
    A task whose worker or node dies is done by another.

    >>> RayEngine(address="auto", retries=5).retries
    5
    """

    address: str = field(default="", metadata=NOT_IN_KEY)
    """Cluster to join: `auto` (the one that this machine belongs to), `HOST:PORT`, `ray://HOST:PORT`; empty takes what
    `RAY_ADDRESS` says, or else starts one on this machine and ends it with the work."""
    cpus: float = field(default=1.0, metadata=NOT_IN_KEY)
    """Cores that a task takes up of its node; more of them leave each task more memory."""
    retries: int = field(default=3, metadata=NOT_IN_KEY)
    """How often a task is done again whose worker or node has died; -1 knows no end."""

    def check(self) -> Iterable[Fault]:
        from konomi.units import cores

        if importlib.util.find_spec("ray") is None:
            yield Fault("", "needs the package ray, which is not installed", "pip install 'konomi[ray]'")
        if not self.cpus > 0:
            yield Fault("cpus", f"{self.cpus}; expected more than 0", "cpus=1")
        elif not (self.address or os.environ.get(ADDRESS)) and self.cpus > cores():
            yield Fault("cpus", f"{self.cpus:g}, and this machine has {cores()} cores", f"cpus={cores()} or fewer")
        if self.retries < -1:
            yield Fault("retries", f"{self.retries}; expected -1 (no end), 0 or more", "retries=3")

    def map(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        if not len(tasks):
            return
        with _joined(self.address) as ray:
            _warn_of_waiting(ray, self.cpus)
            yield from self._results(ray, function, tasks)

    def _results(self, ray: Any, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """Yield the results in order, a few tasks ahead of what is taken; those that nobody waits for are ended."""
        remote = ray.remote(num_cpus=self.cpus, max_retries=self.retries)(_in_setting)
        setting = Setting.here()
        waiting: deque[Any] = deque()
        try:
            for task in tasks:
                waiting.append(remote.remote(setting, packed(function, task)))
                while len(waiting) >= AHEAD * _at_once(ray, self.cpus):
                    yield self._taken(ray, waiting)
            while waiting:
                yield self._taken(ray, waiting)
        finally:
            for left in waiting:
                with contextlib.suppress(Exception):  # a cluster that is gone has no tasks either
                    ray.cancel(left, force=True)

    def _taken(self, ray: Any, waiting: deque[Any]) -> Any:
        """Return the result of the task that was given out first."""
        try:
            outcome: Outcome[Any] = ray.get(waiting[0])
        except ray.exceptions.RayError as error:
            raise died(error, f"engine.cpus={2 * self.cpus:g} leaves each task more memory") from error
        waiting.popleft()
        return outcome.get()


def _in_setting(setting: Setting, pack: bytes) -> Outcome[Any]:
    """Do a task in a worker of the cluster."""
    setting.enter()
    return carry_out(pack)


@contextlib.contextmanager
def _joined(address: str) -> Iterator[Any]:
    """Give Ray, joined to a cluster; one that was started here is ended, one that was joined before stays joined."""
    import ray

    if ray.is_initialized():
        yield ray
        return
    joins = address or os.environ.get(ADDRESS, "")
    held = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        _knock(joins)
        ray.init(
            address=joins or "local",
            ignore_reinit_error=True,
            log_to_driver=False,
            include_dashboard=None if joins else False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:300]
        where = f"the Ray cluster {joins} cannot be reached" if joins else "no Ray cluster can be started here"
        hint = "; start one with: ray start --head" if joins == "auto" else ""
        raise KonomiError(f"engine.address: {where}: {said}{hint}") from error
    finally:
        _restore(held)
    try:
        yield ray
    finally:
        ray.shutdown()
        _restore(held)


def _knock(address: str) -> None:
    """Raise `OSError` where nobody listens at an address, for which Ray itself would try for minutes."""
    import socket

    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()


def _restore(held: dict[signal.Signals, Any]) -> None:
    """Put back the answers to signals that Ray has replaced: a run has its own."""
    with contextlib.suppress(ValueError):  # another thread than the first has none
        for number, handler in held.items():
            signal.signal(number, handler)


def _at_once(ray: Any, cpus: float) -> int:
    """Return how many tasks the cluster can carry out at once, as it is now."""
    return max(1, int(ray.cluster_resources().get("CPU", 0) / cpus))


def _warn_of_waiting(ray: Any, cpus: float) -> None:
    """Log where no node is large enough for a task: Ray waits for one, which a cluster that grows may well get."""
    largest = max((node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]), default=0)
    if cpus > largest:
        said = "a task takes %g cores (engine.cpus), and the largest node has %g: they wait for a larger one"
        log.warning(said, cpus, largest)
