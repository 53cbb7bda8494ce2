from __future__ import annotations

import gzip
import os
import signal
import zlib
from pathlib import Path
from typing import Any

import psutil
import pytest
import zstandard

from konomi.faults import KonomiError
from konomi.source import _pages, _tables, _warc
from konomi.source._options import OnError
from konomi.source.files import Files
from konomi.source.warc import Extractor, Warc
from konomi.testing.archives import conversion, record, response, zipped
from konomi.testing.source import SourceSuite, rows_of

DROP = OnError["drop"]
SENTENCES = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
ARTICLE = (
    "<html><head><title>猫</title>{head}</head><body><nav><a href='/'>トップ</a></nav><article><h1>猫</h1>"
    f"<p>{SENTENCES * 4}</p><p>{SENTENCES * 3}</p></article><footer>Copyright</footer></body></html>"
)
HTML = ARTICLE.format(head="").encode()


def archive(folder: Path, *records: bytes, name: str = "a.warc.gz") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zipped(records) if name.endswith(".gz") else b"".join(records))
    return str(path)


def read(path: str, **options: Any) -> tuple[dict[str, str], dict[str, int]]:
    """Return the texts by address, and what was left out."""
    rows = Warc(path=path, **{"extractor": Extractor.resiliparse, **options}).load()
    texts = {row["url"]: row["text"] for table in rows for row in table.to_pylist()}
    return texts, rows.dropped


class TestWarc(SourceSuite):
    plugin = Warc

    def make(self, folder: Path) -> Warc:
        archive(folder, record("warcinfo", b"software: x\r\n", ""), response("https://a/1", HTML), name="1/a.warc.gz")
        archive(folder, conversion("https://a/2", SENTENCES, "jpn"), name="2/a.warc.wet.gz")
        return Warc(path=str(folder), extractor=Extractor.resiliparse)


def test_a_row_says_where_a_page_is_from_and_when_it_was_fetched(tmp_path: Path) -> None:
    path = archive(tmp_path, response("https://a/1", HTML), conversion("https://a/2", "two", "jpn,eng"))
    first, second = rows_of(Warc(path=path))
    assert first["text"].count("吾輩は猫である") == 7
    assert "トップ" not in first["text"] and "Copyright" not in first["text"]
    assert (first["url"], first["date"], first["language"]) == ("https://a/1", "2024-02-03T04:05:06Z", None)
    assert (second["text"], second["language"]) == ("two", "jpn,eng")
    assert second["record_id"].startswith("<urn:uuid:")


def test_the_other_extractor_gives_the_main_text_too(tmp_path: Path) -> None:
    texts, _ = read(archive(tmp_path, response("https://a/1", HTML)))
    assert SENTENCES * 4 in texts["https://a/1"] and "トップ" not in texts["https://a/1"]


def test_only_pages_that_were_found_and_are_text_are_taken_and_the_others_counted(tmp_path: Path) -> None:
    path = archive(
        tmp_path,
        record("request", b"GET / HTTP/1.1\r\n\r\n", "https://a/0"),
        response("https://a/1", HTML, status="404 Not Found"),
        response("https://a/2", b"\x89PNG", "image/png"),
        response("https://a/3", "そのまま".encode(), "text/plain; charset=utf-8"),
        response("https://a/4", b"<html><body></body></html>"),
        record("response", b"\x00\x01 no protocol", "https://a/5"),
        record("metadata", b"fetchTimeMs: 3\r\n", "https://a/6"),
        conversion("https://a/7", " \n"),
        response("https://a/8", HTML, "application/xhtml+xml"),
    )
    texts, dropped = read(path)
    assert list(texts) == ["https://a/3", "https://a/8"]
    assert texts["https://a/3"] == "そのまま"
    assert dropped == {
        "HTTP status not 200": 1,
        "neither HTML nor plain text": 1,
        "page without text": 2,
        "no HTTP response": 1,
    }


@pytest.mark.parametrize(
    ("codec", "content_type", "meta"),
    [
        ("cp932", "text/html; charset=Shift_JIS", ""),
        ("cp932", "text/html", '<meta charset="x-sjis">'),
        ("euc_jp", "text/html", '<meta http-equiv="Content-Type" content="text/html; charset=EUC-JP">'),
        ("euc_jp", "text/html", ""),
        ("cp932", "text/html", ""),
        ("cp932", "text/html; charset=UTF-8", '<meta charset="Shift_JIS">'),
        ("iso2022_jp", "text/html; charset=iso-2022-jp", ""),
        ("utf-8-sig", "text/html; charset=Shift_JIS", ""),
        ("utf-16", "text/html", ""),
        ("utf-8", "text/html; charset=utf-9", '<meta charset="hex">'),
    ],
)
def test_a_page_is_decoded_by_what_it_or_its_server_says_or_by_a_guess(
    codec: str, content_type: str, meta: str, tmp_path: Path
) -> None:
    path = archive(tmp_path, response("https://a/1", ARTICLE.format(head=meta).encode(codec), content_type))
    assert SENTENCES * 4 in read(path)[0]["https://a/1"]


