"""Who makes an artifact: locks for a local disk, leases for a network one.

Neither carries correctness, which rests on the rename: what they prevent is that two processes do the same work.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from konomi.faults import KonomiError

LOCKS = ("file", "lease")
"""`file`: the kernel's lock, free at once when its holder dies. `lease`: a file that its holder keeps fresh."""
POLL_SECONDS = 0.2
"""How often a waiter looks whether another process has finished the artifact."""
LEASE_SECONDS = 60.0
"""How long a lease outlives the last sign of its holder, who gives three in that time."""
UNSIGNED_SECONDS = 5.0
"""How long a lease may stand without its holder's signature, which is written at once after it."""
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


@contextlib.contextmanager
def held(folder: Path, key: str, kind: str, wait: Callable[[], Any] | None = None) -> Iterator[None]:
    """Hold the making of a key; waits for another holder, calling `wait()` now and then (it may raise).

    The two kinds do not see one another, so all processes of a store must choose the same. The file of a `file` lock
    is never deleted: that would give two holders.
    """
    from filelock import Timeout

    lock = _lock(folder, key, kind)
    unsigned = _Unsigned(Path(lock.lock_file))
    while True:
        try:
            lock.acquire(timeout=POLL_SECONDS, poll_interval=POLL_SECONDS / 2)
            break
        except Timeout:
            if kind == "lease":
                unsigned.clear()
            if wait is not None:
                wait()
        except OSError as error:
            if kind == "file" and error.errno in _NO_LOCKS:
                said = f"{folder}: its file system has no locks ({error.strerror}); type lock=lease"
                raise KonomiError(said) from error
            raise
    try:
        yield
    finally:
        lock.release()


def _lock(folder: Path, key: str, kind: str) -> Any:
    from filelock import FileLock, SoftFileLease

    if kind == "lease":
        return SoftFileLease(folder / f"{key}.lease", lease_duration=LEASE_SECONDS)
    return FileLock(folder / f"{key}.lock", fallback_to_soft=False)


class _Unsigned:
    """Clears a lease away whose holder was killed before it had signed it: `filelock` would wait for it for ever.

    To `filelock` an empty file is a lock of its older versions, of which nobody can tell whether the holder lives.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._since = 0.0

    def clear(self) -> None:
        """Look at the lease, and remove it where it has stood empty and unchanged for too long."""
        try:
            state = self._path.stat()
        except FileNotFoundError:
            self._seen = None
            return
        seen = None if state.st_size else (state.st_ino, state.st_mtime_ns)
        if seen is None or seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        elif time.monotonic() - self._since > UNSIGNED_SECONDS:
            self._path.unlink(missing_ok=True)
