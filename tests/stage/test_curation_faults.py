"""What a curation refuses, and what it must not mistake."""

import json
import shutil
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from konomi import register
from konomi.dedup import Duplicates
from konomi.dedup.chain import Chain
from konomi.dedup.exact import Exact
from konomi.dedup.lines import Lines
from konomi.dedup.minhash import MinHash
from konomi.faults import Faults, KonomiError
from konomi.fields import decides
from konomi.filter import Annotation
from konomi.source import Rows
from konomi.stage._options import Layout, Write

from .curating import Desk, documents


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@register("filter", "curation_faults_graded")
@dataclass(frozen=True)
class Graded:
    """Score every text by its length, upwards or downwards."""

    rewrites = False
    downwards: bool = False
    limit: float = decides(0.0)

    def annotate(self, texts):
        lengths = np.array([len(text.as_py()) for text in texts], np.float64)
        return Annotation({"grade": -lengths if self.downwards else lengths})

    def decide(self, scores):
        return [None] * len(scores["grade"])


class TestDuplicates:
    def test_other_scores_choose_another_copy(self, desk):
        own = documents(4)
        desk.file("a.parquet", own + [{"id": f"long {row['id']}", "text": row["text"] + " tail"} for row in own])
        dedup = MinHash(keep_by="g_grade")
        up = desk.run(desk.curate(filter={"g": Graded()}, dedup=dedup), "one")
        down = desk.run(desk.curate(filter={"g": Graded(downwards=True)}, dedup=dedup), "two")
        assert up.ids() == [f"long {row['id']}" for row in own]
        assert down.ids() == [row["id"] for row in own]

    def test_nothing_left_is_an_error_and_no_empty_artifact(self, desk):
        desk.file("a.parquet", documents(4))
        for share in (0.0, 0.1):
            with pytest.raises(KonomiError, match="none of 4 documents is left; dropped by dedup 4"):
                desk.run(desk.curate(filter={}, dedup=AllKnown(), test_share=share), f"share {share}")

    def test_an_earlier_document_without_a_name_is_told_as_such(self, desk):
        desk.file("a.parquet", documents(4))
        made = desk.run(desk.curate(filter={}, dedup=Nameless()))
        reasons = pq.read_table(made.job.out / "dropped.parquet").column("reason").to_pylist()
        assert reasons == ["similarity 1.00 to  of an earlier corpus"]

    def test_a_row_without_an_id_has_a_name_in_the_index(self, desk, tmp_path):
        rows = documents(3)
        rows[1]["id"] = None
        desk.file("a.parquet", rows)
        first = desk.run(desk.curate(filter={}, dedup=Exact(), index=True), "one")
        other = Desk(tmp_path / "other")
        other.file("b.parquet", documents(3) + documents(1, seed=9))
        against = Exact(against=(str(first.job.out / "index"),))
        made = other.run(other.curate(filter={}, dedup=against), "two")
        listed = pq.read_table(made.job.out / "duplicates.parquet").column("earlier").to_pylist()
        assert listed == ["one d0", "one row 1", "one d2"]
        assert len(made.rows()) == 1

    def test_what_cuts_is_refused_where_rows_are_no_plain_text(self, desk):
        said = [{"role": "user", "content": "春は？"}, {"role": "assistant", "content": "あけぼの。"}]
        desk.file("a.parquet", [{"messages": said}] * 3)
        for dedup, where in ((Lines(), "dedup"), (Chain(steps={"l": Lines(), "e": Exact()}), "dedup.steps.l")):
            stage = desk.curate(filter={}, dedup=dedup)
            assert [fault.where for fault in stage.check()] == [where]
            with pytest.raises(Faults, match=f"one.{where}: cuts texts"):
                desk.run(stage)
            shutil.rmtree(desk.folder / "store")


class AllKnown:
    def find(self, corpus):
        n = corpus.count()
        return Duplicates(np.arange(n), np.zeros(n, bool), np.ones(n, np.float32), ["other"] * n)


class Nameless:
    def find(self, corpus):
        keep = np.array([True, False, True, True])
        return Duplicates(np.arange(4), keep, np.ones(4, np.float32), [None, "", None, None])


