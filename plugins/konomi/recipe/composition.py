"""From a recipe's name and overrides to one configuration, with every mistake in one list.

Hydra stops at the first mistake; so where the whole does not compose, the overrides are added one at a time, choices
of plugins first, and each that fails is explained.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from konomi import registry, search_path
from konomi.faults import Fault, Faults, did_you_mean, nearest
from konomi.recipe import by_hydra, nodes
from konomi.recipe.by_hydra import REFUSED, is_value
from konomi.recipe.hardening import hydra_faults, said_by_recipe, target_faults, unsaid_faults
from konomi.recipe.secrets import override_faults
from konomi.recipe.short_forms import expand, overridden

EXTRAS = {
    "hydra/launcher/joblib": "joblib",
    "hydra/launcher/submitit_local": "submitit",
    "hydra/launcher/submitit_slurm": "submitit",
    "hydra/launcher/ray": "ray",
}
"""Hydra's own plugins that come with an extra of konomi."""


class Composed:
    """A composed recipe: its configuration, the overrides as Hydra gets them, and the faults found on the way."""

    def __init__(self, recipe: str, overrides: Sequence[str] = ()) -> None:
        """Compose inside `by_hydra.composing()`."""
        self.recipe = recipe
        self.given = list(overrides)
        self.faults: list[Fault] = []
        if secrets := list(override_faults(self.given)):
            raise Faults(secrets)  # alone: what else is wrong is told with the override, secret and all
        known = search_path.recipes()
        if recipe not in known:
            raise Faults([Fault(f"recipe {recipe}", "there is no such recipe", did_you_mean(recipe, known))])
        try:
            plain = by_hydra.composed(recipe, [])
        except REFUSED as error:
            raise Faults([Fault(f"recipe {recipe}", _explain_recipe(error))]) from error
        typed, unclear = self._expand(plain)
        self.faults += unclear
        chosen = self._choose(typed, plain)
        self.faults += said_by_recipe(chosen)
        cfg = by_hydra.copied(chosen)
        self._give(typed, cfg)
        self.faults += [
            *target_faults(cfg),
            *unsaid_faults(cfg, self.overrides),
            *hydra_faults(cfg, recipe, self.overrides),
            *_given_twice(known[recipe][0], self.overrides),
        ]
        self.sweeper = str(cfg.hydra.runtime.choices.get("hydra/sweeper", "basic"))
        with open_dict(cfg):
            del cfg["hydra"]
        self.cfg: DictConfig = cfg

    @property
    def overrides(self) -> list[str]:
        """The overrides that could be applied, short forms written out."""
        return list(self.typed)

    def _expand(self, plain: DictConfig) -> tuple[dict[str, str], list[Fault]]:
        """Expand until nothing changes: a choice made by one short form may open the place another one speaks of."""
        current, faults = expand(self.given, plain)
        for _ in range(3):
            choices = [override for override in current if not is_value(override)]
            if not choices or len(choices) == len(current):
                break
            try:
                cfg = by_hydra.composed(self.recipe, choices)
            except REFUSED:
                break
            before = current
            current, faults = expand(self.given, cfg)
            if current == before:
                break
        return current, faults

    def _choose(self, typed: dict[str, str], plain: DictConfig) -> DictConfig:
        """Compose with the choices; where that fails with those that can be, and each of the others is a fault."""
        choices = [override for override in typed if not is_value(override)]
        try:
            cfg = by_hydra.composed(self.recipe, choices)
        except REFUSED as error:
            if len(choices) == 1:
                self.faults.append(explain(typed.pop(choices[0]), choices[0], error, plain))
                return plain
            cfg = plain
            accepted: list[str] = []
            for override in choices:
                try:
                    cfg = by_hydra.composed(self.recipe, [*accepted, override])
                    accepted.append(override)
                except REFUSED as refused:
                    self.faults.append(explain(typed.pop(override), override, refused, cfg))
        return cfg

    def _give(self, typed: dict[str, str], cfg: DictConfig) -> None:
        """Apply the values; each that cannot be is a fault."""
        for override in filter(is_value, list(typed)):
            try:
                by_hydra.give(cfg, override)
            except REFUSED as error:
                self.faults.append(explain(typed.pop(override), override, error, cfg))
        self.typed = typed


def _given_twice(recipe: Path, overrides: Sequence[str]) -> list[Fault]:
    """Return a fault for each plugin that a list names twice; Hydra makes one of them, silently."""
    lists = [override.lstrip("+").partition("=")[::2] for override in overrides if not is_value(override)]
    body = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    listed = (body.get("defaults") or []) if isinstance(body, dict) else []
    lists += [(key, str(value)) for item in listed if isinstance(item, dict) for key, value in item.items()]
    found = []
    for group, chosen in lists:
        names = re.findall(r"[\w\-]+", chosen) if chosen.startswith("[") else []
        for name in sorted({name for name in names if names.count(name) > 1}):
            what = f"{name} is given twice, and one name holds one plugin"
            found.append(Fault(group.partition("@")[2], what, "a preset of another name may stand beside it"))
    return found


