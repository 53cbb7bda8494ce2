"""What stages keep between runs beside the artifacts: files that are made one by one, such as the scores of a shard.

shelves/<name>-<hash>/
    FILE                what was put there, whole; never changed but by more of the same
    locks/FILE.lock     held by who adds to the file
    refs/<key>          an empty file for each stage that reads the shelf; `konomi store gc` goes by them

A shelf's hash is that of everything that shapes its files, so whoever finds one there can take it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from konomi.store.locks import held
from konomi.store.seal import make_folder, sync_file, sync_folder

DIGITS = 24
REFS, LOCKS = "refs", "locks"


@dataclass(frozen=True)
class Shelf:
    """A folder of files, each put whole or not at all; any number of processes may fill one at once."""

    folder: Path
    lock: str = "file"
    """One of `konomi.store.locks.LOCKS`."""

    @contextlib.contextmanager
    def adding(self, name: str) -> Iterator[None]:
        """Hold a file while more is added to it: who reads it, adds and puts it back must do so alone."""
        folder = self.folder / LOCKS
        folder.mkdir(parents=True, exist_ok=True)
        with held(folder, name, self.lock):
            yield

    def path(self, name: str) -> Path:
        """Return where a file is, or will be."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Tell whether a file is there."""
        return self.path(name).exists()

    @contextlib.contextmanager
    def put(self, name: str) -> Iterator[Path]:
        """Give a path to write to; when the block ends well, the file takes its place under `name`."""
        make_folder(self.folder)
        written = self.folder / f".{name}.{os.getpid()}.{os.urandom(4).hex()}"
        try:
            yield written
            sync_file(written)
            written.replace(self.path(name))
            sync_folder(self.folder)
        finally:
            written.unlink(missing_ok=True)

    def refer(self, key: str) -> None:
        """Note that a stage reads this shelf."""
        refs = self.folder / REFS
        refs.mkdir(parents=True, exist_ok=True)
        (refs / key).touch()


def shelf_name(name: str, parts: Mapping[str, Any]) -> str:
    """Return the folder name of a shelf: what it holds, and a hash of what shapes it (JSON values)."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}"
