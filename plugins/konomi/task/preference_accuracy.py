"""Which of two answers a model prefers, and what alignment did to both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.faults import Fault
from konomi.fields import artifact
from konomi.registry import register
from konomi.report import Block, Note, Table
from konomi.store import Artifact
from konomi.task import Metric, NotApplicable, Result, Subject

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from konomi.task._prompts import PairIds

COLUMNS = ("prompt", "chosen", "rejected")
TOLERATED_FALL = 5.0
"""Percent by which the chosen answers' log-probability may fall before the report warns: alignment that lowers both
answers squeezes the probability onto something else (Ren+ 2025, "Learning dynamics of LLM finetuning")."""
SHARES = {"accuracy": "own", "accuracy_per_token": "own_per_token", "implicit_accuracy": "implicit"}
CHANGES = {"chosen_change": "chosen", "rejected_change": "rejected"}


@register("task", "preference_accuracy")
@dataclass(frozen=True)
class PreferenceAccuracy:
    """Score held-out preference pairs: does the model find the chosen answer likelier than the rejected one?

    Log-probabilities are sums over the answer's tokens. `accuracy` counts log π(y_w|x) > log π(y_l|x),
    `accuracy_per_token` the same of averages per token (Meng+ 2024, section 2), so that length does not decide. Where
    the model started from another one, `implicit_accuracy` counts a positive implicit reward margin
    [log π(y_w|x) − log π_ref(y_w|x)] − [log π(y_l|x) − log π_ref(y_l|x)] (Rafailov+ 2023, section 4), `margin` is
    its mean in nats, and `chosen_change` and `rejected_change` say by how many percent of its size the
    log-probability of all such answers rose or fell. A tie is not a preference. Shares have Wilson intervals, the
    rest are bootstrapped over pairs; one row a pair.

    >>> from pathlib import Path
    >>> task = PreferenceAccuracy(data=Artifact("pairs", "preference", "3f2a", Path("store/pairs")))
    >>> list(task.check())
    []
    """

    data: Artifact | None = artifact("preference")
    """Artifact with held-out pairs: prompt, chosen, rejected."""
    limit: int | None = None
    """Largest number of pairs; null takes the whole test split."""
    max_length: int = 2048
    """Tokens of prompt and answer together, behind which they are cut; a model's shorter context cuts earlier."""
    batch_tokens: int = 4096
    """Tokens in a batch, padding included."""

    headline: ClassVar[tuple[str, ...]] = ("accuracy", "implicit_accuracy", "chosen_change")
    uses_reference: ClassVar[bool] = True

    def check(self) -> Iterable[Fault]:
        if self.data is None:
            yield Fault("data", "there are no pairs to measure on", "data='${artifact:STAGE}'")
        for name in ("max_length", "batch_tokens"):
            if getattr(self, name) < 2:
                yield Fault(name, f"{getattr(self, name)} tokens hold no prompt and answer; expected 2 or more")
        if self.limit is not None and self.limit < 1:
            yield Fault("limit", f"{self.limit} pairs are none; expected 1 or more, or null for all")

    def evaluate(self, subject: Subject, *, limit: int | None = None) -> Result:
        from konomi.logps import context_length
        from konomi.task._held_out import digest, distinct, held_out, smaller
        from konomi.task._prompts import canonical, pair_ids

        assert self.data is not None
        pairs = held_out(self.data, COLUMNS, smaller(limit, self.limit))
        tokens = [pair_ids(subject.tokenizer, *(pair[column] for column in COLUMNS)) for pair in pairs]
        longest = context_length(subject.model, self.max_length)
        sums = self._sums(subject, subject.model, tokens, longest)
        ref_sums = None if subject.reference is None else self._sums(subject, subject.reference, tokens, longest)
        hashes = [digest(*(canonical(pair[column]) for column in COLUMNS)) for pair in pairs]
        rows: list[dict[str, Any]] = []
        lost = cut = 0
        for place, (name, pair, ids) in enumerate(zip(distinct(hashes), pairs, tokens, strict=True)):
            length = len(ids.prompt) + max(len(ids.chosen), len(ids.rejected))
            if len(ids.prompt) >= longest or not ids.chosen or not ids.rejected:
                lost += 1
                continue
            cut += length > longest
            reference = None if ref_sums is None else ref_sums[place]
            rows.append(_row(name, digest(canonical(pair["prompt"])), ids, longest, sums[place], reference))
        if not rows:
            raise NotApplicable(f"none of the {len(pairs)} pairs leaves room for an answer in {longest} tokens")
        return Result(rows, _metrics(rows), _warnings(lost, cut, len(pairs), longest, subject.name))

    def _sums(
        self, subject: Subject, model: PreTrainedModel, pairs: Sequence[PairIds], longest: int
    ) -> list[tuple[float, float]]:
        """Return the log-probability of both answers of each pair, summed over their tokens."""
        from konomi.logps import token_logps

        sequences = [(pair.prompt + answer)[:longest] for pair in pairs for answer in (pair.chosen, pair.rejected)]
        logps = token_logps(model, sequences, batch_tokens=self.batch_tokens, progress=subject.progress)
        # the token at place t is scored at t - 1; an answer without a prompt has no score for its first token
        sums = [float(logps[row][max(len(pairs[row // 2].prompt) - 1, 0) :].sum()) for row in range(len(sequences))]
        return list(zip(sums[::2], sums[1::2], strict=True))

    def side_by_side(self, results: Mapping[str, Result], references: Mapping[str, str]) -> Iterable[Block]:
        from konomi.report.intervals import verdict
        from konomi.task._side_by_side import bars, cell, difference, steps

        accuracies = {name: result.metrics["accuracy"] for name, result in results.items()}
        n = max(metric.n for metric in accuracies.values())
        note = f"Share of {n} held-out pairs whose chosen answer the model finds likelier; 95 % intervals (Wilson)."
        yield bars("Preference accuracy by log-probability", accuracies, note=note)
        table, falls = [], []
        for name, result, origin, before in steps(results, references):
            change = result.metrics.get("chosen_change")
            table.append(
                [
                    f"{origin} → {name}",
                    cell(before.metrics, "accuracy"),
                    cell(result.metrics, "accuracy"),
                    verdict(difference(result, before, "accuracy"), "higher"),
                    *(cell(result.metrics, metric) for metric in ("implicit_accuracy", *CHANGES)),
                ]
            )
            if change is not None and change.value < -TOLERATED_FALL:
                falls.append(
                    f"The log-probability of the chosen answers fell by {-change.value:.1f} % from {origin} to {name}"
                    f" (more than {TOLERATED_FALL:.0f} %): the model gives less weight to both answers and more to"
                    " others. Try a higher beta, fewer steps, or pairs nearer to what the model writes."
                )
        if table:
            yield Table(
                "Preference before and after",
                [
                    "step",
                    "accuracy before",
                    "accuracy after",
                    "difference, pair by pair",
                    "implicit reward margin > 0",
                    "chosen log-probability",
                    "rejected log-probability",
                ],
                table,
                note="Log-probabilities: change in percent of their size before; below zero, the answers became rarer.",
            )
        if falls:
            yield Note(" ".join(falls), "The chosen answers became rarer")


def _row(
    name: str,
    prompt_hash: str,
    ids: PairIds,
    longest: int,
    sums: tuple[float, float],
    reference: tuple[float, float] | None,
) -> dict[str, Any]:
    (chosen, rejected), prompt = sums, max(len(ids.prompt), 1)
    lengths = [min(len(ids.prompt + answer), longest) - prompt for answer in (ids.chosen, ids.rejected)]
    chosen_mean, rejected_mean = chosen / max(lengths[0], 1), rejected / max(lengths[1], 1)
    row: dict[str, Any] = {
        "item": name,
        "seed": None,
        "prompt_hash": prompt_hash,
        "output": "",
        "score": float(chosen > rejected),
        "own": int(chosen > rejected),
        "own_per_token": int(chosen_mean > rejected_mean),
        "chosen_logp": chosen,
        "rejected_logp": rejected,
        "chosen_tokens": lengths[0],
        "rejected_tokens": lengths[1],
    }
    if reference is not None:
        margin = (chosen - reference[0]) - (rejected - reference[1])
        row |= {"margin": margin, "implicit": int(margin > 0)}
        for side, after, before in zip(("chosen", "rejected"), sums, reference, strict=True):
            row |= {f"{side}_gain": after - before, f"ref_{side}_logp": before, f"ref_{side}_cost": -before}
    return row


def _metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, Metric]:
    from konomi.report.intervals import Formula

    found = {
        name: Metric.of(rows, Formula(column, proportion=True)) for name, column in SHARES.items() if column in rows[0]
    }
    if "margin" in rows[0]:
        found["margin"] = Metric.of(rows, Formula("margin"), unit="nats")
        for name, side in CHANGES.items():
            formula = Formula(f"{side}_gain", f"ref_{side}_cost", scale=100.0)
            better = "higher" if side == "chosen" else ""
            found[name] = Metric.of(rows, formula, unit="%", better=better)
    return found


def _warnings(lost: int, cut: int, n: int, longest: int, model: str) -> list[Block]:
    lines = []
    if lost:
        lines.append(f"{lost} of {n} pairs were left out: no token of an answer fits behind the prompt.")
    if cut:
        lines.append(f"{cut} of {n} pairs were cut at {longest} tokens, so their answers are scored in part.")
    return [Note(" ".join(lines), f"Long pairs, {model}")] if lines else []
