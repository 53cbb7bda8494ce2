"""The short forms of an override, written out as Hydra's own before Hydra sees them.

    loss=simpo             → loss@align.loss=simpo              where one stage holds a loss
    align.loss=simpo       → loss@align.loss=simpo
    loss.beta=0.3          → align.loss.beta=0.3
    trainer.max_steps=9    → ++align.trainer.max_steps=9        a library's arguments are open
    path=本/a=b            → path="本/a=b"                      what Hydra's grammar would choke on is quoted

Everything else goes through as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from konomi import registry
from konomi.faults import Fault, Faults, KonomiError
from konomi.recipe.nodes import choice_fields, group, is_open, mapping_fields

_OVERRIDE = re.compile(r"^(?P<sign>\+\+|\+|~)?(?P<key>[^=@\s]+)(?P<package>@[^=\s]*)?(?:=(?P<value>.*))?$", re.DOTALL)
_NAME = re.compile(r"\w[\w\-]*")
LONGEST_NAME = 100
"""Bytes of a stage's name; file systems allow 255."""
SHOWN = 40
_NAMES = re.compile(r"^[\w\-]+(,[\w\-]+)*$")


@dataclass(frozen=True)
class Place:
    """A place in a recipe that holds a plugin: `align.loss` holds a `loss`."""

    path: str
    kind: str
    many: bool
    group: str
    """The config group it is chosen from: the kind, or `dedups` where several are."""

    @property
    def stage(self) -> str:
        return self.path.partition(".")[0]

    @property
    def field(self) -> str:
        return self.path.rpartition(".")[2]


def stages(cfg: DictConfig) -> list[str]:
    """Return the names of a recipe's stages, in its order. Raises `Faults` where one is no name: it becomes a link."""
    Faults.check(
        Fault(repr(str(name)[:SHOWN]), "it is no name of a stage", "a stage's name is letters, digits, _ and -")
        for name in cfg
        if not _NAME.fullmatch(str(name)) or len(str(name).encode()) > LONGEST_NAME
    )
    return [str(name) for name in cfg if _plugin_of(cfg, str(name)).startswith("stage/")]


def places(cfg: DictConfig) -> list[Place]:
    """Return every place of a composed recipe that holds a plugin."""
    return [place for stage in stages(cfg) for place in _places_in(cfg[stage], stage)]


def _places_in(node: Any, path: str) -> Iterable[Place]:
    kind, _, name = str(OmegaConf.select(node, "plugin", default="")).partition("/")
    if name not in registry.names(kind):
        return
    for field, meta in choice_fields(registry.get(kind, name)).items():
        place = Place(f"{path}.{field}", meta["kind"], meta["many"], group(meta))
        yield place
        held = OmegaConf.select(node, field, throw_on_missing=False)
        if isinstance(held, DictConfig):
            for key in held if place.many else [None]:
                inside, below = (held[key], f"{place.path}.{key!s}") if key is not None else (held, place.path)
                if isinstance(inside, DictConfig):
                    yield from _places_in(inside, below)


def _plugin_of(cfg: DictConfig, path: str) -> str:
    node = OmegaConf.select(cfg, path, throw_on_resolution_failure=False)
    return str(node.get("plugin") or "") if isinstance(node, DictConfig) else ""


def expand(overrides: Iterable[str], cfg: DictConfig) -> tuple[dict[str, str], list[Fault]]:
    """Write out the short forms among overrides of the composed recipe `cfg`; faults where one means several stages.

    Returns what was typed, by what Hydra gets.
    """
    known = places(cfg)
    open_paths = set(_open_paths(cfg, known))
    expanded: dict[str, str] = {}
    faults: list[Fault] = []
    for override in overrides:
        if fault := _no_override(override):
            faults.append(fault)
            continue
        try:
            expanded[quote(_open(_expand_one(override, cfg, known), open_paths))] = override
        except Ambiguous as error:
            faults.append(error.fault)
    return expanded, faults


def _no_override(override: str) -> Fault | None:
    """Return what is wrong with the shape of an override, which is KEY=VALUE with a path of names for a key."""
    key, equals, _ = override.partition("=")
    if not override.strip():
        return Fault("''", "an empty word was typed", "leave it out; a variable of the shell may be unset")
    if any("\ud800" <= character <= "\udfff" for character in override):
        return Fault(ascii(override), "is no UTF-8", "type it in a UTF-8 terminal")
    if equals and key != key.strip():
        return Fault(override, "there are blanks around the =", f"type {key.strip()}=…")
    if not equals and not key.startswith("~"):
        return Fault(override, "is no override", "type KEY=VALUE; one recipe is run at a time")
    if not all(re.split(r"[./@:]", key.lstrip("+~").removeprefix("/"))):
        return Fault(override, "no name stands where one belongs before the =", "type KEY=VALUE, or STAGE.OPTION=VALUE")
    return None


