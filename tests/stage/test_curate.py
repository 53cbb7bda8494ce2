import json
import random
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from konomi.dedup import Duplicates
from konomi.dedup.exact import Exact
from konomi.dedup.minhash import MinHash
from konomi.dedup.none import NoDedup
from konomi.engine.local import LocalEngine
from konomi.faults import KonomiError, Stopped
from konomi.filter import Verdicts
from konomi.filter.length import Length
from konomi.filter.normalize import Normalize
from konomi.filter.repetition import Repetition
from konomi.job import Job, Stop
from konomi.stage._curation import held_out
from konomi.stage._options import OnError
from konomi.stage._tables import ShardWriter, split_name, tables
from konomi.stage._tally import Lowest, Scores, thinning
from konomi.stage.curate import Curate
from konomi.store import Artifact

from .curating import documents


@dataclass(frozen=True)
class Given:
    """A source of rows at hand."""

    tables: tuple = ()
    of: str = "text"
    known: list | None = None

    def format(self):
        return self.of

    def columns_known(self):
        return self.known

    def load(self):
        return iter(self.tables)


def given(rows, of="text", batch=None):
    table = pa.Table.from_pylist(rows)
    size = batch or max(len(rows), 1)
    return Given(tuple(table.slice(start, size) for start in range(0, len(rows), size)), of)


def curate(source, **options):
    options.setdefault("filter", {"normalize": Normalize(), "repetition": Repetition(), "length": Length()})
    options.setdefault("dedup", MinHash())
    options.setdefault("before", NoDedup())
    options.setdefault("engine", LocalEngine(workers=1))
    return Curate(source=source, **options)


@dataclass
class Done:
    job: Job
    artifact: Artifact = field(init=False)

    def __post_init__(self):
        self.artifact = Artifact("curate", "text", "key", self.job.out)

    def rows(self, split="train"):
        return [row for shard in self.artifact.shards(split) for row in pq.read_table(shard).to_pylist()]

    def texts(self, split="train"):
        return [row["text"] for row in self.rows(split)]

    def file(self, name):
        return pq.read_table(self.job.out / name).to_pylist()


@pytest.fixture
def run(tmp_path):
    def carry_out(stage, name="curate", **options):
        job = Job(name, "test", "key", tmp_path / name / "out", tmp_path / name / "work", quiet=True, **options)
        stage.run(job)
        return Done(job)

    return carry_out


def test_filters_deduplicates_and_keeps_the_users_columns(run):
    rows = documents(20)
    rows[3]["text"] = "同じことを言う。" * 50
    rows[5]["text"] = ""
    rows[7]["text"] = rows[2]["text"].replace(" ", "  ") + "\r\n"
    rows[9]["text"] = "ｆｕｌｌ ｗｉｄｔｈ ｌｅｔｔｅｒｓ"
    done = run(curate(given(rows), language="en"))
    kept = done.rows()
    assert [row["id"] for row in kept] == [f"d{number}" for number in range(20) if number not in (3, 5, 7)]
    assert kept[7 - 1]["text"] == "full width letters"
    assert [row["source_row"] for row in kept] == [number for number in range(20) if number not in (3, 5, 7)]
    assert {row["language"] for row in kept} == {"en"}
    assert [row["cluster_size"] for row in kept[:4]] == [1, 1, 2, 1]
    assert kept[0]["length_characters"] == len(kept[0]["text"])
    assert 0 <= kept[0]["repetition_duplicate_5_grams"] <= 0.15

    pair = {"source_row": 7, "kept_row": 2, "similarity": 1.0, "by": "dedup", "earlier": None}
    assert done.file("duplicates.parquet") == [pair]
    dropped = {row["source_row"]: row for row in done.file("dropped.parquet")}
    assert {row: entry["by"] for row, entry in dropped.items()} == {3: "repetition", 5: "length", 7: "dedup"}
    assert dropped[5]["reason"] == "characters 0 < 1"
    assert dropped[3]["text"].startswith("同じ")

    figures = done.job.results
    assert (figures["documents"], figures["kept"], figures["train"]) == (20, 17, 17)
    assert figures["dropped"] == {"normalize": 0, "repetition": 1, "length": 1, "dedup": 1}
    assert figures["reasons"]["dedup: same as another"] == 1
    assert figures["rewritten"]["normalize"] == 2
    assert figures["characters"] == sum(len(row["text"]) for row in rows)
    assert figures["bytes"] == sum(len(row["text"].encode()) for row in rows)
    assert set(figures["seconds"]) == {"read", "filter", "dedup", "write"}


