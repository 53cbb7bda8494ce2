"""`konomi plan RECIPE …`: what would run, what is cached and why not, what it costs, and every mistake at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from konomi.cli import parser
from konomi.cli.command_line import read
from konomi.cli.run import check_all, counted_stages, no_recipe, say_project, unnamed_model
from konomi.faults import Fault, Faults
from konomi.recipe.by_hydra import composing
from konomi.recipe.composition import Composed
from konomi.recipe.planning import Plan, Step
from konomi.recipe.sweep import points
from konomi.report.text import printable

USAGE = """RECIPE [overrides] [-m] [--smoke] [--json]

  konomi plan dpo loss=ipo             stages, keys, what is cached and which field made the difference
  konomi plan dpo -m loss=dpo,ipo      a sweep as one graph: what its points share
  konomi plan dpo --smoke              three real steps of each stage at real shapes, nothing published"""


def main(argv: Sequence[str]) -> int:
    """Plan a recipe; faults end with exit code 2."""
    as_json, smoke = "--json" in argv, "--smoke" in argv
    line = read([word for word in argv if word not in ("--json", "--smoke")])
    if line.help or not line.recipe:
        parser("plan", USAGE).print_usage()
        return 0 if line.help else no_recipe()
    say_project()
    with composing():
        composed = Composed(line.recipe, line.swept_off() if line.multirun else line.overrides)
        every = points(line.recipe, line.expanded(composed), composed) if line.multirun else [composed]
        plans = check_all(line.recipe, every)
    if smoke and as_json:
        raise Faults([Fault("--json", "a smoke run has no plan to print", "leave out one of --json and --smoke")])
    if smoke:
        from konomi.runner import smoke as try_out

        for composed in every:
            try_out(line.recipe, composed.given)
        print("every stage did its steps; nothing was published")
        return 0
    if as_json:
        print(printable(json.dumps([to_json(plan) for plan in plans], ensure_ascii=False, indent=1)))
    else:
        print(printable(sweep_text(plans) if line.multirun else text(plans[0])))
    return 0


def text(plan: Plan, command: str = "") -> str:
    """Return a plan as a person reads it; `command` is what carries it out, where it is not the usual one."""
    width = max(len(step.name) for step in plan.steps)
    lines = [f"{plan.recipe}, store {plan.store.root}"]
    for step in plan.steps:
        state = "cached" if step.cached else "to make"
        lines.append(f"  {step.name:<{width}}  {step.parts['plugin'].partition('/')[2]:<12} {state:<8} {step.key}")
        if not step.cached:
            lines.append(f"  {'':<{width}}    why: {step.why}")
        elif step.made_with:
            lines.append(f"  {'':<{width}}    made with {step.made_with}; refresh={step.name} makes it anew")
        if cost := _cost(step):
            lines.append(f"  {'':<{width}}    cost: {cost}")
        lines += [f"  {'':<{width}}    note: {note}" for note in ([] if step.cached else _advice(step))]
    if plan.pruned:
        lines.append(f"  nothing needs: {', '.join(plan.pruned)}")
    if note := unnamed_model(plan):
        lines.append(f"  {note}")
    made = sum(not step.cached for step in plan.steps)
    command = command or f"konomi run {plan.recipe} …"
    lines.append(f"{counted_stages(len(plan.steps))}, {made} to make; {command} does it")
    return "\n".join(lines)


def sweep_text(plans: Sequence[Plan]) -> str:
    """Return the plan of a sweep: each artifact once, with the number of points that need it."""
    steps: dict[str, tuple[Step, list[Plan]]] = {}
    for plan in plans:
        for step in plan.steps:
            steps.setdefault(step.key, (step, []))[1].append(plan)
    same = set.intersection(*(set(plan.overrides) for plan in plans))
    lines = [f"{plans[0].recipe}, {len(plans)} points, store {plans[0].store.root}"]
    for step, points_of in steps.values():
        own = " ".join(item.rpartition("@")[2] for item in points_of[0].overrides if item not in same)
        shared = f"shared by {len(points_of)} points" if len(points_of) > 1 else own or "one point"
        lines.append(f"  {step.name:<20} {'cached' if step.cached else 'to make':<8} {step.key:<40} {shared}")
    total = sum(len(plan.steps) for plan in plans)
    lines.append(f"{len(steps)} artifacts in place of {total}")
    return "\n".join(lines)


def _cost(step: Step) -> str:
    cost = step.cost
    if cost is None:
        return ""
    from konomi.recipe.advice import advice, counted

    said = [counted(cost.documents, "documents"), counted(cost.tokens, "tokens"), counted(cost.flops, "FLOPs")]
    return "; ".join([", ".join(part for part in said if part), *advice(cost)]).strip("; ")


def _advice(step: Step) -> list[str]:
    """Return what the plugins of a stage have to say that is no fault."""
    from konomi.recipe.build import plugins_in

    parts = [part for _, part in plugins_in(step.stage, "") if hasattr(part, "advice")]
    return [note for part in parts for note in part.advice()]


def to_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON values."""
    import dataclasses

    return {
        "recipe": plan.recipe,
        "store": str(plan.store.root),
        "pruned": plan.pruned,
        "stages": [
            {
                "name": step.name, "plugin": step.parts["plugin"], "key": step.key, "cached": step.cached,
                "why": step.why, "made_with": step.made_with, "path": str(step.artifact.path),
                "makes": step.artifact.makes,
                "inputs": {where: item.key for where, item in step.inputs.items()},
                "cost": dataclasses.asdict(step.cost) if step.cost else None,
            }
            for step in plan.steps
        ],
    }  # fmt: skip
