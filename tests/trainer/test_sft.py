"""The adapter on TRL's SFTTrainer: bit-equal with it under uniform weights, and the right weights under others."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from konomi.compute.ddp import Ddp
from konomi.faults import Fault, KonomiError
from konomi.job import SMOKE_STEPS
from konomi.stage import _training
from konomi.stage._language_model import COLUMNS
from konomi.testing.training import TEXTS, TinyModel, make_job, make_tokens
from konomi.token_weighting import TokenStats
from konomi.token_weighting.uniform import Uniform
from konomi.trainer import Outcome, Setup, _arguments
from konomi.trainer.sft import Sft

TWO_PROCESSES = Path(__file__).parent / "two_processes.py"
STEPS = {"max_steps": 4, "logging_steps": 1, "per_device_train_batch_size": 2, "save_strategy": "no"}
QUICK = {**STEPS, "gradient_checkpointing": False, "learning_rate": 1e-2}


@dataclass
class Recorded:
    """A weighting that keeps what it was shown and answers with what it is told."""

    answer: Callable[[TokenStats], torch.Tensor]
    shown: list[TokenStats] = field(default_factory=list)

    needs_reference: ClassVar[bool] = False
    ranks: ClassVar[bool] = False

    def __call__(self, stats: TokenStats) -> torch.Tensor:
        self.shown.append(stats)
        return self.answer(stats)


def make_setup(folder: Path, *, packing: str = "bfd", test: list[str] | None = None, **job: Any) -> Setup:
    model = TinyModel()
    data = make_tokens(folder / "data", model, TEXTS * 2, packing=packing, test=test or [])
    made = make_job(folder / "job", **job)
    train, held_out = (_training.rows(made, data.shards(split), COLUMNS, part=split) for split in ("train", "test"))
    assert train is not None
    return Setup(made, model.load(), model.tokenizer(), train, held_out, seed=3, card="a card of konomi's")


def train_plain(setup: Setup, arguments: dict[str, Any], *, isolated: bool) -> Any:
    """Train with TRL's own SFTTrainer, on the same rows and with the same arguments."""
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    own = {"dataset_kwargs": {"skip_prepare_dataset": True}, "packing": isolated, "packing_strategy": "bfd"}
    args = SFTConfig(**_arguments.assemble(Sft(arguments=arguments), setup, **own))
    trainer = SFTTrainer(TinyModel().load(), args, train_dataset=setup.train, processing_class=TinyModel().tokenizer())
    trainer.train()
    return trainer


