"""Publication by rename, make-once locks, and the record of what was made.

objects/<key>/          whole artifacts, each with its manifest, never changed
tmp/<token>/            being written; no reader looks here
work/<key>/<attempt>/   a training's checkpoints, one folder an attempt
curves/<key>/           what an experiment tracker wrote of a training
locks/<key>.lock        saves work; correctness never rests on it
trash/                  what is on its way out
events.jsonl            one line for each artifact that was made
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from konomi.faults import KonomiError
from konomi.store.artifact import MANIFEST
from konomi.store.seal import newest_sealed, sync_folder, sync_tree

POLL_SECONDS = 0.2
"""How often a waiter looks whether another process has finished the artifact."""


class Store:
    """A folder of artifacts. Any number of processes may use one at once."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).absolute()

    def path(self, key: str) -> Path:
        """Return where the artifact of a key is, or will be."""
        return self.root / "objects" / key

    def has(self, key: str) -> bool:
        """Tell whether the artifact is there, whole."""
        return (self.path(key) / MANIFEST).exists()

    def manifest(self, key: str) -> dict[str, Any]:
        """Return the manifest of an artifact."""
        value: dict[str, Any] = json.loads((self.path(key) / MANIFEST).read_text(encoding="utf-8"))
        return value

    def made(self) -> list[str]:
        """Return the keys of all whole artifacts."""
        objects = self.root / "objects"
        return sorted(path.name for path in objects.iterdir() if self.has(path.name)) if objects.exists() else []

    def work(self, key: str) -> Path:
        """Return the folder of all attempts at an artifact."""
        return self.root / "work" / key

    def resume(self, key: str) -> Path | None:
        """Return the newest checkpoint of any attempt whose seal holds."""
        return newest_sealed(self.work(key)) if self.work(key).exists() else None

    @contextlib.contextmanager
    def attempt(self, key: str) -> Iterator[Path]:
        """Give a new folder for one attempt's checkpoints; it stays behind, for a successor to read."""
        folder = self.work(key) / f"{time.time_ns():020d}-{os.urandom(4).hex()}"
        yield folder
        with contextlib.suppress(OSError):
            folder.rmdir()  # an attempt that left nothing leaves no folder

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """Give a new folder to fill; whatever was not published from it is removed."""
        folder = self.root / "tmp" / f"{_here()}.{os.getpid()}.{os.urandom(4).hex()}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, folder: Path, key: str, manifest: dict[str, Any]) -> bool:
        """Make a filled folder the artifact of a key; False where another process was first, whose artifact stands.

        The order is what makes it safe: manifest, sync of every file and folder, rename, sync of the parent. The
        target is never created beforehand, because a rename over an empty folder would succeed.
        """
        (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")
        sync_tree(folder)
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False
        sync_folder(target.parent)
        self.record({"event": "made", "key": key, "stage": manifest.get("stage"), "seconds": manifest.get("seconds")})
        return True

    def record(self, event: dict[str, Any]) -> None:
        """Append a line to `events.jsonl`, whole even where several processes write."""
        line = json.dumps({"time": time.time(), "pid": os.getpid(), **event}, ensure_ascii=False) + "\n"
        descriptor = os.open(self.root / "events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def events(self) -> list[dict[str, Any]]:
        """Return what was recorded, oldest first."""
        path = self.root / "events.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def remove(self, key: str) -> None:
        """Take an artifact out of sight at once, then delete it."""
        trash = self.root / "trash" / f"{_here()}.{os.getpid()}.{os.urandom(4).hex()}"
        trash.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self.path(key).rename(trash)
            shutil.rmtree(trash)

    def drop_work(self, key: str) -> None:
        """Delete the attempts at an artifact that is published."""
        shutil.rmtree(self.work(key), ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, key: str, wait: Any = None) -> Iterator[None]:
        """Hold the making of a key; waits for another holder, calling `wait()` now and then (it may raise).

        A killed holder's lock is free at once. A lock file is never deleted: that would give two holders.
        """
        from filelock import FileLock, Timeout

        path = self.root / "locks" / f"{key}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        while True:
            try:
                lock.acquire(timeout=POLL_SECONDS)
                break
            except Timeout:
                if wait is not None:
                    wait()
        try:
            yield
        finally:
            lock.release()

    def create(self) -> None:
        """Make the store's folder; raises `KonomiError` where that is impossible."""
        try:
            (self.root / "objects").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KonomiError(
                f"the store {self.root} cannot be made: {error.strerror}; choose another with store=FOLDER"
            ) from error
        self._reclaim()

    def _reclaim(self) -> None:
        """Delete what killed processes of this machine left half-written, and what was on its way out."""
        for folder in [*_entries(self.root / "tmp"), *_entries(self.root / "trash")]:
            host, _, rest = folder.name.partition(".")
            process = rest.partition(".")[0]
            if host == _here() and process.isdigit() and not _alive(int(process)):
                shutil.rmtree(folder, ignore_errors=True)


def _here() -> str:
    import platform

    return platform.node().replace(".", "-") or "here"


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is somebody else's, and there
    return True
