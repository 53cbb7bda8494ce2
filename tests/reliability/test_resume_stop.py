"""A full disk, a signal to every process: stops in good order, from which the same command goes on exactly."""

from __future__ import annotations

import errno
import importlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import resuming

from konomi.faults import Stopped
from konomi.stage._training import stopped_when_full
from konomi.store.full import full_disk
from konomi.store.seal import newest_sealed, sealed
from konomi.trainer._callbacks import Watch


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return resuming.Bench(tmp_path_factory.mktemp("calm"))


def owner_of(what: str) -> tuple[Any, str]:
    path, name = resuming.SAVING[what]
    module, _, cls = path.partition(":")
    owner = importlib.import_module(module)
    return (getattr(owner, cls) if cls else owner), name


def at_step(patch: pytest.MonkeyPatch, step: int, call: Any) -> None:
    """Call something when a step has ended and before what it saves."""
    end = Watch.on_step_end

    def watched(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
        end(self, args, state, control, **rest)
        if state.global_step == step:
            call()

    patch.setattr(Watch, "on_step_end", watched)


def train_until_full(calm: Any, work: Path) -> str:
    with pytest.raises(Stopped) as stopped, stopped_when_full("pretrain", work):
        resuming.train(calm.setup, work)
    return str(stopped.value)


def check_goes_on(calm: Any, folder: Path, said: str) -> None:
    """The half-written checkpoint is gone, the one before is whole, and the training ends as if undisturbed."""
    left = sorted(path.name for path in (folder / "attempt-0").glob("checkpoint-*"))
    assert left == ["checkpoint-2"] and sealed(folder / "attempt-0" / "checkpoint-2") is not None
    assert "stopped by a full disk" in said and "goes on from checkpoint-2, which is sealed" in said
    assert "\n" not in said
    outcome = resuming.train(calm.setup, folder / "attempt-1", resume=newest_sealed(folder))
    assert resuming.End.of(outcome).differences(calm.end) == []


@pytest.mark.parametrize("what", resuming.SAVING)
def test_a_disk_that_fills_up_in_a_save_leaves_the_checkpoint_before(calm: Any, tmp_path: Path, what: str) -> None:
    owner, name = owner_of(what)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 4, lambda: patch.setattr(owner, name, full))
        said = train_until_full(calm, tmp_path / "attempt-0")
    check_goes_on(calm, tmp_path, said)


@pytest.mark.parametrize("size", [10, 1_000, 10_000, 60_000, 80_000, 84_000])
def test_files_that_cannot_grow_leave_the_checkpoint_before(calm: Any, tmp_path: Path, size: int) -> None:
    """A real limit, met by whichever library writes when it is reached: safetensors, torch or Python."""
    held = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(file.stat().st_size for file in (calm.calm / resuming.NEWEST).iterdir())
    assert size < largest
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 4, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, held[1])))
        try:
            said = train_until_full(calm, tmp_path / "attempt-0")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, held)
    check_goes_on(calm, tmp_path, said)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("a file system of one's own needs the right to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_small_disk_that_is_full_is_a_stop_and_with_room_it_goes_on(calm: Any, small_disk: Path) -> None:
    filler = small_disk / "somebody-elses"
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 4, lambda: fill(filler, leave=100_000))
        said = train_until_full(calm, small_disk / "attempt-0")
    filler.unlink()
    check_goes_on(calm, small_disk, said)


def fill(file: Path, leave: int) -> None:
    disk = os.statvfs(file.parent)
    file.write_bytes(b"\0" * (disk.f_bavail * disk.f_frsize - leave))


def test_a_full_disk_before_the_first_checkpoint_is_said(calm: Any, tmp_path: Path) -> None:
    with pytest.raises(Stopped, match="from its beginning"), stopped_when_full("pretrain", tmp_path / "attempt-0"):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    assert full_disk(OSError(errno.EIO, os.strerror(errno.EIO))) is full_disk(RuntimeError("out of memory")) is None
    with pytest.raises(RuntimeError, match="out of memory"), stopped_when_full("pretrain", tmp_path):
        raise RuntimeError("out of memory")


def test_a_clock_set_back_does_not_cost_the_newest_checkpoint(calm: Any, tmp_path: Path) -> None:
    """transformers removes the oldest by date: here every checkpoint is an hour older than the one before."""
    folder = tmp_path / "attempt-0"
    genuine = Watch.on_save

    def set_back(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
        genuine(self, args, state, control, **rest)
        then = 1_700_000_000 - 3600 * state.global_step
        os.utime(folder / f"checkpoint-{state.global_step}", (then, then))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watch, "on_save", set_back)
        resuming.train(calm.setup, folder)
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == [resuming.BEFORE, resuming.NEWEST]


def test_how_often_to_save_may_change_on_the_way(calm: Any, tmp_path: Path) -> None:
    """transformers would go on with what the checkpoint says."""
    resume = calm.calm / resuming.BEFORE
    outcome = resuming.train(calm.setup, tmp_path / "attempt-1", resume=resume, save_steps=1, logging_steps=1)
    assert sorted(path.name for path in (tmp_path / "attempt-1").glob("checkpoint-*")) == [
        "checkpoint-5",
        "checkpoint-6",
    ]
    assert [row["step"] for row in outcome.history if "loss" in row] == [2, 4, 5, 6, 7]
    assert not [line for line in resuming.End.of(outcome).differences(calm.end) if line.startswith("weights")]


def test_a_stop_does_not_skip_an_evaluation_that_moves_the_schedule(calm: Any, tmp_path: Path) -> None:
    given = {"lr_scheduler_type": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"patience": 0}, "eval_steps": 1}
    end = resuming.End.of(resuming.train(calm.setup, tmp_path / "calm" / "attempt-0", **given))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        from konomi.job import Stop

        stop = Stop()
        end_step = Watch.on_step_end

        def watched(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
            stop.reason = "SIGTERM" if state.global_step == 3 else None
            end_step(self, args, state, control, **rest)

        patch.setattr(Watch, "on_step_end", watched)
        resuming.train(calm.setup, tmp_path / "attempt-0", job={"stop": stop}, **given)
    resume = newest_sealed(tmp_path / "attempt-0")
    outcome = resuming.train(calm.setup, tmp_path / "attempt-1", resume=resume, **given)
    differing = resuming.End.of(outcome).differences(end)
    assert not [line for line in differing if not line.startswith("history")]  # the stop itself logs a row