def assert_same_training(outcome: Outcome, plain: Any) -> None:
    ours = [row for row in outcome.history if "loss" in row]
    theirs = [row for row in plain.state.log_history if "loss" in row]
    assert [(row["loss"], row["grad_norm"]) for row in ours] == [(row["loss"], row["grad_norm"]) for row in theirs]
    for ours_, theirs_ in zip(outcome.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(ours_, theirs_)
    kept = {"entropy", "mean_token_accuracy", "num_tokens", "learning_rate", "epoch"}
    assert [{name: row[name] for name in kept} for row in ours] == [
        {name: row[name] for name in kept} for row in theirs
    ]


@pytest.mark.parametrize("accumulation", [1, 4])
@pytest.mark.parametrize("packing", ["bfd", "wrapped", "none"])
def test_uniform_weights_are_bit_equal_with_plain_trl(tmp_path: Path, packing: str, accumulation: int) -> None:
    setup = make_setup(tmp_path, packing=packing)
    arguments = {**QUICK, "gradient_accumulation_steps": accumulation}
    isolated = packing == "bfd"
    outcome = Sft(arguments=arguments).train(setup, Uniform(), isolated=isolated)
    plain = train_plain(replace(setup, job=make_job(tmp_path / "plain")), arguments, isolated=isolated)
    assert_same_training(outcome, plain)
    assert outcome.tokens_seen == outcome.tokens_selected > 0


@pytest.mark.slow
def test_two_processes_are_bit_equal_with_plain_trl_stop_together_and_go_on(tmp_path: Path) -> None:
    """Launched as the runner launches: one world of two over gloo, a stop asked of the second process alone."""
    launch = Ddp(processes=2).launch()
    assert launch is not None
    command = [sys.executable, "-m", "accelerate.commands.launch", *launch, str(TWO_PROCESSES), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = [tmp_path / f"rank-{rank}.json" for rank in range(2)]
    assert all(file.exists() for file in found), done.stderr[-3000:]
    answers = [json.loads(file.read_text()) for file in found]
    for said in answers:
        assert said["world_size"] == 2 and not said["still_joined"]
        assert said["bit_equal"], said
        assert said["tokens_seen"] == said["tokens_of_all_ranks"] == said["resumed_tokens_seen"]
        assert said["resumed_bit_equal"]
        assert said["stopped"] and said["sealed"] == {**said["sealed"], "world_size": 2}
    assert {"model.safetensors", "README.md", "log.jsonl"} <= set(answers[0]["published"])
    assert answers[0]["figures"]["steps"] == 4 and not answers[1]["figures"]  # the first process alone publishes


def test_trl_still_has_the_seams_that_the_adapter_stands_on() -> None:
    """What the adapter needs of TRL, by name and signature; a new TRL that fails here needs a look at `_sft_trl.py`."""
    from trl.trainer import sft_trainer, utils
    from trl.trainer.sft_config import SFTConfig

    trainer = sft_trainer.SFTTrainer
    expected = ["self", "model", "inputs", "return_outputs", "num_items_in_batch"]
    assert list(inspect.signature(trainer.compute_loss).parameters) == expected
    assert list(inspect.signature(trainer.log).parameters) == ["self", "logs", "start_time"]
    assert list(inspect.signature(trainer.create_model_card).parameters)[:2] == ["self", "model_name"]
    source = inspect.getsource(trainer.compute_loss)
    assert "outputs = model(**inputs, fused_lm_head=True)" in source
    assert "per_token_loss = -outputs.log_probs" in source
    assert 'self._metrics[mode]["num_tokens"] = [self._total_train_tokens]' in source
    assert "self._total_train_tokens = 0" in inspect.getsource(trainer.__init__)
    assert {"log_probs", "entropy", "is_top1", "label_mask"} <= set(utils.FusedCausalLMOutput.__dataclass_fields__)
    assert 'outputs=("log_probs", "entropy", "is_top1")' in inspect.getsource(trainer.__init__)
    known = SFTConfig.__dataclass_fields__
    assert {"dataset_kwargs", "packing", "packing_strategy", "loss_type", "label_smoothing_factor"} <= set(known)
    collator = sft_trainer.DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    row = {"input_ids": [5, 6, 7], "labels": [-100, 6, -100], "seq_lengths": [2, 1]}
    batch = collator([row, row])
    assert batch["position_ids"].tolist() == [[0, 1, 0, 0, 1, 0]]


def test_only_arguments_of_trl_are_named() -> None:
    from konomi.recipe.arguments import argument_fields
    from konomi.trainer.sft import BYPASSES, REFUSED

    known = set(argument_fields(Sft.arguments_of))
    named = {*_arguments.OWNED, *_arguments.NOT_SHAPING, *_arguments.DEFAULTS, *_arguments.TEXTS, *REFUSED, *BYPASSES}
    assert named <= known, named - known


def test_the_loss_is_the_weighted_sum_over_all_trained_tokens(tmp_path: Path) -> None:
    setup = make_setup(tmp_path, packing="none")
    weights = Recorded(lambda stats: stats.mask * (stats.position % 2) * 3.0)
    model = TinyModel().load()
    outcome = Sft(arguments={**QUICK, "max_steps": 1, "max_grad_norm": 0.0}).train(setup, weights, isolated=False)
    stats = weights.shown[0]
    expected = -(stats.logp * weights.answer(stats)).sum() / stats.mask.sum()
    assert outcome.history[0]["loss"] == pytest.approx(expected.item(), rel=1e-6)
    assert outcome.tokens_seen == stats.mask.sum().item()
    assert outcome.tokens_selected == ((stats.position % 2) * stats.mask).sum().item()
    moved = [not torch.equal(*pair) for pair in zip(model.parameters(), outcome.model.parameters(), strict=True)]
    assert all(moved)


def test_tokens_of_weight_zero_teach_nothing(tmp_path: Path) -> None:
    setup = make_setup(tmp_path)
    nothing = Recorded(lambda stats: torch.zeros_like(stats.logp))
    outcome = Sft(arguments=QUICK).train(setup, nothing, isolated=True)
    for before, after in zip(TinyModel().load().parameters(), outcome.model.parameters(), strict=True):
        assert torch.equal(before, after)
    assert outcome.tokens_selected == 0 < outcome.tokens_seen


@pytest.mark.parametrize("packing", ["bfd", "wrapped", "none"])
def test_reference_and_position_stand_beside_their_tokens(tmp_path: Path, packing: str) -> None:
    """The column holds a number for every token of every row, so that a shift by one would show."""
    setup = make_setup(tmp_path, packing=packing)
    numbers = [[row * 1000 + at for at in range(len(ids))] for row, ids in enumerate(setup.train["input_ids"])]
    setup = replace(setup, train=setup.train.add_column("ref_logps", numbers))
    weights = Recorded(lambda stats: stats.mask.float())
    Sft(arguments={**QUICK, "max_steps": 2}).train(setup, weights, isolated=packing == "bfd")
    labels, lengths = setup.train["labels"], setup.train["seq_lengths"]
    seen = 0
    for stats in weights.shown:
        assert stats.ref_logp is not None
        for number, position in zip(
            stats.ref_logp[stats.mask].tolist(), stats.position[stats.mask].tolist(), strict=True
        ):
            row, at = divmod(int(number), 1000)
            assert labels[row][at] != -100
            start = max(begin for begin in starts(lengths[row]) if begin <= at)
            assert position == sum(label != -100 for label in labels[row][start:at])
            seen += 1
    assert seen > 50


def starts(lengths: list[int]) -> list[int]:
    return [sum(lengths[:index]) for index in range(len(lengths))]


def test_an_evaluation_is_not_weighted(tmp_path: Path) -> None:
    setup = make_setup(tmp_path, test=TEXTS[:3])
    nothing = Recorded(lambda stats: torch.zeros_like(stats.logp))
    arguments = {**QUICK, "eval_strategy": "steps", "eval_steps": 2}
    outcome = Sft(arguments=arguments).train(setup, nothing, isolated=True)
    losses = {row["eval_loss"] for row in outcome.history if "eval_loss" in row}
    assert len(losses) == 1 and losses.pop() > 5  # nothing was learned, and the loss is there all the same


def test_an_early_stop_that_was_declared_is_a_finished_training(tmp_path: Path) -> None:
    setup = make_setup(tmp_path, test=TEXTS[:3])
    nothing = Recorded(lambda stats: torch.zeros_like(stats.logp))
    arguments = {**QUICK, "max_steps": 20, "eval_strategy": "steps", "eval_steps": 1}
    outcome = Sft(early_stopping_patience=2, arguments=arguments).train(setup, nothing, isolated=True)
    assert outcome.stopped_early and outcome.steps == 3  # the first sets the mark, two bring nothing


def test_a_training_that_ended_early_by_itself_is_not_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from konomi.trainer._callbacks import Watch

    def give_up(self: Any, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = True

    monkeypatch.setattr(Watch, "on_log", give_up)
    with pytest.raises(KonomiError, match="ended at step 1 of 4"):
        Sft(arguments=QUICK).train(make_setup(tmp_path), Uniform(), isolated=True)


def test_a_smoke_run_takes_three_steps_and_saves_nothing(tmp_path: Path) -> None:
    setup = make_setup(tmp_path, test=TEXTS[:2], smoke=True)
    arguments = {**QUICK, "max_steps": 50, "save_strategy": "steps", "save_steps": 1}
    outcome = Sft(arguments=arguments).train(setup, Uniform(), isolated=True)
    assert outcome.steps == SMOKE_STEPS
    assert not list(setup.job.work.glob("checkpoint-*"))


def test_the_terminal_stays_quiet_and_the_card_is_ours(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    setup = make_setup(tmp_path)
    capfd.readouterr()
    Sft(arguments={**QUICK, "save_strategy": "steps", "save_steps": 2}).train(setup, Uniform(), isolated=True)
    assert capfd.readouterr().out == ""
    assert (setup.job.work / "README.md").read_text() == "a card of konomi's"


def test_a_cpu_trains_in_full_precision_unless_told_otherwise(tmp_path: Path) -> None:
    if torch.accelerator.is_available():
        pytest.skip("this machine has an accelerator")
    assert Sft(arguments=QUICK).train(make_setup(tmp_path), Uniform(), isolated=True).precision == "fp32 on cpu"


def test_a_long_packed_batch_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    setup = make_setup(tmp_path)
    for rows, warned in ((2, False), (200, True)):
        caplog.clear()
        arguments = {**QUICK, "max_steps": 1, "per_device_train_batch_size": rows}
        Sft(arguments=arguments).train(replace(setup, model=TinyModel().load()), Uniform(), isolated=True)
        assert ("per_device_train_batch_size=200 makes one row" in caplog.text) == warned


def faults_of(**arguments: Any) -> list[Fault]:
    return list(Sft(arguments=arguments).check())


@pytest.mark.parametrize(
    "arguments",
    [
        {"output_dir": "/somewhere"},
        {"resume_from_checkpoint": "checkpoint-1"},
        {"trust_remote_code": True},
        {"push_to_hub": True},
        {"hub_token": "word"},
        {"loss_type": "dft"},
        {"label_smoothing_factor": 0.1},
        {"parallelism_config": {"sp_size": 2}},
        {"packing": True},
        {"max_length": 12},
        {"seed": 3},
        {"save_total_limit": 1},
        {"save_only_model": True},
        {"ignore_data_skip": True},
        {"auto_find_batch_size": True},
        {"load_best_model_at_end": True},
        {"per_device_train_batch_size": 0},
        {"save_strategy": "best"},
        {"train_sampling_strategy": "group_by_length"},
        {"optim": "galore_adamw_layerwise"},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_arguments_that_bypass_or_break_are_refused_at_plan_time(arguments: dict[str, Any]) -> None:
    found = faults_of(**arguments)
    assert [fault.where for fault in found] == list(arguments)
    assert all(fault.what and fault.hint for fault in found)


def test_arguments_that_mean_the_default_are_no_fault() -> None:
    assert not faults_of(
        loss_type="nll", label_smoothing_factor=0, push_to_hub=True, hub_model_id="me/it", report_to="wandb"
    )


def test_patience_needs_evaluations() -> None:
    assert [fault.where for fault in Sft(early_stopping_patience=1, arguments={"eval_strategy": "no"}).check()]
    assert not list(Sft(early_stopping_patience=1).check())


def test_the_real_configuration_is_built_before_the_first_stage() -> None:
    assert not list(Sft(arguments={"learning_rate": "1e-4", "report_to": "none"}).verify_arguments())
    found = list(Sft(arguments={"lr_scheduler_type": "cosinus"}).verify_arguments())
    assert len(found) == 1 and "cosinus" in found[0].what


def test_an_evaluation_asked_for_without_held_out_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KonomiError, match="no test split"):
        Sft(arguments={**QUICK, "eval_strategy": "steps"}).train(make_setup(tmp_path), Uniform(), isolated=True)


def test_a_world_of_another_size_than_promised_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KonomiError, match="promises 2 processes, and 1"):
        Sft(arguments=QUICK).train(replace(make_setup(tmp_path), processes=2), Uniform(), isolated=True)
