"""Sources: where rows come from, in one of TRL's formats.

source.files · source.hub · source.warc · source.mix · source.artifact · source.python_docs · source.japanese_sample
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

FORMATS = {
    "text": ("text",),
    "prompt_completion": ("prompt", "completion"),
    "messages": ("messages",),
    "preference": ("prompt", "chosen", "rejected"),
    "rows": (),
}
"""TRL's data formats and the columns that each must have; further columns are kept. `rows` are columns of the user's
own: the seeds of a generator."""


@dataclass
class Rows:
    """Tables of rows, read anew each time that they are iterated over.

    `dropped` counts the rows that were left out because they could not be read, by reason; it is whole once all
    tables were taken.
    """

    read: Callable[[dict[str, int]], Iterator[pa.Table]]
    """Yields the tables and counts what it drops in the dict that it is given. Of rows that `parts()` gives it can be
    pickled: a method of the source, or `functools.partial` of one."""
    dropped: dict[str, int] = field(default_factory=dict)
    name: str = ""
    """Where the rows come from, as a path with `/`: the file, seen from the folder that all files of the source have
    in common. Empty where they are of no one file."""
    first: int = 0
    """Number of the first row in that file, where a large file is read in several parts."""

    def __iter__(self) -> Iterator[pa.Table]:
        self.dropped.clear()
        return self.read(self.dropped)


class Source(Protocol):
    """Gives rows. Known at plan time and without heavy imports: `format()`, and `check()` where a source has it.

    `depends()` gives what shapes the rows beside the options: the content of files, a revision, a version. A source
    that knows its columns at plan time says them in `columns_known() -> Sequence[str] | None`.
    `advice() -> Iterable[str]`, where a source has it, says at plan time what is no fault and yet may not be meant.

    `parts() -> Sequence[Rows]`, where a source has it, gives the rows of `load()` in independent pieces: joined in
    order they are the same rows. Each can be pickled, so that another process reads it. Raises what `load()` raises.
    `names() -> Sequence[str]` gives the names of their files at plan time where `depends()` has only what these hold:
    they count where names are kept.
    """

    def format(self) -> str:
        """Return the key of `FORMATS` that the rows follow."""
        ...

    def load(self) -> datasets.Dataset | datasets.IterableDataset | Iterable[pa.Table]:
        """Return the rows, by the batch where they are many (`Rows` counts what could not be read)."""
        ...
