"""Shell completion: Hydra's own, with the sub-command and the recipe taken out of the line that it sees.

eval "$(konomi -sc install=bash)"
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Sequence

from konomi import registry, search_path
from konomi.cli import COMMANDS


def main(argv: Sequence[str]) -> int:
    """Answer the shell (`query=bash`), or print what installs the completion (`install=bash`)."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split(" ")
    if not any(item.startswith("query=") for item in argv):
        _hydra(argv, "konomi")
    elif len(words) <= 2:
        print(" ".join(name for name in COMMANDS if name.startswith(words[-1])))
    elif words[1] in ("run", "plan"):
        _recipe_line(argv, words)
    elif words[1] == "plugins" and len(words) == 3:
        search_path.load_plugins()
        known = [*registry.kinds(), *(entry.id for entry in registry.entries() if "/" in words[-1])]
        print(" ".join(name for name in known if name.startswith(words[-1])))
    return 0


def _recipe_line(argv: Sequence[str], words: list[str]) -> None:
    recipes = search_path.recipes()
    if len(words) == 3:
        print(" ".join(name for name in sorted(recipes) if name.startswith(words[-1])))
        return
    if words[2] not in recipes:
        return
    os.environ["COMP_LINE"] = " ".join([words[0], *words[3:]])
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(Exception):  # completing must never disturb the shell
        _hydra(argv, words[2])
    found = [*said.getvalue().split(), *_short(words[-1]), *_options(words[2], words[3:-1], words[-1])]
    print(" ".join(name for name in dict.fromkeys(found) if not name.endswith(".plugin=")))


def _short(word: str) -> list[str]:
    """Complete the short forms: `loss=`, `align.loss=`."""
    search_path.load_plugins()
    if found := re.fullmatch(r"((?:\w+\.)*)(\w+)=([\w\-]*)", word):
        before, kind, start = found.groups()
        return [f"{before}{kind}={name}" for name in registry.names(kind) if name.startswith(start)]
    return [f"{kind}=" for kind in registry.kinds() if word and kind.startswith(word)]


def _options(recipe: str, before: list[str], word: str) -> list[str]:
    """Complete the options of what a short form means: `loss.`, `filter.length.mi`."""
    from omegaconf import DictConfig, OmegaConf

    from konomi.faults import KonomiError
    from konomi.recipe.by_hydra import composing
    from konomi.recipe.composition import Composed
    from konomi.recipe.short_forms import meant, places

    if "." not in word or "=" in word or word.partition(".")[0] not in registry.kinds():
        return []
    head, *middle, start = word.split(".")
    with contextlib.suppress(KonomiError), composing():
        cfg = Composed(recipe, [item for item in before if "=" in item]).cfg
        node = OmegaConf.select(cfg, ".".join([meant(head, word, cfg, places(cfg)).path, *middle]))
        names = (
            [str(name) for name in node if name not in ("plugin", "defaults")] if isinstance(node, DictConfig) else []
        )
        return [".".join([head, *middle, f"{name}="]) for name in names if name.startswith(start)]
    return []


def _hydra(argv: Sequence[str], recipe: str) -> None:
    import hydra

    from konomi.recipe import nodes
    from konomi.recipe.by_hydra import VERSION_BASE, register_resolvers

    search_path.install()
    nodes.store_all()
    register_resolvers()
    sys.argv = [sys.argv[0], "-sc", *argv]

    def nothing(cfg: object) -> None:
        """Hydra wants a task; completion never calls it."""

    hydra.main(config_path=None, config_name=recipe, **VERSION_BASE)(nothing)()