def test_a_broken_byte_costs_a_character_and_no_page(tmp_path: Path) -> None:
    path = archive(tmp_path, response("https://a/1", HTML.replace("見当".encode(), b"\xff" + "見当".encode(), 1)))
    text = read(path)[0]["https://a/1"]
    assert "とんと\ufffd見当" in text and text.count("見当") == 7


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "chunked", "said but not so"])
def test_encodings_of_the_transfer_are_undone(encoding: str, tmp_path: Path) -> None:
    import brotli

    packed = {
        "gzip": gzip.compress,
        "br": brotli.compress,
        "deflate": lambda body: zlib.compress(body)[2:-4],
        "zstd": zstandard.compress,
        "chunked": lambda body: b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
    }.get(encoding, lambda body: body)
    said = {"chunked": {"Transfer-Encoding": "chunked"}, "said but not so": {"Content-Encoding": "gzip"}}
    headers = said.get(encoding, {"Content-Encoding": encoding})
    path = archive(tmp_path, response("https://a/1", packed(HTML), headers=headers))
    assert SENTENCES * 4 in read(path)[0]["https://a/1"]


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_a_page_that_unpacks_without_end_is_left_out(encoding: str, tmp_path: Path) -> None:
    import brotli

    bomb = {"gzip": gzip.compress, "br": brotli.compress}[encoding](b"<p>x" * 8_000_000)
    headers = {"Content-Encoding": encoding}
    path = archive(tmp_path, response("https://a/1", bomb, headers=headers), response("https://a/2", HTML))
    texts, dropped = read(path, max_page_bytes=1_000_000)
    assert (list(texts), dropped) == (["https://a/2"], {"page too large": 1})


def test_a_page_beyond_the_largest_size_is_left_out_unread(tmp_path: Path) -> None:
    path = archive(tmp_path, response("https://a/1", b"x" * 3_000_000), conversion("https://a/2", "y" * 3000))
    texts, dropped = read(path, max_page_bytes=2000)
    assert (texts, dropped) == ({}, {"page too large": 2})


def test_a_page_that_takes_too_long_costs_one_process_and_is_counted(tmp_path: Path) -> None:
    slow = b"<html><body>" + b"<p>some words here, and more of them.</p>" * 60_000 + b"</body></html>"
    records = [response("https://a/1", HTML), response("https://a/2", slow), response("https://a/3", HTML)]
    texts, dropped = read(archive(tmp_path, *records), timeout=0.6, extractor=Extractor.trafilatura)
    assert (list(texts), dropped) == (["https://a/1", "https://a/3"], {"extractor over its time limit": 1})


def test_a_process_that_dies_is_replaced_and_only_its_page_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _pages._Worker.ask
    killed: list[int] = []

    def ask(self: Any, page: _pages.Page) -> None:
        if page.charset == "cp437":
            killed.append(self._process.pid)
            os.kill(killed[0], signal.SIGSTOP)
        asked(self, page)
        for number in (signal.SIGSEGV, signal.SIGCONT) if page.charset == "cp437" else ():
            os.kill(killed[0], number)

    monkeypatch.setattr(_pages._Worker, "ask", ask)
    pages = [
        response(f"https://a/{number}", HTML, "text/html; charset=" + ("cp437" if number == 3 else "utf-8"))
        for number in range(6)
    ]
    texts, dropped = read(archive(tmp_path, *pages), workers=2)
    assert list(texts) == [f"https://a/{number}" for number in range(6) if number != 3]
    assert (dropped, len(killed)) == ({"extractor crashed": 1}, 1)


def test_what_a_scheduler_sends_to_every_process_costs_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _pages._Worker.ask
    sent: list[int] = []

    def ask(self: Any, page: _pages.Page) -> None:
        asked(self, page)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
            os.kill(self._process.pid, number)
            sent.append(number)

    monkeypatch.setattr(_pages._Worker, "ask", ask)
    texts, dropped = read(archive(tmp_path, *(response(f"https://a/{number}", HTML) for number in range(4))))
    assert (len(texts), dropped, len(sent)) == (4, {}, 16)


@pytest.mark.slow
def test_deep_nesting_and_huge_attributes_are_survived(tmp_path: Path) -> None:
    deep = b"<div>" * 200_000 + b"word"
    wide = b"<p title='" + b"x" * 5_000_000 + b"'>word</p>"
    entities = b"<p>" + b"&amp;" * 1_000_000 + b"</p>"
    records = [response(f"https://a/{number}", page) for number, page in enumerate((deep, wide, entities))]
    for extractor in Extractor:
        path = archive(tmp_path, *records, response("https://a/good", HTML))
        texts, dropped = read(path, timeout=2, extractor=extractor)
        assert SENTENCES in texts["https://a/good"]
        assert len(texts) + sum(dropped.values()) == 4


