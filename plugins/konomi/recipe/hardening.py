"""What a recipe may not do: name code to run, read the environment, or change how Hydra itself works.

A node says its plugin, and konomi builds it from the registry; so a stranger's recipe can choose among what is
installed and can run nothing else. Hydra acts on parts of its own configuration (log handlers, callbacks, sweeper
parameters, search path, environment variables), some of them while it composes; so those may come from the command
line only, and every file is looked through before Hydra gets it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from omegaconf import DictConfig, ListConfig, OmegaConf, grammar_parser
from omegaconf.errors import GrammarParseError
from omegaconf.grammar.gen.OmegaConfGrammarParser import OmegaConfGrammarParser

from konomi.faults import Fault, Faults
from konomi.recipe.secrets import value_faults

RECIPES_OWN = frozenset(
    {"job.config_name", "job.override_dirname", "overrides.task", "runtime.config_sources", "runtime.cwd"}
)
"""Parts of `hydra.*` that differ between recipes by nature: Hydra itself writes them when it has composed."""
RECIPES_CHOICES = "runtime.choices"
COMMAND_LINE_ONLY = (
    "trust_remote_code", "push_to_hub", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id",
)  # fmt: skip
"""Settings that run a stranger's code or send something out: a recipe must not turn them on."""
RESOLVERS = ("artifact", "oc.select")
"""Resolvers that a recipe may use. Others read the environment, or are some installed package's program."""
SAY_IT = "say it on the command line instead"
INSTEAD_OF_ENV = "give the value on the command line; an option that needs a secret takes its variable's name"
INSTEAD_OF_RESOLVER = f"a recipe may use ${{artifact:STAGE}}, ${{oc.select:…}} and ${{OTHER.OPTION}}; else {SAY_IT}"
_HYDRA = re.compile(r"(?:^|[/@.])hydra(?:[/@.:]|$)")
_PLAIN_INTERPOLATION = re.compile(r"[^$\\]*(?:\$\{(?:artifact:)?[\w.]+\}[^$\\]*)*")


def check_file(file: Path, values: Any, package: str | None = None) -> None:
    """Raise `Faults` where a recipe's or preset's file says what it may not, before Hydra acts on any of it."""
    faults = [*_hydra_in_file(values, package), *content_faults(values)]
    if isinstance(values, dict):
        faults += _targets(values)
    if faults:
        raise Faults(Fault(fault.where, f"{fault.what} ({file})", fault.hint) for fault in faults)


def content_faults(values: Any, path: str = "") -> Iterator[Fault]:
    """Yield a fault for each value that only the person at the command line may give, and for each secret."""
    yield from _content(values, path)
    yield from value_faults(values, path)


def _content(value: Any, path: str) -> Iterator[Fault]:
    if isinstance(value, dict):
        for key, item in value.items():
            at = f"{path}.{key}".lstrip(".")
            if key in COMMAND_LINE_ONLY and item not in (None, False, "???"):
                yield Fault(at, "a recipe may not say it", SAY_IT)
            else:
                yield from _content(item, at)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _content(item, f"{path}[{index}]")
    elif isinstance(value, str):
        for name in _resolvers(value):
            if name not in RESOLVERS:
                hint = INSTEAD_OF_ENV if name.startswith("oc.env") else INSTEAD_OF_RESOLVER
                yield Fault(path, f"a recipe may not use ${{{name}:…}}", hint)


@functools.lru_cache(maxsize=4096)
def _resolvers(text: str) -> tuple[str, ...]:
    """Return the names of the resolvers that a value calls, those of nested calls too."""
    if "${" not in text or _PLAIN_INTERPOLATION.fullmatch(text):
        return ()
    try:
        tree = grammar_parser.parse(text)
    except GrammarParseError:
        return ()  # OmegaConf will refuse it in its own words
    found, todo = [], [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, OmegaConfGrammarParser.InterpolationResolverContext):
            name: Any = node.resolverName()  # type: ignore[no-untyped-call]
            found.append(name.getText())
        todo += getattr(node, "children", None) or []
    return tuple(found)


def _hydra_in_file(values: Any, package: str | None) -> Iterator[Fault]:
    """Yield a fault for each way in which a file reaches into `hydra`."""
    if package and _HYDRA.search(package):
        yield Fault("# @package", f"a recipe may not put itself into {package}", SAY_IT)
    if not isinstance(values, dict):
        return
    own = values.get("hydra")
    for key in _leaves(own) if own is not None else ():
        yield Fault(f"hydra.{key}".rstrip("."), "the recipe may not change it", SAY_IT)
    listed = values.get("defaults")
    for item in listed if isinstance(listed, list) else []:
        said = [item] if isinstance(item, str) else [*item] if isinstance(item, dict) else []
        said += [value for value in item.values() if isinstance(value, str)] if isinstance(item, dict) else []
        for text in said:
            if _HYDRA.search(re.sub(r"^(?:(?:optional|override)\s+)+", "", str(text)).lstrip("/")):
                yield Fault("defaults", f"{text}: the recipe may not change it", SAY_IT)


