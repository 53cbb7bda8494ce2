"""What a run or a name refers to stays, and what it was made from; the rest can go, and goes whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from konomi.store import Store
from konomi.store.collect import delete, kept, record_run, references, unreferenced
from konomi.store.names import give

DATA, MODEL, OTHER = (f"{stage}-{digit * 24}" for stage, digit in (("curate", "a"), ("sft", "b"), ("align", "c")))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store with data, a model made from it, and a model that nothing refers to."""
    store = Store(tmp_path / "store")
    for key, inputs in ((DATA, {}), (MODEL, {"data": DATA}), (OTHER, {"data": DATA})):
        with store.writing() as out:
            (out / "weights").write_text("x" * 100)
            store.publish(out, key, {"key": key, "stage": key.partition("-")[0], "inputs": inputs, "started": 1})
    return store


def run_in(store: Store, folder: Path, *keys: str) -> Path:
    folder.mkdir(parents=True)
    record_run(store, folder, "recipe", keys)
    return folder


def can_go(store: Store, **options: bool) -> list[str]:
    return [item.key for item in unreferenced(store, kept(store, references(store), **options))]


def collect(store: Store, stay: Callable[[], set[str]] | None = None) -> dict[str, str]:
    stay = stay or (lambda: kept(store, references(store)))
    return {item.key: reason for item, reason in delete(store, unreferenced(store, stay()), stay)}


def test_what_a_run_or_a_name_refers_to_stays(store: Store, tmp_path: Path) -> None:
    run_in(store, tmp_path / "run", DATA, MODEL)
    assert can_go(store) == [OTHER]
    give(store, "swallow-v1", OTHER)
    assert can_go(store) == []


def test_what_a_named_artifact_was_made_from_stays_unless_asked(store: Store) -> None:
    give(store, "swallow-v1", MODEL)
    assert can_go(store) == [OTHER]
    assert can_go(store, inputs=True) == [OTHER, DATA]


def test_a_run_whose_folder_is_gone_refers_to_nothing(store: Store, tmp_path: Path) -> None:
    folder = run_in(store, tmp_path / "run", DATA, MODEL, OTHER)
    shutil.rmtree(folder)
    assert len(references(store).gone) == 1
    assert len(can_go(store)) == 3


def test_a_run_on_another_machine_counts_as_there_until_told(store: Store, tmp_path: Path) -> None:
    shutil.rmtree(run_in(store, tmp_path / "run", MODEL))
    (record,) = (store.root / "runs").iterdir()
    record.write_text(json.dumps(json.loads(record.read_text()) | {"host": "far-away"}))
    assert references(store).unseen == [f"{tmp_path / 'run'} on far-away"]
    assert can_go(store) == [OTHER]
    assert references(store, elsewhere=True).keys() == set()


def test_a_run_that_was_never_recorded_is_found_by_its_folder(store: Store, tmp_path: Path) -> None:
    (tmp_path / "runs" / "old").mkdir(parents=True)
    (tmp_path / "runs" / "old" / "run.json").write_text(json.dumps({"stages": [{"key": MODEL}]}))
    assert references(store, [tmp_path / "runs"]).keys() == {MODEL}


def test_an_older_link_in_a_runs_folder_counts(store: Store, tmp_path: Path) -> None:
    folder = run_in(store, tmp_path / "run", MODEL)
    (folder / "align").symlink_to(store.path(OTHER), target_is_directory=True)
    assert can_go(store) == []


def test_what_goes_goes_whole_and_is_recorded(store: Store, tmp_path: Path) -> None:
    run_in(store, tmp_path / "run", DATA, MODEL)
    with store.attempt(f"sft-{'d' * 24}") as work:
        (work / "checkpoint").mkdir(parents=True)
    assert collect(store) == {OTHER: "", f"sft-{'d' * 24}": ""}
    assert store.made() == [DATA, MODEL]
    assert list((store.root / "trash").iterdir()) == []
    assert list((store.root / "work").iterdir()) == []
    assert [event["key"] for event in store.events() if event["event"] == "removed"] == [OTHER]


def test_what_a_process_is_making_stays(store: Store, tmp_path: Path) -> None:
    run_in(store, tmp_path / "run", DATA, MODEL)
    with store.lock(OTHER):
        assert collect(store) == {OTHER: "a process is making it"}
    assert store.has(OTHER)


def test_what_a_run_comes_to_refer_to_meanwhile_stays(store: Store, tmp_path: Path) -> None:
    run_in(store, tmp_path / "run", DATA)
    asked: list[int] = []

    def stay() -> set[str]:
        if len(asked) == 1:  # listed; now a run begins, before anything is deleted
            asked.append(0)
            keys = kept(store, references(store))
            run_in(store, tmp_path / "late", MODEL)
            return keys
        asked.append(0)
        return kept(store, references(store))

    found = unreferenced(store, stay())
    gone = {item.key: reason for item, reason in delete(store, found, stay)}
    assert gone == {OTHER: "", MODEL: "a run or a name has come to refer to it"}
