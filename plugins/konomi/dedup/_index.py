"""Indexes of what earlier corpora kept: hashes and names on disk, with the options that they were made with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi import registry
from konomi.faults import Fault, Faults

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

CONFIGURATION, NAMES = "index.json", "names.parquet"
NAME = "name"
NAME_ROWS = 100_000
DEPTH = 3
"""Folders that are looked into below the one that is given: an artifact's, its `index/`, a step's of a chain."""


@dataclass(frozen=True)
class Index:
    """What one folder holds of m documents that an earlier corpus kept."""

    folder: Path
    documents: int

    def array(self, name: str) -> NDArray[Any]:
        """Return one of the arrays, of m rows; it stays on disk."""
        import numpy as np

        found: NDArray[Any] = np.load(self.folder / f"{name}.npy", mmap_mode="r" if self.documents else None)
        return found


def options_of(plugin: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return the options that shape what is kept, in JSON's types."""
    values = {name: getattr(plugin, name) for name in names}
    return {name: value.name if isinstance(value, Enum) else value for name, value in values.items()}


def write(
    folder: Path,
    plugin: str,
    options: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    names: pa.Array | pa.ChunkedArray,
) -> None:
    """Write an index of m documents: arrays of m rows, and the documents' names. Its configuration comes last."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    table = pa.table({NAME: names.cast(pa.large_string())})
    pq.write_table(table, folder / NAMES, compression="zstd", row_group_size=NAME_ROWS)
    made = {
        "plugin": plugin,
        "version": _version(plugin),
        "options": dict(options),
        "documents": len(names),
        "content": _content(folder, arrays),
    }
    (folder / CONFIGURATION).write_text(json.dumps(made, indent=1), encoding="utf-8")


def _content(folder: Path, names: Iterable[str]) -> str:
    from xxhash import xxh3_128

    digest = xxh3_128()
    for name in (*(f"{array}.npy" for array in sorted(names)), NAMES):
        with (folder / name).open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return str(digest.hexdigest())


def faults(against: Sequence[str], plugin: str, options: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with the folders that `against` lists."""
    for given in against:
        found = _opened(given, plugin, options)
        if isinstance(found, Fault):
            yield found


def opened(against: Sequence[str], plugin: str, options: Mapping[str, Any]) -> list[Index]:
    """Return the indexes that `against` lists. Raises `Faults` where one is none, or was made with other options."""
    found = [_opened(given, plugin, options) for given in against]
    Faults.check(item for item in found if isinstance(item, Fault))
    return [item for item in found if isinstance(item, Index)]


def contents(against: Sequence[str], plugin: str) -> list[list[str]]:
    """Return what each folder holds of a plugin, for the key; an index that does not fit is `faults`' to tell."""
    found = [[_read(path) for path in _configurations(Path(given))] for given in against]
    return [[str(made["content"]) for made in held if made and made["plugin"] == plugin] for held in found]


def _opened(given: str, plugin: str, options: Mapping[str, Any]) -> Index | Fault:
    """Return the index of a plugin in a folder or below it."""
    held = {path: made for path in _configurations(Path(given)) if (made := _read(path)) is not None}
    own = {path: made for path, made in held.items() if made["plugin"] == plugin}
    if not own:
        others = ", ".join(sorted({str(made["plugin"]) for made in held.values()}))
        what = f"{given} holds no index of {plugin}" + (f" (it holds one of {others})" if others else "")
        return Fault("against", what, "give the folder index/ of a curated artifact, or one above it")
    if len(own) > 1:
        listed = " or ".join(str(path.parent) for path in own)
        return Fault("against", f"{given} holds {len(own)} indexes of {plugin}", f"give one of them: {listed}")
    path, made = next(iter(own.items()))
    if made["version"] != _version(plugin):
        what = f"{path.parent} was made by version {made['version']} of {plugin} (here {_version(plugin)})"
        return Fault("against", what, "make that index again")
    if differing := [name for name, value in options.items() if made["options"].get(name) != value]:
        told = ", ".join(f"{name}={made['options'].get(name)} (here {options[name]})" for name in differing)
        hint = "type " + " ".join(f"{name}={made['options'].get(name)}" for name in differing)
        return Fault("against", f"{path.parent} was made with {told}", f"{hint}, or make that index again")
    return Index(path.parent, int(made["documents"]))


def _version(plugin: str) -> int:
    return registry.get_entry(*plugin.split("/")).version


def _configurations(folder: Path) -> list[Path]:
    patterns = ["/".join(["*"] * depth + [CONFIGURATION]) for depth in range(DEPTH)]
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    wanted = {"plugin", "version", "options", "documents", "content"}
    return made if isinstance(made, dict) and wanted <= set(made) else None


def names_of(indexes: Sequence[Index], rows: NDArray[np.int64]) -> list[str]:
    """Return the names of documents by their numbers over all indexes; only their part of the names is read."""
    import numpy as np
    import pyarrow.parquet as pq

    wanted = np.unique(rows)
    found: dict[int, str] = {}
    first = 0
    for index in indexes:
        with pq.ParquetFile(index.folder / NAMES) as file:
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                own = wanted[slice(*np.searchsorted(wanted, [first, first + count]))]
                if len(own):
                    texts = file.read_row_group(group).column(NAME).take(own - first).to_pylist()
                    found |= dict(zip(own.tolist(), texts, strict=True))
                first += count
    return [found[row] for row in rows.tolist()]


def told(indexes: Sequence[Index], cluster: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[str | None] | None]:
    """Return n clusters and the names of earlier documents, where a number from n on means one of an index."""
    import numpy as np

    documents = len(cluster)
    outside = np.flatnonzero(cluster >= documents)
    if not indexes:
        return cluster, None
    names: list[str | None] = [None] * documents
    for row, name in zip(outside.tolist(), names_of(indexes, cluster[outside] - documents), strict=True):
        names[row] = name
    cluster = cluster.copy()
    cluster[outside] = outside
    return cluster, names
