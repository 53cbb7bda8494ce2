import pytest

import konomi
from konomi.filter.c4 import C4
from konomi.filter.harmful_words import HarmfulWords
from konomi.filter.japanese_quality import JapaneseQuality
from konomi.filter.japanese_spam import JapaneseSpam
from konomi.filter.repetition import Repetition
from konomi.units import Unit


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("gopher_repetition", Repetition(unit=Unit.word)),
        ("c4_fineweb", C4(filter_no_terminal_punct=False)),
        ("llm_jp_spam", JapaneseSpam(max_advertisement_words=10, max_mean_sentence=250)),
        ("llm_jp_spam_strict", JapaneseSpam(max_advertisement_words=10, max_mean_sentence=80)),
        ("harmful_words_strict", HarmfulWords(max_hits=2)),
        ("japanese_quality_long", JapaneseQuality(**{f"duplicate_{size}_grams": 1.0 for size in range(5, 11)})),
    ],
)
def test_a_preset_gives_the_published_setting(preset, expected):
    node = konomi.compose("curate", [f"filter=[{preset}]"]).curate.filter[preset]
    assert {name: node[name] for name in vars(expected)} == vars(expected)
    assert not list(expected.check())


def test_gopher_repetition_has_the_thresholds_of_the_table():
    published = (0.3, 0.3, 0.2, 0.2, 0.2, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.1)  # Rae+ 2021, table A1
    assert tuple(Repetition(unit=Unit.word).thresholds().values()) == published


@pytest.mark.parametrize("name", list(Repetition().thresholds()))
def test_each_rule_on_repetition_holds_up_to_its_threshold_and_not_beyond(name):
    text = "\n\n".join(["a b c d e f g h i j k l m"] * 9 + ["n o p q r s t u"])
    share = float(Repetition(unit=Unit.word)([text]).scores[name][0])
    assert 0 < share < 1
    off = dict.fromkeys(Repetition().thresholds(), 1.0)
    assert Repetition(**off | {name: share}, unit=Unit.word)([text]).reasons == [None]
    assert Repetition(**off | {name: share - 1e-9}, unit=Unit.word)([text]).reasons != [None]
