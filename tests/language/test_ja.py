import pytest

from konomi.language.ja import Japanese
from konomi.testing.language import LanguageSuite


class TestJapanese(LanguageSuite):
    plugin = Japanese
    prose = ("昨日は雨が降ったので、家で本を読んでいた。夕方には晴れた！", "彼は言った。「もう帰ろう。」")


@pytest.mark.parametrize(
    ("character", "script"),
    [("ー", "katakana"), ("ｱ", "katakana"), ("ゝ", "hiragana"), ("々", "kanji"), ("𠮷", "kanji"), ("〇", "kanji")],
)
def test_letters_that_are_easily_forgotten_are_of_their_script(character, script):
    held = {name for name, pairs in Japanese.scripts.items() for low, high in pairs if low <= ord(character) <= high}
    assert held == {script}