def test_shows_the_funnel_the_scores_and_texts_to_read(run):
    rows = [*documents(30), {"id": "r", "text": "again and again " * 40}, {"id": "c", "text": documents(30)[4]["text"]}]
    shown = run(curate(given(rows))).job.shown
    by_title = {block.title: block for block in shown}
    funnel = by_title["From what was read to what is kept"]
    assert [row[:3] for row in funnel.rows] == [
        ["read", 32, 0],
        ["normalize", 32, 0],
        ["repetition", 31, 1],
        ["length", 31, 0],
        ["dedup", 30, 1],
    ]
    scores = by_title["Scores, kept as columns"]
    assert [row[0] for row in scores.rows][-1] == "length_characters"
    assert {row[0]: row[-1] for row in scores.rows}["repetition_top_2_grams"] == 0.2
    drawn = by_title["repetition_top_2_grams"]
    assert drawn.threshold == 0.2 and sum(drawn.counts) == 32
    assert by_title["Dropped by repetition"].samples[0]["reason"].startswith("top 2-grams")
    assert by_title["Dropped by dedup"].samples[0]["reason"] == "similarity 1.00 to row 4"
    cluster = by_title["The largest clusters of duplicates"].samples[0]
    assert cluster["documents"] == "2" and cluster["kept"] == rows[4]["text"]
    assert len(by_title["Kept"].samples) == 4
    assert json.loads((run(curate(given(rows)), "again").job.out / "report.json").read_text())


def test_the_bytes_do_not_depend_on_how_the_rows_came_in(run):
    rows = documents(300)
    rows += rows[50:80]

    def content(source, name):
        out = run(curate(source, test_share=0.1, shard_rows=100), name).job.out
        return {path.name: path.read_bytes() for path in sorted(out.rglob("*.parquet"))}

    whole = content(given(rows), "whole")
    assert len(whole) == 6
    assert content(given(rows, batch=7), "cut") == whole
    assert content(given(rows), "again") == whole


@pytest.mark.parametrize("kind", ["Dataset", "shuffled", "IterableDataset", "generator", "batches"])
def test_takes_rows_in_whatever_way_a_source_gives_them(run, kind):
    import datasets

    rows = documents(10)
    whole = datasets.Dataset.from_list(rows)
    source = {
        "Dataset": whole,
        "shuffled": whole.select(range(9, -1, -1)),
        "IterableDataset": whole.to_iterable_dataset(),
        "generator": datasets.IterableDataset.from_generator(lambda: iter(rows)),
        "batches": pa.Table.from_pylist(rows).to_batches(max_chunksize=3),
    }[kind]
    found = [row for table in tables(source) for row in table.to_pylist()]
    assert found == (rows[::-1] if kind == "shuffled" else rows)
    assert all(table.schema.metadata is None for table in tables(source))


def test_types_that_only_later_batches_tell_are_unified(run):
    first = pa.table({"text": ["one text here"], "year": pa.nulls(1)})
    second = pa.table({"text": ["and another text"], "year": [1906], "place": ["東京"]})
    found = run(curate(Given((first, second)))).rows()
    assert [(row["year"], row["place"]) for row in found] == [(None, None), (1906, "東京")]


