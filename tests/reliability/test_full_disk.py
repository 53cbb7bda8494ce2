"""A disk that takes no more: one line, nothing half-published, and the same command ends once there is room.

A training that meets a full disk has tests of its own.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from konomi.store import Store
from konomi.store.full import full_disk

from ..store import publication  # noqa: TID252 - tests are no installed package

LIMITS = (0, 20, 60, 90, 120, 300, 700, 4000, 9000, 9999)
"""Bytes that a file may have: the publication writes files of 24 to 10 000."""


def limited(size: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose files may not grow beyond a size."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY)),
    )


def test_a_publication_that_outgrows_the_limit_leaves_nothing_and_ends_later(tmp_path: Path) -> None:
    for size in LIMITS:
        place = tmp_path / str(size)
        done = limited(size, sys.executable, publication.__file__, str(place), "store", "publish")
        assert done.returncode == 1
        assert "File too large" in done.stderr
        assert publication.fault(place, "publish") is None
        assert not Store(place).has(publication.KEY)
        publication.publish(place, "store", "publish")
        assert publication.fault(place, "publish") is None
        assert Store(place).has(publication.KEY)
        assert publication.remains(place) == []


def test_a_publication_whose_record_does_not_fit_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Store, event: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "record", full)
        publication.publish(tmp_path, "store", "publish")
    assert publication.fault(tmp_path, "publish") is None
    assert Store(tmp_path).has(publication.KEY)


def test_a_torn_line_of_the_record_spoils_no_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create()
    store.record({"event": "one"})
    with (tmp_path / "events.jsonl").open("a") as stream:
        stream.write('{"event": "to')  # a full disk took the rest
    store.record({"event": "three"})
    assert [event["event"] for event in store.events()] == ["one", "three"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "x"), "the disk is full"),
        (OSError(122, "x"), "the disk quota is used up"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "the disk is full"),
        (OSError(2, "x"), None),
        (RuntimeError("CUDA out of memory"), None),
    ],
)
def test_a_full_disk_is_known_in_whatever_a_library_makes_of_it(error: Exception, said: str | None) -> None:
    assert full_disk(error) == said
    chained = RuntimeError("while saving")
    chained.__cause__ = error
    assert full_disk(chained) == said


SMALL = """
set -u
mount -t tmpfs -o size=4m tmpfs "$1" || exit 99
konomi() { "$2" -m konomi run quickstart size=smoke until=english "store=$1/store" "hydra.run.dir=$3/run"; }
head -c 4000000 /dev/zero > "$1/ballast"
konomi "$@" 2> "$3/said" > "$3/out"
echo "full: $?; $(ls "$1/store/objects" | wc -l) $(ls "$1/store/tmp" | wc -l)"
rm "$1/ballast"
konomi "$@" > "$3/out" 2>&1
echo "room: $?; $(ls "$1/store/objects" | wc -l) $(ls "$1/store/tmp" | wc -l)"
"""


@pytest.mark.slow
def test_a_run_on_a_full_disk_says_so_in_one_line_and_ends_when_there_is_room(tmp_path: Path) -> None:
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")
    disk, beside = tmp_path / "disk", tmp_path / "beside"
    disk.mkdir()
    beside.mkdir()
    (tmp_path / "small.sh").write_text(SMALL)
    command = ["unshare", "--map-root-user", "--mount", "bash", str(tmp_path / "small.sh")]
    done = subprocess.run([*command, str(disk), sys.executable, str(beside)], capture_output=True, text=True)
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    said = (beside / "said").read_text(encoding="utf-8")
    assert done.stdout.splitlines() == ["full: 1; 0 0", "room: 0; 1 0"], (done.stdout, said)
    assert said.count("\n") == 1, said
    assert "the disk is full" in said
    assert "same command" in said
