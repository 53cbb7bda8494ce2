"""`konomi store ls | why A B | gc | verify`: what there is, why keys differ, what can go, whose seals do not hold."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from konomi.cli import parser
from konomi.faults import KonomiError, did_you_mean
from konomi.recipe.keys import differences
from konomi.report.figures import duration, size
from konomi.store import Store, shelf
from konomi.store.collect import (
    ARTIFACT,
    ATTEMPTS,
    COMMAND,
    CURVES,
    REPLACED,
    SHELF,
    References,
    Unreferenced,
    delete,
    kept,
    references,
    shelves,
    size_of,
    unreferenced,
)  # fmt: skip
from konomi.store.names import key_of
from konomi.store.verify import Verdict, entries, verify, verify_shelf

USAGE = """ls | why A B | gc | verify   [--store FOLDER] [--json]

  konomi store ls                  every artifact: stage, recipe, size, age, names, the runs that refer to it
  konomi store why A B             which options make two keys differ
  konomi store gc                  list what no run's folder and no name refers to any more
  konomi store gc --delete         …and delete it
  konomi store verify              compare every file with the seal in its manifest; open those of the shelves"""
RUN_FOLDERS = ("runs", "multirun")
"""Folders of the working folder where runs are looked for beside those that the store knows."""
WORDS = ("ls", "why", "gc", "verify")


def main(argv: Sequence[str]) -> int:
    """Carry out one of the store's commands."""
    arguments = with_store(parser("store", USAGE))
    arguments.add_argument("word", nargs="?", help=" | ".join(WORDS))
    arguments.add_argument(
        "which", nargs="*", metavar="ARTIFACT", help="a key, its beginning, a name, RUN_FOLDER/STAGE"
    )
    arguments.add_argument("--json", action="store_true", help="print JSON and nothing else")
    arguments.add_argument("--delete", action="store_true", help="gc: delete what it lists")
    arguments.add_argument("--inputs", action="store_true", help="gc: what kept artifacts were made from may go, too")
    arguments.add_argument("--elsewhere", action="store_true", help="gc: runs that cannot be seen from here are gone")
    arguments.add_argument(
        "--runs", action="append", type=Path, metavar="FOLDER", help="gc, ls: further folders with runs (moved ones)"
    )
    given, store = parsed(arguments, argv)
    if given.word not in WORDS:
        hint = "type konomi store ls" if given.word is None else did_you_mean(given.word, WORDS)
        raise KonomiError(f"store does {', '.join(WORDS)}; {hint}")
    if (given.word == "why") != bool(given.which) or (given.which and len(given.which) != 2):
        needed = "type konomi store why A B, with two artifacts"
        spare = f"konomi store {given.word} takes no artifact; leave out {' '.join(given.which)}"
        raise KonomiError(needed if given.word == "why" else spare)
    if given.delete and given.word != "gc":
        raise KonomiError("--delete belongs to gc; type konomi store gc --delete")
    if not (store.root / "objects").is_dir():
        raise KonomiError(f"there is no store {store.root}; choose one with --store FOLDER")
    return {"ls": _ls, "why": _why, "gc": _gc, "verify": _verify}[given.word](given, store)


