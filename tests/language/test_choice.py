"""Which language `auto` takes for a document, and what a language of somebody else's costs: one file."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from konomi import register, registry
from konomi.filter import _languages
from konomi.language import Language
from konomi.units import arrow_texts, text_buffers

JAPANESE = "昨日は雨が降ったので、家で本を読んでいた。"
ENGLISH = "It rained yesterday, so we stayed at home and read."


@pytest.fixture
def added():
    """Register languages for one test."""
    before = dict(registry._entries)
    yield
    registry._entries.clear()
    registry._entries.update(before)


def languages_of(*texts, language="auto"):
    known, places = _languages.chosen(language, *text_buffers(arrow_texts(texts)))
    return [list(known)[place] for place in places]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (JAPANESE, "ja"),
        (f"{JAPANESE}\nimport numpy as np\nprint(np.arange(10))", "ja"),
        (f"{ENGLISH} {ENGLISH} The word is 雨 (rain).", "en"),
        ("Τὸ κείμενον τοῦτο ἑλληνικόν ἐστιν.", "any"),
        ("Это русский текст, word", "any"),
        ("我们昨天在家里看书，因为下雨了。", "any"),
        ("吾輩ハ猫デアル。名前ハマダ無イ。", "ja"),
        ("naïve façade", "en"),
        ("", "any"),
        ("1234 5678 !!", "any"),
        ("\n\n\x00", "any"),
        ("𠮷野家で食べた", "ja"),
        ("x" * 31 + "é" + "y" * 40, "en"),
    ],
)
def test_auto_takes_the_language_whose_letters_a_text_holds(text, language):
    assert languages_of(text) == [language]


def test_the_choice_does_not_depend_on_the_batch():
    texts = [ENGLISH, JAPANESE, "", "Это русский текст", ENGLISH * 30]
    assert languages_of(*texts) == [one for text in texts for one in languages_of(text)]


def test_a_name_decides_for_all_documents():
    assert languages_of(ENGLISH, JAPANESE, language="ja") == ["ja", "ja"]
    assert languages_of(ENGLISH, language="any") == ["any"]


def test_an_unknown_language_is_a_fault_with_the_nearest_match():
    (fault,) = _languages.faults("eng")
    assert fault.where == "language" and "did you mean en?" in fault.hint
    assert not list(_languages.faults("auto"))


def test_a_language_with_the_same_letters_is_told_by_its_distinctive_ones(added):
    @register("language", "de")
    @dataclass(frozen=True)
    class German(Language):
        scripts: ClassVar = {
            "latin": ((0x41, 0x5A), (0x61, 0x7A)),
            "umlauts": tuple((ord(c), ord(c)) for c in "äöüßÄÖÜ"),
        }
        distinctive: ClassVar = ("umlauts",)

    german = "Gestern hat es geregnet, also blieben wir zu Hause und lasen Bücher über Vögel."
    assert languages_of(german, ENGLISH, JAPANESE, "naïve") == ["de", "en", "ja", "en"]


def test_a_language_of_another_script_is_one_file_away(added):
    @register("language", "ko")
    @dataclass(frozen=True)
    class Korean(Language):
        scripts: ClassVar = {"hangul": ((0xAC00, 0xD7A3),)}

    assert languages_of("어제는 비가 와서 집에서 책을 읽었다.", ENGLISH) == ["ko", "en"]


def test_the_key_follows_the_languages_that_may_be_chosen(added):
    from konomi.recipe.keys import canonical

    before = canonical(dict(_languages.depends("auto")))
    named = canonical(dict(_languages.depends("ja")))

    @register("language", "ko")
    @dataclass(frozen=True)
    class Korean(Language):
        scripts: ClassVar = {"hangul": ((0xAC00, 0xD7A3),)}

    assert canonical(dict(_languages.depends("auto"))) != before
    assert canonical(dict(_languages.depends("ja"))) == named
