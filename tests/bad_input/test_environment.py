"""What surrounds a run: disks, memory, packages, clocks, terminals, other processes, signals."""

from __future__ import annotations

import builtins
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from konomi.registry import get
from konomi.store import Store

from .desk import Case, Desk, table

SRC = str(Path(__file__).parents[2] / "plugins")


def raising(error: Callable[[], BaseException]) -> Callable[[Desk], None]:
    """Return what makes the stage write a file and then raise."""

    def prepare(desk: Desk) -> None:
        def run(self: Any, job: Any) -> None:
            (job.out / "half").write_text("half")
            raise error()

        desk.monkeypatch.setattr(get("stage", "curate"), "run", run)

    return prepare


def failing(name: str, error: Callable[[], BaseException], *says: str, code: int = 1) -> Case:
    return Case(name, ("run", "small"), says, code, prepare=raising(error))


def bug() -> BaseException:
    return KeyError("an odd key")


def allocation() -> BaseException:
    return RuntimeError(
        "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"
    )


def gpu() -> BaseException:
    import torch

    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


# fmt: off
STAGES = (
    failing("a disk that is full", lambda: OSError(errno.ENOSPC, "No space left on device", "x.parquet"), "curate: the disk is full", "nothing half-written was published"),
    failing("a quota that is used up", lambda: OSError(errno.EDQUOT, "Disk quota exceeded"), "curate: the disk quota is used up"),
    failing("a disk that fails", lambda: OSError(errno.EIO, "Input/output error", "x.parquet"), "curate (stage/curate): x.parquet: Input/output error"),
    failing("too many open files", lambda: OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
    failing("no memory", MemoryError, "curate (stage/curate): there is not enough memory", "batch size"),
    failing("no memory, in torch's words", allocation, "curate (stage/curate): there is not enough memory", "batch size"),
    failing("no memory on an accelerator", gpu, "curate (stage/curate): there is not enough memory", "batch size"),
    failing("a package that is not installed", lambda: ModuleNotFoundError("No module named 'peft'", name="peft.tuners"), "the package peft is not installed", "pip install peft"),
    failing("a fault of the plugin's", bug, "curate (stage/curate) failed: KeyError: 'an odd key'", "the traceback is in", "run.log"),
    failing("an error without a word", ValueError, "curate (stage/curate) failed: ValueError; the traceback is in"),
    failing("an error of many lines", lambda: ValueError("one\ntwo\n\nthree"), "failed: ValueError: one two three; the traceback is in"),
    failing("an error that says too much", lambda: ValueError("x" * 100_000), "failed: ValueError: xxx"),
    failing("Ctrl-C in a stage", KeyboardInterrupt, "interrupted", "the same command goes on", code=130),
)
# fmt: on


@table(*STAGES)
def test_a_stage_that_fails_is_named_and_publishes_nothing(desk: Desk, case: Case) -> None:
    answer = desk.check(case)
    assert desk.made() == []
    assert max(map(len, answer.said.splitlines())) < 700
    desk.monkeypatch.undo()


def test_the_log_keeps_the_traceback_of_a_fault_of_the_plugins(desk: Desk) -> None:
    raising(bug)(desk)
    assert desk.type("run", "small").code == 1
    (log,) = desk.folder.glob("runs/small/*/run.log")
    text = log.read_text(encoding="utf-8")
    assert "Traceback" in text
    assert "KeyError: 'an odd key'" in text


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2"])
def test_a_stage_that_trains_nothing_stops_in_good_order(desk: Desk, name: str) -> None:
    def run(self: Any, job: Any) -> None:
        os.kill(os.getpid(), getattr(signal, name))
        for _ in job.progress(range(100)):
            time.sleep(0.01)

    desk.monkeypatch.setattr(get("stage", "curate"), "run", run)
    answer = desk.type("run", "small")
    assert answer.code == 75
    assert f"stopped by {name}; the same command goes on" in answer.said
    assert desk.made() == []


def test_ctrl_c_while_planning_is_one_line(desk: Desk) -> None:
    def interrupted(self: Any) -> Any:
        raise KeyboardInterrupt

    desk.monkeypatch.setattr(get("stage", "curate"), "check", interrupted)
    answer = desk.type("plan", "small")
    assert answer.code == 130
    assert answer.said.strip().count("\n") == 0
    assert "interrupted" in answer.said


def test_a_fault_of_konomis_own_keeps_its_traceback_in_a_file(desk: Desk) -> None:
    def broken(self: Any) -> Any:
        raise KeyError("an odd key")

    desk.monkeypatch.setattr(get("stage", "curate"), "check", broken)
    answer = desk.type("plan", "small")
    assert answer.code == 1
    assert "KeyError: 'an odd key'" in answer.said
    assert "Traceback" not in answer.said
    log = Path(os.environ["KONOMI_CACHE"]) / "error.log"
    assert str(log) in answer.said
    assert "Traceback" in log.read_text(encoding="utf-8")


def store_in_a_file(desk: Desk) -> None:
    desk.write("taken", "")


def full_report(desk: Desk) -> None:
    from konomi.report import document

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "report.html")

    desk.monkeypatch.setattr(document, "write_report", full)


