import pytest

from konomi.filter.harmful_words import HarmfulWords
from konomi.testing.filter import FilterSuite


class TestHarmfulWords(FilterSuite):
    plugin = HarmfulWords


def test_three_hits_are_kept_and_four_dropped():
    assert HarmfulWords()(["無修正、" * 3, "無修正、" * 4]).reasons == [None, "harmful words 4 > 3"]
    assert HarmfulWords(max_hits=2)(["porn, porn", "porn, Porn, PORN"]).reasons == [None, "harmful words 3 > 2"]


def test_hits_of_both_languages_add_up():
    assert HarmfulWords()(["ポルノ porn 巨乳 milf"]).scores["hits"].tolist() == [4]


def test_harmless_words_that_hold_harmful_ones_are_no_hits():
    assert HarmfulWords()(["pornographer Essex スカンソープランドリー retardant"]).scores["hits"].tolist() == [0]


def test_lists_are_data(tmp_path):
    file, other = tmp_path / "list.txt", tmp_path / "other.txt"
    file.write_text("# mine\n納豆\n", encoding="utf-8")
    other.write_text("おくら\n", encoding="utf-8")
    judge = HarmfulWords(words=[str(file), str(other)], max_hits=1)
    assert judge(["納豆", "納豆とおくら", "ポルノ" * 9]).reasons == [None, "harmful words 2 > 1", None]
    before = judge.depends()
    file.write_text("味噌\n", encoding="utf-8")
    assert judge.depends() != before


def test_the_limit_shapes_no_score():
    texts = ["porn " * 5, ""]
    strict, loose = HarmfulWords(max_hits=0), HarmfulWords(max_hits=9)
    scores = strict(texts).scores
    assert scores["hits"].tolist() == loose(texts).scores["hits"].tolist()
    assert strict.decide(scores) == ["harmful words 5 > 0", None]
    assert loose.decide(scores) == [None, None]


def test_wrong_options_are_faults(tmp_path):
    faults = list(HarmfulWords(words=[str(tmp_path / "none.txt")], max_hits=-1).check())
    assert [fault.where for fault in faults] == ["max_hits", "words"]
    assert list(HarmfulWords().check()) == []


def test_literature_is_not_taken_for_harm(real_rows):
    texts = [row["text"] for row in real_rows("aozora_ja")]
    dropped = [reason for reason in HarmfulWords()(texts).reasons if reason]
    assert len(dropped) < 0.03 * len(texts)


@pytest.mark.parametrize("name", ["words", "max_hits"])
def test_what_decides_and_what_is_in_the_key_is_declared(name):
    metadata = HarmfulWords.__dataclass_fields__[name].metadata
    assert metadata == ({"decides": True} if name == "max_hits" else {"in_key": False})
