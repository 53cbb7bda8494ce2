"""Data that is wrong, and data that only looks so."""

from __future__ import annotations

import gzip
import json
import os
import socket
import unicodedata

from .desk import Case, Desk, table

GZ = gzip.compress(b'{"text": "a long enough row to be cut"}\n' * 500)
LONG = "長" * 80  # 240 bytes: most file systems end at 255


def rows(
    name: str,
    content: str | bytes,
    says: tuple[str, ...] = (),
    code: int = 2,
    file: str = "rows.jsonl",
    more: tuple[str, ...] = (),
) -> Case:
    return Case(name, (_verb(code), "small", f"source.path={file}", *more), says, code, {file: content})


def _verb(code: int) -> str:
    """Return the command that shows a fault: what a look at the first rows tells is told by the plan."""
    return "plan" if code == 2 else "run"


def zst() -> bytes:
    import zstandard

    return zstandard.compress(os.urandom(3000).hex().encode())


def parquet(**columns: list[object]) -> bytes:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def at(name: str, *words: str, says: tuple[str, ...] = (), code: int = 2, prepare=None, files=None) -> Case:
    return Case(name, (_verb(code), "small", *words), says, code, files or {}, prepare)


def fifo(desk: Desk) -> None:
    os.mkfifo(desk.folder / "pipe.jsonl")


def bound(desk: Desk) -> None:
    with socket.socket(socket.AF_UNIX) as held:
        held.bind("socket.jsonl")


def decomposed(desk: Desk) -> None:
    desk.write(unicodedata.normalize("NFD", "ガイド.jsonl"), '{"text": "a"}\n')


def hub_folder(desk: Desk) -> None:
    desk.write("set/train.jsonl", '{"text": "a"}\n')