def full_publication(desk: Desk) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    desk.monkeypatch.setattr("konomi.store.store.sync_tree", full)


def without(package: str) -> Callable[[Desk], None]:
    """Return what makes the import of a package fail as if it were not installed."""

    def prepare(desk: Desk) -> None:
        real = builtins.__import__

        def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
            if name.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {package!r}", name=name)
            return real(name, *args, **kwargs)

        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            desk.monkeypatch.delitem(sys.modules, name)
        desk.monkeypatch.setattr(builtins, "__import__", refuse)

    return prepare


def removed_later(desk: Desk) -> None:
    """Remove the data when the run has been planned and its stage begins."""
    real = get("stage", "curate").run

    def run(self: Any, job: Any) -> None:
        (desk.folder / "rows.jsonl").unlink()
        real(self, job)

    desk.monkeypatch.setattr(get("stage", "curate"), "run", run)


def changed_later(desk: Desk) -> None:
    real = get("stage", "curate").run

    def run(self: Any, job: Any) -> None:
        real(self, job)
        desk.write("rows.jsonl", '{"text": "other"}\n')

    desk.monkeypatch.setattr(get("stage", "curate"), "run", run)


# fmt: off
AROUND = (
    Case("a store that is a file", ("run", "small", "store=taken"), ("taken", "cannot be made", "store=FOLDER"), 1, prepare=store_in_a_file),
    Case("a store below a file", ("run", "small", "store=taken/store"), ("cannot be made", "store=FOLDER"), 1, prepare=store_in_a_file),
    Case("a store that cannot be made", ("run", "small", "store=/proc/konomi"), ("/proc/konomi cannot be made", "store=FOLDER"), 1),
    Case("a plan with a store that cannot be made", ("plan", "small", "store=/proc/konomi"), ("/proc/konomi",), 0),
    Case("a disk that is full at the report", ("run", "small"), ("the disk is full (report.html)",), 1, prepare=full_report),
    Case("a disk that is full at the publication", ("run", "small"), ("the disk is full",), 1, prepare=full_publication),
    Case("zstandard that is not installed", ("plan", "small", "source.path=rows.jsonl.zst"), ("pip install zstandard",), 1, {"rows.jsonl.zst": b"(\xb5/\xfd"}, without("zstandard")),
    Case("a file that vanishes", ("run", "small"), ("rows.jsonl",), 2, prepare=removed_later),
    Case("a file that changes", ("run", "small"), ("changed while it ran", "nothing was published"), 1, prepare=changed_later),
)
# fmt: on


@table(*AROUND)
def test_a_place_that_is_wrong_is_told(desk: Desk, case: Case) -> None:
    desk.check(case)
    desk.monkeypatch.undo()
    assert Store(desk.store.root).made() == desk.store.made()


def process(
    desk: Desk, *words: str, env: dict[str, str | None] | None = None, **kwargs: Any
) -> subprocess.CompletedProcess[bytes]:
    """Type a command in a process of its own; an environment variable that is None is unset."""
    changed = {"PYTHONPATH": SRC, **(env or {})}
    whole = {name: value for name, value in {**os.environ, **changed}.items() if value is not None}
    command = [sys.executable, "-m", "konomi", *words]
    return subprocess.run(command, env=whole, cwd=desk.folder, capture_output=True, timeout=120, check=False, **kwargs)


def test_an_ascii_terminal_gets_codes_in_place_of_japanese(desk: Desk) -> None:
    desk.write("recipes/和文.yaml", (desk.folder / "recipes/small.yaml").read_text().replace("Rows", "行"))
    env = {
        "LANG": "C",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii:strict",
    }
    done = process(desk, "recipes", env=env)
    assert done.returncode == 0, done.stderr
    assert b"\\u884c of a file" in done.stdout
    assert b"Traceback" not in done.stderr


def test_a_word_that_is_no_utf8_is_told(desk: Desk) -> None:
    done = process(desk, "plan", "small", os.fsdecode(b"name=\xff"))
    assert done.returncode == 2
    assert b"is no UTF-8" in done.stderr


def test_an_output_that_is_closed_early_ends_quietly(desk: Desk) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "konomi", "plugins"]
    env = os.environ | {"PYTHONPATH": SRC}
    child = subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, env=env, cwd=desk.folder)
    os.close(writer)
    said = child.communicate(timeout=60)[1]
    assert child.returncode == 1
    assert said == b""


