"""Killed, or refused by the disk, at each system call of one publication: an artifact is there whole or not at all.

`strace` strikes at the calls one at a time. The same tests find faults in a store that is deliberately careless.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from konomi.store import Store

from . import publication, tracing
from .publication import KEY, OPERATIONS

SCRIPT = Path(publication.__file__)
KILL, FULL, BROKEN = "signal=SIGKILL", "error=ENOSPC", "error=EIO"


@pytest.fixture(autouse=True)
def _needs_strace() -> None:
    tracing.need_strace()


def store_calls(tmp_path: Path, kind: str, operation: str) -> list[tracing.Call]:
    """Return the calls of one undisturbed publication."""
    tmp_path.mkdir(exist_ok=True)
    root, log = tmp_path / "calm", tmp_path / "calm.log"
    publication.prepare(root, operation)
    done = tracing.traced(SCRIPT, str(root), kind, operation, log=log)
    assert done.returncode == 0, done.stderr
    return [call for call in tracing.calls_below(log, root) if call.name != "execve"]


def struck(place: Path, kind: str, operation: str, call: tracing.Call, what: str) -> str | None:
    """Return what is wrong after one call was struck, and after the publication that follows."""
    publication.prepare(place, operation)
    log = place.with_suffix(".log")
    done = tracing.disturbed(SCRIPT, str(place), kind, operation, call=call, fault=what, log=log)
    at = f"{what} at {call.name}({call.arguments})"
    if fault := publication.fault(place, operation):
        return f"{at}: {fault}"
    if done.returncode == 0 and not Store(place).has(KEY):
        return f"{at}: said well, and published nothing"
    try:  # the careless store may not even be able to
        publication.publish(place, kind, operation)
    except OSError as error:
        return f"{at}: the next run fails: {error!r}"
    if fault := publication.fault(place, operation):
        return f"{at}: after the next run: {fault}"
    if Store(place).manifest(KEY)["version"] != 2:
        return f"{at}: after the next run: the old version"
    lying = publication.remains(place) if kind == "store" else []
    return f"{at}: left {lying}" if lying else None


def storm(
    tmp_path: Path, kind: str, operation: str, whats: tuple[str, ...], wanted: Callable[[tracing.Call], bool]
) -> tuple[int, list[str]]:
    """Strike at every wanted call with every fault; returns how many points that were, and what went wrong."""
    chosen = [call for call in store_calls(tmp_path, kind, operation) if wanted(call)]
    points = [(call, what) for what in whats for call in chosen]
    begin = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(
            lambda item: struck(tmp_path / f"{item[0]}", kind, operation, *item[1]), list(enumerate(points))
        )
        faults = [fault for fault in found if fault]
    hit = Counter(what for _, what in points)
    print(f"\n{kind} {operation}: {dict(hit)}, {len(faults)} faults, {time.perf_counter() - begin:.0f} s")
    return len(points), faults


def everything(call: tracing.Call) -> bool:
    return True


@pytest.mark.slow
def test_a_publication_killed_at_any_change_leaves_all_or_nothing(tmp_path: Path) -> None:
    points, faults = storm(tmp_path, "store", "publish", (KILL,), tracing.changes)
    assert not faults
    assert points > 40


@pytest.mark.slow
def test_a_publication_that_the_disk_refuses_anywhere_leaves_all_or_nothing(tmp_path: Path) -> None:
    asks_for_room = lambda call: tracing.changes(call) and call.name in ("openat", "mkdir", "write")  # noqa: E731
    full, faults = storm(tmp_path / "full", "store", "publish", (FULL,), asks_for_room)
    makes_sure = lambda call: call.name in {"fsync", *tracing.RENAMES}  # noqa: E731
    broken, further = storm(tmp_path / "broken", "store", "publish", (BROKEN,), makes_sure)
    assert not [*faults, *further]
    assert full > 15
    assert broken > 15


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["replace", "replace_aside"])
def test_a_replacement_killed_at_any_change_of_a_name_keeps_one_of_the_two(tmp_path: Path, operation: str) -> None:
    points, faults = storm(tmp_path, "store", operation, (KILL,), lambda call: call.name in tracing.ENTERS)
    assert not faults
    assert points > 20


@pytest.mark.slow
def test_a_lease_killed_at_any_call_is_taken_by_the_next(tmp_path: Path) -> None:
    points, faults = storm(tmp_path, "store", "publish_leased", (KILL,), lambda call: "/locks/" in call.arguments)
    assert not faults
    assert points > 5


@pytest.mark.long
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_call_killed_full_and_broken(tmp_path: Path, operation: str) -> None:
    _, faults = storm(tmp_path, "store", operation, (KILL, FULL, BROKEN), everything)
    assert not faults


@pytest.mark.slow
@pytest.mark.parametrize("what", [KILL, FULL])
def test_a_careless_store_is_found_out(tmp_path: Path, what: str) -> None:
    in_sight = lambda call: tracing.changes(call) and "/objects/" in call.arguments  # noqa: E731
    points, faults = storm(tmp_path, "careless", "publish", (what,), in_sight)
    assert 0 < len(faults) <= points


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_is_unsynced_at_the_rename_nor_its_parents_after(tmp_path: Path, operation: str) -> None:
    root = tmp_path / "store"
    publication.prepare(root, operation)
    done = tracing.traced(SCRIPT, str(root), "store", operation, log=tmp_path / "log")
    assert done.returncode == 0, done.stderr
    faults, renames = tracing.unsynced(tmp_path / "log", root)
    assert not faults
    assert renames == 1
    sealings = [call for call in tracing.calls_below(tmp_path / "log", root) if "sealed.json" in call.arguments]
    assert any(call.name == "rename" for call in sealings)


def test_a_careless_store_is_seen_to_sync_nothing(tmp_path: Path) -> None:
    root = tmp_path / "store"
    tracing.traced(SCRIPT, str(root), "careless", "publish", log=tmp_path / "log")
    faults, renames = tracing.unsynced(tmp_path / "log", root)
    assert renames == 0
    assert len(faults) >= 5
