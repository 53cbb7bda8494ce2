import random
import re

import pytest

from konomi.filter._code_points import code_points
from konomi.filter.japanese_quality import SHARES, JapaneseQuality, measured
from konomi.testing.filter import FilterSuite
from konomi.units import arrow_texts

OFF = {
    **dict.fromkeys(SHARES, 1.0),
    "min_characters": 0,
    "min_japanese_characters": 0,
    "min_hiragana": 0,
    "max_katakana": 1,
    "min_japanese": 0,
    "min_mean_sentence": 0,
    "max_mean_sentence": 1e9,
    "max_sentence": 10**9,
    "max_ellipsis_sentences": 1,
    "max_ng_characters": 99,
}
DEFAULTS = {name: field.default for name, field in JapaneseQuality.__dataclass_fields__.items()}


class TestJapaneseQuality(FilterSuite):
    plugin = JapaneseQuality


class TestJapaneseQualityWithoutLimits(FilterSuite):
    plugin = JapaneseQuality

    def make(self):
        return JapaneseQuality(**OFF, threads=2)


def reason(text, *names):
    """Judge by the named rules alone."""
    return JapaneseQuality(**OFF | {name: DEFAULTS[name] for name in names})([text]).reasons[0]


def counts(text):
    points = code_points(arrow_texts([text]))
    return {name: int(values[0]) for name, values in measured(points.codes, points.ends).items()}


def sentence(length, end="。"):
    """Return a sentence of hiragana, of `length` characters with its end."""
    return "".join(random.Random(length).choices("あいうえおかきくけこさしすせそ", k=length - len(end))) + end


SIDES = [
    ("min_characters", "あ" * 400, "あ" * 399, "characters 399 < 400"),
    ("min_japanese_characters", "あ" * 400 + "x", "あ" * 399 + "xx", "Japanese characters 399 < 400"),
    ("min_hiragana", "あ" * 20 + "漢" * 80, "あ" * 19 + "漢" * 81, "hiragana 0.190 < 0.2"),
    ("max_katakana", "あ" * 50 + "カ" * 25 + "ー" * 25, "あ" * 49 + "カ" * 51, "katakana 0.510 > 0.5"),
    ("min_japanese", "あ" * 50 + "x" * 50, "あ" * 49 + "x" * 51, "Japanese 0.490 < 0.5"),
    ("min_mean_sentence", sentence(20), sentence(19), "mean sentence 19.000 < 20"),
    ("max_mean_sentence", sentence(90), sentence(91), "mean sentence 91.000 > 90"),
    ("max_sentence", sentence(200), sentence(201), "longest sentence 201 > 200"),
    ("max_ellipsis_sentences", "一…\n二。三。四。五。", "一…\n二。三。四。", "ellipsis sentences 0.250 > 0.2"),
    ("max_ng_characters", "ポルノ。" + "あ" * 57, "ポルノ。" + "あ" * 56, "NG characters 0.050 > 0.05"),
    ("duplicate_lines", "a\na\na\na\nb\nc\nd\ne\nf\ng", "a\na\na\na\na\nc\nd\ne\nf\ng", "duplicate lines 0.400 > 0.3"),
    ("duplicate_sentences", "あ。" * 4 + "い。う。え。お。か。き。", "あ。" * 5, "duplicate sentences 0.800 > 0.3"),
    ("duplicate_line_characters", "ab\nab\ncdefgh", "ab\nab\ncdefg", "duplicate line characters 0.222 > 0.2"),
    (
        "duplicate_sentence_characters",
        "い。い。あああああ。",
        "い。い。ああああ。",
        "duplicate sentence characters 0.222 > 0.2",
    ),
]


@pytest.mark.parametrize(("name", "kept", "dropped", "why"), SIDES, ids=[side[0] for side in SIDES])
def test_a_limit_keeps_what_is_on_it_and_drops_what_is_past_it(name, kept, dropped, why):
    if name == "max_ng_characters":  # the one rule that is "less than"
        kept += "あ"
        assert JapaneseQuality(**OFF)(["ポルノ。" + "あ" * 56]).scores["ng_characters"].tolist() == [0.05]
    assert (reason(kept, name), reason(dropped, name)) == (None, why)


@pytest.mark.parametrize("size", range(2, 11))
def test_ngrams_of_characters_are_counted_by_what_they_cover(size):
    name = f"top_{size}_grams" if size < 5 else f"duplicate_{size}_grams"
    rest = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))
    gram = "あいうえおかきくけこ"[:size]
    text = gram + rest[:100] + gram + rest[100:]
    covered = 2 * size if size < 5 else size
    assert JapaneseQuality(**OFF)([text]).scores[name][0] == pytest.approx(covered / len(text))
    limit = DEFAULTS[name]
    shortest = next(length for length in range(1, 999) if covered / length <= limit)
    for length, kept in ((shortest - 1, False), (shortest, True)):
        body = rest[: length - 2 * size]
        assert (reason(gram + body[:3] + gram + body[3:], name) is None) is kept