def test_a_working_folder_that_was_deleted_is_told(desk: Desk) -> None:
    gone = desk.folder / "gone"
    gone.mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); from konomi.cli import entry; entry()"
    env = os.environ | {"PYTHONPATH": SRC}
    done = subprocess.run(
        [sys.executable, "-c", code, "plan", "curate"], cwd=gone, env=env, capture_output=True, timeout=60
    )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"working folder" in done.stderr


@pytest.mark.slow
def test_a_home_that_is_missing_or_cannot_be_written_only_costs_time(desk: Desk) -> None:
    for home in (None, "/proc/nowhere"):
        env = {"HOME": home, "KONOMI_CACHE": None, "XDG_CACHE_HOME": None}
        done = process(desk, "plan", "small", env=env)
        assert done.returncode == 0, done.stderr
        assert b"to make" in done.stdout


def test_a_missing_tmpdir_falls_back(desk: Desk) -> None:
    done = process(desk, "plan", "small", env={"TMPDIR": "/nowhere"})
    assert done.returncode == 0, done.stderr


def test_a_clock_that_is_set_back_makes_no_negative_time(desk: Desk) -> None:
    now = time.time()
    real = get("stage", "curate").run

    def run(self: Any, job: Any) -> None:
        desk.monkeypatch.setattr(time, "time", lambda: now - 86400)
        real(self, job)

    desk.monkeypatch.setattr(get("stage", "curate"), "run", run)
    assert desk.type("run", "small").code == 0
    (key,) = desk.store.made()
    manifest = desk.store.manifest(key)
    assert manifest["seconds"] >= 0
    (record,) = desk.folder.glob("runs/small/*/run.json")
    assert json.loads(record.read_text(encoding="utf-8"))["seconds"] >= 0
    desk.monkeypatch.undo()


@pytest.mark.slow
def test_two_runs_at_once_in_one_folder_make_everything_once(desk: Desk) -> None:
    command = [sys.executable, "-m", "konomi", "run", "small"]
    env = os.environ | {"PYTHONPATH": SRC}
    runs = [
        subprocess.Popen(command, cwd=desk.folder, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert [event["event"] for event in desk.store.events()] == ["made"]
    assert len(list(desk.folder.glob("runs/small/*/run.json"))) == 2


def unprivileged() -> list[str]:
    """Return what runs a command as nobody; skips where this user cannot become another."""
    if os.getuid() != 0:
        return []
    import shutil

    if not (tool := shutil.which("setpriv")):
        pytest.skip("the superuser may read and write everything, and setpriv (util-linux) is not here")
    return [tool, "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("locked", "mode", "words", "code", "said"),
    [
        ("rows.jsonl", 0o000, ["plan", "small"], 2, "Permission denied"),
        ("data", 0o000, ["plan", "small", "source.path=data/rows.jsonl"], 2, "Permission denied"),
        ("recipes/small.yaml", 0o000, ["plan", "small"], 2, "Permission denied"),
        ("pyproject.toml", 0o000, ["plan", "small"], 1, "Permission denied"),
        ("store", 0o555, ["run", "small", "store=store"], 1, "cannot be made"),
        ("store", 0o000, ["run", "small", "store=store"], 1, "Permission denied"),
        ("runs", 0o555, ["run", "small", "store=other"], 1, "Permission denied"),
    ],
)  # fmt: skip
def test_what_may_not_be_read_or_written_is_told(
    desk: Desk, locked: str, mode: int, words: list[str], code: int, said: str
) -> None:
    become = unprivileged()
    desk.write("data/rows.jsonl", '{"text": "a"}\n')
    for name in ("store", "runs", "other"):
        (desk.folder / name).mkdir()
    opened = [desk.folder, *desk.folder.rglob("*")]
    for path in opened:
        path.chmod(0o777 if path.is_dir() else 0o666)
    for above in desk.folder.parents:  # pytest's own folders are closed to others
        if above.owner() == "root" and above != Path("/") and above.is_relative_to("/tmp") and above != Path("/tmp"):
            above.chmod(0o755)
    (desk.folder / locked).chmod(mode)
    env = os.environ | {"PYTHONPATH": SRC, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    probe = subprocess.run(
        [*become, sys.executable, "-c", "import konomi"], env=env, cwd="/", capture_output=True, timeout=60
    )
    if probe.returncode:
        pytest.skip("this Python cannot be read by other users")
    command = [*become, sys.executable, "-m", "konomi", *words]
    done = subprocess.run(command, env=env, cwd=desk.folder, capture_output=True, text=True, timeout=120)
    (desk.folder / locked).chmod(0o777)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    assert said in done.stderr
