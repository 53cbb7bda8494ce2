from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from konomi.faults import KonomiError, Stopped
from konomi.generator import ITEM, Made
from konomi.generator.templates import Makes, Templates
from konomi.job import Job, Stop
from konomi.report import Samples, Table
from konomi.source import Rows
from konomi.source._options import OnError
from konomi.source.files import Files
from konomi.stage.generate import Generate

WORDS = Templates(prompts=["{word}?", "What is {word}?"], answers={"plain": "{gloss}.", "loud": "{gloss}!"})
PAIRS = Templates(makes=Makes.preference, prompts=WORDS.prompts, answers=WORDS.answers, preferred="loud")


@dataclass
class Given:
    """A source of rows that are at hand."""

    rows: list[dict[str, Any]]
    dropped: dict[str, int] = field(default_factory=dict)

    def format(self) -> str:
        return "rows"

    def load(self) -> Rows:
        import pyarrow as pa

        def read(dropped: dict[str, int]) -> Iterator[pa.Table]:
            for start in range(0, len(self.rows), 7):
                yield pa.Table.from_pylist(self.rows[start : start + 7])
            dropped.update(self.dropped)

        return Rows(read)


def words(count: int = 300) -> list[dict[str, Any]]:
    return [{"word": f"w{n}", "gloss": f"thing {n}", "item": "theirs"} for n in range(count)]


def run(folder: Path, stage: Generate, **options: Any) -> Job:
    folder.mkdir(parents=True)
    job = Job("instructions", "test", "key", folder, folder / "work", quiet=True, **options)
    stage.run(job)
    return job


def read(job: Job, split: str) -> list[dict[str, Any]]:
    return [row for path in sorted((job.out / "data").glob(f"{split}-*")) for row in pq.read_table(path).to_pylist()]


def asked(rows: Iterable[dict[str, Any]]) -> set[str]:
    """Return the words that rows ask about."""
    prompts = (row["messages"] if "messages" in row else row["prompt"] for row in rows)
    return {prompt[0]["content"].rstrip("?").rpartition(" ")[2] for prompt in prompts}


def test_leaves_both_splits_as_datasets_reads_them(tmp_path: Path) -> None:
    job = run(tmp_path / "a", Generate(source=Given(words()), generator=WORDS, test_rows=5))
    found = datasets.load_dataset(str(tmp_path / "a" / "data"), cache_dir=str(tmp_path / "cache"))
    assert found["test"].num_rows == 5
    assert found["train"].num_rows == job.results["rows"] > 250
    assert found["train"].column_names == ["messages", "item", "style", "template"]
    assert sorted(path.name for path in (job.out / "data").iterdir()) == [
        "test-00000-of-00001.parquet",
        "train-00000-of-00001.parquet",
    ]


def test_makes_what_its_generator_makes() -> None:
    assert Generate(source=Given([]), generator=WORDS).makes == "messages"
    assert Generate(source=Given([]), generator=PAIRS).makes == "preference"


def test_no_seed_is_on_both_sides_and_two_stages_agree_on_which(tmp_path: Path) -> None:
    tuning = run(tmp_path / "a", Generate(source=Given(words()), generator=WORDS, test_rows=5))
    others = Generate(source=Given(words()[::-1]), generator=PAIRS, test_rows=5, rows=100, seed=7)
    pairs = run(tmp_path / "b", others)
    train, test = (asked([*read(tuning, split), *read(pairs, split)]) for split in ("train", "test"))
    assert len(test) >= 5
    assert not train & test


def test_seeds_that_share_a_column_stay_together(tmp_path: Path) -> None:
    rows = [{"word": f"w{n}", "gloss": f"thing {n % 30}"} for n in range(300)]
    stage = Generate(source=Given(rows), generator=WORDS, test_share=0.2, test_rows=300, split_by=["gloss"])
    job = run(tmp_path / "a", stage)
    answers = [{row["messages"][1]["content"][:-1] for row in read(job, split)} for split in ("train", "test")]
    assert all(answers)
    assert not answers[0] & answers[1]


