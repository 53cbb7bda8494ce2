"""A command line of `run` and `plan`, taken apart: recipe, overrides, and Hydra's flags, in any order."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from konomi import search_path
from konomi.faults import Fault, Faults
from konomi.recipe.secrets import override_faults

TAKES_VALUE = ("cfg", "package", "info")


@dataclass
class CommandLine:
    """What was typed."""

    recipe: str
    overrides: list[str]
    """As typed, short forms and all."""
    flags: list[str]
    """Hydra's, to be handed on."""
    multirun: bool = False
    shows_only: bool = False
    """`--cfg`, `--info` or `--hydra-help`: Hydra shows something and nothing runs."""
    help: bool = False

    @property
    def sweep_dir(self) -> Path | None:
        """The sweep's folder, where the user chose it."""
        found = [item.partition("=")[2] for item in self.overrides if item.startswith("hydra.sweep.dir=")]
        return Path(found[-1].strip("\"'")) if found else None

    def swept_off(self) -> list[str]:
        """Return the overrides with each sweep reduced to its first value, so that one point can be composed."""
        from konomi.recipe.sweep import first_values

        return first_values(self.overrides)

    def expanded(self, composed: Any) -> list[str]:
        """Return the overrides for Hydra, short forms written out, sweeps whole."""
        from konomi.recipe.short_forms import expand

        written, faults = expand(self.overrides, composed.cfg)
        if faults:
            raise Faults(faults)
        return list(written)


def read(argv: Sequence[str]) -> CommandLine:
    """Take a command line apart; raises `Faults` where a flag is unknown."""
    from hydra._internal.utils import get_args_parser

    hydra_parser: argparse.ArgumentParser = get_args_parser()
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            given = hydra_parser.parse_intermixed_args(list(argv))
    except SystemExit as end:
        if end.code == 0:
            raise
        said = complaint.getvalue().strip().splitlines()[-1].partition("error: ")[2]
        raise Faults([Fault("", said, "konomi run --help lists what there is")]) from None
    positional = list(given.overrides)
    if secrets := list(override_faults(positional)):
        raise Faults(secrets)
    recipe = positional.pop(0) if positional and re.fullmatch(r"[\w\-]+", positional[0]) else ""
    if not recipe and positional and not given.help:
        stem = Path(positional[0].partition("=")[0]).stem
        named = f"a recipe is called by its name: type konomi run {stem}"
        hint = named if stem in search_path.recipes() else "type konomi run RECIPE overrides…"
        raise Faults([Fault(positional[0], "a recipe comes first", hint)])
    flags: list[str] = []
    for name in TAKES_VALUE:
        if (value := getattr(given, name)) is not None:
            flags += [f"--{name.replace('_', '-')}", str(value)]
    flags += [
        f"--{name.replace('_', '-')}" for name in ("multirun", "resolve", "run", "hydra_help") if getattr(given, name)
    ]
    if given.experimental_rerun:
        raise Faults([Fault("--experimental-rerun", "it unpickles a file", "use konomi run with the same overrides")])
    if given.config_name or given.config_path:
        raise Faults(
            [Fault("--config-name", "the recipe is the first word", "type konomi run RECIPE; see --config-dir")]
        )
    if given.config_dir:
        search_path.add_config_dir(Path(given.config_dir).absolute())
    shows = bool(given.cfg or given.info or given.hydra_help)
    return CommandLine(recipe, positional, flags, given.multirun, shows, given.help)
