"""Training on preferences."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.faults import Fault, KonomiError
from konomi.fields import artifact, choice
from konomi.job import SMOKE_STEPS, Job
from konomi.registry import register
from konomi.report import Block, Lines, Note, Table
from konomi.stage import Cost
from konomi.trainer import PairLogps

if TYPE_CHECKING:
    from datasets import Dataset

    from konomi.compute import Compute
    from konomi.loss import Loss
    from konomi.model import Model
    from konomi.peft import Peft
    from konomi.store import Artifact
    from konomi.trainer import PairOutcome, PairTrainer

log = logging.getLogger(__name__)

PAIRS = ("prompt_ids", "chosen_ids", "rejected_ids")
WEIGHT = "weight"
SUMS = ("ref_chosen_logps", "ref_rejected_logps")
"""Columns of a reference's artifact that a loss reads."""


@register("stage", "align")
@dataclass(frozen=True)
class Align:
    """Train a model to prefer the chosen answers of pairs over the rejected ones, with TRL's DPOTrainer.

    On the held-out pairs it is told how often the implicit reward log π/π_ref, in sums over an answer's tokens, is
    higher for the chosen answer (Rafailov+ 2023, section 4), how often the model finds that answer likelier before and
    after, and whether the chosen answers themselves became rarer, which far off-policy data brings about (Ren+ 2025,
    "Learning dynamics of LLM finetuning").
    """

    model: Model = choice("model", "hub")
    """The model to align; it must share the tokenizer of the data."""
    data: Artifact = artifact("token_pairs")
    """Tokenised preference pairs."""
    reference: Artifact | None = artifact("logps", optional=True)
    """Log-probabilities of these pairs under the frozen model that the policy is held to."""
    loss: Loss = choice("loss", "dpo")
    """What is minimised for each pair."""
    trainer: PairTrainer = choice("trainer", "dpo")
    """TRL's trainer and its arguments."""
    peft: Peft = choice("peft", "none")
    """Which weights are trained."""
    compute: Compute = choice("compute", "local")
    """Where the training runs."""
    seed: int = 0
    """Seeds the order of the pairs, dropout and the start of adapters."""

    TOLERATED_FALL: ClassVar[float] = 0.05
    """Share of its size by which the chosen answers' log-probability may fall before the report warns."""

    @property
    def makes(self) -> str:
        return "model"

    def check(self) -> Iterable[Fault]:
        from konomi.stage import _language_model, _training

        yield from _training.faults(self, "token_pairs")
        if self.loss.needs_reference and self.reference is None:
            name = _language_model.plugin_name(self.loss)
            yield Fault(
                "reference",
                f"loss {name} needs a reference's log-probabilities, and none is given",
                "add a stage `reference: {model: …, data: …}` before this one and set"
                " reference='${artifact:reference}', or take a loss that needs none (`konomi plugins loss`)",
            )

    def unused(self) -> Iterable[str]:
        if not self.loss.needs_reference:
            yield "reference"

    def key_fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        from konomi.stage import _training

        couples = getattr(self.loss, "couples_pairs", False)
        return _training.key_fields(self, fields, micro_batch=couples)

    def cost(self) -> Cost:
        from konomi.stage import _training

        try:
            made = self.data.results()
        except (OSError, ValueError):
            made = {}
        return _training.cost(self, made.get("rows"), made.get("tokens"))

    def run(self, job: Job) -> None:
        from konomi.stage import _language_model, _training

        reference = self.reference if self.loss.needs_reference else None
        tokenizer = _language_model.chat_tokenizer(self.model.tokenizer(), self.data)
        train = pair_rows(job, self.data, reference, "train")
        held_out = pair_rows(job, self.data, reference, "test")
        if job.smoke and held_out is not None:
            held_out = held_out.select(range(min(len(held_out), SMOKE_STEPS)))
        setup = _training.prepare(self, job, tokenizer, train, held_out)
        _language_model.check_vocabulary(self.data, tokenizer, setup.model.get_input_embeddings().num_embeddings)
        figures: dict[str, Any] = {}

        def training() -> PairOutcome:
            outcome = self.trainer.train(setup, self.loss)
            if _training.is_main():
                measured = Measured.of(outcome, setup.evaluation)
                if measured is not None:
                    figures.update(measured.figures())
                    job.show(*measured.blocks(self.TOLERATED_FALL))
                job.show(*curves(outcome))
            return outcome

        _training.carry_out(self, setup, training, figures=figures, loss_of="loss of a pair")


def pair_rows(job: Job, data: Artifact, reference: Artifact | None, split: str) -> Dataset | None:
    """Return the pairs of a split, with the reference's sums beside them where there is one; None where there are none.

    Raises `KonomiError` where the reference was made from other pairs.
    """
    import pyarrow.parquet as pq

    from konomi.stage import _training
    from konomi.stage._reference_rows import OTHER_DATA, check_made_for

    shards = data.shards(split)
    if not shards:
        return None
    weight = [WEIGHT] if WEIGHT in pq.read_schema(shards[0]).names else []
    pairs = _training.rows(job, shards, [*PAIRS, *weight], part=split)
    if reference is None or pairs is None:
        return pairs
    check_made_for(data, reference, split, SUMS)
    logps = _training.rows(job, reference.shards(split), SUMS, part=f"{split}-reference")
    if logps is None or len(logps) != len(pairs):
        found = 0 if logps is None else len(logps)
        raise KonomiError(f"{job.name}: the reference has {found} {split} rows and the data {len(pairs)}; {OTHER_DATA}")
    from datasets import concatenate_datasets

    return concatenate_datasets([pairs, logps], axis=1)


