from __future__ import annotations

import gzip
import json
import os
import random
import tracemalloc
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from konomi.faults import Faults, KonomiError
from konomi.source._options import FileType, Gives, OnError, TextUnit
from konomi.source.files import Files
from konomi.testing.source import SourceSuite, rows_of

DROP = OnError["drop"]


def write(path: Path, content: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def json_lines(*rows: Any) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def texts(source: Files) -> list[str]:
    return [row["text"] for row in rows_of(source)]


def faults(source: Files) -> list[tuple[str, str, str]]:
    return [(fault.where, fault.what, fault.hint) for fault in source.check()]


class TestFiles(SourceSuite):
    plugin = Files

    def make(self, folder: Path) -> Files:
        return Files(path=write(folder / "a.jsonl", json_lines({"text": "い", "n": 1}, {"text": "ろ", "n": 2})))


class TestPreferences(SourceSuite):
    plugin = Files

    def make(self, folder: Path) -> Files:
        said = [{"role": "user", "content": "?"}], [{"role": "assistant", "content": "!"}]
        row = {"question": said[0], "good": said[1], "bad": said[1], "score": 1}
        columns = {"prompt": "question", "chosen": "good", "rejected": "bad"}
        return Files(path=write(folder / "a.jsonl", json_lines(row, row)), columns=columns)


class TestParquetMessages(SourceSuite):
    plugin = Files

    def make(self, folder: Path) -> Files:
        messages = [[{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]]
        pq.write_table(pa.table({"messages": messages, "n": [1]}), folder / "a.parquet")
        return Files(path=str(folder / "a.parquet"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", json_lines({"text": "春", "n": 1}, {"text": "秋", "n": 2})),
        ("a.ndjson", "\r\n".join(json_lines({"text": "春", "n": 1}, {"text": "秋", "n": 2}).splitlines())),
        ("a.json", '[\n {"text": "春", "n": 1},\n {"text": "秋", "n": 2}\n]\n'),
        ("a.json", '{"text": "春", "n": 1}\n{"text": "秋", "n": 2}'),
        ("a.csv", "text,n\r\n春,1\r\n秋,2\r\n"),
        ("a.tsv", "text\tn\n春\t1\n秋\t2"),
        ("bom.csv", "\ufefftext,n\n春,1\n秋,2\n"),
        ("bom.jsonl", "\ufeff" + json_lines({"text": "春", "n": 1}, {"text": "秋", "n": 2})),
    ],
)
@pytest.mark.parametrize("compress", [None, gzip.compress, zstandard.compress])
def test_reads_every_type_also_compressed(
    tmp_path: Path, name: str, content: str, compress: Callable[[bytes], bytes] | None
) -> None:
    suffix = {None: "", gzip.compress: ".gz", zstandard.compress: ".zst"}[compress]
    data = compress(content.encode()) if compress else content
    rows = rows_of(Files(path=write(tmp_path / f"{name}{suffix}", data)))
    assert [(row["text"], int(row["n"])) for row in rows] == [("春", 1), ("秋", 2)]


def test_reads_parquet_with_its_types(tmp_path: Path) -> None:
    table = pa.table({"text": ["春", "秋"], "n": pa.array([1, 2], pa.int16()), "list": [[1], [2]]})
    pq.write_table(table, tmp_path / "a.parquet")
    [found] = Files(path=str(tmp_path / "a.parquet")).load()
    assert found.to_pylist() == [{"text": "春", "n": 1}, {"text": "秋", "n": 2}]
    assert found.schema.field("n").type == pa.int16()


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (TextUnit.file, ["一行目\n二行目\n\n次の段落"]),
        (TextUnit.paragraph, ["一行目\n二行目", "次の段落"]),
        (TextUnit.line, ["一行目", "二行目", "次の段落"]),
    ],
)
def test_a_document_of_plain_text_is_a_file_a_paragraph_or_a_line(
    tmp_path: Path, unit: TextUnit, expected: list[str]
) -> None:
    path = write(tmp_path / "a.txt", "一行目\r\n二行目\n\n次の段落\n")
    assert texts(Files(path=path, text_unit=unit)) == expected


def test_reads_members_of_a_compressed_file_one_after_another(tmp_path: Path) -> None:
    one, two = json_lines({"text": "a"}).encode(), json_lines({"text": "b"}).encode()
    for suffix, compress in (("gz", gzip.compress), ("zst", zstandard.compress)):
        path = write(tmp_path / f"a.jsonl.{suffix}", compress(one) + compress(two))
        assert texts(Files(path=path)) == ["a", "b"]


