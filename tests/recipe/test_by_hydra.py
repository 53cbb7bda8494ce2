"""konomi composes as Hydra does, only with fewer compositions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra import compose
from hydra._internal import defaults_list
from omegaconf import DictConfig, OmegaConf, open_dict

from konomi.recipe import by_hydra
from konomi.recipe.composition import Composed


def hydras_own(recipe: str, overrides: Sequence[str]) -> DictConfig:
    """Return what Hydra itself makes of overrides that are written out."""
    cfg = compose(recipe, list(overrides), return_hydra_config=True)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


@pytest.mark.parametrize("recipe", ["quickstart", "dpo", "pretrain", "sft"])
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["size=smoke"],
        ["english.test_share=0.2", "english.source.limit=9"],
        ["size=smoke", "name=日本", "english.filter=[normalize,length]", "english.filter.length.min_characters=3"],
        ["english.dedup=none", "++english.filter.length.max_characters=7", "until=english"],
    ],
)
def test_a_recipe_is_what_hydra_makes_of_it(recipe: str, overrides: list[str]) -> None:
    with by_hydra.composing():
        ours = Composed(recipe, overrides)
        assert ours.faults == []
        assert OmegaConf.to_yaml(ours.cfg) == OmegaConf.to_yaml(hydras_own(recipe, ours.overrides))


def test_a_composition_is_kept_and_stays_as_it_was() -> None:
    with by_hydra.composing():
        first = Composed("quickstart", ["base.seed=5"])
        second = Composed("quickstart", ["base.seed=6"])
        again = Composed("quickstart", ["base.seed=5"])
        assert (first.cfg.base.seed, second.cfg.base.seed, again.cfg.base.seed) == (5, 6, 5)
        assert "hydra" in by_hydra.composed("quickstart", [])


def test_a_defaults_list_may_hold_interpolations(kitchen: Path) -> None:
    listed = "defaults:\n  - meal\n  - flavour: pepper\n  - flavour@other: ${flavour}\n  - _self_\n"
    (kitchen / "by_choice.yaml").write_text(f"# By choice.\n{listed}", encoding="utf-8")
    with by_hydra.composing():
        assert by_hydra.composed("by_choice", []).other.plugin == "flavour/pepper"
        assert by_hydra.composed("by_choice", ["flavour=salt"]).other.plugin == "flavour/salt"


def test_hydras_own_function_is_back_afterwards() -> None:
    before = defaults_list._create_interpolation_map
    with by_hydra.composing():
        assert defaults_list._create_interpolation_map is not before
    assert defaults_list._create_interpolation_map is before
