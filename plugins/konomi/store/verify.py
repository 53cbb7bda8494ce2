"""Whether what the store holds is what was published: the manifest's seal of every file, and nothing else there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from konomi.store.artifact import MANIFEST
from konomi.store.seal import fingerprint
from konomi.store.shelf import damage
from konomi.store.store import Store

Advance = Callable[[int], None]
"""Called with the bytes that have been read."""


@dataclass
class Verdict:
    """What was found of one entry of the store."""

    key: str
    wrong: list[str] = field(default_factory=list)
    """What does not hold, a line each."""
    sealed: bool = True
    """Whether the manifest has seals; those that an earlier version published have none."""
    size: int = 0
    """Bytes that were read."""


def entries(store: Store) -> list[Path]:
    """Return everything in the folder of artifacts, whole or not."""
    objects = store.root / "objects"
    return sorted(objects.iterdir()) if objects.is_dir() else []


def verify(path: Path, key_of: Callable[[Mapping[str, Any]], str], advance: Advance = lambda size: None) -> Verdict:
    """Compare an artifact with its manifest; `key_of` gives the key that a manifest's `key_parts` make."""
    verdict = Verdict(path.name)
    if path.is_symlink() or not path.is_dir():
        verdict.wrong.append("is no folder, so konomi did not put it here")
        return verdict
    manifest = _manifest(path, verdict)
    if manifest is None:
        return verdict
    if manifest.get("key") != path.name:
        verdict.wrong.append(f"{MANIFEST} is that of {manifest.get('key')}")
    parts = manifest.get("key_parts")
    if isinstance(parts, dict) and "plugin" in parts and key_of(parts) != path.name:
        verdict.wrong.append(f"{MANIFEST}: its key_parts make another key, {key_of(parts)}")
    files = manifest.get("files")
    if isinstance(files, dict):
        _compare(path, files, verdict, advance)
    else:
        verdict.sealed = False
    return verdict


def verify_shelf(path: Path) -> Verdict:
    """Look whether a shelf's files can be read, as far as their ends tell: what was cut off is seen, not every bit."""
    found = Verdict(f"{path.parent.name}/{path.name}", sealed=False)
    for file in sorted(path.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            found.size += file.stat().st_size
            if wrong := damage(file):
                found.wrong.append(f"{file.name} cannot be read: {wrong}")
    return found


def _manifest(path: Path, verdict: Verdict) -> dict[str, Any] | None:
    try:
        value = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        verdict.wrong.append(f"has no {MANIFEST}, so no reader takes it for an artifact")
    except (OSError, ValueError) as error:
        verdict.wrong.append(f"{MANIFEST} cannot be read: {error}")
    else:
        if isinstance(value, dict):
            return value
        verdict.wrong.append(f"{MANIFEST} holds no mapping")
    return None


def _compare(path: Path, files: dict[str, Any], verdict: Verdict, advance: Advance) -> None:
    found = {}
    for top, folders, names in os.walk(path):
        for name in [*names, *(folder for folder in folders if (Path(top) / folder).is_symlink())]:
            file = Path(top) / name
            found[file.relative_to(path).as_posix()] = file
    found.pop(MANIFEST, None)
    verdict.wrong += [f"{name} is missing" for name in sorted(files.keys() - found.keys())]
    verdict.wrong += [f"{name} is not in {MANIFEST}" for name in sorted(found.keys() - files.keys())]
    for name in sorted(files.keys() & found.keys()):
        verdict.wrong += _differs(found[name], name, files[name])
        size = found[name].lstat().st_size
        verdict.size += size
        advance(size)


def _differs(file: Path, name: str, sealed: Any) -> list[str]:
    if file.is_symlink():
        return [f"{name} is a link"]
    if not isinstance(sealed, dict):
        return [f"{MANIFEST} has no seal for {name}"]
    if (size := file.stat().st_size) != sealed.get("size"):
        return [f"{name} has {size} bytes, and {sealed.get('size')} were published"]
    try:
        same = fingerprint(file)["xxh3"] == sealed.get("xxh3")
    except OSError as error:
        return [f"{name} cannot be read: {error.strerror or error}"]
    return [] if same else [f"{name} is not what was published (its hash differs)"]
