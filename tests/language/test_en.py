from konomi.language.en import English
from konomi.testing.language import LanguageSuite


class TestEnglish(LanguageSuite):
    plugin = English
    prose = (
        "It was the first day of the new year, and nobody had slept. We drove down to the sea.",
        "To install the package, run the command below. You have to be in the folder that holds it.",
    )
