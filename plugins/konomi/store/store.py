"""Publication by rename, make-once locks, and the record of what was made.

objects/<key>/          whole artifacts, each with its manifest, never changed
tmp/<token>/            being written; no reader looks here
work/<key>/<attempt>/   a training's checkpoints, one folder an attempt; those of a refresh in a folder of their own
shelves/<name>/         what stages keep between runs, file by file (konomi.store.shelf)
curves/<key>/           what an experiment tracker wrote of a training
locks/<key>.lock        saves work; correctness never rests on it
replaced/<key>/         an artifact while a newer one takes its place, where the two cannot be exchanged in one step
trash/                  what is on its way out
commands/               refreshes that are not finished
names/<name>            names that people gave (konomi.store.names)
runs/<run>.json         run folders and what they refer to (konomi.store.collect)
events.jsonl            one line for each artifact that was made
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from konomi.faults import KonomiError
from konomi.store.artifact import MANIFEST, read_manifest
from konomi.store.exchange import exchange
from konomi.store.locks import held
from konomi.store.seal import fingerprints, make_folder, newest_sealed, sync_folder, sync_tree
from konomi.store.shelf import half_written
from konomi.store.writers import abandoned, token


class Store:
    """A folder of artifacts. Any number of processes may use one at once; `lock` is one of `locks.LOCKS`."""

    def __init__(self, root: str | Path, lock: str = "file") -> None:
        self.root = Path(root).absolute()
        self.kind_of_lock = lock

    def path(self, key: str) -> Path:
        """Return where the artifact of a key is, or will be."""
        return self.root / "objects" / key

    def has(self, key: str) -> bool:
        """Tell whether the artifact is there, whole. Raises `OSError` where the disk does not answer."""
        try:
            (self.path(key) / MANIFEST).stat()
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return False
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
                return False
            raise
        return True

    def state(self, key: str) -> tuple[int, int] | None:
        """Return what tells an artifact from one that replaced it; None where there is none."""
        if not self.has(key):
            return None
        found = (self.path(key) / MANIFEST).stat()
        return found.st_ino, found.st_mtime_ns

    def manifest(self, key: str) -> dict[str, Any]:
        """Return the manifest of an artifact."""
        return read_manifest(self.path(key))

    def made(self) -> list[str]:
        """Return the keys of all whole artifacts."""
        objects = self.root / "objects"
        return sorted(path.name for path in objects.iterdir() if self.has(path.name)) if objects.exists() else []

    def youngest(self) -> list[str]:
        """Return what there is in the folder of artifacts, the youngest first; no manifest is looked at."""
        try:
            entries = [
                (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name) for entry in os.scandir(self.path(""))
            ]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name for _, name in sorted(entries, reverse=True)]

    def work(self, key: str) -> Path:
        """Return the folder of all attempts at an artifact."""
        return self.root / "work" / key

    def resume(self, key: str, *, anew: bool = False) -> Path | None:
        """Return the newest checkpoint whose seal holds: of any attempt, or of those at replacing what is there."""
        folder = self._attempts(key, anew=anew)
        return newest_sealed(folder) if folder.exists() else None

    @contextlib.contextmanager
    def attempt(self, key: str, *, anew: bool = False) -> Iterator[Path]:
        """Give a new folder for one attempt's checkpoints; it stays behind, for a successor to read."""
        folder = self._attempts(key, anew=anew) / f"{time.time_ns():020d}-{os.urandom(4).hex()}"
        make_folder(folder)
        yield folder
        with contextlib.suppress(OSError):
            folder.rmdir()  # an attempt that left nothing leaves no folder

    def _attempts(self, key: str, *, anew: bool) -> Path:
        """Return the folder of an artifact's attempts; those at replacing it lie apart, by what they replace.

        So a refresh goes on from its own checkpoints when it was killed, and never from those that led to the
        artifact that it is to replace.
        """
        if not anew:
            return self.work(key)
        return self.work(key) / f"anew-{self.manifest(key).get('started', 0) if self.has(key) else 0}"

    def _drop_finished_work(self, key: str) -> None:
        """Delete attempts whose artifact was published by a process that was killed before it could delete them."""
        unfinished = self._attempts(key, anew=True)
        for folder in _entries(self.work(key)):
            if folder != unfinished:
                self._discard(folder)
        with contextlib.suppress(OSError):
            self.work(key).rmdir()

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """Give a new folder to fill; whatever was not published from it is removed."""
        folder = self.root / "tmp" / token()
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, folder: Path, key: str, manifest: dict[str, Any], *, replace: bool = False) -> bool:
        """Make a filled folder the artifact of a key; False where another process was first, whose artifact stands.

        The order is what makes it safe: manifest, sync of every file and folder, rename, sync of the parent. The
        target is never created beforehand, because a rename over an empty folder would succeed. With `replace` the
        new artifact takes the place of one that is there.
        """
        sealed = {**manifest, "files": fingerprints(folder)}
        (folder / MANIFEST).write_text(json.dumps(sealed, ensure_ascii=False, indent=1), encoding="utf-8")
        sync_tree(folder)
        make_folder(self.path(key).parent)
        made = (replace and self._exchange(folder, key)) or self._put(folder, key)
        sync_folder(self.path(key).parent)
        if made:
            event = {"event": "made", "key": key, "stage": manifest.get("stage"), "seconds": manifest.get("seconds")}
            with contextlib.suppress(OSError):  # the artifact is there, whatever becomes of its line
                self.record(event)
        return made

    def _put(self, folder: Path, key: str) -> bool:
        """Rename a folder into place where no whole artifact is; what lies there without a manifest gives way."""
        while True:
            try:
                folder.rename(self.path(key))
                return True
            except FileNotFoundError:
                if not self.has(key):  # else a network disk renamed, lost its answer, and asked again
                    raise
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            if self.has(key):
                return False
            self._discard(self.path(key))

    def _exchange(self, folder: Path, key: str) -> bool:
        """Put a folder in an artifact's place; False where there is none.

        Where the system cannot exchange the two, the old one waits in `replaced/` for the length of two renames; a
        process that is killed between them leaves it to `create`, which puts it back.
        """
        target, aside = self.path(key), self.root / "replaced" / key
        try:
            if exchange(folder, target):
                return True  # the old one is now in `tmp`, and goes with what was not published
            make_folder(aside.parent)
            self._discard(aside)
            target.rename(aside)
        except FileNotFoundError:
            return False
        made = self._put(folder, key)
        self._discard(aside)
        return made

    def _restore(self, key: str) -> None:
        """Put back an artifact whose replacement was killed between its two renames."""
        aside = self.root / "replaced" / key
        if aside.exists() and not self._put(aside, key):
            self._discard(aside)

    def _unless_made(self, key: str, tidy: Callable[[str], None]) -> None:
        """Clear up around a key, holding its lock; where another process makes it, that one knows what it does."""

        class _Busy(Exception):
            pass

        def busy() -> None:
            raise _Busy

        with contextlib.suppress(_Busy, OSError, ValueError), self.lock(key, busy):
            tidy(key)

    @contextlib.contextmanager
    def command(self, name: str, began: float) -> Iterator[float]:
        """Give the time at which a command began that may have been killed or stopped, and is gone on with here.

        It is kept under a name until the command ends well.
        """
        kept = self.root / "commands" / name
        try:
            began = float(kept.read_text(encoding="ascii"))
        except (OSError, ValueError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            temporary = kept.with_name(f"{name}.{token()}")
            temporary.write_text(repr(began), encoding="ascii")
            temporary.rename(kept)
        yield began
        kept.unlink(missing_ok=True)

    def record(self, event: dict[str, Any]) -> None:
        """Append a line to `events.jsonl`, whole even where several processes write."""
        line = json.dumps({"time": time.time(), "pid": os.getpid(), **event}, ensure_ascii=False) + "\n"
        descriptor = os.open(self.root / "events.jsonl", os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            end = os.fstat(descriptor).st_size
            torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"  # a full disk took half of the last one
            os.write(descriptor, ("\n" * torn + line).encode())
        finally:
            os.close(descriptor)

    def events(self) -> list[dict[str, Any]]:
        """Return what was recorded, oldest first; a line that a full disk tore is left out."""
        path = self.root / "events.jsonl"
        found = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def remove(self, key: str) -> None:
        """Take an artifact out of sight at once, then delete it."""
        self._discard(self.path(key))

    def drop_work(self, key: str) -> None:
        """Delete the attempts at an artifact that is published; what cannot be deleted now stays, and harms nobody."""
        with contextlib.suppress(OSError):
            self._discard(self.work(key))

    def _discard(self, folder: Path) -> None:
        """Rename a folder into the trash, so that it is gone as a whole, then delete it."""
        if folder.exists() or folder.is_symlink():
            self.clear(self.set_aside(folder))

    def set_aside(self, path: Path) -> Path:
        """Rename something of the store's into the trash; returns where it is now."""
        trash = self.root / "trash" / token()
        trash.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.rename(trash)
        return trash

    def put_back(self, trash: Path, path: Path) -> None:
        """Undo `set_aside`; what has taken the place meanwhile stays."""
        try:
            trash.rename(path)
        except OSError:
            self.clear(trash)

    def clear(self, trash: Path) -> None:
        """Delete what was set aside."""
        if trash.is_symlink() or trash.is_file():
            trash.unlink()  # what a link points to is not ours
        shutil.rmtree(trash, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, key: str, wait: Any = None) -> Iterator[None]:
        """Hold the making of a key; waits for another holder, calling `wait()` now and then (it may raise)."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with held(folder, key, self.kind_of_lock, wait):
            yield

    def create(self) -> None:
        """Make the store's folder, or clear up in it after killed processes; raises `KonomiError` where it cannot."""
        try:
            make_folder(self.root / "objects")
        except OSError as error:
            raise KonomiError(
                f"the store {self.root} cannot be made: {error.strerror}; choose another with store=FOLDER"
            ) from error
        for aside in _entries(self.root / "replaced"):
            self._unless_made(aside.name, self._restore)
        for work in _entries(self.root / "work"):
            if self.has(work.name):
                self._unless_made(work.name, self._drop_finished_work)
        with contextlib.suppress(OSError):  # what cannot be deleted now waits for another time
            self._reclaim()

    def _reclaim(self) -> None:
        """Delete what killed processes of this machine left half-written, and what was on its way out."""
        for folder in _entries(self.root / "tmp"):
            if abandoned(folder):
                self._discard(folder)
        for folder in _entries(self.root / "trash"):
            if abandoned(folder):
                self.clear(folder)
        for shelf in _entries(self.root / "shelves"):
            for path in half_written(shelf):
                path.unlink(missing_ok=True)


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
