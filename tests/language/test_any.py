from konomi.language.any import AnyLanguage
from konomi.testing.language import LanguageSuite


class TestAnyLanguage(LanguageSuite):
    plugin = AnyLanguage
    prose = ("Это русский текст. В нём два предложения.", "यह हिंदी का एक वाक्य है। और यह दूसरा है।")
