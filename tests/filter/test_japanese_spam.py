import math
import random
import sys
from collections import Counter

import pytest

from konomi.filter._nouns import Analyser
from konomi.filter.japanese_spam import JapaneseSpam
from konomi.testing.filter import FilterSuite

FIELDS = JapaneseSpam.__dataclass_fields__
DEFAULTS = {name: field.default for name, field in FIELDS.items()}
LIMITS = {name: limit for name, limit in DEFAULTS.items() if name.startswith("max_")}
OFF = {name: 1.0 if isinstance(limit, float) and limit <= 1 else 10**9 for name, limit in LIMITS.items()}


class TestJapaneseSpam(FilterSuite):
    plugin = JapaneseSpam


class TestJapaneseSpamWithoutLimits(FilterSuite):
    plugin = JapaneseSpam

    def make(self):
        return JapaneseSpam(**OFF, short_line=5, ngram=3)


def reason(text, name):
    """Judge by the named rule alone."""
    return JapaneseSpam(**OFF | {name: DEFAULTS[name]})([text]).reasons[0]


LINE = "あいうえおかきくけこさ"
SIDES = [
    ("max_board_words", "投稿と" * 14, "投稿と" * 15, "board words 15 > 14"),
    ("max_board_words", "2024年1月2日と" * 14, "2024/01/02と" * 15, "board words 15 > 14"),
    ("max_advertisement_words", "送料無料と" * 14, "送料無料と" * 15, "advertisement words 15 > 14"),
    ("max_nouns", "カメ、カメ、漢字、漢字あ、" + "x、" * 5, "カ、" * 5, "nouns 1.000 > 0.8"),
    ("max_mean_sentence", "あ" * 99 + "。", "あ" * 100 + "。", "mean sentence 101.000 > 100"),
    ("max_special_characters", "ああああああ！？★…", "あああああ！？★…", "special characters 0.444 > 0.4"),
    ("max_run", "あ" * 199 + "い", "い" + "あ" * 200, "longest run 200 > 199"),
    ("max_ellipsis_lines", "あ…\n" * 7 + "あ\n" * 3, "あ…\n" * 8 + "あ\n" * 3, "ellipsis lines 0.727 > 0.7"),
    ("max_short_lines", f"{LINE}\n{LINE[:10]}", f"{LINE}\n{LINE[:10]}\n短い", "short lines 0.667 > 0.5"),
]


@pytest.mark.parametrize(("name", "kept", "dropped", "why"), SIDES, ids=[side[0] for side in SIDES])
def test_a_limit_keeps_what_is_on_it_and_drops_what_is_past_it(name, kept, dropped, why):
    if name == "max_nouns":
        assert JapaneseSpam()(["カ" + "い" * 5]).scores["nouns"].tolist() == [0.25]
        kept = "カ、" * 12 + "い" * 5  # 12 of 15 words
    assert (reason(kept, name), reason(dropped, name)) == (None, why)


def repetition(text, size):
    """BigScience's definition, spelled out."""
    counts = sorted(Counter(text[at : at + size] for at in range(len(text) - size + 1)).values(), reverse=True)
    if not counts:
        return 0.0
    taken = min(math.isqrt(len(counts)), sum(count > 1 for count in counts))
    return sum(counts[:taken]) / sum(counts)


def test_the_repetition_is_that_of_the_most_frequent_ngrams():
    draw = random.Random(4)
    texts = ["".join(draw.choices("あいう漢\n", k=draw.randint(0, 300))) for _ in range(60)]
    for size in (1, 3, 5):
        expected = [repetition(text, size) for text in texts]
        assert JapaneseSpam(ngram=size)(texts).scores["repetition"].tolist() == pytest.approx(expected)


def test_a_limit_on_repetition_is_kept_and_what_is_past_it_dropped():
    text = "あいうえおかきくけこ" * 3 + "さしすせそたちつてとなにぬねの"
    share = repetition(text, 5)
    on, past = (JapaneseSpam(**OFF | {"max_repetition": limit}) for limit in (share, share - 1e-9))
    assert on([text]).reasons == [None]
    assert past([text]).reasons[0].startswith("repetition 0.")


def test_nouns_are_estimated_from_the_scripts():
    texts = ["リンゴ、漢字、ABC", "それはとてもむずかしい", "食べる", "", "東京都庁へ行く"]
    assert JapaneseSpam()(texts).scores["nouns"].tolist() == pytest.approx([1, 0, 0.5 / 2.2, 0, 2.5 / 4.2])


def test_white_space_is_special_and_empty_lines_are_none():
    scores = JapaneseSpam()(["あ　い\n\n \nう"]).scores
    assert scores["special_characters"].tolist() == [5 / 8]
    assert scores["short_lines"].tolist() == [1.0]


def test_an_analyser_that_is_not_installed_is_a_fault(monkeypatch):
    monkeypatch.setitem(sys.modules, "fugashi", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (fault,) = JapaneseSpam(analyser=Analyser.fugashi).check()
    assert (fault.where, fault.hint) == ("analyser", "pip install 'konomi[japanese]', or analyser=none")


@pytest.mark.parametrize("analyser", [Analyser.fugashi, Analyser.sudachipy])
def test_an_analyser_counts_the_nouns(analyser):
    pytest.importorskip(analyser.value)
    judge = JapaneseSpam(**OFF | {"max_nouns": 0.8}, analyser=analyser)
    verdicts = judge(["リンゴ・オレンジ・ミカン・バナナ", "今日の仙台朝市ではリンゴが安いです。\n\n", ""])
    assert verdicts.reasons == ["nouns 1.000 > 0.8", None, None]
    assert 0.3 < verdicts.scores["nouns"][1] < 0.7


def test_lists_are_data(tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("納豆\n", encoding="utf-8")
    judge = JapaneseSpam(board_words=[str(file)], advertisement_words=[str(file)])
    scores = judge(["納豆と投稿と送料無料"]).scores
    assert (scores["board_words"].tolist(), scores["advertisement_words"].tolist()) == ([1], [1])
    assert judge.depends() != JapaneseSpam().depends()


def test_wrong_options_are_faults():
    wrong = {"max_nouns": 2, "max_short_lines": -1, "ngram": 0, "board_words": ["none.txt"]}
    assert [fault.where for fault in JapaneseSpam(**wrong).check()] == list(wrong)
    assert list(JapaneseSpam().check()) == []


def test_limits_shape_no_score():
    decides = {name for name in FIELDS if FIELDS[name].metadata.get("decides")}
    assert decides == set(OFF)


def test_literature_is_no_spam(real_rows):
    texts = [row["text"] for row in real_rows("aozora_ja")]
    dropped = Counter(why and why.split(" ")[0] for why in JapaneseSpam(max_mean_sentence=1e9)(texts).reasons)
    assert dropped[None] > 0.9 * len(texts)
