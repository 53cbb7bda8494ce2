"""A full disk: told from other errors, whoever ran into it."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from konomi.faults import Stopped
from konomi.store.seal import newest_sealed, sealed

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SAID = (
    "No space left on device", "Disk quota exceeded", "File too large",
    "PytorchStreamWriter failed", "unexpected pos", "iostream error",
)  # fmt: skip
"""What libraries that write in C++ and Rust say; the last three are those of `torch.save`."""


class NoRoom(Stopped):
    """The work was stopped by a full disk, which the other processes of a training may know nothing of."""


def is_full(error: BaseException | None) -> bool:
    """Tell whether an error, or one that it came from, is a disk, a quota or a file that cannot grow.

    >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(OSError(errno.EIO, "I/O error"))
    (True, False)
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return True
        if any(words in str(error) for words in SAID):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def stopped_when_full(name: str, work: Path, *, first: bool = True) -> Iterator[None]:
    """Turn a full disk into a stop in good order: the half-written checkpoint goes, the sealed ones stay.

    `work` is the attempt's folder; `first` tells whether this process is the one that tidies it.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, Stopped) or not is_full(error):
            raise
        if first:
            for checkpoint in work.glob("checkpoint-*"):
                if sealed(checkpoint) is None:
                    shutil.rmtree(checkpoint, ignore_errors=True)
        newest = newest_sealed(work.parent)
        where = f"from {newest.name}, which is sealed" if newest else "from its beginning: no checkpoint was whole yet"
        raise NoRoom(
            f"{name} was stopped by a full disk; make room where {work} lies, and the same command goes on {where}"
        ) from error
