"""`konomi show ARTIFACT`: what made an artifact."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from konomi.cli import parser
from konomi.cli.store import parsed, with_store
from konomi.faults import KonomiError
from konomi.report.figures import duration, size
from konomi.report.text import printable
from konomi.store import Store
from konomi.store.artifact import MANIFEST
from konomi.store.names import folder_of, names

NEEDED = ("key", "stage", "plugin", "recipe")
"""What no manifest lacks."""


def main(argv: Sequence[str]) -> int:
    """Show an artifact's recipe, lineage, versions and results."""
    arguments = with_store(parser("show", "ARTIFACT [--store FOLDER] [--json]"))
    arguments.add_argument(
        "which",
        help="a key or the beginning of one, a name, a stage (its newest artifact), a folder (RUN_FOLDER/STAGE)",
    )
    arguments.add_argument("--json", action="store_true", help="print the whole manifest as JSON and nothing else")
    given, store = parsed(arguments, argv)
    folder = folder_of(store, given.which)
    manifest = read_manifest(folder)
    shown = json.dumps(manifest, ensure_ascii=False, indent=1) if given.json else text(manifest, folder, store)
    print(printable(shown))
    return 0


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest in an artifact's folder, in the store or copied out of it."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise KonomiError(f"{folder / MANIFEST} cannot be read: {error}; konomi store verify says more") from error
    if not isinstance(manifest, dict) or any(name not in manifest for name in NEEDED):
        raise KonomiError(f"{folder / MANIFEST} is no manifest of konomi's: it lacks {', '.join(NEEDED)}")
    return manifest


def lineage_of(store: Store, manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the manifests of all that an artifact was made from, by key, as far as the store holds them."""
    found: dict[str, dict[str, Any]] = {}
    todo = list((manifest.get("inputs") or {}).values())
    while todo:
        key = todo.pop(0)
        if key not in found and store.has(key):
            found[key] = read_manifest(store.path(key))
            todo += (found[key].get("inputs") or {}).values()
    return found


def text(manifest: Mapping[str, Any], folder: Path, store: Store) -> str:
    """Return a manifest as a person reads it."""
    versions = manifest.get("versions") or {}
    kept = [f"{name} {versions[name]}" for name in ("konomi", "torch", "transformers", "trl") if name in versions]
    git = manifest.get("git")
    called = [name for name, key in names(store).items() if key == manifest["key"]]
    lines = [
        f"{manifest['key']}",
        *([f"  named      {', '.join(called)}"] if called else []),
        f"  made by    the stage {manifest['stage']} ({manifest['plugin']}) of the recipe {manifest['recipe']}",
        f"  overrides  {' '.join(manifest.get('overrides') or []) or 'none'}",
        f"  folder     {folder}",
        f"  when       {time.strftime('%Y-%m-%d %H:%M', time.localtime(manifest.get('started') or 0))},"
        f" {duration(manifest.get('seconds'))}, {size(manifest.get('peak_memory'))}",
        f"  versions   {', '.join(kept)}",
    ]
    if git:
        lines.append(f"  git        {git['commit'][:12]}{' with changes' if git['dirty'] else ''}")
    if manifest.get("inputs"):
        lines += ["  made from", *tree(manifest, lineage_of(store, manifest), "    ", set())]
    lines += _block("options", manifest.get("config") or {})
    results = {
        name: value for name, value in (manifest.get("results") or {}).items() if not isinstance(value, (dict, list))
    }
    return "\n".join([*lines, *_block("results", results)])


def tree(
    manifest: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]], indent: str, seen: set[str]
) -> Iterator[str]:
    """Yield the lineage of an artifact, a line for each input, with what it was made from below it."""
    for where, key in (manifest.get("inputs") or {}).items():
        if key not in known:
            yield f"{indent}{where}: {key} (not in this store)"
        elif key in seen:
            yield f"{indent}{where}: {key} (as above)"
        else:
            seen.add(key)
            yield f"{indent}{where}: {key} ({known[key]['stage']})"
            yield from tree(known[key], known, f"{indent}  ", seen)


def _block(title: str, values: Mapping[str, Any]) -> list[str]:
    import yaml

    shown = yaml.safe_dump(dict(values), allow_unicode=True, sort_keys=False).rstrip().splitlines() if values else []
    return [f"  {title}", *(f"    {line}" for line in shown)] if shown else []