def with_store(arguments: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the option that chooses the store; `store=FOLDER` is the same."""
    arguments.add_argument("--store", default=None, help="folder of artifacts (default: KONOMI_STORE, else .konomi)")
    return arguments


def parsed(arguments: argparse.ArgumentParser, argv: Sequence[str]) -> tuple[Any, Store]:
    """Return what was typed, in any order, and the store that it speaks of."""
    words = [f"--{word}" if word.startswith("store=") else word for word in argv]
    given = arguments.parse_intermixed_args(words)
    return given, Store(given.store or os.environ.get("KONOMI_STORE") or ".konomi")


def _references(given: Any, store: Store) -> References:
    for folder in given.runs or ():
        if not folder.is_dir():
            raise KonomiError(f"--runs: there is no folder {folder}")
    here = [Path(name) for name in RUN_FOLDERS if Path(name).is_dir()]
    return references(store, [*here, *(given.runs or ())], elsewhere=given.elsewhere)


def _ls(given: Any, store: Store) -> int:
    held = _references(given, store)
    found = [_entry(store, key, held) for key in store.made()]
    found.sort(key=lambda entry: entry["made"] or 0)
    shelved = [_shelf_entry(path, held) for path in shelves(store)]
    if given.json:
        print(json.dumps(found + shelved, ensure_ascii=False, indent=1))
        return 0
    rows = [("key", "stage", "recipe", "size", "age", "runs", "names")]
    for entry in found:
        age = duration(time.time() - entry["made"]) if entry["made"] else "?"
        rows.append(
            (entry["key"], entry["stage"], entry["recipe"], size(entry["size"]), age, str(len(entry["runs"])),
             ", ".join(entry["names"]))
        )  # fmt: skip
    print("\n".join(table(rows, right=(3, 4, 5))))
    total = sum(entry["size"] for entry in found)
    print(f"{len(found)} artifacts, {size(total)}, in {store.root}")
    if shelved:
        beside = size(sum(entry["size"] for entry in shelved))
        print(f"{len(shelved)} shelves beside them, {beside}: rows, scores and duplicates that curations use again")
    return 0


def _entry(store: Store, key: str, held: References) -> dict[str, Any]:
    """Return what `ls` says of an artifact; one whose manifest is damaged is listed, too."""
    try:
        manifest = store.manifest(key)
    except (OSError, ValueError):
        manifest = {"stage": "damaged"}
    files = manifest.get("files")
    counted = sum(file["size"] for file in files.values()) if isinstance(files, dict) else size_of(store.path(key))
    return {
        "key": key, "stage": str(manifest.get("stage", "?")), "plugin": str(manifest.get("plugin", "?")),
        "recipe": str(manifest.get("recipe", "?")), "makes": str(manifest.get("makes", "?")), "size": counted,
        "made": manifest.get("started"), "names": held.names.get(key, []), "runs": held.runs.get(key, []),
        "path": str(store.path(key)),
    }  # fmt: skip


def _shelf_entry(path: Path, held: References) -> dict[str, Any]:
    """Return what `ls` says of a shelf, with the columns of an artifact."""
    keys = sorted(shelf.references(path))
    return {
        "key": f"{path.parent.name}/{path.name}", "stage": "shelf", "plugin": "", "recipe": "", "makes": "",
        "size": size_of(path), "made": path.stat().st_mtime, "names": [],
        "runs": sorted({run for key in keys for run in held.runs.get(key, [])}), "path": str(path), "read_by": keys,
    }  # fmt: skip


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Yield the lines of a table whose first row is its head; the columns `right` are figures."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    for row in rows:
        cells = [
            f"{cell:>{width}}" if index in right else f"{cell:<{width}}"
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _why(given: Any, store: Store) -> int:
    old, new = (key_of(store, word) for word in given.which)
    found = compared(store, old, new)
    print(json.dumps(found, ensure_ascii=False, indent=1) if given.json else "\n".join(why_lines(found)))
    return 0


def compared(store: Store, old: str, new: str, seen: set[tuple[str, str]] | None = None) -> dict[str, Any]:
    """Return why two keys differ: the options, and for each input that differs, why that one does."""
    seen = set() if seen is None else seen
    found: dict[str, Any] = {"a": old, "b": new, "differs": [], "inputs": {}}
    if old == new or (old, new) in seen or not (store.has(old) and store.has(new)):
        return found
    seen.add((old, new))
    before, after = store.manifest(old), store.manifest(new)
    inputs = [dict(item.get("inputs") or {}) for item in (before, after)]
    for where in sorted(inputs[0].keys() & inputs[1].keys()):
        if inputs[0][where] != inputs[1][where]:
            found["inputs"][where] = compared(store, inputs[0][where], inputs[1][where], seen)
    told = {f"{where}.artifact" for where in found["inputs"]}
    listed = differences(after.get("key_parts", {}), before.get("key_parts", {}))
    found["differs"] = [line for line in listed if line.partition(":")[0] not in told]
    return found


def why_lines(found: dict[str, Any], indent: str = "") -> Iterator[str]:
    """Yield the lines that tell why two keys differ."""
    if found["a"] == found["b"]:
        yield f"{indent}{found['a']}: one and the same artifact"
        return
    yield f"{indent}{found['a']} → {found['b']}"
    yield from (f"{indent}  {line}" for line in found["differs"])
    for where, below in found["inputs"].items():
        first, *rest = why_lines(below, f"{indent}  ")
        yield f"{indent}  {where}: {first.strip()}"
        yield from rest


def _gc(given: Any, store: Store) -> int:
    def stay() -> set[str]:
        return kept(store, _references(given, store), inputs=given.inputs)

    held = _references(given, store)
    found = unreferenced(store, stay())
    if given.delete:
        outcome = list(delete(store, found, stay))
        for path in held.gone:
            path.unlink(missing_ok=True)
    else:
        outcome = [(item, "") for item in found]
    freed = sum(item.size for item, stayed in outcome if not stayed)
    if given.json:
        rows = [dataclasses.asdict(item) | {"path": str(item.path), "stayed": stayed} for item, stayed in outcome]
        print(json.dumps({"deleted": given.delete, "bytes": freed, "found": rows, "unseen": held.unseen}, indent=1))
        return 0
    for item, stayed in outcome:
        print(_gc_line(item, stayed))
    for folder in held.unseen:
        print(f"kept for a run that cannot be seen from here: {folder} (--elsewhere counts it as gone)")
    left = len(store.made()) - (0 if given.delete else sum(item.kind == ARTIFACT for item in found))
    if given.delete:
        print(f"{size(freed)} freed ({freed:,} bytes); {left} artifacts stay")
    elif found:
        print(f"{size(freed)} can be freed ({freed:,} bytes), {left} artifacts stay; type konomi store gc --delete")
    else:
        print(f"nothing to delete: runs and names refer to all {left} artifacts")
    return 0


SAID = {
    ARTIFACT: "artifact",
    ATTEMPTS: "attempts at it",
    SHELF: "shelf: rows, scores or duplicates that no run's stage reads",
    CURVES: "curves of attempts at it",
    REPLACED: "what it was to replace",
    COMMAND: "refresh that was not finished",
}
"""What `gc` calls the kinds of things that can go."""


def _gc_line(item: Unreferenced, stayed: str) -> str:
    return f"{item.key}  {size(item.size):>9}  {SAID[item.kind]}" + (f"  stays: {stayed}" if stayed else "")


def _verify(given: Any, store: Store) -> int:
    from tqdm import tqdm

    from konomi.recipe.keys import key_of as made_key

    paths = entries(store)
    total = sum(size_of(path) for path in paths)
    with tqdm(
        total=total, unit="B", unit_scale=True, desc="verify", leave=False, disable=True if given.json else None
    ) as bar:
        verdicts = [verify(path, made_key, bar.update) for path in paths]
        looked = [verify_shelf(path) for path in shelves(store)]
    wrong = [verdict for verdict in (*verdicts, *looked) if verdict.wrong]
    if given.json:
        rows = [
            {"key": item.key, "wrong": item.wrong, "sealed": item.sealed, "bytes": item.size}
            for item in (*verdicts, *looked)
        ]
        print(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        print("\n".join((*_verdict_lines(verdicts), *_shelf_lines(looked))))
    return 1 if wrong else 0


def _verdict_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    for verdict in verdicts:
        yield from (f"{verdict.key}: {line}" for line in verdict.wrong)
    if unsealed := [verdict.key for verdict in verdicts if not verdict.sealed]:
        listed = ", ".join(unsealed)
        yield f"unsealed, since an earlier version of konomi published them; only manifests were read: {listed}"
    damaged = sum(bool(verdict.wrong) for verdict in verdicts)
    held = sum(verdict.sealed and not verdict.wrong for verdict in verdicts)
    counted = size(sum(verdict.size for verdict in verdicts))
    yield f"{held} of {len(verdicts)} artifacts hold what was published ({counted} read)" + (
        f"; {damaged} do not: delete their folders, and the same run makes them again" if damaged else ""
    )


def _shelf_lines(looked: Sequence[Verdict]) -> Iterator[str]:
    for verdict in looked:
        yield from (f"{verdict.key}: {line}" for line in verdict.wrong)
    damaged = sum(len(verdict.wrong) for verdict in looked)
    if looked:
        yield f"{len(looked)} shelves opened" + (
            f"; {damaged} files are damaged: delete them, and the same run makes them again" if damaged else ""
        )
