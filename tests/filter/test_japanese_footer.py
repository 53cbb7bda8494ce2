import pytest

from konomi.filter.japanese_footer import JapaneseFooter
from konomi.testing.filter import FilterSuite
from konomi.units import arrow_texts


class TestJapaneseFooter(FilterSuite):
    plugin = JapaneseFooter


@pytest.fixture
def judge(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("足\n足元\n", encoding="utf-8")
    return JapaneseFooter(words=[str(file)])


def test_a_line_on_the_limit_stays_and_one_past_it_ends_the_text(judge):
    assert judge(["頭\n足足足あいうえおかき"]).texts == ["頭\n足足足あいうえおかき"]
    assert judge(["頭\n足足足あいうえおか\n尾"]).texts == ["頭"]


def test_only_the_last_lines_are_looked_at(judge):
    body = ["足"] + ["本文"] * 10
    assert judge(["\n".join(body)]).texts == ["\n".join(body)]
    assert judge(["\n".join(body[:-1])]).texts == [""]


def test_a_long_foot_goes_whole(judge):
    verdicts = judge(["本文\n" * 3 + "\n".join(["足元"] * 35), "足\n足", "足", ""])
    assert verdicts.texts == ["本文\n本文\n本文", "", "", ""]
    assert verdicts.scores["lines"].tolist() == [35, 2, 1, 0]


def test_each_text_is_cut_by_itself(judge):
    found = judge.annotate(arrow_texts(["一\n足", "二", "足\n三", "四\n\n足\n𠮷\n"]))
    assert found.texts.to_pylist() == ["一", None, "", "四\n"]
    assert found.scores["lines"].tolist() == [1, 0, 2, 3]


def test_the_list_that_ships_knows_the_foot_of_a_page():
    page = "犬の話です。\n散歩に行きました。"
    foot = "\n前の記事 | 次の記事\nこの記事へのトラックバック\nCopyright (C) 2024 All Rights Reserved."
    prose = "今日はヘルプを頼んで会社案内を書いた、という長い文です。"
    assert JapaneseFooter()([page + foot, prose]).texts == [page, prose]


def test_wrong_options_are_faults():
    wrong = {"max_ratio": 2, "lines": 0, "words": ["none.txt"]}
    assert [fault.where for fault in JapaneseFooter(**wrong).check()] == list(wrong)
    assert list(JapaneseFooter().check()) == []


def test_literature_has_no_foot_but_its_colophon(real_rows):
    texts = [row["text"] for row in real_rows("aozora_ja")]
    assert JapaneseFooter().annotate(arrow_texts(texts)).scores["lines"].sum() < 0.1 * len(texts)