def test_types_that_cannot_meet_are_an_error(run):
    first, second = pa.table({"text": ["one"], "x": [1]}), pa.table({"text": ["two"], "x": [[1]]})
    with pytest.raises(KonomiError, match="one type in some rows and another in others"):
        run(curate(Given((first, second))))


def test_a_data_set_of_several_splits_is_refused():
    import datasets

    splits = datasets.DatasetDict(train=datasets.Dataset.from_list(documents(1)))
    with pytest.raises(KonomiError, match=r"all splits of a data set \(train\)"):
        list(tables(splits))


def test_an_empty_source_is_an_error(run):
    with pytest.raises(KonomiError, match="gave no rows"):
        run(curate(Given(())))
    with pytest.raises(KonomiError, match="gave no rows"):
        run(curate(Given((pa.table({"text": pa.array([], pa.string())}),))), "again")


def test_dropping_everything_is_an_error_that_says_why(run):
    with pytest.raises(KonomiError, match=r"none of 5 documents is left; dropped by length 5.*characters"):
        run(curate(given(documents(5)), filter={"length": Length(min_characters=10_000)}))


def test_a_missing_column_is_named_with_its_nearest(run):
    with pytest.raises(KonomiError, match=r"no column text.*did you mean texts"):
        run(curate(Given((pa.table({"texts": ["a"]}),))))
    with pytest.raises(KonomiError, match="column text holds int64; expected strings"):
        run(curate(Given((pa.table({"text": [1]}),))), "again")


def test_a_row_without_text_raises_with_its_number_or_is_counted(run):
    rows = documents(6)
    rows[4]["text"] = None
    with pytest.raises(KonomiError, match=r"row 4 of the source.*on_error=drop"):
        run(curate(given(rows, batch=2)))
    done = run(curate(given(rows, batch=2), on_error=OnError["drop"]), "again")
    assert done.job.results["dropped"]["unreadable"] == 1
    assert [row["source_row"] for row in done.rows()] == [0, 1, 2, 3, 5]


def test_bytes_that_are_not_utf_8_are_a_row_without_text(run):
    broken = pa.array([b"good text here", b"\xff\xfe", b"more good text"]).view(pa.string())
    with pytest.raises(KonomiError, match="row 1 of the source"):
        run(curate(Given((pa.table({"text": broken}),))))
    done = run(curate(Given((pa.table({"text": broken}),)), on_error=OnError["drop"]), "again")
    assert done.texts() == ["good text here", "more good text"]


def test_one_character_and_ten_million(run):
    long = "".join(
        random.Random(0).choices("いろはにほへとちりぬるをわかよたれそつねならむうゐのおくやま", k=10_000_000)
    )
    done = run(curate(given([{"text": "あ"}, {"text": long}]), filter={"length": Length()}))
    assert done.texts() == ["あ", long]


def test_filters_run_in_the_order_given(run):
    rows = [{"text": "  " + "x" * 3 + "  " * 20}, {"text": "plain text"}]
    first = run(curate(given(rows), filter={"length": Length(max_characters=10), "normalize": Normalize()}), "a")
    then = run(curate(given(rows), filter={"normalize": Normalize(), "length": Length(max_characters=10)}), "b")
    assert (len(first.rows()), len(then.rows())) == (1, 2)


