"""`konomi run RECIPE [overrides] [any Hydra flag]`: everything of Hydra stays Hydra's.

Short forms are written out, the whole plan is checked (every point of a sweep), and then Hydra runs it: its folders,
its launchers, its sweepers.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from konomi import search_path
from konomi.cli import parser
from konomi.cli.command_line import CommandLine, read
from konomi.failures import os_error
from konomi.faults import Fault, Faults, KonomiError, Stopped, did_you_mean
from konomi.project import PROJECT_PACKAGE
from konomi.recipe import nodes
from konomi.recipe.by_hydra import REFUSED, VERSION_BASE, composing, register_resolvers
from konomi.recipe.composition import Composed
from konomi.recipe.hardening import target_faults, unsaid_faults
from konomi.recipe.planning import Plan, plan_config
from konomi.recipe.sweep import MAX_PLANNED, constant_keys, points
from konomi.report.text import printable
from konomi.runner import BEGAN, EXIT_FAULTS, EXIT_INTERRUPTED, EXIT_STOPPED, RUN, began, carry_out

register_resolvers()  # a launcher's process gets this module by name, and needs the resolvers before anything else

USAGE = """RECIPE [overrides] [Hydra's flags]

  konomi run quickstart                          the whole way, tiny, without a network
  konomi run dpo loss=ipo loss.beta=0.2          another plugin, another option
  konomi run dpo -m loss=dpo,ipo loss.beta=0.1,0.3   a sweep: what the points share is made once

konomi's own:  until=STAGE  refresh=STAGE  store=FOLDER  lock=lease  deadline=23h
Hydra's:       -m (sweep)  --cfg job (show the configuration)  --info  --config-dir DIR"""

_exit_codes: list[int] = []
_stopped: list[str] = []
"""What stopped this process' sweep: the points after it must not begin."""
FULL_ERROR = "HYDRA_FULL_ERROR"
POINTS = "KONOMI_POINTS"
"""Environment variable with the file in which the points of a sweep say how they ended."""


def main(argv: Sequence[str]) -> int:
    """Run a recipe; returns the exit code."""
    os.environ[BEGAN] = str(time.time())
    _stopped.clear()
    line = read(argv)
    if line.help or not line.recipe:
        said = _recipe_help(line.recipe) if line.recipe else ""
        parser("run", USAGE).print_usage()
        if said:
            print(said)
        return 0 if line.help else no_recipe()
    say_project()
    with composing():
        composed = Composed(line.recipe, line.swept_off() if line.multirun else line.overrides)
        if composed.faults and line.shows_only:
            raise Faults(composed.faults)
        overrides = line.expanded(composed)
        every = points(line.recipe, overrides, composed) if line.multirun else [composed]
        if not line.shows_only:
            check_all(line.recipe, every)
    if line.shows_only:
        _hydra(line, overrides)
        return 0
    return _sweep(line, overrides, len(every)) if line.multirun else _single(line, overrides)


def no_recipe() -> int:
    """Raise `Faults` with the recipes that there are."""
    listed = ", ".join(sorted(search_path.recipes()))
    raise Faults([Fault("", f"which recipe? known: {listed}", "type konomi run quickstart")])


def _recipe_help(recipe: str) -> str:
    known = search_path.recipes()
    if recipe not in known:
        raise Faults([Fault(f"recipe {recipe}", "there is no such recipe", did_you_mean(recipe, known))])
    lines = search_path.page(known[recipe][0]).splitlines()
    return "\n".join(["", *(line.lstrip("# ").rstrip() for line in lines if line.startswith("#"))])


def say_project() -> None:
    """Say which plugins come from the project folder: they are programs, and the user should know that they ran."""
    from konomi import registry

    search_path.load_plugins()
    own = [entry.id for entry in registry.entries() if entry.cls.__module__.startswith(PROJECT_PACKAGE)]
    if own:
        print(f"konomi: plugins of this project's pyproject.toml: {', '.join(own)}", file=sys.stderr)


def check_all(recipe: str, every: Sequence[Composed]) -> list[Plan]:
    """Plan every point before any work; raises `Faults` with the faults of all."""
    faults = []
    plans = []
    for composed in every:
        try:
            plans.append(plan_config(recipe, composed.cfg, composed.given, composed.faults))
        except Faults as found:
            faults += found.faults
    if faults:
        raise Faults(faults)
    return plans


def _single(line: CommandLine, overrides: list[str]) -> int:
    _hydra(line, overrides)
    return _exit_codes.pop() if _exit_codes else 1


def _sweep(line: CommandLine, overrides: list[str], count: int) -> int:
    folder = line.sweep_dir or Path("multirun") / line.recipe / time.strftime("%Y-%m-%d_%H-%M-%S")
    keys = ",".join(json.dumps(key) for key in constant_keys(overrides))
    print(f"{line.recipe}: a sweep in {folder}" + (f", {count} points" if count > 1 else ""))
    extra = [f"hydra.sweep.dir={json.dumps(str(folder), ensure_ascii=False)}"] if not line.sweep_dir else []
    with tempfile.NamedTemporaryFile("r", prefix="konomi-points-", encoding="utf-8") as listed:
        os.environ[POINTS] = listed.name
        _hydra(line, [*overrides, *extra, f"hydra.job.config.override_dirname.exclude_keys=[{keys}]"])
        codes = [int(row.partition(" ")[0]) for row in listed.read().splitlines()]
    well = codes.count(0)
    beyond = f"; planned beforehand: the first {MAX_PLANNED}" if count == MAX_PLANNED else ""
    print(f"\n{well} of {max(count, len(codes))} points ended well; side by side: konomi compare {folder}{beyond}")
    if EXIT_STOPPED in codes:
        return EXIT_STOPPED
    return 0 if well == len(codes) and well >= count else 1


def _hydra(line: CommandLine, overrides: list[str]) -> None:
    """Hand over to Hydra, with its flags before the overrides (between them, its parser loses some)."""
    search_path.install()
    nodes.store_all()
    sys.argv = [sys.argv[0], *line.flags, *overrides]
    held = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"  # Hydra would print a traceback and exit; konomi says it in a line
    try:
        hydra.main(config_path=None, config_name=line.recipe, **VERSION_BASE)(point)()
    except REFUSED as error:
        raise KonomiError(" ".join(str(error).split())) from error
    finally:
        os.environ.pop(FULL_ERROR)
        if held is not None:
            os.environ[FULL_ERROR] = held


def point(cfg: DictConfig) -> None:
    """Hydra's task: one run, or one point of a sweep. Its exit code is kept, and stands in `run.json`."""
    search_path.load_plugins()
    register_resolvers()
    own = HydraConfig.get()
    folder = Path(own.runtime.output_dir)
    recipe, overrides = str(own.job.config_name), [str(item) for item in own.overrides.task]
    swept = own.mode == RunMode.MULTIRUN
    point_of = f"{folder.name} │ " if swept else ""
    terminal = sys.stdout  # prints of the libraries go to the log while a stage runs; these lines do not

    def said(line: str) -> None:
        print(*(f"{point_of}{part}" for part in printable(line).splitlines()), sep="\n", flush=True, file=terminal)

    code = 0
    try:
        if _stopped:
            raise Stopped("the sweep was asked to stop; the same command goes on from here")
        planned = plan_config(recipe, cfg, overrides, [*target_faults(cfg), *unsaid_faults(cfg, overrides)])
        summary(planned, said)
        done = carry_out(planned, folder, say=said)
        if done.asked_to_stop:
            _stopped.append(done.asked_to_stop)
        said(ending(done, done.seconds if swept else time.time() - began()))
    except (KonomiError, OSError) as error:
        code = EXIT_STOPPED if isinstance(error, Stopped) else EXIT_FAULTS if isinstance(error, Faults) else 1
        if code == EXIT_STOPPED:
            _stopped.append(str(error))
        said_of_it = os_error(error) if isinstance(error, OSError) else error
        print(printable(f"konomi: {said_of_it}"), file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
        if swept:
            raise
        print("\nkonomi: interrupted; whole stages are kept, the same command goes on from there", file=sys.stderr)
    finally:
        if not swept:
            _exit_codes.append(code)
        else:
            _report_point(code, folder)
        if swept and code and not (folder / RUN).exists():
            record = {"recipe": recipe, "overrides": overrides, "exit": code, "stages": []}
            (folder / RUN).write_text(json.dumps(record), encoding="utf-8")


def _report_point(code: int, folder: Path) -> None:
    """Tell the process that started the sweep how a point ended, whichever process ran it."""
    if path := os.environ.get(POINTS):
        with open(path, "a", encoding="utf-8") as stream:  # noqa: PTH123 - one short line, appended whole
            stream.write(f"{code} {folder}\n")


def summary(planned: Plan, say: Any) -> None:
    """Say what is about to happen, in one line."""
    made = sum(not step.cached for step in planned.steps)
    say(f"{planned.recipe}: {counted_stages(len(planned.steps))}, {made} to make, {len(planned.steps) - made} cached")
    if note := unnamed_model(planned):
        say(f"  {note}")


def counted_stages(number: int) -> str:
    """Return `1 stage` or `16 stages`."""
    return f"{number} {'stage' if number == 1 else 'stages'}"


def unnamed_model(planned: Plan) -> str:
    """Say that a recipe begins with konomi's own small model where the user named none; "" where that is not so."""
    model = planned.config.get("model")
    named = str(model.get("name_or_path") if isinstance(model, dict) else "")
    before = [step.name for step in planned.steps if step.name not in (planned.config.get("focus") or ())]
    to_make = sum(not step.cached and step.name in before for step in planned.steps)
    if not named.startswith("${artifact:") or not to_make:
        return ""
    return f"no model is named, so a small one is made first ({counted_stages(to_make)}); yours: model.name_or_path=…"


def ending(done: Any, seconds: float | None = None) -> str:
    """Return the lines that end a run: how long it took, what was made, where it is, what to look at."""
    from konomi.report.figures import duration

    last = list(done.artifacts.items())
    models = [f"  {name}: {path}" for name, path in last if (path / "config.json").exists()]
    lines = [f"done in {duration(done.seconds if seconds is None else seconds)}"]
    if models:
        lines += [f"model  {models[-1].strip()}"]
    return "\n".join([*lines, f"report {done.report.resolve()}"])
