"""A curation that is typed again: what is computed once, and what must be computed anew."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from konomi.dedup import Corpus, Cuts, Duplicates, Shard
from konomi.dedup.exact import Exact
from konomi.dedup.minhash import MinHash
from konomi.engine.local import LocalEngine
from konomi.filter import Annotation
from konomi.filter.length import Length
from konomi.filter.normalize import Normalize
from konomi.filter.repetition import Repetition
from konomi.source.files import Files
from konomi.stage._ingest import BYTES, HASH
from konomi.stage._judging import Judging, Step, judge
from konomi.store.shelf import Shelf

from .curating import Desk, documents


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr("konomi.stage._ingest.SHARD_ROWS", 7)


def filters(**options):
    return {"normalize": Normalize(), "repetition": Repetition(**options)}


def repeated(count):
    return [
        {"id": f"r{number}", "text": " ".join([row["text"], *row["text"].split()[:6]])}
        for number, row in enumerate(documents(count, seed=1))
    ]


class TestScores:
    def test_another_limit_computes_nothing(self, desk):
        desk.file("a.parquet", documents(20) + repeated(5))
        first = desk.run(desk.curate(filter=filters()), "one")
        again = desk.run(desk.curate(filter=filters(duplicate_5_grams=0.0)), "two")
        assert first.job.results["computed"] == {"normalize": 25, "repetition": 25}
        assert again.job.results["computed"] == {}
        assert again.job.results["dropped"]["repetition"] > first.job.results["dropped"]["repetition"]

    def test_another_limit_gives_what_a_fresh_run_gives(self, desk, tmp_path):
        rows = documents(20) + repeated(5)
        desk.file("a.parquet", rows)
        desk.run(desk.curate(filter=filters()), "one")
        again = desk.run(desk.curate(filter=filters(duplicate_5_grams=0.0)), "two")
        fresh = Desk(tmp_path / "fresh")
        fresh.file("a.parquet", rows)
        assert again.bytes() == fresh.run(fresh.curate(filter=filters(duplicate_5_grams=0.0))).bytes()

    def test_another_normaliser_reads_no_score_again(self, desk):
        desk.file("a.parquet", documents(20))
        desk.run(desk.curate(filter=filters()), "one")
        other = {"normalize": Normalize(blank_lines=0), "repetition": Repetition()}
        again = desk.run(desk.curate(filter=other), "two")
        assert again.job.results["computed"] == {"normalize": 20, "repetition": 20}

    def test_a_filter_in_front_leaves_the_scores_of_those_behind_it(self, desk):
        desk.file("a.parquet", documents(20))
        desk.run(desk.curate(filter=filters()), "one")
        more = {"normalize": Normalize(), "length": Length(), "repetition": Repetition()}
        again = desk.run(desk.curate(filter=more), "two")
        assert again.job.results["computed"] == {"length": 20}

    def test_documents_that_a_limit_lets_through_are_all_that_is_computed(self, desk):
        desk.file("a.parquet", documents(20) + repeated(5))
        strict = {"repetition": Repetition(duplicate_5_grams=0.0), "length": Length()}
        first = desk.run(desk.curate(filter=strict), "one")
        again = desk.run(desk.curate(filter={"repetition": Repetition(), "length": Length()}), "two")
        assert first.job.results["computed"] == {"repetition": 25, "length": 20}
        assert again.job.results["computed"] == {"length": len(again.rows()) - 20}
        assert 20 < len(again.rows()) < 25

    def test_another_file_reads_no_score_again(self, desk):
        desk.file("a.parquet", documents(20))
        desk.run(desk.curate(filter=filters()), "one")
        desk.file("a.parquet", documents(20, seed=3))
        again = desk.run(desk.curate(filter=filters()), "two")
        assert again.job.results["computed"] == {"normalize": 20, "repetition": 20}


class TestShards:
    def test_how_they_are_cut_changes_nothing(self, desk, tmp_path, monkeypatch):
        rows = documents(30) + repeated(5) + documents(4)
        options = {"filter": filters(), "dedup": MinHash(), "test_share": 0.2, "language": "en"}
        desk.file("a.parquet", rows)
        whole = desk.run(desk.curate(**options))
        monkeypatch.setattr("konomi.stage._ingest.SHARD_ROWS", 7)
        other = Desk(tmp_path / "other")
        other.file("a.parquet", rows)
        cut = other.run(other.curate(**options))
        assert len(list((other.folder / "store" / "shelves").glob("rows-*/*.parquet"))) == 6
        assert whole.rows() == cut.rows() and whole.rows("test") == cut.rows("test")
        assert whole.job.results["dropped"] == cut.job.results["dropped"]

    @pytest.mark.slow
    def test_several_processes_leave_the_same_bytes(self, desk, tmp_path, small_shards):
        rows = documents(30) + repeated(5)
        found = []
        for workers in (1, 2):
            own = Desk(tmp_path / str(workers))
            for name in ("a.parquet", "b/c.parquet"):
                own.file(name, rows)
            stage = own.curate(filter=filters(), dedup=Exact(), shard_rows=10, engine=LocalEngine(workers=workers))
            found.append(own.run(stage).bytes())
        assert found[0] == found[1]

    def test_rows_are_numbered_through_all_files(self, desk, small_shards):
        desk.file("a.parquet", documents(10))
        desk.file("b.parquet", documents(10, seed=1))
        made = desk.run(desk.curate(filter={}))
        assert [row["source_row"] for row in made.rows()] == list(range(20))

    def test_what_one_file_gave_is_not_read_again(self, desk, monkeypatch):
        desk.file("a.parquet", documents(10))
        desk.run(desk.curate(filter={}), "one")
        monkeypatch.setattr("konomi.stage._ingest.read_piece", lambda task: pytest.fail("it was read"))
        desk.run(desk.curate(filter={}, language="en"), "two")


class TestDuplicates:
    def test_found_before_the_filters_spare_them_work(self, desk):
        desk.file("a.parquet", documents(20) + documents(20))
        made = desk.run(desk.curate(filter=filters(), before=Exact()))
        assert made.job.results["computed"] == {"normalize": 20, "repetition": 20}
        assert made.job.results["dropped"]["before"] == 20
        assert {row["cluster_size"] for row in made.rows()} == {2}

    def test_found_before_and_after_add_up(self, desk):
        own = documents(3)
        near = [{**row, "text": row["text"] + " tail"} for row in own]
        desk.file("a.parquet", own + own + near)
        made = desk.run(desk.curate(filter={}, before=Exact(), dedup=MinHash()))
        assert [row["cluster_size"] for row in made.rows()] == [3, 3, 3]

    def test_of_an_earlier_corpus_are_dropped_and_named(self, desk):
        desk.file("a.parquet", documents(4))
        made = desk.run(desk.curate(filter={}, dedup=Known()))
        assert made.ids() == ["d0", "d2", "d3"]
        import pyarrow.parquet as pq

        listed = pq.read_table(made.job.out / "duplicates.parquet").to_pylist()
        pair = {"source_row": 1, "kept_row": None, "similarity": 1.0, "by": "dedup", "earlier": "crawl-1:7"}
        assert listed == [pair]

    def test_passages_are_cut_out_of_what_stays(self, desk, small_shards):
        rows = documents(20)
        rows[9]["text"] = "捨てる文。残す文。"
        rows[12]["text"] = "捨てる"
        desk.file("a.parquet", rows)
        made = desk.run(desk.curate(filter={"normalize": Normalize()}, dedup=Cutter()))
        texts = {row["id"]: row["text"] for row in made.rows()}
        assert texts["d9"] == "残す文。"
        assert "d12" not in texts and len(texts) == 19
        assert made.job.results["reasons"]["dedup: nothing is left after cutting"] == 1


class Known:
    def find(self, corpus):
        earlier = [None, "crawl-1:7", None, None]
        keep = np.array([True, False, True, True])
        return Duplicates(np.arange(4), keep, np.ones(4, np.float32), earlier)


class Cutter:
    """Cuts the first five characters of Japanese off every text."""

    def find(self, corpus):
        texts = [text for _, batch in corpus.texts() for text in batch.to_pylist()]
        rows = [row for row, text in enumerate(texts) if text.startswith("捨")]
        ends = [len(texts[row][:5].encode()) for row in rows]
        cuts = Cuts(np.array(rows), np.zeros(len(rows), np.int64), np.array(ends))
        count = len(texts)
        return Duplicates(np.arange(count), np.ones(count, bool), np.ones(count, np.float32), cuts=cuts)


def test_paths_of_the_source_can_be_kept(desk):
    from konomi.stage._options import Layout

    for name in ("2024/a.parquet", "2024/b.parquet", "2025/日本 語.parquet"):
        desk.file(name, documents(5))
    made = desk.run(desk.curate(filter={}, layout=Layout.source))
    found = sorted(path.relative_to(made.job.out / "data").as_posix() for path in made.artifact.shards())
    parts = "part-00000-of-00001.parquet"
    assert found == [f"train/{name}/{parts}" for name in ("2024/a.parquet", "2024/b.parquet", "2025/日本 語.parquet")]
    assert len(made.rows()) == 15


def test_jsonl_and_parquet_give_the_same(desk, tmp_path):
    import json

    rows = documents(10)
    desk.file("a.parquet", rows)
    lines = tmp_path / "a.jsonl"
    lines.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    one = desk.run(desk.curate(filter=filters()), "one")
    other = desk.run(desk.curate(filter=filters(), source=Files(path=str(lines))), "two")
    assert one.bytes() == other.bytes()


class Meanwhile:
    """A filter that lets another run look at other rows of the same shard, while it looks at its own."""

    rewrites = True

    def __init__(self, other=None):
        self.other = other

    def annotate(self, texts):
        if self.other:
            self.other()
        return Annotation({"length": np.array([len(text.as_py()) for text in texts])}, pc.utf8_upper(texts))

    def decide(self, scores):
        return [None] * len(scores["length"])


def test_what_two_runs_find_at_once_is_all_kept(tmp_path):
    rows = pa.table(
        {"text": [f"row {row}" for row in range(10)], BYTES: [5] * 10, HASH: pa.array(range(10), pa.uint64())}
    )
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=3)
    shelf = Shelf(tmp_path / "scores")

    def run(chosen, other=None):
        mask = np.isin(np.arange(10), chosen)
        step = Step("loud", Meanwhile(other), shelf)
        return judge(Judging(Shard(tmp_path / "rows.parquet", mask), "text", 0, (step,), 1)).shard

    inside = []
    outside = run([0, 1, 2], other=lambda: inside.append(run([2, 3, 9])))
    for shard, chosen in ((outside, [0, 1, 2]), (inside[0], [2, 3, 9])):
        texts = [text for _, batch in Corpus((shard,)).texts() for text in batch.to_pylist()]
        assert texts == [f"ROW {row}" for row in chosen]
