"""Tasks: measure a model, one row an item, and figures with intervals computed from the rows.

task.perplexity · task.fertility · task.preference_accuracy · task.generation
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from konomi.faults import KonomiError
from konomi.logps import Progress, unwatched
from konomi.report import Block

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from konomi.report.intervals import Formula


class NotApplicable(KonomiError):
    """This model cannot do this task (it has no chat template, say); the message says why, and the report shows it."""


@dataclass(frozen=True)
class Subject:
    """What is measured: one model, under the name that the recipe gives it."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    reference: PreTrainedModel | None = None
    """The model that an aligned one started from, where a task compares with it; it shares the tokenizer."""
    progress: Progress = unwatched


@dataclass(frozen=True)
class Metric:
    """A figure and its 95 % interval, computed from the rows."""

    value: float
    low: float | None
    """None where too few items can tell."""
    high: float | None
    n: int
    """Items that it was computed from."""
    unit: str = ""
    better: str = "higher"
    """`higher`, `lower`, or "" where neither is better."""
    formula: Formula | None = None
    """How it comes from the rows; two runs are compared item by item where it is given."""

    @classmethod
    def of(
        cls, rows: Iterable[Mapping[str, Any]], formula: Formula, *, unit: str = "", better: str = "higher"
    ) -> Metric:
        """Return the metric that a formula makes of the rows."""
        from konomi.report.intervals import estimate

        return cls(**asdict(estimate(rows, formula)), unit=unit, better=better, formula=formula)


@dataclass(frozen=True)
class Result:
    """Rows, one an item, and the metrics over them."""

    rows: Sequence[Mapping[str, Any]]
    """Each has `item` (the same for every model, so that runs are paired by it), `seed`, `prompt_hash`, `output`
    and `score`; further columns as the task needs."""
    metrics: Mapping[str, Metric]
    shown: Sequence[Block] = field(default_factory=tuple)


class Task(Protocol):
    """Measures one model. Beside `evaluate`, a task may define any of the optional members below.

    - `headline: ClassVar[tuple[str, ...]]`: metrics that stand at the top of the report, by the last part of their
      names (`accuracy`, or `bits_per_character` for that of every language);
    - `uses_reference: ClassVar[bool]`: whether it reads `Subject.reference` (else none is loaded for it);
    - `side_by_side(self, results: Mapping[str, Result], references: Mapping[str, str]) -> Iterable[Block]`: what to
      show of all models together; `references` maps a model to the one that it started from.
    """

    def evaluate(self, subject: Subject, *, limit: int | None = None) -> Result:
        """Return rows and metrics; `limit` caps the number of items (a smoke run).

        Raises `NotApplicable` where this model cannot be measured so.
        """
        ...