class TestHeldOut:
    def test_is_chosen_by_the_text_whatever_else_is_there(self, run):
        rows = documents(400)
        whole = set(run(curate(given(rows), test_share=0.1), "whole").texts("test"))
        half = set(run(curate(given(rows[:200]), test_share=0.1), "half").texts("test"))
        assert 20 <= len(whole) <= 60
        assert half == whole & {row["text"] for row in rows[:200]}

    def test_is_exactly_as_many_rows_as_asked(self, run):
        done = run(curate(given(documents(50)), test_rows=7))
        assert (len(done.rows("test")), len(done.rows())) == (7, 43)
        assert {path.name for path in done.artifact.shards("test")} == {"test-00000-of-00001.parquet"}
        assert done.job.results["test"] == 7

    def test_is_one_row_at_the_least(self, run):
        assert len(run(curate(given(documents(5)), test_share=1e-9)).rows("test")) == 1

    def test_copies_do_not_straddle(self, run):
        rows = documents(30) * 3
        done = run(curate(given(rows), test_rows=5, dedup=NoDedup()))
        assert len(done.rows("test")) == 6  # two texts' copies: the fifth row's stay together
        assert not set(done.texts("test")) & set(done.texts())

    def test_near_duplicates_do_not_straddle(self, run):
        rows = documents(40)
        rows += [{**row, "text": row["text"] + " end"} for row in rows]
        done = run(curate(given(rows), test_share=0.5))
        sides = [{text.removesuffix(" end") for text in done.texts(split)} for split in ("train", "test")]
        assert sides[0] and sides[1] and not sides[0] & sides[1]

    def test_a_column_keeps_its_equals_together(self, run):
        rows = [{**row, "author": f"a{number % 10}"} for number, row in enumerate(documents(100))]
        done = run(curate(given(rows), test_rows=15, test_by="author"))
        sides = [{row["author"] for row in done.rows(split)} for split in ("train", "test")]
        assert len(sides[1]) == 2 and not sides[0] & sides[1]

    def test_a_missing_column_is_an_error(self, run):
        with pytest.raises(KonomiError, match="no column autor"):
            run(curate(given(documents(3, author="x")), test_rows=1, test_by="autor"))

    def test_never_takes_everything(self, run):
        with pytest.raises(KonomiError, match="none be trained on"):
            run(curate(given(documents(3)), test_rows=3))

    def test_reads_hashes_alone(self):
        hashes = np.array([1, 2**63, 2**64 - 1], dtype=np.uint64)
        assert held_out(hashes, 0.5, 0).tolist() == [True, True, False]
        assert held_out(hashes, 0, 0).tolist() == [False] * 3


PAIRS = [
    {"prompt": "1+1?", "chosen": "2", "rejected": "3"},
    {"prompt": "1+1?", "chosen": "two", "rejected": "two "},
    {"prompt": "2+2?", "chosen": "", "rejected": "5"},
    {"prompt": "1+1?", "chosen": "2", "rejected": "3"},
    {"prompt": "what is a cat", "chosen": "an animal", "rejected": "a car"},
]


def said(role, content):
    return {"role": role, "content": content}


