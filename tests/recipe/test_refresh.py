"""`refresh=STAGE` makes a stage anew once a command, also where the command had to be typed again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import konomi
from konomi.cli import main
from konomi.faults import Faults, KonomiError, Stopped
from konomi.runner import carry_out


def made(store: Any) -> Counter[str]:
    return Counter(event["stage"] for event in store.events() if event["event"] == "made")


def test_a_refresh_that_was_stopped_goes_on_where_it_was(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    konomi.run("meal")
    planned = konomi.plan("meal", ["refresh=word"])

    def stopped(self: Any, job: Any) -> None:
        raise Stopped("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(type(planned.step("dinner").stage), "run", stopped)
        with pytest.raises(Stopped):
            konomi.run("meal", ["refresh=word"])
    assert made(planned.store) == {"word": 2, "lunch": 1, "dinner": 1}
    konomi.run("meal", ["refresh=word"])
    assert made(planned.store) == {"word": 2, "lunch": 2, "dinner": 2}, "the word was made anew already"
    konomi.run("meal", ["refresh=word"])
    assert made(planned.store) == {"word": 3, "lunch": 3, "dinner": 3}, "a new command, a new word"


def test_a_failing_refresh_keeps_the_artifact_that_was_there(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    konomi.run("meal")
    planned = konomi.plan("meal", ["refresh=dinner"])
    before = planned.store.state(planned.step("dinner").key)

    def burnt(self: Any, job: Any) -> None:
        raise KonomiError("burnt")

    with monkeypatch.context() as patch:
        patch.setattr(type(planned.step("dinner").stage), "run", burnt)
        with pytest.raises(KonomiError, match="burnt"):
            konomi.run("meal", ["refresh=dinner"])
    assert planned.store.state(planned.step("dinner").key) == before


def test_an_input_that_is_replaced_while_it_is_read_is_not_built_upon(
    kitchen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    konomi.run("meal", ["until=word"])
    planned = konomi.plan("meal")
    cook = type(planned.step("lunch").stage).run

    def while_another_refreshes(self: Any, job: Any) -> None:
        cook(self, job)
        with planned.store.writing() as out:
            (out / "word.txt").write_text("another")
            key = planned.step("word").key
            planned.store.publish(out, key, planned.store.manifest(key), replace=True)

    monkeypatch.setattr(type(planned.step("lunch").stage), "run", while_another_refreshes)
    with pytest.raises(KonomiError, match="was replaced or removed"):
        carry_out(planned, kitchen.parent / "out", say=lambda line: None)
    assert planned.store.made() == [planned.step("word").key]


def test_a_stage_whose_claim_ran_out_takes_what_the_other_made(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = konomi.plan("meal", ["lock=lease"])

    def overtaken(self: Any, job: Any) -> None:
        with planned.store.writing() as out:
            (out / "word.txt").write_text("hello")
            manifest = {"stage": "word", "makes": "text", "started": 0.0, "seconds": 0.0, "peak_memory": 0}
            planned.store.publish(out, job.key, {**manifest, "key": job.key, "plugin": "stage/word", "results": {}})
        job.work.rmdir()
        raise FileNotFoundError(job.work)

    monkeypatch.setattr(type(planned.step("word").stage), "run", overtaken)
    done = carry_out(planned, kitchen.parent / "out", say=lambda line: None)
    assert (done.artifacts["dinner"] / "word.txt").read_text() == "hello with Salt with Pepper"


def test_an_unknown_lock_is_a_fault_with_the_nearest(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Faults, match="did you mean lease"):
        konomi.plan("meal", ["lock=leese"])
    assert main(["run", "meal", "lock=lease"]) == 0
    assert not list(konomi.plan("meal").store.root.glob("locks/*.lock"))
