import pyarrow as pa

from konomi.dedup import _cuts
from konomi.dedup.paragraphs import Paragraphs
from konomi.testing.dedup import DedupSuite, write_corpus


class TestParagraphs(DedupSuite):
    plugin = Paragraphs
    finds_copies = False


NOTICE = "このページの無断転載を\n固く禁じます。ご利用の前にお読みください。"


def left(folder, texts):
    """Return the texts without what is cut."""
    found = Paragraphs().find(write_corpus(folder, texts, group_rows=2))
    cut = _cuts.without(pa.array(texts, pa.large_string()), found.cuts).to_pylist()
    return [text if new is None else new for text, new in zip(texts, cut, strict=True)]


def test_paragraphs_end_at_blank_lines_however_their_lines_are_broken(tmp_path):
    texts = [f"一\n\n{NOTICE}\n\n二", f"三\n \t\n\n{NOTICE.replace(chr(10), '')}\n\n\n四\n", f"五\n{NOTICE}", NOTICE]
    assert left(tmp_path, texts) == [texts[0], "三\n \t\n\n四\n", texts[2], ""]


def test_a_line_of_its_own_is_no_paragraph(tmp_path):
    line = "the same line in both of the documents"
    texts = [f"one\n{line}\ntwo", f"three\n{line}\nfour"]
    assert left(tmp_path, texts) == texts


def test_blank_documents_are_left_alone(tmp_path):
    texts = ["", "\n", "\n\n \n", "  ", "\n\na"]
    assert left(tmp_path, texts) == texts