class TestRowsThatAreNoPlainText:
    def test_pairs_without_a_preference_are_dropped_and_nothing_is_rewritten(self, run):
        done = run(curate(given(PAIRS, "preference"), filter={"length": Length(max_characters=99)}, dedup=Exact()))
        assert [row["source_row"] for row in done.rows()] == [0, 4]
        assert set(done.rows()[0]) == {
            "prompt", "chosen", "rejected", "length_characters", "source_row", "cluster_size",
        }  # fmt: skip
        assert done.rows()[0]["rejected"] == "3"
        assert done.job.results["reasons"] == {
            "answers: chosen equals rejected": 1,
            "answers: empty answer": 1,
            "dedup: same as another": 1,
        }

    def test_conversations_are_judged_by_what_is_said(self, run):
        rows = [
            {"messages": [said("user", "hello"), said("assistant", "good morning")]},
            {"messages": [said("user", "hello")]},
            {"messages": [said("user", "hello"), said("assistant", "  ")]},
            {"messages": [said("user", "x"), said("assistant", "y")]},
        ]
        done = run(curate(given(rows, "messages"), filter={"length": Length(min_characters=5)}))
        assert done.rows()[0]["messages"] == rows[0]["messages"]
        assert done.rows()[0]["length_characters"] == len("hello\n\ngood morning")
        assert done.job.results["dropped"] == {"answers": 2, "length": 1, "dedup": 0}

    def test_pairs_of_conversations_are_compared_as_such(self, run):
        rows = [
            {"prompt": [said("user", "q")], "chosen": [said("assistant", "a")], "rejected": [said("assistant", "b")]},
            {"prompt": [said("user", "q")], "chosen": [said("assistant", "a")], "rejected": [said("assistant", "a")]},
        ]
        done = run(curate(given(rows, "preference"), filter={}))
        assert [row["source_row"] for row in done.rows()] == [0]

    def test_a_prompt_stays_on_one_side(self, run):
        rows = [{"prompt": f"question {number % 10}", "completion": f"answer {number}"} for number in range(60)]
        done = run(curate(given(rows, "prompt_completion"), filter={}, dedup=NoDedup(), test_share=0.3))
        sides = [{row["prompt"] for row in done.rows(split)} for split in ("train", "test")]
        assert sides[0] and sides[1] and not sides[0] & sides[1]

    def test_a_missing_answer_is_a_row_without_text(self, run):
        rows = [{"prompt": "q", "completion": "a"}, {"prompt": "q", "completion": None}]
        with pytest.raises(KonomiError, match="row 1 of the source"):
            run(curate(given(rows, "prompt_completion"), filter={}))

    def test_filters_that_rewrite_are_a_fault_with_what_to_type(self):
        faults = list(curate(given(PAIRS, "preference")).check())
        assert [fault.where for fault in faults] == ["filter.normalize"]
        assert "'filter=[repetition,length]'" in faults[0].hint

    def test_rows_without_a_text_are_a_fault(self):
        assert [fault.where for fault in curate(given([], "rows")).check()] == ["source"]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"language": "Japanese!"}, "language"),
        ({"test_share": 1.0}, "test_share"),
        ({"test_rows": -1}, "test_rows"),
        ({"test_rows": 1, "test_share": 0.1}, "test_rows"),
        ({"test_by": "author"}, "test_by"),
        ({"shard_rows": 0}, "shard_rows"),
    ],
)
def test_options_that_cannot_work_are_faults(options, where):
    assert [fault.where for fault in curate(given([]), **options).check()] == [where]


def test_columns_that_the_source_does_not_have_are_faults_where_it_knows_them():
    source = Given((), known=["text", "author"])
    faults = list(curate(source, test_by="autor", test_share=0.1, dedup=MinHash(keep_by="qualty")).check())
    assert [fault.where for fault in faults] == ["test_by", "dedup.keep_by"]
    assert "did you mean author" in faults[0].hint
    assert list(curate(source, dedup=MinHash(keep_by="length_characters")).check()) == []


def test_a_score_can_decide_which_duplicate_is_kept(run):
    text = documents(1)[0]["text"]
    rows = [{"text": text}, {"text": f"{text} tail"}, {"text": text}]
    done = run(curate(given(rows), dedup=MinHash(keep_by="length_characters")))
    assert [row["source_row"] for row in done.rows()] == [1]
    assert [row["kept_row"] for row in done.file("duplicates.parquet")] == [1, 1]


def test_a_column_of_the_same_name_is_replaced_and_said(run):
    done = run(curate(given(documents(3, language="??", cluster_size=9, length_characters="x")), language="en"))
    assert {row["language"] for row in done.rows()} == {"en"}
    assert {row["cluster_size"] for row in done.rows()} == {1}
    notes = [block.text for block in done.job.shown if type(block).__name__ == "Note"]
    assert notes == [
        "Columns of the source that were replaced by this stage's of the same name:"
        " cluster_size, language, length_characters."
    ]


def test_what_the_source_left_out_is_said(run):
    class Rows:
        dropped: ClassVar = {"column null": 2}

        def __iter__(self):
            return iter([pa.Table.from_pylist(documents(2))])

    class Source(Given):
        def load(self):
            return Rows()

    done = run(curate(Source()))
    assert done.job.results["unread"] == {"column null": 2}
    assert any("left out 2 rows" in getattr(block, "text", "") for block in done.job.shown)


