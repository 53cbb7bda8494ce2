"""Corpora that are damaged: the damage is told with its place, or left out and counted, and nothing else is lost."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from konomi.testing.archives import conversion, response, zipped

from .desk import Desk

BEFORE = [f"a good text, number {number}" for number in range(120)]
"""More rows than a plan looks at."""
AFTER = ["後の文章", "the last text"]
HTML = "<html><body><article>" + "<p>This is a paragraph of the page, and it says something.</p>" * 5


@dataclass(frozen=True)
class Damage:
    """A damaged corpus; what is said of it, and what is left where it is dropped."""

    name: str
    files: Mapping[str, bytes]
    said: str
    """File, row and what is wrong there; empty where no row is wrong and nothing stops."""
    dropped: Mapping[str, int]
    kept: list[str] = field(default_factory=lambda: [*BEFORE, *AFTER])
    options: tuple[str, ...] = ()


def lines(*texts: str, encoding: str = "utf-8") -> bytes:
    return "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts).encode(encoding)


def around(damage: bytes, encoding: str = "utf-8") -> bytes:
    return lines(*BEFORE, encoding=encoding) + damage + lines(*AFTER, encoding=encoding)


def parquet(**columns: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def not_utf8_parquet() -> bytes:
    import pyarrow as pa

    texts = pa.array([*(text.encode() for text in BEFORE), b"\xff\xfe", *(text.encode() for text in AFTER)])
    return parquet(text=texts.view(pa.string()))


def pages(*records: bytes) -> bytes:
    before = [conversion(f"https://a/{number}", text) for number, text in enumerate(BEFORE)]
    return zipped([*before, *records])


CRAWL = pages(*(conversion(f"https://b/{number}", text * 40) for number, text in enumerate(AFTER)))
TRUNCATED = gzip.compress(lines(*BEFORE)) + gzip.compress(lines("x" * 9000, *AFTER))[:40]
AFTER_PAGES = [conversion(f"https://b/{number}", text) for number, text in enumerate(AFTER)]
DEEP = response("https://c/deep", b"<div>" * 300_000)
WIDE = response("https://c/bomb", gzip.compress(b"<p>" * 9_000_000), headers={"Content-Encoding": "gzip"})
WARC = ("source=warc", "source.extractor=resiliparse")
# fmt: off
DAMAGES = (
    Damage("broken UTF-8", {"a.jsonl": around(b'{"text": "\xff\xfe"}\n')}, "a.jsonl, line 121 byte 0xff at 10 is not utf-8", {"not utf-8": 1}),
    Damage("broken UTF-8 in Parquet", {"a.parquet": not_utf8_parquet()}, "a.parquet, row 121 has bytes in text that are not UTF-8", {"not utf-8": 1}),
    Damage("NUL bytes", {"a.jsonl": around(b"\0\0\0\0\n")}, "a.jsonl, line 121 is not JSON", {"not JSON": 1}),
    Damage("NUL characters in a text", {"a.jsonl": around(lines("a\0b"))}, "", {}, [*BEFORE, "a\0b", *AFTER]),
    Damage("a truncated gz", {"a.jsonl.gz": TRUNCATED, "b.jsonl": lines(*AFTER)}, "a.jsonl.gz, line 121 cannot be read: the gzip stream ends too early", {"damaged file": 1}),
    Damage("rows without the column", {"a.jsonl": around(b'{"body": "x"}\n{"text": null}\n')}, "a.jsonl, line 121 has no column text (it has body)", {"column missing": 1, "column null": 1}),
    Damage("a shard without the column", {"a.jsonl": lines(*BEFORE), "b.parquet": parquet(body=["x", "y"]), "c.jsonl": lines(*AFTER)}, "b.parquet, row 1 has no column text (it has body)", {"column missing": 2}),
    Damage("a line of 100 MB", {"a.jsonl": around(b'{"text": "' + b"x" * 100_000_000 + b'"}\n')}, "a.jsonl, line 121 is larger than max_record_bytes=16777216", {"record too large": 1}),
    Damage("Shift-JIS that is said", {"a.jsonl": around(lines("表示と能力", encoding="cp932"), "cp932")}, "", {}, [*BEFORE, "表示と能力", *AFTER], ("source.encoding=cp932",)),
    Damage("encodings that are mixed", {"a.jsonl": around(lines("表示と能力", encoding="cp932"))}, "a.jsonl, line 121 byte 0x95 at 10 is not utf-8; it may be cp932", {"not utf-8": 1}),
    Damage("an empty shard", {"a.jsonl": lines(*BEFORE), "b.jsonl": b"", "c.jsonl": lines(*AFTER), "d.jsonl.gz": b""}, "", {}),
    Damage("an empty shard of Parquet", {"a.jsonl": lines(*BEFORE), "b.parquet": parquet(text=[]), "c.jsonl": lines(*AFTER)}, "", {}),
    Damage("bombs of HTML", {"a.warc.gz": pages(DEEP, WIDE, *AFTER_PAGES)}, "", {"extractor over its time limit": 1, "page too large": 1}, options=(*WARC, "source.timeout=0.5")),
    Damage("a crawl that is cut in the middle", {"a.warc.gz": CRAWL[:-40], "b.warc.gz": zipped(AFTER_PAGES)}, "a.warc.gz, record 122 ", {"damaged file": 1}, [*BEFORE, AFTER[0] * 40, *AFTER], WARC),
    Damage("a crawl that is no archive", {"a.warc.gz": pages(*AFTER_PAGES), "b.warc.gz": gzip.compress(HTML.encode())}, "b.warc.gz, record 1 cannot be read", {"damaged file": 1}, options=WARC),
)
# fmt: on


def run(desk: Desk, damage: Damage, *words: str) -> tuple[int, str]:
    for name, content in damage.files.items():
        desk.write(f"corpus/{name}", content)
    answer = desk.type("run", "small", *damage.options, "source.path=corpus", *words)
    assert "Traceback" not in answer.said
    return answer.code, answer.said


def param(damage: Damage) -> object:
    large = sum(map(len, damage.files.values())) > 1 << 20 or WARC[0] in damage.options
    return pytest.param(damage, id=damage.name.replace(" ", "_"), marks=[pytest.mark.slow] if large else [])


@pytest.mark.parametrize("damage", map(param, DAMAGES))
def test_damage_is_told_with_its_place_or_dropped_and_counted(damage: Damage, desk: Desk) -> None:
    if damage.said:
        code, said = run(desk, damage)
        assert (code in (1, 2), damage.said in said, desk.made()) == (True, True, []), said
    code, said = run(desk, damage, *(["source.on_error=drop"] if damage.said else []))
    assert (code, desk.made()) == (0, ["curate"]), said
    [made] = (desk.store.root / "objects").iterdir()
    assert texts(made) == sorted(damage.kept)
    assert unread(desk, made) == damage.dropped


def texts(artifact: Path) -> list[str]:
    import pyarrow.parquet as pq

    read = [pq.read_table(file, columns=["text"]) for file in (artifact / "data").glob("*.parquet")]
    return sorted(text for table in read for text in table.column("text").to_pylist())


def unread(desk: Desk, artifact: Path) -> Mapping[str, int]:
    counted: Mapping[str, int] = desk.store.manifest(artifact.name)["results"]["unread"]
    return counted
