"""Change every field of every plugin and look whether the key of its stage follows.

python -m tests.keys.survey        prints the counts
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from konomi import registry
from konomi.fields import in_key
from konomi.recipe import keys
from konomi.recipe.build import plugins_in
from konomi.trainer._arguments import NOT_SHAPING

from .mutations import arguments, example, mutants, ours


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One mutation: what the key ought to do, and what it did."""

    where: str
    """`stage/curate > filter/length.min_words`."""
    value: str
    misses: bool
    missed: bool
    mutant: Any = None
    """The stage with the mutation in it."""

    @property
    def verdict(self) -> str:
        if self.misses == self.missed:
            return "miss, right" if self.missed else "hit, right"
        return "needless miss" if self.missed else "STALE HIT"


def key(stage: Any) -> str:
    return keys.key_of(keys.parts(stage))


def survey(folder: Path) -> list[Outcome]:
    """Return the outcome of every mutation of konomi's own plugins, each in every stage that can hold it.

    A stage's own options are changed beside every choice, those of a plugin once in each place where it can stand.
    """
    found: list[Outcome] = []
    tried: set[tuple[type, str, type]] = set()
    for stage in stages(folder):
        places = {(type(stage), path, type(plugin)) for path, plugin in plugins_in(stage, "") if path}
        found += of_stage(stage, folder, {path for _, path, _ in places - tried} | {""})
        tried |= places
    return found


def stages(folder: Path) -> Iterator[Any]:
    """Yield every stage, once with its defaults and once with each other plugin that one of its fields can hold."""
    for entry in ours():
        if entry.kind != "stage":
            continue
        plain = example(entry, folder)
        yield plain
        for field in dataclasses.fields(plain):
            if "kind" in field.metadata:
                others = [one for one in ours() if one.kind == field.metadata["kind"]]
                for other in others:
                    plugin = example(other, folder)
                    held = getattr(plain, field.name)
                    if field.metadata["many"]:
                        yield dataclasses.replace(plain, **{field.name: {**held, other.name: plugin}})
                    elif type(plugin) is not type(held) and getattr(plugin, "reads", "") == getattr(held, "reads", ""):
                        yield dataclasses.replace(plain, **{field.name: plugin})


def of_stage(stage: Any, folder: Path, places: Container[str] | None = None) -> Iterator[Outcome]:
    """Yield the outcome of each mutation of a stage and of the plugins in it, or of those in some `places` of it."""
    before = key(stage)
    for path, plugin in plugins_in(stage, ""):
        if places is not None and path not in places:
            continue
        entry = keys.entry_of(plugin)
        unused = set(plugin.unused()) if hasattr(plugin, "unused") else set()
        for field in dataclasses.fields(plugin):
            where = f"{keys.entry_of(stage).id} > {entry.id}.{field.name}"
            if field.name == "arguments" and hasattr(plugin, "arguments_of"):
                yield from _of_arguments(stage, path, plugin, before, where)
                continue
            for value in mutants(entry, plugin, field, folder):
                changed = with_field(stage, path, field.name, value)
                misses = _shapes(entry, field, unused, value)
                yield Outcome(where, repr(value)[:60], misses, key(changed) != before, changed)


def _shapes(entry: registry.Entry, field: dataclasses.Field[Any], unused: set[str], value: Any) -> bool:
    if field.name in unused:
        return False
    # a place that another artifact or another folder's content is read from is no longer the same content
    return in_key(field) or "artifact" in field.metadata


def _of_arguments(stage: Any, path: str, plugin: Any, before: str, where: str) -> Iterator[Outcome]:
    unshaping = NOT_SHAPING if keys.entry_of(plugin).kind == "trainer" else frozenset()
    for name, value in arguments(plugin.arguments_of):
        changed = with_field(stage, path, "arguments", {**plugin.arguments, name: value})
        shaping = name not in unshaping
        yield Outcome(f"{where}.{name}", repr(value), shaping, key(changed) != before, changed)


def with_field(stage: Any, path: str, name: str, value: Any) -> Any:
    """Return a stage with another value of a field, `path` leading to the plugin that has it."""
    head, _, rest = path.lstrip(".").partition(".")
    if not head:
        return dataclasses.replace(stage, **{name: value})
    held = getattr(stage, head)
    if isinstance(held, dict):
        inner, _, rest = rest.partition(".")
        return dataclasses.replace(stage, **{head: {**held, inner: with_field(held[inner], rest, name, value)}})
    return dataclasses.replace(stage, **{head: with_field(held, rest, name, value)})


def counts(outcomes: list[Outcome]) -> Counter[str]:
    """Return how many mutations went how, and how many fields they are of."""
    found = Counter(outcome.verdict for outcome in outcomes)
    found["fields"] = len({outcome.where.partition(" > ")[2] for outcome in outcomes})
    found["mutations"] = len(outcomes)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcomes = survey(Path(folder))
    for name, count in sorted(counts(outcomes).items()):
        print(f"{name:14} {count:6}")
    for outcome in outcomes:
        if outcome.misses != outcome.missed:
            print(outcome.verdict, outcome.where, outcome.value)


if __name__ == "__main__":
    main()
