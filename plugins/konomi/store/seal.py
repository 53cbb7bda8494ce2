"""Seals: a folder's own word on what it holds, written last, so that a torn or damaged checkpoint is never resumed."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

SEAL = "sealed.json"
_CHUNK = 1 << 20


def seal(folder: Path, **facts: Any) -> None:
    """Sync a folder's files and write `sealed.json`: names, sizes, xxh3 hashes, and `facts` (`world_size=2`)."""
    files = fingerprints(folder)
    sync_tree(folder)
    written = folder / f".{SEAL}.tmp"
    with written.open("w", encoding="utf-8") as stream:
        json.dump({"files": files, **facts}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    written.rename(folder / SEAL)
    sync_folder(folder)
    sync_folder(folder.parent)


def fingerprints(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the size and the xxh3 hash of each of a folder's files, by its path in it."""
    return {file.relative_to(folder).as_posix(): fingerprint(file) for file in _files(folder)}


def fingerprint(file: Path) -> dict[str, Any]:
    """Return what a seal says of a file: its size and its xxh3 hash."""
    return {"size": file.stat().st_size, "xxh3": _xxh3(file)}


def verified(folder: Path) -> dict[str, Any]:
    """Return the facts of a folder's seal; raises `ValueError` with the first thing that does not hold."""
    try:
        facts = dict(json.loads((folder / SEAL).read_text(encoding="utf-8")))
        expected = {name: (said["size"], said["xxh3"]) for name, said in facts.pop("files").items()}
    except FileNotFoundError:
        raise ValueError("it was never sealed") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its {SEAL} cannot be read") from error
    found = {file.relative_to(folder).as_posix(): file for file in _files(folder)}
    for name in sorted(found.keys() | expected.keys()):
        if name not in found:
            raise ValueError(f"{name} is missing")
        if name not in expected:
            raise ValueError(f"{name} was added after it was sealed")
        try:
            holds = found[name].stat().st_size == expected[name][0] and _xxh3(found[name]) == expected[name][1]
        except OSError as error:
            raise ValueError(f"{name} cannot be read: {error.strerror}") from error
        if not holds:
            raise ValueError(f"{name} is not what was sealed")
    return facts


def sealed(folder: Path) -> dict[str, Any] | None:
    """Return the facts of a folder whose seal holds, None where it has none or a file differs, lacks or was added."""
    try:
        return verified(folder)
    except ValueError:
        return None


def newest_sealed(folder: Path, pattern: str = "checkpoint-*") -> Path | None:
    """Return the checkpoint of the highest step below `folder` (any attempt) whose seal holds; logs the others."""
    found = [path for path in folder.rglob(pattern) if path.is_dir() and path.name.rpartition("-")[2].isdigit()]
    found.sort(key=lambda path: (int(path.name.rpartition("-")[2]), path.parent.name), reverse=True)
    for path in found:
        try:
            verified(path)
        except ValueError as wrong:
            log.warning("%s is not resumed from: %s", path, wrong)
        else:
            return path
    return None


def sync_tree(folder: Path) -> None:
    """Write a folder's files and then its sub-folders, from the bottom up, to the disk."""
    for top, _, files in os.walk(folder, topdown=False):
        for name in files:
            if not (path := Path(top) / name).is_symlink():  # a link is an entry of its folder, and may lead nowhere
                _sync(path, os.O_RDONLY)
        sync_folder(Path(top))


def sync_file(path: Path) -> None:
    """Write a file to the disk."""
    _sync(path, os.O_RDONLY)


def sync_folder(folder: Path) -> None:
    """Write a folder's own entries to the disk, so that a rename in it outlives a power cut."""
    _sync(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, each entered into its parent on the disk."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync_folder(each.parent)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (SEAL, f".{SEAL}.tmp"))


def _xxh3(path: Path) -> str:
    import xxhash

    digest = xxhash.xxh3_128()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
