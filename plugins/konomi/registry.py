"""The plugins that there are: `register` one, `get` it, list their `names`.

Built-ins, installed packages (entry point group `konomi.plugins`) and a project's own folder come in by the same
door: a module is imported, and its `@register` lines speak.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import traceback
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Any, TypeVar

from konomi.faults import KonomiError, did_you_mean

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One registered plugin."""

    kind: str
    name: str
    cls: type[Any]
    version: int
    """Raised by the author whenever the same options give other bytes; part of every key."""
    owner: str
    """The distribution, or the module, that registered it."""

    @property
    def id(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def summary(self) -> str:
        return (self.cls.__doc__ or "").strip().partition("\n")[0]


class UnknownPlugin(KonomiError):
    """There is no plugin of this kind and name."""


class NameClash(KonomiError):
    """Two owners registered one name."""


GROUP = "konomi.plugins"
"""Entry point group of modules whose import registers plugins."""

_entries: dict[tuple[str, str], Entry] = {}
_loaded: list[str] = []
_loading_for: list[str] = []


def register(kind: str, name: str, *, version: int = 1) -> Callable[[type[T]], type[T]]:
    """Register a dataclass as the plugin `name` of `kind`.

    Raises `NameClash`, naming both owners, where another class has the name; importing a module again is no clash.
    """

    def enter(cls: type[T]) -> type[T]:
        if not is_dataclass(cls):
            raise TypeError(f"{cls.__qualname__}: put @register above @dataclass, its fields are the plugin's options")
        owner = _loading_for[-1] if _loading_for else cls.__module__.partition(".")[0]
        held = _entries.get((kind, name))
        if held and (held.cls.__module__, held.cls.__qualname__) != (cls.__module__, cls.__qualname__):
            raise NameClash(
                f"{kind}/{name} is registered twice: by {held.owner} ({held.cls.__module__}.{held.cls.__qualname__})"
                f" and by {owner} ({cls.__module__}.{cls.__qualname__}); rename one, or uninstall one of them"
            )
        _entries[kind, name] = Entry(kind, name, cls, version, held.owner if held else owner)
        return cls

    return enter


def entry_points(group: str) -> list[importlib.metadata.EntryPoint]:
    """Return the entry points of a group; the packages are looked through once, which takes most of a start."""
    return list(_all_entry_points().select(group=group))


@functools.cache
def _all_entry_points() -> Any:
    return importlib.metadata.entry_points()


def load() -> None:
    """Import every module behind the entry point group `konomi.plugins`, once.

    Raises `KonomiError` where one cannot be imported: a run must not go on without a plugin it may need.
    """
    if _loading_for or GROUP in _loaded:
        return
    for point in sorted(entry_points(GROUP), key=lambda p: p.value):
        load_module(point.value, owner=point.dist.name if point.dist else point.value)
    _loaded.append(GROUP)


def load_module(module: str, *, owner: str) -> None:
    """Import a module whose `@register` lines are to be credited to `owner`."""
    if module in _loaded:
        return
    _loading_for.append(owner)
    try:
        importlib.import_module(module)
    except KonomiError:
        raise
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__} in {_place(error) or module}: {error}"
        hint = "mend it" if owner.startswith("the project ") else f"mend it or uninstall {owner}"
        raise KonomiError(f"the plugins of {owner} cannot be imported: {said}; {hint}") from error
    finally:
        _loading_for.pop()
    _loaded.append(module)


def _place(error: BaseException) -> str:
    """Return the file and line where an import failed, the import system's own frames left out."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    own = [frame for frame in frames if frame.filename not in (__file__, importlib.__file__)]
    return f"{own[-1].filename}, line {own[-1].lineno}" if own else ""


def entries(kind: str | None = None) -> list[Entry]:
    """Return all plugins, or those of one kind, sorted by kind and name."""
    load()
    return [_entries[key] for key in sorted(_entries) if kind in (None, key[0])]


def kinds() -> list[str]:
    """Return the kinds that have a plugin."""
    return sorted({entry.kind for entry in entries()})


def names(kind: str) -> list[str]:
    """Return the names of a kind's plugins."""
    return [entry.name for entry in entries(kind)]


def get_entry(kind: str, name: str) -> Entry:
    """Return a plugin's entry; raises `UnknownPlugin` with the nearest match, across kinds too."""
    load()
    if (kind, name) in _entries:
        return _entries[kind, name]
    raise UnknownPlugin(f"there is no {kind} called {name}; {elsewhere(kind, name)}")


def get(kind: str, name: str) -> type[Any]:
    """Return the class of a plugin; raises `UnknownPlugin` with the nearest match, across kinds too."""
    return get_entry(kind, name).cls


def elsewhere(kind: str, name: str) -> str:
    """Say what an unknown name was meant to be: another kind's plugin, else the nearest of its own kind."""
    others = [entry.kind for entry in entries() if entry.name == name]
    if others:
        return f"{name} is a {' and a '.join(others)} (known: {', '.join(names(kind))})"
    return did_you_mean(name, names(kind) or kinds())