def test_the_default_rules_keep_prose_and_say_the_first_that_is_broken():
    draw = random.Random(1)
    pool = [chr(code) for code in (*range(0x3042, 0x3090), *range(0x4E00, 0x5200))]
    prose = "\n".join("".join(draw.choices(pool, weights=[9] * 78 + [1] * 1024, k=39)) + "。" for _ in range(20))
    assert JapaneseQuality()([prose, prose + "\n" + prose]).reasons == [None, "duplicate lines 0.500 > 0.3"]


def test_ー_and_kanji_beyond_the_basic_plane_are_japanese():
    found = counts("スーパー𠮷野々〇")
    assert (found["katakana"], found["kanji"], found["punctuation"]) == (4, 4, 0)
    assert counts("、，。．！？｡､,.!?")["punctuation"] == 8


def test_sentences_end_as_the_language_says():
    assert lengths("一。二三！？」四") == [2, 5, 1]
    assert lengths("a b. c.d\ne") == [4, 3, 1]
    assert lengths("「はい。」と言う。\n　次。") == [5, 4, 2]
    assert lengths("え!? 本当!") == [3, 3]
    assert lengths(" \n\n　\n") == []


def lengths(text):
    """Return the lengths of sentences, by cutting the text after each and measuring what was added."""
    ends, before = [], {"sentences": 0, "sentence_characters": 0}
    for cut in range(len(text) + 1):
        now = counts(text[:cut])
        if now["sentences"] > before["sentences"]:
            ends.append(0)
        if ends:
            ends[-1] = now["sentence_characters"] - sum(ends[:-1])
        before = now
    return ends


@pytest.mark.parametrize("way", ["…", "……", "...", "。。。", "・・・"])
def test_every_way_to_write_an_ellipsis_counts(way):
    assert counts(f"続きを読む{way}\n終わり。")["ellipsis_sentences"] == 1
    assert counts(f"まあ{way}そうだね。")["ellipsis_sentences"] == (0 if way != "。。。" else 1)


def plain_counts(text):
    """The definition of sentences again, by a regular expression, for text without closers and dots."""
    lines = [line.strip() for line in text.split("\n")]
    found = [part for line in lines for part in re.findall(r"[^。！？]*(?:[。！？]\s*)+|[^。！？]+$", line)]
    sentences = [part.strip() for part in found if part.strip()]
    plain = ["".join(part.split()) for part in sentences]
    repeats = [part for place, part in enumerate(sentences) if plain[place] in plain[:place]]
    return {
        "sentences": len(sentences),
        "sentence_characters": sum(map(len, sentences)),
        "repeated_sentences": len(repeats),
        "repeated_sentence_characters": sum(map(len, repeats)),
        "longest_sentence": max(map(len, sentences), default=0),
    }


def test_sentences_are_counted_as_defined():
    draw = random.Random(5)
    for _ in range(300):
        text = "".join(draw.choices("あい漢。！\n 　", weights=[6, 6, 3, 3, 1, 2, 1, 1], k=draw.randint(0, 120)))
        expected = plain_counts(text)
        assert {name: counts(text)[name] for name in expected} == expected, text


def test_code_points_without_a_plane_do_no_harm():
    assert counts("\U000e0067\U0010ffff。")["characters"] == 3


def test_ng_words_are_data(tmp_path):
    file = tmp_path / "ng.txt"
    file.write_text("納豆\n", encoding="utf-8")
    judge = JapaneseQuality(**OFF | {"max_ng_characters": 0.05}, ng_words=[str(file)])
    assert judge(["納豆を食べる。", "ポルノ。"]).reasons == ["NG characters 0.286 > 0.05", None]
    assert judge.depends() != JapaneseQuality().depends()


def test_wrong_options_are_faults(tmp_path):
    wrong = {"min_hiragana": 2, "top_2_grams": -1, "max_mean_sentence": 1, "threads": -1, "ng_words": ["none.txt"]}
    assert {fault.where for fault in JapaneseQuality(**wrong).check()} == set(wrong)
    assert list(JapaneseQuality().check()) == []


def test_limits_shape_no_score():
    fields = JapaneseQuality.__dataclass_fields__
    assert {name for name in fields if not fields[name].metadata.get("decides")} == {"ng_words", "threads"}


def test_literature_is_japanese(real_rows):
    texts = [row["text"] for row in real_rows("aozora_ja")]
    rules = {name: DEFAULTS[name] for name in ("min_hiragana", "max_katakana", "min_japanese")}
    dropped = [why for why in JapaneseQuality(**OFF | rules)(texts).reasons if why]
    assert len(dropped) < 0.03 * len(texts)
