"""Each of C4's rules on both sides of its threshold, in English and in Japanese."""

import random
import re

import pytest

from konomi.filter.c4 import C4
from konomi.testing.filter import FilterSuite

GOOD = "It rained for the whole day."


class TestC4(FilterSuite):
    plugin = C4


class TestC4WithoutTheRuleOnLineEnds(FilterSuite):
    plugin = C4

    def make(self):
        return C4(filter_no_terminal_punct=False, remove_citations=False)


def left(text, **options):
    """Return what is left of a page."""
    return C4(**options)([text]).texts[0]


def reason(text, **options):
    return C4(**options)([text]).reasons[0]


@pytest.mark.parametrize(
    ("stays", "goes"),
    [
        ("It rained again.", "It rained again"),
        ("Did it rain?", "Did it rain:"),
        ("It rained again!", "It rained again..."),
        ('He said, "it rained"', "He said, it rained…"),
        ("It rained again.", "It rained."),
        ("It was a " + "x" * 999 + ".", "It was a " + "x" * 1000 + "."),
        ("We use java scripts here.", "Please enable JavaScript in your browser."),
        ("Our policy on privacy is short.", "Read our Privacy Policy before you go on."),
        ("The use of a cookie jar is free.", "By going on you accept the use of cookies here."),
    ],
)
def test_a_line_stays_up_to_each_threshold_and_goes_beyond(stays, goes):
    assert left(f"{GOOD}\n{stays}\n{goes}\n{GOOD}") == f"{GOOD}\n{stays}\n{GOOD}"


def test_each_line_is_counted_for_the_rule_that_took_it_out():
    page = "Home\n" + "x" * 1001 + ".\nNo.\nThis is JavaScript code.\nWe use cookies on this site."
    scores = {name: values[0] for name, values in C4()([page]).scores.items() if name.startswith("lines_")}
    assert scores == dict.fromkeys(scores, 1)


@pytest.mark.parametrize(
    ("kept", "dropped", "said"),
    [
        (f"{GOOD} " * 5, f"{GOOD} " * 4, "sentences 4 < 5"),
        (f"{GOOD}\n" * 5, f"{GOOD}\n" * 4 + "No end here", "sentences 4 < 5"),
        (f"{GOOD}\n" * 5 + "(a)", f"{GOOD}\n" * 5 + "{", "curly brackets 1 > 0"),
        (f"{GOOD}\n" * 5 + "lorem", f"{GOOD}\n" * 5 + "Lorem Ipsum dolor", "lorem ipsum 1 > 0"),
    ],
)
def test_a_page_is_kept_up_to_each_threshold_and_dropped_beyond(kept, dropped, said):
    assert reason(kept) is None
    assert reason(dropped) == said


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", 3),
        ("He paid 3.5 dollars at example.com today.", 1),
        ("See e.g. the second part.", 1),
        ('"Stop!" He ran. (They did not.) Then it was over.', 4),
        ("Wait... What happened here?", 2),
        ("No end at all", 1),
        ("昨日は雨だった。今日は晴れた！明日はどうなる？", 3),
        ("「もう帰ろう。」彼はそう言った。", 2),
        ("円周率は3.14である。", 1),
        ("本当に！？そうなのか。", 2),
        ("終わりのない行", 1),
    ],
)
def test_sentences_are_counted_by_their_ends(text, sentences):
    options = {"filter_no_terminal_punct": False, "min_words_per_line": 1}
    assert C4(**options)([text]).scores["sentences"][0] == sentences


def test_marks_of_citations_go():
    line = "It rained[1] for a day[citation needed] or two.[12][edit]"
    assert left(line) == "It rained for a day or two."
    assert left(line, remove_citations=False, filter_no_terminal_punct=False) == line
    assert left("It rained [[3]4] for days.") == "It rained  for days."
    assert left("An array a[] or a[i] stays.") == "An array a[] or a[i] stays."


def test_japanese_pages_are_cleaned_as_english_ones():
    page = "\n".join([
        "ホーム｜会社案内｜お問い合わせ",
        "昨日は雨が降ったので、家で本を読んでいた。",
        "「もう帰ろう。」",
        "そして彼は何も言わずに去っていった……",
        "当サイトではクッキーを使用しています。",
        "プライバシーポリシーをご確認ください。",
        "はい。",
        "夕方になると空が晴れた。子供たちは外へ出かけた。",
    ])  # fmt: skip
    assert left(page).split("\n") == [page.split("\n")[at] for at in (1, 2, 7)]
    assert reason(page, min_num_sentences=4) is None
    assert reason(page, min_num_sentences=5) == "sentences 4 < 5"


def test_a_page_of_good_lines_is_not_written_anew():
    import pyarrow as pa

    page = f"{GOOD}\n{GOOD}"
    found = C4().annotate(pa.array([page, f"{page}\nHome", page, "", "Home"], pa.large_string()))
    assert found.texts.to_pylist() == [None, page, None, None, ""]


def plain(text):
    """The rules on lines, spelled out for English."""
    kept = []
    for line in text.split("\n"):
        while True:
            shorter = re.sub(r"\[\d+\]|\[edit\]|\[citation needed\]", "", line)
            if shorter == line:
                break
            line = shorter
        line, low = line.strip(), line.lower()
        words = line.split()
        notices = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
        if (
            len(words) >= 3
            and max(map(len, words)) <= 1000
            and line.endswith((".", "!", "?", '"', "'"))
            and not line.endswith("...")
            and not any(phrase in low for phrase in ("javascript", *notices))
        ):
            kept.append(line)
    return "\n".join(kept)


def test_lines_stay_as_the_rules_spelled_out_say():
    draw = random.Random(8)
    pieces = ["It", "rained", "again.", "so...", "JavaScript", "use", "cookies", "[1]", "[edit]", "[", "2]", "]",
              '"yes"', "naïve", "why?", "\n", "\n\n", " \t", "x" * 1000, "y" * 1001]  # fmt: skip
    texts = [
        "".join(draw.choice(["", " ", " "]) + draw.choice(pieces) for _ in range(draw.randint(0, 60)))
        for _ in range(400)
    ]
    once = C4(language="en")(texts).texts
    assert once == [plain(text) for text in texts]
    assert C4(language="en")(once).texts == once


def test_pages_may_be_kept_whatever_they_hold():
    off = {"filter_lorem_ipsum": False, "filter_curly_bracket": False, "min_num_sentences": 0}
    assert reason("{ lorem ipsum }", **off) is None


def test_wrong_options_are_faults():
    assert [fault.where for fault in C4(max_word_length=-2, language="xx").check()] == ["language", "max_word_length"]
