"""Locks and leases save work; an overlap costs time and breaks nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from konomi.faults import KonomiError
from konomi.store import Store, locks

LEASE = 1.0


def _hold(root: str, lock: str, ready: str, seconds: float) -> None:
    locks.LEASE_SECONDS = LEASE
    store = Store(root, lock)
    with store.lock("k"), store.writing() as out:
        (out / "who").write_text("the first")
        Path(ready).touch()
        time.sleep(seconds)
        store.publish(out, "k", {})


def holding(tmp_path: Path, lock: str, seconds: float) -> Any:
    """Start a process that holds the lock of the key `k`, and return when it does."""
    ready = tmp_path / "ready"
    holder = multiprocessing.get_context("spawn").Process(
        target=_hold, args=(str(tmp_path / "store"), lock, str(ready), seconds)
    )
    holder.start()
    while not ready.exists():
        time.sleep(0.01)
    return holder


@pytest.mark.parametrize("lock", locks.LOCKS)
def test_a_second_process_waits_and_finds_the_artifact(tmp_path: Path, lock: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(locks, "LEASE_SECONDS", LEASE)
    holder = holding(tmp_path, lock, 1.0)
    store = Store(tmp_path / "store", lock)
    waited: list[int] = []
    with store.lock("k", lambda: waited.append(1)):
        assert store.has("k")
    assert waited
    holder.join()


@pytest.mark.parametrize("lock", locks.LOCKS)
def test_what_a_killed_holder_held_is_free_at_once(tmp_path: Path, lock: str) -> None:
    holder = holding(tmp_path, lock, 60)
    holder.kill()
    holder.join()
    begin = time.monotonic()
    with Store(tmp_path / "store", lock).lock("k"):
        assert time.monotonic() - begin < locks.LEASE_SECONDS / 10


def test_a_lease_that_ran_out_is_taken_and_the_late_holder_finds_the_winners_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LEASE_SECONDS", LEASE)
    holder = holding(tmp_path, "lease", 0.1)
    os.kill(holder.pid, signal.SIGSTOP)  # its machine hangs: no sign of life, and no death either
    store = Store(tmp_path / "store", "lease")
    with store.lock("k"), store.writing() as out:
        (out / "who").write_text("the second")
        os.kill(holder.pid, signal.SIGCONT)
        holder.join()
        published = store.publish(out, "k", {})
    # Both made it; one artifact stands, whole, and nobody fails.
    assert holder.exitcode == 0
    assert (store.path("k") / "who").read_text() == ("the second" if published else "the first")
    assert len(store.events()) == 1


def test_a_lease_whose_holder_died_before_it_had_signed_is_taken(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(locks, "UNSIGNED_SECONDS", 0.5)
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "k.lease").touch()
    waited: list[int] = []
    with Store(tmp_path, "lease").lock("k", lambda: waited.append(1)):
        assert waited


def test_a_disk_without_locks_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from filelock import FileLock

    def unable(self: Any, **options: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", unable)
    with pytest.raises(KonomiError, match="type lock=lease"), Store(tmp_path).lock("k"):
        pass