# fmt: off
CASES = (
    at("no path", "source.path=", says=("curate.source.path: says nothing to read ('')", "type curate.source.path=texts/*.jsonl.zst")),
    at("a path that is null", "source.path=null", says=("curate.source.path: says nothing to read (None)", "type curate.source.path=texts/*.jsonl.zst")),
    at("a path that is a number", "source.path=3", says=("curate.source.path: says nothing to read (3)", "type curate.source.path=texts/*.jsonl.zst")),
    at("paths of which one is empty", "source.path=[rows.jsonl,'']", says=("curate.source.path: says nothing to read (['rows.jsonl', ''])", "type curate.source.path=texts/*.jsonl.zst")),
    at("a path that is not there", "source.path=rowz.jsonl", says=("curate.source.path: nothing matches rowz.jsonl", "did you mean rows.jsonl or pairs.jsonl?")),
    at("a path in a folder that is not there", "source.path=/nowhere/at/all.jsonl", says=("curate.source.path: nothing matches /nowhere/at/all.jsonl", "/ holds: ")),
    at("a glob that matches nothing", "source.path=texts/**/*.jsonl", says=("curate.source.path: nothing matches texts/**/*.jsonl", "holds: conf, pairs.jsonl, pyproject.toml, recipes, rows.jsonl")),
    at("a folder that is empty", "source.path=empty", prepare=lambda desk: (desk.folder / "empty").mkdir(), says=("curate.source.path: the folder empty holds no file of a known type", "known: .jsonl, .ndjson, .json, .parquet, .csv, .tsv, .txt, .md, .gz,")),
    at("a folder without data", "source.path=pictures", files={"pictures/a.png": b"\x89PNG"}, says=("curate.source.path: the folder pictures holds no file of a known type", "known: .jsonl, .ndjson, .json, .parquet, .csv, .tsv, .txt, .md, .gz,")),
    at("a folder named like a file", "source.path=x.jsonl", prepare=lambda desk: (desk.folder / "x.jsonl").mkdir(), says=("curate.source.path: the folder x.jsonl holds no file of a known type", "known: .jsonl, .ndjson, .json, .parquet, .csv, .tsv, .txt, .md, .gz,")),
    at("a file of no known suffix", "source.path=rows.dat", files={"rows.dat": "a"}, says=("curate.source.path: rows.dat has the suffix .dat, which says no type (known: .jsonl, .ndjson, .json,", "say what it is: curate.source.type=jsonl|json|parquet|csv|tsv|text")),
    at("a pipe", "source.path=pipe.jsonl", prepare=fifo, says=("curate.source.path: pipe.jsonl is no file that can be read twice", "write the rows to a file first")),
    at("a socket", "source.path=socket.jsonl", prepare=bound, says=("curate.source.path: socket.jsonl is no file that can be read twice", "write the rows to a file first")),
    at("a device", "source.path=/dev/null", "source.type=jsonl", says=("curate.source.path: /dev/null is no file that can be read twice", "write the rows to a file first")),
    at("a link to nothing", "source.path=link.jsonl", prepare=lambda desk: (desk.folder / "link.jsonl").symlink_to("gone"), says=("curate.source.path: link.jsonl is a link to what is not there", "write the rows to a file first")),
    at("a link to itself", "source.path=link.jsonl", prepare=lambda desk: (desk.folder / "link.jsonl").symlink_to("link.jsonl"), says=("curate.source.path: link.jsonl is a link to what is not there", "write the rows to a file first")),
    at("a name too long for the system", f"source.path={'a' * 300}.jsonl", says=("curate.source.path:",)),
    rows("a name of nearly 255 bytes", '{"text": "a"}\n', code=0, file=f"{LONG}.jsonl"),
    rows("a path of more than 250 characters", '{"text": "a"}\n', code=0, file=f"{'d' * 120}/{'e' * 120}/{'f' * 60}.jsonl"),
    rows("a path with blanks and Japanese", '{"text": "a"}\n', code=0, file="コーパス 第1巻 (改)/本文=1.jsonl"),
    rows("a path with a quote and a comma", '{"text": "a"}\n', code=0, file='it\'s, "quoted".jsonl'),
    rows("a path with a bracket", '{"text": "a"}\n', code=0, file="rows[1].jsonl"),
    rows("a path with a line feed", '{"text": "a"}\n', code=0, file="ro\nws.jsonl"),
    at("a name stored decomposed and typed composed", "source.path=ガイド.jsonl", code=0, prepare=decomposed),
    rows("an empty file", "", says=("curate.source.path: there is not one row in rows.jsonl",)),
    rows("a file of blank lines", "\n \n\n", says=("curate.source.path: there is not one row in rows.jsonl",)),
    rows("a header without rows", "text,year\n", file="rows.csv", says=("curate.source.path: there is not one row in rows.csv",)),
    rows("a CSV that is empty", "", file="rows.csv", says=("curate.source.path: there is not one row in rows.csv",)),
    rows("a CSV with a row that is too short", "text,year\na,1\nb\n", file="rows.csv", says=("curate.source.path: rows.csv, line 3 has 1 cells where the header has 2", "on_error=drop leaves such rows out and counts them")),
    rows("a CSV with a quote that is not closed", 'text\n"a\nb\n', file="rows.csv", says=("curate.source.path: rows.csv, line 3 is not CSV: unexpected end of data", "on_error=drop leaves such rows out and counts them")),
    rows("a CSV with a column twice", "text,text\na,b\n", file="rows.csv", says=("curate.source.path: rows.csv, line 1 the header names text more than once", "on_error=drop leaves such rows out and counts them")),
    rows("a CSV in Shift-JIS", "text\n日本語\n".encode("cp932"), file="rows.csv", says=("curate.source.path: rows.csv, line 1 byte 0x93 at 0 is not utf-8; it may be cp932: source.encoding=cp932", "on_error=drop leaves such rows out and counts them")),
    rows("rows without the column", '{"txet": "a"}\n', says=("curate.source.columns: the columns are those of no format (found: txet; formats: text (text) · messages", "type curate.source.columns.text=txet, or curate.source.gives=rows to feed a generator")),
    rows("rows whose text has another name", '{"body": "a", "year": 1}\n', says=("curate.source.columns: the columns are those of no format (found: body, year; formats: text (text) · messages", "type curate.source.columns.text=body, or curate.source.gives=rows to feed a generator")),
    rows("a column that is not there", '{"text": "a"}\n', more=("source.columns.text=body",), says=("curate.source.columns.text: there is no column body", "known: text")),
    rows("a column to keep that is not there", '{"text": "a"}\n', more=("source.keep=[yaer]",), says=("curate.source.keep: there is no column yaer", "known: text")),
    rows("a row without the column", '{"text": "a"}\n{"year": 1}\n', code=1, says=("rows.jsonl, line 2 has no column text (it has year)",)),
    rows("a row with null", '{"text": "a"}\n{"text": null}\n', code=1, says=("rows.jsonl, line 2 has null in the column text",)),
    rows("a column of nulls", '{"text": null}\n', says=("curate.source.columns.text: the column text holds nothing that can be read as one; text must be strings",)),
    rows("a column of numbers", '{"text": 1}\n', says=("curate.source.columns.text: the column text holds int64; text must be strings",)),
    rows("a number among texts", '{"text": "a"}\n{"text": 1}\n', code=1, says=("rows.jsonl, line 2 has int 1 in text; expected a string",)),
    rows("numbers as text", '{"text": "1"}\n', code=0),
    rows("a list among texts", '{"text": ["a"]}\n', says=("curate.source.columns.text: the column text holds nothing that can be read as one; text must be strings",)),
    at("shards of several types", "source.path=[a.jsonl,b.jsonl]", "source.keep=[n]", code=1, files={"a.jsonl": '{"text": "a", "n": 1}\n', "b.jsonl": '{"text": "b", "n": "x"}\n'}, says=("b.jsonl, line 1 has str 'x' in n, where the first rows have int64; keep=[…] names the columns to keep",)),
    at("shards of which one lacks the column", "source.path=[a.jsonl,b.jsonl]", code=1, files={"a.jsonl": '{"text": "a"}\n', "b.jsonl": '{"body": "b"}\n'}, says=("b.jsonl, line 1 has no column text (it has body)",)),
    at("shards of which one is empty", "source.path=[a.jsonl,b.jsonl]", code=0, files={"a.jsonl": "", "b.jsonl": '{"text": "b"}\n'}),
    rows("a broken line of JSON", '{"text": "a"}\n{"text": "b"\n', says=("curate.source.path: rows.jsonl, line 2 is not JSON: Expecting ',' delimiter: line 1 column 13 (char 12); it", "on_error=drop leaves such rows out and counts them")),
    rows("a broken line of JSON after the first hundred", '{"text": "a"}\n' * 150 + '{"text": \n', code=1, says=("rows.jsonl, line 151 is not JSON: Expecting value: line 1 column 10 (char 9); it begins '{\"text\": '",)),
    rows("a broken line of JSON that is dropped", '{"text": "a"}\n{"text": \n', code=0, more=("source.on_error=drop",)),
    rows("only broken lines that are dropped", '{"text": \n', more=("source.on_error=drop",), says=("curate.source.path: there is not one row in rows.jsonl",)),
    rows("a line that is a number", "3\n", says=("curate.source.path: rows.jsonl, line 1 holds int '3'; expected an object with columns", "on_error=drop leaves such rows out and counts them")),
    rows("a line of JSON as deep as the sea", '{"text": ' + "[" * 100_000 + "\n", says=("curate.source.path: rows.jsonl, line 1 is nested too deeply", "on_error=drop leaves such rows out and counts them")),
    rows("JSON in place of lines", json.dumps([{"text": "a"}], indent=1), says=("curate.source.path: rows.jsonl, line 1 is not JSON: Expecting value: line 1 column 2 (char 1); it begins '[", "on_error=drop leaves such rows out and counts them")),
    rows("an array that is not closed", '[{"text": "a"},', file="rows.json", says=("curate.source.path: rows.json, row 2 is missing: the file ends before its array does", "on_error=drop leaves such rows out and counts them")),
    rows("an array without a comma", '[{"text": "a"} {"text": "b"}]', file="rows.json", says=("curate.source.path: rows.json, row 2 should begin after a comma, found '{'", "on_error=drop leaves such rows out and counts them")),
    rows("a page of HTML", "<!DOCTYPE html><html>404</html>\n", says=("curate.source.path: rows.jsonl, line 1 is not JSON: Expecting value: line 1 column 1 (char 0); it begins", "on_error=drop leaves such rows out and counts them")),
    rows("a pointer of Git LFS", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", says=("curate.source.path: rows.jsonl, line 1 is a pointer of Git LFS, not the data; type: git lfs pull", "on_error=drop leaves such rows out and counts them")),
    rows("a broken byte", b'{"text": "a"}\n{"text": "\xff"}\n', says=("curate.source.path: rows.jsonl, line 2 byte 0xff at 10 is not utf-8; it may be cp932: source.encoding=cp932", "on_error=drop leaves such rows out and counts them")),
    rows("Shift-JIS", '{"text": "日本語の文章です"}\n'.encode("cp932"), says=("curate.source.path: rows.jsonl, line 1 byte 0x93 at 10 is not utf-8; it may be cp932: source.encoding=cp932", "on_error=drop leaves such rows out and counts them")),
    rows("UTF-16", '{"text": "a"}\n'.encode("utf-16"), says=("curate.source.path: rows.jsonl, line 1 byte 0xff at 0 is not utf-8; it may be utf-16: source.encoding=utf-16", "on_error=drop leaves such rows out and counts them")),
    rows("a byte order mark", b'\xef\xbb\xbf{"text": "a"}\n', code=0),
    rows("an encoding that there is none of", '{"text": "a"}\n', more=("source.encoding=utf8mb4",), says=("curate.source.encoding: there is no encoding called utf8mb4", "known: utf-8, cp932, euc_jp …")),
    rows("CRLF", b'{"text": "a"}\r\n{"text": "b"}\r\n', code=0),
    rows("a NUL byte between rows", b'{"text": "a"}\n\0\0\n', says=("curate.source.path: rows.jsonl, line 2 is not JSON: Expecting value: line 1 column 1 (char 0); it begins", "on_error=drop leaves such rows out and counts them")),
    rows("a NUL in a text", '{"text": "a\\u0000b"}\n', code=0),
    rows("half a surrogate pair", '{"text": "a"}\n{"text": "\\ud83d"}\n', code=1, says=("rows.jsonl, line 2 holds half of a surrogate pair, which is no character",)),
    rows("half a surrogate pair that is dropped", '{"text": "a"}\n{"text": "\\ud83d"}\n', code=0, more=("source.on_error=drop",)),
    rows("gz that is cut", GZ[: len(GZ) // 2], file="rows.jsonl.gz", says=("curate.source.path: rows.jsonl.gz, line 14 cannot be read: the gzip stream ends too early", "on_error=drop leaves such rows out and counts them")),
    rows("gz that is none", '{"text": "a"}\n', file="rows.jsonl.gz", says=("curate.source.path: rows.jsonl.gz, line 1 cannot be read: Error -3 while decompressing data: incorrect header", "on_error=drop leaves such rows out and counts them")),
    rows("gz that is empty", b"", file="rows.jsonl.gz", says=("curate.source.path: there is not one row in rows.jsonl.gz",)),
    rows("gz with a broken byte", GZ[:60] + b"\0\0\0" + GZ[63:], file="rows.jsonl.gz", says=("curate.source.path: rows.jsonl.gz, line 1 cannot be read: Error -3 while decompressing data: incorrect data", "on_error=drop leaves such rows out and counts them")),
    rows("gz that is a bomb", gzip.compress(b" " * (40 << 20)), file="rows.jsonl.gz", says=("curate.source.path: rows.jsonl.gz: 40790 bytes expand to more than 16844048, over 200 times their size; if",)),
    rows("zst that is cut", zst()[:200], file="rows.jsonl.zst", says=("curate.source.path: rows.jsonl.zst, line 1 cannot be read: the zstd stream ends too early", "on_error=drop leaves such rows out and counts them")),
    rows("zst that is none", '{"text": "a"}\n', file="rows.jsonl.zst", says=("curate.source.path: rows.jsonl.zst, line 1 cannot be read: zstd decompressor error: Unknown frame descriptor", "on_error=drop leaves such rows out and counts them")),
    rows("Parquet that is cut", parquet(text=["a"])[:-20], file="rows.parquet", says=("curate.source.path: rows.parquet cannot be read: it is no whole Parquet file (Parquet magic bytes not found",)),
    rows("Parquet that is none", "text\n", file="rows.parquet", says=("curate.source.path: rows.parquet cannot be read: it is no whole Parquet file (Parquet file size is 5 bytes,",)),
    rows("Parquet of no bytes", b"", file="rows.parquet", says=("curate.source.path: rows.parquet cannot be read: it is no whole Parquet file (Parquet file size is 0 bytes)",)),
    rows("Parquet without rows", parquet(text=[]), file="rows.parquet", says=("curate.source.columns.text: the column text holds null; text must be strings",)),
    rows("Parquet without the column", parquet(txt=["a"]), file="rows.parquet", says=("curate.source.columns: the columns are those of no format (found: txt; formats: text (text) · messages", "type curate.source.columns.text=txt, or curate.source.gives=rows to feed a generator")),
    rows("Parquet with null", parquet(text=["a", None]), code=1, file="rows.parquet", says=("rows.parquet, row 2 has null in the column text",)),
    rows("Parquet of bytes", parquet(text=[b"\xff"]), file="rows.parquet", says=("curate.source.columns.text: the column text holds binary; text must be strings",)),
    rows("Parquet within gz", gzip.compress(parquet(text=["a"])), file="rows.parquet.gz", says=("curate.source.path: rows.parquet.gz is a compressed Parquet file", "Parquet compresses inside: unpack it once")),
    rows("a row larger than allowed", json.dumps({"text": "a" * 2000}) + "\n", more=("source.max_record_bytes=1000",), says=("curate.source.path: rows.jsonl, line 1 is larger than max_record_bytes=1000; raise it if meant", "on_error=drop leaves such rows out and counts them")),
    rows("one document", '{"text": "a"}\n', code=0),
    rows("a document of no characters", '{"text": ""}\n', code=0),
    rows("a document of ten million characters", json.dumps({"text": "long" * 2_500_000}) + "\n", code=0),
    rows("a document larger than allowed by default", json.dumps({"text": "長い文。" * 1_500_000}, ensure_ascii=False) + "\n", says=("curate.source.path: rows.jsonl, line 1 is larger than max_record_bytes=16777216; raise it if meant", "on_error=drop leaves such rows out and counts them")),
    rows("a large text that is one document", "a line of it\n" * 500_000, code=0, file="rows.txt"),
    rows("a text larger than a document may be", "a line of it\n" * 1_500_000, file="rows.txt", says=("curate.source.path: rows.txt, line 1 is larger than max_record_bytes=16777216; raise it if meant, or take less for a document: text_unit=line",)),
    rows("every document filtered away", '{"text": "a"}\n', code=1, more=("filter=[length]", "filter.length.min_characters=100"), says=("curate: none of 1 documents is left; dropped by length 1; most often for: characters; loosen that step or leave it out",)),
    rows("a share of one document", '{"text": "a"}\n', code=1, more=("curate.test_share=0.5",), says=("all of 1 rows would be held out and none be trained on: too few rows, or all have the same prompt or value of test_by;",)),
    at("a share of nothing", "curate.test_share=0", code=0),
    at("a share of everything", "curate.test_share=1", says=("curate.test_share: 1.0; expected at least 0 and less than 1", "test_share=0.01")),
    at("more rows held out than there are", "curate.test_rows=99", code=1, says=("all of 8 rows would be held out and none be trained on: too few rows, or all have the same prompt or value of test_by;",)),
    at("a share and a number", "curate.test_share=0.1", "curate.test_rows=2", says=("curate.test_rows: test_share is given as well", "give one of the two")),
    at("held out by a column that is not there", "curate.test_share=0.1", "curate.test_by=autor", says=("curate.test_by: the source has no column autor", "known: text")),
    at("conversations without text", "source.path=c.jsonl", "filter=[normalize]", files={"c.jsonl": '{"messages": [{"role": "user", "content": "a"}]}\n'}, says=("curate.filter.normalize: rewrites texts, and rows of the format messages are only judged, never rewritten", "leave it out: 'filter=[]'")),
    at("a conversation of a wrong shape", "source.path=c.jsonl", files={"c.jsonl": '{"messages": [{"from": "user", "value": "a"}]}\n'}, says=("curate.source.columns.messages: the column messages holds nothing that can be read as one; messages must be",)),
)
# fmt: on
# fmt: off
HUB = (
    Case("the hub without a path", ("plan", "hubbed"), ("curate.source.path: names no data set", "type curate.source.path=ORG/NAME or curate.source.path=FOLDER")),
    Case("the hub while offline", ("plan", "hubbed", "source.path=owner/name"), ("curate.source.path: owner/name is not in the hub's cache, and HF_HUB_OFFLINE is set; fetch it once with `hf",)),
    Case("the hub at a revision while offline", ("plan", "hubbed", "source.path=owner/name", "source.revision=v9"), ("curate.source.path: owner/name at v9 is not in the hub's cache, and HF_HUB_OFFLINE is set; fetch it once with",)),
    Case("the hub by a name that is none", ("plan", "hubbed", "source.path=日本語/コーパス"), ("curate.source.path: 日本語/コーパス is neither a folder nor the name of a repository: Repo id must use alphanumeric",)),
    Case("the hub by an address that is none", ("plan", "hubbed", "source.path=hf://models/a"), ("curate.source.path: hf://models/a is no data set; expected hf://datasets/ORG/NAME, perhaps with @REVISION and",)),
    Case("a folder that is not there, for the hub", ("plan", "hubbed", "source.path=./no/folder"), ("curate.source.path: there is no folder ./no/folder, and a repository is called ORG/NAME",)),
    Case("a local set without the split", ("run", "hubbed", "source.path=set", "source.split=trian"), ("set, split trian: datasets cannot read it: Unknown split \"trian\". Should be one of ['train'].",), 1, prepare=hub_folder),
    Case("a local set without the configuration", ("run", "hubbed", "source.path=set", "source.name=nope"), ("set, split train: datasets cannot read it: BuilderConfig 'nope' not found. Available: ['default']",), 1, prepare=hub_folder),
    Case("a local set without the files", ("plan", "hubbed", "source.path=set", "source.data_files=[x.jsonl]"), ("curate.source.data_files: nothing in set matches x.jsonl",), prepare=hub_folder),
    Case("a local set that is empty", ("plan", "hubbed", "source.path=conf"), ("curate.source.path: the folder conf is empty",)),
)
# fmt: on


@table(*CASES)
def test_data_that_is_wrong_is_told(desk: Desk, case: Case) -> None:
    desk.check(case)


@table(*HUB)
def test_a_set_that_cannot_be_had_is_told(desk: Desk, case: Case) -> None:
    recipe = (desk.folder / "recipes/small.yaml").read_text().partition("curate: {")[0]
    desk.write(
        "recipes/hubbed.yaml", recipe.replace("  - _self_", "  - override /source@curate.source: hub\n  - _self_")
    )
    desk.check(case)


def test_a_large_text_that_is_one_document_is_noted_by_a_plan(desk: Desk) -> None:
    desk.write("rows.txt", "a line of it\n" * 500_000)
    noted = "note: rows.txt (6 MB) is read as one document; source.text_unit=line takes each line as one"
    assert noted in desk.type("plan", "small", "source.path=rows.txt").said
    assert "note:" not in desk.type("plan", "small", "source.path=rows.txt", "source.text_unit=line").said
