"""A checkpoint that was damaged in any way is passed by, and the training ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import resuming
import torch

HERE = Path(__file__).parent

ZERO2 = {
    "zero_optimization": {"stage": 2}, "train_micro_batch_size_per_gpu": "auto", "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto", "bf16": {"enabled": False}, "fp16": {"enabled": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return resuming.Bench(tmp_path_factory.mktemp("damage"))


def check(found: dict[str, Any], expected: str | None) -> None:
    assert found == {"from": expected, "resume": "exact" if expected else "none", "differences": [], "read_only": True}


@pytest.mark.parametrize("point", resuming.POINTS)
def test_a_damaged_checkpoint_is_passed_by_and_the_one_before_goes_on(bench: Any, point: str) -> None:
    check(bench.carry_out(point), resuming.BEFORE)


def test_a_whole_checkpoint_is_gone_on_from(bench: Any) -> None:
    check(bench.carry_out("nothing"), resuming.NEWEST)


def test_without_a_whole_checkpoint_the_training_begins_anew(bench: Any) -> None:
    check(bench.carry_out("both"), None)


@contextlib.contextmanager
def dying_after(what: str, step: int) -> Iterator[None]:
    """Die after a part of the save of a checkpoint."""
    from konomi.trainer._callbacks import Watch

    path, name = resuming.SAVING[what]
    module, _, cls = path.partition(":")
    owner: Any = importlib.import_module(module)
    owner = getattr(owner, cls) if cls else owner
    genuine, end = getattr(owner, name), Watch.on_step_end
    at: list[int] = []

    def watched(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
        at.append(state.global_step)
        end(self, args, state, control, **rest)

    def dying(*args: Any, **kwargs: Any) -> Any:
        value = genuine(*args, **kwargs)
        if at[-1:] == [step]:
            raise resuming.Killed
        return value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watch, "on_step_end", watched)
        patch.setattr(owner, name, dying)
        yield


@pytest.mark.parametrize("what", resuming.SAVING)
def test_killed_inside_a_save_it_goes_on_from_the_checkpoint_before(bench: Any, tmp_path: Path, what: str) -> None:
    with dying_after(what, 4), pytest.raises(resuming.Killed):
        resuming.train(bench.setup, tmp_path / "attempt-0")
    assert (tmp_path / "attempt-0" / "checkpoint-4").exists()
    resume = resuming.newest_sealed(tmp_path)
    assert resume is not None and resume.name == "checkpoint-2"
    outcome = resuming.train(bench.setup, tmp_path / "attempt-1", resume=resume)
    assert resuming.End.of(outcome).differences(bench.end) == []


def negated(checkpoint: Path) -> None:
    """Flip the bit that is the sign of the largest moment."""
    file = checkpoint / "optimizer.pt"
    state = torch.load(file, weights_only=True)
    moments = state["state"][0]["exp_avg"].view(-1)
    moments[moments.abs().argmax()] *= -1
    torch.save(state, file)


@pytest.mark.parametrize(
    ("damage", "dropout"),
    [(resuming.POINTS["optimizer missing"], 0.0), (resuming.POINTS["rng missing"], 0.3), (negated, 0.0)],
    ids=["optimizer missing", "rng missing", "one bit of a moment"],
)
def test_without_the_seal_the_same_damage_would_resume_silently_different(
    bench: Any, tmp_path: Path, damage: Callable[[Path], None], dropout: float
) -> None:
    """The test of the test: transformers takes these checkpoints without a word."""
    calm = tmp_path / "calm"
    end = resuming.End.of(resuming.train(bench.setup, calm, dropout=dropout))
    damage(calm / resuming.NEWEST)
    outcome = resuming.train(bench.setup, tmp_path / "next", resume=calm / resuming.NEWEST, dropout=dropout)
    assert outcome.steps == end.steps
    assert any(line.startswith("weights") for line in resuming.End.of(outcome).differences(end))


def launch(folder: Path, points: Sequence[str], *arguments: str) -> list[dict[str, Any]]:
    """Carry points out in one world of two processes; returns what each process found."""
    command = [sys.executable, "-m", "accelerate.commands.launch", *arguments, str(HERE / "resuming.py"), str(folder)]
    begin = time.time()
    done = subprocess.run([*command, *points], capture_output=True, text=True, timeout=1200)
    files = [folder / f"rank-{rank}.json" for rank in range(2)]
    assert all(file.exists() for file in files), done.stderr[-3000:]
    print(f"{len(points)} points in {time.time() - begin:.0f} s")
    return [json.loads(file.read_text()) for file in files]


DDP = ["--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no", "--main_process_port=0"]


def check_world(found: list[dict[str, Any]], points: Sequence[str]) -> None:
    for said in found:
        assert said["end"] == {"steps": 7, "world_size": 2}
        assert list(said["points"]) == list(points)
        for point, result in said["points"].items():
            check(result, resuming.NEWEST if point == "nothing" else None if point == "both" else resuming.BEFORE)


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(resuming.FEW, id="few", marks=pytest.mark.slow),
        pytest.param(("nothing", *resuming.POINTS, "both"), id="all", marks=pytest.mark.long),
    ],
)
def test_two_processes_pass_a_damaged_checkpoint_by(tmp_path: Path, points: Sequence[str]) -> None:
    check_world(launch(tmp_path, points, *DDP), points)


@pytest.mark.long
def test_zero2_passes_a_damaged_checkpoint_by(tmp_path: Path) -> None:
    pytest.importorskip("deepspeed")
    config = tmp_path / "zero2.json"
    config.write_text(json.dumps(ZERO2))
    points = ("nothing", *resuming.POINTS, "both")
    deepspeed = ["--use_deepspeed", f"--deepspeed_config_file={config}", "--num_processes=2", "--num_machines=1"]
    check_world(launch(tmp_path, points, *deepspeed, "--main_process_port=0"), points)
