"""What a file holds is in the key: every change of it misses, and what only looks like a change hits."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from konomi.model.hub import Hub as Model
from konomi.source.files import Files
from konomi.source.hub import Hub
from konomi.stage.tokenize import Tokenize
from konomi.store import content
from konomi.store.content import cache_folder, file_hash

from .mutations import made


def key(plugin: Any) -> str:
    from .survey import key

    return key(plugin)


@pytest.fixture(autouse=True)
def _files_are_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the memo vouch for files at once, so that what is kept is put to the test."""
    monkeypatch.setattr(content, "YOUNG_SECONDS", -60.0)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, text in (("a", "first"), ("b", "other")):
        (folder / f"{name}.jsonl").write_text(f'{{"text": "{text}"}}\n', encoding="utf-8")
    return folder


def same_size_and_time(path: Path, data: bytes) -> None:
    """Write other bytes of one length, with the file's old times."""
    state = path.stat()
    assert len(data) == state.st_size
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def flip_a_byte(folder: Path) -> None:
    data = (folder / "a.jsonl").read_bytes()
    same_size_and_time(folder / "a.jsonl", data.replace(b"first", b"fisrt"))


def swap_two_files(folder: Path) -> None:
    a, b = ((folder / name).read_bytes() for name in ("a.jsonl", "b.jsonl"))
    same_size_and_time(folder / "a.jsonl", b)
    same_size_and_time(folder / "b.jsonl", a)


def swap_inodes(folder: Path) -> None:
    (folder / "a.jsonl").rename(folder / "held")
    (folder / "b.jsonl").rename(folder / "a.jsonl")
    (folder / "held").rename(folder / "b.jsonl")


def hard_link(folder: Path) -> None:
    (folder / "a.jsonl").unlink()
    os.link(folder / "b.jsonl", folder / "a.jsonl")


def swapped_link(folder: Path) -> None:
    """Point a link at another file of equal size and time."""
    other = folder.parent / "other.jsonl"
    state = (folder / "a.jsonl").stat()
    other.write_bytes((folder / "a.jsonl").read_bytes().replace(b"first", b"third"))
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    (folder / "a.jsonl").unlink()
    (folder / "a.jsonl").symlink_to(other)


CHANGES: list[Callable[[Path], Any]] = [
    flip_a_byte,
    swap_two_files,
    swap_inodes,
    hard_link,
    swapped_link,
    lambda folder: shutil.copy(folder / "a.jsonl", folder / "c.jsonl"),
    lambda folder: (folder / "a.jsonl").rename(folder / "z.jsonl"),
    lambda folder: (folder / "b.jsonl").unlink(),
]
NAMES = ["byte", "swapped", "inodes", "hard link", "link", "one more", "renamed", "one less"]


@pytest.mark.parametrize("change", CHANGES, ids=NAMES)
@pytest.mark.parametrize("source", [Files, Hub])
@pytest.mark.parametrize("pattern", ["", "*.jsonl"], ids=["folder", "glob"])
def test_a_changed_file_misses(corpus: Path, source: Any, pattern: str, change: Callable[[Path], Any]) -> None:
    if source is Hub:
        plugin = Hub(path=str(corpus), data_files=[pattern] if pattern else [])
    else:
        plugin = Files(path=str(corpus / pattern))
    before = key(plugin)
    assert key(plugin) == before
    change(corpus)
    assert key(plugin) != before


def test_a_link_moved_to_another_file_of_equal_size_and_time_misses(corpus: Path) -> None:
    a, b = corpus / "a.jsonl", corpus / "b.jsonl"
    os.utime(b, ns=(a.stat().st_atime_ns, a.stat().st_mtime_ns))
    link = corpus.parent / "link.jsonl"
    link.symlink_to(a)
    before = key(Files(path=str(link)))
    link.unlink()
    link.symlink_to(b)
    assert key(Files(path=str(link))) != before


def test_files_behind_a_linked_folder_count(tmp_path: Path, corpus: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / "train").symlink_to(corpus)
    plugins = [Files(path=str(shown / "train")), Files(path=str(shown / "*")), Hub(path=str(shown / "train"))]
    before = [key(plugin) for plugin in plugins]
    flip_a_byte(corpus)
    assert all(key(plugin) != old for plugin, old in zip(plugins, before, strict=True))


def test_what_leaves_the_content_as_it_is_hits(corpus: Path, tmp_path: Path) -> None:
    plugin = Files(path=str(corpus))
    before = key(plugin)
    os.utime(corpus / "a.jsonl")
    assert key(plugin) == before, "touch"
    shutil.copy(corpus / "a.jsonl", tmp_path / "copy")
    (tmp_path / "copy").replace(corpus / "a.jsonl")
    assert key(plugin) == before, "the same bytes in another inode"
    (corpus / "README").write_text("no rows here")
    assert key(plugin) == before, "a file that is not read"
    corpus.rename(tmp_path / "moved")
    assert key(Files(path=str(tmp_path / "moved"))) == before, "another folder"


