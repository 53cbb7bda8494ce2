"""System calls, as `strace` sees and disturbs them."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TRACED = "trace=%file,%desc"
_LINE = re.compile(r"^(?P<process>\d+)\s+(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+|\?)(?P<rest>.*)$")
_BEHIND = re.compile(r"\d+<(?P<path>/[^<>]*)>")
_QUOTED = re.compile(r'"(?P<path>/[^"]*)"')


@dataclass(frozen=True)
class Call:
    """One system call of the main process."""

    name: str
    number: int
    """Which of the calls of this name it is, from 1."""
    arguments: str
    result: int
    rest: str

    @property
    def behind(self) -> list[str]:
        """Paths of the file descriptors it was given."""
        return _BEHIND.findall(self.arguments)

    @property
    def named(self) -> list[str]:
        """Absolute paths it was given as such."""
        return _QUOTED.findall(self.arguments)


@functools.cache
def cannot_trace() -> str:
    """Say why system calls cannot be traced here, empty where they can."""
    if not shutil.which("strace"):
        return "strace is not installed"
    command = ["strace", "-f", "--seccomp-bpf", "-e", TRACED, "-o", os.devnull, "true"]
    tried = subprocess.run(command, capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"strace cannot trace here: {tried.stderr.strip().splitlines()[-1]}"


def need_strace() -> None:
    """Skip the test where system calls cannot be traced, and say why."""
    if reason := cannot_trace():
        pytest.skip(reason)


def traced(script: Path, *arguments: str, log: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python script and log the calls that name a file or have one behind a descriptor."""
    return _strace(["-y", "-e", TRACED, "-o", str(log)], script, arguments)


def disturbed(script: Path, *arguments: str, call: Call, fault: str, log: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python script with a fault (`signal=SIGKILL`, `error=EIO`) at one call; fails where it did not strike."""
    options = ["-e", f"trace={call.name}", "-e", f"inject={call.name}:{fault}:when={call.number}", "-o", str(log)]
    done = _strace(options, script, arguments, quick=fault.startswith("error"))
    seen = log.read_text(encoding="utf-8", errors="replace")
    assert "(INJECTED)" in seen or "killed by SIGKILL" in seen, f"{fault} did not strike {call}: {done.stderr}"
    return done


def _strace(
    options: list[str], script: Path, arguments: tuple[str, ...], *, quick: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run under `strace`; `quick` stops at the traced calls alone, where `strace` 6.1 delivers no signals."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    filtered = ["--seccomp-bpf"] if quick else []
    command = ["strace", "-f", *filtered, *options, sys.executable, str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def calls(log: Path) -> Iterator[Call]:
    """Return the calls of the main process, in order, those that failed included."""
    main, counted = "", Counter[str]()
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _LINE.match(line)
        if not found:
            continue
        main = main or found["process"]
        if found["process"] != main:
            continue
        counted[found["name"]] += 1
        result = -1 if found["result"] == "?" else int(found["result"])
        yield Call(found["name"], counted[found["name"]], found["arguments"], result, found["rest"])


def calls_below(log: Path, root: Path) -> list[Call]:
    """Return the calls that touch a folder or what is in it."""
    return [call for call in calls(log) if str(root) in call.arguments or str(root) in call.rest]


def changes(call: Call) -> bool:
    """Tell whether a call changes what is on the disk, or makes sure of it."""
    return call.name in WRITES | ENTERS | {"fsync", "fdatasync"} or "O_CREAT" in call.arguments


WRITES = {"write", "pwrite64", "writev", "sendfile", "copy_file_range", "ftruncate", "fallocate"}
RENAMES = {"rename", "renameat", "renameat2"}
ENTERS = {"mkdir", "mkdirat", "unlink", "unlinkat", "rmdir", "link", "linkat", "symlink", "symlinkat", *RENAMES}


def unsynced(log: Path, root: Path) -> tuple[list[str], int]:
    """Return what a power cut could undo of what was published below `objects`, and how many renames led there.

    At each rename into place no content and no entry below the folder may be unwritten, and when the process ends nor
    may the entries that lead to it.
    """
    dirty: set[tuple[str, str]] = set()
    faults: list[str] = []
    renames = 0
    for call in calls(log):
        if call.result < 0:
            continue
        if call.name in RENAMES:
            source, target = call.named[:2]
            moved = {(what, path) for what, path in dirty if f"{path}/".startswith(f"{source}/")}
            if target.startswith(f"{root}/objects/"):
                renames += 1
                faults += [
                    f"{what} of {path} at the rename" for what, path in moved if (what, path) != ("entry", source)
                ]
            dirty = (dirty - moved) | {(what, target + path[len(source) :]) for what, path in moved}
        if call.name in WRITES:
            dirty.update(("content", path) for path in call.behind)
        if call.name in ENTERS or "O_CREAT" in call.arguments:
            dirty.update(("entry", path) for path in call.named)
        if call.name in ("fsync", "fdatasync"):
            synced = set(call.behind)
            dirty = {
                (what, path)
                for what, path in dirty
                if (str(Path(path).parent) if what == "entry" else path) not in synced
            }
    leads = (str(root), f"{root}/objects")
    faults += [f"{what} of {path} at the end" for what, path in dirty if path in leads or f"{root}/objects/" in path]
    return sorted(faults), renames
