"""A disk that takes no more, recognised in whatever a library makes of it."""

from __future__ import annotations

import errno
import re

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file may not grow so large (ulimit -f)",
}
_RUST = re.compile(r"\(os error (\d+)\)")
"""How libraries written in Rust (safetensors, tokenizers) tell the number, in exceptions of their own."""


def full_disk(error: BaseException | None) -> str | None:
    """Say what keeps the disk from taking more where that is an error's cause, else None.

    >>> full_disk(OSError(28, "No space left on device"))
    'the disk is full'
    >>> full_disk(RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"))
    'the disk is full'
    >>> full_disk(OSError(2, "No such file or directory"))
    """
    while error is not None:
        told = _RUST.search(str(error))
        number = error.errno if isinstance(error, OSError) and error.errno else int(told[1]) if told else 0
        if number in _FULL:
            return _FULL[number]
        error = error.__cause__ or error.__context__
    return None