def test_a_parquet_file_with_the_same_rows_and_another_schema_misses(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / "rows.parquet"
    rows = pa.table({"text": ["a"], "year": pa.array([1906], pa.int32())})
    pq.write_table(rows, file)
    plugin = Files(path=str(file))
    before = key(plugin)
    pq.write_table(rows.set_column(1, "year", rows["year"].cast(pa.int64())), file)
    assert key(plugin) != before


def test_a_chat_template_counts_by_its_content(tmp_path: Path) -> None:
    model = Model(name_or_path=made("model"))

    def tokens(path: Path) -> str:
        return key(
            Tokenize(model=Model(name_or_path=made("model")), data={"a": made("messages")}, chat_template=str(path))
        )

    first, copy = tmp_path / "one.jinja", tmp_path / "copy.jinja"
    for path in (first, copy):
        path.write_text("{{ messages[0].content }}")
    before = tokens(first)
    assert tokens(copy) == before
    same_size_and_time(first, b"{{ messages[1].content }}")
    assert tokens(first) != before
    first.write_text("")
    assert tokens(first) != key(Tokenize(model=model, data={"a": made("messages")}))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "chat_template.jinja"])
def test_a_changed_file_of_a_local_model_misses(tmp_path: Path, name: str) -> None:
    for file in ("model.safetensors", "tokenizer.json", "config.json", "chat_template.jinja"):
        (tmp_path / file).write_bytes(b"0123456789")
    plugin = Model(name_or_path=str(tmp_path))
    before = key(plugin)
    same_size_and_time(tmp_path / name, b"0123456798")
    assert key(plugin) != before
    same_size_and_time(tmp_path / name, b"0123456789")
    assert key(plugin) == before


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that are read, as they are."""
    found: list[Path] = []
    whole = content._sha256
    monkeypatch.setattr(content, "_sha256", lambda path: (found.append(path), whole(path))[1])
    return found


def test_a_file_is_read_once_and_a_young_one_each_time(
    tmp_path: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    assert file_hash(file) == file_hash(file) and len(read) == 1
    monkeypatch.setattr(content, "YOUNG_SECONDS", 2.0)
    assert file_hash(file) == file_hash(file) and len(read) == 3, "younger than two seconds"
    monkeypatch.setattr(content.time, "time", lambda: file.stat().st_mtime + 2.1)
    assert file_hash(file) and len(read) == 3


def test_a_clock_that_was_set_back_makes_every_later_file_young(
    tmp_path: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    file_hash(file)
    monkeypatch.setattr(content, "YOUNG_SECONDS", 2.0)
    yesterday = time.time() - 86400
    monkeypatch.setattr(content.time, "time", lambda: yesterday)
    assert file_hash(file) == file_hash(file) and len(read) == 3


def damaged(memo: Path) -> None:
    memo.write_bytes(b"no database at all" * 100)


def torn(memo: Path) -> None:
    data = memo.read_bytes()
    memo.write_bytes(data[:100] + b"\xff" * (len(data) - 100))


def other_table(memo: Path) -> None:
    memo.unlink()
    with sqlite3.connect(memo) as one:
        one.execute("CREATE TABLE hashes (name TEXT)")


def no_hash_in_it(memo: Path) -> None:
    with sqlite3.connect(memo) as one:
        one.execute("UPDATE hashes SET sha256 = NULL")


def in_the_way(memo: Path) -> None:
    memo.unlink()
    memo.mkdir()


@pytest.mark.parametrize("damage", [damaged, torn, other_table, no_hash_in_it, in_the_way])
def test_a_damaged_memo_only_costs_time(tmp_path: Path, read: list[Path], damage: Callable[[Path], None]) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    right = file_hash(file)
    damage(cache_folder() / "hashes.sqlite")
    assert file_hash(file) == file_hash(file) == right
    assert len(read) >= 2
    if damage in (damaged, torn, no_hash_in_it):
        read.clear()
        assert file_hash(file) == right and not read, "the memo has mended itself"


def test_a_locked_memo_only_costs_time(tmp_path: Path, read: list[Path]) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    right = file_hash(file)
    holder = sqlite3.connect(cache_folder() / "hashes.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    begin = time.monotonic()
    assert file_hash(file) == right and len(read) == 2
    assert time.monotonic() - begin < 5
    holder.close()


def test_a_cache_that_cannot_be_written_only_costs_time(
    tmp_path: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    monkeypatch.setenv("KONOMI_CACHE", str(file / "below a file"))
    assert file_hash(file) == file_hash(file) and len(read) == 2
    monkeypatch.delenv("KONOMI_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(content.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert file_hash(file) == file_hash(file) and len(read) == 4


def test_processes_at_once_share_the_memo(tmp_path: Path) -> None:
    files = [tmp_path / f"file {number}" for number in range(40)]
    for file in files:
        file.write_text(file.name)
    script = (
        "import sys; from konomi.store import content; content.YOUNG_SECONDS = -60;"
        "print([content.file_hash(file) for file in sys.argv[1:]])"
    )
    command = [sys.executable, "-c", script, *map(str, files)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {one.communicate(timeout=60)[0] for one in running}
    assert said == {f"{[file_hash(file) for file in files]}\n"}
    assert not any(one.returncode for one in running)
