"""Rows of a source become shards of bounded size, each put whole, and only what is missing is written again."""

import os
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from konomi.engine.local import LocalEngine
from konomi.job import Job
from konomi.stage import _ingest
from konomi.stage._ingest import BYTES, ingest
from konomi.store.shelf import Shelf

TEXTS = [f"文書 {number} " + "x" * 200 for number in range(100)]
SHARD_BYTES = 4_000


@dataclass(frozen=True)
class Given:
    """A source of one piece, which breaks off after some batches."""

    breaks_after: int = 100
    batch: int = 10

    def format(self):
        return "text"

    def load(self):
        for number, start in enumerate(range(0, len(TEXTS), self.batch)):
            if number == self.breaks_after:
                raise KeyboardInterrupt
            yield pa.table({"text": TEXTS[start : start + self.batch]})


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Return what reads a source onto a shelf, in shards of some documents."""
    monkeypatch.setattr(_ingest, "SHARD_BYTES", SHARD_BYTES)

    def read_(source, shelf="shelf"):
        held = Shelf(tmp_path / shelf)
        job = Job("curate", "test", "key", tmp_path / "out", tmp_path / "work", quiet=True)
        return held, ingest(job, source, held, False, LocalEngine(workers=1))

    return read_


def state(shelf):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in shelf.folder.glob("*.parquet")}


def content(shelf):
    return {path.name: path.read_bytes() for path in shelf.folder.iterdir()}


def test_a_shard_holds_no_more_than_its_bytes_and_all_hold_every_row_in_order(read):
    shelf, (piece,) = read(Given())
    shards = [pq.read_table(shelf.path(name)) for name in piece.shards]
    assert len(shards) > 3
    assert all(sum(shard.column(BYTES).to_pylist()) <= SHARD_BYTES for shard in shards)
    assert [shard.num_rows for shard in shards] == piece.counts
    assert [text for shard in shards for text in shard.column("text").to_pylist()] == TEXTS


def test_shards_do_not_depend_on_how_the_rows_come_in(read):
    assert content(read(Given())[0]) == content(read(Given(batch=7), "other")[0])


def test_a_reading_that_was_broken_off_writes_only_the_shards_that_are_missing(read):
    with pytest.raises(KeyboardInterrupt):
        read(Given(breaks_after=6))
    shelf, _ = read(Given(), "undisturbed")
    broken = Shelf(shelf.folder.with_name("shelf"))
    before = state(broken)
    assert 0 < len(before) < len(state(shelf))
    read(Given())
    assert before.items() <= state(broken).items(), "whole shards stay as they are"
    assert content(broken) == content(shelf)


def test_a_shard_that_was_cut_short_is_read_again_and_no_other(read):
    shelf, (piece,) = read(Given())
    before, whole = state(shelf), content(shelf)
    os.truncate(shelf.path(piece.shards[1]), 100)
    read(Given())
    assert content(shelf) == whole
    assert {name for name, seen in state(shelf).items() if seen != before[name]} == {piece.shards[1]}


def test_what_is_there_is_not_read_again(read):
    read(Given())
    shelf, (piece,) = read(Given(breaks_after=0))
    assert piece.rows == len(TEXTS) and len(state(shelf)) == len(piece.shards)
