"""A disk that takes no more: recognised in whatever a library makes of it, and turned into a stop in good order."""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from konomi.faults import Stopped
from konomi.store.seal import newest_sealed, sealed

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file may not grow so large (ulimit -f)",
}
_RUST = re.compile(r"\(os error (\d+)\)")
"""How libraries written in Rust (safetensors, tokenizers) tell the number, in exceptions of their own."""
_WORDS = {
    "No space left on device": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "File too large": errno.EFBIG,
    "PytorchStreamWriter failed": errno.ENOSPC,
    "unexpected pos": errno.ENOSPC,
    "iostream error": errno.ENOSPC,
}
"""What others say, without the number; the last three are those of `torch.save`."""


class NoRoom(Stopped):
    """The work was stopped by a full disk, which the other processes of a training may know nothing of."""


def full_disk(error: BaseException | None) -> str | None:
    """Say what keeps the disk from taking more where that is an error's cause, else None.

    >>> full_disk(OSError(28, "No space left on device"))
    'the disk is full'
    >>> full_disk(RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"))
    'the disk is full'
    >>> full_disk(OSError(2, "No such file or directory"))
    """
    while error is not None:
        if (number := _number(error)) in _FULL:
            return _FULL[number]
        error = error.__cause__ or error.__context__
    return None


def _number(error: BaseException) -> int:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    said = str(error)
    if told := _RUST.search(said):
        return int(told[1])
    return next((number for words, number in _WORDS.items() if words in said), 0)


@contextlib.contextmanager
def stopped_when_full(name: str, work: Path, *, first: bool = True) -> Iterator[None]:
    """Turn a full disk into a stop in good order: the half-written checkpoint goes, the sealed ones stay.

    `work` is the attempt's folder; `first` tells whether this process is the one that tidies it.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, Stopped) or full_disk(error) is None:
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
