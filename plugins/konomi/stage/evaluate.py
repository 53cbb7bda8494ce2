"""Measure models side by side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, did_you_mean
from konomi.fields import artifacts, choices
from konomi.job import SMOKE_STEPS, Job
from konomi.registry import register
from konomi.report import Note, Table
from konomi.store import Artifact
from konomi.task import Metric, NotApplicable, Result, Subject, Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

ROWS = Path("data") / "rows.parquet"
COLUMNS = ("item", "seed", "prompt_hash", "output", "score")
"""What the rows of every task have; the rest goes into the JSON column `extra`."""


@register("stage", "evaluate")
@dataclass(frozen=True)
class Evaluate:
    """Measure models with the same tasks on the same held-out items, and show them side by side.

    Leaves one row for each model, task and item (`data/rows.parquet`) and figures with 95 % intervals computed from
    them, so that any two runs can be compared item by item. A model that cannot do a task is said so, with the reason.

    >>> from pathlib import Path
    >>> models = {name: Artifact(name, "model", "3f2a", Path("store") / name) for name in ("sft", "align")}
    >>> faults = Evaluate(models=models, references={"align": "stf"}, task={"mine": object()}).check()
    >>> [(fault.where, fault.hint) for fault in faults]
    [('references.align', 'did you mean sft? (known: align, sft)')]
    """

    models: dict[str, Artifact] = artifacts("model")
    """Models to measure, each under a name of its own, shown in this order."""
    references: dict[str, str] = field(default_factory=dict)
    """Which model another one started from, by their names above: `{align: sft}`."""
    task: dict[str, Task] = choices("task", "perplexity")
    """What to measure."""
    limit: int | None = None
    """Largest number of items of each task; null leaves it to the task."""

    @property
    def makes(self) -> str:
        return "evaluation"

    def check(self) -> Iterable[Fault]:
        if not self.models:
            yield Fault("models", "there is no model to measure", "models.NAME='${artifact:STAGE}'")
        if not self.task:
            yield Fault("task", "there is nothing to measure", "task=[perplexity,generation]")
        if self.limit is not None and self.limit < 1:
            yield Fault("limit", f"{self.limit} items are none; expected 1 or more, or null for all")
        for name, origin in self.references.items():
            for word in (name, origin):
                if word not in self.models:
                    hint = did_you_mean(word, self.models)
                    yield Fault(f"references.{name}", f"there is no model {word} here; expected a name of models", hint)
            if name == origin:
                yield Fault(f"references.{name}", f"{name} cannot have started from itself")

    def run(self, job: Job) -> None:
        limit = SMOKE_STEPS if job.smoke else self.limit
        results: dict[str, dict[str, Result]] = {task: {} for task in self.task}
        skipped: dict[str, dict[str, str]] = {}
        shelf = _Shelf(self.models, self._references(), job)
        for name in self.models:
            subject = shelf.subject(name)
            for task_name, task in self.task.items():
                job.check_stop()
                try:
                    results[task_name][name] = task.evaluate(subject, limit=limit)
                except NotApplicable as why:
                    skipped.setdefault(name, {})[task_name] = str(why)
            del subject
            shelf.release(name)
        _write_rows(job.out / ROWS, results)
        job.figures(metrics=_nested(self.models, results), skipped=skipped)
        self._show(job, results, skipped, shelf.unlike)

    def _references(self) -> Mapping[str, str]:
        """Return the references that a task will read; without one, no model is held in memory for it."""
        return self.references if any(getattr(task, "uses_reference", False) for task in self.task.values()) else {}

    def _show(
        self,
        job: Job,
        results: Mapping[str, Mapping[str, Result]],
        skipped: Mapping[str, Mapping[str, str]],
        unlike: list[str],
    ) -> None:
        job.show(_headline(self.models, self.task, results))
        for name, task in self.task.items():
            if results[name] and hasattr(task, "side_by_side"):
                job.show(*task.side_by_side(results[name], self.references))
            for result in results[name].values():
                job.show(*result.shown)
        job.show(_table(self.models, results))
        lines = [
            f"{model} was not measured by {task}: {why}." for model, of in skipped.items() for task, why in of.items()
        ]
        if lines or unlike:
            job.show(Note(" ".join([*lines, *unlike]), "What could not be measured"))


class _Shelf:
    """Loads each model once, and lets it go when the last model that is compared with it is done."""

    def __init__(self, models: Mapping[str, Artifact], references: Mapping[str, str], job: Job) -> None:
        self.models, self.references, self.job = models, references, job
        self.waiting = Counter([*models, *references.values()])
        self.loaded: dict[str, tuple[PreTrainedModel, PreTrainedTokenizerFast]] = {}
        self.unlike: list[str] = []
        """What to say of references that read another vocabulary."""

    def subject(self, name: str) -> Subject:
        model, tokenizer = self._load(name)
        subject = Subject(name, model, tokenizer, progress=self._progress)
        origin = self.references.get(name)
        if origin is None:
            return subject
        reference, its_tokenizer = self._load(origin)
        if its_tokenizer.get_vocab() != tokenizer.get_vocab():
            self.unlike.append(
                f"{name} reads another vocabulary than {origin}, so it has no implicit reward against it."
            )
            return subject
        return replace(subject, reference=reference)

    def release(self, name: str) -> None:
        """Say that a model has been measured."""
        for done in filter(None, (name, self.references.get(name))):
            self.waiting[done] -= 1
            if not self.waiting[done]:
                del self.loaded[done]

    def _load(self, name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
        if name not in self.loaded:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer

            path = self.models[name].path
            model = AutoModelForCausalLM.from_pretrained(path).eval()
            model = model.to("cuda" if torch.cuda.is_available() else "cpu")
            self.loaded[name] = (model, AutoTokenizer.from_pretrained(path))
        return self.loaded[name]

    def _progress(self, items: Any, *, unit: str) -> Any:
        return self.job.progress(items, total=len(items), unit=unit)


def _write_rows(path: Path, results: Mapping[str, Mapping[str, Result]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("model", pa.string()),
            ("task", pa.string()),
            ("item", pa.string()),
            ("seed", pa.int64()),
            ("prompt_hash", pa.string()),
            ("output", pa.string()),
            ("score", pa.float64()),
            ("extra", pa.string()),
        ]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for task, by_model in results.items():
            for model, result in by_model.items():
                rows = [_stored(model, task, row) for row in result.rows]
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _stored(model: str, task: str, row: Mapping[str, Any]) -> dict[str, Any]:
    extra = {name: value for name, value in row.items() if name not in COLUMNS}
    return {
        "model": model,
        "task": task,
        **{name: row[name] for name in COLUMNS},
        "extra": json.dumps(extra, ensure_ascii=False, sort_keys=True),
    }


def _nested(
    models: Iterable[str], results: Mapping[str, Mapping[str, Result]]
) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """Return the metrics as JSON values: model, task, metric."""
    return {
        model: {
            task: {name: asdict(metric) for name, metric in by_model[model].metrics.items()}
            for task, by_model in results.items()
            if model in by_model
        }
        for model in models
    }


def _headline(models: Iterable[str], tasks: Mapping[str, Task], results: Mapping[str, Mapping[str, Result]]) -> Table:
    """Return the few figures that a reader looks for first, a row for each model."""
    columns: dict[tuple[str, str], str] = {}
    for task, by_model in results.items():
        for result in by_model.values():
            for name, metric in result.metrics.items():
                if name.rpartition("/")[2] in getattr(tasks[task], "headline", ()):
                    columns[task, name] = "%" if metric.unit == "%" else ""
    rows = [
        [model, *(_cell(_metric(results, task, model, name), unit=False) for task, name in columns)] for model in models
    ]
    names = [
        name.replace("/", ": ").replace("_", " ") + (f", {unit}" if unit else "") for (_, name), unit in columns.items()
    ]
    return Table("Models side by side", ["model", *names], rows, note="In brackets the 95 % interval.")


def _table(models: Iterable[str], results: Mapping[str, Mapping[str, Result]]) -> Table:
    models = list(models)
    rows = []
    for task, by_model in results.items():
        for name in dict.fromkeys(name for result in by_model.values() for name in result.metrics):
            metrics = [_metric(results, task, model, name) for model in models]
            items = max(metric.n for metric in metrics if metric)
            rows.append([f"{task} · {name}", *map(_cell, metrics), items])
    note = "In brackets the 95 % interval, computed from the items. An empty cell was not measured."
    return Table("All figures", ["figure", *models, "items"], rows, note)


def _metric(results: Mapping[str, Mapping[str, Result]], task: str, model: str, name: str) -> Metric | None:
    return results[task][model].metrics.get(name) if model in results[task] else None


def _cell(metric: Metric | None, *, unit: bool = True) -> str:
    from konomi.report.intervals import written

    return written(metric.value, metric.low, metric.high, metric.unit if unit else "") if metric else ""
