"""Trainers: TRL's, each through one thin adapter.

    trainer.sft · trainer.dpo

Only the modules of this package import `trl`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from konomi.faults import Fault
from konomi.job import Job

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from numpy.typing import NDArray
    from peft import PeftConfig
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from konomi.loss import Loss
    from konomi.token_weighting import TokenWeighting


@dataclass(frozen=True)
class Setup:
    """What a stage hands to a trainer."""

    job: Job
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    train: Dataset
    """Rows as the trainer's collator reads them, in the order of the artifact; all its columns are used."""
    evaluation: Dataset | None
    """Held-out rows, None where the data has none."""
    seed: int
    processes: int = 1
    """Number of processes that must be training together."""
    peft: PeftConfig | None = None
    card: str = ""
    """The model card, without the figures that only the training will give."""


@dataclass(frozen=True)
class Outcome:
    """What a finished training leaves; one that was stopped raises `konomi.faults.Stopped` instead."""

    model: PreTrainedModel
    """With PEFT's layers on it, where there were any."""
    history: list[dict[str, Any]]
    """What was logged, by step; it goes on over a resume."""
    steps: int
    tokens_seen: int
    """Trained tokens that went through the loss, over all processes."""
    tokens_selected: int
    """Those of them with a weight above 0."""
    precision: str
    """`bf16`, `fp16` or `fp32`, and the device."""
    resume: str
    """`none`, `exact`, or `elastic` where a checkpoint was taken up under other conditions."""
    stopped_early: bool = False
    """Whether a declared early stop ended the training before its last step."""
    differing: Mapping[str, str] = field(default_factory=dict)
    """What was otherwise when it was taken up: `{"world_size": "2 → 1"}`."""


@dataclass(frozen=True)
class PairLogps:
    """Log-probabilities of N held-out pairs, as sums over each answer's tokens, in the order of the rows."""

    chosen: NDArray[np.float64]
    rejected: NDArray[np.float64]


@dataclass(frozen=True)
class PairOutcome(Outcome):
    """What a finished preference training leaves; the scores are None where there are no held-out pairs."""

    before: PairLogps | None = None
    """Under the model as it was before the first step, also where the training was resumed."""
    after: PairLogps | None = None


class Trainer(Protocol):
    """An adapter on one of TRL's trainers; its options are TRL's own arguments.

    Beside its `train(setup, …) -> Outcome`, whose further parameters are the adapter's own (a token weighting, a
    loss), an adapter reports what is wrong twice: `check()` at plan time, and `verify_arguments()` before the first
    stage runs.
    """

    reads: ClassVar[str]
    """Format of the rows that it trains on: `tokens` or `token_pairs`."""
    arguments_of: ClassVar[str]
    """Where the arguments' dataclass stands: `package/file.py:Class`, read without being imported."""
    arguments_default: ClassVar[Mapping[str, Any]]
    """konomi's own defaults, where they differ from the library's."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the recipe says of them."""
        ...

    def verify_arguments(self) -> Iterable[Fault]:
        """Build the library's own configuration and yield what it refuses; this imports the library."""
        ...


class TokenTrainer(Trainer, Protocol):
    """An adapter that trains on tokenised rows, each token weighted."""

    def train(self, setup: Setup, weighting: TokenWeighting, *, isolated: bool) -> Outcome:
        """Train; `isolated` keeps packed documents from seeing one another.

        The rows have `input_ids`, `labels`, `seq_lengths`, and `ref_logps` where the weighting needs a reference.
        """
        ...


class PairTrainer(Trainer, Protocol):
    """An adapter that trains on tokenised preference pairs, with any preference loss."""

    def train(self, setup: Setup, loss: Loss) -> PairOutcome:
        """Train, and score the held-out pairs before and after.

        The rows have `prompt_ids`, `chosen_ids`, `rejected_ids`, where the pairs have one a `weight`, and where the
        loss needs a reference `ref_chosen_logps` and `ref_rejected_logps`.
        """
        ...
