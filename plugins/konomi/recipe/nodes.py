"""Every plugin as a typed Hydra node, and every preset on top of one.

A node is a non-frozen twin of the plugin's dataclass with the plugin's id as a field, so that a wrong key, type or
name is Hydra's own error at once. Fields that hold plugins or artifacts are `Any` in the twin: plugins come from the
defaults list, artifacts from an interpolation.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigNode, ConfigStore
from omegaconf import MISSING, OmegaConf

from konomi import registry, search_path
from konomi.faults import Fault, Faults, KonomiError, did_you_mean
from konomi.recipe.hardening import check_file
from konomi.registry import Entry

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_stored: dict[tuple[str, str], type[Any]] = {}


def option_types(cls: type[Any]) -> dict[str, Any]:
    """Return the types of a dataclass' plain options, by name (not of fields that hold plugins or artifacts)."""
    found = {}
    for field in dataclasses.fields(cls):
        if "kind" in field.metadata or "artifact" in field.metadata:
            continue
        owner = next(base for base in cls.__mro__ if field.name in inspect.get_annotations(base))
        try:
            scope = vars(sys.modules[owner.__module__])
            kind = field.type
            found[field.name] = eval(kind, scope, dict(vars(owner))) if isinstance(kind, str) else kind
        except NameError as error:
            raise KonomiError(
                f"{cls.__module__}.{cls.__qualname__}.{field.name}: the type {field.type!r} is not known at run time"
                f" ({error}); import it outside `if TYPE_CHECKING:`, or declare the field with choice() or artifact()"
            ) from error
    return found


def is_open(cls: type[Any]) -> bool:
    """Tell whether a plugin takes a library's own arguments beside its fields."""
    return hasattr(cls, "arguments_of")


def choice_fields(cls: type[Any]) -> dict[str, Mapping[str, Any]]:
    """Return the metadata of the fields that hold plugins, by name."""
    return {field.name: field.metadata for field in dataclasses.fields(cls) if "kind" in field.metadata}


def group(meta: Mapping[str, Any]) -> str:
    """Return the config group that a field's plugins are chosen from.

    That is the kind; but a field that takes several of a kind that stands alone elsewhere (`dedup.steps`) chooses from
    `dedups`, where each node lies under its own name.
    """
    return f"{meta['kind']}s" if meta["many"] and _stands_alone(meta["kind"]) else str(meta["kind"])


def kind_of(group_: str) -> str:
    """Return the kind whose plugins a config group holds."""
    kind = group_.removesuffix("s")
    return kind if group_ not in registry.kinds() and kind in registry.kinds() else group_


def mapping_fields(cls: type[Any]) -> list[str]:
    """Return the names of the options that hold names of the user's own: mappings, and artifacts by name."""
    kinds = option_types(cls)
    named = [
        field.name for field in dataclasses.fields(cls) if "artifact" in field.metadata and field.metadata.get("many")
    ]
    return [*named, *(name for name, kind in kinds.items() if typing.get_origin(kind) in (dict, Mapping))]


def defaults_list(cls: type[Any], inside: str = "") -> list[Any]:
    """Return the Hydra defaults list that brings a plugin's own choices, `_self_` first."""
    prefix = f"{inside}." if inside else ""
    return [
        "_self_",
        *({f"/{group(meta)}@{prefix}{name}": meta["default"]} for name, meta in choice_fields(cls).items()),
    ]


def twin(entry: Entry, defaults: list[Any] | None = None) -> Any:
    """Return the typed node of a plugin: a DictConfig, open where the plugin takes a library's arguments."""
    types_ = option_types(entry.cls)
    fields: list[Any] = [("plugin", str, dataclasses.field(default=entry.id))]
    if defaults is not None:
        fields.append(("defaults", list[Any], dataclasses.field(default_factory=lambda: list(defaults))))
    for field in dataclasses.fields(entry.cls):
        if is_open(entry.cls) and field.name == "arguments":
            continue
        if field.name not in types_:
            empty = dict if field.metadata.get("many") else type(None)
            fields.append((field.name, Any, dataclasses.field(default_factory=empty)))
        else:
            fields.append((field.name, node_type(types_[field.name]), _default(field)))
    cls = dataclasses.make_dataclass(f"{entry.kind}/{entry.name}", fields, init=False, repr=False, eq=False)
    node = OmegaConf.structured(cls)
    return OmegaConf.create(OmegaConf.to_container(node)) if is_open(entry.cls) else node


