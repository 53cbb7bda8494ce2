"""A training that was killed or stopped goes on, and ends bit for bit where an undisturbed one ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file

from konomi.compute.local import Local
from konomi.faults import Stopped
from konomi.job import Job
from konomi.peft.lora import Lora
from konomi.peft.none import NoPeft
from konomi.stage.pretrain import Pretrain
from konomi.store import Artifact
from konomi.store.seal import newest_sealed, sealed
from konomi.testing.training import TEXTS, TinyModel, make_job, make_tokens
from konomi.token_weighting import TokenStats
from konomi.trainer.sft import Sft

ARGUMENTS = {
    "max_steps": 7, "logging_steps": 2, "save_steps": 3, "per_device_train_batch_size": 2, "learning_rate": 1e-2,
    "gradient_checkpointing": False, "eval_steps": 3,
}  # fmt: skip


class Killed(BaseException):
    """Stands for a kill: nothing that follows a step is carried out."""


@dataclass
class Disturbed:
    """Uniform weights that count their calls, and call something at one of them."""

    at: int | None = None
    then: Callable[[], None] = lambda: None
    calls: list[int] = field(default_factory=list)

    needs_reference: ClassVar[bool] = False
    ranks: ClassVar[bool] = False

    def __call__(self, stats: TokenStats) -> torch.Tensor:
        self.calls.append(1)
        if len(self.calls) == self.at:
            self.then()
        return stats.mask.to(stats.logp.dtype)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return make_tokens(tmp_path_factory.mktemp("tokens"), TinyModel(), TEXTS * 2, test=TEXTS[:2])


def stage_of(data: Artifact, weighting: Disturbed, peft: Any = None, **arguments: Any) -> Pretrain:
    return Pretrain(
        model=TinyModel(), data=data, token_weighting=weighting, trainer=Sft(arguments={**ARGUMENTS, **arguments}),
        peft=peft or NoPeft(), compute=Local(), seed=5,
    )  # fmt: skip


def killing() -> None:
    raise Killed


def weights_of(job: Job) -> dict[str, torch.Tensor]:
    return load_file(job.out / "model.safetensors")


def history(job: Job) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job.out / "log.jsonl").read_text().splitlines()]


def assert_same_end(resumed: Job, undisturbed: Job) -> None:
    ours, theirs = weights_of(resumed), weights_of(undisturbed)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    kept = ("steps", "tokens_seen", "tokens_selected", "eval_loss")
    assert {name: resumed.results[name] for name in kept} == {name: undisturbed.results[name] for name in kept}


CASES = {
    "plain": {},
    "accumulation": {"gradient_accumulation_steps": 3},
    "checkpointing": {"gradient_checkpointing": True},
    "lora with dropout": {"peft": Lora(arguments={"r": 2, "lora_dropout": 0.3})},
    "off the logging steps": {"save_steps": 3, "logging_steps": 4},
}


@pytest.mark.parametrize("case", CASES)
def test_a_killed_training_ends_bit_for_bit_like_an_undisturbed_one(tmp_path: Path, data: Artifact, case: str) -> None:
    options = CASES[case]
    accumulation = options.get("gradient_accumulation_steps", 1)
    undisturbed = make_job(tmp_path / "undisturbed")
    stage_of(data, Disturbed(), **options).run(undisturbed)
    first = make_job(tmp_path / "first")
    with pytest.raises(Killed):
        stage_of(data, Disturbed(at=5 * accumulation, then=killing), **options).run(first)
    assert not (first.out / "model.safetensors").exists()
    checkpoint = newest_sealed(first.work)
    assert checkpoint is not None and checkpoint.name == "checkpoint-3"
    second = make_job(tmp_path / "second", resume=checkpoint)
    after = Disturbed()
    stage_of(data, after, **options).run(second)
    assert len(after.calls) == 4 * accumulation
    assert_same_end(second, undisturbed)
    assert history(second) == history(undisturbed)
    assert second.results["resume"] == "exact"


def test_a_stopped_training_seals_where_it_stands_and_goes_on_from_there(tmp_path: Path, data: Artifact) -> None:
    """Stopped at step 6, at which an evaluation is due: it is made up for, and no figure is lost."""
    undisturbed = make_job(tmp_path / "undisturbed")
    stage_of(data, Disturbed()).run(undisturbed)
    first = make_job(tmp_path / "first")

    def stop() -> None:
        first.stop.reason = "SIGTERM"

    with pytest.raises(Stopped, match="stopped by SIGTERM at step 6 of 7"):
        stage_of(data, Disturbed(at=6, then=stop)).run(first)
    assert not (first.out / "model.safetensors").exists()
    checkpoint = newest_sealed(first.work)
    assert checkpoint is not None and checkpoint.name == "checkpoint-6"
    facts = sealed(checkpoint)
    assert facts is not None and (facts["world_size"], facts["per_device_train_batch_size"]) == (1, 2)
    second = make_job(tmp_path / "second", resume=checkpoint)
    stage_of(data, Disturbed()).run(second)
    assert_same_end(second, undisturbed)
    evaluations = [
        [(row["step"], row["eval_loss"]) for row in history(job) if "eval_loss" in row] for job in (second, undisturbed)
    ]
    assert evaluations[0] == evaluations[1] and len(evaluations[0]) == 3


def test_a_stop_asked_for_before_the_first_step_leaves_at_once(tmp_path: Path, data: Artifact) -> None:
    job = make_job(tmp_path)
    job.stop.reason = "deadline"
    weighting = Disturbed()
    with pytest.raises(Stopped, match="deadline"):
        stage_of(data, weighting).run(job)
    assert not weighting.calls


def test_a_stop_in_the_last_step_finishes(tmp_path: Path, data: Artifact) -> None:
    job = make_job(tmp_path)

    def stop() -> None:
        job.stop.reason = "SIGTERM"

    stage_of(data, Disturbed(at=7, then=stop)).run(job)
    assert job.results["steps"] == 7 and (job.out / "model.safetensors").exists()


def test_a_resume_on_another_split_of_the_batch_is_said(tmp_path: Path, data: Artifact, caplog: Any) -> None:
    first = make_job(tmp_path / "first")
    with pytest.raises(Killed):
        stage_of(data, Disturbed(at=5, then=killing)).run(first)
    second = make_job(tmp_path / "second", resume=newest_sealed(first.work))
    split = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2}
    stage_of(data, Disturbed(), **split).run(second)
    assert second.results["resume"] == "elastic"
    assert second.results["steps"] == 7
    told = "per_device_train_batch_size 2 → 1, gradient_accumulation_steps 1 → 2"
    assert told in caplog.text and second.results["resumed_under"] == told
    assert any(getattr(block, "title", "") == "Resumed" for block in second.shown)


def test_checkpoints_are_sealed_and_few(tmp_path: Path, data: Artifact) -> None:
    job = make_job(tmp_path)
    stage_of(data, Disturbed(), save_steps=1).run(job)
    kept = sorted(path.name for path in job.work.glob("checkpoint-*"))
    assert kept == ["checkpoint-5", "checkpoint-6"]  # two of them, and none after the last step
    assert all(sealed(job.work / name) is not None for name in kept)


def test_a_damaged_checkpoint_is_not_taken(tmp_path: Path, data: Artifact) -> None:
    job = make_job(tmp_path)
    stage_of(data, Disturbed(), save_steps=2).run(job)
    optimizer = job.work / "checkpoint-6" / "optimizer.pt"
    content = bytearray(optimizer.read_bytes())
    content[len(content) // 2] ^= 1
    optimizer.write_bytes(content)
    found = newest_sealed(job.work)
    assert found is not None and found.name == "checkpoint-4"