@dataclass(frozen=True)
class Measured:
    """What the held-out pairs tell, all of log-probabilities in sums over an answer's tokens, in nats."""

    pairs: int
    accuracy: float
    """Share of pairs whose implicit reward is higher for the chosen answer."""
    interval: tuple[float, float]
    margin: float
    """Mean of the implicit reward margin, without β."""
    likelier_before: float
    """Share of pairs whose chosen answer the model found likelier before the training."""
    likelier_after: float
    chosen: tuple[float, float]
    """Mean log-probability of the chosen answers before and after."""
    rejected: tuple[float, float]

    @classmethod
    def of(cls, outcome: PairOutcome, pairs: Dataset | None) -> Measured | None:
        """Return what a training's scores tell; without a reference, the model before the training stands for it."""
        import numpy as np

        from konomi.report.intervals import wilson

        before, after = outcome.before, outcome.after
        if pairs is None or before is None or after is None:
            return None
        reference = before
        if set(SUMS) <= set(pairs.column_names):
            reference = PairLogps(*(np.asarray(pairs[name], dtype=np.float64) for name in SUMS))
        margins = (after.chosen - reference.chosen) - (after.rejected - reference.rejected)
        preferred = int((margins > 0).sum())
        return cls(
            pairs=len(margins),
            accuracy=preferred / len(margins),
            interval=wilson(preferred, len(margins)),
            margin=float(margins.mean()),
            likelier_before=float((before.chosen > before.rejected).mean()),
            likelier_after=float((after.chosen > after.rejected).mean()),
            chosen=(float(before.chosen.mean()), float(after.chosen.mean())),
            rejected=(float(before.rejected.mean()), float(after.rejected.mean())),
        )

    @property
    def chosen_change(self) -> float:
        """Change of the chosen answers' log-probability as a share of its size; negative where it fell."""
        return (self.chosen[1] - self.chosen[0]) / max(abs(self.chosen[0]), 1e-12)

    def figures(self) -> dict[str, Any]:
        return {
            "held_out_pairs": self.pairs,
            "preference_accuracy": self.accuracy,
            "preference_accuracy_low": self.interval[0],
            "preference_accuracy_high": self.interval[1],
            "margin": self.margin,
            "likelier_chosen_before": self.likelier_before,
            "likelier_chosen_after": self.likelier_after,
            "chosen_logp_before": self.chosen[0],
            "chosen_logp_after": self.chosen[1],
            "rejected_logp_before": self.rejected[0],
            "rejected_logp_after": self.rejected[1],
            "chosen_logp_change": self.chosen_change,
        }

    def blocks(self, tolerated: float) -> list[Block]:
        low, high = self.interval
        rows: list[tuple[str, str, str]] = [
            ("implicit reward higher for the chosen answer", "", f"{self.accuracy:.3f} ({low:.3f} to {high:.3f})"),
            ("chosen answer likelier", f"{self.likelier_before:.3f}", f"{self.likelier_after:.3f}"),
            ("implicit reward margin, nats", "", f"{self.margin:.3f}"),
            ("log-probability of chosen answers", f"{self.chosen[0]:.2f}", f"{self.chosen[1]:.2f}"),
            ("log-probability of rejected answers", f"{self.rejected[0]:.2f}", f"{self.rejected[1]:.2f}"),
        ]
        note = f"{self.pairs} held-out pairs; sums over an answer's tokens; the interval is 95 % (Wilson)."
        blocks: list[Block] = [Table("Held-out pairs", ("figure", "before", "after"), rows, note=note)]
        if self.chosen_change < -tolerated:
            text = (
                f"The log-probability of the chosen answers fell by {-self.chosen_change:.1%} (more than"
                f" {tolerated:.0%}): the model gives less weight to both answers, and more to others. Try a lower"
                " learning rate, fewer epochs, a higher beta, or pairs that come from the model itself."
            )
            log.warning("%s", text)
            blocks.append(Note(text, title="The chosen answers became rarer"))
        return blocks


CURVES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "Reward margin": (("rewards/margins",), "β · nats"),
    "Reward accuracy": (("rewards/accuracies",), "share of pairs"),
    "Log-probability of the answers": (("logps/chosen", "logps/rejected"), "nats"),
}
"""Curves from TRL's metrics: title, metrics, and the unit."""


def curves(outcome: PairOutcome) -> list[Block]:
    """Return the curves of a preference training, of the training pairs and of the held-out ones."""
    blocks: list[Block] = []
    for title, (metrics, unit) in CURVES.items():
        series = {}
        for metric in metrics:
            for prefix, said in (("", "train"), ("eval_", "held out")):
                points = [(row["step"], row[prefix + metric]) for row in outcome.history if prefix + metric in row]
                if points:
                    name = said if len(metrics) == 1 else f"{metric.rpartition('/')[2]}, {said}"
                    series[name] = points
        if series:
            blocks.append(Lines(title, series, y=unit))
    return blocks
