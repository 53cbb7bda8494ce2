"""From a recipe's name and overrides to one configuration, with every mistake in one list.

Hydra stops at the first mistake; so where the whole does not compose, the overrides are added one at a time, choices
of plugins first, and each that fails is explained.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from konomi import registry, search_path
from konomi.faults import Fault, Faults, KonomiError, did_you_mean, nearest
from konomi.recipe import by_hydra, nodes
from konomi.recipe.by_hydra import GLOBAL_OPTIONS, REFUSED, is_value
from konomi.recipe.hardening import hydra_faults, said_by_recipe, target_faults, unsaid_faults
from konomi.recipe.listed import listed_faults
from konomi.recipe.secrets import override_faults
from konomi.recipe.short_forms import Place, expand, overridden, places

EXTRAS = {
    "hydra/launcher/joblib": "joblib",
    "hydra/launcher/submitit_local": "submitit",
    "hydra/launcher/submitit_slurm": "submitit",
    "hydra/launcher/ray": "ray",
}
"""Hydra's own plugins that come with an extra of konomi."""
SWEEPERS = {f"hydra/sweeper/{name}": f"hydra-{name}-sweeper" for name in ("optuna", "ax", "nevergrad")}
"""Sweepers that search, and the packages that bring them."""


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
            raise Faults([explain_recipe(recipe, error)]) from error
        except Faults:
            raise
        except KonomiError as error:  # a file of it cannot be read
            raise Faults([Fault(f"recipe {recipe}", str(error))]) from error
        if not set(GLOBAL_OPTIONS) <= set(plain):
            hint = "let it begin with defaults: [konomi, stage@NAME: STAGE, _self_]"
            raise Faults([Fault(f"recipe {recipe}", "it is empty, or does not stand on konomi", hint)])
        try:
            typed, unclear = self._expand(plain)
        except Faults as odd:  # a stage's name that is none; the file says it better
            raise Faults(listed_faults(known[recipe][0], self.given) or odd.faults) from odd
        self.faults += unclear
        chosen = self._choose(typed, plain)
        self.faults += said_by_recipe(chosen)
        cfg = by_hydra.copied(chosen)
        self._give(typed, cfg)
        self.faults += [
            *target_faults(cfg),
            *unsaid_faults(cfg, self.overrides),
            *hydra_faults(cfg, recipe, self.overrides),
            *listed_faults(known[recipe][0], self.overrides),
            *_unread(cfg, known[recipe][0]),
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


def _unread(cfg: DictConfig, recipe: Path) -> list[Fault]:
    """Return a fault for each key at the root that was meant for one of konomi's own, and that nobody reads."""
    stages = [str(name) for name in cfg if OmegaConf.is_dict(cfg._get_node(name))]
    own = [str(name) for name in cfg if name not in (*GLOBAL_OPTIONS, *stages)]
    text = search_path.page(recipe) if own else ""
    return [
        Fault(name, "there is no such option, and nothing refers to it", f"did you mean {meant}?")
        for name in own
        if (meant := nearest(name, GLOBAL_OPTIONS)) and f"${{{name}" not in text
    ]


def explain_recipe(recipe: str, error: Exception) -> Fault:
    """Say what is wrong with a recipe that Hydra refused, in a person's words."""
    text, at = f"{error}\n{error.__cause__ or ''}".strip(), f"recipe {recipe}"
    if found := re.search(r"Could not (?:find|load) '([\w\-]+)/([\w\-]+)'", text):
        kind = nodes.kind_of(found[1])
        return Fault(at, f"there is no {kind} called {found[2]}", _elsewhere(kind, found[2]))
    if found := re.search(r"Could not load '([^']+)'", text):
        known = [*search_path.recipes(), "konomi"]
        return Fault(at, f"its defaults name {found[1]}, which is not there", did_you_mean(found[1], known))
    if found := re.search(r"Could not override '([^'@]+)@?([^']*)'\.(?: Did you mean to override (\S+)\?)?", text):
        return _no_place(at, *found.groups(default=""))
    if found := re.search(r"Key '(\w+)' not in '([\w/\-]+)'\s+full_key: (\S+)", text):
        known = [field.name for field in dataclasses.fields(registry.get(*found[2].split("/")))]
        return Fault(f"{at}, {found[3]}", f"{found[2]} has no option {found[1]}", did_you_mean(found[1], known))
    if found := re.search(r"(\w+) is not a subclass of (\w+)/\w+\. value: (.*)", text):
        kind, value = found[2], found[3].strip().strip("[]'\"")
        choose = f"choose it in the defaults: override /{kind}@STAGE.{kind}: {value}"
        return Fault(at, f"a {kind} belongs where {value!r} stands", choose)
    if found := re.search(r"raised while composing config:\s*(.+?)\s*full_key: (\S+)", text, re.DOTALL):
        return Fault(f"{at}, {found[2]}", " ".join(found[1].split()))
    if "Config group override must be" in text:
        return Fault(at, "a choice in its defaults is no name", "write names: override /KIND@STAGE.KIND: NAME")
    return Fault(at, _first_lines(text))


def _no_place(at: str, kind: str, path: str, meant: str) -> Fault:
    """Say why the defaults' `override /kind@path` finds nothing to override."""
    what = f"override /{kind}@{path}: there is no such place in its defaults"
    if meant:
        return Fault(at, what, f"did you mean override /{meant}?")
    if kind not in registry.kinds():
        return Fault(at, what, f"{kind} is no kind; {did_you_mean(kind, registry.kinds())}")
    return Fault(at, what, f"a stage has to bring a {kind} under that name: stage@{path.partition('.')[0]}: STAGE")


def explain(given: str, override: str, error: Exception, cfg: DictConfig) -> Fault:
    """Say what is wrong with one override that Hydra refused, in a person's words."""
    text = f"{error}\n{error.__cause__ or ''}"
    if found := re.search(r"Could not (?:find|load) '([^']+)/([^'/]+)'", text):
        options = re.search(r"Available options in '[^']+':\s*(.*?)\s*Config search path", text, re.DOTALL)
        kind = nodes.kind_of(found[1])
        hint = _elsewhere(kind, found[2])
        if options and kind not in registry.kinds() and f"{kind}/{found[2]}" not in {**EXTRAS, **SWEEPERS}:
            hint = did_you_mean(found[2], options[1].split())
        return Fault(given, f"there is no {kind} called {found[2]}", hint)
    key, value = overridden(override)
    place = next((place for place in places(cfg) if place.path == key), None)
    is_list = "DictConfig with ListConfig" in text
    if "Config group override must be" in text or (is_list and (place or not is_value(override))):
        kind = place.kind if place else nodes.kind_of(override.lstrip("+").partition("=")[0].partition("@")[0])
        known = [name for _, name in nodes.stored(kind)]
        what = (
            f"names are chosen here, found {value}" if place and place.many else f"one name is chosen here, not {value}"
        )
        hint = f"known: {', '.join(known)}" if known else ""
        return Fault(given, what, (_several(place, value) if place and is_list else "") or hint)
    if fault := _of_grammar(given, key, value, text):
        return fault
    node, missing = _deepest(cfg, key)
    unknown = re.search(r"Key '(\w+)' not in '([\w/]+)'", text)
    if unknown and not is_value(override) and "raised while composing" in text:
        what = f"the recipe gives {unknown[1]} for the plugin that it chose itself, and {unknown[2]} has no such option"
        return Fault(given, what, "move the recipe's value into a preset, and choose that in its defaults")
    if missing is not None:
        return _no_key(given, key, node, missing, cfg)
    if override.startswith("~"):
        return Fault(given, f"{key} cannot be taken away", f"give it another value: {key}=…")
    if "already at" in text:
        return Fault(given, f"{key} is there already", f"type it without the +: {given.lstrip('+')}")
    first = next((line for line in text.splitlines() if "Value" in line or "Error" in line), _first_lines(text))
    if cause := error.__cause__:
        first = str(cause).partition("\n")[0] or first
    return Fault(given, first if value is not None else _first_lines(text))


def _of_grammar(given: str, key: str, value: str | None, text: str) -> Fault | None:
    """Explain what Hydra's grammar found: a sweep that is none, a value that cannot be read."""
    if "Ambiguous value" in text or "requires --multirun" in text:
        if re.match(r"(interval|tag)\(", value or ""):
            hint = "type a list, KEY=1,2,3, or choose a sweeper that searches: hydra/sweeper=optuna"
            return Fault(given, "an interval is a sweeper's that searches, and none is chosen", hint)
        hint = f"a sweep takes -m; one text with a comma is typed '{key}=\"{value}\"', a list {key}=[{value}]"
        return Fault(given, "several values where one belongs", hint)
    if any(sign in text for sign in ("no viable alternative", "mismatched input", "extraneous input", "token recog")):
        return Fault(given, "the value cannot be read", f"quote it twice: '{key}=\"…\"'; a reference is ${{NAME}}")
    return None


def _several(place: Place, value: str | None) -> str:
    """Say what to type for a list where one plugin belongs, if a plugin of that kind holds several in its turn."""
    for entry in registry.entries(place.kind):
        for field, meta in nodes.choice_fields(entry.cls).items():
            if meta["many"] and meta["kind"] == place.kind:
                return f"type {place.path}={entry.name} '{place.path}.{field}={value}'"
    return ""


def _no_key(given: str, key: str, node: Any, missing: str, cfg: DictConfig) -> Fault:
    """Say that a config path leads nowhere, from its first part that is not there."""
    if not isinstance(node, DictConfig):
        above = key[: key.index(f".{missing}")]
        return Fault(given, f"{above} is a value, nothing is below it", f"type {above}=…")
    held = sorted({place.kind for place in places(cfg)})
    if node is cfg and missing in registry.kinds() and not _holders(missing, cfg):
        return Fault(given, f"no stage of this recipe holds a {missing}", f"they hold: {', '.join(held)}")
    keys = [str(name) for name in node if name not in ("plugin", "defaults", "hydra")]
    plugin = OmegaConf.select(node, "plugin", default=None)
    where = f"{plugin} has no option {missing}" if plugin else f"there is no {key}"
    return Fault(given, where, _among(missing, [*keys, *held] if node is cfg else keys, cfg))


def _elsewhere(kind: str, name: str) -> str:
    extra = EXTRAS.get(f"{kind}/{name}")
    if extra:
        return f"it is not installed; type: pip install 'konomi[{extra}]'"
    if package := SWEEPERS.get(f"{kind}/{name}"):
        return f"it is not installed; type: pip install {package}"
    known = [key[1] for key in nodes.stored(kind)]
    others = [other for other in registry.kinds() if other != kind and name in registry.names(other)]
    if others:
        return f"{name} is a {' and a '.join(others)} (known: {', '.join(sorted(known))})"
    return did_you_mean(name, known) if known else did_you_mean(kind, registry.kinds())


def _among(word: str, keys: list[str], cfg: DictConfig) -> str:
    stages = [str(name) for name in cfg if name != "hydra"]
    holders = _holders(word, cfg)
    if holders and word not in stages and set(keys) >= set(stages):
        return f"it is an option of {' and of '.join(holders)}: type {holders[0]}.{word}=…"
    return did_you_mean(word, keys)


def _holders(word: str, cfg: DictConfig) -> list[str]:
    """Return the stages that have an option of this name."""
    return [str(name) for name in cfg if isinstance(cfg[name], DictConfig) and name != "hydra" and word in cfg[name]]


def _deepest(cfg: DictConfig, key: str) -> tuple[Any, str | None]:
    """Return the deepest mapping on a key's way, and the first part that is not in it (None: all are)."""
    node: Any = cfg
    for part in key.split("."):
        if not isinstance(node, DictConfig) or part not in node:
            return node, part
        node = node._get_node(part)
    return node, None


def _first_lines(text: str) -> str:
    return " ".join([line.strip() for line in text.splitlines() if line.strip()][:3])


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
            faults.append(_unresolved(at, _first_lines(str(error)).partition(" full_key:")[0]))
    return list(found.values()) if OmegaConf.is_list(node) else found


def _unresolved(at: str, text: str) -> Fault:
    if found := re.search(r"Environment variable '([^']+)' not found", text):
        return Fault(at, f"the environment variable {found[1]} is not set", f"type {found[1]}=… before konomi")
    return Fault(at, text)
