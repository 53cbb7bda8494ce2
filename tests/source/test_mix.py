from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
import tokenizers

from konomi.faults import KonomiError
from konomi.source import Rows, _mixing
from konomi.source._options import OnError
from konomi.source.files import Files
from konomi.source.mix import Measure, Mix, Stopping
from konomi.testing.source import SourceSuite, rows_of


def lines(path: Path, *rows: Mapping[str, Any]) -> Files:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return Files(path=str(path))


class Given:
    """A source of texts that stand in memory, in tables of a few rows."""

    def __init__(self, texts: Iterable[str], table_rows: int = 7, **columns: list[Any]) -> None:
        self.table = pa.table({"text": list(texts), **columns})
        self.table_rows = table_rows

    def format(self) -> str:
        return "text"

    def columns_known(self) -> list[str]:
        return list(self.table.column_names)

    def load(self) -> Rows:
        def read(dropped: dict[str, int]) -> Iterator[pa.Table]:
            for start in range(0, self.table.num_rows, self.table_rows):
                yield self.table.slice(start, self.table_rows)

        return Rows(read)


def given(**counts: int) -> dict[str, Any]:
    return {name: Given([f"{name}{n}" for n in range(count)]) for name, count in counts.items()}


def order(mix: Mix) -> list[str]:
    return [row["text"] for row in rows_of(mix)]


class TestMix(SourceSuite):
    plugin = Mix

    def make(self, folder: Path) -> Mix:
        japanese = lines(folder / "ja.jsonl", *({"text": f"日本語{n}", "year": n} for n in range(5)))
        english = lines(folder / "en.jsonl", *({"text": f"english {n}", "url": "x"} for n in range(9)))
        return Mix(sources={"japanese": japanese, "english": english}, weights={"japanese": 2, "english": 1})


def test_at_every_place_each_source_has_given_its_share_to_within_a_row() -> None:
    weights = {"a": 5.0, "b": 3.0, "c": 1.5, "d": 0.5}
    mix = Mix(sources=given(a=900, b=900, c=900, d=900), weights=weights, measure=Measure.rows)
    seen: Counter[str] = Counter()
    for count, text in enumerate(order(mix), 1):
        seen[text[0]] += 1
        assert all(abs(seen[name] - count * weight / 10) <= 1 for name, weight in weights.items())
    assert sum(seen.values()) == pytest.approx(1800, abs=4)


