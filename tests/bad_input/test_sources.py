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


def rows(name: str, content: str | bytes, *says: str, code: int = 2, file: str = "rows.jsonl", more: tuple[str, ...] = ()) -> Case:
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


CASES = (
    at("no path", "source.path="),
    at("a path that is null", "source.path=null"),
    at("a path that is a number", "source.path=3"),
    at("paths of which one is empty", "source.path=[rows.jsonl,'']"),
    at("a path that is not there", "source.path=rowz.jsonl"),
    at("a path in a folder that is not there", "source.path=/nowhere/at/all.jsonl"),
    at("a glob that matches nothing", "source.path=texts/**/*.jsonl"),
    at("a folder that is empty", "source.path=empty", prepare=lambda desk: (desk.folder / "empty").mkdir()),
    at("a folder without data", "source.path=pictures", files={"pictures/a.png": b"\x89PNG"}),
    at("a folder named like a file", "source.path=x.jsonl", prepare=lambda desk: (desk.folder / "x.jsonl").mkdir()),
    at("a file of no known suffix", "source.path=rows.dat", files={"rows.dat": "a"}),
    at("a pipe", "source.path=pipe.jsonl", prepare=fifo),
    at("a socket", "source.path=socket.jsonl", prepare=bound),
    at("a device", "source.path=/dev/null", "source.type=jsonl"),
    at("a link to nothing", "source.path=link.jsonl", prepare=lambda desk: (desk.folder / "link.jsonl").symlink_to("gone")),
    at("a link to itself", "source.path=link.jsonl", prepare=lambda desk: (desk.folder / "link.jsonl").symlink_to("link.jsonl")),
    at("a name too long for the system", f"source.path={'a' * 300}.jsonl"),
    rows("a name of nearly 255 bytes", '{"text": "a"}\n', code=0, file=f"{LONG}.jsonl"),
    rows("a path of more than 250 characters", '{"text": "a"}\n', code=0, file=f"{'d' * 120}/{'e' * 120}/{'f' * 60}.jsonl"),
    rows("a path with blanks and Japanese", '{"text": "a"}\n', code=0, file="コーパス 第1巻 (改)/本文=1.jsonl"),
    rows("a path with a quote and a comma", '{"text": "a"}\n', code=0, file="it's, \"quoted\".jsonl"),
    rows("a path with a bracket", '{"text": "a"}\n', code=0, file="rows[1].jsonl"),
    rows("a path with a line feed", '{"text": "a"}\n', code=0, file="ro\nws.jsonl"),
    at("a name stored decomposed and typed composed", "source.path=ガイド.jsonl", code=0, prepare=decomposed),
    rows("an empty file", ""),
    rows("a file of blank lines", "\n \n\n"),
    rows("a header without rows", "text,year\n", file="rows.csv"),
    rows("a CSV that is empty", "", file="rows.csv"),
    rows("a CSV with a row that is too short", "text,year\na,1\nb\n", file="rows.csv"),
    rows("a CSV with a quote that is not closed", 'text\n"a\nb\n', file="rows.csv"),
    rows("a CSV with a column twice", "text,text\na,b\n", file="rows.csv"),
    rows("a CSV in Shift-JIS", "text\n日本語\n".encode("cp932"), file="rows.csv"),
    rows("rows without the column", '{"txet": "a"}\n'),
    rows("rows whose text has another name", '{"body": "a", "year": 1}\n'),
    rows("a column that is not there", '{"text": "a"}\n', more=("source.columns.text=body",)),
    rows("a column to keep that is not there", '{"text": "a"}\n', more=("source.keep=[yaer]",)),
    rows("a row without the column", '{"text": "a"}\n{"year": 1}\n'),
    rows("a row with null", '{"text": "a"}\n{"text": null}\n'),
    rows("a column of nulls", '{"text": null}\n'),
    rows("a column of numbers", '{"text": 1}\n'),
    rows("a number among texts", '{"text": "a"}\n{"text": 1}\n'),
    rows("numbers as text", '{"text": "1"}\n', code=0),
    rows("a list among texts", '{"text": ["a"]}\n'),
    at("shards of several types", "source.path=[a.jsonl,b.jsonl]", "source.keep=[n]", files={"a.jsonl": '{"text": "a", "n": 1}\n', "b.jsonl": '{"text": "b", "n": "x"}\n'}),
    at("shards of which one lacks the column", "source.path=[a.jsonl,b.jsonl]", files={"a.jsonl": '{"text": "a"}\n', "b.jsonl": '{"body": "b"}\n'}),
    at("shards of which one is empty", "source.path=[a.jsonl,b.jsonl]", code=0, files={"a.jsonl": "", "b.jsonl": '{"text": "b"}\n'}),
    rows("a broken line of JSON", '{"text": "a"}\n{"text": "b"\n'),
    rows("a broken line of JSON after the first hundred", '{"text": "a"}\n' * 150 + '{"text": \n', code=1),
    rows("a broken line of JSON that is dropped", '{"text": "a"}\n{"text": \n', code=0, more=("source.on_error=drop",)),
    rows("only broken lines that are dropped", '{"text": \n', more=("source.on_error=drop",)),
    rows("a line that is a number", "3\n"),
    rows("a line of JSON as deep as the sea", '{"text": ' + "[" * 100_000 + "\n"),
    rows("JSON in place of lines", json.dumps([{"text": "a"}], indent=1)),
    rows("an array that is not closed", '[{"text": "a"},', file="rows.json"),
    rows("an array without a comma", '[{"text": "a"} {"text": "b"}]', file="rows.json"),
    rows("a page of HTML", "<!DOCTYPE html><html>404</html>\n"),
    rows("a pointer of Git LFS", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"),
    rows("a broken byte", b'{"text": "a"}\n{"text": "\xff"}\n'),
    rows("Shift-JIS", '{"text": "日本語の文章です"}\n'.encode("cp932")),
    rows("UTF-16", '{"text": "a"}\n'.encode("utf-16")),
    rows("a byte order mark", b'\xef\xbb\xbf{"text": "a"}\n', code=0),
    rows("an encoding that there is none of", '{"text": "a"}\n', more=("source.encoding=utf8mb4",)),
    rows("CRLF", b'{"text": "a"}\r\n{"text": "b"}\r\n', code=0),
    rows("a NUL byte between rows", b'{"text": "a"}\n\0\0\n'),
    rows("a NUL in a text", '{"text": "a\\u0000b"}\n', code=0),
    rows("half a surrogate pair", '{"text": "a"}\n{"text": "\\ud83d"}\n', code=1),
    rows("half a surrogate pair that is dropped", '{"text": "a"}\n{"text": "\\ud83d"}\n', code=0, more=("source.on_error=drop",)),
    rows("gz that is cut", GZ[: len(GZ) // 2], file="rows.jsonl.gz"),
    rows("gz that is none", '{"text": "a"}\n', file="rows.jsonl.gz"),
    rows("gz that is empty", b"", file="rows.jsonl.gz"),
    rows("gz with a broken byte", GZ[:60] + b"\0\0\0" + GZ[63:], file="rows.jsonl.gz"),
    rows("gz that is a bomb", gzip.compress(b" " * (40 << 20)), file="rows.jsonl.gz"),
    rows("zst that is cut", zst()[:200], file="rows.jsonl.zst"),
    rows("zst that is none", '{"text": "a"}\n', file="rows.jsonl.zst"),
    rows("Parquet that is cut", parquet(text=["a"])[:-20], file="rows.parquet"),
    rows("Parquet that is none", "text\n", file="rows.parquet"),
    rows("Parquet of no bytes", b"", file="rows.parquet"),
    rows("Parquet without rows", parquet(text=[]), file="rows.parquet"),
    rows("Parquet without the column", parquet(txt=["a"]), file="rows.parquet"),
    rows("Parquet with null", parquet(text=["a", None]), code=1, file="rows.parquet"),
    rows("Parquet of bytes", parquet(text=[b"\xff"]), file="rows.parquet"),
    rows("Parquet within gz", gzip.compress(parquet(text=["a"])), file="rows.parquet.gz"),
    rows("a row larger than allowed", json.dumps({"text": "a" * 2000}) + "\n", more=("source.max_record_bytes=1000",)),
    rows("one document", '{"text": "a"}\n', code=0),
    rows("a document of no characters", '{"text": ""}\n'),
    rows("a document of ten million characters", json.dumps({"text": "長い文。" * 2_500_000}) + "\n", code=1),
    rows("every document filtered away", '{"text": "a"}\n', code=1, more=("filter=[length]",)),
    rows("a share of one document", '{"text": "a"}\n', code=1, more=("curate.test_share=0.5",)),
    at("a share of nothing", "curate.test_share=0", code=0),
    at("a share of everything", "curate.test_share=1"),
    at("more rows held out than there are", "curate.test_rows=99"),
    at("a share and a number", "curate.test_share=0.1", "curate.test_rows=2"),
    at("held out by a column that is not there", "curate.test_share=0.1", "curate.test_by=autor"),
    at("conversations without text", "source.path=c.jsonl", "filter=[normalize]", files={"c.jsonl": '{"messages": [{"role": "user", "content": "a"}]}\n'}),
    at("a conversation of a wrong shape", "source.path=c.jsonl", files={"c.jsonl": '{"messages": [{"from": "user", "value": "a"}]}\n'}),
    at("the hub, offline", "source=hub", "source.path=no/such", "~curate.source.path"),
)
HUB = (
    Case("the hub without a path", ("plan", "hubbed"), ()),
    Case("the hub while offline", ("plan", "hubbed", "source.path=owner/name"), ()),
    Case("the hub at a revision while offline", ("plan", "hubbed", "source.path=owner/name", "source.revision=v9"), ()),
    Case("the hub by a name that is none", ("plan", "hubbed", "source.path=日本語/コーパス"), ()),
    Case("the hub by an address that is none", ("plan", "hubbed", "source.path=hf://models/a"), ()),
    Case("a folder that is not there, for the hub", ("plan", "hubbed", "source.path=./no/folder"), ()),
    Case("a local set without the split", ("run", "hubbed", "source.path=set", "source.split=trian"), (), 1, prepare=hub_folder),
    Case("a local set without the configuration", ("run", "hubbed", "source.path=set", "source.name=nope"), (), 1, prepare=hub_folder),
    Case("a local set without the files", ("plan", "hubbed", "source.path=set", "source.data_files=[x.jsonl]"), (), prepare=hub_folder),
    Case("a local set that is empty", ("plan", "hubbed", "source.path=conf"), ()),
)


@table(*CASES[:-1])
def test_data_that_is_wrong_is_told(desk: Desk, case: Case) -> None:
    desk.check(case)


@table(*HUB)
def test_a_set_that_cannot_be_had_is_told(desk: Desk, case: Case) -> None:
    recipe = (desk.folder / "recipes/small.yaml").read_text().partition("curate: {")[0]
    desk.write("recipes/hubbed.yaml", recipe.replace("  - _self_", "  - override /source@curate.source: hub\n  - _self_"))
    desk.check(case)
