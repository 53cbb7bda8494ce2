"""The points of a sweep, as Hydra's basic sweeper will make them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from konomi.recipe.composition import Composed
from konomi.recipe.short_forms import quote

MAX_PLANNED = 200
"""Points that are planned beforehand; of a larger sweep, this many are looked at."""


def _parse(override: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(quote(override))
    except HydraException:
        return None


def _values(override: str) -> list[str] | None:
    """Return the single overrides that a sweep stands for, or None where the override is no sweep."""
    parsed = _parse(override)
    if parsed is None or not parsed.is_sweep_override() or parsed.is_hydra_override():
        return None
    try:
        key = override.partition("=")[0]
        return [f"{key}={value}" for value in parsed.sweep_string_iterator()]
    except (HydraException, NotImplementedError):
        return None  # interval(…) and the like are the sweeper's own business


def first_values(overrides: Sequence[str]) -> list[str]:
    """Return overrides with each sweep reduced to its first value."""
    return [values[0] if (values := _values(item)) else item for item in overrides]


def constant_keys(overrides: Sequence[str]) -> list[str]:
    """Return the keys of overrides that are no sweeps: the same for all points, so no part of a folder's name."""
    return [item.lstrip("+~").partition("=")[0] for item in overrides if _values(item) is None]


def points(recipe: str, overrides: Sequence[str], first: Composed) -> list[Composed]:
    """Return every point of a sweep, composed; only the first where a sweeper of its own chooses the points."""
    if first.sweeper != "basic":
        return [first]
    options = [_values(item) or [item] for item in overrides]
    combined = itertools.islice(itertools.product(*options), MAX_PLANNED)
    return [Composed(recipe, list(chosen)) for chosen in combined]
