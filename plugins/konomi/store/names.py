"""Names that people give to artifacts, and what a word means that somebody types for one.

names/<name>     a small file that holds a key

A name has a dash or a dot in it and a stage's name has none, so that no recipe means one and gets the other.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from konomi.faults import KonomiError, did_you_mean
from konomi.store.artifact import MANIFEST
from konomi.store.seal import sync_folder
from konomi.store.store import Store

LONGEST = 100
"""Bytes of a name."""
_NAME = re.compile(r"[^\W_][\w.+-]*")
_KEY = re.compile(r"\w+-[0-9a-f]{24}")
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)
"""What a file system says that has no hard links."""


def checked_name(name: str) -> str:
    """Return a name in Unicode's composed form (NFC); raises `KonomiError` where it can be no name.

    >>> checked_name("swallow-ext-v2")
    'swallow-ext-v2'
    """
    name = unicodedata.normalize("NFC", name)
    if len(name.encode("utf-8", "replace")) > LONGEST:
        raise KonomiError(f"the name {name[:20]}… is longer than {LONGEST} bytes; type a shorter one")
    if not _NAME.fullmatch(name) or ".." in name or name.endswith("."):
        raise KonomiError(
            f"{name!r} can be no name: a letter or a digit comes first, then letters, digits and - . _ + (no .. within,"
            " no . at the end); type one such as swallow-ext-v2"
        )
    if re.fullmatch(r"\w+", name):
        raise KonomiError(f"{name} reads as the name of a stage; put a dash or a dot in it: {name}-v1")
    if _KEY.fullmatch(name):
        raise KonomiError(f"{name} looks like a key; type a name such as swallow-ext-v2")
    return name


def names(store: Store) -> dict[str, str]:
    """Return the key behind each name."""
    folder = store.root / "names"
    found = {path.name: _read(path) for path in sorted(folder.iterdir())} if folder.is_dir() else {}
    return {name: key for name, key in found.items() if key}


def named(store: Store, word: str) -> str | None:
    """Return the key behind a name, None where nothing is called so."""
    name = unicodedata.normalize("NFC", word)
    return _read(store.root / "names" / name) if _NAME.fullmatch(name) and len(name.encode()) <= LONGEST else None


def _read(path: Path) -> str | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(path.read_text(encoding="utf-8"))["key"])
    return None


def give(store: Store, name: str, key: str, *, move: bool = False) -> None:
    """Name an artifact, durably and at once; raises `KonomiError` where the name is another's and `move` is off."""
    name = checked_name(name)
    if begun := [item for item in _keys(store) if item.startswith(name)]:
        raise KonomiError(f"{name} is how the key {begun[0]} begins; type another name")
    target = store.root / "names" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with store.writing() as folder:
        written = folder / "name"
        with written.open("w", encoding="utf-8") as stream:
            json.dump({"key": key, "time": time.time()}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        if move:
            written.replace(target)
        else:
            _put(store, written, target, key)
    sync_folder(target.parent)
    store.record({"event": "named", "name": name, "key": key})


def _put(store: Store, written: Path, target: Path, key: str) -> None:
    """Put a file where none is: a link is refused where a name is taken, whoever was first."""
    try:
        target.hardlink_to(written)
    except FileExistsError:
        _refuse_taken(target, key)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with store.lock("names"):
            if target.exists():
                _refuse_taken(target, key)
            else:
                written.replace(target)


def _refuse_taken(target: Path, key: str) -> None:
    held = _read(target)
    if held != key:
        raise KonomiError(
            f"{target.name} is the name of {held or 'something that cannot be read'};"
            f" to move it, type konomi tag {key} {target.name} --move"
        )


def take_away(store: Store, name: str) -> str:
    """Delete a name, not what it names; returns the key. Raises `KonomiError` where there is no such name."""
    key = named(store, name)
    if key is None:
        raise KonomiError(f"nothing in {store.root} is named {name}; {did_you_mean(name, names(store))}")
    (store.root / "names" / unicodedata.normalize("NFC", name)).unlink(missing_ok=True)
    sync_folder(store.root / "names")
    store.record({"event": "unnamed", "name": name, "key": key})
    return key


def stored_key(store: Store, word: str) -> str | None:
    """Return the key of the artifact that a recipe means by a word: a key, a name, a folder that is in the store.

    Raises `KonomiError` where the word names what the store no longer holds.
    """
    if _KEY.fullmatch(word) and store.has(word):
        return word
    if key := named(store, word):
        if not store.has(key):
            raise KonomiError(
                f"{word} names {key}, which is no longer in {store.root}; type konomi tag --delete {word}"
            )
        return key
    return _key_of_folder(store, Path(word))


def folder_of(store: Store, word: str) -> Path:
    """Return the folder of the artifact that a person means by a word.

    A folder (`RUN_FOLDER/STAGE` is one), a key, a name, the only key that begins so, or a stage's newest artifact.
    """
    if _is_artifact(Path(word)):
        return Path(word)
    if key := stored_key(store, word):
        return store.path(key)
    begun = [key for key in _keys(store) if key.startswith(word) and "-" in word and store.has(key)]
    if len(begun) == 1:
        return store.path(begun[0])
    if len(begun) > 1:
        raise KonomiError(f"{word} begins {len(begun)} keys, type more of one: {', '.join(sorted(begun))}")
    stages: dict[str, str] = {stage: key for key, stage in made_by(store)}
    if word in stages:
        return store.path(stages[word])
    known = [*stages, *names(store), *store.made()]
    hint = did_you_mean(word, known).partition(" (known")[0] if known else ""
    listed = "konomi store ls lists what there is"
    raise KonomiError(f"there is no artifact {word} in {store.root}; {hint if hint.startswith('did you') else listed}")


def key_of(store: Store, word: str) -> str:
    """Return the key of the artifact that a person means by a word; raises `KonomiError` where it is not stored."""
    folder = folder_of(store, word)
    key = _key_of_folder(store, folder)
    if key is None:
        raise KonomiError(f"{folder} is not in the store {store.root}; copy it into {store.root / 'objects'} first")
    return key


def made_by(store: Store) -> Iterator[tuple[str, str]]:
    """Yield the key and the stage of each artifact, oldest first."""
    there = set(store.made())
    stages: dict[str, str] = {}
    for event in store.events():
        if event.get("event") == "made" and event.get("key") in there and event.get("stage"):
            stages.pop(event["key"], None)  # made anew: it is younger now
            stages[event["key"]] = event["stage"]
    old = [
        (float(manifest.get("started", 0)), key, manifest)
        for key in there - set(stages)
        if (manifest := _manifest(store, key))
    ]
    yield from ((key, str(manifest.get("stage"))) for _, key, manifest in sorted(old, key=lambda item: item[:2]))
    yield from stages.items()


def _manifest(store: Store, key: str) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        return store.manifest(key)
    return None


def _keys(store: Store) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return [entry.name for entry in os.scandir(store.root / "objects")]
    return []


def _is_artifact(path: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return (path / MANIFEST).is_file()
    return False


def _key_of_folder(store: Store, folder: Path) -> str | None:
    """Return the key of a folder that is an artifact of the store, through whatever links."""
    with contextlib.suppress(OSError, ValueError):
        real = folder.resolve()
        if real.parent == store.path("").resolve() and store.has(real.name):
            return real.name
    return None
