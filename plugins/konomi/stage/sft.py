"""Supervised fine-tuning on tokenised conversations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault
from konomi.fields import artifact, choice
from konomi.job import Job
from konomi.registry import register
from konomi.stage import Cost

if TYPE_CHECKING:
    from konomi.compute import Compute
    from konomi.model import Model
    from konomi.peft import Peft
    from konomi.store import Artifact
    from konomi.token_weighting import TokenWeighting
    from konomi.trainer import TokenTrainer


@register("stage", "sft")
@dataclass(frozen=True)
class SupervisedFineTuning:
    """Train a model to answer: the tokens of the answers are learned, those of the prompts are only read.

    Which tokens are answers was decided where the rows were tokenised (Ouyang+ 2022, section 3.1, step 1). The chat
    template that the rows were rendered with is saved beside the model.
    """

    model: Model = choice("model", "hub")
    """The model to tune."""
    data: Artifact = artifact("tokens")
    """Tokenised conversations, or prompts and completions; their test split is evaluated along the way."""
    reference: Artifact | None = artifact("logps", optional=True)
    """Log-probabilities of the same rows under a reference, for a weighting that needs one."""
    token_weighting: TokenWeighting = choice("token_weighting", "uniform")
    """What each token of an answer counts in the loss."""
    trainer: TokenTrainer = choice("trainer", "sft")
    """TRL's SFTTrainer, with its arguments."""
    peft: Peft = choice("peft", "none")
    """Which weights are trained."""
    compute: Compute = choice("compute", "local")
    """Where the training runs."""
    seed: int = 0
    """Seed of the order of the rows, of dropout and of new weights."""

    @property
    def makes(self) -> str:
        return "model"

    def check(self) -> Iterable[Fault]:
        from konomi.stage import _language_model

        yield from _language_model.faults(self)

    def unused(self) -> Iterable[str]:
        from konomi.stage import _language_model

        yield from _language_model.unused(self)

    def key_fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        from konomi.stage import _language_model

        return _language_model.key_fields(self, fields)

    def cost(self) -> Cost:
        from konomi.stage import _language_model

        return _language_model.cost(self)

    def run(self, job: Job) -> None:
        from konomi.stage import _language_model

        _language_model.run(self, job)
