"""Which run folders and names refer to an artifact, and what none refers to any more.

runs/<hash of the folder>.json     a run: its folder, the machine, the keys of its stages

A run is recorded before its first stage, so what a running process is about to read is referred to.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from konomi.faults import KonomiError
from konomi.store import shelf
from konomi.store.artifact import MANIFEST
from konomi.store.names import names
from konomi.store.store import Store
from konomi.store.writers import abandoned

RUN = "run.json"


class _Busy(KonomiError):
    """Another process is making the artifact."""


def record_run(store: Store, folder: Path, recipe: str, keys: Iterable[str]) -> None:
    """Note in the store that a run's folder refers to artifacts."""
    folder = folder.resolve()
    record = {"folder": str(folder), "host": platform.node(), "recipe": recipe, "time": time.time(), "keys": [*keys]}
    target = store.root / "runs" / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:24]}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    with store.writing() as scratch:
        written = scratch / target.name
        written.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
        written.replace(target)


@dataclass
class References:
    """Who refers to which artifact."""

    runs: dict[str, list[str]] = field(default_factory=dict)
    """Run folders, by key."""
    names: dict[str, list[str]] = field(default_factory=dict)
    """Names, by key."""
    unseen: list[str] = field(default_factory=list)
    """Folders of runs on other machines that cannot be seen from here; they count as there."""
    gone: list[Path] = field(default_factory=list)
    """Records of runs whose folders are gone."""

    def keys(self) -> set[str]:
        """Return the keys that a run's folder or a name refers to."""
        return {*self.runs, *self.names}


def references(store: Store, further: Iterable[Path] = (), *, elsewhere: bool = False) -> References:
    """Return who refers to what: recorded runs, the runs below the folders `further`, and names.

    With `elsewhere`, runs of other machines whose folders cannot be seen from here count as gone.
    """
    found = References()
    folders: dict[str, set[str]] = {}
    for path in sorted((store.root / "runs").glob("*.json")):
        record = _json(path)
        folder = Path(str(record.get("folder", "")))
        seen = bool(record) and folder.is_dir()
        if not seen and (elsewhere or record.get("host") == platform.node() or not record):
            found.gone.append(path)
            continue
        if not seen:
            found.unseen.append(f"{folder} on {record.get('host')}")
        folders.setdefault(str(folder), set()).update(map(str, record.get("keys", [])))
    for file in (run for top in further for run in top.rglob(RUN)):
        keys = {str(row["key"]) for row in _json(file).get("stages", []) if "key" in row}
        folders.setdefault(str(file.parent.resolve()), set()).update(keys)
    for name, keys in folders.items():
        for key in {*keys, *_linked(store, Path(name))}:
            found.runs.setdefault(key, []).append(name)
    for name, key in names(store).items():
        found.names.setdefault(key, []).append(name)
    return found


def _linked(store: Store, folder: Path) -> Iterator[str]:
    """Yield the keys that a run's folder links to; a folder that was run in twice keeps older links."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if entry.is_symlink():
                target = Path(os.path.realpath(entry.path))
                if target.parent == Path(os.path.realpath(store.path(""))):
                    yield target.name


def _json(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        value = json.loads(path.read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else {}
    return {}


def lineage(store: Store, keys: Iterable[str]) -> set[str]:
    """Return the keys of artifacts and of all that they were made from, as far as the store holds it."""
    found: set[str] = set()
    todo = list(keys)
    while todo:
        key = todo.pop()
        if key not in found and store.has(key):
            found.add(key)
            inputs = _json(store.path(key) / MANIFEST).get("inputs") or {}
            todo += [str(item) for item in inputs.values()]
    return found


ARTIFACT, ATTEMPTS, SHELF, CURVES, REPLACED, COMMAND = (
    "artifact", "attempts", "shelf", "curves", "replaced", "command",
)  # fmt: skip
FOLDERS = {ATTEMPTS: "work", CURVES: "curves", REPLACED: "replaced"}
"""Folders of the store with an entry for each key."""


@dataclass(frozen=True)
class Unreferenced:
    """Something that can go."""

    key: str
    path: Path
    size: int
    kind: str = ARTIFACT
    """`artifact`; `attempts`, `curves` or `replaced`, which attempts at one left; `shelf`; `command`."""


def kept(store: Store, held: References, *, inputs: bool = False) -> set[str]:
    """Return the keys that stay: what is referred to and, unless `inputs` may go, what that was made from."""
    return held.keys() if inputs else held.keys() | lineage(store, held.keys())


def unreferenced(store: Store, stay: set[str]) -> list[Unreferenced]:
    """Return the artifacts whose keys do not stay, what attempts at them left, and the shelves that only they read."""
    found = [Unreferenced(key, store.path(key), size_of(store.path(key))) for key in store.made() if key not in stay]
    for kind, folder in FOLDERS.items():
        found += [_item(path, kind) for path in _inside(store, folder) if path.name not in stay]
    found += [_item(path, SHELF) for path in shelves(store) if not shelf.references(path) & stay]
    return found + [_item(path, COMMAND) for path in _inside(store, "commands") if abandoned(path, "")]


def shelves(store: Store) -> list[Path]:
    """Return the folders of what stages keep beside the artifacts."""
    return _inside(store, "shelves")


def _inside(store: Store, folder: str) -> list[Path]:
    return sorted((store.root / folder).iterdir()) if (store.root / folder).is_dir() else []


def _item(path: Path, kind: str) -> Unreferenced:
    return Unreferenced(path.name, path, size_of(path), kind)


def delete(
    store: Store, items: Iterable[Unreferenced], stay: Callable[[], set[str]]
) -> Iterator[tuple[Unreferenced, str]]:
    """Delete what is unreferenced, yielding each with the reason why it stayed after all ("" where it has gone).

    `stay` is asked again wherever a run or a name was recorded meanwhile.
    """
    mark, keys = _mark(store), stay()
    for item in items:
        try:
            with contextlib.ExitStack() as locks:
                for key in sorted(_keys(item)):
                    locks.enter_context(store.lock(key, _refuse))
                if (now := _mark(store)) != mark:
                    mark, keys = now, stay()
                if _keys(item) & keys:
                    yield item, "a run or a name has come to refer to it"
                    continue
                aside = store.set_aside(item.path)
                if item.kind == SHELF and shelf.references(aside) & stay():
                    store.put_back(aside, item.path)  # a run took it between the two looks
                    yield item, "a run has come to refer to it"
                    continue
                store.clear(aside)
                if item.kind == ARTIFACT:
                    store.record({"event": "removed", "key": item.key})
        except _Busy:
            yield item, "a process is making it" if item.kind != SHELF else "a process is reading it"
            continue
        yield item, ""


def _keys(item: Unreferenced) -> set[str]:
    """Return the keys of which one that stays keeps an item."""
    if item.kind == SHELF:
        return shelf.references(item.path)
    return set() if item.kind == COMMAND else {item.key}


def _refuse() -> None:
    raise _Busy


def _mark(store: Store) -> tuple[int, ...]:
    """Return what changes whenever a run or a name is recorded."""
    folders = (store.root / "runs", store.root / "names")
    return tuple(folder.stat().st_mtime_ns if folder.is_dir() else 0 for folder in folders)


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files, or of a file."""
    if not folder.is_dir():
        return folder.lstat().st_size
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
