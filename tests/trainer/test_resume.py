"""What a checkpoint says of how it was made, what is told where that differs, and the runs of trackers."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from konomi.faults import KonomiError
from konomi.store.seal import seal
from konomi.testing import _pairs
from konomi.testing.training import TEXTS, TinyModel, make_job, make_tokens
from konomi.trainer import _arguments
from konomi.trainer._resume import conditions, differences
from konomi.trainer._trackers import environment, go_on_in_mlflow, tracked
from konomi.trainer.sft import Sft


def built(**given: Any) -> Any:
    """Return arguments as a training has them, of a world that this test makes up."""
    known = {"world_size": 1, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "bf16": False}
    return SimpleNamespace(**{**known, "fp16": False, "device": torch.device("cpu"), "fsdp": None, **given})


def sealed_under(folder: Path, **given: Any) -> Path:
    checkpoint = folder / "checkpoint-2"
    checkpoint.mkdir(parents=True)
    seal(checkpoint, **conditions(built(**given)))
    return checkpoint


def test_the_same_conditions_are_exact(tmp_path: Path) -> None:
    assert differences(built(), sealed_under(tmp_path)) == {}
    assert differences(built(), None) == {}


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"world_size": 2, "per_device_train_batch_size": 2}, "world_size 1 → 2, per_device_train_batch_size 4 → 2"),
        ({"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}, "gradient_accumulation_steps 1 → 2"),
        ({"bf16": True}, "precision fp32 on cpu → bf16 on cpu"),
    ],
    ids=["another world", "another split", "another precision"],
)
def test_other_conditions_are_told(tmp_path: Path, caplog: Any, now: dict[str, Any], told: str) -> None:
    found = differences(built(**now), sealed_under(tmp_path))
    assert told in ", ".join(f"{name} {what}" for name, what in found.items()) and told in caplog.text


def test_another_number_of_threads_is_told(tmp_path: Path) -> None:
    checkpoint = sealed_under(tmp_path)
    held = torch.get_num_threads()
    try:
        torch.set_num_threads(held + 1)
        assert differences(built(), checkpoint) == {"threads": f"{held} → {held + 1}"}
    finally:
        torch.set_num_threads(held)


def test_another_version_of_a_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = sealed_under(tmp_path)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99")
    assert set(differences(built(), checkpoint)) == {"torch", "transformers", "trl", "accelerate"}


ZERO = {"deepspeed_plugin": SimpleNamespace(zero_stage=2), "world_size": 2}


@pytest.mark.parametrize(
    ("then", "now"),
    [({}, ZERO), (ZERO, {"world_size": 2}), (ZERO, {**ZERO, "world_size": 4})],
    ids=["whole to zero2", "zero2 to whole", "zero2 over other processes"],
)
def test_an_optimizer_that_is_split_otherwise_is_refused(tmp_path: Path, then: Any, now: Any) -> None:
    """transformers finds no optimizer.pt in the other's checkpoint and goes on without a state."""
    with pytest.raises(KonomiError, match="cannot be taken up; run it with the compute it was begun with"):
        differences(built(**now), sealed_under(tmp_path, **then))


def test_a_changed_learning_rate_or_batch_is_another_training_and_a_changed_split_is_not() -> None:
    def shaping(processes: int = 1, **given: Any) -> dict[str, Any]:
        return _arguments.shaping(Sft(arguments=given), processes, micro_batch=False)

    plain = shaping(learning_rate=1e-3, per_device_train_batch_size=4)
    assert shaping(learning_rate=2e-3, per_device_train_batch_size=4) != plain
    assert shaping(learning_rate=1e-3, per_device_train_batch_size=8) != plain
    assert shaping(2, learning_rate=1e-3, per_device_train_batch_size=4) != plain
    assert shaping(2, learning_rate=1e-3, per_device_train_batch_size=2) == plain


def test_no_collator_draws_on_the_global_random_state(tmp_path: Path) -> None:
    """One that does would draw other numbers after a resume, where the batches before were skipped."""
    import pyarrow.parquet as pq
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from konomi.trainer._dpo_trl import PairCollator
    from konomi.trainer._sft_trl import Collator

    rows = pq.read_table(make_tokens(tmp_path, TinyModel(), TEXTS).shards("train")[0]).to_pylist()
    pairs = _pairs.token_pairs(_pairs.texts(4))
    batches = [
        (Collator(DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)), rows[:3]),
        (PairCollator(pad_token_id=0), pairs),
    ]
    for collator, batch in batches:
        before = states()
        collator([dict(row) for row in batch])
        assert states() == before


def states() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state()[1].tobytes(), torch.random.get_rng_state().numpy().tobytes()


def test_a_trackers_run_is_named_by_the_key_for_as_long_as_it_trains(tmp_path: Path, monkeypatch: Any) -> None:
    for name in environment(make_job(tmp_path)):
        monkeypatch.delenv(name, raising=False)
    one, other = (make_job(tmp_path, key=key, curves=tmp_path / "curves" / key) for key in ("align-1", "align-2"))
    for job in (one, other, one):
        with tracked(job):
            assert os.environ["WANDB_RUN_ID"] == os.environ["SWANLAB_RUN_ID"] == job.key
            assert os.environ["WANDB_RESUME"] == "allow"
            assert os.environ["TENSORBOARD_LOGGING_DIR"] == str(job.curves)
        assert not [name for name in environment(job) if name in os.environ]


def test_what_the_user_says_of_a_tracker_wins(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    monkeypatch.delenv("WANDB_RESUME", raising=False)
    with tracked(make_job(tmp_path)):
        assert os.environ["WANDB_RUN_ID"] == "mine" and "WANDB_RESUME" not in os.environ
    assert os.environ["WANDB_RUN_ID"] == "mine"


def test_the_next_training_of_the_process_has_a_run_of_its_own(tmp_path: Path, monkeypatch: Any) -> None:
    wandb = ModuleType("wandb")
    begun: list[str] = []

    def init(**_: Any) -> None:
        begun.append(os.environ["WANDB_RUN_ID"])
        wandb.run = SimpleNamespace(id=begun[-1])  # type: ignore[attr-defined]

    wandb.run, wandb.init = None, init  # type: ignore[attr-defined]
    wandb.finish = lambda: setattr(wandb, "run", None)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    for key in ("a", "b", "a"):
        with tracked(make_job(tmp_path, key=key)):
            if wandb.run is None:  # as transformers' callback asks
                wandb.init(project="p")
    assert begun == ["a", "b", "a"]


def test_mlflow_goes_on_in_the_run_with_the_keys_tag(tmp_path: Path, monkeypatch: Any) -> None:
    """A stand-in that keeps runs by their tags; real MLflow makes up the ids on its server."""
    mlflow = ModuleType("mlflow")
    runs = {"server-7": {"konomi.key": "align-1"}}

    def search_runs(**asked: Any) -> list[Any]:
        key = asked["filter_string"].split("'")[1]
        found = [name for name, tags in runs.items() if tags["konomi.key"] == key]
        return [SimpleNamespace(info=SimpleNamespace(run_id=name)) for name in found]

    mlflow.search_runs = search_runs  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    for key, expected in (("align-1", "server-7"), ("align-2", None)):
        job = make_job(tmp_path, key=key, resume=tmp_path / "checkpoint-2")
        with tracked(job):
            assert json.loads(os.environ["MLFLOW_TAGS"]) == {"konomi.key": key}
            go_on_in_mlflow(job)
            assert os.environ.get("MLFLOW_RUN_ID") == expected
        assert "MLFLOW_RUN_ID" not in os.environ