class Ambiguous(KonomiError):
    """A short form that means several stages."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def _expand_one(override: str, cfg: DictConfig, known: list[Place]) -> str:
    match = _OVERRIDE.match(override)
    if not match or match["package"] or match["key"].startswith("hydra"):
        return override
    sign, key, value = match["sign"] or "", match["key"], match["value"]
    head, _, tail = key.partition(".")
    if head not in cfg and any(head in (place.kind, place.field) for place in known):
        place = meant(head, override, cfg, known)
        key = f"{place.path}.{tail}" if tail else place.path
    at = next((place for place in known if place.path == key), None)
    if at and value is not None and not sign and _is_choice(value, at):
        return f"{at.group}@{at.path}={value}"
    return f"{sign}{key}" if value is None else f"{sign}{key}={value}"


def meant(word: str, override: str, cfg: DictConfig, known: list[Place]) -> Place:
    """Return the place that a kind's name means: within the recipe's `focus`, else in all of it; raises `Ambiguous`."""
    found = [place for place in known if word in (place.kind, place.field)]
    found = [place for place in found if place.path.count(".") == 1] or found
    focus = [str(name) for name in OmegaConf.select(cfg, "focus", default=None) or []]
    found = [place for place in found if place.stage in focus] or found
    if len({place.stage for place in found}) == 1:
        found = [place for place in found if place.field == word] or found
    if len(found) == 1:
        return found[0]
    tail = override[len(word) :]
    listed = " or ".join(f"{place.path}{tail}" for place in found)
    raise Ambiguous(Fault(override, f"{len(found)} stages hold a {word}", f"type {listed}"))


def _is_choice(value: str, place: Place) -> bool:
    inner = value.strip()
    if place.many:
        return inner.startswith("[") or bool(_NAMES.match(inner))
    return bool(_NAMES.match(inner)) or inner.startswith(("choice(", "glob("))


def _open(override: str, open_paths: set[str]) -> str:
    key = override.partition("=")[0]
    if key.startswith(("+", "~")) or "@" in key:
        return override
    inside = any(key.startswith(f"{path}.") for path in open_paths)
    whole = key in open_paths and override.partition("=")[2].lstrip().startswith("{")
    return f"++{override}" if inside or whole else override


def _open_paths(cfg: DictConfig, known: list[Place]) -> Iterable[str]:
    """Yield the paths below which any name may be given: a library's arguments, and options that are mappings."""
    paths = [*stages(cfg), *(place.path for place in known if not place.many)]
    many = [place.path for place in known if place.many]
    paths += [f"{path}.{name}" for path in many for name in OmegaConf.select(cfg, path, default=None) or {}]
    for path in [*paths, *(str(name) for name in cfg if str(name) not in paths)]:
        kind, _, name = _plugin_of(cfg, path).partition("/")
        if name not in registry.names(kind):
            continue
        cls = registry.get(kind, name)
        if is_open(cls):
            yield path
        yield from (f"{path}.{field}" for field in mapping_fields(cls))


def quote(override: str) -> str:
    """Quote the value of an override that Hydra's grammar cannot read as it stands."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    try:
        parser.parse_override(override)
    except HydraException:
        key, equals, value = override.partition("=")
        for attempt in (f"{key}={_quoted_list(value)}", f"{key}={_quoted(value)}") if equals else ():
            try:
                parser.parse_override(attempt)
            except HydraException:
                continue
            return attempt
    return override


def _quoted(value: str) -> str:
    escaped = re.sub(r'(\\*)"', lambda found: found[1] * 2 + '\\"', value)
    tail = len(escaped) - len(escaped.rstrip("\\"))
    return f"'{value}'" if "${" in value else '"' + escaped + "\\" * tail + '"'


def _quoted_list(value: str) -> str:
    """Quote the members of a `[…]` or of a sweep `a,b` one by one, where none of them is quoted already."""
    listed = value.startswith("[") and value.endswith("]")
    inner = value[1:-1] if listed else value
    if any(mark in inner for mark in "\"'[]{}") or ("," not in inner and not listed) or "(" in inner:
        return _quoted(value)
    members = ",".join(_quoted(member.strip()) if not _plain(member.strip()) else member for member in inner.split(","))
    return f"[{members}]" if listed else members


def _plain(member: str) -> bool:
    return bool(re.fullmatch(r"[\w./:*\-+]+", member, re.ASCII))


def overridden(override: str) -> tuple[str, str | None]:
    """Return the config path that an override speaks of, without signs and groups, and its value's text."""
    match = _OVERRIDE.match(override)
    if not match:
        return override, None
    key = match["package"][1:] if match["package"] else match["key"]
    return key, match["value"]
