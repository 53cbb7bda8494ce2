"""Runs one stage: in this process, or in processes of its own through `accelerate launch`.

The child gets its stage as a file (its resolved node and where its artifacts lie), not by composing again. What it
learnt comes back in a file too, and it is judged by what it left, because a process group may abort after a good end.

    accelerate launch … -m konomi.launch SPEC.json
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from konomi.faults import Faults, KonomiError, Stopped
from konomi.job import Job, Stop
from konomi.store.full import NoRoom

if TYPE_CHECKING:
    from konomi.recipe.planning import Step

RESULT = "result.json"
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""A scheduler may send them to every process: the launcher is deaf to them, and a worker takes them as a request."""
LAUNCHER = {"PET_SIGNALS_TO_HANDLE": "SIGINT,SIGHUP,SIGQUIT", "PET_SHUTDOWN_TIMEOUT": "10"}
"""What torch's launcher reads: at which signals it ends the workers (by its own default at SIGTERM, too), and how many
seconds it gives them where one has failed."""
POLL_SECONDS = 0.2


def run_stage(step: Step, job: Job, *, log: Path) -> None:
    """Run a stage; raises `Stopped` where it was stopped in good order, and what the stage raises."""
    from konomi.quiet import tame

    compute = getattr(step.stage, "compute", None)
    arguments = compute.launch() if compute is not None else None
    if arguments is None:
        tame()
        step.stage.run(job)
    else:
        _launch(step, job, arguments, log)


def _launch(step: Step, job: Job, arguments: list[str], log: Path) -> None:
    job.work.mkdir(parents=True, exist_ok=True)
    spec = job.work / "spec.json"
    spec.write_text(json.dumps(_spec(step, job), ensure_ascii=False), encoding="utf-8")
    command = [sys.executable, "-m", "accelerate.commands.launch", *arguments, "-m", "konomi.launch", str(spec)]
    with log.open("ab") as output:
        child = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, preexec_fn=_apart,
            env={**os.environ, **LAUNCHER},
        )  # fmt: skip
        try:
            told = False
            while child.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(POLL_SECONDS)
                if job.stop.reason and not told:
                    told = True
                    (job.work / "stop").write_text(job.stop.reason, encoding="utf-8")
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise
    spec.unlink()
    results = [job.work / RESULT, *sorted(job.work.glob(f"*.{RESULT}"))]  # the first process' own, where it left one
    result = next((file for file in results if file.exists()), None)
    if result is None and job.stop.reason:
        raise Stopped(
            f"{step.name} was stopped by {job.stop.reason}; the same command goes on from its last checkpoint"
        )
    if result is None:
        raise KonomiError(
            f"{step.name}: `accelerate launch` ended with exit code {child.returncode} and left no result; see {log}"
        )
    said = json.loads(result.read_text(encoding="utf-8"))
    for file in results:
        file.unlink(missing_ok=True)
    (job.work / "stop").unlink(missing_ok=True)
    if said["error"]:
        raise (Stopped if said["stopped"] else KonomiError)(said["error"])
    job.results.update(said["results"])


def _spec(step: Step, job: Job) -> dict[str, Any]:
    from konomi.recipe.keys import code_in

    artifacts = {artifact.stage: artifact for artifact in step.inputs.values()}
    return {
        "stage": _resolved(step),
        "code": code_in(step.stage),
        "artifacts": {
            name: {"stage": item.stage, "makes": item.makes, "key": item.key, "path": str(item.path)}
            for name, item in artifacts.items()
        },
        "job": {
            "name": job.name, "recipe": job.recipe, "key": job.key, "out": str(job.out), "work": str(job.work),
            "resume": str(job.resume) if job.resume else None, "smoke": job.smoke, "model_card": job.model_card,
            "curves": str(job.curves) if job.curves else None,
        },
    }  # fmt: skip


def _resolved(step: Step) -> dict[str, Any]:
    """Return a stage's node as plain values that a child can build again."""
    from konomi.recipe.build import REFERENCE
    from konomi.recipe.keys import entry_of
    from konomi.store import Artifact

    def plain(value: Any) -> Any:
        if isinstance(value, Artifact):
            return f"{REFERENCE}{value.stage}"
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            node: dict[str, Any] = {"plugin": entry_of(value).id}
            unused = set(value.unused()) if hasattr(value, "unused") else set()
            for field in dataclasses.fields(value):
                if field.name in unused:
                    node[field.name] = None
                elif field.name == "arguments":
                    node |= plain(getattr(value, field.name))
                else:
                    node[field.name] = plain(getattr(value, field.name))
            return node
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value.name if isinstance(value, Enum) else value

    resolved: dict[str, Any] = plain(step.stage)
    return resolved


def main(spec_file: str) -> None:
    """Run the stage of a spec, as one of the processes that `accelerate launch` started."""
    from konomi import search_path
    from konomi.quiet import prepare, tame
    from konomi.recipe.build import Builder
    from konomi.recipe.keys import code_in
    from konomi.store import Artifact

    _die_with_parent()
    prepare()
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    search_path.load_plugins()
    artifacts = {
        name: Artifact(item["stage"], item["makes"], item["key"], Path(item["path"]))
        for name, item in spec["artifacts"].items()
    }
    builder = Builder(lambda name: artifacts.get(name, f"no artifact {name}"))
    stage = builder.plugin(spec["stage"], spec["job"]["name"], "stage")
    if builder.faults:
        raise Faults(builder.faults)
    paths = {name: Path(spec["job"][name]) for name in ("out", "work")}
    paths |= {name: Path(spec["job"][name]) for name in ("resume", "curves") if spec["job"][name]}
    first = int(os.environ.get("RANK", "0")) == 0
    job = Job(**{**spec["job"], **paths, "quiet": not first, "stop": _StopFile(paths["work"] / "stop")})
    _heed_signals(job.stop)
    tame()
    logging.basicConfig(level=logging.INFO if first else logging.WARNING, stream=sys.stderr)
    error: KonomiError | None = None
    try:
        if code_in(stage) != spec["code"]:
            raise KonomiError(f"{job.name}: a plugin's file was changed while the run went on; type the command again")
        stage.run(job)
    except KonomiError as caught:
        if not first and not isinstance(caught, Stopped):
            raise  # the launcher sees the exit code and ends the others, which would wait for this one
        error = caught
    alone = isinstance(error, NoRoom)
    if first or alone:
        said = {"results": job.results, "error": str(error) if error else "", "stopped": isinstance(error, Stopped)}
        name = RESULT if first else f"{os.environ['RANK']}.{RESULT}"
        (job.work / name).write_text(json.dumps(said, ensure_ascii=False), encoding="utf-8")
    if alone:
        sys.exit(1)  # the launcher ends the others, which would wait for this one


class _StopFile(Stop):
    """A request to stop that comes as a file, so that every process of a training sees the same one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def reason(self) -> str | None:
        try:
            return self._path.read_text(encoding="utf-8")
        except OSError:
            return None

    @reason.setter
    def reason(self, value: str | None) -> None:
        if value is not None:
            self._path.write_text(value, encoding="utf-8")


def _apart() -> None:
    """Prepare the launcher: it ends with this process, and not by a signal that asks for a stop."""
    _die_with_parent()
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _heed_signals(stop: Stop) -> None:
    """Take a signal that asks for a stop as a request to all processes of the training."""

    def ask(number: int, frame: FrameType | None) -> None:
        stop.reason = signal.Signals(number).name

    for number in STOP_SIGNALS:
        signal.signal(number, ask)


def _die_with_parent() -> None:
    """Ask Linux to end this process with the one that started it, so that a killed run leaves no orphans."""
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
