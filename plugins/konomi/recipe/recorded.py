"""A recipe as it was run, from an artifact's manifest: written as a recipe again, so that it meets every check of one.

The recipe's file may have changed or gone since. Plugins are chosen as they were, presets written out, and artifacts
that were given by name or by key are those that were read then, wherever the name has moved to.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from konomi import registry, search_path
from konomi.faults import Fault, Faults, KonomiError
from konomi.recipe import nodes
from konomi.recipe.build import REFERENCE
from konomi.recipe.by_hydra import composing, register_resolvers
from konomi.recipe.composition import Composed
from konomi.recipe.hardening import COMMAND_LINE_ONLY

RECIPE = "konomi_rerun"
"""Name of the recipe while it is composed."""
_INTERPOLATION = re.compile(r"\$\{([\w.\-]+)\}")
NOT_AGAIN = ("until", "refresh", "deadline", "store", "defaults")
"""What said how a run went, and not what it made; and what no composed recipe holds."""


@contextlib.contextmanager
def recorded(
    manifest: Mapping[str, Any], overrides: Sequence[str] = (), lineage: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[Composed]:
    """Give the recipe of a manifest, composed with further overrides; Hydra is ready as in `by_hydra.composing()`.

    `lineage` are the manifests of what the artifact was made from, by stage: they say which artifact a name meant.
    """
    config = manifest.get("recipe_config")
    if not isinstance(config, dict):
        raise KonomiError("the manifest holds no recipe_config; it is damaged, or no konomi wrote it")
    config = copy.deepcopy(config)
    nodes.store_all()
    register_resolvers()
    for made in [manifest, *(lineage or {}).values()]:
        _pin(config, str(made.get("stage")), made.get("inputs") or {})
    with tempfile.TemporaryDirectory(prefix="konomi-rerun-") as folder:
        text = written(config, overrides)
        (Path(folder) / f"{RECIPE}.yaml").write_text(text, encoding="utf-8")
        search_path.add_config_dir(Path(folder))
        try:
            with composing():
                yield Composed(RECIPE, overrides)
        finally:
            search_path.remove_config_dir(Path(folder))


def written(config: Mapping[str, Any], overrides: Sequence[str] = ()) -> str:
    """Return the text of a recipe that composes to a configuration; its plugins are nodes that hold the values.

    So a plugin that an override replaces takes its values with it. Raises `Faults` with all that has gone since, and
    what only the command line may say. The text is JSON, which YAML contains.
    """
    writer = _Writer(overrides)
    for name, value in config.items():
        if name not in NOT_AGAIN and (chosen := writer.node(value, name, name)):
            writer.defaults.append(chosen)
    plain = {name: value for name, value in config.items() if name not in NOT_AGAIN and _plugin(value) is None}
    if writer.faults:
        raise Faults(writer.faults)
    defaults = ["konomi", *writer.defaults, *writer.overriding, "_self_"]
    text = json.dumps({"defaults": defaults, **plain}, ensure_ascii=False, indent=1)
    return text.replace("*", "\\u002a").replace("&", "\\u0026")  # within texts, where YAML takes them for aliases


def _plugin(value: Any) -> tuple[str, str] | None:
    if not isinstance(value, Mapping) or not isinstance(value.get("plugin"), str):
        return None
    kind, _, name = value["plugin"].partition("/")
    return kind, name


class _Writer:
    """Writes plugins down as nodes for Hydra and as a defaults list that chooses them."""

    def __init__(self, overrides: Sequence[str]) -> None:
        self.defaults: list[Any] = []
        self.overriding: list[Any] = []
        self.faults: list[Fault] = []
        self._told = {word.partition("=")[0].rpartition(".")[2] for word in overrides}

    def node(self, value: Any, path: str, name: str) -> dict[str, str] | None:
        """Store a plugin's node and those in its fields; returns the choice of it, None where there is no plugin."""
        plugin = _plugin(value)
        if plugin is None:
            return None
        kind, own = plugin
        if own not in registry.names(kind):
            self.faults.append(Fault(path, f"there is no {kind} called {own} any more", registry.elsewhere(kind, own)))
            return None
        entry = registry.get_entry(kind, own)
        choices = nodes.choice_fields(entry.cls)
        for field, meta in choices.items():
            self._choice(value.get(field), f"{path}.{field}", meta)
        held = {
            field: self._said(item, f"{path}.{field}")
            for field, item in value.items()
            if field not in ("plugin", "defaults") and not (field in choices and isinstance(item, Mapping))
        }
        try:
            return {f"{kind}@{path}": nodes.store_recorded(entry, name, path, held)}
        except KonomiError as error:
            self.faults.append(Fault(path, str(error)))
            return None

    def _choice(self, held: Any, path: str, meta: Mapping[str, Any]) -> None:
        at = f"override /{nodes.group(meta)}@{path}"
        index = len(self.overriding)
        if meta["many"]:
            items = held if isinstance(held, Mapping) else {}
            found = [self.node(item, f"{path}.{name}", str(name)) for name, item in items.items()]
            chosen: Any = [next(iter(item.values())) for item in found if item]
        else:
            one = self.node(held, path, path.rpartition(".")[2])
            chosen = next(iter(one.values())) if one else None
        self.overriding.insert(index, {at: chosen})  # what holds others is chosen before them

    def _said(self, value: Any, path: str) -> Any:
        """Return a value; what a recipe may not say must have been said anew, and then comes from there."""
        name = path.rpartition(".")[2]
        if name not in COMMAND_LINE_ONLY or value in (None, False):
            return value
        if name not in self._told:
            self.faults.append(
                Fault(path, f"the run was told {value}, and that must be said anew", f"type {path}=true")
            )
        return False


def _pin(config: dict[str, Any], stage: str, inputs: Mapping[str, str]) -> None:
    """Write keys where a stage's inputs were given by name or by key, and not as what another stage leaves."""
    plain = OmegaConf.create(config)
    for where, key in inputs.items():
        path = _origin(config, f"{stage}.{where}")
        with contextlib.suppress(OmegaConfBaseException):
            said = OmegaConf.select(plain, path)
            if isinstance(said, str) and said.removeprefix(REFERENCE) not in config:
                OmegaConf.update(plain, path, f"${{{REFERENCE}{key}}}")
                _set(config, path, f"${{{REFERENCE}{key}}}")


def _origin(config: Mapping[str, Any], path: str) -> str:
    """Return where the value at a path stands, through interpolations such as `sft.model: ${model}`."""
    for _ in range(len(config)):
        node: Any = config
        parts = path.split(".")
        for index, part in enumerate(parts):
            node = node.get(part) if isinstance(node, Mapping) else None
            if isinstance(node, str) and (found := _INTERPOLATION.fullmatch(node)):
                path = ".".join([found[1], *parts[index + 1 :]])
                break
        else:
            break
    return path


def _set(config: dict[str, Any], path: str, value: str) -> None:
    *above, last = path.split(".")
    node: Any = config
    for part in above:
        node = node[part]
    node[last] = value
