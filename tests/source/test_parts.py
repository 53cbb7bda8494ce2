"""Pieces of a source that other processes read."""

from __future__ import annotations

import gzip
import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from konomi.faults import Faults, KonomiError
from konomi.source import Rows
from konomi.source._options import OnError
from konomi.source.files import Files
from konomi.source.hub import Hub
from konomi.testing.source import rows_of

DROP = OnError["drop"]


def crawl(folder: Path) -> Path:
    """A folder with files in folders, of several types, one of them with bad rows and one without a row."""
    for name in ("ja/2023", "ja/2024", "en"):
        (folder / name).mkdir(parents=True)
    (folder / "en/a.jsonl").write_text('{"text": "a", "n": 1}\n{"text": "b", "n": 2}\n')
    (folder / "ja/2023/a.jsonl.gz").write_bytes(gzip.compress('{"text": "い", "n": 3}\n{"text": 4}\n'.encode()))
    (folder / "ja/2024/a.parquet").parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"text": ["ろ", "は"], "n": [5, 6]}), folder / "ja/2024/a.parquet")
    (folder / "ja/2024/empty.jsonl").write_text("")
    return folder


def read(part: Rows) -> tuple[list[dict[str, object]], dict[str, int]]:
    return [row for table in part for row in table.to_pylist()], part.dropped


def test_a_part_is_a_file_and_knows_its_path_below_the_common_folder(tmp_path: Path) -> None:
    parts = Files(path=str(crawl(tmp_path)), on_error=DROP).parts()
    assert [part.name for part in parts] == [
        "en/a.jsonl",
        "ja/2023/a.jsonl.gz",
        "ja/2024/a.parquet",
        "ja/2024/empty.jsonl",
    ]
    assert [part.name for part in Files(path=str(tmp_path / "ja/**/*.gz")).parts()] == ["a.jsonl.gz"]


def test_parts_are_read_by_other_processes_and_count_what_they_drop(tmp_path: Path) -> None:
    source = Files(path=str(crawl(tmp_path)), on_error=DROP)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        read_there = list(pool.map(read, source.parts()))
    assert [row for rows, _ in read_there for row in rows] == rows_of(source)
    assert [dropped for _, dropped in read_there] == [{}, {"not text": 1}, {}, {}]


def test_all_parts_have_the_columns_of_the_whole(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "n": 1}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "b", "more": true}\n')
    parts = Files(path=str(tmp_path)).parts()
    assert [read(part)[0] for part in parts] == [[{"text": "a", "n": 1}], [{"text": "b", "n": None}]]


def test_a_limit_counts_over_the_files_and_leaves_one_part(tmp_path: Path) -> None:
    [part] = Files(path=str(crawl(tmp_path)), limit=3, on_error=DROP).parts()
    assert [row["text"] for row in read(part)[0]] == ["a", "b", "い"]
    assert part.name == ""


def test_a_bad_row_of_a_part_names_its_file_and_line(tmp_path: Path) -> None:
    part = pickle.loads(pickle.dumps(Files(path=str(crawl(tmp_path))).parts()[1]))
    with pytest.raises(KonomiError, match=r"2023/a\.jsonl\.gz, line 2 has int 4 in text"):
        list(part)


def test_wrong_options_are_faults_of_parts_too() -> None:
    with pytest.raises(Faults, match="nothing matches"):
        Files(path=json.dumps("no/such")).parts()


def repository(folder: Path) -> Path:
    """A folder as a repository has it: a train split in three Parquet files, and a test split."""
    (folder / "data").mkdir(parents=True)
    for number in range(3):
        table = pa.table({"text": [f"{number} a", f"{number} b"], "n": [number, None]})
        pq.write_table(table, folder / f"data/train-{number:05}-of-00003.parquet")
    pq.write_table(pa.table({"text": ["held out"], "n": [9]}), folder / "data/test-00000-of-00001.parquet")
    return folder


def test_the_parquet_files_of_a_split_of_a_data_set_are_its_parts(tmp_path: Path) -> None:
    source = Hub(path=str(repository(tmp_path)))
    parts = [pickle.loads(pickle.dumps(part)) for part in source.parts()]
    assert [part.name for part in parts] == [f"train-{number:05}-of-00003.parquet" for number in range(3)]
    assert [row for part in parts for row in read(part)[0]] == rows_of(source)


def test_what_datasets_must_read_is_one_part(tmp_path: Path) -> None:
    folder = str(repository(tmp_path))
    assert [row["text"] for row in read(*Hub(path=folder, split="train[1:2]").parts())[0]] == ["0 b"]
    assert [row["text"] for row in read(*Hub(path=folder, limit=1).parts())[0]] == ["0 a"]
    (tmp_path / "lines").mkdir()
    for number in range(2):
        (tmp_path / f"lines/train-{number}.jsonl").write_text(f'{{"text": "{number}"}}\n')
    source = Hub(path=str(tmp_path / "lines"))
    assert [row for part in source.parts() for row in read(part)[0]] == rows_of(source)


def test_a_large_parquet_file_is_several_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("konomi.source._parquet.PORTION_BYTES", 100)
    rows = [{"text": f"row {number}", "n": number} for number in range(50)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=7)
    source = Files(path=str(tmp_path / "a.parquet"))
    parts = [pickle.loads(pickle.dumps(part)) for part in source.parts()]
    assert len(parts) > 2
    assert {part.name for part in parts} == {"a.parquet"}
    assert [part.first for part in parts] == [read(part)[0][0]["n"] for part in parts]
    assert [row for part in parts for row in read(part)[0]] == rows


def test_a_bad_row_of_a_later_part_is_told_by_its_number_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("konomi.source._parquet.PORTION_BYTES", 100)
    texts = [f"row {number}" if number != 44 else None for number in range(50)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", row_group_size=7)
    parts = Files(path=str(tmp_path / "a.parquet")).parts()
    with pytest.raises(KonomiError, match=r"a\.parquet, row 45 has null"):
        for part in parts:
            read(part)