def test_columns_that_are_not_there_are_faults_wherever_they_are_named(desk):
    desk.file("a.parquet", documents(3))
    chain = Chain(steps={"crawl": MinHash(within="crawl"), "all": MinHash(keep_by="length_characters")})
    stage = desk.curate(filter={}, before=Exact(keep_by="nope"), dedup=chain, index=True, index_names="name")
    assert [fault.where for fault in stage.check()] == [
        "index_names",
        "before.keep_by",
        "dedup.steps.crawl.within",
        "dedup.steps.all.keep_by",
    ]


def test_an_index_is_refused_where_no_step_keeps_one(desk):
    desk.file("a.parquet", documents(3))
    stage = desk.curate(filter={}, dedup=Chain(steps={"lines": Lines()}), index=True)
    assert [fault.where for fault in stage.check()] == ["index"]


def test_a_folder_with_another_name_is_another_layout(desk):
    for name in ("ja/a.parquet", "en/b.parquet"):
        desk.file(name, documents(3))
    desk.run(desk.curate(filter={}, layout=Layout.source), "one")
    (desk.folder / "texts" / "ja").rename(desk.folder / "texts" / "japanese")
    again = desk.run(desk.curate(filter={}, layout=Layout.source), "two")
    folders = {path.parent.relative_to(again.job.out / "data/train").as_posix() for path in again.artifact.shards()}
    assert folders == {"en/b.parquet", "japanese/a.parquet"}


def test_names_of_files_are_in_the_key_only_where_they_are_kept(desk):
    for name in ("ja/a.parquet", "en/b.parquet"):
        desk.file(name, documents(3))
    kept = [desk.curate(filter={}, layout=Layout.source), desk.curate(filter={}, write=Write.selection)]
    assert [stage.depends() for stage in kept] == [{"names": ["en/b.parquet", "ja/a.parquet"]}] * 2
    assert desk.curate(filter={}).depends() == {}


class Fickle:
    """A source that gives one row less the first time, as a crawl does where a page takes too long."""

    readings = 0

    def format(self):
        return "text"

    def load(self):
        def read(dropped):
            Fickle.readings += 1
            rows = documents(6)
            if Fickle.readings == 1:
                dropped["too slow"] = 1
                del rows[1]
            yield from (pa.Table.from_pylist(rows[start : start + 2]) for start in range(0, len(rows), 2))

        return Rows(read)


def test_a_source_that_gives_other_rows_the_next_time_loses_none(desk, monkeypatch):
    monkeypatch.setattr("konomi.stage._ingest.SHARD_ROWS", 2)
    monkeypatch.setattr("konomi.stage._shelves._parts", lambda plugin, **_: {"plugin": type(plugin).__name__})
    stage = desk.curate(filter={}, source=Fickle())
    desk.run(stage, "one")
    for record in (desk.folder / "store" / "shelves").glob("rows-*/*.json"):
        record.unlink()  # as if it had been killed before the last shard was there
    assert desk.run(stage, "two").ids() == [f"d{number}" for number in range(6)]


def test_a_score_that_is_no_number_does_not_cost_the_run(desk):
    class Odd:
        rewrites = False

        def annotate(self, texts):
            return Annotation({"odd": np.array([np.nan, np.inf, *([1.0] * (len(texts) - 2))])})

        def decide(self, scores):
            return [None] * len(scores["odd"])

    desk.file("a.parquet", documents(5))
    made = desk.run(desk.curate(filter={"odd": Odd()}))
    drawn = next(block for block in made.job.shown if getattr(block, "title", "") == "odd_odd")
    assert sum(drawn.counts) == 3


def test_names_that_curate_uses_itself_are_refused(desk):
    desk.file("a.parquet", [{**row, "__row__": 1} for row in documents(3)])
    with pytest.raises(KonomiError, match="has a column __row__, a name that curate uses itself"):
        desk.run(desk.curate(filter={}))


def test_a_selection_can_be_tried_by_a_smoke_run(tmp_path, monkeypatch, capsys):
    from konomi.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents(20)), encoding="utf-8")
    assert main(["plan", "export", "--smoke", "source=files", "source.path=a.jsonl"]) == 0


def test_a_smoke_run_goes_past_a_file_without_rows(desk):
    pq.write_table(pq.read_table(desk.file("a.parquet", documents(1))).slice(1), desk.folder / "texts" / "a.parquet")
    desk.file("b.parquet", documents(5))
    made = desk.run(desk.curate(filter={}), smoke=True)
    assert made.job.results["documents"] == 5
