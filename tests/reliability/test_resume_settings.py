"""The settings under which a training that goes on ends bit for bit where an undisturbed one ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import resuming

from konomi.peft.lora import Lora

EXACT: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout": {"dropout": 0.3},
    "accumulation of 4 over epochs": {"gradient_accumulation_steps": 4},
    "documents packed apart": {"packing": "bfd"},
    "documents cut and joined": {"packing": "wrapped"},
    "not packed": {"packing": "none"},
    "workers that load": {"dataloader_num_workers": 2},
    "lora with dropout": {"peft": {"r": 2, "lora_dropout": 0.3}},
    "lora by pissa": {"peft": {"r": 2, "init_lora_weights": "pissa"}},
    "neftune": {"neftune_noise_alpha": 5.0},
    "gradient checkpointing with dropout": {"gradient_checkpointing": True, "dropout": 0.3},
    "bf16": {"bf16": True},
    "evaluations between": {"eval_steps": 1},
    "no evaluation": {"eval_strategy": "no"},
    "a save at an epoch's end": {"save_strategy": "epoch", "per_device_train_batch_size": 4},
    "saves off the logging steps": {"logging_steps": 3, "save_steps": 4},
    "cosine with warmup": {"lr_scheduler_type": "cosine", "warmup_steps": 3},
    "a schedule stepped by evaluations": {"lr_scheduler_type": "reduce_lr_on_plateau", "eval_steps": 1},
    "adafactor": {"optim": "adafactor"},
    "sgd": {"optim": "sgd"},
    "rows balanced by length": {"train_sampling_strategy": "batch_rebalance", "packing": "none"},
    "rows in their order": {"train_sampling_strategy": "sequential"},
    "the last batch dropped": {"dataloader_drop_last": True},
    "label of the first step logged": {"logging_first_step": True},
}


@pytest.mark.parametrize("name", EXACT)
def test_going_on_is_exact(tmp_path: Path, name: str) -> None:
    options = dict(EXACT[name])
    packing = options.pop("packing", "bfd")
    setup = resuming.make_setup(tmp_path / "data", packing=packing, repeat=2)

    def train(folder: str, **more: Any) -> Any:
        given = {**options, **more, "max_steps": 9, "isolated": packing == "bfd"}
        if "peft" in given:
            given["peft"] = Lora(arguments=given["peft"]).config()
        return resuming.End.of(resuming.train(setup, tmp_path / folder / "attempt-0", **given))

    end = train("calm")
    found = sorted((tmp_path / "calm" / "attempt-0").glob("checkpoint-*"))
    assert found
    for checkpoint in found:
        assert train(f"after-{checkpoint.name}", resume=checkpoint).differences(end) == []
