"""A curation that is killed, stopped, starved of disk or run twice at once leaves what an undisturbed one leaves."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from curating import (
    DOCUMENTS,
    FILES,
    FILTERS,
    artifact,
    command,
    computed,
    curate,
    digests,
    kill,
    lines,
    looked_at,
    shelved,
    temporary,
    wait_for,
    write_corpus,
)

KILLS = 3
SHELVED = FILES * (1 + len(FILTERS))
"""Files on the shelves of a curation that has read and judged all: one of rows and one a filter for each shard."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def calm(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the artifact of a curation that nobody disturbed."""
    place = tmp_path_factory.mktemp("calm")
    done = curate(corpus, place / "store", place / "run")
    assert done.returncode == 0, done.stderr
    assert len(shelved(place / "store")) == SHELVED
    assert list(temporary(place / "store")) == []
    return artifact(place / "run")


def start(*arguments: Any) -> subprocess.Popen[str]:
    """Begin a curation in a process group of its own."""
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def test_a_killed_curation_goes_on_and_repeats_no_whole_shard(tmp_path: Path, corpus: Path, calm: Path) -> None:
    store, run = tmp_path / "store", tmp_path / "run"
    chance = random.Random(0)
    reached = sorted(chance.sample(range(1, SHELVED - 2), KILLS))
    for files in reached:
        child = start(corpus, store, run)
        assert wait_for(files, store, child), child.communicate()
        kill(child)
        assert not any((store / "objects").iterdir())
    before, held = looked_at(store), {path: path.stat().st_mtime_ns for path in shelved(store)}
    assert len(held) >= reached[-1]
    done = curate(corpus, store, run)
    assert done.returncode == 0, done.stderr
    made = artifact(run)
    assert digests(made) == digests(calm)
    assert computed(made) == {name: count - before[name] for name, count in computed(calm).items()}
    assert {path: path.stat().st_mtime_ns for path in held} == held, "no whole file was written again"
    assert list(temporary(store)) == [], "what the killed processes were writing is cleared away"


def test_another_limit_computes_nothing_and_two_runs_at_once_share_the_shelves(
    tmp_path: Path, corpus: Path, calm: Path
) -> None:
    store = tmp_path / "store"
    limits = {name: f"curate.filter.repetition.top_2_grams={limit}" for name, limit in {"a": 0.2, "b": 0.02}.items()}
    children = {name: start(corpus, store, tmp_path / name, limit) for name, limit in limits.items()}
    for child in children.values():
        _, said = child.communicate(timeout=300)
        assert child.returncode == 0, said
    assert digests(artifact(tmp_path / "a")) == digests(calm)
    assert len(shelved(store)) == SHELVED, "both filled the same shelves"
    alone = curate(corpus, tmp_path / "other store", tmp_path / "c", limits["b"])
    assert alone.returncode == 0, alone.stderr
    assert digests(artifact(tmp_path / "b")) == digests(artifact(tmp_path / "c")) != digests(calm)
    again = curate(corpus, store, tmp_path / "d", "curate.filter.repetition.top_2_grams=0.015")
    assert again.returncode == 0, again.stderr
    assert computed(artifact(tmp_path / "d")) == dict.fromkeys(FILTERS, 0)


def test_an_interrupt_is_one_line_and_what_was_done_is_kept(tmp_path: Path, corpus: Path, calm: Path) -> None:
    store, run = tmp_path / "store", tmp_path / "run"
    child = start(corpus, store, run)
    assert wait_for(FILES + 2, store, child), child.communicate()
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to every process
    _, said = child.communicate(timeout=120)
    assert child.returncode == 130
    assert lines(said) == ["konomi: interrupted; whole stages are kept, the same command goes on from there"]
    before = looked_at(store)
    assert sum(before.values()) > 0
    done = curate(corpus, store, run)
    assert done.returncode == 0, done.stderr
    assert digests(artifact(run)) == digests(calm)
    assert computed(artifact(run)) == {name: count - before[name] for name, count in computed(calm).items()}


def test_a_schedulers_signal_stops_between_two_shards(tmp_path: Path, corpus: Path, calm: Path) -> None:
    store, run = tmp_path / "store", tmp_path / "run"
    child = start(corpus, store, run)
    assert wait_for(FILES + 2, store, child), child.communicate()
    os.killpg(child.pid, signal.SIGTERM)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 75, said
    (line,) = lines(said)
    assert "stopped by SIGTERM" in line and "the same command goes on" in line
    done = curate(corpus, store, run)
    assert done.returncode == 0, done.stderr
    assert digests(artifact(run)) == digests(calm)