def test_the_share_that_is_held_out_is_about_the_one_asked_for(tmp_path: Path) -> None:
    job = run(tmp_path / "a", Generate(source=Given(words(3000)), generator=WORDS, test_share=0.1, test_rows=9999))
    assert 230 < job.results["test_rows"] < 370
    assert job.results["rows"] + job.results["test_rows"] == 3000


def test_nothing_is_held_out_where_no_test_rows_are_asked_for(tmp_path: Path) -> None:
    job = run(tmp_path / "a", Generate(source=Given(words()), generator=WORDS, test_rows=0, test_share=0.0))
    assert job.results["rows"] == 300
    assert read(job, "test") == []
    assert not list((job.out / "data").glob("test-*"))


def test_rows_bounds_what_is_made_and_takes_a_random_part(tmp_path: Path) -> None:
    job = run(tmp_path / "a", Generate(source=Given(words()), generator=WORDS, rows=50, test_rows=5))
    other = run(tmp_path / "b", Generate(source=Given(words()), generator=WORDS, rows=50, test_rows=5, seed=1))
    assert len(read(job, "train")) == 50
    taken = {int(word[1:]) for word in asked(read(job, "train"))}
    assert max(taken) > 250, "not the first fifty"
    assert asked(read(job, "train")) != asked(read(other, "train"))


def test_the_same_stage_gives_the_same_bytes_whatever_the_batches(tmp_path: Path, monkeypatch: Any) -> None:
    def digest(job: Job) -> list[str]:
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((job.out / "data").iterdir())]

    first = run(tmp_path / "a", Generate(source=Given(words()), generator=WORDS))
    backwards = run(tmp_path / "b", Generate(source=Given(words()[::-1]), generator=WORDS))
    assert digest(first) == digest(backwards)
    monkeypatch.setattr("konomi.stage.generate.BATCH_ROWS", 11)
    small = run(tmp_path / "c", Generate(source=Given(words()), generator=WORDS))
    assert read(small, "train") == read(first, "train")


def test_items_are_unique_and_stay_the_same_when_seeds_are_added(tmp_path: Path) -> None:
    few = {row["messages"][0]["content"]: row["item"] for row in self_rows(tmp_path / "a", 100)}
    many = {row["messages"][0]["content"]: row["item"] for row in self_rows(tmp_path / "b", 200)}
    assert len(set(many.values())) == len(many)
    assert few.items() <= many.items()
    assert "theirs" not in many.values()


def self_rows(folder: Path, count: int) -> list[dict[str, Any]]:
    job = run(folder, Generate(source=Given(words(count)), generator=WORDS, test_rows=0))
    return read(job, "train")


def test_a_column_called_item_is_the_users_own(tmp_path: Path) -> None:
    generator = Templates(prompts=["{item}?"], answers={"a": "{gloss}"})
    job = run(tmp_path / "a", Generate(source=Given(words(20)), generator=generator, test_rows=0))
    assert {row["messages"][0]["content"] for row in read(job, "train")} == {"theirs?"}


def test_seeds_that_are_there_twice_count_once(tmp_path: Path) -> None:
    job = run(tmp_path / "a", Generate(source=Given(words(20) + words(20)), generator=WORDS, test_rows=0))
    assert job.results["rows"] == 20
    assert job.results["duplicate_seeds"] == 20


def test_shows_rows_to_read_and_counts_what_was_passed_over(tmp_path: Path) -> None:
    rows = [*words(50), {"word": "", "gloss": "nothing"}]
    source = Given(rows, dropped={"not JSON": 2})
    job = run(tmp_path / "a", Generate(source=source, generator=WORDS, test_rows=0))
    assert job.results["synthetic"] is True
    assert job.results["passed_over"] == {"a column is empty": 1}
    assert job.results["unread"] == {"not JSON": 2}
    [samples] = [block for block in job.shown if isinstance(block, Samples)]
    assert "user: " in samples.samples[0]["messages"]
    titles = [block.title for block in job.shown if isinstance(block, Table)]
    assert titles == ["Rows made", "Seeds that gave no row", "Rows by style", "Rows by template"]
    json.dumps(job.results)


