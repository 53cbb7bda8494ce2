"""Who makes an artifact: locks for a local disk, leases for a network one.

Neither carries correctness, which rests on the rename: what they prevent is that two processes do the same work.
"""

from __future__ import annotations

import contextlib
import errno
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
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


@contextlib.contextmanager
def held(folder: Path, key: str, kind: str, wait: Callable[[], Any] | None = None) -> Iterator[None]:
    """Hold the making of a key; waits for another holder, calling `wait()` now and then (it may raise).

    The two kinds do not see one another, so all processes of a store must choose the same. The file of a `file` lock
    is never deleted: that would give two holders.
    """
    from filelock import Timeout

    lock = _lock(folder, key, kind)
    while True:
        try:
            lock.acquire(timeout=POLL_SECONDS, poll_interval=POLL_SECONDS / 2)
            break
        except Timeout:
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