def test_a_filter_that_loses_texts_is_named(run):
    class Loses:
        rewrites = True

        def __call__(self, texts):
            return Verdicts(texts[1:], [None] * len(texts))

    with pytest.raises(KonomiError, match="filter mine was given 3 texts and returned 2 texts"):
        run(curate(given(documents(3)), filter={"mine": Loses()}))


def test_a_dedup_that_keeps_none_of_a_cluster_is_named(run):
    class Keepless:
        def find(self, corpus):
            return Duplicates(np.array([1, 0, 2]), np.zeros(3, bool), np.ones(3, np.float32))

    with pytest.raises(KonomiError, match="Keepless did not keep exactly one"):
        run(curate(given(documents(3)), dedup=Keepless()))


def test_shards_hold_so_many_rows_and_say_how_many_there_are(run):
    done = run(curate(given(documents(25)), shard_rows=10, dedup=NoDedup()))
    shards = done.artifact.shards()
    assert [path.name for path in shards] == [f"train-{number:05}-of-00003.parquet" for number in range(3)]
    assert [pq.read_metadata(path).num_rows for path in shards] == [10, 10, 5]


def test_row_groups_are_bounded_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("konomi.stage._tables.GROUP_BYTES", 100)
    sizes = np.array([60, 30, 20, 200, 5, 5], dtype=np.int64)
    table = pa.table({"text": ["x" * size for size in sizes]})
    with ShardWriter(tmp_path, split_name("train", 6, 10), 10) as writer:
        writer.add(table, sizes)
    metadata = pq.read_metadata(writer.paths[0])
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [2, 1, 1, 2]


def test_datasets_reads_what_was_written(run, tmp_path):
    import datasets

    done = run(curate(given(documents(30)), test_rows=5))
    datasets.disable_progress_bars()
    found = datasets.load_dataset(str(done.job.out), cache_dir=str(tmp_path / "cache"), data_dir="data")
    assert {split: len(rows) for split, rows in found.items()} == {"train": 25, "test": 5}


def test_stops_between_batches_when_asked(run):
    with pytest.raises(Stopped):
        run(curate(given(documents(3))), stop=Stop("SIGTERM"))


def test_a_smoke_run_takes_a_few_batches(run):
    done = run(curate(given(documents(50), batch=10)), smoke=True)
    assert done.job.results["documents"] == 30


def test_leaves_nothing_behind_between_the_passes(run, tmp_path):
    done = run(curate(given(documents(5))))
    assert len(done.rows()) == 5
    assert not list((tmp_path / "curate" / "work").rglob("*.*"))


def test_a_sample_is_the_same_in_any_order():
    entries = [(random.Random(number).getrandbits(64), number) for number in range(100)]
    found = []
    for order in (entries, entries[::-1]):
        sample = Lowest(5)
        for hash_, row in order:
            sample.offer(hash_, row, {"row": row})
        found.append(sample.entries())
    assert found[0] == found[1] == [{"row": row} for row in sorted(row for _, row in sorted(entries)[:5])]


def test_many_scores_are_thinned_evenly(monkeypatch):
    monkeypatch.setattr("konomi.stage._tally.SAMPLED_SCORES", 10)
    scores = Scores(step=thinning(100))
    for start in range(0, 100, 7):
        rows = np.arange(start, min(start + 7, 100))
        scores.add(rows, rows * 0.5)
    assert scores.values == [row * 0.5 for row in range(0, 100, 16)]


def test_real_pages_lose_their_near_duplicates(run, real_rows):
    rows = real_rows("technical_docs_en")
    done = run(curate(given(rows), test_share=0.05))
    figures = done.job.results
    assert figures["documents"] == len(rows) == figures["kept"] + sum(figures["dropped"].values())
    assert figures["dropped"]["dedup"] > 300
    assert len((done.job.out / "report.json").read_bytes()) < 100_000
