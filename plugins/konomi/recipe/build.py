"""From a node of the configuration to the plugin it names, with a fault for everything that does not fit."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

from konomi import registry
from konomi.faults import Fault, KonomiError, did_you_mean
from konomi.fields import UNKNOWN
from konomi.recipe.arguments import check_arguments
from konomi.recipe.nodes import is_open, option_types
from konomi.store import Artifact

REFERENCE = "artifact:"
"""What `${artifact:NAME}` resolves to, before the name."""

Lookup = Callable[[str], "Artifact | str"]
"""From a name after `artifact:` to the artifact, or to what is wrong with the name."""
StoredLookup = Callable[[str], "Artifact | None"]
"""From a word where a model is asked for to the stored artifact that it means; None where it means a model of the hub
or of a folder. Raises `KonomiError` where it could mean both."""


@dataclasses.dataclass
class Builder:
    """Builds plugins from plain values; `faults` fills up on the way."""

    lookup: Lookup
    stored: StoredLookup = lambda word: None
    faults: list[Fault] = dataclasses.field(default_factory=list)
    _lost: int = 0
    """Plugins and artifacts that are not there because their value could not be resolved, which was told."""

    def plugin(self, value: Any, where: str, kind: str) -> Any:
        """Return the plugin that a node names, or None where it cannot be built (a fault says why)."""
        if not isinstance(value, Mapping) or "plugin" not in value:
            found = "nothing is chosen" if value is None else f"found {value!r}"
            hint = f"on the command line type {where}=NAME; in a recipe: override /{kind}@{where}: NAME"
            known = ", ".join(registry.names(kind))
            what = f"a {kind} belongs here, {found} (known: {known})"
            self.faults.append(Fault(where, what, hint))
            return None
        own_kind, _, name = str(value["plugin"]).partition("/")
        if own_kind != kind or name not in registry.names(kind):
            self.faults.append(Fault(where, f"{value['plugin']} is no {kind}", registry.elsewhere(kind, name)))
            return None
        cls = registry.get(kind, name)
        before = len(self.faults), self._lost
        fields = {str(key): item for key, item in value.items() if key not in ("plugin", "defaults")}
        options = self._fields(cls, fields, where)
        self._lost += any(name not in fields for name in _wired(cls))
        if (len(self.faults), self._lost) != before:
            return None
        try:
            return cls(**options)
        except (ValueError, TypeError, KonomiError) as error:
            self.faults.append(Fault(where, str(error)))
            return None

    def _fields(self, cls: type[Any], given: dict[str, Any], where: str) -> dict[str, Any]:
        own = {field.name: field for field in dataclasses.fields(cls)}
        unknown = {name: value for name, value in given.items() if name not in own}
        options: dict[str, Any] = {}
        if is_open(cls):
            options["arguments"] = unknown
            for fault in check_arguments(cls.arguments_of, unknown):
                self.faults.append(dataclasses.replace(fault, where=f"{where}.{fault.where}"))
        else:
            for name in unknown:
                self.faults.append(Fault(f"{where}.{name}", f"there is no option {name}", did_you_mean(name, own)))
        kinds = option_types(cls)
        for name, field in own.items():
            if name in given:
                options[name] = self._value(field, given[name], f"{where}.{name}", kinds.get(name))
        return options

    def _value(self, field: dataclasses.Field[Any], value: Any, where: str, kind: Any) -> Any:
        meta = field.metadata
        if "kind" in meta:
            if meta["many"]:
                chosen = value or {}
                if not isinstance(chosen, Mapping):
                    return self.plugin(chosen, where, meta["kind"])
                return {str(name): self.plugin(item, f"{where}.{name}", meta["kind"]) for name, item in chosen.items()}
            return None if value is None and meta["default"] is None else self.plugin(value, where, meta["kind"])
        if "artifact" in meta:
            if meta.get("many"):
                items = value if isinstance(value, Mapping) else {}
                if not items and not meta["optional"]:
                    self._missing_artifact(where, meta["artifact"])
                return {str(name): self.artifact(item, f"{where}.{name}", meta) for name, item in items.items()}
            return self.artifact(value, where, meta)
        if value == "???":
            self.faults.append(Fault(where, "a value is needed", f"type {where}=…"))
            return None
        return self._plain(value, kind, where)

    def artifact(self, value: Any, where: str, meta: Mapping[str, Any]) -> Any:
        """Return the artifact that a value names, after a look at its format."""
        if value is None or value == "???":
            if not meta.get("optional"):
                self._missing_artifact(where, meta["artifact"])
            return None
        if not isinstance(value, str):
            if "str" in meta["artifact"]:
                return value
            self.faults.append(Fault(where, f"what a stage leaves belongs here, found {value!r}", _wire(where)))
            return None
        found = self._looked_up(value, where, meta)
        if not isinstance(found, Artifact):
            return found
        takes = [item for item in meta["artifact"] if item != "str"]
        if takes and found.makes not in (*takes, UNKNOWN):
            what = f"takes {' or '.join(takes)}, and the stage {found.stage} leaves {found.makes}"
            self.faults.append(Fault(where, what, _converter(found.makes, takes)))
        return found

    def _looked_up(self, value: str, where: str, meta: Mapping[str, Any]) -> Artifact | str | None:
        """Return the artifact that a word means; where a model is asked for, the word itself may be the hub's name."""
        name = value.removeprefix(REFERENCE)
        if "str" in meta["artifact"] and not value.startswith(REFERENCE):
            try:
                return self.stored(value) or value
            except KonomiError as error:
                self.faults.append(Fault(where, str(error)))
                return None
        found = self.lookup(name)
        if isinstance(found, str):
            self.faults.append(Fault(where, found, "" if value.startswith(REFERENCE) else _wire(where)))
            return None
        return found

    def _missing_artifact(self, where: str, takes: tuple[str, ...]) -> None:
        words = " or ".join("a name or path" if item == "str" else item for item in takes)
        self.faults.append(Fault(where, f"nothing is given, {words} is needed", _wire(where)))

    def _plain(self, value: Any, kind: Any, where: str) -> Any:
        if isinstance(value, str) and value.startswith(REFERENCE):
            found = self.lookup(value[len(REFERENCE) :])
            if isinstance(found, str):
                self.faults.append(Fault(where, found))
                return None
            return found
        if typing.get_origin(kind) is tuple and isinstance(value, list):
            return tuple(value)
        if isinstance(value, str):  # a child process gets its stage as JSON, where an enum is its member's name
            for enum in (kind, *typing.get_args(kind)):
                if isinstance(enum, type) and issubclass(enum, Enum) and value in enum.__members__:
                    return enum[value]
        return value


