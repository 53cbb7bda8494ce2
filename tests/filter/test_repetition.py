import random
import re
from collections import Counter

import pytest

from konomi.filter.repetition import Repetition
from konomi.testing.filter import FilterSuite
from konomi.units import Unit


class TestRepetition(FilterSuite):
    plugin = Repetition


class TestRepetitionOfCharacters(FilterSuite):
    plugin = Repetition

    def make(self):
        return Repetition(unit=Unit.character, threads=2)


class TestRepetitionOfWords(FilterSuite):
    plugin = Repetition

    def make(self):
        return Repetition(unit=Unit.word)


def plain_shares(units, size):
    """The definition, spelled out: characters of an n-gram's later occurrences, and of the top n-gram's occurrences."""
    grams = [tuple(units[start : start + size]) for start in range(len(units) - size + 1)]
    counts, seen = Counter(grams), set()
    repeated, top = set(), set()
    best = max(counts.values(), default=0)
    first = next((gram for gram in grams if counts[gram] == best), None)
    for start, gram in enumerate(grams):
        inside = range(start, start + size)
        if gram in seen:
            repeated.update(inside)
        if best > 1 and gram == first:
            top.update(inside)
        seen.add(gram)
    total = max(sum(map(len, units)), 1)
    return sum(len(units[i]) for i in repeated) / total, sum(len(units[i]) for i in top) / total


def random_texts():
    draw = random.Random(7)
    for _ in range(60):
        alphabet = draw.choice(["ab", "あいう", "abcdefghij", "日月火水木金土"])
        spaced = draw.random() < 0.5
        words = ["".join(draw.choices(alphabet, k=draw.randint(1, 4))) for _ in range(draw.randint(0, 120))]
        yield (" " if spaced else "").join(words)


@pytest.mark.parametrize("unit", [Unit.word, Unit.character])
def test_ngrams_are_counted_as_the_table_defines_them(unit):
    texts = list(random_texts())
    scores = Repetition(unit=unit)(texts).scores
    for index, text in enumerate(texts):
        units = text.split() if unit is Unit.word else [character for character in text if not character.isspace()]
        for size in range(2, 11):
            repeated, top = plain_shares(units, size)
            name, expected = (f"top_{size}_grams", top) if size < 5 else (f"duplicate_{size}_grams", repeated)
            assert scores[name][index] == pytest.approx(expected, abs=1e-6), (text, name)


def test_counts_occurrences_not_types():
    # one 5-gram, said twenty times, is one type out of six; but nearly the whole text
    text = " ".join(["a b c d e"] * 20)
    assert Repetition()([text]).scores["duplicate_5_grams"][0] == pytest.approx(95 / 100)


def test_auto_takes_two_characters_of_japanese_for_a_word():
    text = (
        "むかしむかしあるところにおじいさんとおばあさんがすんでいました。おじいさんは山へ、おばあさんは川へ行きました。"
    )
    scores = Repetition(unit=Unit.auto)([text]).scores
    for words in range(2, 11):
        repeated, top = plain_shares(list(text), 2 * words)
        name, expected = (f"top_{words}_grams", top) if words < 5 else (f"duplicate_{words}_grams", repeated)
        assert scores[name][0] == pytest.approx(expected, abs=1e-6)


def test_auto_counts_english_in_words():
    text = "the cat sat on the mat and the cat sat on the hat"
    assert Repetition(unit=Unit.auto)([text]).scores == Repetition(unit=Unit.word)([text]).scores


def test_auto_takes_korean_for_words_and_thai_for_characters():
    korean, thai = "나는 학교에 갑니다 나는 집에 갑니다", "ฉันไปโรงเรียนฉันไปบ้าน"
    for text, unit in ((korean, Unit.word),):
        assert Repetition(unit=Unit.auto)([text]).scores == Repetition(unit=unit)([text]).scores
    assert Repetition(unit=Unit.auto)([thai * 5]).reasons[0] is not None
    assert Repetition(unit=Unit.word)([thai * 5]).reasons[0] is None


