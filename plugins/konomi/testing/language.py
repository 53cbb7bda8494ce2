"""What every language must keep; its author subclasses the suite.

from konomi.testing.language import LanguageSuite

class TestMyLanguage(LanguageSuite):
    plugin = MyLanguage
    prose = ("A text of some sentences, in the language.",)
"""

from __future__ import annotations

from typing import Any, ClassVar

from konomi.language import Language


class LanguageSuite:
    """Shared tests of a language."""

    plugin: ClassVar[type[Any]]
    prose: ClassVar[tuple[str, ...]]
    """Texts of some sentences each, as they are found in the world."""

    def make(self) -> Language:
        """Return the language under test."""
        made: Language = self.plugin()
        return made

    def test_ranges_of_code_points_run_upwards(self) -> None:
        language = self.make()
        for ranges in (*language.scripts.values(), language.unspaced or ()):
            for low, high in ranges:
                assert 0 < low <= high <= 0x10FFFF

    def test_what_is_distinctive_is_a_script(self) -> None:
        language = self.make()
        assert set(language.distinctive) <= set(language.scripts)

    def test_marks_are_single_characters_and_no_letters(self) -> None:
        language = self.make()
        for marks in (
            language.sentence_ends, language.spaced_sentence_ends, language.closers, language.terminal_punctuation
        ):  # fmt: skip
            assert isinstance(marks, str)
            assert not any(mark.isalnum() or mark.isspace() for mark in marks)
            assert len(set(marks)) == len(marks)

    def test_lists_hold_strings_that_can_be_found(self) -> None:
        language = self.make()
        for words in (language.stop_words, language.ellipses, language.bullets, language.policy_phrases):
            assert isinstance(words, tuple) and len(set(words)) == len(words)
            assert all(word and word == word.strip() for word in words)
        assert all(word == word.lower() for word in (*language.stop_words, *language.policy_phrases))
        assert all(len(phrase) > 1 for phrase in language.policy_phrases)
        assert language.characters_per_word >= 1

    def test_its_prose_is_in_its_letters(self) -> None:
        held = [pair for ranges in self.make().scripts.values() for pair in ranges]
        if held:
            for text in self.prose:
                letters = [character for character in text if character.isalpha()]
                own = [one for one in letters if any(low <= ord(one) <= high for low, high in held)]
                assert len(own) > 0.5 * len(letters), text

    def test_its_prose_has_stop_words_and_ends_of_sentences(self) -> None:
        language = self.make()
        for text in self.prose:
            found = text.lower() if language.stop_words_inside else text.lower().split()
            assert not language.stop_words or sum(word in found for word in language.stop_words) >= 2, text
            assert any(mark in text for mark in language.sentence_ends + language.spaced_sentence_ends), text
