"""Recipes: composed by Hydra, checked whole, planned before anything costs.

konomi.compose("dpo", ["loss=ipo"])      the configuration, as an OmegaConf DictConfig
konomi.plan("dpo", ["loss=ipo"])         what would run; raises `konomi.faults.Faults` with every mistake
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from konomi.faults import Faults

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from konomi.recipe.planning import Plan


def compose(recipe: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Return a recipe's configuration with overrides, short forms included; raises `Faults`."""
    from konomi.recipe.by_hydra import composing
    from konomi.recipe.composition import Composed

    with composing():
        composed = Composed(recipe, overrides)
    if composed.faults:
        raise Faults(composed.faults)
    return composed.cfg


def plan(recipe: str, overrides: Sequence[str] = ()) -> Plan:
    """Return what a recipe would do; raises `Faults` with every mistake at once."""
    from konomi.recipe.planning import plan as plan_recipe

    return plan_recipe(recipe, overrides)
