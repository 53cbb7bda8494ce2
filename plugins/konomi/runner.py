"""Carries a plan out: each stage made once, published whole, resumed where it was stopped."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from konomi import provenance
from konomi.failures import telling
from konomi.faults import Faults, KonomiError, Stopped
from konomi.job import Job, Stop
from konomi.launch import run_stage
from konomi.recipe import compose, keys
from konomi.recipe.build import checked, plugins_in
from konomi.recipe.planning import Plan, Step, plan, plan_config
from konomi.report.figures import duration, size
from konomi.store import Store
from konomi.store.collect import record_run

STOP_SIGNALS = ("SIGTERM", "SIGUSR1", "SIGUSR2")
"""Signals that ask for a stop in good order; schedulers send them before they kill."""
EXIT_FAULTS = 2
EXIT_STOPPED = 75
"""EX_TEMPFAIL: the same command goes on."""
EXIT_INTERRUPTED = 130
INTERRUPT = "Ctrl-C"
RUN = "run.json"
BEGAN = "KONOMI_BEGAN"
"""Environment variable with the time at which the command began, for the processes that it starts."""


@dataclass
class Run:
    """What a run left: its folder, the artifacts by stage, the report."""

    folder: Path
    recipe: str
    exit: int = 0
    message: str = ""
    artifacts: dict[str, Path] = field(default_factory=dict)
    report: Path | None = None
    seconds: float = 0.0
    asked_to_stop: str | None = None
    """By what it was asked to stop, also where it was through with its last stage: a sweep begins no further point."""


Say = Callable[[str], None]


def run(recipe: str, overrides: Sequence[str] = (), *, folder: str | Path | None = None, quiet: bool = True) -> Run:
    """Run a recipe from Python; raises `Faults` before any work, `KonomiError` or `Stopped` on the way.

    >>> run("quickstart", ["size=smoke"]).report  # doctest: +SKIP
    PosixPath('runs/quickstart/…/report.html')
    """
    os.environ[BEGAN] = str(time.time())  # a second run of this process is another command: its refresh counts anew
    planned = plan(recipe, overrides)
    at = Path(folder) if folder else fresh_folder(recipe)
    return carry_out(planned, at, say=(lambda line: None) if quiet else print)


def fresh_folder(recipe: str) -> Path:
    """Make and return a new folder for a run, where Hydra is not there to do it."""
    folder = Path("runs") / recipe / time.strftime("%Y-%m-%d_%H-%M-%S")
    for number in range(1000):
        candidate = folder if number == 0 else folder.with_name(f"{folder.name}-{number}")
        with contextlib.suppress(FileExistsError):
            candidate.mkdir(parents=True)
            return candidate
    raise KonomiError(f"{folder} and 999 folders after it are taken")


def carry_out(planned: Plan, folder: Path, *, say: Say = print, smoke: bool = False) -> Run:
    """Make every stage of a plan that is not there yet; returns what was made, also under `folder`."""
    from konomi.quiet import hushed, prepare

    prepare()
    gc.enable()
    planned.store.create()
    folder.mkdir(parents=True, exist_ok=True)
    if not smoke:
        record_run(planned.store, folder, planned.recipe, [step.key for step in planned.steps])
    done = Run(folder=folder, recipe=planned.recipe)
    rows: list[dict[str, Any]] = []
    begin = time.perf_counter()
    width = max(len(step.name) for step in planned.steps)
    left = None if planned.deadline is None else max(0.0, began() + planned.deadline - time.time())
    with stopping(left, say) as stop, _command(planned) as since:
        try:
            with hushed(folder / "run.log"):
                _verify(planned)
            for step in planned.steps:
                stop.seals = hasattr(step.stage, "trainer")
                with hushed(folder / "run.log"), telling(step.name, step.parts["plugin"], folder / "run.log"):
                    made = _make(planned, step, stop, folder, since, smoke=smoke, say=say)
                rows.append(made)
                done.artifacts[step.name] = step.artifact.path
                say(_line(made, width))
                if not smoke:
                    _link(folder / step.name, step.artifact.path)
        except BaseException as error:
            interrupted = isinstance(error, Stopped) and stop.reason == INTERRUPT
            done.exit = EXIT_INTERRUPTED if interrupted else _exit_code(error)
            if interrupted:
                raise KeyboardInterrupt from error
            raise
        finally:
            done.seconds = time.perf_counter() - begin
            done.asked_to_stop = stop.reason
            if not smoke:
                _write_run(planned, done, rows)
    if not smoke:
        from konomi.report.document import write_report

        done.report = write_report(planned, done, rows)
    return done


def _verify(planned: Plan) -> None:
    """Build the libraries' own configurations before the first stage runs; raises `Faults` with all they refuse."""
    faults = []
    for step in planned.steps:
        for where, part in plugins_in(step.stage, step.name) if not step.cached else ():
            if hasattr(part, "verify_arguments"):
                faults += [replace(fault, where=f"{where}.{fault.where}") for fault in part.verify_arguments()]
    if faults:
        raise Faults(faults)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, Stopped):
        return EXIT_STOPPED
    if isinstance(error, Faults):
        return EXIT_FAULTS
    return EXIT_INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def _make(
    planned: Plan, step: Step, stop: Stop, folder: Path, since: float, *, smoke: bool, say: Say
) -> dict[str, Any]:
    """Make one stage's artifact, or find it made; returns its row for the summary."""
    store, key = planned.store, step.key
    row = {"name": step.name, "plugin": step.parts["plugin"], "key": key, "path": str(step.artifact.path)}
    row |= {"makes": step.artifact.makes, "cached": True, "resumed": False}
    told = False

    def wait() -> None:
        nonlocal told
        if not told:
            say(f"  {step.name}: waiting for another process that makes it")
            told = True
        _check_stop(step, stop)

    _check_stop(step, stop)
    if _is_wanted(step, store, since):
        with store.lock(key, wait):
            if _is_wanted(step, store, since):
                row |= _make_or_adopt(planned, step, stop, folder, since, smoke=smoke)
    manifest = store.manifest(key)
    return {**row, **{name: manifest.get(name) for name in ("seconds", "peak_memory", "results")}}


