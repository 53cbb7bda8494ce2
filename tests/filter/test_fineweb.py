"""Each of FineWeb's rules on both sides of its threshold, in English and in Japanese."""

import random

import pytest

from konomi.filter.fineweb import FineWeb
from konomi.testing.filter import FilterSuite

LONG = "This is a line of some length, number {}"
JAPANESE = "これは{}番目の行で、十分な長さがあって最後まで書かれている。"


class TestFineWeb(FilterSuite):
    plugin = FineWeb


def lines(count, ended, form=LONG, end="."):
    """Return a page of different lines, of which the first `ended` end with terminal punctuation."""
    return "\n".join(form.format(1000 + number) + (end if number < ended else "") for number in range(count))


def reason(text, **options):
    return FineWeb(**options)([text]).reasons[0]


@pytest.mark.parametrize(
    ("kept", "dropped", "said"),
    [
        (lines(100, 12), lines(100, 11), "terminal lines 0.110 < 0.12"),
        (lines(33, 33) + "\n" + "\n".join(f"Short line, {n}." for n in range(67)),
         lines(32, 32) + "\n" + "\n".join(f"Short line, {n}." for n in range(68)), "short lines 0.680 > 0.67"),
        ("x" * 30 + ".", "x" * 29 + ".", "short lines 1.000 > 0.67"),
    ],
)  # fmt: skip
def test_each_rule_holds_up_to_its_threshold_and_not_beyond(kept, dropped, said):
    assert reason(kept) is None
    assert reason(dropped).startswith(said)


def test_repeats_of_one_character_in_a_hundred_are_kept_and_of_more_dropped():
    page = "\n".join([*(f"{number} and {'x' * 41}." for number in range(10, 30)), "abcde fgh.", "abcde fgh."])
    scores = FineWeb()([page]).scores
    assert scores["duplicate_line_characters"][0] == 10 / 1000
    assert reason(page, new_line_ratio=1) is None
    assert reason(f"{page}\nabcde fgh.", new_line_ratio=1).startswith("duplicate line characters 0.020 > 0.01")


def test_three_newlines_for_ten_words_are_kept_and_four_dropped():
    words = "a quick brown fox jumps over the lazy dog again."
    assert reason(f"{words}\n\n\n", short_line_length=5) is None
    assert reason(f"{words}\n\n\n\n", short_line_length=5) == "newlines per word 0.400 > 0.3"


def plain(text):
    """The rules, spelled out for English."""
    found = [line.strip() for line in text.split("\n") if line.strip()]
    seen, repeated = set(), 0
    for line in found:
        repeated += len(line) if line in seen else 0
        seen.add(line)
    count = max(len(found), 1)
    return {
        "lines": len(found),
        "terminal_lines": sum(line.endswith((".", "!", "?", '"', "'", "”", "’")) for line in found) / count,
        "short_lines": sum(len(line) <= 30 for line in found) / count,
        "duplicate_line_characters": repeated / max(sum(map(len, found)), 1),
        "newlines_per_word": text.count("\n") / max(len(text.split()), 1),
    }


def test_scores_are_those_of_the_definition_spelled_out():
    draw = random.Random(6)
    pieces = [
        "word",
        "naïve",
        "end.",
        'say "so"',
        "ask?",
        "a much longer piece of text",
        "12",
        "\n",
        "\n\n",
        " \r\n",
        "\t",
        "\xa0",
    ]
    texts = [" ".join(draw.choices(pieces, k=draw.randint(0, 60))) for _ in range(300)]
    scores = FineWeb(language="en")(texts).scores
    for index, text in enumerate(texts):
        assert {name: values[index] for name, values in scores.items()} == pytest.approx(plain(text)), repr(text)


def test_japanese_pages_are_judged_as_english_ones():
    assert reason(lines(40, 40, JAPANESE, "")) is None
    assert reason("\n".join(f"項目その{n}" for n in range(40))).startswith("terminal lines 0.000")
    assert reason("\n".join(f"「はい、{n}。」" for n in range(10, 40))).startswith("short lines 1.000")


def test_a_short_line_of_japanese_has_ten_characters():
    ten, eleven = "あいうえおかきくけ。", "あいうえおかきくけこ。"
    assert FineWeb()([ten, eleven]).scores["short_lines"].tolist() == [1, 0]


def test_a_page_without_lines_is_dropped():
    assert FineWeb()(["", "\n \n\t"]).reasons == ["lines 0 < 1"] * 2


def test_pages_without_any_terminal_punctuation_may_be_kept():
    assert reason(lines(100, 0)).startswith("terminal lines")
    assert reason(lines(100, 0), line_punct_exclude_zero=True) is None
    assert reason(lines(100, 5), line_punct_exclude_zero=True).startswith("terminal lines")


def test_wrong_options_are_faults():
    wrong = FineWeb(line_punct_thr=2, short_line_length=-1, language="english")
    assert [fault.where for fault in wrong.check()] == ["language", "line_punct_thr", "short_line_length"]