@pytest.mark.parametrize("workers", [1, 3])
def test_rows_come_in_the_order_of_the_records(workers: int, tmp_path: Path) -> None:
    records = [
        conversion(f"https://a/{number}", f"text {number}")
        if number % 3
        else response(f"https://a/{number}", b"page", "text/plain")
        for number in range(40)
    ]
    path = archive(tmp_path, *records)
    assert list(read(path, workers=workers)[0]) == [f"https://a/{number}" for number in range(40)]
    assert list(read(path, workers=workers, limit=5)[0]) == [f"https://a/{number}" for number in range(5)]


@pytest.mark.parametrize("name", ["a.warc.gz", "a.warc", "a.warc.zst"])
def test_a_file_cut_in_the_middle_names_the_record_or_keeps_what_was_before(name: str, tmp_path: Path) -> None:
    records = [conversion(f"https://a/{number}", f"text {number}" * 50) for number in range(4)]
    whole = zipped(records) if name.endswith(".gz") else b"".join(records)
    whole = zstandard.compress(whole) if name.endswith(".zst") else whole
    path = tmp_path / name
    cuts = range(len(whole) - 150, len(whole) - 40, 7)
    for cut in cuts if not name.endswith(".zst") else [len(whole) - 9]:
        path.write_bytes(whole[:cut])
        with pytest.raises(KonomiError, match=rf"{name}, record \d"):
            rows_of(Warc(path=str(path)))
        texts, dropped = read(str(path), on_error=DROP)
        assert dropped == {"damaged file": 1}
        assert texts == {f"https://a/{number}": f"text {number}" * 50 for number in range(len(texts))}
        assert len(texts) == 3 or name.endswith(".zst")


def test_damage_in_the_middle_of_a_file_ends_it(tmp_path: Path) -> None:
    first, rest = zipped([conversion("https://a/1", "one")]), zipped([conversion("https://a/2", "two")])
    (tmp_path / "a.warc.gz").write_bytes(first + rest[:30] + b"\0" * 20 + rest[50:] + first)
    assert read(str(tmp_path), on_error=DROP) == ({"https://a/1": "one"}, {"damaged file": 1})
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress(b"<html>no archive</html>" * 9))
    with pytest.raises(KonomiError, match=r"a\.warc\.gz, record 1 cannot be read"):
        rows_of(Warc(path=str(tmp_path)))


def test_an_archive_without_a_page_has_no_row(tmp_path: Path) -> None:
    assert read(archive(tmp_path, name="a.warc.gz")) == ({}, {})


def test_the_key_goes_by_content_and_by_the_version_of_the_extractor(tmp_path: Path) -> None:
    one = Warc(path=archive(tmp_path / "one", conversion("https://a/1", "one"))).depends()
    assert Warc(path=archive(tmp_path / "two", conversion("https://a/1", "one"))).depends() == one
    assert Warc(path=archive(tmp_path / "two", conversion("https://a/1", "two"))).depends() != one
    other = Warc(path=archive(tmp_path / "one", conversion("https://a/1", "one")), extractor=Extractor.resiliparse)
    assert set(one) == {"files", "extractor"}
    assert other.depends()["extractor"] != one["extractor"]


def test_wrong_options_say_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path, conversion("https://a/1", "one"))
    wrong = Warc(path=path, timeout=0, workers=0, limit=-1)
    assert [fault.where for fault in wrong.check()] == ["workers", "timeout", "limit"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    [fault, *_] = Warc(path=path).check()
    assert (fault.what, fault.hint) == ("fastwarc is not installed", "type: pip install 'konomi[web]'")


def test_an_archive_given_to_the_source_of_files_is_sent_here(tmp_path: Path) -> None:
    [fault] = Files(path=archive(tmp_path, conversion("https://a/1", "one"))).check()
    assert "source=warc" in fault.hint
    (tmp_path / "b.jsonl").write_text("{}")
    [fault] = Warc(path=str(tmp_path / "b.jsonl")).check()
    assert ".warc" in fault.what


def test_no_process_stays_behind_where_rows_are_left_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tables, "BATCH_ROWS", 2)
    pages = [response(f"https://a/{number}", b"page", "text/plain") for number in range(9)]
    rows = iter(Warc(path=archive(tmp_path, *pages), extractor=Extractor.resiliparse).load())
    next(rows)
    assert workers_alive() == 1
    rows.close()  # type: ignore[attr-defined]
    assert workers_alive() == 0


def workers_alive() -> int:
    return sum("konomi.source._page_worker" in child.cmdline() for child in psutil.Process().children())


def test_the_stream_gives_no_more_than_it_is_asked_for() -> None:
    stream = _warc._Stream(iter([b"", b"abc", b"defg"]))
    assert [stream.read(2), stream.tell(), stream.read(), stream.read(100), stream.read(5), stream.tell()] == [
        b"ab",
        2,
        b"c",
        b"defg",
        b"",
        7,
    ]
