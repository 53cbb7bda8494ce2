"""What is wrong with a defaults list, and Hydra takes without a word: names given twice, stages with odd names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from konomi import registry, search_path
from konomi.faults import Fault
from konomi.recipe.by_hydra import GLOBAL_OPTIONS, is_value

STAGE_NAME = re.compile(r"[^\W\d][\w\-]*")
TAKEN = (*GLOBAL_OPTIONS, "hydra", "defaults", "plugin")


def listed_faults(recipe: Path, overrides: Sequence[str]) -> list[Fault]:
    """Return the faults of a recipe's own defaults list and of the choices among overrides."""
    body = yaml.safe_load(search_path.page(recipe))
    listed = [*_choices(body.get("defaults") if isinstance(body, dict) else None)]
    given = [override.lstrip("+").partition("=")[::2] for override in overrides if not is_value(override)]
    return [*_named_twice([*given, *((key, str(value)) for key, value in listed)]), *_twice(listed), *_stages(listed)]


def _choices(listed: Any) -> Iterator[tuple[str, Any]]:
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, dict):
            yield from ((str(key), value) for key, value in item.items())


def _named_twice(choices: Sequence[tuple[str, str]]) -> Iterator[Fault]:
    """Yield a fault for each plugin that a list names twice; Hydra makes one of them, silently."""
    for group, chosen in choices:
        names = re.findall(r"[\w\-]+", chosen) if chosen.startswith("[") else []
        for name in sorted({name for name in names if names.count(name) > 1}):
            what = f"{name} is given twice, and one name holds one plugin"
            yield Fault(group.partition("@")[2], what, "a preset of another name may stand beside it")


def _twice(listed: Sequence[tuple[str, Any]]) -> Iterator[Fault]:
    """Yield a fault for each place that a defaults list overrides twice; Hydra takes the first, silently."""
    keys = [key for key, _ in listed]
    for key in dict.fromkeys(key for key in keys if keys.count(key) > 1):
        yield Fault(f"defaults: {key}", "is given twice, and one of them would be lost", "take one of them out")


def _stages(listed: Sequence[tuple[str, Any]]) -> Iterator[Fault]:
    """Yield a fault for each stage whose name is no name, or is one of konomi's own keys."""
    for key, _ in listed:
        group, at, name = key.strip().lstrip("/").partition("@")
        if group != "stage":
            continue
        where = f"defaults: {key}"
        if not at:
            yield Fault(where, "the stage has no name", "type stage@NAME: STAGE")
        elif not STAGE_NAME.fullmatch(name):
            what = f"{name!r} is no name for a stage: expected letters, digits, _ and -, and a letter first"
            yield Fault(where, what, "type stage@NAME: STAGE")
        elif name in TAKEN or name in registry.kinds():
            yield Fault(where, f"{name} is a word of konomi's own", "give the stage another name")
