"""Names of what is being written: they say who writes, so that what a killed process left can be told from the rest."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from pathlib import Path

REMAINS_SECONDS = 30 * 86400
"""Age after which what another machine left half-written counts as abandoned; whether its writer lives, it knows."""


def token() -> str:
    """Return a name that no other writer takes, and that says who writes."""
    return f"{_here()}.{os.getpid()}.{os.urandom(4).hex()}"


@functools.cache
def _here() -> str:
    """Return what makes a process number mean one process: host, boot, and (in containers) its namespace."""
    import platform

    name = platform.node().replace(".", "-") or "here"
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
        space = "".join(filter(str.isdigit, str(Path("/proc/self/ns/pid").readlink())))
        return f"{name}-{boot}-{space}"
    return name


def abandoned(path: Path, writer: str | None = None) -> bool:
    """Tell whether the process is gone that wrote a file or folder; `writer` is its token, by default the name."""
    host, _, rest = (path.name if writer is None else writer).partition(".")
    process = rest.partition(".")[0]
    if host == _here() and process.isdigit():
        return not _alive(int(process))
    times = [path.lstat().st_mtime, *(each.lstat().st_mtime for each in path.rglob("*"))]
    return time.time() - max(times) > REMAINS_SECONDS


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is somebody else's, and there
    return True
