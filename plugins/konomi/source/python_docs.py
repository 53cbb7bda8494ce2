"""The docstrings of the installed standard library: real English with code, on every machine."""

from __future__ import annotations

import functools
import os
import platform
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, nearest
from konomi.registry import register
from konomi.source import Rows

if TYPE_CHECKING:
    import pyarrow as pa

    from konomi.source._docstrings import Docstring

NO_DOCUMENTATION = {"site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3", "__pycache__"}
"""Folders that hold other distributions, tests, or test data."""
COLUMNS = ("text", "name", "kind", "signature", "docstring", "summary")


@register("source", "python_docs")
@dataclass(frozen=True)
class PythonDocs:
    """Read the docstrings of the installed Python's standard library, each with its signature as code.

    The source files are parsed with `ast`; nothing is imported. Beside `text`, a row has the parts that instructions
    are made of: `name`, `kind` (module, class, function, method, property), `signature`, `docstring`, and `summary`
    (its first sentence).

    >>> rows = [row for table in PythonDocs(packages=["statistics"]).load() for row in table.to_pylist()]
    >>> next(row["summary"] for row in rows if row["name"] == "statistics.median")
    'Return the median (middle value) of numeric data.'
    """

    packages: list[str] = field(default_factory=list)
    """Top-level modules and packages to read (`[email, json]`); empty reads all."""
    private: bool = False
    """Read also what begins with an underscore inside a module."""
    min_characters: int = 20
    """Docstrings shorter than this are passed over."""
    limit: int = 0
    """Rows to read; 0 reads all."""

    def check(self) -> Iterable[Fault]:
        known = {name.partition(".")[0] for name in _modules(())}
        for name in self.packages:
            if name not in known:
                near = nearest(name, known)
                hint = f"did you mean {near}?" if near else "name top-level modules: packages=[email,json]"
                yield Fault("packages", f"the standard library has no source of {name}", hint)
        for name in ("min_characters", "limit"):
            if getattr(self, name) < 0:
                yield Fault(name, f"{getattr(self, name)} is below 0")

    def format(self) -> str:
        return "text"

    def columns_known(self) -> Sequence[str]:
        return COLUMNS

    def depends(self) -> Mapping[str, Any]:
        modules = _modules(tuple(self.packages)).items()
        states = [(name, path, path.stat()) for name, path in modules]
        files = tuple((name, path, state.st_size, state.st_mtime_ns, state.st_ctime_ns) for name, path, state in states)
        return {"python": platform.python_version(), "sources": _content(files)}

    def load(self) -> Rows:
        return Rows(self._read)

    def _read(self, dropped: dict[str, int]) -> Iterator[pa.Table]:
        from konomi.source._tables import limited

        yield from limited(self._tables(dropped), self.limit)

    def _tables(self, dropped: dict[str, int]) -> Iterator[pa.Table]:
        import pyarrow as pa

        from konomi.source._tables import BATCH_ROWS

        schema = pa.schema([(name, pa.string()) for name in COLUMNS])
        found, unread = _read(tuple(self.packages), self.private)
        if unread:
            dropped["not this Python's source"] = unread
        kept = [item for item in found if len(item.docstring) >= self.min_characters]
        for start in range(0, len(kept), BATCH_ROWS):
            rows = [{name: getattr(item, name) for name in COLUMNS} for item in kept[start : start + BATCH_ROWS]]
            yield pa.Table.from_pylist(rows, schema=schema)


@functools.lru_cache(maxsize=2)  # a recipe makes text, instructions and preferences out of the same few megabytes
def _read(packages: tuple[str, ...], private: bool) -> tuple[list[Docstring], int]:
    """Return the docstrings by module, and how many modules are kept for another version of Python."""
    from konomi.source._docstrings import docstrings

    found: list[Docstring] = []
    unread = 0
    for name, path in _modules(packages).items():
        try:
            found += docstrings(path.read_bytes(), name, private=private)
        except (SyntaxError, ValueError):
            unread += 1
    return found, unread


@functools.lru_cache(maxsize=4)  # 12 MB are read in 30 ms, once for a recipe's stages
def _content(files: tuple[tuple[str, Path, int, int, int], ...]) -> str:
    """Return a hash of modules and what their files hold; the times make a changed file another question."""
    import hashlib

    digest = hashlib.sha256()
    for name, path, *_ in files:
        digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


@functools.cache
def _modules(packages: tuple[str, ...]) -> dict[str, Path]:
    """Return the standard library's modules that have a source file, by dotted name, sorted."""
    root = Path(sysconfig.get_paths()["stdlib"])
    found = {}
    for at, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in NO_DOCUMENTATION and name.isidentifier())
        for file in files:
            path = Path(at, file)
            parts = path.relative_to(root).with_suffix("").parts
            if path.suffix == ".py" and all(map(str.isidentifier, parts)) and (not packages or parts[0] in packages):
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                if name:
                    found[name] = path
    return dict(sorted(found.items()))