def test_a_short_text_does_not_repeat_itself_by_being_short():
    assert Repetition()(["two words", "はい", "a b c d"]).reasons == [None] * 3


def test_lines_and_paragraphs_that_stood_before_are_repeats():
    text = "one\ntwo\n\n  one\nthree\n\nfour\n\nfour"
    scores = {name: values[0] for name, values in Repetition()([text]).scores.items()}
    assert scores["duplicate_lines"] == pytest.approx(2 / 6)
    assert scores["duplicate_line_characters"] == pytest.approx(7 / 22)
    assert scores["duplicate_paragraphs"] == pytest.approx(1 / 4)
    assert scores["duplicate_paragraph_characters"] == pytest.approx(4 / 24)


def shares_of_repeats(parts):
    """The definition, spelled out: shares of parts, and of their characters, that occurred before."""
    seen, repeats, characters = set(), 0, 0
    for part in parts:
        repeats, characters = (repeats + 1, characters + len(part)) if part in seen else (repeats, characters)
        seen.add(part)
    return repeats / max(len(parts), 1), characters / max(sum(map(len, parts)), 1)


def test_repeated_lines_and_paragraphs_are_those_of_the_definition_spelled_out():
    draw = random.Random(3)
    texts = ["".join(draw.choices("ab\n\n \t　\x85あ\r\x1c\u200b𠮷", k=draw.randint(0, 40))) for _ in range(3000)]
    scores = Repetition()(texts).scores
    for index, text in enumerate(texts):
        lines = [line for raw in text.split("\n") if (line := raw.strip())]
        paragraphs = [part for raw in re.split(r"\n\s*\n", text) if (part := raw.strip())]
        found = [scores[f"duplicate_{name}"][index] for name in ("lines", "line_characters")]
        found += [scores[f"duplicate_{name}"][index] for name in ("paragraphs", "paragraph_characters")]
        assert found == [*shares_of_repeats(lines), *shares_of_repeats(paragraphs)], repr(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("same line\n" * 10, "duplicate lines 0.900 > 0.3"),
        ("some words here\n\nother words there\n\n" * 2, "duplicate lines 0.500 > 0.3"),
        ("もう一度。" * 40, "top 2-grams"),
        ("ab cd ef " * 30, "top 2-grams"),
    ],
)
def test_says_the_rule_that_was_broken_first(text, reason):
    found = Repetition()([text]).reasons[0]
    assert found is not None and found.startswith(reason)


@pytest.mark.parametrize("name", list(Repetition().thresholds()))
def test_every_rule_can_be_the_one_that_drops(name):
    options = dict.fromkeys(Repetition().thresholds(), 1.0) | {name: 0.01}
    text = "\n\n".join(["a b c d e f g h i j k l m"] * 9 + ["n o p q r s t u"])
    reason = Repetition(**options)([text]).reasons[0]
    assert reason is not None and reason.endswith("> 0.01")
    assert Repetition(**dict.fromkeys(Repetition().thresholds(), 1.0))([text]).reasons == [None]


def test_white_space_does_not_count():
    scores = Repetition()(["a b c d e f a b c d e f", "a  b\tc\nd e f\n\n a b c d e     f"]).scores
    for name in scores:
        if name.endswith("_grams"):
            assert scores[name][0] == scores[name][1]


def test_thresholds_outside_a_share_are_faults():
    assert [fault.where for fault in Repetition(top_2_grams=1.5, duplicate_lines=-1).check()] == [
        "duplicate_lines",
        "top_2_grams",
    ]


def test_literature_is_not_taken_for_repetition(real_rows):
    texts = [row["text"] for row in real_rows("aozora_ja")]
    dropped = [reason for reason in Repetition()(texts).reasons if reason]
    assert len(dropped) < 0.05 * len(texts)
    in_characters = [reason for reason in Repetition(unit=Unit.character)(texts).reasons if reason]
    assert len(in_characters) > 0.5 * len(texts)  # why `auto` is the default
