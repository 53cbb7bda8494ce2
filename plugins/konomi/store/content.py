"""What a file holds, as a hash: a file's identity in every key.

A hash is kept by (path, size, mtime, ctime, inode), so that a large corpus is read once. A file that changed in the
last two seconds is hashed anew, because a second change within the clock's tick would go unseen; so is one whose time
lies in the future, because the clock has been set. What is kept only saves time: where it is damaged, locked or cannot
be written, the file is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from konomi.faults import KonomiError

YOUNG_SECONDS = 2.0
"""Age below which a file's times do not yet vouch for its content."""
LOCKED_SECONDS = 0.5
"""How long another process's write is waited for; then the file is read, which is no loss but of time."""
_SHA256 = re.compile("[0-9a-f]{64}")
_CHUNK = 1 << 20


def cache_folder() -> Path:
    """Return konomi's folder for what can be made again (`KONOMI_CACHE`, else `$XDG_CACHE_HOME/konomi`)."""
    if given := os.environ.get("KONOMI_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "konomi"


def file_hash(path: str | Path) -> str:
    """Return the sha256 of a file's content, in hex. Raises `KonomiError` where it cannot be read."""
    try:
        path = Path(path).resolve()
        state = path.stat()
        identity = (str(path), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        old_enough = time.time() - max(state.st_mtime, state.st_ctime) > YOUNG_SECONDS
        if old_enough and (kept := _remembered(identity)):
            return kept
        digest = _sha256(path)
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError before Python 3.13
        raise KonomiError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if old_enough:
        _remember(identity, digest)
    return digest


def folder_hash(path: str | Path) -> str:
    """Return a hash of a folder's files: their names within it and their content, hidden files left out."""
    root = Path(path)
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*")):
        inside = file.relative_to(root)
        if file.is_file() and not any(part.startswith(".") for part in inside.parts):
            digest.update(f"{inside.as_posix()}\0{file_hash(file)}\n".encode())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _memo() -> Iterator[sqlite3.Connection]:
    """Open what is kept; a file that is damaged is removed, so that the next time begins anew."""
    file = cache_folder() / "hashes.sqlite"
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=LOCKED_SECONDS)) as memo, memo:
            memo.execute(
                "CREATE TABLE IF NOT EXISTS hashes"
                " (path TEXT PRIMARY KEY, size INT, mtime INT, ctime INT, inode INT, sha256 TEXT)"
            )
            yield memo
    except sqlite3.DatabaseError as error:
        if type(error) is sqlite3.DatabaseError:  # locked and read-only ones are of a sub-class
            file.unlink(missing_ok=True)
        raise


_HARMLESS = (sqlite3.Error, OSError, RuntimeError, OverflowError, UnicodeError)
"""What opening or using the memo may raise: a lost home folder is a RuntimeError, a large inode an OverflowError."""


def _remembered(identity: tuple[str, int, int, int, int]) -> str | None:
    with contextlib.suppress(*_HARMLESS), _memo() as memo:
        row = memo.execute(
            "SELECT size, mtime, ctime, inode, sha256 FROM hashes WHERE path = ?", identity[:1]
        ).fetchone()
        if row and tuple(row[:4]) == identity[1:] and _SHA256.fullmatch(str(row[4])):
            return str(row[4])
    return None


def _remember(identity: tuple[str, int, int, int, int], digest: str) -> None:
    with contextlib.suppress(*_HARMLESS), _memo() as memo:
        memo.execute("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?, ?)", (*identity, digest))
