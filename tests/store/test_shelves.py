"""Shelves: files put whole; collected with the last stage that reads them; a damaged file is made again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from konomi.faults import KonomiError
from konomi.store import Store
from konomi.store.collect import COMMAND, SHELF, delete, kept, record_run, references, unreferenced
from konomi.store.shelf import Shelf, half_written, reading, shelf_name
from konomi.store.verify import verify_shelf

ONE, TWO = (f"curate-{digit * 24}" for digit in "ab")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.create()
    return store


def shelf(store: Store, name: str, *keys: str) -> Shelf:
    """Return a shelf with a file, which stages refer to."""
    made = Shelf(store.root / "shelves" / name)
    for key in keys:
        made.refer(key)
    with made.put("00000-00000.parquet") as path:
        pq.write_table(pa.table({"text": ["あ", "い"]}), path)
    return made


def can_go(store: Store) -> dict[str, str]:
    return {item.key: item.kind for item in unreferenced(store, kept(store, references(store)))}


def collect(store: Store) -> dict[str, str]:
    def stay() -> set[str]:
        return kept(store, references(store))

    return {item.key: stayed for item, stayed in delete(store, unreferenced(store, stay()), stay)}


def test_a_file_is_put_whole_or_not_at_all(tmp_path: Path) -> None:
    held = Shelf(tmp_path / "shelf")
    with pytest.raises(RuntimeError), held.put("a.json") as path:
        path.write_text("{")
        raise RuntimeError
    assert not held.has("a.json") and list(held.folder.iterdir()) == []
    with held.put("a.json") as path:
        path.write_text("{}")
    assert held.whole("a.json")


def test_a_shelf_stays_as_long_as_one_of_the_stages_that_read_it(store: Store, tmp_path: Path) -> None:
    both, lonely = shelf(store, "rows-1", ONE, TWO), shelf(store, "scores-1", TWO)
    nobodys = shelf(store, "scores-2")
    (tmp_path / "run").mkdir()
    record_run(store, tmp_path / "run", "recipe", [ONE])
    assert can_go(store) == {"scores-1": SHELF, "scores-2": SHELF}
    assert collect(store) == {"scores-1": "", "scores-2": ""}
    assert both.has("00000-00000.parquet")
    assert not lonely.folder.exists() and not nobodys.folder.exists()
    assert list((store.root / "trash").iterdir()) == []


def test_a_shelf_of_a_stage_that_is_being_made_stays(store: Store) -> None:
    shelf(store, "rows-1", ONE)
    code = (
        "import sys, time; from konomi.store import Store\n"
        "with Store(sys.argv[1]).lock(sys.argv[2]):\n    print('held', flush=True); time.sleep(60)"
    )
    maker = subprocess.Popen([sys.executable, "-c", code, str(store.root), ONE], stdout=subprocess.PIPE)
    assert maker.stdout is not None and maker.stdout.readline() == b"held\n"
    try:
        assert collect(store) == {"rows-1": "a process is reading it"}
    finally:
        maker.kill()
        maker.wait()
    assert collect(store) == {"rows-1": ""}


def test_a_run_that_takes_a_shelf_while_it_is_collected_keeps_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = shelf(store, "rows-1", ONE)
    (tmp_path / "run").mkdir()
    put_aside = store.set_aside

    def late(path: Path) -> Path:
        time.sleep(0.02)  # folders' times are no finer than the kernel's ticks
        record_run(store, tmp_path / "run", "recipe", [TWO])
        held.refer(TWO)
        return put_aside(path)

    monkeypatch.setattr(store, "set_aside", late)
    assert collect(store) == {"rows-1": "a run has come to refer to it"}
    assert held.has("00000-00000.parquet")


def test_what_attempts_left_goes_with_their_keys(store: Store, tmp_path: Path) -> None:
    for folder in ("work", "curves", "replaced"):
        for key in (ONE, TWO):
            (store.root / folder / key).mkdir(parents=True)
            (store.root / folder / key / "file").write_text("x")
    (tmp_path / "run").mkdir()
    record_run(store, tmp_path / "run", "recipe", [ONE])
    found = unreferenced(store, kept(store, references(store)))
    assert [(item.key, item.kind) for item in found] == [(TWO, "attempts"), (TWO, "curves"), (TWO, "replaced")]
    collect(store)
    for folder in ("work", "curves", "replaced"):
        assert [path.name for path in (store.root / folder).iterdir()] == [ONE]


def test_a_refresh_that_nobody_went_on_with_goes_after_a_month(store: Store) -> None:
    for name in ("new", "old"):
        with pytest.raises(RuntimeError), store.command(name, 1.0):
            raise RuntimeError
    month = time.time() - 31 * 86400
    os.utime(store.root / "commands" / "old", (month, month))
    assert can_go(store) == {"old": COMMAND}
    assert collect(store) == {"old": ""}
    assert [path.name for path in (store.root / "commands").iterdir()] == ["new"]


def test_what_a_killed_process_was_writing_is_cleared_away_and_what_a_living_one_writes_is_not(store: Store) -> None:
    held = shelf(store, "rows-1", ONE)
    code = (
        "import os, signal, sys; from pathlib import Path; from konomi.store.shelf import Shelf\n"
        "with Shelf(Path(sys.argv[1])).put('b.json') as path:\n"
        "    path.write_text('{'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(held.folder)], check=False)
    with held.put("c.json") as own:
        own.write_text("{}")
        assert [path.name.endswith(".b.json") for path in half_written(held.folder)] == [True]
        store.create()
        assert sorted(path.name for path in held.folder.iterdir()) == sorted([own.name, "00000-00000.parquet", "refs"])
    assert held.whole("c.json")


@pytest.mark.parametrize("name", ["a.parquet", "a.json", "a.npz"])
def test_a_file_that_was_cut_short_is_seen_and_deleted(tmp_path: Path, name: str) -> None:
    import numpy as np

    held = Shelf(tmp_path / "shelf")
    with held.put(name) as path:
        if name.endswith("parquet"):
            pq.write_table(pa.table({"a": [*range(1000)]}), path)
        elif name.endswith("json"):
            path.write_text(json.dumps({"a": [*range(1000)]}))
        else:
            with path.open("wb") as file:
                np.savez(file, a=np.arange(1000))
    assert held.whole(name) and verify_shelf(held.folder).wrong == []
    os.truncate(held.path(name), held.path(name).stat().st_size // 2)
    (line,) = verify_shelf(held.folder).wrong
    assert line.startswith(f"{name} cannot be read: ")
    assert not held.whole(name) and not held.has(name)


def test_a_damaged_file_that_must_be_read_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with (
        pytest.raises(KonomiError, match=r"a\.parquet is damaged .*; delete it") as error,
        reading(tmp_path / "a.parquet"),
    ):
        pq.read_table(tmp_path / "a.parquet")
    assert "\n" not in str(error.value)


def test_a_shelf_is_named_by_all_that_shapes_it() -> None:
    assert shelf_name("rows", {"a": 1, "b": 2}) == shelf_name("rows", {"b": 2, "a": 1})
    assert shelf_name("rows", {"a": 1}) != shelf_name("rows", {"a": 2})
