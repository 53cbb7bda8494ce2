"""Each rule of Gopher's on both sides of its threshold, in English, Japanese and a language of somebody else's."""

import random
from dataclasses import dataclass
from typing import ClassVar

import pytest

from konomi import register, registry
from konomi.filter.gopher_quality import UNMEASURED, GopherQuality
from konomi.language import Language
from konomi.testing.filter import FilterSuite

JAPANESE = "昨日は雨が降ったので、家で本を読んでいた。夕方になると空が晴れて、子供たちは外へ遊びに出かけた。"


class TestGopherQuality(FilterSuite):
    plugin = GopherQuality


class TestGopherQualityInJapanese(FilterSuite):
    plugin = GopherQuality

    def make(self):
        return GopherQuality(language="ja")


def prose(words, *more):
    """Return as many words, two stop words and those given among them."""
    return " ".join(["the", "and", *more, *["plain"] * (words - 2 - len(more))])


def reason(text, **options):
    return GopherQuality(**options)([text]).reasons[0]


def score(text, name, **options):
    return GopherQuality(**options)([text]).scores[name][0]


@pytest.mark.parametrize(
    ("kept", "dropped", "said"),
    [
        (prose(50), prose(49), "words 49 < 50"),
        (prose(100_000), prose(100_001), "words 100001 > 100000"),
        ("the and " + "an word " * 30, "the and " + "an word " * 29 + "an an", "mean word length 2.968 < 3"),
        ("the and " + "bbbbbbbbbb " * 60, "the and " + "bbbbbbbbbbb " * 60, "mean word length 10.742 > 10"),
        (prose(100, *["#"] * 10), prose(100, *["#"] * 11), "hashes per word 0.110 > 0.1"),
        (prose(100, *["so..."] * 10), prose(100, *["so..."] * 11), "ellipses per word 0.110 > 0.1"),
        (prose(100, *["so…"] * 10), prose(100, *["so…"] * 11), "ellipses per word 0.110 > 0.1"),
        ("- the and plain words\n" * 18 + "a line\n" * 2,
         "- the and plain words\n" * 19 + "a line", "bullet lines 0.950"),
        ("the and one two six ten\n" * 7 + "the and one two six ten more...\n" * 3,
         "the and one two six ten\n" * 69 + "the and one two six ten more…\n" * 31, "ellipsis lines 0.310 > 0.3"),
        (prose(100, *["2024"] * 20), prose(100, *["2024"] * 21), "words with letters 0.790 < 0.8"),
        ("the have " + "plain " * 60, "the the " + "plain " * 60, "stop words 1 < 2"),
    ],
)  # fmt: skip
def test_each_rule_holds_up_to_its_threshold_and_not_beyond(kept, dropped, said):
    assert reason(kept) is None
    assert reason(dropped).startswith(said)


def plain(text):
    """The published rules, spelled out for English."""
    words = text.split()
    lines = [line for line in text.split("\n") if line.strip()]
    runs = {""}
    for word in words:
        runs.update("".join(letter if letter.isalnum() else " " for letter in word.lower()).split())
    total, of_lines = max(len(words), 1), max(len(lines), 1)
    return {
        "words": len(words),
        "mean_word_length": sum(map(len, words)) / total if words else UNMEASURED,
        "hashes_per_word": text.count("#") / total,
        "ellipses_per_word": (text.count("...") + text.count("…")) / total,
        "bullet_lines": sum(line.strip().startswith(("•", "-", "*")) for line in lines) / of_lines,
        "ellipsis_lines": sum(line.strip().endswith(("...", "…")) for line in lines) / of_lines,
        "words_with_letters": sum(any(letter.isalpha() for letter in word) for word in words) / total,
        "stop_words": len(runs & {"the", "be", "to", "of", "and", "that", "have", "with"}),
    }


