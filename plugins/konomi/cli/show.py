"""`konomi show ARTIFACT|NAME`: what made an artifact."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from konomi.cli import parser
from konomi.faults import KonomiError, did_you_mean
from konomi.report.figures import duration, size
from konomi.report.text import printable
from konomi.store import Store
from konomi.store.artifact import MANIFEST


def main(argv: Sequence[str]) -> int:
    """Show an artifact's recipe, lineage, versions and results."""
    arguments = parser("show", "ARTIFACT|NAME [--store FOLDER] [--json]")
    arguments.add_argument(
        "which", help="a key or the beginning of one, a stage's name (its newest artifact), a folder"
    )
    arguments.add_argument("--store", default=None, help="folder of artifacts (default: KONOMI_STORE, else .konomi)")
    arguments.add_argument("--json", action="store_true", help="print the whole manifest as JSON and nothing else")
    given = arguments.parse_args(argv)
    folder = find(given.which, store_of(given.store))
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    print(printable(json.dumps(manifest, ensure_ascii=False, indent=1) if given.json else text(manifest, folder)))
    return 0


def store_of(folder: str | None) -> Store:
    """Return the store that a command speaks of."""
    import os

    return Store(folder or os.environ.get("KONOMI_STORE") or ".konomi")


def find(which: str, store: Store) -> Path:
    """Return the folder of an artifact: a folder itself, a key, the beginning of one, or a stage's newest."""
    path = Path(which)
    if (path / MANIFEST).is_file():
        return path
    keys = store.made()
    if which in keys:
        return store.path(which)
    begun = [key for key in keys if key.startswith(which)]
    if len(begun) == 1:
        return store.path(begun[0])
    manifests = {key: store.manifest(key) for key in keys}
    named = [key for key, manifest in manifests.items() if manifest["stage"] == which]
    if named:
        return store.path(max(named, key=lambda key: float(manifests[key]["started"])))
    if begun:
        raise KonomiError(f"{which} begins {len(begun)} keys: {', '.join(begun)}")
    stages = {manifest["stage"] for manifest in manifests.values()}
    raise KonomiError(f"there is no artifact {which} in {store.root}; {did_you_mean(which, [*stages, *keys])}")


def text(manifest: dict[str, Any], folder: Path) -> str:
    """Return a manifest as a person reads it."""
    import yaml

    versions = manifest["versions"]
    kept = [f"{name} {versions[name]}" for name in ("konomi", "torch", "transformers", "trl") if name in versions]
    git = manifest.get("git")
    lines = [
        f"{manifest['key']}",
        f"  made by    the stage {manifest['stage']} ({manifest['plugin']}) of the recipe {manifest['recipe']}",
        f"  overrides  {' '.join(manifest['overrides']) or 'none'}",
        f"  folder     {folder}",
        f"  when       {time.strftime('%Y-%m-%d %H:%M', time.localtime(manifest['started']))},"
        f" {duration(manifest['seconds'])}, {size(manifest['peak_memory'])}",
        f"  versions   {', '.join(kept)}",
    ]
    if git:
        lines.append(f"  git        {git['commit'][:12]}{' with changes' if git['dirty'] else ''}")
    lines += [f"  reads      {where}: {key}" for where, key in manifest["inputs"].items()]
    lines += ["  options", *_indented(yaml.safe_dump(manifest["config"], allow_unicode=True, sort_keys=False))]
    results = {name: value for name, value in manifest["results"].items() if not isinstance(value, (dict, list))}
    if results:
        lines += ["  results", *_indented(yaml.safe_dump(results, allow_unicode=True, sort_keys=False))]
    return "\n".join(lines)


def _indented(block: str) -> list[str]:
    return [f"    {line}" for line in block.rstrip().splitlines()]
