"""Watching over TRL's training loop: seals, stops, counts, a progress bar; and the one way to run a trainer.

progress = Progress.read(setup.job.resume)
watch = Watch(setup, progress)
trainer = SomeTrlTrainer(…)
outcome = run(trainer, watch)
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from konomi.faults import KonomiError, Stopped
from konomi.store.seal import seal
from konomi.trainer import Outcome, Setup
from konomi.trainer._arguments import named_precision
from konomi.trainer._resume import conditions, differences
from konomi.trainer._trackers import go_on_in_mlflow

log = logging.getLogger(__name__)

PROGRESS = "konomi.json"
"""File in a checkpoint with the counts that TRL and transformers do not keep."""
STEPPED_BY_EVALUATIONS = ("reduce_lr_on_plateau", "greedy")
"""Schedules that an evaluation moves on; one that is made up for later would not."""


@dataclass
class Progress:
    """Counts that go on over a resume; all are sums over the processes."""

    num_tokens: int = 0
    """Tokens that went through the model, trained or not (TRL's `num_tokens`, which restarts by itself)."""
    tokens_seen: int = 0
    tokens_selected: int = 0
    best: float | None = None
    """Lowest held-out loss so far."""
    without_improvement: int = 0
    """Evaluations since then."""
    evaluation_due: bool = False
    """Whether the training was stopped at a step that had an evaluation to come."""

    @classmethod
    def read(cls, checkpoint: Path | None) -> Progress:
        """Return what a checkpoint keeps, zeros where there is none."""
        if checkpoint is None:
            return cls()
        return cls(**json.loads((checkpoint / PROGRESS).read_text(encoding="utf-8")))

    def write(self, checkpoint: Path) -> None:
        """Keep the counts in a checkpoint."""
        (checkpoint / PROGRESS).write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")


class Watch(TrainerCallback):  # type: ignore[misc]
    """Seals every checkpoint, stops where the job is asked to, and shows how far the training is.

    `trainer` and `kept`, the number of checkpoints to keep, are set by `run`. With `patience`, the training ends after
    so many evaluations without a lower held-out loss, which is a declared early stop.
    """

    def __init__(self, setup: Setup, progress: Progress, *, patience: int = 0) -> None:
        self.setup = setup
        self.progress = progress
        self.patience = patience
        self.stopped: str | None = None
        self.stopped_early = False
        self.trainer: Any = None
        self.kept: int | None = None
        self._bar: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        from tqdm import tqdm

        # transformers takes how often to log and to save from the checkpoint, and ignores what is asked for now
        state.compute_steps(args, state.max_steps)
        hidden = True if self.setup.job.quiet or not state.is_world_process_zero else None
        self._bar = tqdm(
            total=state.max_steps, initial=state.global_step, unit="step", desc=self.setup.job.name, leave=False,
            disable=hidden,
        )  # fmt: skip

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._bar.update(state.global_step - self._bar.n)
        if state.global_step < state.max_steps and (reason := self._asked_to_stop(args)):
            self.stopped = reason
            if not self.patience and args.lr_scheduler_type not in STEPPED_BY_EVALUATIONS:
                # a stop has a grace period: the evaluation is made up for on resuming
                self.progress.evaluation_due = control.should_evaluate
                control.should_evaluate = False
            control.should_training_stop = True
            control.should_save = not self.setup.job.smoke
        self._tidy(state, control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.stopped:  # the epoch has not ended, its loop was left
            control.should_evaluate = control.should_save = False
        self._tidy(state, control)
        if control.should_save:
            self.trainer.model.train()  # after an evaluation TRL would keep this row's metrics for the next one

    def _tidy(self, state: Any, control: Any) -> None:
        """Log before every save and after the last step; save nothing there, for a resume would train one step more."""
        if state.global_step >= state.max_steps:
            control.should_save, control.should_log = False, True
        if control.should_save:
            control.should_log = True  # a checkpoint does not keep the loss since the last log

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        figures = {name: value for name, value in logs.items() if isinstance(value, (int, float))}
        if "loss" in figures:
            self._bar.set_postfix_str(f"loss {figures['loss']:.3f}")
        words = " · ".join(f"{name} {value:.6g}" for name, value in figures.items())
        log.info("%s: step %d of %d: %s", self.setup.job.name, state.global_step, state.max_steps, words)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, float], **_: Any) -> None:
        self.progress.evaluation_due = False
        loss = metrics.get("eval_loss", math.nan)
        if self.progress.best is None or loss < self.progress.best:
            self.progress.best, self.progress.without_improvement = loss, 0
        else:
            self.progress.without_improvement += 1
        if self.patience and self.progress.without_improvement >= self.patience:
            self.stopped_early = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self.progress.num_tokens = self.trainer._total_train_tokens
        if state.is_world_process_zero:
            self.progress.write(checkpoint)
        barrier()  # every process has written its part
        if state.is_world_process_zero:
            seal(checkpoint, **conditions(args))
            self._drop_old(checkpoint.parent)
        barrier()  # nobody leaves before the seal is on the disk

    def _drop_old(self, folder: Path) -> None:
        """Remove the checkpoints before the last `kept`, by their steps.

        transformers would do it before the newest is sealed, and by date: with a clock set back it takes the newest.
        """
        steps = sorted(int(path.name.rpartition("-")[2]) for path in folder.glob("checkpoint-*"))
        for step in steps[: -self.kept] if self.kept else ():
            shutil.rmtree(folder / f"checkpoint-{step}", ignore_errors=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._bar.close()

    def _asked_to_stop(self, args: Any) -> str | None:
        """Return why to stop, once any of the processes was asked to."""
        reason = self.setup.job.stop.reason
        if args.world_size == 1:
            return reason
        import torch

        flag = torch.tensor(int(reason is not None), device=args.device)
        torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
        return reason or ("another process" if flag.item() else None)


def barrier() -> None:
    """Wait for the other processes, where there are any."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


def run(trainer: Any, watch: Watch) -> Outcome:
    """Train, from the job's sealed checkpoint where there is one, and return what a finished training leaves.

    `trainer` is a TRL trainer with the arguments that `konomi.trainer._arguments.build` made. Raises `Stopped` where
    the job was asked to stop (after sealing a checkpoint), and `KonomiError` where the training ended before its last
    step without a declared early stop.
    """
    setup = watch.setup
    job = setup.job
    _attach(trainer, watch)
    differing = differences(trainer.args, job.resume)
    if watch.progress.evaluation_due:
        trainer.args.eval_on_start = True
    job.check_stop()
    if "mlflow" in trainer.args.report_to and trainer.is_world_process_zero():
        go_on_in_mlflow(job)
    trainer.train(resume_from_checkpoint=str(job.resume) if job.resume else None)
    state = trainer.state
    if watch.stopped and not watch.stopped_early:
        raise Stopped(
            f"{job.name} was stopped by {watch.stopped} at step {state.global_step} of {state.max_steps};"
            " the same command goes on from here"
        )
    if state.global_step < state.max_steps and not watch.stopped_early:
        raise KonomiError(
            f"{job.name}: the training ended at step {state.global_step} of {state.max_steps}, and nobody asked it to;"
            " nothing is published; the log says what happened"
        )
    return Outcome(
        model=trainer.model,
        history=state.log_history,
        steps=state.global_step,
        tokens_seen=watch.progress.tokens_seen,
        tokens_selected=watch.progress.tokens_selected,
        precision=named_precision(trainer.args),
        resume="none" if job.resume is None else "elastic" if differing else "exact",
        differing=differing,
        stopped_early=watch.stopped_early,
    )


def _attach(trainer: Any, watch: Watch) -> None:
    """Put the watch on a trainer, in the place of what prints."""
    watch.trainer = trainer
    watch.kept, trainer.args.save_total_limit = trainer.args.save_total_limit, None
    for noisy in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(noisy)
    trainer.add_callback(watch)
    trainer._total_train_tokens = watch.progress.num_tokens
    card = Path(trainer.args.output_dir) / "README.md"

    def create_model_card(*_: Any, **__: Any) -> None:
        """Write konomi's card, not the one named after a folder; TRL asks for it at every checkpoint."""
        if trainer.is_world_process_zero():
            card.write_text(watch.setup.card, encoding="utf-8")

    trainer.create_model_card = create_model_card