def test_scores_are_those_of_the_definition_spelled_out():
    draw = random.Random(5)
    pieces = ["the", "The", "be-", "to", "(of)", "and,", "that", "naïve", "x", "12", "#", "##", "...", "…", "....",
              "wait…", "•", "-", "*", "\n", "\n\n", "\t", " \r\n", "don't", "HAVE", "with."]  # fmt: skip
    texts = [" ".join(draw.choices(pieces, k=draw.randint(0, 80))) for _ in range(300)]
    scores = GopherQuality(language="en")(texts).scores
    for index, text in enumerate(texts):
        assert {name: values[index] for name, values in scores.items()} == pytest.approx(plain(text)), repr(text)


def test_stop_words_are_found_whatever_stands_around_them():
    assert score('"The end," he said (with a smile)—to nobody.', "stop_words") == 3
    assert score("theory sandy tomorrow", "stop_words") == 0


def test_japanese_prose_is_kept_and_what_is_none_is_dropped():
    assert reason(JAPANESE * 4) is None
    assert reason(JAPANESE).startswith("words 24 < 50")
    assert reason("株式会社東京商事\n電話番号\n" * 30, language="ja").startswith("stop words 0 < 2")
    assert reason("・東京の店で買う物を見る\n" * 30).startswith("bullet lines 1.000 > 0.9")
    assert reason("そして彼はその日も私に同じ事を言ったのだが……\n" * 30).startswith("ellipsis lines 1.000 > 0.3")
    assert reason("１２３４５６７８９０円、" * 40 + JAPANESE).startswith("words with letters")


def test_a_word_of_japanese_is_two_characters_and_a_latin_word_in_it_is_one():
    assert score("日本語だ", "words") == 2
    assert score("日本語", "words") == 2
    assert score("日本Python語", "words") == 3
    assert score("𠮷野家", "words") == 2
    assert score("……", "ellipses_per_word", language="ja") == 1


def test_the_length_of_words_is_no_rule_where_words_are_not_spaced():
    assert score(JAPANESE, "mean_word_length") == UNMEASURED
    assert score(f"{JAPANESE} Python", "mean_word_length") == UNMEASURED
    assert score("Python の話", "mean_word_length") == 6


def test_stop_words_are_no_rule_in_a_language_that_names_none():
    russian = "Вчера весь день шёл дождь, поэтому мы сидели дома и читали книги. " * 6
    assert score(russian, "stop_words") == UNMEASURED
    assert reason(russian) is None
    assert reason(russian, language="en").startswith("stop words 0 < 2")


def test_a_limit_that_is_off_drops_nothing():
    off = {"min_doc_words": 0, "min_avg_word_length": 0, "min_alpha_words_ratio": 0, "min_stop_words": 0}
    assert reason("", **off) is None


def test_wrong_options_are_faults():
    wrong = GopherQuality(max_doc_words=10, max_bullet_lines_ratio=2, language="jp")
    assert [fault.where for fault in wrong.check()] == ["language", "max_doc_words", "max_bullet_lines_ratio"]


@pytest.fixture
def german():
    """Register German, as a third party would: one class."""
    before = dict(registry._entries)

    @register("language", "de")
    @dataclass(frozen=True)
    class German(Language):
        """Know German."""

        scripts: ClassVar = {
            "latin": ((0x41, 0x5A), (0x61, 0x7A)),
            "umlauts": tuple((ord(letter), ord(letter)) for letter in "äöüßÄÖÜ"),
        }
        distinctive: ClassVar = ("umlauts",)
        stop_words: ClassVar = ("der", "die", "das", "und", "zu", "für", "dass", "mit")

    yield
    registry._entries.clear()
    registry._entries.update(before)


def test_a_language_of_one_file_has_its_own_stop_words(german):
    text = "Die Vögel sangen früh am Morgen, und Für alle Nachbarn begann ein schöner Tag ohne Regen. " * 5
    assert score(text, "stop_words") == 3
    assert reason(text) is None
    assert reason(text, language="en").startswith("stop words 0 < 2")
    assert reason(prose(60)) is None  # English is English still
