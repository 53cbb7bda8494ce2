import os

import pytest

from konomi.faults import KonomiError
from konomi.filter._code_points import code_points
from konomi.filter._words import SHIPPED, faults_of, lines_of, trie, words_of
from konomi.units import arrow_texts


def counted(words, *texts):
    hits, characters = trie(words).count(code_points(arrow_texts(texts)))
    return list(zip(hits.tolist(), characters.tolist(), strict=True))


def test_code_points_are_those_of_python():
    texts = ["", "aé語𠮷👩‍👩", "\ud800x", "\x00\n", "ﾊﾝｶｸ"]
    points = code_points(arrow_texts(texts))
    assert points.codes.tolist() == [ord(character) for text in texts for character in text]
    assert points.lengths().tolist() == [len(text) for text in texts]
    sliced = code_points(arrow_texts(texts).slice(1, 2))
    assert sliced.codes.tolist() == [ord(character) for text in texts[1:3] for character in text]


def test_every_occurrence_counts():
    assert counted(["広告", "お得"], "広告と広告はお得", "何もない", "") == [(3, 6), (0, 0), (0, 0)]


def test_of_overlapping_words_the_first_and_longest_counts():
    assert counted(["東京", "東京都", "京都府"], "東京都府") == [(1, 3)]
    assert counted(["東京都民", "東京"], "東京都下") == [(1, 2)]


def test_a_word_with_spaces_stands_by_itself():
    assert counted(["ass", "red fox"], "class assess ass", "a red fox", "a red foxes", "ass-ass") == [
        (1, 3), (1, 7), (0, 0), (2, 6),
    ]  # fmt: skip
    assert counted(["ass"], "これはassです") == [(1, 3)]


def test_a_katakana_word_stands_by_itself_and_other_japanese_does_not():
    assert counted(["エロ"], "テロエロス", "エロ本", "エロー", "おエロ") == [(0, 0), (1, 2), (0, 0), (1, 2)]
    assert counted(["無料"], "完全無料化") == [(1, 2)]


def test_ascii_letters_stand_for_both_cases():
    assert counted(["Sale"], "SALE sale sAlE") == [(3, 12)]


def test_kanji_beyond_the_basic_plane_are_letters():
    assert counted(["𠮷野"], "𠮷野家", "吉野家") == [(1, 2), (0, 0)]


def test_no_words_are_no_hits():
    assert counted([], "text") == [(0, 0)]


def test_finds_what_a_regular_expression_finds():
    import random
    import re

    draw = random.Random(3)
    words = ["".join(draw.choices("あいう", k=draw.randint(1, 5))) for _ in range(40)]
    texts = ["".join(draw.choices("あいう。", k=200)) for _ in range(20)]
    pattern = re.compile("|".join(sorted(words, key=len, reverse=True)))
    expected = [(len(found), sum(map(len, found))) for found in map(pattern.findall, texts)]
    assert counted(words, *texts) == expected


def test_a_changed_file_is_read_again(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("# comment\n\n 一 \n", encoding="utf-8")
    points = code_points(arrow_texts(["一二二"]))
    assert lines_of(file) == ["一"]
    assert words_of([file]).count(points)[0].tolist() == [1]
    file.write_text("二\n", encoding="utf-8")
    os.utime(file, ns=(1, 1))
    assert words_of([file]).count(points)[0].tolist() == [2]


def test_files_that_serve_not_are_faults(tmp_path):
    (tmp_path / "empty.txt").write_text("# nothing\n", encoding="utf-8")
    (tmp_path / "sjis.txt").write_bytes("広告".encode("cp932"))
    files = [tmp_path / name for name in ("empty.txt", "sjis.txt", "none.txt")]
    whats = [fault.what for fault in faults_of("words", files)]
    assert ["holds no entry" in whats[0], "not UTF-8 at byte 0" in whats[1], "No such file" in whats[2]] == [True] * 3
    with pytest.raises(KonomiError, match="none"):
        words_of([tmp_path / "none.txt"])


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.txt")), ids=lambda file: file.stem)
def test_a_list_that_ships_is_spelled_as_normalised_text_is_and_names_nothing_twice(file):
    from konomi.filter.normalize import Normalize

    entries = lines_of(file)
    assert Normalize()(entries).texts == entries
    assert len({entry.lower() for entry in entries}) == len(entries)