def node_type(annotation: Any) -> Any:
    """Return the nearest type that OmegaConf can hold: tuples become lists, what it cannot hold becomes `Any`."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        members = [node_type(arg) for arg in args]
        plain = [member for member in members if member is not type(None)]
        simple = all(member in (int, float, bool, str) or _is_enum(member) for member in plain)
        if len(plain) == 1:
            return typing.Optional[plain[0]] if len(members) > 1 else plain[0]  # noqa: UP045
        return typing.Union[tuple(members)] if simple and not any(map(_is_enum, plain)) else Any  # noqa: UP007
    if origin in (list, tuple) and args:
        return list[node_type(args[0])]  # type: ignore[misc]
    if origin in (dict, Mapping) and len(args) == 2 and args[0] in (str, int):
        return dict[args[0], node_type(args[1])]  # type: ignore[misc, valid-type]
    return annotation if annotation in (int, float, bool, str, Any) or _is_enum(annotation) else Any


def store_all() -> None:
    """Register all plugins and presets with Hydra, each once. Raises `Faults` with every preset that is wrong."""
    search_path.load_plugins()
    store = ConfigStore.instance()
    for entry in registry.entries():
        if _stored.get((entry.kind, entry.name)) is not entry.cls:
            _put(store, Node(entry.kind, entry.name, entry, {}, []))
            _stored[entry.kind, entry.name] = entry.cls
    faults: list[Fault] = []
    owners: dict[tuple[str, str], tuple[str, Path]] = {}
    for provider in search_path.providers():
        for kind in registry.kinds() if provider.conf else []:
            for file in sorted(filter(Path.is_file, (provider.conf / kind).glob("*.yaml"))):  # type: ignore[operator]
                try:
                    _store_preset(store, kind, file, provider.owner, owners)
                except KonomiError as error:
                    faults.append(Fault(f"{kind}/{file.stem}", str(error)))
    if faults:
        raise Faults(faults)


def _store_preset(
    store: ConfigStore, kind: str, file: Path, owner: str, owners: dict[tuple[str, str], tuple[str, Path]]
) -> None:
    id_ = (kind, file.stem)
    if file.stem in registry.names(kind):
        held = registry.get_entry(kind, file.stem)
        raise KonomiError(
            f"the preset {file} of {owner} has the name of the plugin that {held.owner} registered; rename the file"
        )
    if id_ in owners and owners[id_][1] != file:
        raise KonomiError(
            f"is brought by {owners[id_][0]} ({owners[id_][1]}) and by {owner} ({file}); rename one of them"
        )
    owners[id_] = (owner, file)
    if id_ not in _stored:
        entry, values, defaults = read_preset(kind, file)
        node = Node(kind, file.stem, entry, values, defaults)
        try:
            if owner != "konomi":  # ours have tests, and most are not wanted by this recipe
                node.made()
        except KonomiError as error:
            raise KonomiError(f"{file}: {error}") from error
        _put(store, node)
        _stored[id_] = entry.cls


def read_preset(kind: str, file: Path, seen: tuple[Path, ...] = ()) -> tuple[Entry, dict[str, Any], list[Any]]:
    """Return the plugin below a preset, the preset's values, and what else its defaults list names.

    A preset begins with `defaults: [PLUGIN, _self_]`; PLUGIN may be another preset in the same folder.
    """
    try:
        values = yaml.load(search_path.page(file), Loader=_LOADER) or {}
    except yaml.YAMLError as error:
        raise KonomiError(search_path.not_yaml(file, error)) from error
    if not isinstance(values, dict):
        raise KonomiError(f"{file}: expected a mapping that begins with defaults: [PLUGIN, _self_]")
    check_file(file, values)
    listed = values.pop("defaults", None) or []
    if not isinstance(listed, list):
        raise KonomiError(f"{file}: its defaults are no list; begin with defaults: [{listed}, _self_]")
    bases = [item for item in listed if isinstance(item, str) and item != "_self_"]
    if len(bases) != 1:
        raise KonomiError(f"{file}: names no plugin; begin with defaults: [PLUGIN, _self_]")
    own = [item for item in listed if not isinstance(item, str)]
    above = file.with_name(f"{bases[0]}.yaml")
    if above.exists() and above != file:
        if above in seen:
            raise KonomiError(f"{file}: stands on {bases[0]}, which stands on it; begin with a plugin's name")
        entry, inherited, defaults = read_preset(kind, above, (*seen, file))
        return entry, OmegaConf.to_container(OmegaConf.merge(inherited, values)), [*defaults, *own]  # type: ignore[return-value]
    if bases[0] not in registry.names(kind):
        raise KonomiError(f"{file}: there is no {kind} called {bases[0]}; {registry.elsewhere(kind, bases[0])}")
    return registry.get_entry(kind, bases[0]), values, own


@dataclasses.dataclass
class Node:
    """A plugin or preset as Hydra will see it, made when a composition asks for it."""

    kind: str
    name: str
    entry: Entry
    values: dict[str, Any]
    defaults: list[Any]

    def made(self, group_: str | None = None) -> Any:
        """Return the node; where a group takes several, under its own name, so that a list of them keeps its order."""
        if (group_ or self.kind) != self.kind or (_is_many(self.kind) and not _stands_alone(self.kind)):
            node: Any = {self.name: _filled(twin(self.entry), self.values)}
            own = [_inside(item, self.name) for item in self.defaults]
            if len(listed := [*defaults_list(self.entry.cls, self.name), *own]) > 1:
                node["defaults"] = listed
            return OmegaConf.create(node)
        listed = [*defaults_list(self.entry.cls), *self.defaults]
        return _filled(twin(self.entry, listed if len(listed) > 1 else None), self.values)


def _inside(item: Any, name: str) -> Any:
    """Return an entry of a preset's defaults list as it is said from one level above: below the preset's name."""
    return {key.replace("@", f"@{name}.", 1): value for key, value in item.items()} if isinstance(item, dict) else item


class _Stored(ConfigNode):  # type: ignore[misc]
    """An entry of Hydra's ConfigStore whose node is made when it is first read."""

    def __init__(self, made: Node, group_: str, name: str) -> None:
        self.name, self.group, self.package, self.provider = f"{name}.yaml", group_, None, "konomi"
        self._made = made
        self._node: Any = None

    @property
    def node(self) -> Any:
        if self._node is None:
            self._node = self._made.made(self.group)
        return self._node

    @node.setter
    def node(self, value: Any) -> None:
        self._node = value


