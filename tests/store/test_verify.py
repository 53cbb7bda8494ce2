"""Every file of an artifact is what was published, and whatever is not is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from konomi.recipe.keys import key_of
from konomi.store import Store
from konomi.store.verify import Verdict, entries, verify

PARTS = {"plugin": "stage/word", "version": 1, "fields": {"word": "hello"}}
KEY = key_of(PARTS)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    with store.writing() as out:
        (out / "data").mkdir()
        (out / "data" / "部分.txt").write_text("content")
        (out / "empty").write_text("")
        store.publish(out, KEY, {"key": KEY, "stage": "word", "key_parts": PARTS})
    return store


def verdict(store: Store) -> Verdict:
    (path,) = entries(store)
    return verify(path, key_of)


def test_what_was_published_holds(store: Store) -> None:
    read: list[int] = []
    assert verify(store.path(KEY), key_of, read.append) == Verdict(KEY, size=7)
    assert sorted(read) == [0, 7]


def _rewrite(path: Path, **values: object) -> None:
    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    (path / "manifest.json").write_text(json.dumps(manifest | values), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: (path / "data" / "部分.txt").write_text("contenT"), "its hash differs"),
        (lambda path: (path / "data" / "部分.txt").write_text("conten"), "has 6 bytes"),
        (lambda path: (path / "data" / "部分.txt").unlink(), "部分.txt is missing"),
        (lambda path: (path / "more").write_text("x"), "more is not in manifest.json"),
        (lambda path: (path / "link").symlink_to(path / "data"), "link is not in manifest.json"),
        (lambda path: ((path / "empty").unlink(), (path / "empty").symlink_to("/dev/null")), "empty is a link"),
        (lambda path: (path / "manifest.json").unlink(), "has no manifest.json"),
        (lambda path: (path / "manifest.json").write_text("{"), "cannot be read"),
        (lambda path: (path / "manifest.json").write_text("[]"), "holds no mapping"),
        (lambda path: (path / "manifest.json").write_bytes(b"\xff"), "cannot be read"),
        (lambda path: _rewrite(path, key="other"), "is that of other"),
        (lambda path: _rewrite(path, key_parts=PARTS | {"version": 2}), "make another key"),
        (lambda path: _rewrite(path, files={"empty": None, "data/部分.txt": {}}), "has no seal for empty"),
    ],
)
def test_whatever_does_not_hold_is_named(store: Store, damage: Callable[[Path], object], said: str) -> None:
    damage(store.path(KEY))
    assert any(said in line for line in verdict(store).wrong), verdict(store).wrong


def test_an_artifact_of_an_earlier_version_is_unsealed(store: Store) -> None:
    manifest = store.manifest(KEY)
    del manifest["files"]
    (store.path(KEY) / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert verdict(store) == Verdict(KEY, sealed=False)


def test_what_konomi_did_not_put_there_is_named(store: Store) -> None:
    (store.root / "objects" / "note.txt").write_text("mine")
    found = {path.name: verify(path, key_of).wrong for path in entries(store)}
    assert found == {KEY: [], "note.txt": ["is no folder, so konomi did not put it here"]}
