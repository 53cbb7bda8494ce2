import pyarrow as pa
import pytest

from konomi.dedup import _cuts
from konomi.dedup._options import Occurrence
from konomi.dedup.lines import Lines
from konomi.testing.dedup import DedupSuite, write_corpus


class TestLines(DedupSuite):
    plugin = Lines
    finds_copies = False


def left(plugin, folder, texts):
    """Return the texts without what is cut."""
    found = plugin.find(write_corpus(folder, texts, shards=2, group_rows=2))
    cut = _cuts.without(pa.array(texts, pa.large_string()), found.cuts).to_pylist()
    return [text if new is None else new for text, new in zip(texts, cut, strict=True)]


NOTICE = "Copyright by the authors, all rights reserved"
MENU = "ホーム｜会社概要｜お問い合わせ｜サイトマップ｜採用情報｜ニュース"


def test_a_line_stays_in_the_first_document_that_has_it(tmp_path):
    texts = [f"一\n{NOTICE}\n二", f"{NOTICE}\n三\n", f"{MENU}\r\n四", f"五\n{MENU}\n{NOTICE}"]
    assert left(Lines(), tmp_path, texts) == [texts[0], "三\n", texts[2], "五\n"]
    none = Lines(keep=Occurrence.none)
    assert left(none, tmp_path, texts) == ["一\n二", "三\n", "四", "五\n"]


def test_what_repeats_within_one_document_alone_is_left(tmp_path):
    texts = [f"{NOTICE}\n一\n{NOTICE}", "二"]
    assert left(Lines(), tmp_path, texts) == texts
    twice = [f"{NOTICE}\n一\n{NOTICE}", f"{NOTICE}\n二\n{NOTICE}"]
    assert left(Lines(), tmp_path, twice) == [twice[0], "二\n"]


@pytest.mark.parametrize(("least_count", "cut"), [(2, True), (3, True), (4, False)])
def test_a_line_is_cut_from_so_many_documents_on(tmp_path, least_count, cut):
    texts = [f"{NOTICE}\n{number}" for number in range(3)]
    assert (left(Lines(least_count=least_count), tmp_path, texts) == [texts[0], "1", "2"]) == cut
    if not cut:
        assert left(Lines(least_count=least_count), tmp_path, texts) == texts


def test_case_punctuation_and_white_space_do_not_count(tmp_path):
    texts = [NOTICE, f"  {NOTICE.upper().replace(',', ' --')}  ", NOTICE.replace("authors", "author")]
    assert left(Lines(), tmp_path, texts) == [texts[0], "", texts[2]]


@pytest.mark.parametrize(("least", "expected"), [(5, ""), (6, "あい、うえお。")])
def test_short_lines_stay(tmp_path, least, expected):
    assert left(Lines(least_characters=least), tmp_path, ["あい、うえお。"] * 2)[1] == expected


@pytest.mark.parametrize(
    ("options", "where"),
    [({"least_count": 1}, "least_count"), ({"least_characters": 0}, "least_characters"), ({"threads": -1}, "threads")],
)
def test_options_that_cannot_work_are_faults(options, where):
    assert [fault.where for fault in Lines(**options).check()] == [where]


def test_real_pages_lose_the_lines_that_counting_finds(real_rows, tmp_path):
    texts = [row["text"] for row in real_rows("technical_docs_en")[:300]]
    seen, expected = set(), []
    for text in texts:
        lines = text.splitlines(keepends=True)
        folded = ["".join(c for c in line.lower() if c.isalnum() or c == " ").split() for line in lines]
        plain = [line.isascii() and sum(map(len, words)) >= 20 for line, words in zip(lines, folded, strict=True)]
        own = {" ".join(words) for words, counted in zip(folded, plain, strict=True) if counted}
        expected.append(sum(" ".join(w) in seen for w, counted in zip(folded, plain, strict=True) if counted))
        seen |= own
    found = Lines().find(write_corpus(tmp_path, texts)).cuts
    cut = sum(
        texts[document].encode()[start:end].decode().count("\n")
        for document, start, end in zip(found.document, found.start, found.end, strict=True)
    )
    assert sum(expected) > 1000
    assert cut == pytest.approx(sum(expected), rel=0.1)  # ASCII words alone are folded alike here
