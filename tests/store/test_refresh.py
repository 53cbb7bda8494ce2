"""A refresh puts a new artifact in an old one's place: at every moment one of the two is there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from konomi.faults import KonomiError
from konomi.store import Store, store
from konomi.store.seal import seal


def publish(here: Store, key: str, text: str, *, replace: bool = False, **manifest: Any) -> bool:
    with here.writing() as out:
        (out / "text").write_text(text)
        return here.publish(out, key, manifest, replace=replace)


def checkpoint(folder: Path, step: int) -> Path:
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    (made / "weights").write_text(str(step))
    seal(made)
    return made


@pytest.mark.parametrize("exchanges", [True, False])
def test_the_new_one_replaces_the_old_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(store, "exchange", lambda one, other: False)
    here = Store(tmp_path)
    assert publish(here, "k", "old", replace=True)  # where nothing is to be replaced, it is simply made
    before = here.state("k")
    assert publish(here, "k", "new", replace=True)
    assert (here.path("k") / "text").read_text() == "new"
    assert here.state("k") != before
    for name in ("tmp", "trash", "replaced"):
        assert not list((tmp_path / name).glob("*"))


def test_an_old_artifact_whose_replacement_was_killed_is_put_back(tmp_path: Path) -> None:
    here = Store(tmp_path)
    publish(here, "k", "old")
    (tmp_path / "replaced").mkdir()
    here.path("k").rename(tmp_path / "replaced" / "k")
    with here.lock("k"):  # a living process is between its two renames
        Store(tmp_path).create()
        assert not here.has("k")
    here.create()
    assert (here.path("k") / "text").read_text() == "old"


def test_a_refresh_goes_on_from_its_own_checkpoints_alone(tmp_path: Path) -> None:
    here = Store(tmp_path)
    with here.attempt("k") as work:
        old = checkpoint(work, 90)
    assert here.resume("k") == old
    assert here.resume("k", anew=True) is None
    publish(here, "k", "old", started=1.0)
    with here.attempt("k", anew=True) as work:
        own = checkpoint(work, 10)
    assert here.resume("k", anew=True) == own
    here.create()  # clears the finished work away, and keeps the refresh's
    assert not old.exists()
    assert here.resume("k", anew=True) == own
    publish(here, "k", "new", replace=True, started=2.0)
    assert here.resume("k", anew=True) is None, "a further refresh begins at the beginning"
    here.create()
    assert not own.exists()


def test_what_lies_without_a_manifest_gives_way(tmp_path: Path) -> None:
    here = Store(tmp_path)
    here.path("k").mkdir(parents=True)
    (here.path("k") / "half").touch()
    assert publish(here, "k", "whole")
    assert sorted(path.name for path in here.path("k").iterdir()) == ["manifest.json", "text"]


def test_a_disk_that_does_not_answer_is_no_missing_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Store(tmp_path)
    publish(here, "k", "whole")

    def broken(self: Path, **options: Any) -> os.stat_result:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", broken)
        with pytest.raises(OSError, match="Input/output"):
            here.has("k")


def test_a_command_that_was_not_finished_is_gone_on_with(tmp_path: Path) -> None:
    here = Store(tmp_path)
    with pytest.raises(KonomiError), here.command("c", 1.0):
        raise KonomiError("stopped")
    with here.command("c", 2.0) as began:
        assert began == 1.0
    with here.command("c", 3.0) as began:
        assert began == 3.0
    assert not list((tmp_path / "commands").iterdir())


def test_what_another_machine_left_is_kept_until_it_is_old(tmp_path: Path) -> None:
    here = Store(tmp_path)
    remains = tmp_path / "tmp" / "elsewhere.1.abcd"
    remains.mkdir(parents=True)
    (remains / "part").touch()
    here.create()
    assert remains.exists()
    for path in (remains / "part", remains):
        os.utime(path, (0, 0))
    here.create()
    assert not remains.exists()


def test_an_artifact_whose_manifest_is_damaged_does_not_keep_the_store_from_opening(tmp_path: Path) -> None:
    here = Store(tmp_path)
    publish(here, "k", "whole", started=1.0)
    with here.attempt("k") as work:
        checkpoint(work, 1)
    (here.path("k") / "manifest.json").write_text(json.dumps({})[:1])
    here.create()
