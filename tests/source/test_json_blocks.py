"""JSON lines through Arrow's parser: what comes out is what the careful path gives, whatever the lines hold."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import pytest

from konomi.faults import KonomiError
from konomi.source import _bytes, _json_blocks
from konomi.source._options import OnError
from konomi.source.files import Files

HEAD = '{"text": "始", "n": 1, "score": 0.5, "ok": true, "tags": ["x"]}\n' * 3
GOOD = (
    '{"text": "words", "n": 7, "score": 1e-3, "ok": false}',
    '{"n": -5, "text": "\\u3042\\n\\"quoted\\" \\ud842\\udfb7 🍣"}',
    '{"text": "", "n": null, "score": null, "ok": null, "deep": {"a": [{"text": 1}]}}',
    '{"score": 3, "te\\u0078t": "an escaped name"}',
)
ODD = (
    "",
    "   ",
    "\r",
    "not json",
    "[1]",
    "7",
    '"text"',
    "null",
    "{}",
    '{"text": "a"} {"text": "b"}',
    '{"text": "a"}{"text": "b"}',
    '{"text": "a"},',
    '{"text": "a"',
    '{"text": "a", }',
    '{"text": null}',
    '{"text": 5}',
    '{"text": ["a"]}',
    '{"text": {"a": "b"}}',
    '{"text": "a", "text": "b"}',
    '{"text": "a", "n": 1.0}',
    '{"text": "a", "n": 1e2}',
    '{"text": "a", "n": "1"}',
    '{"text": "a", "n": true}',
    '{"text": "a", "n": 99999999999999999999}',
    '{"text": "a", "n": 9223372036854775807}',
    '{"text": "a", "score": "1"}',
    '{"text": "a", "score": NaN}',
    '{"text": "a", "score": -Infinity}',
    '{"text": "a", "score": 1e999}',
    '{"text": "a", "score": 12345678901234567}',
    '{"text": "a", "ok": 1}',
    '{"text": "a", "ok": "true"}',
    '{"text": "half \\ud800"}',
    '{"text": "half \\udc00"}',
    '{"text": "half \\ud800\\u0041"}',
    '{"text": "nul \\u0000 inside"}',
    '{"text": "raw \x00 inside"}',
    '{"text": "raw \t tab"}',
    '{"text": "a", "other": "\\ud800"}',
    '{"text": "a", "n": 01}',
    '{"text": "a", "n": +1}',
    '{"text": "a", "n": -0}',
    '{"text": "a", "score": .5}',
    "{'text': 'a'}",
    '{"text": "a"} // said',
    '\ufeff{"text": "a"}',
    '  {"text": "blanks around"}  ',
    '{"text": "a"}\r',
    '{"text": "' + "long" * 300 + '"}',
    '{"x": {}',
    ', "text": "a"}',
)


def outcome(path: Path, **options: Any) -> tuple[list[dict[str, Any]], dict[str, int], str]:
    """Return the rows, what was dropped, and what is said of the first bad row."""
    rows = Files(path=str(path), on_error=OnError["drop"], max_record_bytes=1000, **options).load()
    kept = [row | {"score": str(row["score"])} for table in rows for row in table.to_pylist()]  # nan is not nan
    said = ""
    try:
        list(Files(path=str(path), max_record_bytes=1000, **options).load())
    except KonomiError as error:
        said = str(error)
    return kept, rows.dropped, said


def both(path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Any, Any]:
    fast = outcome(path, **options)
    with monkeypatch.context() as patch:
        patch.setattr(_json_blocks, "suits", lambda layout: False)
        return fast, outcome(path, **options)


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_an_odd_line_gives_what_the_careful_path_gives(
    odd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(HEAD * 40 + "\n".join([*GOOD, odd, *GOOD]) + "\n", encoding="utf-8")
    fast, careful = both(path, monkeypatch)
    assert fast == careful
    assert len(fast[0]) >= 128


@pytest.mark.parametrize("seed", range(8))
def test_any_order_of_lines_in_blocks_of_any_size(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = random.Random(seed)
    lines = [source.choice(ODD if source.random() < 0.02 * seed else GOOD) for _ in range(600)]
    body = (HEAD * 40 + "\n".join(lines)).encode()
    path = tmp_path / "a.jsonl.gz" if seed % 2 else tmp_path / "a.jsonl"
    path.write_bytes(gzip.compress(body)[: -9 if seed == 5 else None] if seed % 2 else body)
    monkeypatch.setattr(_bytes, "CHUNK", source.choice([64, 700, 5000, 1 << 20]))
    fast, careful = both(path, monkeypatch)
    assert fast[:2] == careful[:2]
    assert fast[2] == careful[2]


def test_whole_good_blocks_take_the_fast_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(HEAD + "\n".join(GOOD), encoding="utf-8")
    monkeypatch.setattr(_json_blocks, "json_line_records", lambda *given: pytest.fail("went the careful path"))
    kept, dropped, said = outcome(path, columns={"text": "text"})
    assert ([row["text"] for row in kept[3:]], dropped, said) == (
        ["words", 'あ\n"quoted" 𠮷 🍣', "", "an escaped name"],
        {},
        "",
    )


@pytest.mark.parametrize("encoding", ["cp932", "euc_jp", "utf-16"])
def test_other_encodings_and_line_ends(encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    body = (HEAD + '{"text": "表示、能力", "n": 2}\n').replace("\n", "\r\n")
    path.write_bytes(body.encode(encoding))
    fast, careful = both(path, monkeypatch, encoding=encoding)
    assert fast == careful
    assert fast[0][-1]["text"] == "表示、能力"
    path.write_bytes(body.encode(encoding) + b'{"text": "\x81"}\r\n')
    assert both(path, monkeypatch, encoding=encoding)[0] == both(path, monkeypatch, encoding=encoding)[1]


def test_a_line_of_many_blocks_beyond_the_limit_is_one_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(HEAD * 40 + '{"text": "' + "x" * 9000 + '"}\n{"text": "after"}\n')
    monkeypatch.setattr(_bytes, "CHUNK", 512)
    fast, careful = both(path, monkeypatch)
    assert fast == careful
    assert (fast[0][-1]["text"], fast[1]) == ("after", {"record too large": 1})
    assert "line 121 is larger than max_record_bytes=1000" in fast[2]
