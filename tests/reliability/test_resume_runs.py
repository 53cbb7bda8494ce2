"""Whole commands that are killed or stopped in the middle of a training, and the same command again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import resuming

from konomi.store import Store
from konomi.store.seal import newest_sealed, sealed
from konomi.trainer._callbacks import Watch

SMALL = ["size=smoke", "until=base", "base.trainer.max_steps=100", "base.trainer.save_steps=4"]
TWO = [
    "size=smoke", "until=reference_model", "reference_model.compute=ddp", "reference_model.compute.processes=2",
    "reference_model.trainer.save_steps=4",
]  # fmt: skip
STOPPED = 75
PATIENCE = 240


@dataclass
class Runs:
    """Commands over one store."""

    folder: Path
    overrides: list[str]
    stage: str = "base"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def command(self, *more: str) -> list[str]:
        own = [*self.overrides, *more, f"store='{self.store}'"]
        return [sys.executable, "-m", "konomi", "run", "quickstart", *own]

    def start(self, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*more), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def finish(self, *more: str) -> str:
        child = self.start(*more)
        said, _ = child.communicate(timeout=PATIENCE)
        assert child.returncode == 0, said
        return said

    def checkpoints(self) -> list[Path]:
        """Return the sealed checkpoints of all attempts, by their steps."""
        work = [self.store / "work"] if (self.store / "work").exists() else []
        done = {path.name for path in self.models()}
        found = [path for top in work for path in top.glob(f"{self.stage}-*/*/checkpoint-*")]
        found = [path for path in found if path.parts[-3] not in done and (path / "sealed.json").exists()]
        return sorted(found, key=lambda path: (int(path.name.rpartition("-")[2]), path.parent.name))

    def models(self) -> list[Path]:
        return sorted((self.store / "objects").glob(f"{self.stage}-*"))

    def manifest(self, model: Path) -> dict[str, Any]:
        return Store(self.store).manifest(model.name)


def wait_for(child: subprocess.Popen[str], done: Callable[[], object]) -> None:
    begin = time.time()
    while not done():
        assert child.poll() is None, child.communicate()[0]
        assert time.time() - begin < PATIENCE
        time.sleep(0.05)


def same_bytes(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in ("model.safetensors", "log.jsonl"))


def runs_in(folder: Path, overrides: list[str], stage: str = "base") -> Runs:
    folder.mkdir()
    return Runs(folder, overrides, stage)


def test_six_kills_of_one_training_end_bit_for_bit_like_none(tmp_path: Path) -> None:
    """In this process, each within the step that follows a checkpoint."""
    setup = resuming.make_setup(tmp_path / "data")
    given = {"max_steps": 14, "save_steps": 2, "dropout": 0.2, "gradient_accumulation_steps": 2}
    end = resuming.End.of(resuming.train(setup, tmp_path / "calm" / "attempt-0", **given))
    began = Watch.on_step_end
    for attempt, last in enumerate((3, 5, 7, 9, 11, 13)):

        def dying(self: Any, args: Any, state: Any, control: Any, last: int = last, **rest: Any) -> None:
            began(self, args, state, control, **rest)
            if state.global_step == last:
                raise resuming.Killed

        with pytest.MonkeyPatch.context() as patch, pytest.raises(resuming.Killed):
            patch.setattr(Watch, "on_step_end", dying)
            resume = newest_sealed(tmp_path / "stormy") if attempt else None
            resuming.train(setup, tmp_path / "stormy" / f"attempt-{attempt}", resume=resume, **given)
    resume = newest_sealed(tmp_path / "stormy")
    assert resume is not None and resume.name == "checkpoint-12"
    outcome = resuming.train(setup, tmp_path / "stormy" / "attempt-6", resume=resume, **given)
    assert resuming.End.of(outcome).differences(end) == []


@pytest.mark.long
def test_six_real_kills_of_one_training_end_bit_for_bit_like_none(tmp_path: Path) -> None:
    calm, stormy = runs_in(tmp_path / "calm", SMALL), runs_in(tmp_path / "stormy", SMALL)
    calm.finish()
    seen: list[str] = []
    for _ in range(6):
        child = stormy.start()
        wait_for(child, partial(new_steps, stormy, seen))
        seen += new_steps(stormy, seen)
        child.kill()
        child.communicate()
    assert not stormy.models()
    assert "resumed" in stormy.finish()
    assert same_bytes(*calm.models(), *stormy.models())
    assert stormy.manifest(*stormy.models())["results"]["resume"] == "exact"


def new_steps(runs: Runs, seen: list[str]) -> list[str]:
    return [path.name for path in runs.checkpoints() if path.name not in seen]


@pytest.mark.slow
def test_a_stopped_sweep_keeps_its_points_and_goes_on_within_the_training_it_was_in(tmp_path: Path) -> None:
    runs = runs_in(tmp_path / "sweep", SMALL)
    sweep = ["-m", "base.seed=1,2"]
    child = runs.start(*sweep)
    wait_for(child, lambda: len(runs.models()) == 1 and bool(runs.checkpoints()))
    child.terminate()
    said, _ = child.communicate(timeout=PATIENCE)
    assert child.returncode == STOPPED, said
    assert len(runs.models()) == 1
    at = runs.checkpoints()[-1]
    first = runs.manifest(*runs.models())["started"]
    runs.finish(*sweep)
    manifests = [runs.manifest(model) for model in runs.models()]
    assert sorted(manifest["resumed_from"] or "" for manifest in manifests) == ["", at.name]
    assert first in [manifest["started"] for manifest in manifests]  # the finished point was not made again
    made = [event["key"] for event in Store(runs.store).events() if event["event"] == "made"]
    assert len(made) == len(set(made))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("SIGTERM", marks=pytest.mark.slow),
        pytest.param("SIGUSR1", marks=pytest.mark.long),
        pytest.param("SIGUSR2", marks=pytest.mark.long),
    ],
)
def test_a_signal_to_every_process_of_two_ends_in_a_sealed_checkpoint(tmp_path: Path, name: str) -> None:
    """As schedulers send it: to the command, to the launcher and to the workers at once."""
    runs = runs_in(tmp_path / "two", [*TWO, "reference_model.trainer.max_steps=2000"], "pretrain")
    child = runs.start()
    wait_for(child, lambda: bool(runs.checkpoints()))
    everyone = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
    assert len([process for process in everyone if "konomi.launch" in " ".join(process.cmdline())]) >= 3
    for process in everyone:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(getattr(signal, name))
    said, _ = child.communicate(timeout=PATIENCE)
    assert child.returncode == STOPPED, said
    assert f"stopped by {name} at step" in said
    last = runs.checkpoints()[-1]
    step = int(last.name.rpartition("-")[2])
    assert f"at step {step} of 2000" in said  # the stop itself sealed it
    facts = sealed(last)
    assert facts is not None and facts["world_size"] == 2
    assert not [process for process in everyone if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.long
def test_a_disk_that_is_full_for_one_of_two_processes_stops_both(tmp_path: Path) -> None:
    """The second process alone may not write; the command says so, leaves with 75, and goes on when it can."""
    runs = runs_in(tmp_path / "two", [*TWO, "reference_model.trainer.max_steps=12"], "pretrain")
    sitecustomize = tmp_path / "site" / "sitecustomize.py"
    sitecustomize.parent.mkdir()
    sitecustomize.write_text(
        "import os, resource\n"
        "if os.environ.get('RANK') == '1':\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, resource.RLIM_INFINITY))\n"
    )
    path = os.pathsep.join(filter(None, (str(sitecustomize.parent), os.environ.get("PYTHONPATH"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        child = runs.start()
        said, _ = child.communicate(timeout=PATIENCE)
    assert child.returncode == STOPPED, said
    assert "stopped by a full disk" in said and not runs.models()
    assert json.loads((runs.store / "events.jsonl").read_text().splitlines()[-1])["stage"] == "tokens"
