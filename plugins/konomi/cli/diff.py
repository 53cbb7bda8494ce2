"""`konomi diff A B`: two artifacts side by side: why they differ, recipes, versions, code, results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from konomi.cli import parser
from konomi.cli.show import lineage_of, read_manifest
from konomi.cli.store import parsed, table, with_store
from konomi.report.figures import compact, duration, size
from konomi.store import Store
from konomi.store.names import folder_of

SIDES = ("a", "b")
HOW = ("store", "until", "refresh", "deadline", "name")
"""What says how a run went, and not what it made."""
LONGEST = 56
"""Characters of a value that are shown; `--json` has all."""


def main(argv: Sequence[str]) -> int:
    """Show how two artifacts differ."""
    arguments = with_store(parser("diff", "A B [--store FOLDER] [--json]"))
    arguments.add_argument("which", nargs=2, metavar="A B", help="keys, their beginnings, names, stages, folders")
    arguments.add_argument("--json", action="store_true", help="print JSON and nothing else")
    given, store = parsed(arguments, argv)
    found = difference(store, *(read_manifest(folder_of(store, word)) for word in given.which))
    print(json.dumps(found, ensure_ascii=False, indent=1) if given.json else "\n".join(lines(found)))
    return 0


def difference(store: Store, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs between two manifests, by section and then by name, each as `[a, b]`; results whole."""
    both = (first, second)
    made = [{name: item.get(name) for name in ("stage", "plugin", "recipe", "overrides")} for item in both]
    versions = [item.get("versions") or {} for item in both]
    code = [flat(item.get("git") or {}) for item in both]
    recipes = [_recipe(store, item) for item in both]
    alone = recipes[0].keys() ^ recipes[1].keys()
    recipes = [
        flat({name: value for name, value in item.items() if name not in alone}) | _named(item, alone)
        for item in recipes
    ]
    results = [{name: value for name, value in flat(item.get("results") or {}).items() if not isinstance(value, list)}
               for item in both]  # fmt: skip
    spent = [{"time": duration(item.get("seconds")), "peak memory": size(item.get("peak_memory"))} for item in both]
    return {
        **{side: item["key"] for side, item in zip(SIDES, both, strict=True)},
        "made by": _changed(*made),
        "recipe": _changed(*recipes),
        "versions": _changed(*versions),
        "code": _changed(*code),
        "results": _paired(*results),
        "spent": _paired(*spent),
    }


def _recipe(store: Store, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a recipe that the artifact was made by: its stage and those before it, as composed."""
    config = manifest.get("recipe_config") or {}
    stages = {str(item["stage"]) for item in lineage_of(store, manifest).values()} | {str(manifest["stage"])}
    known = {
        name
        for name, value in config.items()
        if isinstance(value, dict) and str(value.get("plugin")).startswith("stage/")
    }
    return {name: value for name, value in config.items() if name not in HOW and (name not in known or name in stages)}


def _named(recipe: Mapping[str, Any], alone: set[str]) -> dict[str, Any]:
    """Return what only one of two recipes has by its plugin's name: its options tell nothing."""
    held = {name: recipe[name] for name in recipe if name in alone}
    return {name: value.get("plugin", value) if isinstance(value, dict) else value for name, value in held.items()}


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return nested mappings as one, by dotted path.

    >>> flat({"a": {"b": 1, "c": [2]}})
    {'a.b': 1, 'a.c': [2]}
    """
    if not isinstance(value, Mapping):
        return {path: value}
    return {at: item for name, held in value.items() for at, item in flat(held, f"{path}.{name}".lstrip(".")).items()}


def _paired(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {
        name: [first.get(name), second.get(name)] for name in [*first, *(item for item in second if item not in first)]
    }


def _changed(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: pair for name, pair in _paired(first, second).items() if pair[0] != pair[1]}


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a difference as a person reads it: a table for each section that has something to say."""
    rows = [("", *(str(found[side]) for side in SIDES))]
    for section, pairs in found.items():
        if isinstance(pairs, dict) and pairs:
            rows.append((section, "", ""))
            rows += [(f"  {name}", *(_shown(value) for value in pair)) for name, pair in pairs.items()]
    yield from table(rows)
    if found["a"] == found["b"]:
        yield "one and the same artifact"


def _shown(value: Any) -> str:
    if isinstance(value, float | int) and not isinstance(value, bool):
        return compact(value) if isinstance(value, float) else f"{value}"
    text = value if isinstance(value, str) else "–" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