@pytest.mark.parametrize("of", ["rows", "scores-repetition", "duplicates"])
def test_a_damaged_file_of_a_shelf_is_made_again(tmp_path: Path, corpus: Path, calm: Path, of: str) -> None:
    store, run = tmp_path / "store", tmp_path / "run"
    shutil.copytree(calm.parents[1] / "shelves", store / "shelves")
    (shelf,) = (store / "shelves").glob(f"{of}-*")
    damaged = sorted(path for path in shelf.iterdir() if path.is_file() and path.suffix != ".json")[0]
    os.truncate(damaged, damaged.stat().st_size // 2)
    done = curate(corpus, store, run)
    assert (done.returncode, done.stderr) == (0, "")
    assert digests(artifact(run)) == digests(calm)
    expected = dict.fromkeys(FILTERS, 0) | ({"repetition": DOCUMENTS} if "repetition" in of else {})
    assert computed(artifact(run)) == expected


PROJECT = {
    "pyproject.toml": '[tool.konomi]\nplugins = ["plugins"]\n',
    "plugins/brittle.py": """
from dataclasses import dataclass

from konomi.filter import Verdicts
from konomi.registry import register


@register("filter", "brittle")
@dataclass(frozen=True)
class Brittle:
    \"\"\"Fail at a text.\"\"\"

    at: str = "again and"
    \"\"\"Text at which it fails.\"\"\"

    def __call__(self, texts):
        if self.at and any(text.startswith(self.at) for text in texts):
            raise ZeroDivisionError(f"cannot judge {self.at}\\nat all")
        return Verdicts(texts, [None] * len(texts), {})
""",
}


def test_a_filter_that_fails_in_a_worker_is_named_in_one_line(tmp_path: Path, corpus: Path) -> None:
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    store, run = tmp_path / "store", tmp_path / "run"
    choice = "filter=[normalize,brittle,length]"
    done = curate(corpus, store, run, choice, cwd=tmp_path)
    assert done.returncode == 1
    project, line = lines(done.stderr)
    assert project.startswith("konomi: plugins of this project")
    said = "curate (stage/curate, filter brittle) failed: ZeroDivisionError: cannot judge again and at all"
    assert line == f"konomi: {said}; the traceback is in {run}/run.log"
    log = (run / "run.log").read_text(encoding="utf-8")
    assert "in __call__" in log and "plugins/brittle.py" in log
    assert not any((store / "objects").iterdir()) and not any((store / "tmp").iterdir())
    mended = curate(corpus, store, run, choice, "curate.filter.brittle.at=", cwd=tmp_path)
    assert mended.returncode == 0, mended.stderr
    assert computed(artifact(run))["normalize"] < FILES * DOCUMENTS, "what had been judged before was kept"


SMALL = """
set -u
mount -t tmpfs -o size=6m tmpfs "$1" || exit 99
disk="$1" said="$2"
shift 2
head -c "$BALLAST" /dev/zero > "$disk/ballast"
"$@" 2> "$said" > "$said.out"
echo "full: $?; $(ls "$disk/store/objects" | wc -l) $(ls "$disk/store/tmp" | wc -l)"
ls "$disk"/store/shelves/*/ | grep -c parquet
rm "$disk/ballast"
"$@" > "$said.out" 2>&1
echo "room: $?; $(ls "$disk/store/objects" | wc -l) $(ls "$disk/store/tmp" | wc -l)"
cp -rL "$disk"/store/objects/* "$said.made"
"""


def test_a_full_disk_is_one_line_and_the_same_command_ends_when_there_is_room(
    tmp_path: Path, corpus: Path, calm: Path
) -> None:
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")
    disk, said = tmp_path / "disk", tmp_path / "said"
    disk.mkdir()
    (tmp_path / "small.sh").write_text(SMALL)
    script = ["unshare", "--map-root-user", "--mount", "bash", str(tmp_path / "small.sh"), str(disk), str(said)]
    inner = command(corpus, disk / "store", tmp_path / "run")
    ballast = {**os.environ, "BALLAST": str(5_300_000)}
    done = subprocess.run([*script, *inner], capture_output=True, text=True, env=ballast, timeout=300)
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    full, kept, room = done.stdout.splitlines()
    assert (full, room) == ("full: 1; 0 0", "room: 0; 1 0"), (done.stdout, said.read_text())
    assert 0 < int(kept) < SHELVED, "the disk was full in the middle"
    (line,) = lines(said.read_text(encoding="utf-8"))
    assert "the disk is full" in line and "same command" in line
    assert digests(tmp_path / "said.made") == digests(calm)


def test_a_worker_that_the_system_kills_is_one_line_that_says_what_to_type(tmp_path: Path, corpus: Path) -> None:
    store, run = tmp_path / "store", tmp_path / "run"
    child = start(corpus, store, run)
    assert wait_for(FILES + 1, store, child), child.communicate()
    workers = subprocess.run(["pgrep", "-f", "loky.*--process-name", "-P", str(child.pid)], capture_output=True)
    os.kill(int(workers.stdout.split()[0]), signal.SIGKILL)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 1
    (line,) = lines(said)
    assert "a worker process died (SIGKILL)" in line and "engine.workers=1" in line
    assert sys.executable not in line


def test_the_corpus_has_a_shard_a_file(calm: Path) -> None:
    assert len(list((calm.parents[1] / "shelves").glob("rows-*/*.parquet"))) == FILES
