"""Two folders exchanged in one step, where the system can: the old one is never gone before the new one is there."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_UNABLE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP)
"""What a kernel or a file system (NFS among them) answers that does not know the exchange."""


def exchange(one: Path, other: Path) -> bool:
    """Exchange two folders atomically; False where that is not to be had. Raises `OSError` where one is missing."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2  # Linux, glibc 2.28
    except (AttributeError, OSError, TypeError):
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNABLE:
        return False
    raise OSError(number, os.strerror(number), str(other))
