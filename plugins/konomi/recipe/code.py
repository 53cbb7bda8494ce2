"""The code of a plugin as a hash, where no version number stands for it: a project's files, a script, a notebook.

What is counted: the module of the plugin's class and every module outside the installed packages that it imports, at
its top or inside a function, and so on. What is not: installed packages and the standard library (they have versions),
and what cannot be seen without running the code, a module imported by a computed name or a file that is read. A plugin
names those itself in `depends()`.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from konomi.faults import KonomiError

DIGITS = 24
INSTALLED = {"site-packages", "dist-packages"}
"""Names of folders whose packages declare a version."""


def own_code(cls: type[Any]) -> str | None:
    """Return a hash of a plugin's code, None for one that comes from an installed package and declares a version.

    Of a module that is loaded, the code that was loaded counts, whatever its file has become since: that is what runs.
    """
    if _is_konomi(cls.__module__):
        return None
    module = sys.modules.get(cls.__module__)
    if module is None or not getattr(module, "__file__", None):
        return _digest_of(_source(cls).encode())
    if not _is_local(Path(str(module.__file__))):
        return None
    found = {name: _loaded_digest(name, file) for name, file in _files(cls.__module__).items()}
    return _digest_of("".join(f"{name}\0{digest}\n" for name, digest in sorted(found.items())).encode())


def _source(cls: type[Any]) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError) as error:
        raise KonomiError(
            f"the code of {cls.__qualname__} cannot be read ({error}), so no key can tell one version of it from"
            " another; put it into a file"
        ) from error


@dataclass(frozen=True)
class _Seen:
    """A module's file as it was when its code was first hashed."""

    spec: ModuleSpec | None
    """What the module was loaded from; None where it was not loaded yet. A reload makes another one."""
    digest: str


_seen: dict[str, _Seen] = {}


def _loaded_digest(name: str, file: Path) -> str:
    """Return the hash of a module's file: of a loaded module as it was when the code was first looked at."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    held = _seen.get(name)
    if held is None or spec is None or held.spec is not spec:
        held = _seen[name] = _Seen(spec, _digest_of(file.read_bytes()))
    return held.digest


def _files(module: str) -> dict[str, Path]:
    """Return the files of a module and of all that it imports from outside the installed packages, by module."""
    found: dict[str, Path] = {}
    waiting, met = [module], {module}
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if file is not None:
            found[name] = file
        names = _imported(file, name) if file is not None and file.suffix == ".py" else iter(())
        for parent in [name.rpartition(".")[0], *names]:
            if parent and parent not in met:
                met.add(parent)
                waiting.append(parent)
    return found


def _file(name: str) -> Path | None:
    """Return a module's file; None where it is installed, has no file, or is no module."""
    if _is_konomi(name) or name.partition(".")[0] in sys.stdlib_module_names - {"__main__"}:
        return None
    loaded = sys.modules.get(name)
    file = getattr(loaded, "__file__", None) if loaded is not None else getattr(_spec(name), "origin", None)
    return Path(file) if file and Path(file).is_file() and _is_local(Path(file)) else None


def _spec(name: str) -> ModuleSpec | None:
    """Find a module without importing it or the packages around it."""
    parent, _, _ = name.rpartition(".")
    try:
        if not parent:
            return importlib.util.find_spec(name)
        around = sys.modules[parent] if parent in sys.modules else _spec(parent)
        path = getattr(around, "__path__", None) or getattr(around, "submodule_search_locations", None)
        return PathFinder.find_spec(name, list(path)) if path else None
    except (ImportError, ValueError, AttributeError):
        return None


def _imported(file: Path, module: str) -> Iterator[str]:
    """Yield the names of what a file's import statements may mean, modules or not."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return  # nobody has imported it, and its bytes count
    is_package = file.name == "__init__.py"
    package = getattr(sys.modules.get(module), "__package__", None) if module == "__main__" else None
    package = package or (module if is_package else module.rpartition(".")[0])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _is_konomi(module: str) -> bool:
    return module.partition(".")[0] == "konomi"


def _is_local(file: Path) -> bool:
    """Tell whether a file belongs to no installed package."""
    resolved = file.absolute()
    return not INSTALLED & set(resolved.parts) and not any(resolved.is_relative_to(root) for root in _standard())


@functools.cache
def _standard() -> tuple[Path, ...]:
    return tuple(Path(sysconfig.get_path(name)).absolute() for name in ("stdlib", "platstdlib"))


def _digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:DIGITS]
