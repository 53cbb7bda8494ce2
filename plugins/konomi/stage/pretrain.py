"""Continual pretraining on tokenised text."""

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


@register("stage", "pretrain")
@dataclass(frozen=True)
class Pretrain:
    """Train a model to predict the next token of texts, each token weighted by what the weighting makes of it.

    With `token_weighting=rho1` and a reference's log-probabilities this is Rho-1's selective language modelling
    (Lin+ 2024, section 2.2); with `uniform` it is plain (continual) pretraining. What is logged counts the tokens
    seen and the tokens selected apart, for a selective training is compared by the latter.
    """

    model: Model = choice("model", "hub")
    """The model to go on from."""
    data: Artifact = artifact("tokens")
    """Tokenised rows; their test split is evaluated along the way."""
    reference: Artifact | None = artifact("logps", optional=True)
    """Log-probabilities of the same rows under a reference, for a weighting that needs one."""
    token_weighting: TokenWeighting = choice("token_weighting", "uniform")
    """What each token counts in the loss."""
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