def _targets(values: Any, path: str = "") -> Iterator[Fault]:
    if isinstance(values, dict):
        for key, item in values.items():
            at = f"{path}.{key}".lstrip(".")
            if key == "_target_":
                yield _target_fault(at)
            yield from _targets(item, at)
    elif isinstance(values, list):
        for index, item in enumerate(values):
            yield from _targets(item, f"{path}[{index}]")


def _target_fault(path: str) -> Fault:
    return Fault(path, "recipes name plugins, never code to run", "choose a plugin, or register one of your own")


def target_faults(cfg: DictConfig) -> list[Fault]:
    """Return a fault for each `_target_` outside `hydra`, and for each plugin field that was written over."""
    found = []
    for path, node in _mappings(cfg):
        if path.partition(".")[0] == "hydra":
            continue
        if "_target_" in node:
            found.append(_target_fault(f"{path}._target_".lstrip(".")))
        own = getattr(OmegaConf.get_type(node), "__name__", "")
        said = node._get_node("plugin") if "plugin" in node else None
        if "/" in own and said is not None and said._value() != own:
            kind, _, name = str(said._value()).partition("/")
            what = f"the plugin is {own}, and its name cannot be written over"
            found.append(Fault(f"{path}.plugin", what, f"choose it: {kind}@{path}={name}"))
    return found


def said_by_recipe(chosen: DictConfig) -> list[Fault]:
    """Return a fault for each value of a composition without given values that a recipe may not say.

    The store is one: whoever can write to it is trusted, so a recipe cannot bring its own.
    """
    plain: Any = OmegaConf.to_container(chosen, resolve=False, throw_on_missing=False)
    plain.pop("hydra", None)
    konomis: Any = _konomi(())._get_node("store")
    own = konomis._value()
    found = [Fault("store", "a recipe may not say it", SAY_IT)] if plain.pop("store", own) != own else []
    return [*found, *content_faults(plain)]


def unsaid_faults(cfg: DictConfig, overrides: Sequence[str]) -> list[Fault]:
    """Return a fault for each setting that is on and that no override turned on, whosever default it is."""
    return [
        Fault(f"{path}.{name}".lstrip("."), "it is on, and nobody at the command line said so", SAY_IT)
        for path, node in _mappings(cfg)
        for name in COMMAND_LINE_ONLY
        if path.partition(".")[0] != "hydra"
        and name in node
        and _is_on(node, name)
        and not any(_says(override, path, name) for override in overrides)
    ]


def _is_on(node: DictConfig, name: str) -> bool:
    held: Any = node._get_node(name)
    return held._value() not in (None, False, "???")


def _says(override: str, path: str, name: str) -> bool:
    key, _, value = override.lstrip("+~").partition("=")
    inside = path == key or path.startswith(f"{key}.")
    return key == f"{path}.{name}".lstrip(".") or (inside and value.lstrip().startswith("{") and name in value)


def hydra_faults(full: DictConfig, recipe: str, overrides: Sequence[str]) -> list[Fault]:
    """Return a fault for each part of `hydra.*` that a recipe changes beyond what it may."""
    hydra_overrides = tuple(item for item in overrides if item.lstrip("+~").startswith(("hydra.", "hydra/")))
    own = _flat(_konomi(hydra_overrides).hydra)
    theirs = _flat(full.hydra)
    changed = {key for key in {*own, *theirs} if own.get(key) != theirs.get(key)}
    changed -= {key for key in changed if key in RECIPES_OWN or key.startswith(RECIPES_CHOICES)}
    if set(theirs["overrides.task"]) - set(overrides):  # a sweep hands these to its points, `hydra.…` included
        changed.add("overrides.task")
    return [Fault(f"hydra.{key}", f"the recipe {recipe} may not change it", SAY_IT) for key in sorted(changed)]


@functools.cache
def _konomi(overrides: tuple[str, ...]) -> DictConfig:
    """Return konomi's own configuration, which no recipe has touched."""
    cfg: DictConfig = hydra_compose("konomi", list(overrides), return_hydra_config=True)
    return cfg


def _flat(node: Any) -> dict[str, Any]:
    return dict(_leaf_items(OmegaConf.to_container(node, resolve=False, throw_on_missing=False)))


def _leaves(value: Any) -> list[str]:
    return [path for path, _ in _leaf_items(value)]


def _leaf_items(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaf_items(item, f"{at}.{key}" if at else str(key))
    else:
        yield at, value


def _mappings(node: Any, path: str = "") -> Iterator[tuple[str, DictConfig]]:
    if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
        if not node._is_interpolation():
            yield path, node
            for key in node:
                yield from _mappings(node._get_node(key), f"{path}.{key!s}".lstrip("."))
    elif isinstance(node, ListConfig) and not node._is_none() and not node._is_missing():
        for index in range(len(node)):
            yield from _mappings(node._get_node(index), f"{path}[{index}]")
