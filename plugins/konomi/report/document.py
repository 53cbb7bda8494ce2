"""A run's report: from the plan and the manifests to the page."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.job import SHOWN
from konomi.report import Bars, Block, from_json
from konomi.report.page import Document, Stage, render

if TYPE_CHECKING:
    from konomi.recipe.planning import Plan, Step
    from konomi.runner import Run

REPORT = "report.html"


def write_report(planned: Plan, done: Run, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write the page of a finished run into its folder and return its path."""
    by_name = {row["name"]: row for row in rows}
    document = Document(
        title=planned.name,
        subtitle=f"konomi run {planned.recipe} {' '.join(planned.overrides)}".strip(),
        summary=_summary(planned),
        stages=[_stage(step, by_name[step.name]) for step in planned.steps],
        go_on=_go_on(planned, done),
        foot=_foot(),
    )
    path = done.folder / REPORT
    temporary = path.with_suffix(".tmp")
    temporary.write_text(render(document), encoding="utf-8")
    temporary.rename(path)
    return path


def blocks_of(folder: Path) -> list[Block]:
    """Return what a stage showed."""
    path = folder / SHOWN
    return [from_json(value) for value in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def _summary(planned: Plan) -> list[Block]:
    """Return what the last stage showed first, with the bars that follow: what the recipe was for stands at the top."""
    blocks = blocks_of(planned.steps[-1].artifact.path)
    return [*blocks[:1], *itertools.takewhile(lambda block: isinstance(block, Bars), blocks[1:])]


def _stage(step: Step, row: Mapping[str, Any]) -> Stage:
    text = (type(step.stage).__doc__ or "").strip().partition("\n")[0]
    blocks = blocks_of(step.artifact.path)
    return Stage(
        name=step.name,
        plugin=str(row["plugin"]),
        does=text,
        key=step.key,
        cached=bool(row["cached"]),
        seconds=row["seconds"],
        peak_bytes=row["peak_memory"],
        path=str(step.artifact.path),
        blocks=blocks,
    )


def _go_on(planned: Plan, done: Run) -> list[tuple[str, str]]:
    """Return what one may do next, for this recipe: another choice, one's own text and model, a sweep, a look."""
    commands = [("Say what would run with another choice, and why", f"konomi plan {planned.recipe} …")]
    for step in planned.steps:
        if hasattr(step.stage, "source"):
            own = f"konomi run {planned.recipe} {step.name}.source=files '{step.name}.source.path=texts/*.jsonl.gz'"
            commands.append((f"Your own text in place of what {step.name} reads", own))
            break
    losses = [step.name for step in planned.steps if hasattr(step.stage, "loss")]
    if losses:
        sweep = f"konomi run {planned.recipe} -m {losses[0]}.loss=dpo,ipo {losses[0]}.loss.beta=0.05,0.1"
        commands.append(("A sweep: what its points share is made once", sweep))
    models = [step for step in planned.steps if step.artifact.makes == "model"]
    if models:
        path = models[-1].artifact.path
        load = f"import transformers\nmodel = transformers.AutoModelForCausalLM.from_pretrained({str(path)!r})"
        commands.append(("Load the last model in Python", load))
        commands.append(("Align a model of your own", "konomi run dpo model.name_or_path=… source=hub source.path=…"))
    return [*commands, ("See what made an artifact", f"konomi show {planned.steps[-1].key}")]


def _foot() -> list[tuple[str, str]]:
    from konomi.provenance import git_state, versions

    git = git_state()
    state = [("git", f"{git['commit'][:12]}{' with changes' if git['dirty'] else ''}")] if git else []
    return [*versions().items(), *state, ("written", time.strftime("%Y-%m-%d %H:%M"))]
