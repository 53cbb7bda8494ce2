"""The n-grams of evaluation sets, made once in a process."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, KonomiError
from konomi.units import Unit, Units

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

FEWEST_BITS = 10
SPARE = 2
"""Slots for each n-gram, so that a table is at least half empty."""


def reader(path: Any, columns: Sequence[str] | None) -> Any:
    """Return the source that reads a set's rows, by the registry: a kind imports no other kind."""
    from konomi import registry

    files = registry.get("source", "files")
    keep = list(columns) if columns else None
    return files(path=path, gives=type(files.gives).rows, text_unit=type(files.text_unit).paragraph, keep=keep)


def faults(name: str, path: Any, columns: Sequence[str] | None) -> Iterator[Fault]:
    """Yield what keeps a set from being read."""
    source = reader(path, columns)
    found = [
        Fault(f"columns.{name}" if fault.where == "keep" else f"sets.{name}", fault.what, _hint(name, fault))
        for fault in source.check()
    ]
    yield from found
    if not found and not columns and not _text_columns(source):
        known = ", ".join(source.columns_known() or ())
        what = f"no column of {path} holds plain text (plain columns: {known or 'none'})"
        yield Fault(f"sets.{name}", what, f"name them: columns.{name}=[question]")


def _hint(name: str, fault: Fault) -> str:
    return fault.hint.replace("path=", f"sets.{name}=").replace(
        "on_error=drop leaves such rows out and counts them", ""
    )


def _text_columns(source: Any) -> list[str]:
    import pyarrow.types as is_

    layout = source.peek()[0]
    return [name for name, type_ in layout.types.items() if is_.is_string(type_)] if layout else []


@dataclass(frozen=True)
class Table:
    """Open addressing over the n-grams of one size; see `_decontaminate_kernel`."""

    size: int
    keys: NDArray[np.uint64]
    owners: NDArray[np.int16]
    marks: NDArray[np.uint8]
    bits: int

    def find(self, units: Units) -> tuple[NDArray[np.int16], NDArray[np.int64], int]:
        """Return the owner of each n-gram, where those of each text end, and how many n-grams are in a set."""
        import numpy as np

        from konomi.filter._decontaminate_kernel import look_up

        if not self.keys.any():
            return np.empty(0, np.int16), np.zeros(len(units.ends), np.int64), 0
        hashes, ends = units.ngrams(self.size)
        found = np.empty(len(hashes), np.int16)
        return found, ends, int(look_up(hashes, self.keys, self.owners, self.marks, self.bits, found))


@dataclass(frozen=True)
class Index:
    """What evaluation sets hold."""

    names: tuple[str, ...]
    words: Table
    characters: Table


def by_characters(units: Units) -> NDArray[np.bool_]:
    """Return which texts are mostly in a script without spaces; shape (n,)."""
    found: NDArray[np.bool_] = 2 * units.unsegmented > units.characters()
    return found


def cut_texts(texts: Any) -> Units:
    """Return the units of texts (Arrow strings), without case and punctuation."""
    from konomi.units import cut, text_buffers

    return cut(*text_buffers(texts), Unit.auto, fold=True)


@functools.lru_cache(maxsize=4)
def load(spec: str) -> Index:
    """Return the index of the sets in `spec`: JSON of sets, columns, sizes, and the content of the files."""
    said: Mapping[str, Any] = json.loads(spec)
    names = tuple(said["sets"])
    cuts = [_units(name, said["sets"][name], said["columns"].get(name)) for name in names]
    tables = []
    for size, characters in ((said["words"], False), (said["characters"], True)):
        chosen = [_ngrams(units, size, characters) for units in cuts]
        tables.append(_table(size, chosen))
    for name, units in zip(names, cuts, strict=True):
        _tell_short(name, units, said["words"], said["characters"])
    return Index(names, *tables)


def _units(name: str, path: Any, columns: Sequence[str] | None) -> Units:
    """Return the units of a set's items: each value of its columns is one."""
    import pyarrow as pa

    source = reader(path, columns)
    wanted = columns or _text_columns(source)
    arrays = [
        table.column(column).cast(pa.large_string())
        for table in source.load()
        for column in wanted
        if column in table.column_names
    ]
    chunks = [chunk for array in arrays for chunk in array.chunks]
    if not chunks:
        raise KonomiError(f"the evaluation set {name} ({path}) holds no row")
    return cut_texts(pa.concat_arrays(chunks))


def _ngrams(units: Units, size: int, characters: bool) -> NDArray[np.uint64]:
    """Return the n-grams of the items that are counted in characters, or of the others."""
    import numpy as np

    hashes, ends = units.ngrams(size)
    counts = np.diff(ends, prepend=0)
    own: NDArray[np.uint64] = hashes[np.repeat(by_characters(units) == characters, counts)]
    return own


def _table(size: int, sets: Sequence[NDArray[np.uint64]]) -> Table:
    import numpy as np

    from konomi.filter._decontaminate_kernel import MARKS_PER_SLOT_BITS, put

    total = sum(map(len, sets))
    bits = max(FEWEST_BITS, (SPARE * total - 1).bit_length())
    keys, owners = np.zeros(1 << bits, np.uint64), np.zeros(1 << bits, np.int16)
    marks = np.zeros(1 << (bits + MARKS_PER_SLOT_BITS - 3), np.uint8)
    for owner, hashes in enumerate(sets):
        put(hashes, owner, keys, owners, marks, bits)
    return Table(size, keys, owners, marks, bits)


def _tell_short(name: str, units: Units, words: int, characters: int) -> None:
    """Say how many items of a set are too short to be looked for; raises `KonomiError` where all are."""
    import numpy as np

    counts = np.diff(units.ends, prepend=0)
    short = int((counts < np.where(by_characters(units), characters, words)).sum())
    if short == len(counts):
        raise KonomiError(
            f"the evaluation set {name}: not one of its {short} texts has {words} words or {characters} characters;"
            " lower words and characters, or name other columns"
        )
    if short:
        log.warning("%s: %d of %d texts are too short to be looked for", name, short, len(counts))
