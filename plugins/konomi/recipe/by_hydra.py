"""What Hydra itself does: a recipe composed with the choices of an override line, then the values on top.

Choosing plugins means composing anew, which takes Hydra a fifth of a second for sixteen stages; giving values does
not. So compositions are kept while one command runs, and the points of a sweep that choose the same share one.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import hydra
from hydra import compose, initialize
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from konomi import search_path
from konomi.recipe import nodes

HYDRA_1_3 = hydra.__version__.startswith("1.3.")
VERSION_BASE: dict[str, str] = {"version_base": "1.3"} if HYDRA_1_3 else {}
"""Hydra 1.3 warns where no version is named, and 1.4 where one is."""
REFUSED = (HydraException, OmegaConfBaseException)
"""What Hydra raises where it cannot compose."""

GLOBAL_OPTIONS = ("store", "until", "refresh", "deadline", "focus", "goal", "lock", "name")
"""Keys of a recipe that are konomi's own; every other mapping with a plugin is a stage."""

_kept: dict[tuple[str, tuple[str, ...]], DictConfig] = {}


@contextlib.contextmanager
def composing() -> Iterator[None]:
    """Make Hydra ready to compose recipes, and leave its state as it was found."""
    search_path.install()
    nodes.store_all()
    register_resolvers()
    held = GlobalHydra.instance().hydra
    GlobalHydra.instance().hydra = None
    try:
        with initialize(config_path=None, **VERSION_BASE), _quicker_defaults_lists():
            yield
    finally:
        GlobalHydra.instance().hydra = held
        _kept.clear()


def register_resolvers() -> None:
    """Register `${artifact:STAGE}`, which names what a stage leaves, and the namer of sweep folders."""
    from konomi.recipe.folders import folder_name

    # OmegaConf 2.4 renames the function; in 2.3 the new name stands for an older one.
    register: Any = OmegaConf.register_new_resolver if HYDRA_1_3 else OmegaConf.register_resolver
    register("artifact", lambda name: f"artifact:{name}", replace=True)
    register("konomi.folder", folder_name, replace=True)


def composed(recipe: str, overrides: Sequence[str]) -> DictConfig:
    """Return a recipe composed by Hydra, `hydra` included: to read, not to change. Raises what is in `REFUSED`."""
    key = (recipe, tuple(overrides))
    if key not in _kept:
        try:
            _kept[key] = compose(recipe, list(overrides), return_hydra_config=True)
        except ValueError as error:  # a choice that is no name: loss=3
            raise ConfigCompositionException(str(error)) from error
        except KeyError as error:  # hydra.job.env_copy names it
            raise ConfigCompositionException(f"there is no environment variable {error}") from error
        except TypeError as error:  # a list of choices, one of which is no name: filter=[3]
            raise ConfigCompositionException("Config group override must be a name or a list of names") from error
        except RecursionError as error:
            raise ConfigCompositionException("its defaults lead back to itself; take one of them out") from error
    return _kept[key]


def copied(cfg: DictConfig) -> DictConfig:
    """Return a composition that may be changed."""
    return copy.deepcopy(cfg)


def is_value(override: str) -> bool:
    """Tell whether an override gives a value, and chooses no file, plugin or setting of Hydra's."""
    key = override.lstrip("+~").partition("=")[0]
    return ("." in key or key in GLOBAL_OPTIONS) and "@" not in key and "/" not in key and not key.startswith("hydra.")


def give(cfg: DictConfig, override: str) -> None:
    """Apply one value to a composition, as Hydra does once its choices are composed. Raises what is in `REFUSED`."""
    parsed = [OverridesParser.create().parse_override(override)]
    ConfigLoaderImpl.validate_sweep_overrides_legal(parsed, RunMode.RUN, from_shell=False)
    ConfigLoaderImpl._apply_overrides_to_config(parsed, cfg)


@contextlib.contextmanager
def _quicker_defaults_lists() -> Iterator[None]:
    """Keep Hydra from copying all choices at each node of a defaults tree where no interpolation reads them.

    A third of a composition goes there. The function is Hydra's own; where it has gone, nothing changes.
    """
    name = "_create_interpolation_map"
    original = getattr(defaults_list, name, None)

    def only_where_read(overrides: Any, listed: Any, self_added: bool) -> Any:
        read = any(not item.is_self() and item.is_interpolation() for item in listed)
        return original(overrides, listed, self_added) if read and original else OmegaConf.create()

    if original is not None:
        setattr(defaults_list, name, only_where_read)
    try:
        yield
    finally:
        if original is not None:
            setattr(defaults_list, name, original)