def _put(store: ConfigStore, node: Node, name: str = "") -> None:
    """Make a node known to Hydra, in the group of its kind and, for fields that take several, in `group()`'s."""
    name = name or node.name
    for group_ in (node.kind, f"{node.kind}s") if _is_many(node.kind) else (node.kind,):
        store.repo.setdefault(group_, {})[f"{name}.yaml"] = _Stored(node, group_, name)


def store_recorded(entry: Entry, name: str, path: str, values: dict[str, Any]) -> str:
    """Make a plugin with values of a recorded recipe known to Hydra, under `name` where a kind takes several.

    Returns what to choose. Raises `KonomiError` where the plugin has no such option any more.
    """
    node = Node(entry.kind, name, entry, values, [])
    node.made()
    chosen = "__".join(["recorded", *path.split(".")])
    _put(ConfigStore.instance(), node, chosen)
    return chosen


def _filled(node: Any, values: dict[str, Any]) -> Any:
    try:
        node.merge_with(values)
    except Exception as error:
        unknown = [name for name in values if name not in node]
        hint = did_you_mean(unknown[0], map(str, node)) if unknown else str(error).partition("\n")[0]
        raise KonomiError(f"{unknown[0]}: {hint}" if unknown else hint) from error
    return node


def _is_many(kind: str) -> bool:
    return any(meta["many"] for meta in _fields_of(kind))


def _stands_alone(kind: str) -> bool:
    return any(not meta["many"] for meta in _fields_of(kind))


def _fields_of(kind: str) -> Iterator[Mapping[str, Any]]:
    """Yield the metadata of all fields, of whatever plugin, that hold plugins of a kind."""
    metas = (meta for entry in registry.entries() for meta in choice_fields(entry.cls).values())
    return (meta for meta in metas if meta["kind"] == kind)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        factory = field.default_factory
        return dataclasses.field(default_factory=lambda: _plain(factory()))
    if field.default is dataclasses.MISSING:
        return dataclasses.field(default=MISSING)
    value = _plain(field.default)
    if isinstance(value, (list, dict)):
        return dataclasses.field(default_factory=lambda: value)
    return dataclasses.field(default=value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def _is_enum(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Enum)


def stored(kind: str) -> list[tuple[str, str]]:
    """Return what can be chosen of a kind: plugins and presets."""
    return sorted(key for key in _stored if key[0] == kind)