def began() -> float:
    """Return when the command began, in seconds since 1970; the points of a sweep share it."""
    return float(os.environ.setdefault(BEGAN, str(time.time())))


@contextlib.contextmanager
def _command(planned: Plan) -> Iterator[float]:
    """Give the time that tells what a `refresh` has made anew already: once a command, not once a point of its sweep.

    A command that was killed or stopped is the same one when it is typed again: what it had made anew stands.
    """
    refreshed = [step.key for step in planned.steps if step.refresh]
    if not refreshed:
        yield 0.0
        return
    name = hashlib.sha256("\n".join([*refreshed, planned.steps[-1].key]).encode()).hexdigest()[:24]
    with planned.store.command(name, began()) as since:
        yield since


def _is_wanted(step: Step, store: Store, since: float) -> bool:
    """Tell whether a stage is to be made: it is not there, or `refresh` still asks for another."""
    return not store.has(step.key) or (step.refresh and store.manifest(step.key)["started"] < since)


def _make_or_adopt(planned: Plan, step: Step, stop: Stop, folder: Path, since: float, *, smoke: bool) -> dict[str, Any]:
    try:
        return _make_locked(planned, step, stop, folder, smoke=smoke)
    except Stopped:
        raise
    except Exception:
        if not _is_wanted(step, planned.store, since):
            return {}  # our claim ran out, another process made it, and cleared away what we still worked with
        raise


def _check_stop(step: Step, stop: Stop) -> None:
    if stop.reason:
        raise Stopped(f"stopped by {stop.reason} before {step.name}; the same command goes on from here")


def _make_locked(planned: Plan, step: Step, stop: Stop, folder: Path, *, smoke: bool) -> dict[str, Any]:
    store, key = planned.store, step.key
    resume = store.resume(key, anew=step.refresh)
    read = _inputs(store, step)
    with store.writing() as out, store.attempt(key, anew=step.refresh) as work:
        job = Job(
            name=step.name, recipe=planned.name, key=key, out=out, work=work, resume=resume, smoke=smoke, stop=stop,
            model_card=_model_card(planned, step), curves=store.root / "curves" / key,
            shelves=store.root / "shelves", lock=store.kind_of_lock,
        )  # fmt: skip
        with provenance.measured() as usage:
            run_stage(step, job, log=folder / "run.log")
            gc.collect()  # a model that nobody holds any more is not the next stage's memory
        _look_again(store, step, read)
        made = store.publish(out, key, _manifest(planned, step, job, usage), replace=step.refresh)
    store.drop_work(key)
    return {"cached": not made, "resumed": resume is not None}


def _inputs(store: Store, step: Step) -> dict[str, tuple[int, int] | None]:
    """Return which folders the artifacts are in that a stage reads: a `refresh` elsewhere may replace one."""
    return {where: store.state(artifact.key) for where, artifact in step.inputs.items()}


def _look_again(store: Store, step: Step, read: dict[str, tuple[int, int] | None]) -> None:
    """Refuse to publish where what the stage read has changed while it ran."""
    if faults := checked(step.stage, step.name):
        raise Faults(faults)
    now = keys.parts(step.stage)
    changed = keys.differences(now, step.parts) if now != step.parts else []
    replaced = [where for where, state in _inputs(store, step).items() if state != read[where]]
    changed += [f"{where}: {step.inputs[where].key} was replaced or removed" for where in replaced]
    if changed:
        raise KonomiError(
            f"{step.name}: its input changed while it ran, so nothing was published: {'; '.join(changed)}"
        )


