"""One publication, as small as can be, for the tests that disturb each of its system calls.

python publication.py ROOT STORE OPERATION
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import filelock  # noqa: F401 - imported beforehand, so that the calls that follow are the store's own
import xxhash  # noqa: F401

from konomi.store import Store, locks, store
from konomi.store.seal import seal, sealed

KEY = "key"
FILES = {"data/train-0.parquet": 5000, "data/train-1.parquet": 12, "config.json": 300}
OPERATIONS = ("publish", "replace", "replace_aside", "publish_leased")


class Careless(Store):
    """A store that writes where readers look, and leaves the rest to luck."""

    def publish(self, folder: Path, key: str, manifest: dict[str, Any], *, replace: bool = False) -> bool:
        shutil.copytree(folder, self.path(key))
        (self.path(key) / "manifest.json").write_text('{"version": 2, "stage": "s", "started": 2.0}')
        return True


STORES = {"store": Store, "careless": Careless}


def content(name: str, version: int) -> bytes:
    return bytes([version]) * (FILES[name] * version)


def publish(root: Path, kind: str, operation: str, version: int = 2) -> None:
    """Make the artifact where it is not there, with a sealed checkpoint on the way."""
    if operation == "replace_aside":
        store.exchange = lambda one, other: False  # what a network disk answers
    locks.UNSIGNED_SECONDS = 0.5
    here = STORES[kind](root, "lease" if operation.endswith("leased") else "file")
    here.create()
    replace = operation.startswith("replace")
    with here.lock(KEY):
        if here.has(KEY) and here.manifest(KEY)["version"] == version:
            return
        with here.writing() as out, here.attempt(KEY, anew=replace) as work:
            checkpoint = work / "checkpoint-1"
            checkpoint.mkdir(parents=True)
            (checkpoint / "model.safetensors").write_bytes(b"w" * 5000)
            seal(checkpoint)
            for name in FILES:
                (out / name).parent.mkdir(exist_ok=True)
                (out / name).write_bytes(content(name, version))
            here.publish(out, KEY, {"version": version, "stage": "s", "started": float(version)}, replace=replace)
        here.drop_work(KEY)


def prepare(root: Path, operation: str) -> None:
    """Leave the store as it is before the publication: of a replacement, with what is to be replaced."""
    if operation.startswith("replace"):
        publish(root, "store", "publish", version=1)


def fault(root: Path, operation: str) -> str | None:
    """Say what a reader finds wrong, with the eyes of a fresh process."""
    here = Store(root)
    here.create()
    try:
        for path in here.work(KEY).rglob("checkpoint-*"):
            if (path / "sealed.json").exists() and sealed(path) is None:
                return f"a seal that does not hold: {path.name}"
        if not here.has(KEY):
            lost = operation.startswith("replace")
            return "the artifact that was to be replaced is lost" if lost else None
        version = here.manifest(KEY)["version"]
        found = {path.relative_to(here.path(KEY)).as_posix() for path in here.path(KEY).rglob("*") if path.is_file()}
        if found - {"manifest.json"} != set(FILES):
            return f"an artifact of {sorted(found)}"
        for name in FILES:
            if (here.path(KEY) / name).read_bytes() != content(name, version):
                return f"{name} is not what was written"
    except (OSError, ValueError, KeyError) as error:
        return f"unreadable: {error!r}"
    return None


def remains(root: Path) -> list[str]:
    """Return what lies about in a store in which all is published."""
    folders = ("tmp", "trash", "replaced", "work")
    return [path.relative_to(root).as_posix() for folder in folders for path in (root / folder).glob("*")]


if __name__ == "__main__":
    publish(Path(sys.argv[1]), *sys.argv[2:4])
