"""A run that is killed at a chosen point of a chosen stage, and then started again.

python failpoints.py FOLDER RECIPE [STAGE…] -- OVERRIDES   (JSON with the counts; all stages where none is named)
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import konomi
from konomi import runner
from konomi.recipe.planning import Plan
from konomi.store import Store

POINTS = ("before lock", "after lock", "mid-write", "before rename", "after rename", "before release")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def arm(point: str, key: str) -> None:
    """Make this process die at a point of the making of a key."""
    lock, put, run_stage = Store.lock, Store._put, runner.run_stage

    @contextlib.contextmanager
    def locked(self: Store, which: str, wait: Any = None) -> Iterator[None]:
        if which == key and point == "before lock":
            die()
        with lock(self, which, wait):
            if which == key and point == "after lock":
                die()
            yield
            if which == key and point == "before release":
                die()

    def renamed(self: Store, folder: Path, which: str) -> bool:
        if point == "before rename":
            die()
        made = put(self, folder, which)
        if point == "after rename":
            die()
        return made

    def watched(step: Any, job: Any, **options: Any) -> None:
        if step.key == key and point == "mid-write":
            threading.Thread(target=die_at_first_byte, args=(job.out,), daemon=True).start()
        run_stage(step, job, **options)
        if step.key == key and point == "mid-write":
            die()  # the whole was written before the watcher looked

    Store.lock, Store._put, runner.run_stage = locked, renamed, watched  # type: ignore[method-assign]


def die_at_first_byte(folder: Path) -> None:
    while True:
        with contextlib.suppress(OSError):
            if any(path.is_file() and path.stat().st_size for path in folder.rglob("*")):
                die()
        time.sleep(0.001)


def in_child(act: Callable[[], Any]) -> int:
    """Do something in a forked process; returns its exit code, negative where a signal ended it."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def linked(calm: Path, store: Path, without: str) -> None:
    """Copy a store's artifacts but one, by hard links."""
    (store / "objects").mkdir(parents=True)
    for folder in (calm / "objects").iterdir():
        if folder.name != without:
            shutil.copytree(folder, store / "objects" / folder.name, copy_function=os.link)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of an artifact that hold what was made, not when and how long."""
    told = ("manifest.json", "report.json", "README.md")
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): b"" if path.name in told else path.read_bytes() for path in sorted(files)
    }


def fault(planned: Plan, place: Path, calm: Path, stage: str, point: str) -> str:
    """Kill a run at a point of a stage, go on with the same plan; returns what is wrong, empty where nothing is."""
    store, key = planned.store, planned.step(stage).key
    shutil.rmtree(place, ignore_errors=True)
    linked(calm, store.root, without=key)
    run = lambda: runner.carry_out(planned, place / f"run-{time.time_ns()}", say=lambda line: None)  # noqa: E731

    def killed() -> None:
        arm(point, key)
        run()

    if (code := in_child(killed)) != -signal.SIGKILL:
        return f"was not killed but ended with {code}"
    whole = contents(calm / "objects" / key)
    if store.has(key) and contents(store.path(key)) != whole:
        return "a partial artifact"
    if store.has(key) != (point in ("after rename", "before release")):
        return "there too early, or not yet"
    if (code := in_child(run)) != 0:
        return f"the same command ended with {code}"
    if store.made() != Store(calm).made():
        return "other keys"
    if contents(store.path(key)) != whole:
        return "another content"
    lying = [path for name in ("tmp", "work", "trash") for path in (store.root / name).glob("*")]
    return f"left {lying}" if lying else ""


def all_faults(folder: Path, recipe: str, overrides: Sequence[str], stages: Sequence[str] = ()) -> dict[str, Any]:
    """Kill every stage at every point; returns counts, seconds and faults."""
    calm, place = folder / "calm", folder / "place"
    begin = time.time()
    undisturbed = konomi.plan(recipe, [*overrides, f"store='{calm}'"])
    assert in_child(lambda: runner.carry_out(undisturbed, folder / "run", say=lambda line: None)) == 0
    stages = stages or [step.name for step in undisturbed.steps]
    faults = {}
    for stage in stages:
        words = [word for word in overrides if not word.startswith("until=")]
        planned = konomi.plan(recipe, [*words, f"store='{place / 'store'}'", f"until={stage}"])
        for point in POINTS:
            if found := fault(planned, place, calm, stage, point):
                faults[f"{stage}, {point}"] = found
    seconds = round(time.time() - begin)
    return {"stages": len(stages), "points": len(stages) * len(POINTS), "faults": faults, "seconds": seconds}


def main(folder: str, recipe: str, *words: str) -> None:
    # Imported once; a fork has them.
    import datasets  # noqa: F401
    import peft  # noqa: F401
    import torch  # noqa: F401
    import trl  # noqa: F401

    stages, overrides = words[: words.index("--")], words[words.index("--") + 1 :]
    print(json.dumps(all_faults(Path(folder), recipe, overrides, stages)))


if __name__ == "__main__":
    main(*sys.argv[1:])