def test_no_row_at_all_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(KonomiError, match="20 × a column is empty"):
        run(tmp_path / "a", Generate(source=Given([{"word": f"{n}", "gloss": ""} for n in range(20)]), generator=WORDS))
    with pytest.raises(KonomiError, match="not one seed"):
        run(tmp_path / "b", Generate(source=Given([]), generator=WORDS))


def test_takes_a_dataset_as_a_third_partys_source_may_give(tmp_path: Path) -> None:
    @dataclass
    class Own:
        streaming: bool

        def load(self) -> Any:
            rows = datasets.Dataset.from_list(words(40))
            return rows.to_iterable_dataset() if self.streaming else rows

    jobs = [
        run(tmp_path / str(streaming), Generate(source=Own(streaming), generator=WORDS)) for streaming in (True, False)
    ]
    assert read(jobs[0], "train") == read(jobs[1], "train")


def test_rows_without_an_id_of_their_seed_get_one_by_content(tmp_path: Path) -> None:
    @dataclass
    class Inventing:
        makes: str = "prompt_completion"
        needs: tuple[str, ...] = ()

        def generate(self, seeds: Iterable[Any], *, seed: int) -> Made:
            count = sum(ITEM in row for row in seeds)
            return Made(lambda over: ({"prompt": f"{n}?", "completion": "!"} for n in range(count)))

    job = run(tmp_path / "a", Generate(source=Given(words(30)), generator=Inventing(), test_rows=0))
    items = [row["item"] for row in read(job, "train")]
    assert len(set(items)) == 30
    assert all(len(item) == 16 for item in items)


def test_a_smoke_run_makes_a_few_rows(tmp_path: Path) -> None:
    job = run(tmp_path / "a", Generate(source=Given(words()), generator=WORDS), smoke=True)
    assert job.results["rows"] == Generate.SMOKE_ROWS


def test_leaves_when_it_is_asked_to_stop(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        run(tmp_path / "a", Generate(source=Given(words()), generator=WORDS), stop=Stop("SIGTERM"))


def test_columns_that_no_seed_has_are_a_fault_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\n1+1,2\n")
    source = Files(path=str(tmp_path / "a.csv"), columns={"prompt": "question", "completion": "answer"})
    generator = Templates(prompts=["{promt}"], answers={"a": "{completion}"})
    faults = list(Generate(source=source, generator=generator, split_by=["answer"]).check())
    assert [fault.where for fault in faults] == ["generator", "split_by"]
    assert "takes promt, and the source has the columns prompt, completion" in faults[0].what
    assert "did you mean prompt?" in faults[0].hint


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"rows": -1}, "rows"),
        ({"test_rows": -1}, "test_rows"),
        ({"test_share": 1.0}, "test_share"),
        ({"test_share": -0.1}, "test_share"),
        ({"test_share": 0.0}, "test_share"),
    ],
)
def test_numbers_out_of_range_are_faults(options: dict[str, Any], where: str) -> None:
    stage = Generate(source=Given(words(1)), generator=WORDS, **options)
    assert [fault.where for fault in stage.check()] == [where]


def test_unreadable_seeds_stop_the_stage_or_are_counted(tmp_path: Path) -> None:
    good = "".join(json.dumps(row) + "\n" for row in words(150))
    (tmp_path / "a.jsonl").write_text(good + "{broken\n", encoding="utf-8")
    options: dict[str, Any] = {"path": str(tmp_path / "a.jsonl")}
    from konomi.source._options import Gives

    stage = Generate(source=Files(**options, gives=Gives.rows), generator=WORDS)
    with pytest.raises(KonomiError, match="line 151"):
        run(tmp_path / "b", stage)
    stage = Generate(source=Files(**options, gives=Gives.rows, on_error=OnError["drop"]), generator=WORDS)
    assert run(tmp_path / "c", stage).results["unread"] == {"not JSON": 1}
