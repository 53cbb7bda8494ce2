"""Arrays that lie on disk, and are in memory no longer than they are worked on."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


class OnDisk:
    """An array in a file of its own; `let_go` takes it out of this process' memory, and not off the disk."""

    def __init__(self, path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
        import numpy as np

        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        with path.open("w+b") as file:
            file.truncate(max(size, 1))
            if size and hasattr(os, "posix_fallocate"):  # else writing on a full disk would end the process (SIGBUS)
                os.posix_fallocate(file.fileno(), 0, size)
            self._mapped = mmap.mmap(file.fileno(), max(size, 1))
        self.array: NDArray[Any] = np.frombuffer(self._mapped, dtype, int(np.prod(shape))).reshape(shape)

    def let_go(self) -> None:
        """Take the pages out of this process' memory; what was written stays in the file, and is read again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)