def test_shares_of_characters_hold_to_within_the_longest_row() -> None:
    long = [f"{n:0{50 + 37 * n % 400}}" for n in range(300)]
    short = [f"{n:0{1 + n % 9}}" for n in range(9000)]
    mix = Mix(sources={"long": Given(long), "short": Given(short)}, weights={"long": 1, "short": 3})
    given_so_far: Counter[str] = Counter()
    for row in rows_of(mix):
        given_so_far[row["source"]] += len(row["text"])
        assert abs(given_so_far["long"] - given_so_far["short"] / 3) <= 450


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tokenizer that takes words apart at blanks."""
    folder = tmp_path_factory.mktemp("tokenizer")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0}, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.enable_truncation(2)
    made.save(str(folder / "tokenizer.json"))
    return str(folder)


def test_shares_of_tokens_are_those_of_a_tokenizer(tokenizer: str) -> None:
    sources = {"many": Given(["a b c d e f"] * 400), "few": Given(["abcdefghijkl mnopqrstuvwx"] * 900)}
    mix = Mix(sources=sources, weights={"many": 1, "few": 1}, measure=Measure.tokens, tokenizer=tokenizer)
    assert list(mix.check()) == []
    counted = Counter(row["source"] for row in rows_of(mix))
    assert counted["few"] == pytest.approx(3 * counted["many"], abs=3) and sum(counted.values()) > 1100
    assert set(mix.depends()["tokenizer"]) <= set("0123456789abcdef")


def test_the_mix_is_the_same_however_the_rows_come_in() -> None:
    weights = {"a": 2.0, "b": 1.0}
    mixes = [
        order(Mix(sources={n: Given([f"{n}{i}" for i in range(60)], rows) for n in "ab"}, weights=weights))
        for rows in (1, 4, 1000)
    ]
    assert mixes[0] == mixes[1] == mixes[2]


def test_without_weights_every_source_is_read_to_its_end_evenly() -> None:
    found = order(Mix(sources=given(a=30, b=300)))
    assert Counter(text[0] for text in found) == {"a": 30, "b": 300}
    assert all(abs(sum(text[0] == "a" for text in found[:n]) - n / 11) <= 2 for n in range(331))


def test_epochs_read_a_source_again_and_a_part_of_one_takes_a_fixed_sample() -> None:
    sources = given(a=40, b=400)
    found = order(Mix(sources=sources, epochs={"a": 2.5}))
    counted = Counter(text for text in found if text[0] == "a")
    assert set(counted.values()) == {2, 3} and 10 <= sum(count == 3 for count in counted.values()) <= 30
    assert order(Mix(sources=sources, epochs={"a": 2.5})) == found
    assert Counter(order(Mix(sources=sources, epochs={"a": 2.5}, seed=1))) != Counter(found)
    assert Counter(text[0] for text in order(Mix(sources=sources, epochs={"a": 0}))) == {"b": 400}


@pytest.mark.parametrize(
    ("stopping", "counts"),
    [
        (Stopping.first_exhausted, {"a": 10, "b": 10}),
        (Stopping.all_exhausted, {"a": 30, "b": 30}),
        (Stopping.all_exhausted_without_replacement, {"a": 10, "b": 30}),
    ],
)
def test_a_mix_by_weights_ends_as_it_is_told(stopping: Stopping, counts: dict[str, int]) -> None:
    mix = Mix(sources=given(a=10, b=30), weights={"a": 1, "b": 1}, measure=Measure.rows, stopping=stopping)
    found = order(mix)
    assert Counter(text[0] for text in found) == counts
    if stopping is Stopping.all_exhausted:
        assert set(Counter(text for text in found if text[0] == "a").values()) == {3}


def test_equal_weights_are_what_interleave_datasets_gives() -> None:
    texts = {"a": [f"a{n}" for n in range(5)], "b": [f"b{n}" for n in range(8)]}
    theirs = [datasets.Dataset.from_dict({"text": of}) for of in texts.values()]
    for stopping in (Stopping.first_exhausted, Stopping.all_exhausted):
        peer = datasets.interleave_datasets(theirs, stopping_strategy=stopping.name)["text"]
        mix = Mix(
            sources={name: Given(of) for name, of in texts.items()},
            weights={"a": 1, "b": 1},
            measure=Measure.rows,
            stopping=stopping,
        )
        assert order(mix) == list(peer)


def test_limits_of_rows_and_of_characters() -> None:
    sources = given(a=50, b=50)
    assert len(order(Mix(sources=sources, rows=33))) == 33
    found = order(Mix(sources=sources, characters=100))
    assert 100 <= sum(map(len, found)) < 103
    assert found == order(Mix(sources=sources))[: len(found)]


def test_columns_meet_and_each_row_says_its_source() -> None:
    one = Given(["a"], year=[1906])
    two = Given(["b"], url=["https://b.example/"], year=[0.5])
    mix = Mix(sources={"one": one, "two": two}, column="from")
    assert rows_of(mix) == [
        {"text": "a", "year": 1906, "url": None, "from": "one"},
        {"text": "b", "year": 0.5, "url": "https://b.example/", "from": "two"},
    ]
    assert mix.columns_known() == ["text", "year", "url", "from"]
    with pytest.raises(KonomiError, match=r"keep=\[…\]"):
        rows_of(Mix(sources={"one": one, "two": Given(["b"], year=["1906"])}))


def test_conversations_are_measured_by_what_is_said() -> None:
    said = [[{"role": "user", "content": "あ" * size}, {"role": "assistant", "content": "bb"}] for size in (1, 50)]
    table = pa.table({"messages": said})
    assert _mixing.lengths(table, ("messages",)).tolist() == [3, 52]
    assert _mixing.lengths(pa.table({"n": [1], "text": ["four"]}), ()).tolist() == [4]


def test_what_the_sources_leave_out_is_counted_by_source(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\nnot json\n{"text": "b"}\n')
    source = Files(path=str(tmp_path / "a.jsonl"), on_error=OnError["drop"])
    rows = Mix(sources={"dirty": source, **given(b=2)}).load()
    assert sum(table.num_rows for table in rows) == 4
    assert rows.dropped == {"dirty: not JSON": 1}


def test_a_data_set_of_datasets_can_be_mixed() -> None:
    class Theirs(Given):
        def load(self) -> Any:
            return datasets.Dataset.from_dict({"text": self.table["text"].to_pylist()})

    assert order(Mix(sources={"a": Theirs(["1", "2"]), "b": Given(["3", "4"])})) == ["1", "3", "2", "4"]


def test_a_source_without_a_row_is_named() -> None:
    for options in ({}, {"weights": {"a": 1, "b": 1}, "stopping": Stopping.all_exhausted}):
        with pytest.raises(KonomiError, match="the source b gave no rows"):
            order(Mix(sources=given(a=3, b=0), **options))


class Pairs(Given):
    def format(self) -> str:
        return "preference"


@pytest.mark.parametrize(
    ("options", "where", "said"),
    [
        ({"sources": {}}, "sources", "nothing to mix"),
        ({"weights": {"a": 1}}, "weights", "b has none"),
        ({"weights": {"a": 1, "b": 1, "c": 1}}, "weights.c", "no such source"),
        ({"weights": {"a": -1, "b": 1}}, "weights.a", "at least 0"),
        ({"weights": {"a": 0, "b": 0}}, "weights", "no source is left"),
        ({"epochs": {"a": float("inf")}}, "epochs.a", "at least 0"),
        ({"rows": -1}, "rows", "below 0"),
        ({"measure": Measure.tokens}, "tokenizer", "nothing says what a token is"),
        ({"measure": Measure.tokens, "tokenizer": "./nowhere"}, "tokenizer", "no tokenizer.json in ./nowhere"),
        ({"tokenizer": "org/name"}, "tokenizer", "is not used, because measure=characters"),
        ({"column": "text"}, "column", "a column text of its own"),
        ({"sources": {**given(a=1), "pairs": Pairs(["x"])}}, "sources", "a gives text, pairs gives preference"),
    ],
)
def test_wrong_options_are_faults(options: dict[str, Any], where: str, said: str) -> None:
    faults = list(Mix(**{"sources": given(a=1, b=1), **options}).check())
    assert any(fault.where == where and said in fault.what for fault in faults), faults


def test_a_mix_can_hold_a_mix() -> None:
    inner = Mix(sources=given(a=4, b=4), column="")
    found = rows_of(Mix(sources={"inner": inner, **given(c=8)}))
    assert Counter(row["source"] for row in found) == {"inner": 8, "c": 8}
    assert all(x["source"] != y["source"] for x, y in itertools.pairwise(found))
