"""An artifact is there whole or not at all, whoever is killed and whoever else writes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xxhash

from konomi.faults import KonomiError
from konomi.store import Store
from konomi.store.artifact import MANIFEST
from konomi.store.content import file_hash, folder_hash
from konomi.store.seal import SEAL, newest_sealed, seal, sealed


def fill(folder: Path, text: str = "content") -> None:
    (folder / "data").mkdir()
    (folder / "data" / "part.txt").write_text(text, encoding="utf-8")


def test_a_published_folder_is_whole_and_findable(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing() as out:
        fill(out)
        assert not store.has("k")
        assert store.publish(out, "k", {"stage": "s"})
    assert store.has("k")
    sealed = {"data/part.txt": {"size": 7, "xxh3": xxhash.xxh3_128(b"content").hexdigest()}}
    assert store.manifest("k") == {"stage": "s", "files": sealed}
    assert (store.path("k") / "data" / "part.txt").read_text() == "content"
    assert [event["key"] for event in store.events()] == ["k"]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_first_to_publish_wins_and_the_other_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing() as one, store.writing() as other:
        fill(one, "first")
        fill(other, "second")
        assert store.publish(one, "k", {})
        assert not store.publish(other, "k", {})
    assert (store.path("k") / "data" / "part.txt").read_text() == "first"
    assert len(store.events()) == 1


def test_what_was_not_published_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.writing() as out:
        fill(out)
        raise RuntimeError
    assert store.made() == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_a_killed_writer_left_is_reclaimed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    writer = (
        f"import time; from konomi.store import Store; s = Store({str(tmp_path)!r}); w = s.writing(); w.__enter__()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", f"{writer}; print(1, flush=True); time.sleep(60)"], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    store = Store(tmp_path)
    with store.writing() as mine:
        store.create()
        assert len(list((tmp_path / "tmp").iterdir())) == 2
        child.kill()
        child.wait()
        store.create()
        assert list((tmp_path / "tmp").iterdir()) == [mine]


def test_a_folder_without_a_manifest_is_no_artifact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.path("torn").mkdir(parents=True)
    assert not store.has("torn")
    assert store.made() == []


def test_removal_takes_the_artifact_out_of_sight_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing() as out:
        store.publish(out, "k", {})
    store.remove("k")
    store.remove("k")
    assert not store.has("k")
    assert list((tmp_path / "trash").iterdir()) == []


def _hold(root: str, ready: str) -> None:
    with Store(root).lock("k"):
        Path(ready).touch()
        time.sleep(60)


def test_the_lock_of_a_killed_holder_is_free_at_once(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    holder = multiprocessing.get_context("spawn").Process(target=_hold, args=(str(tmp_path), str(ready)))
    holder.start()
    while not ready.exists():
        time.sleep(0.01)
    waited: list[int] = []

    def wait() -> None:
        waited.append(1)
        if len(waited) == 2 and holder.pid:
            os.kill(holder.pid, signal.SIGKILL)

    with Store(tmp_path).lock("k", wait):
        assert len(waited) >= 2
    holder.join()


def test_a_store_that_cannot_be_made_says_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KonomiError, match=r"store=FOLDER"):
        Store(tmp_path / "file" / "store").create()


def test_a_seal_holds_until_anything_changes(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-4"
    folder.mkdir()
    fill(folder)
    assert sealed(folder) is None
    seal(folder, world_size=2)
    assert sealed(folder) == {"world_size": 2}
    part = folder / "data" / "part.txt"
    for damage in (
        lambda: part.write_text("contenT"),
        lambda: part.unlink(),
        lambda: (folder / "extra").write_text("x"),
        lambda: (folder / SEAL).write_text("{"),
    ):
        held = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        damage()
        assert sealed(folder) is None
        for path in folder.rglob("*"):
            if path.is_file():
                path.unlink()
        for path, data in held.items():
            path.write_bytes(data)
        assert sealed(folder) == {"world_size": 2}


def test_the_newest_checkpoint_that_verifies_is_taken(tmp_path: Path) -> None:
    for attempt, step, good in (("a", 10, True), ("a", 20, True), ("b", 30, False), ("b", 9, True)):
        folder = tmp_path / attempt / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        fill(folder)
        if good:
            seal(folder)
    assert newest_sealed(tmp_path) == tmp_path / "a" / "checkpoint-20"


def test_a_hash_follows_the_content_and_not_the_times(tmp_path: Path) -> None:
    file = tmp_path / "本 文.txt"
    file.write_text("one")
    old = time.time() - 100
    os.utime(file, (old, old))
    first = file_hash(file)
    assert file_hash(file) == first
    file.write_text("two")
    os.utime(file, (old, old))
    assert file_hash(file) != first


def test_a_folders_hash_follows_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = folder_hash(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert folder_hash(tmp_path) != first
    (tmp_path / "b").rename(tmp_path / "a")
    assert folder_hash(tmp_path) == first


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(KonomiError, match="nowhere"):
        file_hash(tmp_path / "nowhere")


PUBLISHER = """
import sys
from pathlib import Path
from konomi.store import Store
store = Store(sys.argv[1])
with store.writing() as out:
    for number in range(3):
        (out / f"part-{number}").write_text("x" * 1000)
    store.publish(out, "key", {"parts": 3})
"""


def whole(store: Store) -> bool:
    """Tell whether what a reader can see is whole."""
    return all(len(list(store.path(key).iterdir())) == 4 and store.manifest(key)["parts"] == 3 for key in store.made())


def test_a_publication_killed_at_any_moment_leaves_all_or_nothing(tmp_path: Path) -> None:
    seen = set()
    for number in range(12):
        root = tmp_path / str(number)
        child = subprocess.Popen([sys.executable, "-c", PUBLISHER, str(root)])
        time.sleep(0.05 + 0.01 * number)
        child.send_signal(signal.SIGKILL)
        child.wait()
        store = Store(root)
        assert whole(store)
        subprocess.run([sys.executable, "-c", PUBLISHER, str(root)], check=True)
        assert whole(store)
        seen.add(len(store.made()))
    assert seen == {1}


def _make_once(root: str, key: str) -> None:
    store = Store(root)
    with store.lock(key):
        if not store.has(key):
            with store.writing() as out:
                time.sleep(0.05)
                store.publish(out, key, {})


def test_two_processes_make_one_artifact_once(tmp_path: Path) -> None:
    Store(tmp_path).create()
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_make_once, args=(str(tmp_path), "k")) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["made"]


@pytest.mark.parametrize("written", ["{", "[]", "", "\xff"])
def test_a_damaged_manifest_says_what_to_do(tmp_path: Path, written: str) -> None:
    store = Store(tmp_path)
    (store.path("a-1")).mkdir(parents=True)
    (store.path("a-1") / MANIFEST).write_bytes(written.encode("latin-1"))
    with pytest.raises(KonomiError, match="delete its folder to make it anew"):
        store.manifest("a-1")
