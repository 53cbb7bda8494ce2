"""A stage's key: a hash of everything that shapes its bytes, and of nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from konomi import registry
from konomi.faults import KonomiError
from konomi.fields import in_key
from konomi.recipe.arguments import without_defaults
from konomi.recipe.code import own_code
from konomi.store import Artifact

DIGITS = 24
"""Hex digits of a key: 96 bits, so that two million artifacts share one with a chance of 1e-17."""


def parts(plugin: Any, *, deciding: bool = True) -> dict[str, Any]:
    """Return what a plugin's result depends on, as JSON values: its id, version, fields, and what it names itself.

    A stage may rewrite its fields with `key_fields(fields)`, where several ways of saying one thing give one result.
    Without `deciding`, what a filter's scores depend on: its limits (`konomi.fields.decides`) are left out.
    """
    entry = entry_of(plugin)
    unused = set(plugin.unused()) if hasattr(plugin, "unused") else set()
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(plugin):
        value = getattr(plugin, field.name)
        if field.name in unused:
            continue
        if not in_key(field) and not isinstance(value, Artifact):
            continue
        if not deciding and field.metadata.get("decides"):
            continue
        if field.metadata.get("many"):
            fields[field.name] = [[name, canonical(item)] for name, item in value.items()]  # their order counts
        else:
            fields[field.name] = canonical(value)
    if hasattr(plugin, "key_fields"):
        fields = _defaults_dropped(canonical(plugin.key_fields(fields)))
    if arguments_of := getattr(entry.cls, "arguments_of", None):
        given = {**getattr(entry.cls, "arguments_default", {}), **fields["arguments"]}
        fields["arguments"] = without_defaults(arguments_of, given)
    found: dict[str, Any] = {"plugin": entry.id, "version": entry.version, "fields": fields}
    if inherited := _inherited(entry.cls):
        found["inherits"] = inherited
    if hasattr(plugin, "depends"):
        found["depends"] = canonical(dict(plugin.depends()))
    if code := own_code(entry.cls):
        found["code"] = code
    return found


def code_in(plugin: Any) -> dict[str, str]:
    """Return the hashes of the code of a plugin and of those in its fields, of those that come from no package."""
    from konomi.recipe.build import plugins_in

    found = {where: own_code(type(part)) for where, part in plugins_in(plugin, "")}
    return {where: code for where, code in found.items() if code}


def _inherited(cls: type[Any]) -> dict[str, int]:
    """Return the versions of the plugins that a plugin's class is built upon: their code is a part of it."""
    return {entry.id: entry.version for entry in registry.entries() if entry.cls in cls.__mro__[1:]}


def _defaults_dropped(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out a library's own defaults where a stage has put its plugins' arguments together itself."""
    for held in fields.values():
        if isinstance(held, dict) and "plugin" in held:
            arguments_of = getattr(registry.get(*held["plugin"].split("/")), "arguments_of", None)
            if arguments_of:
                held["fields"]["arguments"] = without_defaults(arguments_of, held["fields"]["arguments"])
    return fields


def key_of(plugin_parts: Mapping[str, Any]) -> str:
    """Return the key of a stage from its parts: the stage's name and a hash."""
    text = json.dumps(plugin_parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    name = str(plugin_parts["plugin"]).partition("/")[2]
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}"


def canonical(value: Any) -> Any:
    """Return a value such that equal meanings are equal: 1.0 and 1, tuples and lists, an artifact and its key."""
    if isinstance(value, Artifact):
        return {"artifact": value.key}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return parts(value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(name): canonical(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [canonical(item) for item in value]
        return sorted(items, key=repr) if isinstance(value, (set, frozenset)) else items
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Path):
        return value.as_posix()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise KonomiError(
        f"{value!r} ({type(value).__name__}) cannot stand in a key; expected text, numbers, enums, paths, lists or"
        " mappings of these"
    )


def entry_of(plugin: Any) -> registry.Entry:
    """Return the registry's entry of a plugin object."""
    found = next((entry for entry in registry.entries() if entry.cls is type(plugin)), None)
    if found is None:
        raise KonomiError(f"{type(plugin).__qualname__} is no registered plugin, or was registered anew; plan again")
    return found


def differences(new: Any, old: Any, path: str = "") -> list[str]:
    """Return what differs between two stages' parts: `fields.loss.fields.beta: 0.1 → 0.2`, told as a recipe's path."""
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        found = []
        for name in sorted({*new, *old}, key=lambda name: (name != "plugin", name)):
            below = path if name in ("fields", "depends") else f"{path}.{name}".lstrip(".")
            found += differences(new.get(name), old.get(name), below)
        return found
    if _named(new) and _named(old) and [name for name, _ in new] == [name for name, _ in old]:
        return differences(dict(new), dict(old), path)
    same = new == old or (new in (None, {}) and old in (None, {}))  # a plugin that depends on nothing says so, or not
    return [] if same else [f"{path}: {_short(old)} → {_short(new)}"]


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, list) and len(item) == 2 for item in value)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return text if len(text) <= 48 else f"{text[:45]}…"