def test_a_gzip_file_may_be_padded_with_zeros(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", gzip.compress(json_lines({"text": "a"}).encode()) + b"\0" * 2000)
    assert texts(Files(path=path)) == ["a"]


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_file_cut_short_raises_or_is_read_up_to_the_cut(tmp_path: Path, suffix: str) -> None:
    chance = random.Random(0)
    lines = [{"text": "".join(chance.choices("abcdefghijkl", k=60))} for _ in range(20_000)]
    whole = {"gz": gzip.compress, "zst": zstandard.compress}[suffix](json_lines(*lines).encode())
    path = write(tmp_path / f"a.jsonl.{suffix}", whole[: len(whole) * 9 // 10])
    with pytest.raises(KonomiError, match=rf"a\.jsonl\.{suffix}, line \d+ cannot be read"):
        rows_of(Files(path=path))
    source = Files(path=path, on_error=DROP).load()
    rows = [row for table in source for row in table.to_pylist()]
    assert 10_000 < len(rows) < 20_000
    assert rows == lines[: len(rows)]
    assert source.dropped == {"damaged file": 1}


def test_a_flipped_bit_in_a_gzip_file_is_found(tmp_path: Path) -> None:
    lines = [{"text": f"line {n}"} for n in range(200)]
    data = bytearray(gzip.compress(json_lines(*lines).encode()))
    data[-6] ^= 1  # in the checksum at the end: every row could be read, and none is to be trusted
    with pytest.raises(KonomiError, match="cannot be read"):
        rows_of(Files(path=write(tmp_path / "a.jsonl.gz", bytes(data))))


BAD_LINES = [
    (b'{"text": "\xe3\x81"}', "not utf-8"),
    (b'{"text": }', "not JSON"),
    (b'["text"]', "not an object"),
    (b'{"body": "a"}', "column missing"),
    (b'{"text": null}', "column null"),
    (b'{"text": 7}', "not text"),
    (b'{"text": "\\ud83d"}', "half a character"),
    (b'{"text": "a", "n": "one"}', "other type"),
    (b"[" * 5000, "not JSON"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_a_bad_row_is_named_with_its_file_and_line(tmp_path: Path, line: bytes, reason: str) -> None:
    good = json_lines(*({"text": "ok", "n": 1} for _ in range(150))).encode()
    path = write(tmp_path / "a.jsonl", good + line + b"\n" + good)
    with pytest.raises(KonomiError, match=r"a\.jsonl, line 151 ") as caught:
        rows_of(Files(path=path))
    assert "on_error=drop" in str(caught.value)


def test_bad_rows_are_dropped_and_counted_by_reason(tmp_path: Path) -> None:
    good = json_lines(*({"text": "ok", "n": 1} for _ in range(100))).encode()
    path = write(tmp_path / "a.jsonl", good + b"\n".join(line for line, _ in BAD_LINES) + b"\n" + good)
    source = Files(path=path, on_error=DROP).load()
    assert [row["text"] for table in source for row in table.to_pylist()] == ["ok"] * 200
    assert sum(source.dropped.values()) == len(BAD_LINES)
    assert set(source.dropped) == {reason for _, reason in BAD_LINES}
    assert sum(table.num_rows for table in source) == 200
    assert sum(source.dropped.values()) == len(BAD_LINES), "counted anew by the second reading"


def test_a_bad_row_among_the_first_is_found_at_plan_time(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n')
    [(where, what, _)] = faults(Files(path=path))
    assert where == "path"
    assert "line 2" in what


def test_csv_rows_that_do_not_fit_the_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"two\nlines, ""quoted""",1\nalone\nc,2,3\nd,4\n')
    source = Files(path=path, on_error=DROP).load()
    rows = [row for table in source for row in table.to_pylist()]
    assert rows == [{"text": 'two\nlines, "quoted"', "label": "1"}, {"text": "d", "label": "4"}]
    assert source.dropped == {"not CSV": 2}
    with pytest.raises(KonomiError, match="line 4 has 1 cells where the header has 2"):
        rows_of(Files(path=path))


def test_csv_goes_on_after_a_line_in_another_encoding(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"text\ngood\n\x83n\x81\xff\nfine\n")
    source = Files(path=path, on_error=DROP).load()
    assert [row["text"] for table in source for row in table.to_pylist()] == ["good", "fine"]
    assert source.dropped == {"not utf-8": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a"}', "row 2 is missing: the file ends before its array does"),
        ('[{"text": "a"} {"text": "b"}]', "row 2 should begin after a comma"),
        ('[{"text": "a"}] []', "row 2 should not be there"),
        ('[{"text": "a"}, {"text": ]', "row 2 is not JSON"),
        ('[{"text": "a"}, 3]', "row 2 holds int"),
    ],
)
def test_a_broken_json_file_is_named_with_its_row(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(KonomiError, match=message.replace("(", r"\(")):
        rows_of(Files(path=write(tmp_path / "a.json", content)))


def test_a_json_array_is_read_across_chunks(tmp_path: Path) -> None:
    rows = [{"text": "あ" * (n * 997 % 50_000), "n": n} for n in range(80)]
    assert len(json.dumps(rows, ensure_ascii=False).encode()) > 3 << 20
    path = write(tmp_path / "a.json", json.dumps(rows, ensure_ascii=False))
    assert rows_of(Files(path=path)) == rows


@pytest.mark.parametrize("encoding", ["cp932", "euc_jp", "iso2022_jp", "utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_reads_other_encodings(tmp_path: Path, encoding: str) -> None:
    content = json_lines({"text": "吾輩は猫である。"}, {"text": "名前はまだ無い。\n"})
    path = write(tmp_path / "a.jsonl", content.encode(encoding))
    assert texts(Files(path=path, encoding=encoding)) == ["吾輩は猫である。", "名前はまだ無い。\n"]


@pytest.mark.parametrize(("encoding", "hint"), [("cp932", "cp932"), ("euc_jp", "encoding="), ("utf-16", "utf-16")])
def test_another_encoding_is_recognised(tmp_path: Path, encoding: str, hint: str) -> None:
    path = write(tmp_path / "a.txt", "吾輩は猫である。名前はまだ無い。".encode(encoding))
    [(_, what, _)] = faults(Files(path=path))
    assert "is not utf-8" in what
    assert hint in what


def test_an_unknown_encoding_is_a_fault(tmp_path: Path) -> None:
    assert faults(Files(path=write(tmp_path / "a.txt", "a"), encoding="utf8ish"))[0][0] == "encoding"


def test_a_path_may_hold_spaces_japanese_and_brackets(tmp_path: Path) -> None:
    path = write(tmp_path / "私の 資料 [1]" / "本文 (改).jsonl", json_lines({"text": "a"}))
    assert texts(Files(path=path)) == ["a"]
    assert texts(Files(path=str(tmp_path / "私の 資料 [1]"))) == ["a"]


@pytest.mark.parametrize(("stored", "typed"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_is_found_in_either_unicode_form(tmp_path: Path, stored: str, typed: str) -> None:
    def form(name: str, which: Any) -> str:
        return unicodedata.normalize(which, name)

    write(tmp_path / form("データ", stored) / form("がぎぐ.jsonl", stored), json_lines({"text": "a"}))
    assert form("がぎぐ", "NFC") != form("がぎぐ", "NFD")
    assert texts(Files(path=str(tmp_path / form("データ", typed) / form("がぎぐ.jsonl", typed)))) == ["a"]
    assert texts(Files(path=str(tmp_path / form("データ", typed) / form("が*.jsonl", typed)))) == ["a"]


def test_a_glob_goes_through_folders_and_a_list_keeps_its_order(tmp_path: Path) -> None:
    for name in ("b/2.jsonl", "a/1.jsonl", "3.jsonl", ".hidden/4.jsonl", "a/.5.jsonl"):
        write(tmp_path / name, json_lines({"text": name}))
    assert texts(Files(path=f"{tmp_path}/**/*.jsonl")) == ["3.jsonl", "a/1.jsonl", "b/2.jsonl"]
    assert texts(Files(path=[f"{tmp_path}/b/*", f"{tmp_path}/a/*.jsonl"])) == ["b/2.jsonl", "a/1.jsonl"]
    assert texts(Files(path=[f"{tmp_path}/3.jsonl", f"{tmp_path}/*.jsonl"])) == ["3.jsonl"], "a file counts once"


def test_a_folder_means_its_data_and_not_the_readme_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "README.md", "# about")
    write(tmp_path / "LICENSE", "…")
    assert texts(Files(path=str(tmp_path))) == ["# about"]
    write(tmp_path / "sub" / "a.jsonl", json_lines({"text": "a"}))
    assert texts(Files(path=str(tmp_path))) == ["a"]


def test_nothing_there_is_a_fault_with_the_nearest_names(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", json_lines({"text": "a"}))
    [(where, what, hint)] = faults(Files(path=str(tmp_path / "corpsu.jsonl")))
    assert where == "path"
    assert "corpsu.jsonl" in what
    assert "corpus.jsonl" in hint
    [(_, _, hint)] = faults(Files(path=str(tmp_path / "x" / "*.parquet")))
    assert "corpus.jsonl" in hint
    assert faults(Files())[0][0] == "path"
    assert faults(Files(path=3))[0][0] == "path"


def test_an_unknown_suffix_is_a_fault_and_can_be_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.data", json_lines({"text": "a"}))
    [(_, what, hint)] = faults(Files(path=path))
    assert ".data" in what
    assert "type=jsonl" in hint
    assert texts(Files(path=path, type=FileType.jsonl)) == ["a"]


def test_columns_are_renamed_and_a_wrong_name_lists_what_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json_lines({"body": "b", "text": "t", "year": 1906}))
    assert rows_of(Files(path=path, columns={"text": "body"})) == [{"text": "b", "year": 1906}]
    [(where, _, hint)] = faults(Files(path=path, columns={"text": "boddy"}))
    assert where == "columns.text"
    assert "did you mean body?" in hint


def test_rows_of_no_format_are_a_fault_that_says_what_to_type(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json_lines({"id": "1", "body": "b"}))
    source = Files(path=path)
    [(where, what, hint)] = faults(source)
    assert where == "columns"
    assert "id, body" in what
    assert "columns.text=body" in hint
    assert source.columns_known() is None
    with pytest.raises(Faults):
        source.load()
    assert rows_of(Files(path=path, gives=Gives.rows)) == [{"id": "1", "body": "b"}]


def test_a_column_that_cannot_be_text_is_a_fault(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json_lines({"text": 3}))
    [(where, what, _)] = faults(Files(path=path))
    assert where == "columns.text"
    assert "must be strings" in what


def test_a_format_can_be_demanded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json_lines({"text": "a", "prompt": "p", "completion": "c"}))
    assert Files(path=path).format() == "prompt_completion"
    assert Files(path=path, gives=Gives.text).format() == "text"
    assert Files(path=path, columns={"text": "text"}).format() == "text", "what the user names goes first"
    where = {fault[0] for fault in faults(Files(path=path, gives=Gives.preference))}
    assert where == {"columns.chosen", "columns.rejected"}


def test_answers_are_all_strings_or_all_conversations(tmp_path: Path) -> None:
    said = [{"role": "assistant", "content": "!"}]
    path = write(tmp_path / "a.jsonl", json_lines({"prompt": "?", "chosen": said, "rejected": said}))
    [(where, what, _)] = faults(Files(path=path))
    assert where == "columns"
    assert "all be strings or all conversations" in what


def test_a_message_with_more_than_text_is_no_text_message(tmp_path: Path) -> None:
    good = {"messages": [{"role": "user", "content": "?"}]}
    bad = {"messages": [{"role": "user", "content": "?", "tool_calls": [1]}]}
    source = Files(path=write(tmp_path / "a.jsonl", json_lines(good, bad)), on_error=DROP).load()
    assert [row for table in source for row in table.to_pylist()] == [good]
    assert source.dropped == {"not messages": 1}


def test_further_plain_columns_are_kept_and_can_be_chosen(tmp_path: Path) -> None:
    row = {"text": "a", "n": 1, "share": 0.5, "yes": True, "tags": ["x"], "mixed": "s"}
    path = write(tmp_path / "a.jsonl", json_lines(row, {**row, "n": 2, "share": 1, "mixed": 3}))
    kept = rows_of(Files(path=path))
    assert [list(row) for row in kept] == [["text", "n", "share", "yes", "mixed"]] * 2
    assert kept[1] == {"text": "a", "n": 2, "share": 1.0, "yes": True, "mixed": "3"}
    assert [list(row) for row in rows_of(Files(path=path, keep=["yes"]))] == [["text", "yes"]] * 2
    assert [list(row) for row in rows_of(Files(path=path, keep=[]))] == [["text"]] * 2
    assert faults(Files(path=path, keep=["shar"]))[0][2].startswith("did you mean share?")
    assert faults(Files(path=path, keep=["tags"]))[0][0] == "keep"


def test_a_number_beyond_64_bits_is_kept_as_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json_lines({"text": "a", "id": 1 << 70}))
    assert rows_of(Files(path=path))[0]["id"] == str(1 << 70)


def test_files_with_other_columns_than_the_first(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "n": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"text": pa.array(["b"], pa.large_string())}), tmp_path / "2.parquet")
    pq.write_table(pa.table({"body": ["c", "d"]}), tmp_path / "3.parquet")
    path = str(tmp_path / "*.parquet")
    with pytest.raises(KonomiError, match=r"3\.parquet, row 1 has no column text \(it has body\)"):
        rows_of(Files(path=path))
    source = Files(path=path, on_error=DROP).load()
    rows = [row for table in source for row in table.to_pylist()]
    assert rows == [{"text": "a", "n": 1}, {"text": "b", "n": None}]
    assert source.dropped == {"column missing": 2}


def test_parquet_rows_that_lack_their_text(tmp_path: Path) -> None:
    broken = pa.array([b"ok", b"\xff\xfe", None, b"fine"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    source = Files(path=str(tmp_path / "a.parquet"), on_error=DROP).load()
    assert [row["text"] for table in source for row in table.to_pylist()] == ["ok", "fine"]
    assert source.dropped == {"not utf-8": 1, "column null": 1}
    with pytest.raises(KonomiError, match=r"a\.parquet, row [23] "):
        rows_of(Files(path=str(tmp_path / "a.parquet")))


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "1.parquet")
    write(tmp_path / "2.parquet", (tmp_path / "1.parquet").read_bytes()[:-9])
    write(tmp_path / "0.parquet", b"PAR1")
    with pytest.raises(KonomiError, match=r"0\.parquet cannot be read"):
        rows_of(Files(path=str(tmp_path)))
    source = Files(path=str(tmp_path), on_error=DROP).load()
    assert [row["text"] for table in source for row in table.to_pylist()] == ["a"]
    assert source.dropped == {"damaged file": 2}


def test_empty_files_give_no_rows_and_only_empty_files_are_a_fault(tmp_path: Path) -> None:
    write(tmp_path / "0.jsonl", "")
    write(tmp_path / "1.jsonl", "\n\n")
    assert "not one row" in faults(Files(path=str(tmp_path)))[0][1]
    write(tmp_path / "2.jsonl", json_lines({"text": "a"}))
    assert texts(Files(path=str(tmp_path))) == ["a"]


def test_limit_takes_the_first_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json_lines(*({"text": str(n)} for n in range(2500))))
    assert texts(Files(path=path, limit=1001)) == [str(n) for n in range(1001)]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz", "a.csv.gz", "a.txt.gz"])
def test_a_record_above_the_limit_is_refused_in_bounded_memory(tmp_path: Path, name: str) -> None:
    begin = {"a.jsonl.gz": b'{"text": "', "a.json.gz": b'[{"text": "', "a.csv.gz": b'text\n"'}.get(name, b"")
    with gzip.open(tmp_path / name, "wb", 1) as stream:
        stream.write(begin)
        for _ in range(60):
            stream.write(b"a" * (1 << 20))
    source = Files(path=str(tmp_path / name), max_record_bytes=1 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(KonomiError, match=r"larger|limit"):
            rows_of(source)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_a_file_that_expands_beyond_measure_is_refused_even_when_rows_are_dropped(tmp_path: Path) -> None:
    line = json_lines({"text": "a" * 1000}).encode()
    path = write(tmp_path / "a.jsonl.gz", gzip.compress(line * 30_000))
    with pytest.raises(KonomiError, match="raise max_ratio"):
        rows_of(Files(path=path, on_error=DROP))
    assert len(texts(Files(path=path, max_ratio=2000))) == 30_000


def test_a_parquet_file_that_expands_beyond_measure_is_refused(tmp_path: Path) -> None:
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), pa.array(["x" * (1 << 20)]))
    pq.write_table(pa.table({"text": long}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 1 << 17
    before = pa.total_allocated_bytes()
    with pytest.raises(KonomiError, match="raise max_ratio"):
        rows_of(Files(path=str(tmp_path / "a.parquet")))
    assert pa.total_allocated_bytes() - before < 64 << 20


def test_the_key_goes_by_content_and_order_and_not_by_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("one", "two"):
        write(tmp_path / folder / "a.jsonl", json_lines({"text": "a"}))
        write(tmp_path / folder / "b.jsonl", json_lines({"text": "b"}))
    first = Files(path=str(tmp_path / "one")).depends()
    assert Files(path=str(tmp_path / "two" / "*.jsonl")).depends() == first
    monkeypatch.chdir(tmp_path)
    assert Files(path="one").depends() == first
    os.utime(tmp_path / "one" / "a.jsonl")
    assert Files(path="one").depends() == first
    (tmp_path / "one" / "a.jsonl").rename(tmp_path / "one" / "c.jsonl")
    assert Files(path="one").depends() != first, "the rows come in another order"
    write(tmp_path / "two" / "c.jsonl", json_lines({"text": "c"}))
    assert Files(path="two").depends() != first


def test_a_flipped_byte_with_the_time_restored_changes_the_key(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, json_lines({"text": "a"}))
    state, first = path.stat(), Files(path=str(path)).depends()
    write(path, json_lines({"text": "b"}))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert Files(path=str(path)).depends() != first