def _wired(cls: type[Any]) -> list[str]:
    """Return the fields that hold a plugin or an artifact, and cannot go without."""
    needed = (field for field in dataclasses.fields(cls) if {"kind", "artifact"} & field.metadata.keys())
    return [field.name for field in needed if not field.metadata.get("many") and not field.metadata.get("optional")]


def _wire(where: str) -> str:
    return f'name the stage that makes it: {where}="${{artifact:STAGE}}", or an artifact (konomi tag lists their names)'


def _converter(makes: str, takes: list[str]) -> str:
    if "tokens" in takes and makes in ("text", "messages", "prompt_completion"):
        return "put a tokenize stage between them"
    if "token_pairs" in takes and makes == "preference":
        return "put a tokenize stage between them"
    if "token_pairs" in takes and makes in ("tokens", "text", "messages"):
        return "a preference loss needs pairs: rows with prompt, chosen and rejected"
    return ""


def plugins_in(plugin: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Yield a plugin and every plugin in its fields, each with its config path."""
    yield where, plugin
    for field in dataclasses.fields(plugin):
        if "kind" not in field.metadata:
            continue
        held = getattr(plugin, field.name)
        if field.metadata["many"]:
            for name, item in held.items():
                yield from plugins_in(item, f"{where}.{field.name}.{name}")
        elif held is not None:
            yield from plugins_in(held, f"{where}.{field.name}")


def artifacts_in(plugin: Any) -> Iterator[tuple[str, Artifact]]:
    """Yield every artifact that a plugin and the plugins in its fields read, each with its field's path."""
    for path, part in plugins_in(plugin, ""):
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            where = f"{path}.{field.name}".lstrip(".")
            if isinstance(value, Artifact):
                yield where, value
            elif isinstance(value, Mapping):
                yield from ((f"{where}.{name}", item) for name, item in value.items() if isinstance(item, Artifact))


def _artifacts_of(part: Any) -> list[Artifact]:
    values = [getattr(part, field.name) for field in dataclasses.fields(part)]
    held = [item for value in values for item in (value.values() if isinstance(value, Mapping) else [value])]
    return [item for item in held if isinstance(item, Artifact)]


def checked(plugin: Any, where: str) -> list[Fault]:
    """Return the faults that a plugin and those in its fields find in themselves, with their config paths.

    What reads an artifact whose own stage has faults is passed over: what it would say is no news.
    """
    found = []
    for path, part in plugins_in(plugin, where):
        if hasattr(part, "check") and not any(item.makes == UNKNOWN for item in _artifacts_of(part)):
            for fault in part.check():
                at = f"{path}.{fault.where}" if fault.where else path
                found.append(dataclasses.replace(fault, where=at, hint=_typed(fault, part, path)))
    return found


def _typed(fault: Fault, plugin: Any, path: str) -> str:
    """Return a fault's hint with the plugin's options written as they are typed.

    A plugin says `columns.text=body`; on the command line that is `curate.source.columns.text=body`. A stage may speak
    for a plugin in one of its fields, whose options are meant then.
    """
    for name in fault.where.split("."):
        held = getattr(plugin, name, None)
        if not dataclasses.is_dataclass(held) or isinstance(held, Artifact):
            break
        plugin, path = held, f"{path}.{name}"
    names = "|".join(re.escape(field.name) for field in dataclasses.fields(plugin) if field.name != "arguments")
    return re.sub(rf"(?<![\w.@/'\"])({names})(?=(?:\.\w+)*=)", rf"{path}.\1", fault.hint) if names else fault.hint
