"""A name means one artifact, is there whole or not at all, and is never given away unasked."""

from __future__ import annotations

import json
import multiprocessing
import unicodedata
from pathlib import Path

import pytest

from konomi.faults import KonomiError
from konomi.store import Store
from konomi.store.names import checked_name, folder_of, give, key_of, named, names, stored_key, take_away

ONE, TWO = f"align-{'1' * 24}", f"sft-{'2' * 24}"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    for started, (key, stage) in enumerate([(ONE, "align"), (TWO, "sft")]):
        with store.writing() as out:
            store.publish(out, key, {"key": key, "stage": stage, "started": started})
    return store


def test_a_name_means_an_artifact_until_it_is_taken_away(store: Store) -> None:
    give(store, "swallow-v1", ONE)
    assert names(store) == {"swallow-v1": ONE}
    assert stored_key(store, "swallow-v1") == ONE
    assert take_away(store, "swallow-v1") == ONE
    assert names(store) == {}
    assert store.has(ONE)


def test_a_name_is_moved_only_when_asked(store: Store) -> None:
    give(store, "swallow-v1", ONE)
    give(store, "swallow-v1", ONE)  # saying it twice is no mistake
    with pytest.raises(KonomiError, match="--move"):
        give(store, "swallow-v1", TWO)
    assert named(store, "swallow-v1") == ONE
    give(store, "swallow-v1", TWO, move=True)
    assert named(store, "swallow-v1") == TWO
    assert [path.name for path in (store.root / "names").iterdir()] == ["swallow-v1"]
    assert list((store.root / "tmp").iterdir()) == []


def test_a_name_typed_in_decomposed_letters_is_the_same_name(store: Store) -> None:
    composed = "ガゼル-v1"
    give(store, unicodedata.normalize("NFD", composed), ONE)
    assert list(names(store)) == [unicodedata.normalize("NFC", composed)]
    assert named(store, unicodedata.normalize("NFD", composed)) == ONE


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x-1", "a/b-1", "a\0-1", "a\n-1", "-a", ".a-1", "a-..-b", "a-1.", "x" * 99 + "-1",
     "あ" * 33 + "-1", "a b-1", "a=b-1", "${x-1}", "align", "swallow_v2", ONE, "align-1111", "\ud800-1"],
)  # fmt: skip
def test_what_can_be_no_name_is_refused(store: Store, name: str) -> None:
    with pytest.raises(KonomiError):
        give(store, name, ONE)
    assert names(store) == {}
    assert stored_key(store, name) == (ONE if name == ONE else None)


def test_every_other_name_is_taken() -> None:
    for name in ("swallow-ext-v2", "日本語-モデル", "v1.5", "a+b", "x" * 98 + "-1"):
        assert checked_name(name) == name


def test_an_artifact_is_found_by_all_that_a_person_may_type(store: Store, tmp_path: Path) -> None:
    give(store, "swallow-v1", ONE)
    run = tmp_path / "runs" / "x"
    run.mkdir(parents=True)
    (run / "align").symlink_to(store.path(ONE), target_is_directory=True)
    for word in (ONE, "align-1", "swallow-v1", "align", str(run / "align"), str(store.path(ONE))):
        assert key_of(store, word) == ONE
    with pytest.raises(KonomiError, match="did you mean swallow-v1"):
        folder_of(store, "swalow-v1")


def test_the_beginning_of_several_keys_is_refused(store: Store) -> None:
    other = f"align-1{'3' * 23}"
    with store.writing() as out:
        store.publish(out, other, {"stage": "align", "started": 9})
    with pytest.raises(KonomiError, match="begins 2 keys"):
        key_of(store, "align-1")
    assert key_of(store, "align") == other, "a stage's name means its newest artifact"


def test_an_artifact_outside_the_store_can_be_shown_and_not_named(store: Store, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    copied.mkdir()
    (copied / "manifest.json").write_text(json.dumps({"key": ONE}), encoding="utf-8")
    assert folder_of(store, str(copied)) == copied
    with pytest.raises(KonomiError, match="is not in the store"):
        key_of(store, str(copied))


def test_a_name_whose_artifact_has_gone_is_told(store: Store) -> None:
    give(store, "swallow-v1", ONE)
    store.remove(ONE)
    with pytest.raises(KonomiError, match="konomi tag --delete swallow-v1"):
        stored_key(store, "swallow-v1")


def _give(root: str, key: str, outcome: multiprocessing.Queue[str]) -> None:
    try:
        give(Store(root), "swallow-v1", key)
        outcome.put(key)
    except KonomiError:
        outcome.put("")


def test_of_several_who_give_one_name_at_once_one_wins(store: Store) -> None:
    context = multiprocessing.get_context("fork")
    outcome = context.Queue()
    workers = [context.Process(target=_give, args=(str(store.root), key, outcome)) for key in (ONE, TWO, ONE, TWO)]
    for worker in workers:
        worker.start()
    won = {outcome.get(timeout=20) for _ in workers} - {""}
    for worker in workers:
        worker.join()
    assert won == {named(store, "swallow-v1")}
