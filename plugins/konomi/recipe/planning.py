"""What a recipe would do: its stages in order, each with its key, cached or not and why, and what it costs."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from konomi.faults import Fault, Faults, KonomiError, did_you_mean
from konomi.recipe import keys
from konomi.recipe.build import UNKNOWN, Builder, artifacts_in, checked
from konomi.recipe.by_hydra import composing
from konomi.recipe.composition import Composed, values
from konomi.recipe.secrets import value_faults
from konomi.recipe.short_forms import stages as stage_names
from konomi.stage import Cost
from konomi.store import Artifact, Store

KEY = re.compile(r"[\w\-]+")
"""What names an artifact of the store, and no other folder."""


@dataclasses.dataclass
class Step:
    """One stage of a plan."""

    name: str
    stage: Any
    """The stage's plugin, built."""
    config: dict[str, Any]
    """The stage's node as composed, interpolations unresolved."""
    parts: dict[str, Any]
    """What its key was made of."""
    artifact: Artifact
    inputs: dict[str, Artifact]
    """Artifacts that it reads, by the field's path."""
    cached: bool
    why: str
    """Why it is not cached."""
    refresh: bool = False
    """Made anew even where it is cached."""
    cost: Cost | None = None

    @property
    def key(self) -> str:
        return self.artifact.key


@dataclasses.dataclass
class Plan:
    """A recipe, ready to be carried out."""

    recipe: str
    name: str
    overrides: list[str]
    store: Store
    steps: list[Step]
    pruned: list[str]
    """Stages that nothing needs."""
    config: dict[str, Any]
    """The whole configuration, interpolations unresolved."""
    deadline: float | None = None
    """Seconds after which the work stops in good order."""

    def step(self, name: str) -> Step:
        """Return a stage's step."""
        return next(step for step in self.steps if step.name == name)


def plan(recipe: str, overrides: Sequence[str] = ()) -> Plan:
    """Compose a recipe and say what would run; raises `Faults` with every mistake at once.

    >>> plan("quickstart", ["size=smoke"]).steps[0].name
    'english'
    """
    with composing():
        composed = Composed(recipe, overrides)
    return plan_config(recipe, composed.cfg, composed.given, composed.faults)


def plan_config(recipe: str, cfg: DictConfig, overrides: Sequence[str], faults: Sequence[Fault] = ()) -> Plan:
    """Return the plan of a composed configuration; `faults` are those that composing found."""
    planner = _Planner(cfg, list(faults))
    planner.plan()
    if planner.faults:
        raise Faults(planner.faults)
    unresolved: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False, enum_to_str=True)  # type: ignore[assignment]
    return Plan(
        recipe=recipe,
        name=str(planner.values.get("name") or recipe),
        overrides=list(overrides),
        store=planner.store,
        steps=planner.ordered(),
        pruned=[name for name in planner.names if name not in planner.steps or name not in planner.needed],
        config=unresolved,
        deadline=planner.deadline,
    )


