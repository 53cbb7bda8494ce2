"""What stages keep between runs beside the artifacts: files that are made one by one, such as the scores of a shard.

shelves/<name>-<hash>/
    FILE                what was put there, whole; never changed but by more of the same
    locks/FILE.lock     held by who adds to the file
    .<token>.FILE       being written
    refs/<key>          an empty file for each stage that reads the shelf; `konomi store gc` goes by them

A shelf's hash is that of everything that shapes its files, so whoever finds one there can take it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from konomi.faults import KonomiError
from konomi.store.locks import held
from konomi.store.seal import make_folder, sync_file, sync_folder
from konomi.store.writers import abandoned, token

log = logging.getLogger(__name__)

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

    def whole(self, name: str) -> bool:
        """Tell whether a file is there and ends as it should; a damaged one is deleted, to be made again."""
        if not self.has(name):
            return False
        if wrong := damage(self.path(name)):
            self.drop(name, wrong)
        return not wrong

    def drop(self, name: str, wrong: str) -> None:
        """Delete a damaged file."""
        log.warning("%s is damaged and is made again: %s", self.path(name), wrong)
        self.path(name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def put(self, name: str) -> Iterator[Path]:
        """Give a path to write to; when the block ends well, the file takes its place under `name`."""
        make_folder(self.folder)
        written = self.folder / f".{token()}.{name}"
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


def damage(path: Path) -> str:
    """Return why a file cannot be read, as far as its end tells, which is cheap and shows what was cut off; else ""."""
    import zipfile

    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            pq.read_metadata(path)
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".npz":
            zipfile.ZipFile(path).close()
    except (OSError, ValueError, zipfile.BadZipFile) as error:  # pyarrow's are among them
        return " ".join(str(error).split()) or type(error).__name__
    return ""


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say which file of a shelf is damaged, where one cannot be read."""
    try:
        yield
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None):
            raise  # the disk's word, not the file's
        said = " ".join(str(error).split())[:200]
        raise KonomiError(f"{path} is damaged ({said}); delete it, and the same command makes it again") from error


def half_written(shelf: Path) -> Iterator[Path]:
    """Yield the files of a shelf whose writers were killed."""
    for path in shelf.glob(".*"):
        if path.is_file() and abandoned(path, path.name[1:]):
            yield path


def references(shelf: Path) -> set[str]:
    """Return the keys of the stages that read a shelf."""
    refs = shelf / REFS
    return {path.name for path in refs.iterdir()} if refs.is_dir() else set()