def _explain_recipe(error: Exception) -> str:
    text = str(error)
    if found := re.search(r"Could not find '([\w\-]+)/([\w\-]+)'", text):
        return f"there is no {found[1]} called {found[2]}; {_elsewhere(found[1], found[2])}"
    if found := re.search(r"(\w+) is not a subclass of (\w+)/\w+\. value: (.*)", text):
        kind, value = found[2], found[3].strip()
        choose = f"override /{kind}@STAGE.{kind}: {value}"
        return f"a {kind} belongs where {value!r} stands; choose it in the defaults: {choose}"
    return _first_lines(text)


def explain(given: str, override: str, error: Exception, cfg: DictConfig) -> Fault:
    """Say what is wrong with one override that Hydra refused, in a person's words."""
    text = str(error)
    if found := re.search(r"Could not find '([^']+)/([^'/]+)'", text):
        options = re.search(r"Available options in '[^']+':\s*(.*?)\s*Config search path", text, re.DOTALL)
        hint = _elsewhere(found[1], found[2])
        if options and found[1] not in registry.kinds() and f"{found[1]}/{found[2]}" not in EXTRAS:
            hint = did_you_mean(found[2], options[1].split())
        return Fault(given, f"there is no {found[1]} called {found[2]}", hint)
    key, value = overridden(override)
    if "Config group override must be" in text or ("DictConfig with ListConfig" in text and not is_value(override)):
        kind = override.lstrip("+").partition("=")[0].partition("@")[0]
        known = [name for _, name in nodes.stored(kind)]
        return Fault(given, f"one name is chosen here, not {value}", f"known: {', '.join(known)}" if known else "")
    node, missing = _deepest(cfg, key)
    unknown = re.search(r"Key '(\w+)' not in '([\w/]+)'", text + str(error.__cause__ or ""))
    if unknown and not is_value(override) and "raised while composing" in text:
        what = f"the recipe gives {unknown[1]} for the plugin that it chose itself, and {unknown[2]} has no such option"
        return Fault(given, what, "move the recipe's value into a preset, and choose that in its defaults")
    if missing is not None:
        keys = [str(name) for name in node if name not in ("plugin", "defaults", "hydra")]
        plugin = OmegaConf.select(node, "plugin", default=None)
        where = f"{plugin} has no option {missing}" if plugin else f"there is no {key}"
        return Fault(given, where, _among(missing, keys, cfg))
    first = next((line for line in text.splitlines() if "Value" in line or "Error" in line), _first_lines(text))
    if cause := error.__cause__:
        first = str(cause).partition("\n")[0] or first
    return Fault(given, first if value is not None else _first_lines(text))


def _elsewhere(kind: str, name: str) -> str:
    extra = EXTRAS.get(f"{kind}/{name}")
    if extra:
        return f"it is not installed; type: pip install 'konomi[{extra}]'"
    known = [key[1] for key in nodes.stored(kind)]
    others = [other for other in registry.kinds() if other != kind and name in registry.names(other)]
    if others:
        return f"{name} is a {' and a '.join(others)} (known: {', '.join(sorted(known))})"
    return did_you_mean(name, known) if known else did_you_mean(kind, registry.kinds())


def _among(word: str, keys: list[str], cfg: DictConfig) -> str:
    stages = [str(name) for name in cfg if name != "hydra"]
    holders = [name for name in stages if isinstance(cfg[name], DictConfig) and word in cfg[name]]
    if holders and word not in stages and set(keys) >= set(stages):
        return f"it is an option of {' and of '.join(holders)}: type {holders[0]}.{word}=…"
    if nearest(word, keys) or not keys:
        return did_you_mean(word, keys)
    return did_you_mean(word, {*keys, *registry.kinds()} if set(keys) >= set(stages) else keys)


def _deepest(cfg: DictConfig, key: str) -> tuple[Any, str | None]:
    """Return the deepest mapping on a key's way, and the first part that is not in it (None: all are)."""
    node: Any = cfg
    for part in key.split("."):
        if not isinstance(node, DictConfig) or part not in node:
            return (node, part) if isinstance(node, DictConfig) else (cfg, None)
        node = node._get_node(part)
    return node, None


def _first_lines(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines()[:3] if line.strip())


def values(cfg: DictConfig, faults: list[Fault]) -> dict[str, Any]:
    """Return a configuration's plain values, resolved; each that cannot be resolved is a fault and is left out."""
    try:
        return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]
    except OmegaConfBaseException:
        return _resolved(cfg, "", faults)  # type: ignore[no-any-return]


def _resolved(node: Any, path: str, faults: list[Fault]) -> Any:
    """Resolve value by value."""
    if not OmegaConf.is_config(node) or node._is_none():
        return node
    found: dict[Any, Any] = {}
    for key in range(len(node)) if OmegaConf.is_list(node) else node:
        at = f"{path}[{key}]" if OmegaConf.is_list(node) else f"{path}.{key}".lstrip(".")
        try:
            found[key] = _resolved(node[key], at, faults)
        except OmegaConfBaseException as error:
            faults.append(Fault(at, _first_lines(str(error)).partition(" full_key:")[0]))
    return list(found.values()) if OmegaConf.is_list(node) else found