def _manifest(planned: Plan, step: Step, job: Job, usage: provenance.Usage) -> dict[str, Any]:
    return {
        "key": step.key,
        "stage": step.name,
        "plugin": step.parts["plugin"],
        "makes": step.artifact.makes,
        "recipe": planned.recipe,
        "overrides": planned.overrides,
        "config": step.config,
        "recipe_config": planned.config,
        "key_parts": step.parts,
        "inputs": {where: artifact.key for where, artifact in step.inputs.items()},
        "versions": provenance.versions(),
        "git": provenance.git_state(),
        "started": usage.started,
        "seconds": round(usage.seconds, 3),
        "peak_memory": usage.peak_memory,
        "resumed_from": job.resume.name if job.resume else None,
        "results": job.results,
    }


def _model_card(planned: Plan, step: Step) -> dict[str, Any]:
    """Return what a model's card says, from the lineage: the model it began from, and the data's sources."""
    base: list[str] = []
    data: list[str] = []
    todo, seen = [step], set()
    while todo:
        at = todo.pop(0)
        seen.add(at.name)
        values = at.parts["fields"]
        name = getattr(getattr(at.stage, "model", None), "name_or_path", None)
        if isinstance(name, str) and name and name not in base:
            base.append(name)
        source = values.get("source")
        if isinstance(source, dict):
            path = getattr(at.stage.source, "path", None)
            said = path if isinstance(path, str) else str(source["plugin"]).partition("/")[2]
            if said not in data:
                data.append(said)
        names = [artifact.stage for artifact in at.inputs.values()]
        todo += [other for other in planned.steps if other.name in names and other.name not in seen]
    tags = ["konomi", planned.recipe, step.parts["plugin"].partition("/")[2]]
    return {"base_model": base[-1:], "datasets": data, "recipe": planned.config, "tags": tags, "name": planned.name}


@contextlib.contextmanager
def stopping(deadline: float | None, say: Say = print) -> Iterator[Stop]:
    """Turn the signals of `STOP_SIGNALS` and a deadline (seconds) into a request to stop in good order.

    So does the first Ctrl-C within a training; a second one, and one elsewhere, leaves at once.
    """
    stop = Stop()
    held: dict[int, Any] = {}

    def ask(number: int, frame: FrameType | None) -> None:
        stop.reason = signal.Signals(number).name

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not stop.seals or stop.reason:
            raise KeyboardInterrupt
        stop.reason = INTERRUPT
        say("  sealing a checkpoint; Ctrl-C again leaves at once")

    if threading.current_thread() is threading.main_thread():
        for name in STOP_SIGNALS:
            if number := getattr(signal, name, None):
                held[number] = signal.signal(number, ask)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a notebook's or a test's own stays
            held[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
    timer = None
    if deadline is not None:
        timer = threading.Timer(deadline, lambda: setattr(stop, "reason", stop.reason or "the deadline"))
        timer.daemon = True
        timer.start()
    try:
        yield stop
    finally:
        if timer:
            timer.cancel()
        for number, handler in held.items():
            signal.signal(number, handler)


def _line(row: dict[str, Any], width: int) -> str:
    """Return one quiet line about a stage."""
    name = f"{row['name']:<{width}}"
    if row["cached"]:
        return f"  {name}  cached"
    spent = f"{duration(row['seconds']):>10}  {size(row['peak_memory']):>9}"
    under = (row.get("results") or {}).get("resumed_under")
    resumed = f"  resumed under other conditions: {under}" if under else "  resumed"
    summary = (row.get("results") or {}).get("summary")
    told = f"  {summary}" if summary else ""
    return f"  {name}  {spent}{told}" + (resumed if row["resumed"] else "")


def _link(link: Path, target: Path) -> None:
    """Put an artifact under its stage's name into the run's folder, where the file system has links."""
    with contextlib.suppress(OSError):
        if link.is_symlink():
            link.unlink()
        link.symlink_to(os.path.relpath(target, link.parent), target_is_directory=True)


def _write_run(planned: Plan, done: Run, rows: list[dict[str, Any]]) -> None:
    shown = [{key: value for key, value in row.items() if key != "results"} for row in rows]
    record = {
        "recipe": planned.recipe, "name": planned.name, "overrides": planned.overrides, "stages": shown,
        "store": str(planned.store.root), "pruned": planned.pruned, "exit": done.exit, "seconds": done.seconds,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }  # fmt: skip
    text = json.dumps(record, ensure_ascii=False, indent=1)
    temporary = done.folder / f".{RUN}.tmp"
    temporary.write_text(text, encoding="utf-8")
    temporary.rename(done.folder / RUN)


def smoke(recipe: str, overrides: Sequence[str] = (), *, say: Say = print) -> Run:
    """Do three real steps of each stage at real shapes, over what is cached, and publish nothing."""
    import tempfile

    planned = plan(recipe, overrides)
    with tempfile.TemporaryDirectory(prefix="konomi-smoke-") as scratch:
        store = Store(Path(scratch) / "store")
        store.create()
        for step in planned.steps:
            if step.cached:
                store.path(step.key).symlink_to(planned.store.path(step.key), target_is_directory=True)
        cfg = compose(recipe, [*overrides, f"store={store.root}"])
        again = plan_config(recipe, cfg, list(overrides))
        return carry_out(again, Path(scratch) / "run", say=say, smoke=True)