class _Planner:
    """Builds the stages that a recipe's goal needs, from the last to the first."""

    def __init__(self, cfg: DictConfig, faults: list[Fault]) -> None:
        self.cfg = cfg
        self.faults = faults
        self.names = stage_names(cfg)
        self.values = values(cfg, faults)
        faults += value_faults(self.values)
        self.store = Store(str(self.values.get("store") or ".konomi"))
        self.steps: dict[str, Step] = {}
        self._faulty: dict[str, Artifact] = {}
        self.needed: list[str] = []
        self._building: list[str] = []
        self.deadline = self._deadline()
        self._history = _History(self.store)

    def plan(self) -> None:
        """Plan the goal and what it needs."""
        if not self.names:
            self.faults.append(Fault("", "the recipe has no stages", "list one: stage@NAME: STAGE"))
            return
        goal = self._stage_option("until") or self._stage_option("goal") or self.names[-1]
        self._stage_option("refresh")
        self._artifact(goal)
        self.needed = self._needed(goal)
        refresh = self.values.get("refresh")
        if refresh in self.names and refresh not in self.needed and not self.faults:
            self.faults.append(Fault("refresh", f"{goal} does not need the stage {refresh}"))
        again: set[str] = set()
        for step in self.ordered():
            if step.name == refresh or (again & {artifact.key for artifact in step.inputs.values()}):
                again.add(step.key)
                step.cached, step.why, step.refresh = False, f"refresh={refresh}", True

    def ordered(self) -> list[Step]:
        """Return the needed steps, each after what it reads, else in the recipe's order."""
        done: list[str] = []

        def visit(name: str) -> None:
            if name not in done:
                for artifact in self.steps[name].inputs.values():
                    if artifact.stage in self.steps:
                        visit(artifact.stage)
                done.append(name)

        for name in self.names:
            if name in self.needed and name in self.steps:
                visit(name)
        return [self.steps[name] for name in done]

    def _needed(self, goal: str) -> list[str]:
        found: list[str] = []
        todo = [goal]
        while todo:
            name = todo.pop()
            if name in self.steps and name not in found:
                found.append(name)
                todo += [artifact.stage for artifact in self.steps[name].inputs.values()]
        return found

    def _stage_option(self, option: str) -> str | None:
        value = self.values.get(option)
        if value is None or value in self.names:
            return value
        self.faults.append(Fault(option, f"there is no stage {value}", did_you_mean(str(value), self.names)))
        return None

    def _artifact(self, name: str) -> Artifact | str:
        """Return what a stage will leave, or what is wrong with its name."""
        if name in self.steps:
            return self.steps[name].artifact
        if name in self._faulty:
            return self._faulty[name]
        if name in self._building:
            return f"the stages {' → '.join([*self._building, name])} need one another"
        if name not in self.names:
            return self._stored(name)
        self._building.append(name)
        try:
            artifact = self._build(name)
            if name not in self.steps:
                self._faulty[name] = artifact
            return artifact
        finally:
            self._building.pop()

    def _stored(self, key: str) -> Artifact | str:
        if KEY.fullmatch(key) and self.store.has(key):
            manifest = self.store.manifest(key)
            return Artifact(key, manifest["makes"], key, self.store.path(key))
        return f"there is no stage and no stored artifact called {key}; {did_you_mean(key, self.names)}"

    def _build(self, name: str) -> Artifact:
        builder = Builder(self._artifact)
        stage = builder.plugin(self.values[name], name, "stage")
        self.faults += builder.faults
        unknown = Artifact(name, UNKNOWN, f"{name}-unknown", self.store.path(f"{name}-unknown"))
        if stage is None:
            return unknown
        try:
            inputs = dict(artifacts_in(stage))
            found = checked(stage, name)
            self.faults += found
            if found or any(item.makes == UNKNOWN for item in inputs.values()):
                return unknown
            makes = stage.makes
            for field in stage.unused() if hasattr(stage, "unused") else ():
                inputs = {at: item for at, item in inputs.items() if at.partition(".")[0] != field}
            parts = keys.parts(stage)
        except KonomiError as error:
            self.faults.append(Fault(name, str(error)))
            return unknown
        key = keys.key_of(parts)
        artifact = Artifact(name, makes, key, self.store.path(key))
        cached = self.store.has(key)
        why = "" if cached else self._history.why(name, parts)
        node: dict[str, Any] = OmegaConf.to_container(self.cfg[name], resolve=False, enum_to_str=True)  # type: ignore[assignment]
        self.steps[name] = Step(name, stage, node, parts, artifact, inputs, cached, why, cost=_cost(stage))
        return artifact

    def _deadline(self) -> float | None:
        value = self.values.get("deadline")
        try:
            length = None if value is None else seconds(str(value))
            if length is not None and not 0 < length < threading.TIMEOUT_MAX:
                raise ValueError
            return length
        except ValueError:
            self.faults.append(
                Fault("deadline", f"{value!r} is no length of time", "type deadline=90m or deadline=23h")
            )
            return None


def seconds(text: str) -> float:
    """Return a length of time in seconds: `90`, `90s`, `15m`, `23h`, `2d`."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1.0)
    return float(number) * unit


def _cost(stage: Any) -> Cost | None:
    try:
        return stage.cost() if hasattr(stage, "cost") else None
    except (OSError, KeyError, ValueError, json.JSONDecodeError):
        return None  # what it reads is not made yet


class _History:
    """Earlier artifacts, to say which field made the difference."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._manifests: list[Mapping[str, Any]] | None = None

    def why(self, name: str, parts: Mapping[str, Any]) -> str:
        """Say how a stage differs from the nearest one that is stored."""
        if self._manifests is None:
            self._manifests = [self._store.manifest(key) for key in self._store.made()]
        same = [item for item in self._manifests if item.get("plugin") == parts["plugin"]]
        same = [item for item in same if item.get("stage") == name] or same
        if not same:
            return "never made"
        found = [keys.differences(parts, item.get("key_parts", {})) for item in reversed(same)]
        nearest = min(found, key=len)
        shown = "; ".join(nearest[:3])
        return f"{shown} and {len(nearest) - 3} more" if len(nearest) > 3 else shown
